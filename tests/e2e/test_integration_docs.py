# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""docs/integration.md, line by line: its configuration is loaded, its programs are run, its vectors are those of the corpus."""
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import tempfile

from signing import form, mac
from support import LONG, PATIENCE, ROOT, Gateway, Workplace, have

PAGE = (ROOT / "docs/integration.md").read_text()
KEY = "nk_alice1_" + "5e" * 32
SECRET = "c4" * 32
RFC_8032_KEY = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(place, *command, env=None):
    done = subprocess.run(command, cwd=place.dir, env={**os.environ, **(env or {})}, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, (command[0], done.stdout, done.stderr)
    return done.stdout.decode()


class Reader:
    """Somebody who follows the page: makes the key pair, fills the marks of the configuration, starts the gateway."""

    def __enter__(self):
        self.place = Workplace()
        run(self.place, "sh", "-euc", blocks("sh")[0])
        (identity,) = blocks("yaml")
        public = (self.place.dir / "agent.pub").read_text()
        for mark, value in (("HASH", hashlib.sha256(KEY.encode()).hexdigest()), ("SECRET", SECRET),
                            ("PUBLIC_KEY", "".join(f"      {line}\n" for line in public.splitlines()).rstrip("\n"))):
            assert f"@{mark}@" in identity
            identity = identity.replace(f"@{mark}@", value)
        (self.place.dir / "nomos.yaml").write_text(
            "gateway: {listen: '127.0.0.1:0', rate_limit_per_minute: 100000}\npolicy: {policy_bundle_path: policy.json}\n"
            "executor: {workspace_root: workspace}\naudit: {sink: ''}\nledger: {path: ledger.db}\n" + identity)
        self.gateway = Gateway(workplace=self.place, config_file="nomos.yaml")
        self.env = {"NOMOS_URL": "http://{}:{}".format(*self.gateway.address), "NOMOS_API_KEY": KEY, "NOMOS_AGENT": "bot",
                    "NOMOS_AGENT_SECRET": SECRET}
        return self

    def __exit__(self, *failure):
        try:
            self.gateway.__exit__(*failure)
        finally:
            self.place.remove()

    def check(self, action_id, *command):
        answer = json.loads(run(self.place, *command, env=self.env))
        assert answer["decision"] == "ALLOW" and answer["action_id"] == action_id, answer


def test_the_shell_programs():
    with Reader() as reader:
        programs = blocks("sh")[1:]
        assert len(programs) == 2
        for action_id, text in zip(("doc-sh", "doc-ed"), programs):
            reader.check(action_id, "sh", "-euc", text)


def test_the_python_programs():
    with Reader() as reader:
        standard, with_requests = blocks("python")
        reader.check("doc-py", "/usr/bin/python3", "-c", standard)
        reader.check("doc-requests", "/usr/bin/python3", "-c", with_requests)


def test_the_javascript_program():
    with Reader() as reader:
        (text,) = blocks("js")
        reader.check("doc-js", "node", "-e", text)


def test_the_go_program():
    """In the long form, where there is a Go compiler: it is not among what the tests install, and its first build takes minutes."""
    (text,) = blocks("go")
    assert '"v2", r.Method, r.URL.RequestURI()' in text
    if not (LONG and have("go")):
        return
    with Reader() as reader:
        (reader.place.dir / "client.go").write_text(text)
        done = subprocess.run(["go", "build", "-o", "client", "client.go"], cwd=reader.place.dir, env={**os.environ, "GOPROXY": "off"})
        assert done.returncode == 0
        reader.check("doc-go", "./client")


def test_the_vectors():
    shown = re.findall(r"^\| `(\w+) (\S+)` \| `(\d+)` \| `([\w-]+)` \| (?:`(\S+)`)? \| `(v2(?:ed)?=[0-9a-f]+)` \|$", PAGE, re.MULTILINE)
    rows = [line.split("\t") for line in (ROOT / "tests/corpus/identity/vectors.cases").read_text().splitlines() if "v2" in line.split("\t")[-1]]
    assert len(shown) == 8 and [tuple(f"{m} {t}".split(" ") + [ts, n, i, s]) for m, t, ts, n, i, s in shown] == \
        [(*r[1].split(" "), r[2], r[3], r[5], r[6]) for r in rows]
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder) / "key.der"
        assert RFC_8032_KEY in PAGE
        key.write_bytes(bytes.fromhex("302e020100300506032b657004220420" + RFC_8032_KEY))
        for method, target, timestamp, nonce, idempotency_key, signature in shown:
            text = form(method, target, timestamp, nonce, b"" if method == "GET" else b'{"a":1}', idempotency_key)
            if signature.startswith("v2="):
                assert signature == mac("agent-secret", text)
                continue
            (pathlib.Path(folder) / "form").write_bytes(text)
            raw = subprocess.run(["openssl", "pkeyutl", "-sign", "-keyform", "DER", "-inkey", str(key), "-rawin", "-in", f"{folder}/form"],
                                 capture_output=True, check=True).stdout
            assert signature == "v2ed=" + raw.hex()
    assert hmac.new(b"agent-secret", b'{"a":1}', hashlib.sha256).hexdigest() in PAGE
