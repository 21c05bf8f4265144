# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""nomos doctor beyond the report (test_cli_start.py): what it measures of the kernel's own files, --watch, and what scripts rely on."""
import contextlib
import ctypes
import http.server
import json
import os
import pty
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import support
from certificates import Authority
from receiver import SECRET as SECRET_OF_RECEIVER
from receiver import Receiver
from support import BIN, INSTRUMENTED, PATIENCE, ROOT, Gateway, Workplace, action, config, until

# Where the tests run is not what they are about.
QUIET = "clock.synchronised,ledger.file_system"
EVIDENCE = ("container_backend_ready", "rootless_or_non_privileged", "read_only_fs", "no_new_privileges", "network_default_deny",
            "workload_identity_verified", "durable_audit_verified")
SECRET = "0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f"


def strong(ca):
    """All that can be typed for STRONG."""
    pair = ca.issue("server", ends=90 * 86400)
    options = config(gateway={"listen": "127.0.0.1:0", "tls": {"enabled": True, "cert_file": str(pair[0]), "key_file": str(pair[1]),
                                                               "client_ca_file": str(ca.cert), "require_mtls": True}})
    options["runtime"] = {"deployment_mode": "ci", "strong_guarantee": True, "evidence": {name: True for name in EVIDENCE}}
    options["executor"].update(sandbox_enabled=True, sandbox_profile="container")
    options["identity"] = {"principal": "alice", "agent": "bot", "environment": "ci", "agent_secrets": {"bot": SECRET},
                           "signature_versions": ["v2"], "principal_agents": {"alice": ["bot"]}, "roles": {"operator": ["olga"]},
                           "spiffe": {"enabled": True, "trust_domain": "example.org"}}
    return options


class Host(Workplace):
    """A folder of its own, whose configuration is READY."""

    def __init__(self, options=None):
        super().__init__(options or config(identity={
            "api_keys": {}, "service_secrets": {}, "hashed_keys": [{"id": "a1", "principal": "alice", "hash": "sha256:" + 64 * "7"}],
            "agent_secrets": {"bot": SECRET}, "signature_versions": ["v2"], "principal_agents": {"alice": ["bot"]}}))
        (self.dir / "nomos.json").chmod(0o600)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.remove()

    def doctor(self, *args, check=None, prefix=(), only=None, program=BIN):
        command = [*prefix, program, "doctor", "-c", "nomos.json", "--format", "json", *args, *(["--only", only] if only else [])]
        done = subprocess.run(command, cwd=self.dir, capture_output=True, timeout=PATIENCE)
        if check is not None:
            assert done.returncode == check, (done.returncode, done.stdout, done.stderr)
        return {c["id"]: c for c in json.loads(done.stdout)["checks"]} | {"": json.loads(done.stdout)}


def need_namespaces():
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None or subprocess.run(
            ["unshare", "-m", "-n", "-p", "-f", "true"], capture_output=True).returncode != 0:
        raise support.Skip("needs root and namespaces")


def test_what_is_typed_is_measured():
    need_namespaces()
    with_shell = ("unshare", "-m", "sh", "-c")
    with Host() as place:
        ca = Authority(place.dir / "ca")
        place.write_config(strong(ca))
        shutil.copy(BIN, place.dir / "nomos")  # where the other user may go

        def hints(*prefix):
            told = place.doctor(prefix=prefix, only="evidence.*,strong.*", program="./nomos")
            # Nobody gets STRONG by typing here: that this is a container's own network, user and disk all at once is for the unit test.
            assert told[""]["assurance_level"] == "GUARDED" and told["strong.assurance_evidence_backed"]["status"] == "FAIL", told
            return {name.removeprefix("evidence.runtime."): (c["status"], c.get("hint", "")) for name, c in told.items() if name}

        asserted = "asserted, cannot be measured: "
        otherwise = "asserted, but measured otherwise: "
        told = hints()
        assert told["rootless_or_non_privileged"][1].startswith(otherwise + "it runs as root"), told
        assert told["strong.gateway_mtls"][0] == "PASS" and told["evidence.identity.workload_identity_verified"][0] == "PASS", told
        told = hints("unshare", "-n")
        assert told["network_default_deny"] == ("PASS", "measured: no route leaves this host"), told
        told = hints("unshare", "-p", "-f", "--mount-proc")
        assert told["container_backend_ready"][1].startswith("measured: "), told
        for path in (place.dir, *place.dir.rglob("*")):
            os.chown(path, 65534, 65534)
        told = hints("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs", "--bounding-set", "-all",
                     "--inh-caps", "-all")
        assert told["no_new_privileges"] == ("PASS", "measured: no_new_privs is on"), told
        assert told["rootless_or_non_privileged"] == ("PASS", "measured: user 65534 without capabilities (bounding set 0)"), told
        told = hints(*with_shell, 'mount -o remount,ro,bind / && exec "$@"', "sh")
        assert told["read_only_fs"] == ("PASS", "measured: / is mounted read-only"), told
        if not INSTRUMENTED:  # a sanitizer does not live without /proc
            # What is hidden is no good news.
            told = hints(*with_shell, 'mount -t tmpfs none /proc && exec "$@"', "sh")
            assert told["container_backend_ready"][1].startswith(asserted) and told["network_default_deny"][1].startswith(asserted), told
            assert told["strong.seccomp"][0] == "FAIL" and told["strong.writable_mounts"][0] == "FAIL", told
        data = place.dir / "data"
        data.mkdir()
        told = hints(*with_shell, f'mount -t tmpfs none {data} && exec "$@"', "sh")
        assert told["strong.writable_mounts"][0] == "PASS", told  # it is below /tmp
        told = hints(*with_shell, 'mount -t tmpfs none /srv && exec "$@"', "sh")
        assert told["strong.writable_mounts"][0] == "FAIL" and "the first is /srv" in told["strong.writable_mounts"][1], told


@contextlib.contextmanager
def dead_mount(folder):
    """A file system whose server has never answered: whoever looks at it waits."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or INSTRUMENTED:
        raise support.Skip("needs root and /dev/fuse, and no sanitizer, which waits for every thread")
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"dead", bytes(folder), b"fuse", 0, options) != 0:
            raise support.Skip(f"no mount here: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            os.close(server)  # everybody who waits is told
            server = -1
            assert libc.umount2(bytes(folder), 2) == 0
    finally:
        if server >= 0:
            os.close(server)


def test_a_mount_whose_server_is_gone_is_told():
    """For real: a look at such a workspace never ends. The report comes, names what could not be measured, and has all the rest."""
    with Host(config()) as place:
        with Gateway(workplace=place) as g:
            with dead_mount(place.dir / "workspace"):
                told = place.doctor(check=1)
                stuck = {name for name, c in told.items() if "could not be measured" in c.get("hint", "")}
                assert {"fs.workspace_exists", "workspace.writable"} <= stuck, stuck
                assert all("workspace" in name or name == "gateway.snapshot_builds" for name in stuck), stuck
                assert told["ledger.opens"]["status"] == "PASS" and told["policy.bundle_parses"]["status"] == "PASS", told
                # The gateway tells the same of itself, and goes on deciding.
                told = g.operator("GET", "/api/ui/readiness")
                assert told.status == 200, (told.status, told.body)
                page = {c["id"]: c for c in told.json["checks"]}
                assert "could not be measured" in page["fs.workspace_exists"]["hint"], page
                assert g.act().status == 200
            until(lambda: g.act(action("fs.read", "file://workspace/README.md")).status == 200, "the workspace is back")


def ends_by_handlers(place, only):
    """Whether the dynamic linker is told of the end, as all that exit calls is."""
    done = place.run("doctor", "-c", "nomos.json", "--only", only, env={"LD_DEBUG": "files"})
    assert b"calling init" in done.stderr and b"doctor completed" in done.stderr, done.stderr[-2000:]
    return b"calling fini" in done.stderr


def test_a_policy_whose_mount_is_gone_makes_nothing_up():
    """What is asked for by itself says so too, the host is measured all the same, and what is stuck does not meet the handlers at exit."""
    with Host() as place:
        options = strong(Authority(place.dir / "ca"))
        options["policy"]["policy_bundle_path"] = "far/policy.json"
        (place.dir / "far").mkdir()
        shutil.copy(place.dir / "policy.json", place.dir / "far/policy.json")
        place.write_config(options)
        ids = "evidence.runtime.*,strong.seccomp,strong.writable_mounts,gateway.snapshot_builds"
        near = place.doctor(only=ids)
        with dead_mount(place.dir / "far"):
            far = place.doctor(only=ids, check=1)
            alone = place.doctor(only="config.load,gateway.snapshot_builds", check=1)
            assert not ends_by_handlers(place, "gateway.snapshot_builds")
        assert ends_by_handlers(place, "gateway.snapshot_builds")
        assert "could not be read in time" in alone["gateway.snapshot_builds"]["hint"], alone
        for name in near.keys() - {"", "gateway.snapshot_builds", "strong.writable_mounts"}:
            assert far[name] == near[name], (far[name], near[name])
        assert "measured: " in far["strong.writable_mounts"]["hint"], far


def test_disks_that_are_small_or_in_memory():
    need_namespaces()
    with Host() as place:
        (place.dir / "data").mkdir()
        options = config(ledger={"path": "data/ledger.db"})
        place.write_config(options)

        def told(megabytes):
            script = f'mount -t tmpfs -o size={megabytes}m none {place.dir}/data && exec "$@"'
            return place.doctor(prefix=("unshare", "-m", "sh", "-c", script, "sh"), only="ledger.*")

        small, tight, fine = told(8), told(100), told(300)
        assert small["ledger.disk_space"]["status"] == "FAIL" and "less than 16 MiB" in small["ledger.disk_space"]["hint"], small
        assert tight["ledger.disk_space"]["message"].startswith("advice: less than 256 MiB"), tight
        assert fine["ledger.disk_space"]["message"] == "disk space for the ledger", fine
        assert fine["ledger.file_system"]["message"].startswith("advice: the ledger lies in memory"), fine


def test_credentials_that_lie_around():
    with Host() as place:
        place.write_config(strong(Authority(place.dir / "ca")))

        def told(**env):
            done = place.run("doctor", "-c", "nomos.json", "--format", "json", "--only", "strong.token_files",
                             env={"HOME": str(place.dir), "GITHUB_TOKEN": "", "CI_JOB_TOKEN": "", **env})
            return json.loads(done.stdout)["checks"][0]

        here = told()
        assert here["status"] == "PASS", here
        (place.dir / ".aws").mkdir()
        (place.dir / ".aws/credentials").write_text("x")
        assert told()["status"] == "FAIL" and ".aws/credentials" in told()["hint"], told()
        (place.dir / ".aws/credentials").unlink()
        assert "the variable GITHUB_TOKEN" in told(GITHUB_TOKEN="abc")["hint"]


def test_what_required_receivers_acknowledged():
    with Host() as place, Receiver() as receiver:
        audit = {"sink": f"webhook:{receiver.url}", "required": "webhook", "webhook": {"secret": SECRET_OF_RECEIVER, "retry_max_ms": 10},
                 "required_deadline_ms": 200}
        typed = strong(Authority(place.dir / "ca"))

        def serve(answer, status):
            receiver.answer = answer
            place.write_config(config(audit=audit))
            with Gateway(workplace=place, expect_exit=None) as g:
                assert g.act(action(action_id=f"act-{status}-{answer}")).status == status

        def told(*args):
            place.write_config({**typed, "audit": audit})
            checks = place.doctor(*args, only="evidence.audit.*,audit.sinks")
            return checks["evidence.audit.durable_verified"], checks["audit.sinks"]

        serve(200, 200)
        evidence, sinks = told("--deep")
        assert evidence["status"] == "PASS" and re.search(r"measured: webhook:\S+ acknowledged record \d+, \d+ behind", evidence["hint"]), evidence
        assert sinks["message"] == "sinks", sinks
        serve(500, 503)
        evidence, sinks = told("--deep")
        assert evidence["status"] == "FAIL" and "measured otherwise: webhook:" in evidence["hint"] and "fails since" in evidence["hint"], evidence
        assert sinks["message"].startswith("advice: webhook:") and "fails since" in sinks["message"], sinks
        assert told()[1]["message"] == "sinks", "only a deep look reads how far they are"


def test_lists_of_revoked_certificates_end():
    with Host() as place:
        ca = Authority(place.dir / "ca")
        options = strong(ca)
        for ends, said in ((9 * 86400, "TLS certificates"), (5400, "ends in 1 hours, and every client certificate is refused then")):
            crl = ca.list_revoked(ends=ends)
            options["gateway"]["tls"]["client_crl_file"] = str(crl)
            place.write_config(options)
            assert said in place.doctor(only="gateway.certificates", check=0)["gateway.certificates"]["message"], said
        crl.write_text("no list")
        assert "list.crl" in place.doctor(only="gateway.certificates", check=1)["gateway.certificates"]["hint"]


def stateless(listen, pair=None, ca=None):
    tls = {"enabled": True, "cert_file": str(pair[0]), "key_file": str(pair[1])} if pair else {}
    if ca:
        tls.update(client_ca_file=str(ca.cert), require_mtls=True)
    return config(gateway={"listen": listen, **({"tls": tls} if tls else {})}, runtime={"stateless_mode": True}, ledger=None,
                  audit={"sink": "stdout"})


@contextlib.contextmanager
def tls_server(pair):
    """Somebody else's, on a free port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "%s:%d" % server.server_address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_running_gateway_without_a_ledger_is_known():
    """No lock tells whose the address is: the key of the certificate does, or on a unix socket the answer of /healthz."""
    with Host() as place:
        ca = Authority(place.dir / "ca")
        pair, renewed, other = (ca.issue(name) for name in ("server", "renewed", "other"))

        def look(options, status):
            place.write_config(options)
            c = place.doctor(only="gateway.address_free", check=0 if status == "PASS" else 1)["gateway.address_free"]
            assert c["status"] == status, c
            return c["hint"]

        for client_ca in (None, ca):
            place.write_config(stateless("127.0.0.1:0", pair, client_ca))
            with Gateway(workplace=place) as g:
                listen = "%s:%d" % g.address
                assert look(stateless(listen, pair, client_ca), "PASS") == "a gateway is running"
                assert "in use by another process, and not by a gateway with this certificate" in look(
                    stateless(listen, other, client_ca), "FAIL")
            assert look(stateless(listen, pair, client_ca), "PASS") == "free"
        with tls_server(other) as listen:
            look(stateless(listen, pair), "FAIL")
            look(stateless(listen, other), "PASS")
        with socket.create_server(("127.0.0.1", 0)) as mute:  # a probe ends, also when nobody answers
            look(stateless("127.0.0.1:%d" % mute.getsockname()[1], renewed), "FAIL")
        path = place.dir / "nomos.sock"
        listeners = {"gateway": {"listeners": [{"name": "own", "listen": f"unix:{path}"}, {"name": "net", "listen": "127.0.0.1:0"}]},
                     "runtime": {"stateless_mode": True}, "audit": {"sink": "stdout"}, "ledger": None}
        options = config(**listeners)
        options["gateway"].pop("listen")
        place.write_config(options)
        with Gateway(workplace=place):
            assert look(options, "PASS") == "a gateway is running"
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen()
            look(options, "FAIL")
        # Behind a PROXY header nobody but the proxy is answered.
        tls = stateless("127.0.0.1:0", pair)["gateway"]["tls"]
        options["gateway"]["trusted_proxies"] = ["192.0.2.1"]
        for row in ({"tls": "on"}, {"tls": "off"}):
            with socket.create_server(("127.0.0.1", 0)) as mute:
                options["gateway"].update(tls=tls, listeners=[
                    {"name": "behind", "listen": "127.0.0.1:%d" % mute.getsockname()[1], "proxy_protocol": True, **row}])
                place.write_config(options)
                c = place.doctor(only="gateway.address_free", check=0)["gateway.address_free"]
                assert c["message"].startswith("advice: the address is in use, and behind a PROXY header"), c


def test_only_a_deep_look_asks_the_collector():
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("X-Token")))
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server, Host() as place:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            place.write_config(config(telemetry={"enabled": True, "sink": f"otlp:http://127.0.0.1:{server.server_address[1]}/base",
                                                 "headers": {"X-Token": "t0ken"}}))
            assert place.doctor(only="telemetry.*", check=0)["telemetry.collector"]["hint"] == "--deep asks whether it answers" and asked == []
            assert place.doctor("--deep", only="telemetry.*", check=0)["telemetry.collector"]["hint"] == "it answers"
            assert asked == [("/base", None)], asked
        finally:
            server.shutdown()
            thread.join()
        server.server_close()
        told = place.doctor("--deep", only="telemetry.*", check=0)["telemetry.collector"]
        assert told["message"].startswith("advice: the collector of telemetry does not answer: "), told


def test_strict_only_and_skip():
    with Host() as place:
        place.doctor("--strict", "--skip", QUIET, check=0)
        place.write_config(config(identity={"api_keys": {}, "service_secrets": {}, "hashed_keys": [
            {"id": "a1", "principal": "alice", "hash": "sha256:" + 64 * "7", "expires": "2020-01-01T00:00:00Z"}],
            "agent_secrets": {"bot": SECRET}, "signature_versions": ["v2"], "principal_agents": {"alice": ["bot"]}}))
        told = place.doctor("--skip", QUIET, check=0)
        assert told[""]["overall_status"] == "READY" and "has expired" in told["identity.key_expiry"]["message"], told
        place.doctor("--strict", "--skip", QUIET, check=1)
        place.doctor("--strict", "--skip", QUIET + ",identity.key_expiry", check=0)
        told = place.doctor(only="ledger.*, config.load", check=0)
        assert {name.split(".")[0] for name in told if name} == {"ledger", "config"}, told
        for args in (("--only", "nope"), ("--skip", "ledger.*,ledger.nope"), ("--only", "strong.*"), ("--interval", "5"),
                     ("--watch", "--interval", "0"), ("--watch", "--interval", "x")):
            done = place.run("doctor", "-c", "nomos.json", *args, check=2)
            assert done.stdout == b"" and done.stderr.startswith(b"[ERROR]"), done
        # What is left out is not proven.
        place.write_config(strong(Authority(place.dir / "ca")))
        told = place.doctor("--skip", "strong.seccomp", check=1)
        assert told[""]["assurance_level"] == "GUARDED" and "left out" in told["strong.assurance_evidence_backed"]["hint"], told


def test_things_that_are_no_configuration():
    with Host() as place:
        if os.geteuid() == 0 and shutil.which("setpriv"):
            shutil.copy(BIN, place.dir / "nomos")
            place.dir.chmod(0o755)
            told = place.doctor(prefix=("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"), program="./nomos", check=1)
            assert "nomos.json: Permission denied" in told["config.load"]["hint"], told
        os.mkfifo(place.dir / "fifo.json")
        (place.dir / "zero.json").symlink_to("/dev/zero")
        (place.dir / "folder.json").mkdir()
        with open(place.dir / "big.json", "wb") as f:
            f.truncate(1 << 40)
        for name in ("fifo", "zero", "folder", "big", "gone"):
            done = place.run("doctor", "-c", f"{name}.json", "--format", "json", check=1)
            checks = {c["id"]: c for c in json.loads(done.stdout)["checks"]}
            assert checks["config.load"]["status"] == "FAIL" and f"{name}.json" in checks["config.load"]["hint"], checks


class Watch:
    """nomos doctor --watch, its lines as they come."""

    def __init__(self, place, *args, stdout=subprocess.PIPE):
        self.process = subprocess.Popen([BIN, "doctor", "-c", "nomos.json", "--watch", "--interval", "1", "--skip", QUIET, *args],
                                        cwd=place.dir, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process.wait(PATIENCE)

    def line(self):
        return self.process.stdout.readline().decode()

    def until(self, text):
        got = []
        while not got or text not in got[-1]:
            got.append(self.line())
            assert got[-1], (got, self.process.stderr.read())
        return got

    def end(self, with_signal, status):
        self.process.send_signal(with_signal)
        assert self.process.wait(PATIENCE) == status, (self.process.returncode, self.process.stderr.read())
        assert self.process.stdout.read() == b""


STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def test_watch_tells_what_changed():
    with Host() as place, Watch(place) as w:
        first = w.until("Result: ")
        assert first[0] == "nomos doctor\n" and first[-1] == "Result: READY (assurance=BEST_EFFORT)\n", first
        (place.dir / "policy.json").chmod(0o666)
        assert re.fullmatch(STAMP + r" \[FAIL\] files\.modes: file modes failed; .*\n", w.line())
        assert re.fullmatch(STAMP + r" Result: NOT_READY \(assurance=BEST_EFFORT\)\n", w.line())
        place.write_policy({"version": "v1"})
        told = w.until("policy.deny_by_default_probe")
        assert all("[FAIL] policy." in line or "[GONE] gateway.snapshot_builds" in line for line in told), told
        w.end(signal.SIGTERM, 1)
    with Host() as place, Watch(place) as w:
        w.until("Result: READY")
        w.end(signal.SIGINT, 0)


def test_watch_in_json_is_one_object_per_line():
    with Host() as place, Watch(place, "--format", "json") as w:
        first = [json.loads(line) for line in w.until("overall_status")]
        assert first[-1]["overall_status"] == "READY" and first[-1]["assurance_level"] == "BEST_EFFORT", first[-1]
        assert len(first) > 30 and {c["status"] for c in first[:-1]} == {"PASS"} and not any("before" in c for c in first), first
        (place.dir / "nomos.json").rename(place.dir / "away.json")
        told = [json.loads(line) for line in w.until("overall_status")]
        assert {"id": "config.load", "status": "FAIL", "before": "PASS"}.items() <= {c["id"]: c for c in told[:-1]}["config.load"].items(), told
        assert {c["status"] for c in told[:-1] if c["id"] != "config.load"} == {"GONE"} and told[-1]["assurance_level"] == "NONE", told
        (place.dir / "away.json").rename(place.dir / "nomos.json")
        told = [json.loads(line) for line in w.until("overall_status")]
        assert told[-1]["overall_status"] == "READY" and all(re.fullmatch(STAMP, c["timestamp"]) for c in told), told
        w.end(signal.SIGTERM, 0)


def test_watch_ends_when_nobody_reads():
    with Host() as place:
        read, write = os.pipe()
        with Watch(place, stdout=write) as w:
            os.close(write)
            with os.fdopen(read, "rb") as f:
                while b"Result: READY" not in f.readline():
                    pass
            # Nothing changes, and it ends all the same: with what it said last.
            assert w.process.wait(PATIENCE) == 0, w.process.stderr.read()


def test_watch_draws_a_terminal_anew():
    with Host() as place:
        parent, child = pty.openpty()
        process = subprocess.Popen([BIN, "doctor", "-c", "nomos.json", "--watch", "--interval", "1", "--skip", QUIET], cwd=place.dir,
                                   stdin=child, stdout=child, stderr=child, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
        os.close(child)
        got = b""

        def screen(nth):
            nonlocal got
            while len(parts := got.split(b"\033[H\033[2J")) <= nth or b"Ctrl-C ends" not in parts[nth]:
                got += os.read(parent, 65536)
            return parts[nth]

        try:
            first = screen(1)
            assert b"checks pass" in first and b"[PASS]" not in first and b"READY" in first, first
            (place.dir / "policy.json").chmod(0o666)
            second = screen(2)
            assert b"[FAIL]" in second and b"files.modes: file modes failed" in second and b"NOT_READY" in second, second
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()
            process.wait(PATIENCE)
            os.close(parent)


def test_the_list_has_every_check_that_runs():
    with Host() as place:
        place.write_config(strong(Authority(place.dir / "ca")))
        run = {name for name in place.doctor("--deep") if name}
        text = place.run("doctor", "--list", check=0).stdout.decode()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
        listed = {row[0].strip("`"): row for row in rows[2:]}
        assert run <= set(listed), run - set(listed)
        assert all(len(row) == 4 and all(row[:3]) for row in rows), rows
        # Whoever fails is told what to do, but for the parts that cannot fail yet.
        assert {name for name, row in listed.items() if not row[3]} == {"mcp.enabled", "mcp.stdio_structure_valid", "mcp.transport_configured"}
        assert text == (ROOT / "docs/doctor-checks.md").read_text()


def test_the_operator_page_has_the_same_checks():
    with Gateway(config(runtime={"strong_guarantee": True, "deployment_mode": "ci"})) as g:
        seen = {c["id"]: c for c in g.operator("GET", "/api/ui/readiness").json["checks"]}
        done = g.place.run("doctor", "-c", "nomos.json", "--format", "json", check=1)
        told = {c["id"]: c for c in json.loads(done.stdout)["checks"]}
        # The gateway does not open its own ledger a second time, nor bind its own address.
        assert set(told) - set(seen) == {"gateway.address_free", "ledger.opens"}, set(told) ^ set(seen)
        assert {name for name in set(seen) - set(told)} == {"live.policy", "live.ledger", "live.serving"}, set(seen) - set(told)
        for name in set(seen) & set(told):
            advice = told[name]["message"].startswith("advice: ")
            assert seen[name]["status"] == ("WARN" if advice else told[name]["status"]), (seen[name], told[name])
            assert seen[name]["message"] == told[name]["message"] and seen[name]["hint"] == told[name].get("hint"), (seen[name], told[name])
