# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""nginx and HAProxy as fixtures, a relay that writes down what goes through it, and the corpus of raw HTTP."""
import contextlib
import pathlib
import re
import socket
import subprocess
import threading

from balancers import find
from support import PATIENCE, ROOT, until

# A header line that is in every answer of the gateway and in none of a proxy.
ANSWER = b"\r\nx-request-id: req_"
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}

# What the proxy takes for a request is stamped on it (HAProxy) or stands in its log (nginx).
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log crit;
events { worker_connections 64; }
http {
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  log_format meant escape=json '["$connection-$connection_requests","$request_method","$request_uri","$request_body","$upstream_status","$status"]';
  access_log access.log meant;
  client_body_buffer_size 128k; client_body_in_single_buffer on; large_client_header_buffers 4 64k;
  merge_slashes off; lingering_close off; lingering_timeout 1ms; client_max_body_size 0; %(options)s
  upstream gateway { server unix:%(relay)s; keepalive 4; }
  server {
    listen unix:%(socket)s; server_name proxy.test;
    location / {
      proxy_pass http://gateway; proxy_http_version 1.1; proxy_ignore_client_abort on; proxy_next_upstream off;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Meant-Serial "$connection-$connection_requests";
    }
  }
}
"""
HAPROXY = """
global
  nbthread 1
  tune.bufsize 131072
  tune.http.maxhdr 128
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  timeout http-request 1s
  timeout http-keep-alive 1s
  option http-buffer-request
  option http-keep-alive
  retries 0
frontend front
  bind unix@%(socket)s
  %(options)s
  http-request set-header X-Meant-Serial %%rt
  http-request set-header X-Meant-Body %%[req.body,hex]
  default_backend back
backend back
  http-reuse always
  server gateway unix@%(relay)s
"""
# Lua reads the whole body before it is passed on. A connection for each request: on one that the gateway is about to close Envoy would lose one.
ENVOY = """
static_resources:
  listeners:
  - address: {pipe: {path: "%(socket)s"}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          normalize_path: false
          merge_slashes: false
          request_headers_timeout: 0.3s
          stream_idle_timeout: 0.3s
          delayed_close_timeout: 0.02s
          common_http_protocol_options: {idle_timeout: 0.3s}
          http_protocol_options: {%(options)s}
          route_config:
            request_headers_to_add:
            - {header: {key: x-meant-serial, value: "%%START_TIME(%%s.%%9f)%%-%%UNIQUE_ID%%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: gateway, timeout: 60s}}, {match: {connect_matcher: {}}, direct_response: {status: 405}}]}
          http_filters:
          - name: envoy.filters.http.lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  function envoy_on_request(h)
                    local body = h:body()
                    local text = body and body:length() > 0 and body:getBytes(0, body:length()) or ""
                    h:headers():replace("x-meant-body", (text:gsub(".", function(c) return string.format("%%02x", c:byte()) end)))
                  end
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: gateway
    connect_timeout: 60s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {max_requests_per_connection: 1}
        explicit_http_config: {http_protocol_options: {}}
    load_assignment:
      cluster_name: gateway
      endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: "%(relay)s"}}}}]}]
"""
TEXTS = {"nginx": NGINX, "haproxy": HAPROXY, "envoy": ENVOY}


class Case:
    def __init__(self, name):
        self.name = name
        self.send = b""


def unescape(text):
    """The escapes of tests/corpus/http/README.md."""
    def one(match):
        word = match.group(1)
        return bytes([int(word[1:], 16)]).decode("latin-1") if word[0] == "x" and len(word) == 3 else \
            ESCAPES.get(word, word.encode("latin-1")).decode("latin-1")
    return re.sub(r"\\(x[0-9a-f]{2}|.)", one, text.decode("latin-1"), flags=re.DOTALL).encode("latin-1")


def load_corpus():
    cases = []
    for path in sorted((ROOT / "tests/corpus/http").glob("*.http")):
        for line in path.read_bytes().split(b"\n"):
            word, _, rest = line.partition(b" ")
            if word == b"===":
                cases.append(Case(f"{path.name}: {rest.decode()}"))
            elif word == b"send:":
                cases[-1].send += unescape(rest)
            elif word == b"repeat:":
                count, _, part = rest.partition(b" ")
                cases[-1].send += int(count) * unescape(part)
    return cases


class Relay:
    """Listens on a UNIX socket, passes each connection on to an address, and keeps the bytes of both ways."""

    def __init__(self, path, address):
        self.address = address
        self.lock = threading.Lock()
        self.links = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.address, timeout=PATIENCE)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = {"up": bytearray(), "down": bytearray(), "open": 2}
            with self.lock:
                self.links.append(link)
            threading.Thread(target=self._pump, args=(near, far, link, "up"), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, link, "down"), daemon=True).start()

    def _pump(self, source, target, link, way):
        source.settimeout(None)
        try:
            while True:
                part = source.recv(65536)
                with self.lock:
                    link[way] += part
                if not part:
                    break
                target.sendall(part)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self.lock:
            link["open"] -= 1

    def is_quiet(self):
        """Whether every connection has ended, both ways."""
        with self.lock:
            return all(link["open"] == 0 for link in self.links)

    def take(self):
        """What went through since the last call: one (up, down) for each connection that was used."""
        with self.lock:
            taken = [(bytes(link["up"]), bytes(link["down"])) for link in self.links if link["up"] or link["down"]]
            for link in self.links:
                link["up"].clear()
                link["down"].clear()
        return taken

    def count(self, way, what):
        with self.lock:
            return sum(link[way].lower().count(what) for link in self.links)

    def close(self):
        self.listener.close()


class Proxy:
    """A proxy in a folder of its own, in front of a relay. Use it in a `with` block."""

    def __init__(self, kind, folder, address, options=""):
        self.kind = kind
        self.dir = pathlib.Path(folder)
        self.dir.mkdir()
        self.socket = self.dir / "front.sock"
        self.relay = Relay(self.dir / "relay.sock", address)
        text = TEXTS[kind] % {"socket": self.socket, "relay": self.dir / "relay.sock", "options": options}
        (self.dir / "conf.yaml").write_text(text)
        line = {"nginx": [find("nginx"), "-p", str(self.dir), "-e", "error.log", "-c", "conf.yaml"],
                "haproxy": [find("haproxy"), "-db", "-q", "-f", "conf.yaml"],
                "envoy": [find("envoy"), "-c", "conf.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]}[kind]
        self.out = open(self.dir / "out", "wb")
        self.process = subprocess.Popen(line, cwd=self.dir, stdout=self.out, stderr=self.out, stdin=subprocess.DEVNULL)
        self.log_at = 0
        try:
            until(self._is_up, f"{kind} listens")
        except BaseException:
            self.__exit__()
            raise

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended:\n{(self.dir / 'out').read_text()}")
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.socket))
            return True
        except OSError:
            return False

    def send(self, data, answers):
        """Sends the bytes, waits for answers of the gateway, says that no more will come, and returns all that comes back.
        HAProxy and Envoy may drop what they have not read yet of a connection that the client has half closed; hence the wait."""
        got = b""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.socket))
            try:
                s.sendall(data)
                while self.kind != "nginx" and got.lower().count(ANSWER) < answers and (part := s.recv(65536)):
                    got += part
                s.shutdown(socket.SHUT_WR)
                while part := s.recv(65536):
                    got += part
            except (ConnectionResetError, BrokenPipeError):
                pass
        return got

    def settle(self):
        """Envoy lets go of a client before it has let go of what it passed on: behind one more request nothing of the case comes any more."""
        if self.kind != "envoy":
            return
        self.send(b"GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 1)
        until(self.relay.is_quiet, "nothing is on its way")

    def read_log(self):
        """The new lines of nginx's log."""
        data = (self.dir / "access.log").read_bytes()
        new = data[self.log_at:data.rfind(b"\n") + 1]
        self.log_at += len(new)
        return new.decode("latin-1").splitlines()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.relay.close()
        self.out.close()
