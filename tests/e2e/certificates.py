# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A certificate authority for tests, by the openssl program: certificates of any names, times and uses."""
import pathlib
import shutil
import subprocess
import time

CONFIG = """
[ca]
default_ca = own
[own]
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
default_crl_days = 1
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
"""


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, input=stdin, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {' '.join(map(str, args))}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def stamp(seconds_from_now):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds_from_now))


class Authority:
    """Keeps its files in a folder; certificates are NAME.pem and NAME.key beside them."""

    def __init__(self, folder, name="Test CA"):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        (self.dir / "index.txt").touch()
        (self.dir / "serial").write_text("1000\n")
        (self.dir / "ca.cnf").write_text(CONFIG.format(dir=self.dir))
        self.cert = self.dir / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={name}",
                "-days", 2, "-keyout", self.dir / "ca.key", "-out", self.cert, "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    @classmethod
    def of(cls, folder, cert, key):
        """One whose own certificate another one has issued."""
        made = cls(folder)
        shutil.copy(cert, made.cert)
        shutil.copy(key, made.dir / "ca.key")
        return made

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", use="serverAuth", begins=-3600, ends=86400, subject=None, is_ca=False,
              key_usage=None, end=None):
        key, request, extensions, out = (self.dir / f"{name}.{end}" for end in ("key", "csr", "ext", "pem"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={subject or name}",
                "-keyout", key, "-out", request)
        lines = [f"basicConstraints=critical,CA:{'TRUE' if is_ca else 'FALSE'}"]
        lines += [f"subjectAltName={names}"] if names else []
        lines += [f"extendedKeyUsage={use}"] if use else []
        lines += [f"keyUsage=critical,{key_usage}"] if key_usage else []
        extensions.write_text("\n".join(lines) + "\n")
        openssl("ca", "-batch", "-notext", "-config", self.dir / "ca.cnf", "-in", request, "-extfile", extensions,
                "-startdate", stamp(begins), "-enddate", end or stamp(ends), "-out", out)
        return out, key

    def revoke(self, cert):
        openssl("ca", "-config", self.dir / "ca.cnf", "-revoke", cert)

    def list_revoked(self, name="list", begins=-60, ends=86400):
        """A new list of revoked certificates; the path."""
        out = self.dir / f"{name}.crl"
        openssl("ca", "-config", self.dir / "ca.cnf", "-gencrl", "-crl_lastupdate", stamp(begins), "-crl_nextupdate", stamp(ends), "-out", out)
        return out

    def answer_about(self, cert, minutes=1440):
        """An OCSP response for it, for so long; the path."""
        out = self.dir / "ocsp.der"
        openssl("ocsp", "-index", self.dir / "index.txt", "-CA", self.cert, "-rsigner", self.cert, "-rkey", self.dir / "ca.key",
                "-issuer", self.cert, "-cert", cert, "-nmin", minutes, "-respout", out)
        return out
