# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Weak spots of the reference that no other test covers; docs/reliability.md has the whole list with its tests."""
import json
import shutil
import socket
import threading

from pipes import drain, pipe_of
from support import AGENT_SECRET, API_KEY, OPERATOR_KEY, Gateway, PATIENCE, Workplace, action, config, until


def test_weak_spot_3_an_answer_that_takes_long_still_arrives():
    """Deadlines of reading and writing are apart from the action: what was done is never answered by a closed connection."""
    options = config(audit={"sink": "stdout", "required": "stdout", "required_deadline_ms": 60000},
                     gateway={"header_timeout_seconds": 1, "body_timeout_seconds": 1, "idle_timeout_seconds": 1,
                              "write_timeout_seconds": 1})
    place = Workplace(options)
    stop = threading.Event()
    try:
        with pipe_of(4096, is_full=True) as (read, write), Gateway(workplace=place, stdout=write) as g:
            reader = threading.Thread(target=drain, args=(read, stop))
            answers = []
            write_file = action("fs.write", "file://workspace/out/slow", {"content": "x"})
            waiting = threading.Thread(target=lambda: answers.append(g.act(write_file)))
            with socket.create_connection(g.address, timeout=PATIENCE) as idle:
                idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                waiting.start()
                while idle.recv(65536):
                    pass
                # This connection came first and its deadline is over; the action waits all the same.
                assert waiting.is_alive() and not answers, "the answer went out before the required sink had its record"
                idle.close()
            try:
                reader.start()
                until(lambda: answers, "the answer arrives")
            finally:
                waiting.join()
            assert answers[0].status == 200, answers
            assert (place.dir / "workspace/out/slow").read_text() == "x"
            g.stop()  # it needs the reader as well
            stop.set()
            reader.join()
    finally:
        stop.set()
        place.remove()


TRANSFER = ("payments.transfer", "payment://bank.example.com/accounts/1")


def ask_for_approval(g, **auth):
    reply = g.act(action(*TRANSFER), **auth).json
    assert reply["decision"] == "REQUIRE_APPROVAL", reply
    return reply["approval_id"]


def with_approval(approval):
    return action(*TRANSFER, context={"extensions": {"approval": {"approval_id": approval}}})


def decide(g, approval, key, decision="approve", **members):
    body = json.dumps({"approval_id": approval, "decision": decision, **members}).encode()
    return g.request("POST", "/approvals/decide", body, {"Authorization": f"Bearer {key}"})


def approvals_config(**approvals):
    """alice asks; olga decides."""
    return config(approvals={"enabled": True, **approvals}, identity={"roles": {"approver": ["olga", "alice"], "operator": ["olga"]},
                                                                      "agent_secrets": {"bot": AGENT_SECRET, "other": AGENT_SECRET}})


def test_weak_spot_5_each_route_of_an_agent_has_a_rate_of_its_own():
    """What one route has used up, the others still have; a client without a credential never gets as far."""
    report = {k: v for k, v in action(outcome="SUCCEEDED").items() if k not in ("params", "context")}
    routes = {"/action": action(), "/explain": action(), "/actions/report": report}
    with Gateway(config(gateway={"rate_limit_per_minute": 2})) as g:
        for path, body in routes.items():
            replies = [g.post(path, body) for _ in range(3)]
            assert [r.status for r in replies] == [200, 200, 429], (path, replies)
            assert 1 <= int(replies[2].headers["Retry-After"]) <= 60, replies[2].headers
        for path, body in routes.items():
            assert g.post(path, body, key="unknown").status == 401, path


def test_weak_spot_10_an_agent_cannot_approve_for_itself():
    """Not without a credential, not with its own, not by a webhook that nobody has configured."""
    with Gateway(approvals_config()) as g:
        approval = ask_for_approval(g)
        body = json.dumps({"approval_id": approval, "decision": "approve", "user_id": "U", "channel_id": "C",
                           "user_aad_id": "U", "conversation_id": "C"}).encode()
        for path in ("/approvals/decide", "/api/ui/approvals/decide"):
            assert g.request("POST", path, body).status == 401, path
        for path in ("/webhooks/approvals", "/webhooks/slack/approvals", "/webhooks/teams/approvals"):
            assert g.request("POST", path, body).status == 404, path
            for token in ("X-Nomos-Webhook-Token", "X-Nomos-Slack-Token", "X-Nomos-Teams-Token"):
                assert g.request("POST", path, body, {token: ""}).status == 404, path
        assert decide(g, approval, API_KEY).status == 403
        assert g.act(with_approval(approval)).json["decision"] == "REQUIRE_APPROVAL"
        assert not [r for r in g.records() if r["event_type"].startswith("approval.decided")]


def test_weak_spot_11_the_record_says_who_approved():
    with Gateway(approvals_config()) as g:
        approval = ask_for_approval(g)
        assert decide(g, approval, OPERATOR_KEY, reason="ticket 7").status == 200
        [record] = [r for r in g.records() if r["event_type"] == "approval.decided"]
        assert (record["approver"], record["reason"], record["principal"]) == ("olga", "ticket 7", "alice"), record


def test_weak_spot_12_one_use_by_one_identity():
    with Gateway(approvals_config()) as g:
        approval = ask_for_approval(g)
        assert decide(g, approval, OPERATOR_KEY).status == 200
        assert g.act(with_approval(approval), agent="other").json["decision"] == "REQUIRE_APPROVAL"
        assert g.act(with_approval(approval)).json["decision"] == "ALLOW"
        assert g.act(with_approval(approval)).json["decision"] == "REQUIRE_APPROVAL"
        assert decide(g, ask_for_approval(g), OPERATOR_KEY, "deny").status == 200
        assert g.act(action(*TRANSFER)).json["reason"] == "denied_by_approver"


def test_weak_spot_32_one_action_is_asked_for_once():
    """Many at once that ask for the same get the same approval."""
    with Gateway(approvals_config()) as g:
        ids = []
        threads = [threading.Thread(target=lambda: ids.append(ask_for_approval(g))) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(ids) == 16 and len(set(ids)) == 1, ids
        assert len([r for r in g.records() if r["event_type"] == "approval.requested"]) == 1


def test_weak_spot_36_an_answer_says_what_happened():
    """A denial is no ALLOW, a size and a type have statuses of their own, a fault of the server is not the client's, names have one style."""
    with Gateway(approvals_config()) as g:
        told = decide(g, ask_for_approval(g), OPERATOR_KEY, "deny")
        assert told.status == 200 and (told.json["decision"], told.json["reason"]) == ("DENY", "approval_recorded"), told
        told = decide(g, ask_for_approval(g, agent="other"), OPERATOR_KEY)
        assert told.status == 200 and (told.json["decision"], told.json["reason"]) == ("ALLOW", "approval_recorded"), told
        assert g.post("/action", b" " * 70000).status == 413
        assert g.post("/action", action(), headers={"Content-Type": "text/plain"}).status == 415
        shutil.rmtree(g.place.dir / "workspace")
        gone = g.act(action("fs.read", "file://workspace/README.md"))
        assert gone.status == 500 and gone.json["reason"].startswith("execution_error") and str(g.place.dir) not in gone.body.decode(), gone
        traces = g.operator("GET", "/api/ui/traces").json
        assert traces["traces"] and all(name == name.lower() for trace in traces["traces"] for name in trace), traces
