# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Start, stop, reload, drain, second instance (design.md 5, 7; decisions 19, 37)."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from pipes import fill
from support import API_KEY, BIN, OPERATOR_KEY, PATIENCE, POLICY, Gateway, Workplace, action, config, until


def other_policy():
    policy = json.loads(json.dumps(POLICY))
    policy["rules"] = [r for r in policy["rules"] if r["id"] != "allow-refund"]
    return policy


def test_refuses_to_start_without_an_effective_policy():
    for text, why in (("", "EOF"), ("{}", "version"), ('{"version":"v1","rules":[]}', "rules")):
        place = Workplace(policy=text or " ")
        try:
            done = place.run("serve", "-c", "nomos.json")
            assert done.returncode == 1 and why in done.stderr.decode(), done
        finally:
            place.remove()


def test_config_errors_come_all_at_once_with_line_and_suggestion():
    place = Workplace()
    try:
        place.write_config('{\n  "gateway": {"lisen": ":1", "workers": 9999},\n  "policy": {"policy_bundle_path": "policy.json"},\n'
                           '  "identity": {"principal": "p", "agent": "a", "environment": "dev"}\n}\n')
        text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
        assert "nomos.json:2:" in text and "listen" in text and "gateway.workers" in text, text
        assert "agent_secrets" in text, text
    finally:
        place.remove()


def test_reload_by_signal_and_by_operator():
    with Gateway() as g:
        assert g.act().json["decision"] == "ALLOW"
        g.place.write_policy(other_policy())
        g.signal(signal.SIGHUP)
        until(lambda: g.act().json["decision"] == "DENY", "the new policy decides")
        g.place.write_policy(POLICY)
        # A body is not read: clients send {} with any POST.
        r = g.request("POST", "/admin/reload", b"{}", {"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"})
        assert r.status == 200 and r.json["outcome"] == "success", r
        refused = g.operator("GET", "/admin/reload", b"{}")
        assert refused.status == 413 and refused.json["reason"] == "validation_error: this route takes no body", refused
        assert g.act().json["decision"] == "ALLOW"
        reloads = [x for x in g.records() if x["event_type"] == "runtime.reload"]
        assert [x["outcome"] for x in reloads] == ["success", "success"]
        assert reloads[1]["principal"] == "olga" and reloads[1]["policy_bundle_hash"] == r.json["policy_bundle_hash"]


def test_a_bad_reload_keeps_the_old_policy_and_is_recorded():
    with Gateway() as g:
        hash_before = g.post("/explain", action()).json["policy_bundle_hash"]
        g.place.write_policy('{"version": "v1", "rules": [')
        r = g.operator("POST", "/admin/reload")
        assert r.status == 400 and r.json["outcome"] == "failure" and r.json["policy_bundle_hash"] == hash_before, r
        assert str(g.place.dir) not in r.body.decode()
        assert g.act().json["decision"] == "ALLOW"
        g.place.write_policy(POLICY)
        g.place.write_config(config(gateway={"workers": 1}))
        r = g.operator("POST", "/admin/reload")
        assert r.status == 400, "workers cannot change while running"
        assert "gateway.workers" in g.read_log()
        found = [x for x in g.records() if x["event_type"] == "runtime.reload"]
        assert [x["outcome"] for x in found] == ["failure", "failure"] and "gateway.workers" in found[1]["reason"]


def test_reloadable_rows_take_effect():
    with Gateway() as g:
        g.place.write_config(config(identity={"api_keys": {"new-key-for-alice": "alice", "test-operator-key": "olga"}}))
        assert g.operator("POST", "/admin/reload").status == 200
        assert g.act().status == 401
        assert g.act(key="new-key-for-alice").status == 200


def test_what_a_reload_would_change_is_told_beforehand():
    with Gateway() as g:
        told = g.operator("GET", "/admin/reload")
        assert told.status == 200 and told.json["changes"] == [] and told.json["outcome"] == "success", told
        assert told.json["policy_bundle_hash"] == told.json["policy_bundle_hash_on_disk"], told
        g.place.write_config(config(identity={"api_keys": {"new-key-for-alice": "alice", "test-operator-key": "olga"}}))
        g.place.write_policy(other_policy())
        told = g.operator("GET", "/admin/reload")
        assert told.json["changes"] == [{"key": "identity.api_keys", "takes": "reload"}] and told.json["outcome"] == "success", told
        assert told.json["policy_bundle_hash"] != told.json["policy_bundle_hash_on_disk"], told
        assert g.act(key="new-key-for-alice").status == 401  # nothing was changed by asking
        assert b"new-key-for-alice" not in told.body
        assert g.operator("POST", "/admin/reload").status == 200
        told = g.operator("GET", "/admin/reload")
        assert told.json["changes"] == [], told
        # What it says is what a reload does.
        g.place.write_config(config(gateway={"workers": 7}, identity={"api_keys": {"test-operator-key": "olga"}}))
        told = g.operator("GET", "/admin/reload")
        assert [c["change"] for c in told.json["changes"] if c["key"] == "gateway.workers" and c["takes"] == "restart"][0].endswith(" -> 7"), told
        assert told.json["outcome"] == "failure", told
        assert g.operator("POST", "/admin/reload").status == 400
        g.place.write_config("{")
        told = g.operator("GET", "/admin/reload")
        assert told.json["outcome"] == "failure" and told.json["policy_bundle_hash_on_disk"] == "", told
        assert str(g.place.dir).encode() not in told.body
        assert g.request("GET", "/admin/reload", b"", {"Authorization": "Bearer new-key-for-alice"}).status == 403


def test_two_files_are_compared():
    place = Workplace()
    try:
        (place.dir / "new.json").write_text(json.dumps({**config(), "gateway": {**config()["gateway"], "workers": 7, "concurrency_limit": 9}}))
        done = place.run("config", "diff", "nomos.json", "nomos.json", check=0)
        assert done.stdout == b"", done
        text = place.run("config", "diff", "nomos.json", "new.json", check=1).stdout.decode()
        assert "gateway.workers: " in text and "-> 7  (needs a restart)" in text and "gateway.concurrency_limit: 32 -> 9\n" in text, text
        assert "two files" in place.run("config", "diff", "nomos.json", check=1).stderr.decode()
        assert place.run("config", "diff", "nomos.json", "gone.json", check=1).stderr
    finally:
        place.remove()


def test_the_command_asks_a_running_gateway_what_a_reload_would_change():
    with Gateway() as g:
        env = {"NOMOS_API_KEY": OPERATOR_KEY, "NOMOS_URL": "http://%s:%d" % g.address}

        def diff(*args, check, env=env):
            done = g.place.run("config", "diff", *args, env=env, check=check)
            return done.stdout.decode(), done.stderr.decode()

        out, said = diff(check=0)
        assert out == "" and "[OK] no key differs, nor does the policy" in said, (out, said)
        g.place.write_config(config(gateway={"concurrency_limit": 9}, identity={"api_keys": {API_KEY: "anna", OPERATOR_KEY: "olga"}}))
        g.place.write_policy(other_policy())
        out, said = diff(check=0)
        lines = out.splitlines()
        assert "gateway.concurrency_limit: 32 -> 9" in lines and "identity.api_keys: changed" in lines, out
        assert re.search(r"^policy: [0-9a-f]{64} -> [0-9a-f]{64}$", out, re.MULTILINE) and "would take all of this" in said, (out, said)
        assert API_KEY not in out + said
        # The same lines as of two files, where both tell values.
        told = json.loads(diff("--format", "json", check=0)[0])
        assert told["outcome"] == "success" and told == g.operator("GET", "/admin/reload").json, told
        g.place.write_config(config(gateway={"workers": 7}))
        out, said = diff(check=1)
        assert re.search(r"^gateway\.workers: \d+ -> 7  \(needs a restart\)$", out, re.MULTILINE) and "would be refused: a key" in said, (out, said)
        g.place.write_config("{")
        out, said = diff(check=1)
        assert "not valid" in said and str(g.place.dir) not in out + said, (out, said)
        # Nothing was changed by asking, and who is no operator is not told.
        assert g.act().status == 200
        out, said = diff(check=1, env={**env, "NOMOS_API_KEY": API_KEY})
        assert out == "" and "403" in said, (out, said)
        assert "two files, or none" in diff("nomos.json", check=1)[1]
        assert "--format" in diff("--format", "xml", check=1)[1]
        assert "is the gateway running?" in diff(check=1, env={**env, "NOMOS_URL": "http://127.0.0.1:1"})[1]


def test_reload_storm_under_load():
    with Gateway() as g:
        stop = threading.Event()
        bad = []

        def load():
            c = g.connect()
            while not stop.is_set():
                r = g.act(connection=c)
                if r.status != 200:
                    bad.append(r)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for t in threads:
            t.start()
        for i in range(30):
            g.place.write_policy(POLICY if i % 2 else other_policy())
            g.signal(signal.SIGHUP)
            assert g.operator("POST", "/admin/reload").status == 200
        stop.set()
        for t in threads:
            t.join()
        assert not bad, bad[:3]
        # Each decision names the policy that made it, and every policy was recorded before it was used.
        seen = set()
        for x in g.records():
            if x["event_type"].startswith("runtime."):
                seen.add(x["policy_bundle_hash"])
            elif x["event_type"] == "action.decision":
                assert x["policy_bundle_hash"] in seen


def test_sigterm_under_load_fails_no_accepted_request():
    with Gateway() as g:
        answered = []
        refused = []

        def load():
            while True:
                try:
                    r = g.act()
                except OSError as error:
                    refused.append(error)
                    return
                answered.append(r.status)
        threads = [threading.Thread(target=load) for _ in range(8)]
        for t in threads:
            t.start()
        until(lambda: len(answered) > 50, "load")
        g.signal(signal.SIGTERM)
        for t in threads:
            t.join()
        assert g.process.wait(60) == 0
        assert set(answered) == {200}, set(answered)
        # What the gateway took was answered: a connection that the kernel dropped from its queue left no record.
        records = [x for x in g.records() if x["event_type"] == "action.decision"]
        assert len(records) == len(answered)
        assert g.records()[-1]["event_type"] == "checkpoint"


def test_shutdown_delay_announces_and_still_accepts():
    with Gateway(config(gateway={"shutdown_delay_seconds": 2})) as g:
        g.signal(signal.SIGTERM)
        def announced():
            r = g.get("/readyz")
            return r if r.status == 503 and r.headers["Connection"] == "close" else None
        assert until(announced, "readyz fails and replies say close").json["status"] == "not_ready"
        assert g.get("/healthz").body == b"draining"
        r = g.act()
        assert r.status == 200 and r.headers["Connection"] == "close"
        assert g.process.wait(60) == 0


def test_second_signal_ends_at_once():
    with Gateway(config(gateway={"shutdown_delay_seconds": 600}), expect_exit=1) as g:
        g.act()
        g.signal(signal.SIGTERM)
        until(lambda: g.get("/readyz").status == 503, "draining")
        g.signal(signal.SIGTERM)
        assert g.process.wait(60) == 1
        assert g.place.run("audit", "verify", g.place.ledger).returncode == 0


def is_answered(s):
    s.settimeout(0.5)
    try:
        s.sendall(b"\n")
        return s.recv(4096) != b""
    except OSError:
        return False


def test_requests_behind_the_grace_find_no_freed_ledger():
    """While nobody reads the log the process lingers in its last step; what a worker does there must not touch the ledger."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        address = s.getsockname()
    place = Workplace(config(gateway={"listen": "%s:%d" % address, "workers": 1, "shutdown_grace_seconds": 1}))
    reader, writer = os.pipe()
    fill(writer)
    process = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    waiting = []

    def connect():
        try:
            return socket.create_connection(address, timeout=PATIENCE)
        except ConnectionRefusedError:
            return None

    try:
        for _ in range(100):
            s = until(connect, "the gateway listens")
            waiting.append(s)
            s.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r")
        # The one worker answers the last one, so it has read what the others sent before.
        assert is_answered(waiting[-1])
        process.terminate()
        for s in waiting[:-1]:
            if not is_answered(s):
                break
            time.sleep(0.03)
        with open(reader, "rb") as log:
            text = log.read().lstrip(b"\n").decode()
        assert process.wait(PATIENCE) == 1 and "check failed" not in text and "Sanitizer" not in text, text
    finally:
        process.kill()
        process.wait(PATIENCE)
        for s in waiting:
            s.close()
        place.remove()


def test_idle_connections_do_not_hold_up_the_end():
    with Gateway() as g:
        idle = [socket.create_connection(g.address) for _ in range(20)]
        assert g.act().status == 200
        assert g.stop() == 0
        for s in idle:
            s.close()


def test_a_second_gateway_on_the_same_ledger_or_port_says_so():
    with Gateway() as g:
        done = g.place.run("serve", "-c", "nomos.json")
        assert done.returncode == 1 and str(g.process.pid) in done.stderr.decode(), done.stderr
        other = Workplace(config(gateway={"listen": "127.0.0.1:%d" % g.address[1]}))
        done = other.run("serve", "-c", "nomos.json")
        other.remove()
        assert done.returncode == 1 and "in use" in done.stderr.decode(), done.stderr
        assert g.act().status == 200


def test_the_chain_continues_over_restarts():
    place = Workplace()
    try:
        for _ in range(3):
            with Gateway(workplace=place) as g:
                assert g.act().status == 200
        with Gateway(workplace=place) as g:
            records = g.records()
        assert [x["seq"] for x in records] == list(range(1, len(records) + 1))
        assert len({x["chain_id"] for x in records}) == 1
        assert records[0]["event_type"] == "chain.start"
        assert sum(x["event_type"] == "runtime.start" for x in records) == 4
    finally:
        place.remove()


def test_environment_overrides():
    with Gateway(env={"NOMOS_IDENTITY_API_KEY": "from-the-environment"}) as g:
        assert g.act(key="from-the-environment").status == 200
    place = Workplace()
    try:
        done = place.run("serve", "-c", "nomos.json", env={"NOMOS_GATEWAY_CONCURRENCY_LIMIT": "many"})
        assert done.returncode == 1 and "NOMOS_GATEWAY_CONCURRENCY_LIMIT" in done.stderr.decode()
    finally:
        place.remove()


def test_yaml_configuration():
    place = Workplace()
    try:
        text = json.dumps(config())
        (place.dir / "nomos.yaml").write_text(text)
        place.run("config", "check", "-c", "nomos.yaml", check=0)
        dump = place.run("config", "dump", "-c", "nomos.yaml", check=0).stdout
        assert b"agent-secret" not in dump and b"test-api-key" not in dump
    finally:
        place.remove()


def test_stateless_mode_releases_what_stdout_took():
    options = config(runtime={"stateless_mode": True}, audit={"sink": "stdout"}, ledger=None)
    read_end, write_end = os.pipe()
    with Gateway(options, stdout=write_end) as g:
        os.close(write_end)
        r = g.act()
        assert r.status == 200, r
        assert not g.place.ledger.exists()
    text = b""
    while True:
        part = os.read(read_end, 65536)
        if not part:
            break
        text += part
    os.close(read_end)
    events = [json.loads(line)["event_type"] for line in text.splitlines()]
    assert "action.decision" in events, events


def test_files_of_the_ledger_are_private():
    old = os.umask(0o022)
    try:
        with Gateway() as g:
            g.act()
            for path in g.place.dir.glob("ledger.db*"):
                mode = path.stat().st_mode & 0o777
                assert mode & 0o077 == 0 or path.suffix == ".pub", (path.name, oct(mode))
    finally:
        os.umask(old)


def test_closed_standard_descriptors_are_not_taken_by_files():
    place = Workplace()
    process = subprocess.Popen(["sh", "-c", 'exec "$0" serve -c nomos.json 0<&- 1>&- 2>&-', BIN], cwd=place.dir)
    try:
        def names():
            return [os.readlink(f"/proc/{process.pid}/fd/{n}") for n in (0, 1, 2)]
        until(lambda: place.ledger.exists(), "the gateway starts")
        assert names() == ["/dev/null"] * 3, names()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
        place.remove()


def log_lines(g):
    return [json.loads(line) for line in g.log.splitlines() if line.startswith("{")]


def test_levels_of_the_log_change_while_it_runs():
    quiet = {"level": "error", "levels": {"runtime": "error", "cli": "info"}}
    with Gateway(config(log=quiet)) as g:
        assert g.operator("POST", "/admin/reload").status == 200
        g.place.write_config(config(log={"level": "error", "levels": {"runtime": "info"}}))
        assert g.operator("POST", "/admin/reload").status == 200
        g.place.write_config(config(log={"levels": {"plumbing": "info"}}))
        assert g.operator("POST", "/admin/reload").status == 400
        g.stop()
        g.read_log()
    lines = [line for line in log_lines(g) if line["msg"].startswith("reloaded")]
    assert len(lines) == 1 and lines[0]["module"] == "runtime", lines
    assert any("plumbing" in line["msg"] and line["level"] == "error" for line in log_lines(g))


def test_access_log():
    with Gateway(config(gateway={"access_log": "json"})) as g:
        g.request("GET", "/healthz?token=hunter2hunter2", headers={"User-Agent": 'a"b\\c'})
        g.request("GET", "/approvals/sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
        g.act()
        g.place.write_config(config(gateway={"access_log": "combined"}))
        assert g.operator("POST", "/admin/reload").status == 200
        g.request("GET", "/healthz", headers={"User-Agent": 'a"b'})
        g.place.write_config(config())
        assert g.operator("POST", "/admin/reload").status == 200
        g.request("GET", "/version")
        g.stop()
        g.read_log()
    rows = [line for line in log_lines(g) if line["level"] == "access"]
    assert [(r["method"], r["path"].split("/")[1], r["status"]) for r in rows[:3]] == [
        ("GET", "healthz", 200), ("GET", "approvals", 401), ("POST", "action", 200)], rows
    assert rows[0]["user_agent"] == 'a"b\\c' and rows[0]["client"] == "127.0.0.1" and rows[2]["bytes"] > 100 and rows[2]["took_us"] > 0
    assert "hunter2" not in g.log and "sk-aaaa" not in g.log
    combined = [line for line in g.log.splitlines() if line.startswith("127.0.0.1 - - [")]
    assert any(re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /healthz HTTP/1\.1" 200 \d+ "-" "a\\x22b"', line)
               for line in combined), combined
    assert "/version" not in g.log
