# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The built program as a fixture: a private folder, a configuration, a process on a free port. Standard library only."""
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = os.environ.get("NOMOS_BIN", str(ROOT / "build/dev/nomos"))
LONG = os.environ.get("NOMOS_TEST_LONG") == "yes"
# Instrumented builds are many times slower; every wait is bounded by this, and none is a fixed sleep.
PATIENCE = float(os.environ.get("NOMOS_TEST_PATIENCE", "60"))

# A build with a sanitizer: what it takes of memory and time says nothing of the program.
INSTRUMENTED = any(word in BIN for word in ("asan", "tsan"))

API_KEY = "test-api-key-1"
OPERATOR_KEY = "test-operator-key"
AGENT_SECRET = "agent-secret"

POLICY = {
    "version": "v1",
    "rules": [
        {"id": "allow-read", "action_type": "fs.read", "resource": "file://workspace/**", "decision": "ALLOW"},
        {"id": "allow-write", "action_type": "fs.write", "resource": "file://workspace/out/**", "decision": "ALLOW"},
        {"id": "deny-env", "action_type": "*", "resource": "file://workspace/**/.env", "decision": "DENY"},
        {"id": "allow-refund", "action_type": "payments.refund", "resource": "payment://shop.example.com/**", "decision": "ALLOW",
         "obligations": {"reason": "small amounts"}},
        {"id": "ask-transfer", "action_type": "payments.transfer", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL"},
        {"id": "allow-exec", "action_type": "process.exec", "resource": "file://workspace/", "decision": "ALLOW"},
    ],
}


def config(**sections):
    """A configuration with everything that is required; sections are merged over it, one level deep."""
    base = {
        "gateway": {"listen": "127.0.0.1:0", "workers": 2, "rate_limit_per_minute": 1000000},
        "policy": {"policy_bundle_path": "policy.json"},
        "executor": {"workspace_root": "workspace"},
        "audit": {"sink": ""},
        "ledger": {"path": "ledger.db"},
        # Most tests send one action id with many contents; test_retries.py has those that must not.
        "idempotency": {"max_action_ids": 0},
        "identity": {
            "principal": "alice", "agent": "bot", "environment": "dev",
            "api_keys": {API_KEY: "alice", OPERATOR_KEY: "olga"},
            "agent_secrets": {"bot": AGENT_SECRET},
            "service_secrets": {"svc": "service-secret"},
            "roles": {"operator": ["olga"]},
        },
    }
    for name, value in sections.items():
        if value is None:
            base.pop(name, None)
        elif isinstance(value, dict):
            base.setdefault(name, {}).update(value)
        else:
            base[name] = value
    return base


def action(action_type="payments.refund", resource="payment://shop.example.com/orders/1", params=None, **members):
    body = {
        "schema_version": "v1", "action_id": "act-1", "action_type": action_type, "resource": resource,
        "params": {} if params is None else params, "trace_id": "trace-1", "context": {"extensions": {}},
    }
    body.update(members)
    return body


def sign(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def until(condition, what):
    """Polls a condition until it holds; fails after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not reached in {PATIENCE} s: {what}")


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Workplace:
    """A folder with a configuration, a policy and a workspace; removed with what it holds."""

    def __init__(self, options=None, policy=None, directory=None):
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(prefix="nomos-e2e-"))
        (self.dir / "workspace").mkdir(exist_ok=True)
        (self.dir / "workspace" / "README.md").write_text("hello from the workspace\n")
        self.write_policy(policy or POLICY)
        self.write_config(options or config())

    def write_policy(self, policy):
        (self.dir / "policy.json").write_text(policy if isinstance(policy, str) else json.dumps(policy))

    def write_config(self, options):
        (self.dir / "nomos.json").write_text(options if isinstance(options, str) else json.dumps(options))

    @property
    def ledger(self):
        return self.dir / "ledger.db"

    def run(self, *args, stdin=None, env=None, check=None):
        """Runs a command of the program in the folder; check, when given, is the exit status it must have."""
        done = subprocess.run([BIN, *map(str, args)], cwd=self.dir, input=stdin, capture_output=True, timeout=PATIENCE,
                              env={**os.environ, **(env or {})})
        if check is not None and done.returncode != check:
            raise AssertionError(f"nomos {' '.join(map(str, args))}: exit {done.returncode}, not {check}\n"
                                 f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
        return done

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Gateway:
    """nomos serve in a workplace. Use it in a `with` block: leaving it stops the process and checks how it ended."""

    def __init__(self, options=None, policy=None, workplace=None, env=None, stdout=None, prefix=(), expect_exit=0,
                 pass_fds=(), preexec_fn=None, config_file="nomos.json"):
        self.own = workplace is None
        self.place = workplace or Workplace(options, policy)
        self.log = ""
        self.expect_exit = expect_exit
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*prefix, BIN, "serve", "-c", config_file, "--log-format", "json"], cwd=self.place.dir, stderr=self.err,
            stdout=stdout if stdout is not None else subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, pass_fds=pass_fds, preexec_fn=preexec_fn)
        self.address = None
        try:
            until(self._listening, "the gateway listens")
        except BaseException:
            self._tell()
            self.kill()
            raise

    def _tell(self):
        """What is known of a process that does not get as far as listening."""
        print(self.read_log()[-6000:])
        for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").glob("*")):
            try:
                print(f"      {(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text()}, {(task / 'syscall').read_text().strip()}")
            except OSError:
                continue

    def read_log(self):
        # Not by seek and read: the process writes at the offset that they would move, over its own lines.
        fd = self.err.fileno()
        self.log = os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
        return self.log

    def _listening(self):
        for line in self.read_log().splitlines():
            if "listening on http" in line:
                text = line.split("://", 1)[1].split()[0]
                host, port = text.rsplit(":", 1)
                self.address = (host.strip("[]"), int(port))
                return True
        if self.process.poll() is not None:
            raise AssertionError(f"nomos serve ended with {self.process.returncode}:\n{self.read_log()}")
        return False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.process.poll() is None:
                self.stop()
            status = self.process.returncode
            if kind is None and self.expect_exit is not None and status != self.expect_exit:
                raise AssertionError(f"nomos serve ended with {status}, not {self.expect_exit}:\n{self.read_log()[-4000:]}")
        finally:
            self.kill()
            if kind is not None:
                print(self.read_log()[-6000:])
            self.err.close()
            if self.own:
                self.place.remove()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)

    def connect(self):
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def is_refusing(self):
        """Whether nobody listens any more."""
        try:
            socket.create_connection(self.address, timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # it was in the queue of a listener that closed
            return False
        return False

    def raw(self, data, until_closed=True):
        """Sends bytes as they are and returns what comes back until the peer closes."""
        with socket.create_connection(self.address, timeout=PATIENCE) as s:
            s.sendall(data)
            got = b""
            while True:
                try:
                    part = s.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                got += part
                if not until_closed and b"\r\n\r\n" in got:
                    break
            return got

    def request(self, method, path, body=b"", headers=None, connection=None):
        c = connection or self.connect()
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return Reply(r.status, r.headers, r.read())
        finally:
            if connection is None:
                c.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def auth(self, body, key=API_KEY, agent="bot", secret=AGENT_SECRET):
        return {"Authorization": f"Bearer {key}", "X-Nomos-Agent-Id": agent,
                "X-Nomos-Agent-Signature": sign(secret, body), "Content-Type": "application/json"}

    def post(self, path, body, headers=None, connection=None, **auth):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, raw, {**self.auth(raw, **auth), **(headers or {})}, connection)

    def act(self, body=None, **kwargs):
        return self.post("/action", action() if body is None else body, **kwargs)

    def operator(self, method, path, body=b""):
        return self.request(method, path, body, {"Authorization": f"Bearer {OPERATOR_KEY}"})

    def records(self):
        """All records of the ledger, read while it runs or after it."""
        done = self.place.run("audit", "export", self.place.ledger, check=0)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [r for r in lines if "event_type" in r]


class _Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.server.takes.is_set() else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def required_sink():
    """The section `audit` for a webhook that is required, and the event that says whether it takes records."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as sink:
        sink.takes = threading.Event()
        sink.takes.set()
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        try:
            yield {"sink": f"webhook:http://127.0.0.1:{sink.server_port}/", "required": "all", "required_deadline_ms": 300}, sink.takes
        finally:
            sink.shutdown()


def have(program):
    return shutil.which(program) is not None


__all__ = [name for name in dir() if not name.startswith("_")] + ["signal", "select", "socket"]
