# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The failures around COMMIT (decisions 15), in the real program: what the caller hears, what the ledger says, what was done."""
import contextlib
import http.client
import json
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import check_effects, make_action, open_intents, read_ledger, verify
from support import OPERATOR_KEY, PATIENCE, Gateway, Workplace, action, config, until


class Faulty:
    """A gateway in a place of its own whose calls fail while the fault is on."""

    def __init__(self, fault, options=None, expect_exit=0, policy=None, place=None):
        self.place = place or Workplace(options or config(), policy)
        self.gate = self.place.dir / "fault-is-on"
        self.log = self.place.dir / "points"
        self.gateway = Gateway(workplace=self.place, expect_exit=expect_exit, env={
            "NOMOS_FAULT": fault, "NOMOS_FAULT_WHILE": str(self.gate), "NOMOS_FAULT_LOG": str(self.log)})

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                self.gateway.kill()  # it may be stopped
            self.gateway.__exit__(kind, value, trace)
            if kind is None:
                verify(self.place)
        finally:
            self.place.remove()

    def set_fault(self, is_on):
        if is_on:
            self.gate.touch()
        else:
            self.gate.unlink()

    def is_stopped(self):
        stat = pathlib.Path(f"/proc/{self.gateway.process.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] == "T"

    def is_ready(self):
        return self.gateway.get("/readyz").status == 200

    def out(self, action_id):
        return self.place.dir / "workspace/out" / action_id

    def of_action(self, action_id):
        """(state, record) of the action's decision and of its outcomes."""
        rows = [(s, r) for s, r in read_ledger(self.place.ledger) if r.get("action_id") == action_id]
        return ([x for x in rows if x[1]["event_type"] == "action.decision"],
                [x for x in rows if x[1]["event_type"] == "action.completed"])

    def effects(self):
        return self.log.read_text().split().count("effect.before")

    def check_refused_and_not_done(self, action_id, reply):
        assert reply.status == 503 and reply.json["reason"].startswith("audit_error"), reply
        assert not self.out(action_id).exists() and self.effects() == 0

    def check_given_back(self, action_id):
        """The intent is there, closed by exactly one outcome that says that nothing was done."""
        decisions, outcomes = self.of_action(action_id)
        assert [s for s, _ in decisions] == [0] and decisions[0][1]["decision"] == "ALLOW", decisions
        assert [r["outcome"] for _, r in outcomes] == ["failed"] and outcomes[0][1]["reason"] == "not_executed", outcomes

    def check_works_again(self):
        until(self.is_ready, "ready")
        assert self.gateway.act(make_action("write", "afterwards")).status == 200 and self.out("afterwards").exists()


def test_a_required_sink_that_misses_its_deadline_after_the_commit():
    options = config(audit={"sink": "stdout", "required": "all", "required_deadline_ms": 200})
    with Faulty("sink.deliver.before:1-:error=EIO", options) as f:
        f.set_fault(True)
        f.check_refused_and_not_done("late", f.gateway.act(make_action("write", "late")))
        assert not f.is_ready()
        f.set_fault(False)
        f.check_works_again()
        f.check_given_back("late")


def test_a_commit_that_fails_and_wrote_nothing():
    with Faulty("ledger.commit.before:1-:error=EIO") as f:
        f.set_fault(True)
        f.check_refused_and_not_done("lost", f.gateway.act(make_action("write", "lost")))
        assert not f.is_ready()
        f.set_fault(False)
        f.check_works_again()
        assert f.of_action("lost") == ([], [])


def test_a_commit_that_fails_and_wrote_everything():
    """The COMMIT that fails first may be a chore's; the decision behind it is refused at the door then, and another one is tried."""
    with Faulty("ledger.commit.after:1-:error=EIO") as f:
        for i in range(20):
            f.set_fault(True)
            f.check_refused_and_not_done(f"kept{i}", f.gateway.act(make_action("write", f"kept{i}")))
            f.set_fault(False)
            until(f.is_ready, "ready")
            if f.of_action(f"kept{i}")[0]:
                break
        else:
            raise AssertionError("no decision was in a COMMIT that failed")
        until(lambda: f.of_action(f"kept{i}")[1], "given back")
        f.check_given_back(f"kept{i}")
        f.check_works_again()


VOTERS = {"identity": {"roles": {"approver": ["olga"]}}, "approvals": {"enabled": True}}
ASKS = {"version": "v1", "rules": [
    {"id": "asks", "action_type": "payments.refund", "resource": "payment://shop.example.com/**", "decision": "REQUIRE_APPROVAL"},
    {"id": "goes", "action_type": "payments.list", "resource": "payment://shop.example.com/**", "decision": "ALLOW"},
    {"id": "writes", "action_type": "fs.write", "resource": "file://workspace/out/**", "decision": "ALLOW"}]}


@contextlib.contextmanager
def voting(fault):
    """A vote whose COMMIT meets the fault: (what stands of it afterwards, what the voter heard)."""
    heard = {}
    with Faulty(fault, config(**VOTERS), policy=ASKS) as f:
        asked = f.gateway.act(action("payments.refund", "payment://shop.example.com/orders/1", {"n": 1})).json["approval_id"]

        def decide():
            body = json.dumps({"approval_id": asked, "decision": "approve"}).encode()
            return f.gateway.request("POST", "/approvals/decide", body,
                                     {"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"})

        f.set_fault(True)
        heard["vote"] = decide()
        f.set_fault(False)
        until(f.is_ready, "ready")
        stands = [r for _, r in read_ledger(f.place.ledger) if r["event_type"] == "approval.decided"]
        yield stands, heard["vote"]
        # Whatever was said, to decide again ends in one approval that is given.
        again = decide()
        assert again.status == 200 and again.json["status"] == "APPROVED", again
        assert len([r for _, r in read_ledger(f.place.ledger) if r["event_type"] == "approval.decided"]) == 1


def test_a_vote_whose_commit_fails_and_wrote_nothing_is_not_recorded():
    with voting("ledger.commit.before:1-:error=EIO") as (stands, reply):
        assert stands == [] and reply.status == 503 and reply.json["reason"] == "audit_error: the ledger cannot take this now", reply


def test_a_vote_whose_commit_fails_and_wrote_everything_is_said_to_stand():
    with voting("ledger.commit.after:1-:error=EIO") as (stands, reply):
        assert len(stands) == 1 and reply.status == 503 and "it is recorded and stands" in reply.json["reason"], reply


def test_a_vote_of_which_nobody_can_say_whether_it_was_written_is_called_unknown():
    with voting("ledger.commit.after:1-:error=EIO,vfs.open.before:1-:error=EIO") as (stands, reply):
        assert len(stands) == 1 and reply.status == 503, reply
        assert reply.json["reason"].startswith("outcome_unknown: ") and "look at the approval" in reply.json["reason"], reply


NOBODY_CAN_SAY = "ledger.commit.after:1-:error=EIO,vfs.open.before:1-:error=EIO"


def ask_with_a_doubtful_commit(f, ask):
    """What the caller hears. The rule that stops is in its transaction: what is looked up before has been."""
    heard = []
    assert not f.is_stopped()
    asking = threading.Thread(target=lambda: heard.append(ask()), daemon=True)
    asking.start()
    until(f.is_stopped, "stopped in the transaction")
    f.set_fault(True)
    f.gateway.signal(signal.SIGCONT)
    asking.join()
    f.set_fault(False)
    until(f.is_ready, "ready")
    return heard[0]


def test_a_report_of_which_nobody_can_say_whether_it_was_written_is_called_unknown():
    report = {"schema_version": "v1", "action_id": "act-1", "trace_id": "trace-1", "action_type": "payments.refund",
              "resource": "payment://shop.example.com/orders/1", "outcome": "SUCCEEDED"}
    with Faulty("ledger.close.after:1:stop," + NOBODY_CAN_SAY) as f:
        assert f.gateway.act(action()).json["decision"] == "ALLOW"
        reply = ask_with_a_doubtful_commit(f, lambda: f.gateway.post("/actions/report", report))
        assert reply.status == 503 and reply.json["reason"].startswith("outcome_unknown: "), reply
        assert "report it again" in reply.json["reason"], reply
        again = f.gateway.post("/actions/report", report)
        assert again.status == 200 and again.json["recorded"] is True, again
        assert len([r for _, r in read_ledger(f.place.ledger) if r["event_type"] == "action.external_reported"]) == 1
        assert f.gateway.post("/actions/report", {**report, "outcome": "FAILED"}).status == 409


def leave_unknown(place):
    with Gateway(workplace=place, env={"NOMOS_FAULT": "effect.before:1:kill"}, expect_exit=-9) as g:
        with contextlib.suppress(OSError, http.client.HTTPException):  # it dies before it answers
            g.act(make_action("write", "lost"))
        g.process.wait(PATIENCE)


def test_a_settlement_of_which_nobody_can_say_whether_it_was_written_is_called_unknown():
    place = Workplace()
    leave_unknown(place)
    # The third record of a start: that it has begun and what was left come before the settlement.
    with Faulty("ledger.append.after:3:stop," + NOBODY_CAN_SAY, place=place) as f:
        [unknown] = f.gateway.operator("GET", "/api/ui/overview").json["unknown"]

        def settle():
            body = json.dumps({"outcome": "failed", "reason": "there is no file"}).encode()
            return f.gateway.operator("POST", f"/api/ui/actions/{unknown['seq']}/settle", body)

        reply = ask_with_a_doubtful_commit(f, settle)
        assert reply.status == 503 and reply.json["reason"].startswith("outcome_unknown: "), reply
        assert "settle it again" in reply.json["reason"], reply
        again = settle()
        assert again.status == 409 and again.json["reason"].startswith("already_settled"), again
        assert len([r for _, r in read_ledger(f.place.ledger) if r["event_type"] == "action.settled"]) == 1


@contextlib.contextmanager
def outcome_cannot_be_written(expect_exit=0):
    """The fault begins once the effect has run: the process is stopped there."""
    with Faulty("effect.after:1:stop,ledger.commit.before:1-:error=EIO", expect_exit=expect_exit) as f:
        replies = []
        asking = threading.Thread(target=lambda: replies.append(f.gateway.act(make_action("write", "done"))), daemon=True)
        asking.start()
        until(f.is_stopped, "stopped at the point")
        assert [s for s, _ in f.of_action("done")[0]] == [1] and f.out("done").exists()
        f.set_fault(True)
        f.gateway.signal(signal.SIGCONT)
        asking.join()
        assert replies[0].status == 503 and replies[0].json["reason"].startswith("outcome_unrecorded"), replies
        assert "action done" in replies[0].json["reason"], replies
        assert f.gateway.act(make_action("write", "more")).status == 503 and f.of_action("done")[1] == []
        yield f


def test_an_outcome_that_cannot_be_written_is_written_when_the_ledger_works_again():
    with outcome_cannot_be_written() as f:
        f.set_fault(False)
        until(lambda: f.of_action("done")[1], "the outcome")
        decisions, outcomes = f.of_action("done")
        assert [s for s, _ in decisions] == [0] and [r["outcome"] for _, r in outcomes] == ["succeeded"], (decisions, outcomes)
        assert f.effects() == 1
        f.check_works_again()


def test_an_outcome_that_was_never_written_is_unknown_after_the_process_died():
    with outcome_cannot_be_written(expect_exit=-9) as f:
        f.gateway.kill()
        f.out("done").write_text("changed since\n")
        with Gateway(workplace=f.place, env={"NOMOS_FAULT_LOG": str(f.log)}) as again:
            assert again.act(make_action("decide", "next")).status == 200
        decisions, outcomes = f.of_action("done")
        assert [s for s, _ in decisions] == [0] and [r["outcome"] for _, r in outcomes] == ["unknown"], (decisions, outcomes)
        assert f.effects() == 1 and f.out("done").read_text() == "changed since\n"


def cut_at_once(f):
    f.gateway.kill()


def cut_behind_the_next(f):
    """It goes on, and dies at the next point that kills: other commits, before it stopped, do not count."""
    f.set_fault(True)
    f.gateway.signal(signal.SIGCONT)
    f.gateway.process.wait(PATIENCE)


def stop_and_kill(fault, check, cut=cut_at_once):
    """Stops at the point, is cut, looks, starts again; the action's records."""
    def ask():
        with contextlib.suppress(Exception):  # the process is killed before it answers
            answers.append(f.gateway.act(make_action("write", "cut")))

    answers = []
    with Faulty(fault, expect_exit=-9) as f:
        asking = threading.Thread(target=ask)
        asking.start()
        until(f.is_stopped, "stopped at the point")
        cut(f)
        check(f)
        asking.join()
        assert not answers
        with Gateway(workplace=f.place) as again:
            assert again.act(make_action("decide", "next")).status == 200
        rows = read_ledger(f.place.ledger)
        assert not open_intents(rows)
        check_effects(f.place, [], rows)
        return f.of_action("cut")


def test_the_intent_is_durable_before_the_effect_begins():
    def check(f):
        assert [s for s, _ in f.of_action("cut")[0]] == [1] and not f.out("cut").exists()
    _, outcomes = stop_and_kill("effect.before:1:stop", check)
    assert [r["outcome"] for _, r in outcomes] == ["unknown"]


def test_an_effect_that_happened_and_was_not_settled_is_unknown():
    def check(f):
        assert f.of_action("cut")[1] == [] and f.out("cut").read_text() == "written by cut\n"
    _, outcomes = stop_and_kill("fs_write.rename.after:1:stop", check)
    assert [r["outcome"] for _, r in outcomes] == ["unknown"]


def test_the_outcome_is_durable_before_the_answer():
    def check(f):
        decisions, outcomes = f.of_action("cut")
        assert [s for s, _ in decisions] == [0] and [r["outcome"] for _, r in outcomes] == ["succeeded"]
    _, outcomes = stop_and_kill("ledger.close.after:1:stop", lambda f: None)  # in the transaction, and not committed
    assert [r["outcome"] for _, r in outcomes] == ["unknown"]
    _, outcomes = stop_and_kill("ledger.close.after:1:stop,ledger.commit.after:1-:kill", check, cut_behind_the_next)
    assert [r["outcome"] for _, r in outcomes] == ["succeeded"]
