# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What a newcomer types: init, sign, send, doctor, help; and what cmake --install puts in place."""
import hashlib
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading

from support import BIN, PATIENCE, ROOT, Gateway, Workplace, have, sign, until

ESCAPE = b"\033["


class Start(Workplace):
    """A folder that `nomos init` made, as DIR/demo."""

    def __init__(self, init=True):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="nomos-e2e-"))
        self.demo = self.dir / "demo"
        self.config = self.demo / "nomos.yaml"
        if init:
            self.run("init", "demo", check=0)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.remove()

    @property
    def ledger(self):
        return self.demo / "nomos-ledger.db"

    def serve(self):
        return Gateway(workplace=self, config_file="demo/nomos.yaml", env={"NOMOS_GATEWAY_LISTEN": "127.0.0.1:0"})

    def send(self, g, *args, **kwargs):
        """The gateway's address as if it stood in the configuration."""
        env = {"NOMOS_GATEWAY_LISTEN": "%s:%d" % g.address, **kwargs.pop("env", {})}
        return self.run("send", "-c", "demo/nomos.yaml", *args, env=env, **kwargs)

    def listing(self):
        """Every file with its bytes and times."""
        found = {}
        for path in sorted(self.dir.rglob("*")):
            st = path.lstat()
            body = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(st.st_mode) else ""
            found[str(path)] = (st.st_mode, st.st_size, st.st_mtime_ns, st.st_ino, body)
        return found


def doctor(place, *args, check=None, env=None):
    env = {"NOMOS_GATEWAY_LISTEN": "127.0.0.1:0", **(env or {})}
    return place.run("doctor", "-c", "demo/nomos.yaml", *args, check=check, env=env)


def report(place, *args, check=None, env=None):
    done = doctor(place, "--format", "json", *args, check=check, env=env)
    assert done.stdout.count(b"\n") == 1, done.stdout
    found = json.loads(done.stdout)
    return found, {c["id"]: c for c in found["checks"]}


def test_init_makes_private_keys_and_says_which_is_which():
    with Start(init=False) as place:
        done = place.run("init", "demo", check=0)
        for text in ("keys/agent ", "keys/operator", "nomos serve -c demo/nomos.yaml",
                     "nomos send -c demo/nomos.yaml demo/actions/allow.json", "--explain demo/actions/deny.json"):
            assert text in done.stdout.decode(), text
        modes = {name: stat.S_IMODE((place.demo / name).stat().st_mode)
                 for name in ("keys", "keys/agent", "keys/operator", "keys/agent.secret", "nomos.yaml", "workspace/.env")}
        assert modes == {"keys": 0o700, "keys/agent": 0o600, "keys/operator": 0o600, "keys/agent.secret": 0o600,
                         "nomos.yaml": 0o600, "workspace/.env": 0o600}, modes
        keys = [(place.demo / f"keys/{name}").read_text().strip() for name in ("agent", "operator")]
        config = place.config.read_text()
        for key in keys:
            assert re.fullmatch(r"nk_[a-z0-9]+_[0-9a-f]{64}", key), key
            assert key not in config and key not in done.stdout.decode() + done.stderr.decode()
            assert "sha256:" + hashlib.sha256(key.encode()).hexdigest() in config
        assert "{{" not in config
        assert not place.ledger.exists()
        place.run("init", "other", check=0)
        assert (place.dir / "other/keys/agent").read_text().strip() not in keys
        assert (place.dir / "other/keys/agent.secret").read_text() != (place.demo / "keys/agent.secret").read_text()
        place.run("init", "a/b/c", check=0)
        place.run("config", "check", "-c", "a/b/c/nomos.yaml", check=0)


def test_init_never_overwrites():
    with Start() as place:
        before = place.listing()
        done = place.run("init", "demo", check=1)
        assert b"there already" in done.stderr, done.stderr
        done = place.run("init", "--if-missing", "demo", check=0)
        assert done.stdout == b"" and done.stderr == b"", done
        assert place.listing() == before
        # A folder with something of somebody else's in it: nothing of ours stays behind.
        (place.dir / "mine").mkdir()
        (place.dir / "mine/policy.yaml").write_text("mine")
        done = place.run("init", "mine", check=1)
        assert b"policy.yaml is there already" in done.stderr, done.stderr
        assert [p.name for p in (place.dir / "mine").rglob("*")] == ["policy.yaml"]
        # One that is being made by another run, or was left by one that was killed.
        (place.dir / "half/keys").mkdir(parents=True)
        place.run("init", "--if-missing", "half", check=1)
        assert [p.name for p in (place.dir / "half").rglob("*")] == ["keys"]
        (place.dir / "file").write_text("")
        place.run("init", "file", check=1)
        place.run("init", "a", "b", check=2)
        place.run("init", "", check=1)


def test_sign_gives_the_published_signature():
    # nomos-http.md 11.
    body = (b'{"schema_version":"v1","action_id":"a1","action_type":"fs.read","resource":"file://workspace/README.md",'
            b'"params":{},"trace_id":"t1","context":{"extensions":{}}}')
    assert len(body) == 160
    with Start(init=False) as place:
        (place.dir / "body").write_bytes(body)
        (place.dir / "key").write_text("  dev-api-key \n")
        (place.dir / "secret").write_text("agent-secret\n")
        flags = ("--key-file", "key", "--agent", "nomos", "--agent-secret-file", "secret", "--signature", "v1")
        want = (b"Authorization: Bearer dev-api-key\nX-Nomos-Agent-Id: nomos\n"
                b"X-Nomos-Agent-Signature: 10e13d68c5164d40006adfbfa58cf293d59cbaf78006245fdd2ff0a8add691c9\n"
                b"Content-Type: application/json\n")
        assert place.run("sign", *flags, "body", check=0).stdout == want
        assert place.run("sign", *flags, "-", stdin=body, check=0).stdout == want
        changed = place.run("sign", *flags, "-", stdin=body + b"\n", check=0).stdout
        assert changed != want
        from_env = place.run("sign", *flags[2:], "body", check=0, env={"NOMOS_API_KEY": "dev-api-key"}).stdout
        assert from_env == want


def test_sign_refuses_what_cannot_be_signed():
    with Start() as place:
        (place.dir / "lines").write_text("one\nX-Evil: two\n")
        (place.dir / "empty").write_text("\n")
        base = ("sign", "-c", "demo/nomos.yaml")
        for args, text in (
                ((*base, "--key-file", "lines", "demo/actions/allow.json"), "not one line"),
                ((*base, "--key-file", "empty", "demo/actions/allow.json"), "not one line"),
                ((*base, "--key-file", "nowhere", "demo/actions/allow.json"), "nowhere"),
                ((*base, "--agent", "stranger", "demo/actions/allow.json"), "--agent-secret-file"),
                ((*base, "--agent", "a\nb", "demo/actions/allow.json"), "no agent"),
                ((*base, "nowhere.json"), "nowhere.json"),
                (("sign", "-c", "nowhere.yaml", "demo/actions/allow.json"), "nowhere.yaml"),
                (("sign", "demo/actions/allow.json"), "NOMOS_CONFIG")):
            done = place.run(*args, check=1)
            assert text in done.stderr.decode() and done.stdout == b"", (args, done)
        for stdin in (b"x" * 65537, b"x" * 300000):
            done = place.run(*base, "-", stdin=stdin, check=1)
            assert b"65536" in done.stderr and done.stdout == b"", done
        place.run(*base, "-", stdin=b"x" * 65536, check=0)
        os.remove(place.demo / "keys/agent")
        done = place.run(*base, "demo/actions/allow.json", check=1)
        assert b"--key-file" in done.stderr and b"NOMOS_API_KEY" in done.stderr, done.stderr


def test_sign_makes_headers_that_any_client_can_send():
    with Start() as place, place.serve() as g:
        body = (place.demo / "actions/allow.json").read_bytes()
        lines = place.run("sign", "-c", "demo/nomos.yaml", "demo/actions/allow.json", check=0).stdout.decode()
        headers = dict(line.split(": ", 1) for line in lines.splitlines())
        form = "\n".join(("v2", "POST", "/action", headers["X-Nomos-Timestamp"], headers["X-Nomos-Nonce"],
                          hashlib.sha256(body).hexdigest(), ""))
        secret = (place.demo / "keys/agent.secret").read_text().strip()
        assert headers["X-Nomos-Agent-Signature"] == "v2=" + sign(secret, form.encode())
        reply = g.request("POST", "/action", body, headers)
        assert reply.status == 200 and reply.json["decision"] == "ALLOW", reply
        # For one use: and each time it is another one.
        assert g.request("POST", "/action", body, headers).status == 401
        assert place.run("sign", "-c", "demo/nomos.yaml", "demo/actions/allow.json", check=0).stdout.decode() != lines


def test_send_shows_the_four_actions_and_what_they_mean():
    with Start() as place, place.serve() as g:
        done = place.send(g, "demo/actions/allow.json", check=0)
        answer = json.loads(done.stdout)
        assert answer["decision"] == "ALLOW" and answer["output"].startswith("# Workspace"), answer
        assert b"[OK] ALLOW" in done.stderr and done.stdout.endswith(b"}\n"), done
        done = place.send(g, "demo/actions/deny.json", check=0)
        assert json.loads(done.stdout)["decision"] == "DENY"
        assert b"nomos send -c demo/nomos.yaml --explain demo/actions/deny.json" in done.stderr, done.stderr
        done = place.send(g, "--explain", "demo/actions/deny.json", check=0)
        assert json.loads(done.stdout)["matched_rule_ids"] == ["keep-env-files"], done.stdout
        done = place.send(g, "demo/actions/write.json", check=0)
        assert (place.demo / "workspace/out/note.txt").read_text() == "written by an agent\n"
        done = place.send(g, "demo/actions/refund.json", check=0)
        assert json.loads(done.stdout)["execution_mode"] == "external_authorized" and b"carry it out" in done.stderr, done
        done = place.send(g, "-", stdin=(place.demo / "actions/allow.json").read_bytes(), check=0)
        assert json.loads(done.stdout)["decision"] == "ALLOW"
        _, checks = report(place, "--deep", env={"NOMOS_GATEWAY_LISTEN": "%s:%d" % g.address}, check=0)
        assert checks["ledger.chain"]["hint"].startswith("whole: "), checks["ledger.chain"]


def test_send_waits_for_a_person_or_says_who_decides():
    with Start() as place, place.serve() as g:
        url = ("--url", "http://%s:%d" % g.address)
        transfer = "demo/actions/transfer.json"
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(place.send(g, "--wait", "60", transfer, check=0)))
        waiting.start()

        def find_pending():
            done = place.run("approvals", "list", "-c", "demo/nomos.yaml", *url, "--format", "json", check=0)
            return [a["approval_id"] for a in json.loads(done.stdout)["approvals"]]

        apr = until(find_pending, "somebody is asked")[0]
        done = place.send(g, transfer, check=0)
        assert json.loads(done.stdout)["approval_id"] == apr
        assert f"nomos approvals approve -c demo/nomos.yaml {apr}" in done.stderr.decode(), done.stderr
        assert f"nomos send -c demo/nomos.yaml --approval {apr} {transfer}" in done.stderr.decode(), done.stderr
        done = place.send(g, "--approval", apr, transfer, check=0)
        assert json.loads(done.stdout)["approval_status"] == "pending", done.stdout
        place.run("approvals", "approve", "-c", "demo/nomos.yaml", *url, apr, check=0)
        waiting.join()
        assert json.loads(answers[0].stdout)["reason"] == "allow_by_approval" and b"[OK] ALLOW" in answers[0].stderr, answers
        done = place.send(g, "--approval", apr, transfer, check=0)
        assert json.loads(done.stdout)["approval_status"] == "consumed" and b"the approval was used before" in done.stderr, done
        done = place.send(g, "--approval", "apr_" + "0" * 24, transfer, check=0)
        assert b"), there is no such approval: a person decides" in done.stderr, done
        for wait in ("0", "1s", "-1", "1000", ""):
            done = place.send(g, "--wait", wait, transfer, check=1)
            assert b"1 to 999" in done.stderr and done.stdout == b"", done
        done = place.send(g, "--approval", apr, "-", stdin=b"{}", check=1)
        assert b"context" in done.stderr and done.stdout == b"", done


def test_send_tells_by_its_status_what_came():
    with Start() as place, place.serve() as g:
        place.send(g, "--exit-code", "demo/actions/allow.json", check=0)
        place.send(g, "--exit-code", "demo/actions/deny.json", check=1)
        place.send(g, "--exit-code", "--explain", "demo/actions/deny.json", check=1)
        done = place.send(g, "--key-file", "demo/keys/operator", "demo/actions/allow.json", check=1)
        assert b"401" in done.stderr and b"--key-file" in done.stderr, done.stderr
        (place.dir / "bad.json").write_text('{"schema_version":"v1"}')
        done = place.send(g, "bad.json", check=1)
        assert b"validation_error" in done.stdout and b"400" in done.stderr, done
        url = "http://%s:%d" % g.address
        env = {"NOMOS_API_KEY": (place.demo / "keys/agent").read_text()}
        os.rename(place.demo / "keys/agent", place.demo / "keys/away")
        place.run("send", "-c", "demo/nomos.yaml", "--url", url + "/", "demo/actions/allow.json", env=env, check=0)
        done = place.run("send", "-c", "demo/nomos.yaml", "--url", url + "/nowhere", "demo/actions/allow.json", env=env, check=1)
        assert b"404" in done.stderr, done.stderr
    with Start() as place:
        with socket.create_server(("127.0.0.1", 0)) as s:
            address = "127.0.0.1:%d" % s.getsockname()[1]
        done = place.run("send", "-c", "demo/nomos.yaml", "demo/actions/allow.json",
                         env={"NOMOS_GATEWAY_LISTEN": address}, check=1)
        assert b"nomos serve -c demo/nomos.yaml" in done.stderr and done.stdout == b"", done.stderr
        for args in (("--url", "ftp://127.0.0.1"), ("--url", "http://u:p@127.0.0.1"), ("--url", "")):
            done = place.run("send", "-c", "demo/nomos.yaml", *args, "demo/actions/allow.json", check=1)
            assert done.stdout == b"" and b"is the gateway running" not in done.stderr, done
        for command in ("send", "sign"):
            assert b"- for stdin" in place.run(command, "-c", "demo/nomos.yaml", check=2).stderr


def test_doctor_is_ready_in_both_forms_and_twice_the_same():
    with Start() as place:
        done = doctor(place, check=0)
        text = done.stdout.decode()
        assert text.startswith("nomos doctor\n\n[PASS] ") and text.endswith("\n\nResult: READY (assurance=BEST_EFFORT)\n"), text
        assert re.search(rb"\[OK\] doctor completed: status=READY checks=\d+ bundle=[0-9a-f]{64}\n", done.stderr), done.stderr
        assert doctor(place, check=0).stdout == done.stdout
        found, checks = report(place, check=0)
        assert list(found) == ["overall_status", "checks", "policy_bundle_hash", "policy_bundle_inputs", "assurance_level",
                               "engine_version"], found
        assert found["overall_status"] == "READY" and [*checks] == sorted(checks)
        reference = {"config.load", "config.environment_recognized", "config.path_resolves", "config.bundle_path_resolves",
                     "policy.bundle_exists", "policy.bundle_parses", "policy.bundle_hash", "policy.deny_by_default_probe",
                     "identity.auth_mode_valid", "identity.required_secrets_present", "identity.environment_derivation",
                     "mcp.enabled", "mcp.transport_configured", "mcp.stdio_structure_valid", "fs.workspace_exists",
                     "fs.workspace_canonicalizes", "fs.workspace_non_empty"}
        assert reference <= set(checks), reference - set(checks)
        assert not any(name.startswith(("strong.", "evidence.", "policy.opa")) for name in checks)


def test_doctor_says_not_ready_and_why():
    with Start() as place:
        (place.demo / "policy.yaml").write_text("version: v1\nrules: [\n")
        found, checks = report(place, check=1)
        assert found["overall_status"] == "NOT_READY" and "policy_bundle_hash" not in found
        assert checks["policy.bundle_parses"]["status"] == "FAIL" and "policy.yaml" in checks["policy.bundle_parses"]["hint"]
        done = doctor(place, check=1)
        assert b"[FAIL] policy bundle load failed\n       hint: " in done.stdout, done.stdout
        assert b"[WARN] doctor completed: status=NOT_READY" in done.stderr, done.stderr
        for args, status in (((), 1), (("-c", "nowhere.yaml"), 1), (("-c", "demo/nomos.yaml", "--format", "xml"), 2),
                             (("--no-such-flag",), 2), (("-c", "demo/nomos.yaml", "extra"), 2), (("--help",), 0)):
            place.run("doctor", *args, check=status)
        done = place.run("doctor", "--format", "json", check=1)
        assert json.loads(done.stdout)["assurance_level"] == "NONE", done.stdout


def kept(listing):
    """Without what changes beside a gateway: readers of a write-ahead log take their places in its index, which is shared memory
    and no evidence; and the gateway brings its search index up to date when it likes."""
    return {name: what for name, what in listing.items() if not name.endswith("-shm") and ".idx" not in name}


def test_doctor_changes_nothing():
    with Start() as place:
        def examine(**kwargs):
            before = place.listing()
            doctor(place, "--deep", check=0, **kwargs)
            assert place.listing() == before
        examine()
        with place.serve() as g:
            place.send(g, "demo/actions/allow.json", check=0)
        examine()
        with place.serve() as g:
            place.send(g, "demo/actions/allow.json", check=0)
            env = {"NOMOS_GATEWAY_LISTEN": "%s:%d" % g.address}
            until(lambda: any(place.dir.rglob("*.idx-wal")), "the gateway has opened its search index")
            before = place.listing()
            _, checks = report(place, "--deep", env=env, check=0)
            assert checks["gateway.address_free"]["hint"] == "a gateway is running", checks["gateway.address_free"]
            assert checks["ledger.chain"]["hint"].startswith("whole: "), checks["ledger.chain"]
            after = place.listing()
            assert kept(before) == kept(after)
            place.send(g, "demo/actions/allow.json", check=0)


def test_doctor_finds_an_address_in_use_and_a_changed_ledger():
    with Start() as place:
        with socket.create_server(("127.0.0.1", 0)) as s:
            address = "127.0.0.1:%d" % s.getsockname()[1]
            _, checks = report(place, env={"NOMOS_GATEWAY_LISTEN": address}, check=1)
            assert checks["gateway.address_free"]["status"] == "FAIL", checks["gateway.address_free"]
        with place.serve() as g:
            place.send(g, "demo/actions/allow.json", check=0)
        data = place.ledger.read_bytes()
        at = data.index(b"try-allow-1")
        place.ledger.write_bytes(data[:at] + b"try-evil-01" + data[at + 11:])
        _, checks = report(place, check=0)
        assert "ledger.chain" not in checks
        _, checks = report(place, "--deep", check=1)
        assert checks["ledger.chain"]["status"] == "FAIL" and "record" in checks["ledger.chain"]["hint"], checks


def test_doctor_judges_files_by_who_can_use_them():
    with Start() as place:
        place.config.chmod(0o644)
        _, checks = report(place, check=1)
        assert checks["files.modes"]["status"] == "FAIL" and "0644" in checks["files.modes"]["hint"]
        secret = (place.demo / "keys/agent.secret").read_text().strip()
        text = place.config.read_text()
        place.config.write_text(text.replace(f"dev-agent: {secret}", "").replace("agent_secrets:", "agent_secrets: {} #"))
        # The secret comes from the environment now: others may read the file.
        report(place, env={"NOMOS_IDENTITY_AGENT_SECRET": secret}, check=0)
        # What the collector is sent is one too, though no variable gives it.
        place.config.write_text(place.config.read_text() + "\ntelemetry:\n  headers: {Authorization: Bearer 0f8a5c1e9b7d42636aa1b2c3}\n")
        _, checks = report(place, env={"NOMOS_IDENTITY_AGENT_SECRET": secret}, check=1)
        assert checks["files.modes"]["status"] == "FAIL", checks["files.modes"]


def on_terminal(args, env):
    """What the command writes when stdout and stderr are a terminal."""
    parent, child = pty.openpty()
    process = subprocess.Popen([BIN, *args], stdin=child, stdout=child, stderr=child, env={**os.environ, **env})
    os.close(child)
    got = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # how Linux says that the other end was closed
            break
        if not part:
            break
        got += part
    os.close(parent)
    process.wait(PATIENCE)
    return got


def test_colours_only_on_a_terminal_that_wants_them():
    with Start() as place:
        args = ["doctor", "-c", str(place.config)]
        env = {"TERM": "xterm", "NO_COLOR": "", "NOMOS_GATEWAY_LISTEN": "127.0.0.1:0"}
        assert ESCAPE in on_terminal(args, env)
        assert ESCAPE not in on_terminal(args, {**env, "NO_COLOR": "1"})
        assert ESCAPE not in on_terminal(args, {**env, "TERM": "Dumb"})
        assert ESCAPE in on_terminal(["help"], env)
        done = doctor(place, check=0, env={"TERM": "xterm", "NO_COLOR": ""})
        assert ESCAPE not in done.stdout + done.stderr
        done = place.run("help", env={"TERM": "xterm"}, check=0)
        assert ESCAPE not in done.stdout + done.stderr


def test_help_and_unknown_commands():
    with Start(init=False) as place:
        for args in (("help",), ("-h",), ("--help",)):
            done = place.run(*args, check=0)
            assert done.stdout == b"" and b"commands:" in done.stderr, done
        assert b"commands:" in place.run(check=2).stderr
        done = place.run("docter", check=2)
        assert b'did you mean "nomos doctor"?' in done.stderr, done.stderr
        done = place.run("config", "chekc", check=2)
        assert b'did you mean "nomos config check"?' in done.stderr, done.stderr
        done = place.run("send", "--explian", "x", check=2)
        assert b"did you mean --explain?" in done.stderr, done.stderr
        assert b"did you mean" not in place.run("zzzzzzzz", check=2).stderr
        assert place.run("config", check=2).stdout == b""
        place.run("config", "--help", check=0)
        for command in commands():
            done = place.run(command, "--help", check=0)
            assert done.stdout == b"" and b"usage:" in done.stderr, done


def commands(*group):
    text = subprocess.run([BIN, *group, "help"], capture_output=True, timeout=PATIENCE).stderr.decode()
    return re.findall(r"^  (\w+)  +", text, re.MULTILINE)


def flags_of(command):
    text = subprocess.run([BIN, *command, "--help"], capture_output=True, timeout=PATIENCE).stderr.decode()
    return re.findall(r"^  (?:-\w, )?--([a-z-]+)", text, re.MULTILINE)


def test_deny_takes_nothing_that_only_approve_takes():
    assert set(flags_of(("approvals", "approve"))) - set(flags_of(("approvals", "deny"))) == {"ack-redacted"}
    with Start(init=False) as place:
        done = place.run("approvals", "deny", "--ack-redacted", "apr_1", check=2)
        assert b"ack-redacted" in done.stderr, done.stderr


def test_manual_and_completions_know_every_command_and_flag():
    manual = (ROOT / "docs/nomos.1").read_text()
    completions = {p.name: p.read_text() for p in (ROOT / "completions").iterdir()}
    assert len(completions) == 3 and len(commands()) >= 8
    for command in commands():
        assert f".Ss {command}\n" in manual, command
        for name, text in completions.items():
            assert re.search(rf"\b{command}\b", text), (name, command)
    groups = ("config", "policy", "approvals", "actions", "audit", "keys")
    paths = [[c] for c in commands() if c not in groups] + [[g, c] for g in groups for c in commands(g)]
    assert len(paths) >= 20, paths
    for path in paths:
        for word in path:
            assert all(re.search(rf"\b{word}\b", text) for text in (manual, *completions.values())), path
        for flag in flags_of(path):
            assert f"-{flag}" in manual, (path, flag)
            for name, text in completions.items():
                assert re.search(rf"--{flag}\b|-l {flag}\b", text), (name, path, flag)
    if have("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(ROOT / "docs/nomos.1")], capture_output=True)
        assert done.returncode == 0, done.stdout
    subprocess.run(["bash", "-n", str(ROOT / "completions/nomos.bash")], check=True)


def test_bash_completes():
    script = f"source {ROOT}/completions/nomos.bash\n" + """
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nomos; echo "${COMPREPLY[@]}"; }
try nomos do
try nomos config ""
try nomos send --ex
try nomos serve -l ""
try nomos approvals approve --a
try nomos approvals deny --a
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines() == ["doctor", "check dump diff doc example schema", "--explain --exit-code",
                                        "error warn info debug", "--ack-redacted", ""], done.stdout


def test_install_puts_files_where_the_platform_looks():
    build = pathlib.Path(BIN).resolve().parent
    if not (build / "cmake_install.cmake").exists():
        return  # a program without its build folder: scripts/release looks at its installation
    with tempfile.TemporaryDirectory(prefix="nomos-e2e-") as folder:
        subprocess.run(["cmake", "--install", str(build), "--prefix", folder], check=True, capture_output=True)
        prefix = pathlib.Path(folder)
        for name in ("bin/nomos", "share/man/man1/nomos.1", "share/bash-completion/completions/nomos",
                     "share/zsh/site-functions/_nomos", "share/fish/vendor_completions.d/nomos.fish",
                     "share/doc/nomos/examples/nomos.example.yaml", "share/doc/nomos/examples/load-balancer.yaml",
                     "share/doc/nomos/examples/policies/service-actions.yaml"):
            assert (prefix / name).is_file(), name
        assert not (prefix / "share/doc/nomos/examples/starter").exists()
        subprocess.run([prefix / "bin/nomos", "version"], check=True, capture_output=True)


def test_examples_are_valid():
    with Start(init=False) as place:
        shutil.copytree(ROOT / "configs", place.dir / "configs")
        env = {"NOMOS_IDENTITY_API_KEY": "k" * 40, "NOMOS_IDENTITY_AGENT_SECRET": "s" * 40}
        place.run("config", "check", "-c", "configs/load-balancer.yaml", env=env, check=0)
        for path in sorted((place.dir / "configs/policies").iterdir()):
            done = place.run("policy", "hash", path, check=0)
            assert b"[WARN]" not in done.stderr, done.stderr
        done = place.run("policy", "hash", ROOT / "configs/starter/policy.yaml", check=0)
        assert b"[WARN]" not in done.stderr, done.stderr


def test_generated_files_are_what_the_program_prints():
    done = subprocess.run([ROOT / "scripts/generate", "--check"], env={**os.environ, "NOMOS_BIN": BIN}, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
