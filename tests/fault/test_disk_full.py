# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The ledger's disk is full: nothing is done without evidence, and space alone brings the gateway back (decisions 15)."""
import http.client
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import support
from evidence import read_ledger, verify
from support import BIN, PATIENCE, Gateway, Workplace, action, config, until


def write_action(name):
    return action("fs.write", f"file://workspace/out/{name}", {"content": "x" * 4000}, action_id=name)


def check_refuses(g, out, prefix="w"):
    """Evidence cannot be written: 503, no effect, not ready, alive. The names of what was begun all the same, because its intent
    fitted and its outcome did not: that is said too, and the outcome waits (decisions 15 c)."""
    unrecorded = []
    refused = []

    def write():
        name = f"{prefix}{len(unrecorded) + len(refused)}"
        r = g.act(write_action(name))
        assert r.status == 503, r
        if r.json["reason"].startswith("outcome_unrecorded"):
            assert name in r.json["reason"], r
            unrecorded.append(name)
        else:
            assert r.json["reason"].startswith("audit_error"), r
            assert not (out / name).exists(), "an effect without evidence"
            refused.append(name)
        return len(refused) >= 5
    until(write, "writes are refused")
    until(lambda: g.get("/readyz").status == 503, "not ready")
    assert g.get("/healthz").status == 200
    return unrecorded, refused


def check_recovers(g, out):
    until(lambda: g.act().status == 200, "decisions again, without a restart")
    until(lambda: g.get("/readyz").status == 200, "ready again")
    r = g.act(write_action("after"))
    assert r.status == 200 and (out / "after").read_text() == "x" * 4000, r


def act_until_full(g):
    """Writes records until one cannot be written; the answers of the good ones."""
    good = []

    def one():
        r = g.act()
        if r.status == 200:
            good.append(r.headers["X-Request-Id"])
            return False
        assert r.status == 503, r
        return True
    until(one, "the disk is full")
    return good


def check_ledger(rows, good, unrecorded, refused):
    intents = {r["request_id"]: r for _, r in rows if r["event_type"] == "action.decision"}
    assert set(good) <= set(intents), "an acknowledged answer is missing"
    outcomes = {}
    for _, r in rows:
        if r["event_type"] == "action.completed":
            outcomes.setdefault(r["action_id"], []).append(r["outcome"])
    for name in unrecorded:
        assert outcomes.get(name) == ["succeeded"], (name, outcomes.get(name))
    for name in refused:
        assert "succeeded" not in outcomes.get(name, []), (name, outcomes.get(name))


def namespace():
    """The command that gives the program mounts of its own, or Skip."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        test = subprocess.run([*words, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
        if test.returncode == 0:
            return words
    raise support.Skip("mounts are not allowed here")


class Mounts:
    """Mounts of their own that outlive the programs in them."""

    def __init__(self, place, script):
        words = namespace()
        self.user = [] if words[-1] == "-m" else ["-U", "--preserve-credentials"]
        self.place = place
        self.holder = subprocess.Popen([*words, "sh", "-c", f"{script} && echo ready && exec cat"], cwd=place.dir,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"

    @property
    def prefix(self):
        """The working folder is looked up inside: the mounts hide what lies below it outside."""
        return ["nsenter", "-t", str(self.holder.pid), "-m", *self.user, "sh", "-c", 'cd "$0" && exec "$@"', str(self.place.dir)]

    def run(self, *words):
        return subprocess.run([*self.prefix, *map(str, words)], capture_output=True, timeout=PATIENCE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)
        self.holder.stdout.close()


class SmallDisk:
    """A gateway whose ledger lies on a tmpfs that only it sees; inside is the way in."""

    def __init__(self, options="size=1536k", first="true", **sections):
        """first: what is done on the disk before the gateway starts."""
        self.words = namespace()
        self.place = Workplace(config(ledger={"path": "small/ledger.db"}, **sections))
        (self.place.dir / "small").mkdir()
        self.mount = ["sh", "-c", f'mount -t tmpfs -o {options} none small && {first} && exec "$@"', "sh"]

    def __enter__(self):
        try:
            self.gateway = Gateway(workplace=self.place, prefix=(*self.words, *self.mount))
        except BaseException:
            self.place.remove()
            raise
        self.inside = pathlib.Path(f"/proc/{self.gateway.process.pid}/root") / str(self.place.dir).lstrip("/")
        return self

    def __exit__(self, *error):
        try:
            return self.gateway.__exit__(*error)
        finally:
            self.place.remove()

    def run(self, *words):
        """A command of the program from inside: it does not follow links, and the way in from outside is one."""
        user = [] if self.words[-1] == "-m" else ["-U", "--preserve-credentials"]
        return subprocess.run(["nsenter", "-t", str(self.gateway.process.pid), "-m", *user, BIN, *map(str, words)],
                              capture_output=True, timeout=PATIENCE)

    @property
    def ledger(self):
        return self.place.dir / "small/ledger.db"

    def verify(self):
        done = self.run("audit", "verify", self.ledger)
        assert done.returncode == 0, done

    def fill(self):
        with open(self.inside / "small/filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\0" * 4096)
            except OSError:
                pass


def test_full_tmpfs_refuses_and_recovers_without_a_restart():
    with SmallDisk() as disk:
        g, out = disk.gateway, disk.place.dir / "workspace/out"
        assert g.act().status == 200
        disk.fill()
        good = act_until_full(g)
        unrecorded, refused = check_refuses(g, out)
        (disk.inside / "small/filler").unlink()
        check_recovers(g, out)
        disk.verify()
        check_ledger(read_ledger(disk.inside / "small/ledger.db"), good, unrecorded, refused)


def test_full_tmpfs_does_not_hold_up_the_end():
    """What waits for space is `unknown` at the next start; the process ends all the same."""
    with SmallDisk() as disk:
        g = disk.gateway
        disk.fill()
        act_until_full(g)
        check_refuses(g, disk.place.dir / "workspace/out")
        g.expect_exit = None
        g.stop()


def ignore_file_size_signal():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_reload_that_the_ledger_does_not_take_leaves_the_log_as_it_is():
    def reload(**log):
        g.place.write_config(config(log=log))
        return g.operator("POST", "/admin/reload")

    with Gateway(preexec_fn=ignore_file_size_signal) as g:
        assert g.act().status == 200
        unlimited = resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        act_until_full(g)
        assert reload(level="error").status == 400
        until(lambda: "did not take the record of the reload" in g.read_log(), "the reload is refused for that")
        resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, unlimited)
        until(lambda: g.act(action(action_id="again")).status == 200, "decisions again, without a restart")
        g.raw(b"rubbish\r\n\r\n")
        until(lambda: "refused a request from" in g.read_log(), "the level is the old one")
        assert reload(level="error").status == 200
        assert "reloaded: policy" not in g.read_log(), "the level is the new one"


def test_file_size_limit_refuses_and_recovers_without_a_restart():
    """The same by RLIMIT_FSIZE, which needs no mount."""
    place = Workplace()
    try:
        with Gateway(workplace=place, preexec_fn=ignore_file_size_signal) as g:
            assert g.act().status == 200
            unlimited = resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
            good = act_until_full(g)
            out = place.dir / "workspace/out"
            unrecorded, refused = check_refuses(g, out)
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, unlimited)
            check_recovers(g, out)
            verify(place)
            check_ledger(read_ledger(place.ledger), good, unrecorded, refused)
        verify(place)
        assert os.path.exists(place.ledger)
    finally:
        place.remove()


def people():
    identity = {"roles": {"operator": ["olga"], "approver": ["olga"], "viewer": ["olga"]}}
    return config(identity=identity, approvals={"enabled": True})


def transfer(n, approval=None):
    body = action("payments.transfer", "payment://bank.example.com/accounts/1", {"n": n}, action_id=f"transfer-{n}")
    if approval is not None:
        body["context"]["extensions"]["approval"] = {"approval_id": approval}
    return body


def check_refused(r):
    assert r.status == 503 and r.json["reason"].startswith("audit_error"), r


def test_what_people_decide_and_callers_repeat_waits_for_space():
    """Opened, decided, used, claimed, reported, settled: none of it without its record, all of it once there is space again."""
    place = Workplace(people())
    try:
        with Gateway(workplace=place, env={"NOMOS_FAULT": "effect.after:1:kill"}, expect_exit=None) as g:
            try:
                g.act(write_action("lost"))
            except (OSError, http.client.HTTPException):
                pass
            g.process.wait(PATIENCE)
        with Gateway(workplace=place, preexec_fn=ignore_file_size_signal) as g:
            def post(path, body):
                return g.operator("POST", path, json.dumps(body).encode())

            def decide(approval):
                raw = json.dumps({"approval_id": approval, "decision": "approve"}).encode()
                return g.request("POST", "/approvals/decide", raw, {"Authorization": f"Bearer {support.OPERATOR_KEY}", "Content-Type": "application/json"})

            def state(approval):
                return g.operator("GET", f"/api/ui/approvals/{approval}").json["status"]

            report = {"schema_version": "v1", "action_id": "refund-1", "trace_id": "trace-1", "action_type": "payments.refund",
                      "resource": "payment://shop.example.com/orders/1", "outcome": "SUCCEEDED"}
            settlement = {"outcome": "succeeded", "reason": "the file is there"}
            approved, pending = (g.act(transfer(n)).json["approval_id"] for n in (1, 2))
            assert decide(approved).status == 200
            assert g.act(action(action_id="refund-1")).json["decision"] == "ALLOW"
            [unknown] = g.operator("GET", "/api/ui/overview").json["unknown"]

            def settle():
                return post(f"/api/ui/actions/{unknown['seq']}/settle", settlement)

            unlimited = resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
            act_until_full(g)
            for _ in range(3):
                check_refused(g.act(transfer(3)))
                check_refused(decide(pending))
                check_refused(g.act(transfer(1, approved)))
                check_refused(g.act(action(action_id="keyed"), headers={"Idempotency-Key": "k"}))
                check_refused(g.post("/actions/report", report))
                check_refused(settle())
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, unlimited)
            until(lambda: g.act(action(action_id="again")).status == 200, "decisions again, without a restart")
            assert state(pending) == "PENDING" and state(approved) == "APPROVED"
            assert decide(pending).status == 200 and state(pending) == "APPROVED"
            assert g.act(transfer(1, approved)).json["decision"] == "ALLOW"
            assert g.act(transfer(1, approved)).json["approval_status"] == "consumed"
            first, second = (g.act(action(action_id="keyed"), headers={"Idempotency-Key": "k"}) for _ in range(2))
            assert first.json["decision"] == "ALLOW" and "Idempotency-Replayed" not in first.headers, first
            assert second.headers["Idempotency-Replayed"] == "true", second
            assert g.post("/actions/report", report).status == 200
            assert g.post("/actions/report", {**report, "outcome": "FAILED"}).status == 409
            assert [settle().status for _ in range(2)] == [200, 409]
            assert g.act(transfer(3)).json["approval_status"] == "pending"
            kinds = [r["event_type"] for r in g.records()]
            counted = {kind: kinds.count(kind) for kind in ("approval.requested", "approval.decided", "approval.applied",
                                                            "action.external_reported", "action.settled")}
            # Asked for: 1, 2, once more behind the use of 1, and 3 when there was space.
            assert counted == {"approval.requested": 4, "approval.decided": 2, "approval.applied": 1,
                               "action.external_reported": 1, "action.settled": 1}, counted
        verify(place)
    finally:
        place.remove()
