# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The load balancers of configs/balancers as they are, but for addresses and certificates; and clients that never stop."""
import http.client
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading

from support import AGENT_SECRET, API_KEY, PATIENCE, ROOT, action, sign, until

# nginx.conf of Debian, as far as it matters: what includes conf.d.
NGINX = """
daemon off; master_process on; worker_processes 2; pid nginx.pid; error_log error.log warn;
events { worker_connections 512; }
http {
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  access_log off;
  include nomos.conf;
}
"""


# scripts/setup --test puts it there: Debian has none.
ENVOY = ROOT / "tests/e2e/.envoy/envoy/_bin/envoy"


def find(kind):
    """The program, or None."""
    found = shutil.which(kind)
    return found or (str(ENVOY) if kind == "envoy" and ENVOY.exists() else None)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=nomos.example.com", "-addext", "subjectAltName=DNS:nomos.example.com", "-keyout", "balancer.key", "-out", "cert.pem"],
                   cwd=folder, check=True, capture_output=True)
    # nginx reads the chain, HAProxy chain and key of one file.
    (folder / "balancer.pem").write_text((folder / "cert.pem").read_text() + (folder / "balancer.key").read_text())


# What the files have as comments, for TLS on both sides: how a line of it begins, and what the line is then.
COMMENTS = {"nginx": (r"#(?=proxy_ssl)", ""), "haproxy": (r"#(?=default-server)", ""),
            "envoy": (r"(?m)^(      )#((?=transport_socket:)|(?=  ))", r"\1")}
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}
FRONTS = {"nginx": ("listen 443", "listen %s:%d"), "haproxy": ("bind :443", "bind %s:%d"),
          "envoy": ("{address: 0.0.0.0, port_value: 443}", "{address: %s, port_value: %d}")}
STREAMS = {"haproxy": ("bind :8443", "bind %s:%d"), "envoy": ("{address: 0.0.0.0, port_value: 8443}", "{address: %s, port_value: %d}")}
# An address behind: its host, its port.
BEHIND = {"nginx": "%s:%s", "haproxy": "%s:%s", "envoy": "{address: %s, port_value: %s}"}


class Balancer:
    """nginx, HAProxy or Envoy in front of gateways; listens at .port by TLS, but for nginx at .stream_port in clear. With ca (a file) it speaks
    TLS to the gateways and verifies them, and shows client, a certificate and its key, if it is given. Use it in a `with` block."""

    def __init__(self, kind, folder, addresses, stream_addresses=(), ca=None, client=None, is_good=True, change=None):
        self.kind = kind
        self.dir = pathlib.Path(folder)
        self.dir.mkdir()
        self.port, self.stream_port = free_port(), free_port()
        make_certificate(self.dir)
        text = (ROOT / "configs/balancers" / FILES[kind]).read_text()
        if ca is not None:
            text = self.speak_tls(text, ca, client)
        text = self.put(text, "/etc/nomos/tls", str(self.dir))
        text = self.put(text, FRONTS[kind][0], FRONTS[kind][1] % ("127.0.0.1", self.port))
        for at, address in zip(("10.0.0.11", "10.0.0.12"), addresses):
            text = self.put(text, BEHIND[kind] % (at, "8080"), BEHIND[kind] % tuple(address.split(":")))
        if kind in STREAMS:
            text = self.put(text, STREAMS[kind][0], STREAMS[kind][1] % ("127.0.0.1", self.stream_port))
            for at, address in zip(("10.0.0.11", "10.0.0.12"), stream_addresses or addresses):
                text = self.put(text, BEHIND[kind] % (at, "8081"), BEHIND[kind] % tuple(address.split(":")))
        text = change(text) if change else text
        (self.dir / "nomos.conf").write_text(text)
        (self.dir / "nomos.yaml").write_text(text)
        (self.dir / "nginx.conf").write_text(NGINX)
        line = {"nginx": [find("nginx"), "-p", str(self.dir), "-e", "error.log", "-c", "nginx.conf"],
                "haproxy": [find("haproxy"), "-db", "-f", "nomos.conf"],
                "envoy": [find("envoy"), "-c", "nomos.yaml", "--use-dynamic-base-id", "--concurrency", "2", "--log-level", "warning",
                          "--drain-time-s", "1"]}[kind]
        # 502 and 503: it is up, and takes no gateway for one.
        self.up = (200,) if is_good else (502, 503)
        self.out = open(self.dir / "out", "wb")
        self.process = subprocess.Popen(line, cwd=self.dir, stdout=self.out, stderr=self.out, stdin=subprocess.DEVNULL)
        try:
            until(self._is_up, f"{kind} passes requests on")
        except BaseException:
            print(self.read_log())
            self.__exit__()
            raise

    def speak_tls(self, text, ca, client):
        pattern, value = COMMENTS[self.kind]
        assert re.search(pattern, text), self.kind
        text = re.sub(pattern, value, text)
        text = self.put(text, "/etc/nomos/tls/ca.pem", str(ca))
        if self.kind == "nginx":
            text = self.put(text, "http://nomos", "https://nomos")
        if client is not None:
            # HAProxy has both in one file.
            for name, path in list(zip(("client.pem", "client.key"), client))[:1 if self.kind == "haproxy" else 2]:
                text = self.put(text, f"/etc/nomos/tls/{name}", str(path))
        return text

    @staticmethod
    def put(text, what, value):
        assert what in text, what
        return text.replace(what, value)

    def connect(self):
        context = ssl.create_default_context(cafile=self.dir / "cert.pem")
        context.check_hostname = False
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=PATIENCE)

    def get(self, path, headers=None):
        c = self.connect()
        try:
            c.request("GET", path, headers=headers or {})
            r = c.getresponse()
            r.read()
            return r.status
        finally:
            c.close()

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended")
        try:
            return self.get("/healthz") in self.up
        except OSError:
            return False

    def read_log(self):
        return "".join(p.read_text() for p in (self.dir / "out", self.dir / "error.log") if p.exists())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.out.close()


class Load:
    """Clients that send signed actions one after the other, some on kept connections and some on a new one each, until the block ends."""

    def __init__(self, connect, n=6):
        self.connect = connect
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        self.n_done = 0
        self.failures = []
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(n)]

    def _run(self, i):
        c = self.connect()
        at = 0
        while not self.is_over.is_set():
            at += 1
            body = json.dumps(action(action_id=f"act-{i}-{at}", trace_id=f"trace-{i}")).encode()
            try:
                c.request("POST", "/action", body=body, headers={
                    "Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json", "X-Nomos-Agent-Id": "bot",
                    "X-Nomos-Agent-Signature": sign(AGENT_SECRET, body)})
                r = c.getresponse()
                text = r.read()
                why = "" if r.status == 200 else f"{r.status} {text[:200]!r}"
            except (OSError, http.client.HTTPException) as e:
                why = repr(e)
                c.close()
            if i % 2 == 0:
                c.close()
            with self.lock:
                self.n_done += 1
                if why:
                    self.failures.append(f"client {i}, request {at}: {why}")
        c.close()

    def wait_for(self, n, what):
        """Until n more requests have been answered."""
        with self.lock:
            end = self.n_done + n
        until(lambda: self.n_done >= end, what)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for t in self.threads:
            t.join(PATIENCE)
