# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Retries: one Idempotency-Key, one effect, whatever happens in between; what a caller reports, and what an operator settles."""
import concurrent.futures
import json

from support import Gateway, Workplace, action, config, required_sink, until


def write(content="x", name="once", **members):
    return action("fs.write", f"file://workspace/out/{name}", {"content": content}, **members)


def key(value):
    return {"Idempotency-Key": value}


def decisions(g):
    return [x for x in g.records() if x["event_type"] == "action.decision"]


def test_a_retry_gets_the_stored_answer():
    with Gateway() as g:
        file = g.place.dir / "workspace" / "out" / "once"
        first = g.act(write(), headers=key("k-1"))
        assert first.status == 200 and first.json["bytes_written"] == 1, first
        assert "Idempotency-Replayed" not in first.headers
        file.unlink()
        for path in ("/action", "/run"):
            r = g.post(path, write(action_id="act-2", trace_id="trace-2"), headers=key("k-1"))
            assert r.status == 200 and r.headers["Idempotency-Replayed"] == "true", r
            assert r.body == first.body, (r, first)
        assert not file.exists() and len(decisions(g)) == 1
        r = g.act(write("y"), headers=key("k-1"))
        assert r.status == 422 and r.json["reason"].startswith("idempotency_mismatch: "), r
        # Without the key it is an action like any other, and so is an explanation with one.
        assert g.act(write()).status == 200 and file.exists()
        assert g.post("/explain", write("z"), headers=key("k-1")).status == 200


def test_a_retry_after_a_restart():
    place = Workplace()
    try:
        with Gateway(workplace=place) as g:
            first = g.act(headers=key("pay"))
            assert first.json["execution_mode"] == "external_authorized", first
        with Gateway(workplace=place) as g:
            r = g.act(headers=key("pay"))
            assert r.body == first.body and r.headers["Idempotency-Replayed"] == "true", r
            assert len(decisions(g)) == 1
    finally:
        place.remove()


def test_what_did_not_happen_may_be_tried_again():
    with Gateway() as g:
        body = action("fs.read", "file://workspace/later.txt")
        r = g.act(body, headers=key("k"))
        assert r.status == 400 and r.json["reason"].startswith("execution_error: "), r
        (g.place.dir / "workspace" / "later.txt").write_text("here")
        r = g.act(body, headers=key("k"))
        assert r.status == 200 and r.json["output"] == "here" and "Idempotency-Replayed" not in r.headers, r
        # A denial is no answer to keep.
        denied = action("fs.read", "file://workspace/.env")
        assert [g.act(denied, headers=key("d")).json["decision"] for _ in range(2)] == ["DENY", "DENY"]


def test_many_at_once_have_one_effect():
    with Gateway(config(gateway={"concurrency_limit": 100})) as g:
        bodies = [json.dumps(write(action_id=f"act-{i}")).encode() for i in range(40)]

        def send(body):
            while True:
                r = g.act(body, headers=key("race"))
                if r.status != 409:
                    return r
                assert r.json["reason"].startswith("idempotency_in_progress: ") and r.headers["Retry-After"] == "1", r

        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            replies = list(pool.map(send, bodies))
        assert {r.status for r in replies} == {200}, replies
        assert len({r.body for r in replies}) == 1
        assert sum("Idempotency-Replayed" not in r.headers for r in replies) == 1
        records = g.records()
        assert len([x for x in records if x["event_type"] == "action.decision"]) == 1
        assert len([x for x in records if x["event_type"] == "action.completed"]) == 1


def test_a_key_has_a_form():
    with Gateway() as g:
        for bad in ("", "two words", "k" * 256):
            r = g.act(headers=key(bad))
            assert r.status == 400 and r.json["reason"].startswith("validation_error: Idempotency-Key"), (bad, r)
        assert g.act(headers=key("k" * 255)).status == 200
        raw = json.dumps(write()).encode()
        assert g.request("POST", "/action", raw, key("k")).status == 401


def test_an_identity_has_so_many_keys():
    with Gateway(config(idempotency={"max_keys_per_identity": 2})) as g:
        for i in range(2):
            assert g.act(headers=key(f"k{i}")).status == 200
        r = g.act(headers=key("k2"))
        assert r.status == 429 and r.json["reason"].startswith("idempotency_limit: ") and r.headers["Retry-After"] == "60", r
        assert g.act(headers=key("k1")).headers["Idempotency-Replayed"] == "true"
        assert len(decisions(g)) == 2


def test_without_a_ledger_a_key_is_refused():
    # Ignoring it could let a retry act twice.
    with Gateway(config(runtime={"stateless_mode": True}, ledger=None, audit={"sink": "stdout"})) as g:
        r = g.act(write(), headers=key("k"))
        assert r.status == 400 and r.json["reason"].startswith("not_enabled: Idempotency-Key"), r
        assert not (g.place.dir / "workspace" / "out").exists()


# ---- reports ----

def report(outcome="SUCCEEDED", **members):
    body = {"schema_version": "v1", "action_id": "act-1", "trace_id": "trace-1", "action_type": "payments.refund",
            "resource": "payment://shop.example.com/orders/1", "outcome": outcome}
    body.update(members)
    return body


def tell(g, body=None, **kwargs):
    return g.post("/actions/report", report() if body is None else body, **kwargs)


def events(g, name):
    return [x for x in g.records() if x["event_type"] == name]


def test_an_outcome_is_reported_once():
    with Gateway() as g:
        r = tell(g)
        assert r.status == 404 and r.json["reason"].startswith("report_unmatched: "), r
        assert g.act().json["report_path"] == "/actions/report"
        # What the SDKs send (reference, nomos-mcp-cli.md 10).
        body = report("FAILED", message="card declined, Bearer abcdefghijklmnopqrstuvwxyz0123456789", external_reference="re_1",
                      status_code=402)
        r = tell(g, body, headers={"X-Nomos-SDK-Contract": "v1"})
        assert r.status == 200 and r.json == {"recorded": True, "trace_id": "trace-1", "action_id": "act-1", "outcome": "FAILED"}, r
        # The same again is the same; anything else comes too late.
        assert tell(g, body).json == r.json
        r = tell(g)
        assert r.status == 409 and r.json["reason"].startswith("already_reported: "), r
        told = events(g, "action.external_reported")
        assert len(told) == 1, told
        assert told[0]["outcome"] == "failed" and told[0]["reason"] == "FAILED" and told[0]["retryable"] is True
        assert told[0]["result_classification"] == "UPSTREAM_ERROR"
        assert told[0]["executor_metadata"] == {"execution_mode": "caller_reported", "external_reference": "re_1",
                                                "nomos_executed": False, "reported_outcome": "FAILED", "status_code": 402}
        assert told[0]["intent_seq"] == decisions(g)[0]["seq"] and "abcdefghijklmnop" not in json.dumps(told)
        assert g.place.run("audit", "verify", g.place.ledger).returncode == 0


def test_a_report_is_of_its_own_identity_and_action():
    options = config(identity={"agent_secrets": {"bot": "agent-secret", "other": "other-secret"}})
    with Gateway(options) as g:
        granted = g.act().json
        r = tell(g, agent="other", secret="other-secret")
        assert r.status == 404, r
        for wrong in ({"action_type": "payments.transfer"}, {"resource": "payment://shop.example.com/orders/2"},
                      {"approval_fingerprint": "0" * 64}, {"approval_id": "apr_1"}):
            r = tell(g, report(**wrong))
            assert r.status == 422 and r.json["reason"].startswith("report_mismatch: "), (wrong, r)
        for wrong in ({"trace_id": "trace-2"}, {"action_id": "act-2"}, {"trace_id": "trace"}):
            assert tell(g, report(**wrong)).status == 404, wrong
        assert not events(g, "action.external_reported")
        assert tell(g, report(approval_fingerprint=granted["approval_fingerprint"])).status == 200
        # What we carried out ourselves, and what was denied, is nobody's to report.
        g.act(action("payments.transfer", "payment://bank.example.com/1", action_id="act-3"))
        assert tell(g, report(action_id="act-3", action_type="payments.transfer", resource="payment://bank.example.com/1")).status == 404


def test_reports_that_are_malformed():
    with Gateway() as g:
        g.act()
        for body, text in (
                (report(schema_version="v2"), "schema_version must be v1"), (report(action_id=" "), "action_id is required"),
                (report(trace_id=""), "trace_id is required"), (report(action_type="BadAction"), "action_type has invalid format"),
                (report(action_type="fs.read"), "built-in action types do not support external outcome reporting"),
                (report(resource=""), "resource is required"), (report("succeeded"), "outcome must be SUCCEEDED or FAILED"),
                (report(extra=1), "unknown field"), (report(Outcome="FAILED"), "differs only in case"),
                (report(status_code="200"), "status_code must be an integer"), (report(message=7), "message must be a string"),
                (b"[]", "object"), (b"{", "")):
            r = tell(g, body)
            assert r.status == 400 and r.json["reason"].startswith("validation_error: ") and text in r.json["reason"], (body, r)
        r = tell(g, report(resource="payment://shop.example.com/../x"))
        assert r.status == 400 and r.json["reason"].startswith("normalization_error: "), r
        assert g.request("POST", "/actions/report", json.dumps(report()).encode()).status == 401
        assert not events(g, "action.external_reported")
        assert tell(g).status == 200


def test_many_reports_at_once_are_recorded_once():
    with Gateway() as g:
        g.act()
        bodies = [report(message=str(i % 4)) for i in range(24)]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            replies = list(pool.map(lambda body: tell(g, body), bodies))
        assert {r.status for r in replies} <= {200, 409, 503}, replies
        told = events(g, "action.external_reported")
        assert len(told) == 1, told
        # Whoever was told that it is recorded said the same.
        said = {body["message"] for body, r in zip(bodies, replies) if r.status == 200}
        assert said == {told[0]["result_redacted_summary"]}, (said, told)


def test_a_report_without_a_ledger_is_recorded_unmatched():
    with Gateway(config(runtime={"stateless_mode": True}, ledger=None, audit={"sink": "stdout"})) as g:
        r = tell(g)
        assert r.status == 200 and r.json["recorded"] is True and r.json["matched"] is False, r


# ---- action ids ----

def test_an_action_id_is_of_one_action():
    place = Workplace(config(idempotency={"max_action_ids": 1000}))
    try:
        with Gateway(workplace=place) as g:
            assert g.act().json["decision"] == "ALLOW"
            assert g.act(headers=key("k")).json["decision"] == "ALLOW", "a retry"
            other = action(resource="payment://shop.example.com/orders/2")
            for headers in (None, key("k2")):
                r = g.act(other, headers=headers)
                assert r.status == 422 and r.json["reason"].startswith("action_id_reused: "), r
            # The refused one has used up neither id nor key, and a denial uses none.
            assert g.act(action(resource="payment://shop.example.com/orders/2", action_id="act-2"), headers=key("k2")).status == 200
            denied = action("fs.read", "file://workspace/.env", action_id="act-3")
            assert g.act(denied).json["decision"] == "DENY"
            assert g.act(action("fs.read", "file://workspace/README.md", action_id="act-3")).json["decision"] == "ALLOW"
            assert len(decisions(g)) == 5
            for i in range(300):
                g.act(action(action_id=f"old-{i}"))
        # Each is asked for once: what comes before the old records are read is the newer use, and stands.
        old = (f"old-{i}" for i in range(300))
        with Gateway(workplace=place) as g:
            until(lambda: g.act({**other, "action_id": next(old)}).status == 422, "the newest records have been read")
    finally:
        place.remove()




# ---- with people ----

def test_a_retry_of_what_a_person_allowed():
    approver = "approver-key"
    options = config(approvals={"enabled": True}, idempotency={"max_action_ids": 1000},
                     identity={"api_keys": {"test-api-key-1": "alice", approver: "carol"}, "roles": {"approver": ["carol"]}})
    with Gateway(options) as g:
        def ask(approval=None, headers=None):
            body = action("payments.transfer", "payment://bank.example.com/1", {"n": 1})
            if approval is not None:
                body["context"]["extensions"]["approval"] = {"approval_id": approval}
            return g.act(body, headers=headers)

        # Nothing is allowed yet, so nothing is kept: the key waits for its action.
        approval = ask(headers=key("k")).json["approval_id"]
        assert ask(headers=key("k")).json["approval_id"] == approval
        raw = json.dumps({"approval_id": approval, "decision": "approve"}).encode()
        r = g.request("POST", "/approvals/decide", raw, {"Authorization": f"Bearer {approver}", "Content-Type": "application/json"})
        assert r.status == 200, r
        first = ask(approval, key("k"))
        assert first.json["decision"] == "ALLOW" and "Idempotency-Replayed" not in first.headers, first
        # The approval is used up; whoever lost the answer has it still, with the approval's id or without.
        for again in (ask(approval, key("k")), ask(None, key("k"))):
            assert again.headers["Idempotency-Replayed"] == "true" and again.json["decision"] == "ALLOW", again
            assert again.json["approval_id"] == approval
            assert again.json["approval_expires_at"] == first.json["approval_expires_at"], again
            assert again.json["reason"] == first.json["reason"] and again.json["execution_mode"] == "external_authorized", again
        assert ask(approval).json["decision"] == "REQUIRE_APPROVAL"
        assert len([x for x in decisions(g) if x["decision"] == "ALLOW"]) == 1
        body = report(action_type="payments.transfer", resource="payment://bank.example.com/1", approval_id=approval)
        assert tell(g, {**body, "approval_id": "apr_" + "0" * 24}).status == 422
        assert tell(g, body).status == 200
        assert events(g, "action.external_reported")[0]["approval_id"] == approval


def test_a_report_that_a_required_sink_has_not_taken_is_said_to_stand():
    with required_sink() as (audit, takes), Gateway(config(audit=audit)) as g:
        assert g.act().json["decision"] == "ALLOW"
        takes.clear()
        r = tell(g)
        assert r.status == 503 and "it is recorded and stands" in r.json["reason"], r
        takes.set()
        until(lambda: tell(g).status == 200, "the sink has caught up")
        assert tell(g, report("FAILED")).status == 409
        assert len(events(g, "action.external_reported")) == 1
