# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""docs/deployment.md, command by command: its `sh` blocks run in their order, with a folder of this test in place of the system's."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from balancers import NGINX, free_port, make_certificate
from support import BIN, PATIENCE, ROOT, have
import support

PAGE = ROOT / "docs/deployment.md"
HERE = pathlib.Path(__file__).resolve().parent
# Of the system: what they would change is not ours, or needs another user.
SHIMS = {
    "useradd": "#!/bin/sh\nexit 0\n",
    "chown": "#!/bin/sh\nexit 0\n",
    "systemctl": f"#!/bin/sh\nexec {sys.executable} -B {HERE / 'systemctl.py'} \"$@\"\n",
    "nginx": "#!/bin/sh\nexec {nginx} -p $SYSTEM/etc/nginx -e error.log -c nginx.conf \"$@\"\n",
}


def sections():
    """(title, commands) of each part of the page that has some."""
    title, found, block = "", [], None
    for line in PAGE.read_text().splitlines():
        if block is None and line.startswith("#"):
            title = line.lstrip("# ")
        elif line == "```sh":
            block = []
        elif line == "```" and block is not None:
            found.append((title, block))
            block = None
        elif block is not None:
            block.append(line)
    return found


class System:
    """A folder in place of /; ports in place of those of the page."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="nomos-deploy-"))
        self.ports = {port: str(free_port()) for port in ("8080", "8081", "8082", "443", "8443")}
        for name in ("bin", "etc/systemd/system", "etc/nginx/conf.d", "etc/haproxy", "etc/nomos-tls", "var/lib", "run", "usr/local/bin"):
            (self.dir / name).mkdir(parents=True)
        make_certificate(self.dir / "etc/nomos-tls")
        (self.dir / "etc/nginx/nginx.conf").write_text(NGINX.replace("nomos.conf", "conf.d/nomos.conf"))
        shutil.copytree(ROOT / "configs", self.dir / "configs")
        # The sources are to be read in place of the page's own addresses and folders.
        for path in [*(self.dir / "configs/systemd").iterdir(), *(self.dir / "configs/balancers").iterdir()]:
            path.write_text(self.here(path.read_text()))
        for name, text in SHIMS.items():
            shim = self.dir / "bin" / name
            shim.write_text(text.replace("{nginx}", shutil.which("nginx") or "/usr/sbin/nginx"))
            shim.chmod(0o755)

    def here(self, text):
        text = re.sub(r"(?<![\w/])/etc/nomos/tls", f"{self.dir}/etc/nomos-tls", text)
        text = re.sub(r"(?<![\w/.])/(etc|var/lib|run|usr/local)/", rf"{self.dir}/\1/", text)
        text = text.replace("--prefix /usr/local", f"--prefix {self.dir}/usr/local").replace("build/release", str(pathlib.Path(BIN).resolve().parent))
        for port, free in self.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        return re.sub(r"(listen |bind :)(8?443)\b", lambda m: f"{m[1].rstrip(':')}127.0.0.1:{self.ports[m[2]]}", text)

    def run(self, title, commands):
        lines = ["set -euo pipefail", "trap 'echo \"failed: $BASH_COMMAND\" >&2; jobs -p | xargs -r kill 2>/dev/null' ERR"]
        for command in commands:
            lines.append(self.here(command))
            # The starter's configuration listens on the page's port.
            if command.startswith("nomos init "):
                lines.append(f"sed -i 's/127.0.0.1:8080/127.0.0.1:{self.ports['8080']}/' {self.here(command.split()[-1] + '/')}nomos.yaml")
        env = {**os.environ, "PATH": f"{self.dir}/bin:{self.dir}/usr/local/bin:/usr/sbin:{os.environ['PATH']}", "SYSTEM": str(self.dir),
               "UNITS": str(self.dir / "etc/systemd/system")}
        out = open(self.dir / "out", "wb")
        process = subprocess.Popen(["bash", "-c", "\n".join(lines)], cwd=self.dir, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            status = process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = "no end"
        out.close()
        assert status == 0, f"{title}: {status}\n{(self.dir / 'out').read_text()[-3000:]}"

    def remove(self):
        for state in (self.dir / "etc/systemd/system").glob("*.state"):
            try:
                os.kill(int(state.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        shutil.rmtree(self.dir, ignore_errors=True)


def test_the_commands_of_the_page():
    build = pathlib.Path(BIN).resolve().parent
    system = System()
    try:
        done = []
        for title, commands in sections():
            program = {"nginx": "nginx", "HAProxy": "haproxy"}.get(title)
            if program and not have(program):
                continue
            if title == "Bare" and not (build / "cmake_install.cmake").exists():
                shutil.copy(BIN, system.dir / "usr/local/bin/nomos")
                commands = commands[1:]
            if title == "systemd":
                shutil.rmtree(system.dir / "etc/nomos")
            system.run(title, commands)
            done.append(title)
        assert len(done) >= 5 and "systemd holds the sockets" in done and "Two replicas" in done, done
    finally:
        system.remove()


def test_the_page_names_what_is_there():
    text = PAGE.read_text()
    for name in set(re.findall(r"(?:configs|tests|docs)/[\w./-]*\w", text)):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"\]\(([\w.-]+)\)", text)):
        assert (ROOT / "docs" / name).exists(), name
    # Every route has the role that the page says.
    roles = {}
    for line in re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE):
        for path in re.findall(r"`(/[^`]*)`", line[1]):
            roles[path.replace("...", "")] = line[0]
    rows = re.findall(r'^X\(\w+, "([^"]+)", (\w+),', (ROOT / "gateway/route_tbl.h").read_text(), re.MULTILINE)
    assert len(rows) > 30
    for path, role in rows:
        best = max((p for p in roles if path.startswith(p) or path + "/" == p), key=len, default=None)
        assert best and roles[best] == role.lower(), (path, role, best)
