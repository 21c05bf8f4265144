# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What scripts/bench starts and how it loads it: servers on the loopback, wrk with a fixed signed request. Standard library only."""
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"
API_KEY = "bench-api-key"
AGENT_SECRET = "bench-agent-secret"
START_SECONDS = 60
BODY_BYTES = 600
PARAMS_BYTES = 32000  # no more may stand in params


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def action(action_type, resource, size=BODY_BYTES):
    """A wire body of so many bytes, filled up in params, and with blanks where those are full. An action id is one action's."""
    body = {"schema_version": "v1", "action_id": f"act-{action_type}", "action_type": action_type, "resource": resource,
            "params": {"amount": 1250, "currency": "EUR", "note": ""}, "trace_id": "trace-bench-1",
            "context": {"extensions": {}}}
    if action_type == "fs.read":
        body["params"] = {}
        return json.dumps(body).encode()
    if size < len(json.dumps(body)):
        body.update(params={"note": ""}, action_id="a1", trace_id="t1")
    text = json.dumps(body, separators=(",", ":") if size < BODY_BYTES else None)
    fill = size - len(text)
    body["params"]["note"] = "x" * min(fill, PARAMS_BYTES)
    return json.dumps(body, separators=(",", ":") if size < BODY_BYTES else None).encode().ljust(size)


class Load:
    """One request, and what nomos must answer before anything is measured."""

    def __init__(self, name, method, path, body=b"", decision=None):
        self.name, self.method, self.path, self.body, self.decision = name, method, path, body, decision

    def headers(self):
        if self.method == "GET":
            return {}
        signature = hmac.new(AGENT_SECRET.encode(), self.body, hashlib.sha256).hexdigest()
        return {"Authorization": f"Bearer {API_KEY}", "X-Nomos-Agent-Id": "bot", "X-Nomos-Agent-Signature": signature,
                "Content-Type": "application/json"}


REFUND = action("payments.refund", "payment://shop.example.com/orders/1")


def decide(size):
    """The load `decide` with a body of another size."""
    return Load(f"decide, {size:,} B", "POST", "/action", action("payments.refund", "payment://shop.example.com/orders/1", size), "ALLOW")


LOADS = {load.name: load for load in (
    Load("decide", "POST", "/action", REFUND, "ALLOW"),
    Load("deny", "POST", "/action", action("payments.payout", "payment://shop.example.com/orders/1"), "DENY"),
    Load("read", "POST", "/action", action("fs.read", "file://workspace/bench/file.txt"), "ALLOW"),
    Load("explain", "POST", "/explain", REFUND, "ALLOW"),
    Load("health", "GET", "/healthz"),
)}


def generate(rules, actions=0):
    args = ["python3", "-B", str(HERE / "gen_policy.py"), str(rules)] + (["--actions", str(actions)] if actions else [])
    return subprocess.run(args, check=True, capture_output=True).stdout


def make_place(folder, port, workers, rules=10, is_tls=False, sheds=False, **sections):
    """A folder with a configuration without limits that a load would meet: of a closed loop nobody is turned away, however long all wait."""
    folder.mkdir(parents=True)
    (folder / "workspace/bench").mkdir(parents=True)
    (folder / "workspace/bench/file.txt").write_text(("x" * 63 + "\n") * 16)
    (folder / "policy.json").write_bytes(generate(rules))
    config = {
        "gateway": {"listen": f"127.0.0.1:{port}", "workers": workers, "rate_limit_per_minute": 1000000000,
                    "concurrency_limit": 1000000, "overload_wait_ms": 50 if sheds else 0},
        "policy": {"policy_bundle_path": "policy.json"},
        "executor": {"workspace_root": "workspace"},
        "audit": {"sink": ""},
        "identity": {"principal": "alice", "agent": "bot", "environment": "dev", "api_keys": {API_KEY: "alice"},
                     "agent_secrets": {"bot": AGENT_SECRET}},
        **sections,
    }
    if is_tls:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=bench",
                        "-days", "2", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
        config["gateway"]["tls"] = {"enabled": True, "cert_file": "cert.pem", "key_file": "key.pem"}
    (folder / "nomos.json").write_text(json.dumps(config))


class Server:
    """A process that listens on a port; stopped by its own handle."""

    def __init__(self, name, argv, cwd, port, cpus, is_ours=False):
        self.name, self.port, self.is_ours, self.is_tls = name, port, is_ours, False
        self.err = open(pathlib.Path(cwd) / f"{name}.log", "w+b")
        self.begin = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", cpus, *map(str, argv)], cwd=cwd, stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=self.err)
        self.ready_seconds = self._wait()

    def _wait(self):
        while time.monotonic() < self.begin + START_SECONDS:
            if self.process.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return time.monotonic() - self.begin
            time.sleep(0.002)
        self.stop()
        raise SystemExit(f"bench: {self.name} does not start:\n{self.log()[-2000:]}")

    def connect(self):
        if not self.is_tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=START_SECONDS, context=ssl._create_unverified_context())

    def log(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def allocations(self):
        """Of gateway_bench: heap allocations so far."""
        before = self.log().count("allocations ")
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            found = [line for line in self.log().splitlines() if line.startswith("allocations ")]
            if len(found) > before:
                return int(found[-1].split()[1])
            time.sleep(0.01)
        raise SystemExit("bench: gateway_bench does not count")

    def rss_anon_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise SystemExit("bench: no RssAnon in /proc")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Rig:
    """All servers of a run, the folder they work in, and how they and wrk are pinned."""

    def __init__(self, build, folder, pin, seconds, rounds, warm_up=True):
        self.build, self.folder, self.seconds, self.rounds, self.warm_up = build, folder, seconds, rounds, warm_up
        usable = sorted(os.sched_getaffinity(0))
        if pin == "split" and len(usable) > 1:
            self.server_cpus, self.load_cpus, self.workers = str(usable[0]), str(usable[1]), 1
        else:
            self.server_cpus = self.load_cpus = ",".join(map(str, usable[:2]))
            self.workers = min(2, len(usable))
        self.workers_max = self.workers
        self.servers = []
        self.count = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def _start(self, name, argv, cwd, port, is_ours=False):
        server = Server(name, argv, cwd, port, self.server_cpus, is_ours)
        self.servers.append(server)
        return server

    def place(self, name, port, **options):
        self.count += 1
        folder = self.folder / f"{self.count}-{name}"
        make_place(folder, port, self.workers, **options)
        return folder

    def bare(self):
        port = free_port()
        return self._start("bare", [self.build / "bench/bare_evhttp", port, self.workers], self.folder, port)

    def floor(self):
        port = free_port()
        return self._start("floor", [self.build / "bench/http_floor", port, self.workers], self.folder, port)

    def nginx(self):
        """None when the machine has none."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            return None
        port = free_port()
        (self.folder / "nginx.conf").write_text(
            f"worker_processes {self.workers};\npid nginx.pid;\nerror_log nginx-error.log;\ndaemon off;\n"
            "events { worker_connections 4096; }\nhttp { access_log off; keepalive_requests 1000000000;\n"
            f"server {{ listen 127.0.0.1:{port} reuseport; location / {{ default_type application/json; "
            f"return 200 '{'x' * 300}'; }} }} }}\n")
        return self._start("nginx", [program, "-p", self.folder, "-c", "nginx.conf"], self.folder, port)

    def serve(self, name, **options):
        """The program as it is installed."""
        port = free_port()
        folder = self.place(name, port, **options)
        server = self._start(name, [self.build / "nomos", "serve", "-c", "nomos.json", "--log-level", "warn"], folder, port, True)
        server.folder, server.is_tls = folder, options.get("is_tls", False)
        return server

    def gateway(self, store, name=None, **options):
        """The program with another durability."""
        port = free_port()
        folder = self.place(store, port, **options)
        server = self._start(name or store, [self.build / "bench/gateway_bench", "nomos.json", store], folder, port, True)
        server.is_tls = options.get("is_tls", False)
        return server

    def stop(self, servers=None):
        for server in list(self.servers if servers is None else servers):
            server.stop()
            self.servers.remove(server)

    def check(self, server, load):
        """The answer is the one the load is about: a fast error would be measured otherwise."""
        if not server.is_ours:
            return
        c = server.connect()
        c.request(load.method, load.path, body=load.body, headers=load.headers())
        reply = c.getresponse()
        text = reply.read()
        c.close()
        if reply.status != 200 or (load.decision and json.loads(text).get("decision") != load.decision):
            raise SystemExit(f"bench: {server.name} answers {load.name} with {reply.status} {text[:300]!r}")

    def wrk(self, server, load, connections, seconds=None):
        body, headers = self.folder / "load.body", self.folder / "load.headers"
        body.write_bytes(load.body)
        headers.write_text("".join(f"{k}: {v}\n" for k, v in load.headers().items()))
        done = subprocess.run(
            ["taskset", "-c", self.load_cpus, "wrk", "-t", str(min(2, connections)), "-c", str(connections),
             "-d", f"{seconds or self.seconds}s", "--latency", "--timeout", "30s", "-s", str(HERE / "load.lua"),
             f"{'https' if server.is_tls else 'http'}://127.0.0.1:{server.port}{load.path}"],
            capture_output=True, text=True, env={**os.environ, "LOAD_METHOD": load.method, "LOAD_HEADERS": str(headers),
                                                 "LOAD_BODY": str(body) if load.body else ""})
        line = [text for text in done.stdout.splitlines() if text.startswith("RESULT ")]
        if not line:
            raise SystemExit(f"bench: wrk failed: {done.stdout}{done.stderr}")
        result = json.loads(line[0][7:])
        if result["errors"] or result["bad_status"] or not result["requests"]:
            raise SystemExit(f"bench: {server.name} under {load.name} at {connections}: {result}")
        result["rate"] = result["requests"] * 1e6 / result["duration_us"]
        return result

    def compare(self, servers, load, connections):
        """A B A B ...: one Figures per server, the first server being the yardstick."""
        for server in servers:
            self.check(server, load)
            if self.warm_up:
                self.wrk(server, load, connections, 1)
        runs = [[self.wrk(server, load, connections) for server in servers] for _ in range(self.rounds)]
        return [Figures(server.name, [r[i] for r in runs], [r[0] for r in runs]) for i, server in enumerate(servers)]


class Figures:
    """Medians over the rounds; the ratio is taken within each round."""

    def __init__(self, name, own, yardstick):
        self.name = name
        self.rate = statistics.median(r["rate"] for r in own)
        self.p50 = statistics.median(r["p50_us"] for r in own)
        self.p99 = statistics.median(r["p99_us"] for r in own)
        ratios = [a["rate"] / b["rate"] for a, b in zip(own, yardstick)]
        self.ratio, self.low, self.high = statistics.median(ratios), min(ratios), max(ratios)

    def text(self):
        return f"{self.ratio:.2f} ({self.low:.2f}–{self.high:.2f})"
