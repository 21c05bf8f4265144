# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Actions that wait for a person: asked for, decided, used once, over HTTP and in the ledger (nomos-http.md 1.7, 5; decisions 9, 26 to 30)."""
import contextlib
import http.client
import http.server
import json
import threading

from support import AGENT_SECRET, API_KEY, OPERATOR_KEY, Gateway, Workplace, action, config, required_sink, until

CAROL = "key-of-carol-000001"
DORA = "key-of-dora-0000001"
EVE = "key-of-eve-00000001"
TOKEN = "relay-token-0123456789"

TRANSFER = "payment://bank.example.com/accounts/1"
POLICY = {
    "version": "v1",
    "rules": [
        {"id": "ask-transfer", "action_type": "payments.transfer", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL"},
        {"id": "ask-two", "action_type": "payments.close", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL", "obligations": {"approvers": {"min": 2}}},
        {"id": "ask-carol", "action_type": "payments.grant", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL", "obligations": {"approvers": {"principals": ["carol"]}}},
        {"id": "ask-class", "action_type": "payments.batch", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL",
         "obligations": {"approval_scope_class": "action_type_resource", "approval_max_uses": 3}},
        {"id": "ask-short", "action_type": "payments.soon", "resource": "payment://bank.example.com/**",
         "decision": "REQUIRE_APPROVAL", "obligations": {"approval_ttl_seconds": 1}},
        {"id": "ask-write", "action_type": "fs.write", "resource": "file://workspace/out/**", "decision": "REQUIRE_APPROVAL"},
    ],
}


def options(**sections):
    identity = {
        "api_keys": {API_KEY: "alice", OPERATOR_KEY: "olga", CAROL: "carol", DORA: "dora", EVE: "eve"},
        "agent_secrets": {"bot": AGENT_SECRET, "other": AGENT_SECRET},
        "roles": {"operator": ["olga"], "approver": ["carol", "dora"], "viewer": ["eve", "alice"]},
    }
    approvals = {"enabled": True, "approver_principals": ["alice"]}
    return config(**{**sections, "identity": {**identity, **sections.get("identity", {})},
                     "approvals": {**approvals, **sections.get("approvals", {})}})


@contextlib.contextmanager
def gateway(policy=None, **sections):
    with Gateway(options(**sections), policy or POLICY) as g:
        yield g


def transfer(n=1, approval=None, kind="payments.transfer", **members):
    body = action(kind, TRANSFER, {"n": n}, **members)
    if approval is not None:
        body["context"]["extensions"]["approval"] = {"approval_id": approval}
    return body


def decide(g, approval, decision="approve", key=CAROL, path="/approvals/decide", **members):
    body = json.dumps({"approval_id": approval, "decision": decision, **members}).encode()
    return g.request("POST", path, body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})


def ask(g, n=1, **members):
    r = g.act(transfer(n, **members))
    assert r.status == 200 and r.json["decision"] == "REQUIRE_APPROVAL", r
    return r.json


def page(g, path, key=EVE):
    return g.get(path, {"Authorization": f"Bearer {key}"})


def events(g, name):
    return [r for r in g.records() if r["event_type"] == name]


def test_asked_for_approved_and_used_once():
    with gateway() as g:
        asked = ask(g)
        assert asked["reason"] == "require_approval_by_rule" and asked["approval_status"] == "pending", asked
        assert asked["approval_id"].startswith("apr_") and len(asked["approval_id"]) == 28
        assert len(asked["approval_fingerprint"]) == 64 and asked["approval_expires_at"].endswith("Z")
        apr = asked["approval_id"]
        assert ask(g)["approval_id"] == apr, "a repeat gets the approval that is pending"
        r = decide(g, apr, reason="call 17")
        assert r.status == 200, r
        assert r.json == {"decision": "ALLOW", "reason": "approval_recorded", "approval_id": apr, "status": "APPROVED",
                          "approval_fingerprint": asked["approval_fingerprint"],
                          "approval_expires_at": asked["approval_expires_at"], "votes": 1, "needed": 1}, r
        r = g.act(transfer(1, apr, action_id="act-2")).json
        assert (r["decision"], r["reason"], r["approval_id"]) == ("ALLOW", "allow_by_approval", apr), r
        assert r["execution_mode"] == "external_authorized"
        again = g.act(transfer(1, apr, action_id="act-3")).json
        assert (again["decision"], again["approval_status"]) == ("REQUIRE_APPROVAL", "consumed"), again
        assert again["approval_id"] != apr
        kinds = [r["event_type"] for r in g.records() if r.get("approval_id") == apr]
        assert kinds == ["approval.requested", "action.decision", "action.decision", "approval.decided", "action.decision",
                         "approval.applied"], kinds
        [decided] = events(g, "approval.decided")
        assert (decided["approver"], decided["approval_channel"], decided["reason"]) == ("carol", "api", "call 17"), decided
        assert (decided["principal"], decided["decision"], decided["approval_status"]) == ("alice", "ALLOW", "approved")


def test_an_effect_of_ours_waits_too():
    with gateway() as g:
        body = action("fs.write", "file://workspace/out/a", {"content": "x"})
        apr = g.act(body).json["approval_id"]
        assert not (g.place.dir / "workspace/out/a").exists()
        assert decide(g, apr).status == 200
        body["context"]["extensions"]["approval"] = {"approval_id": apr}
        (g.place.dir / "workspace/out").mkdir()
        assert g.act(body).json["bytes_written"] == 1
        assert (g.place.dir / "workspace/out/a").read_text() == "x"
        assert g.act(body).json["approval_status"] == "consumed"
        [done] = events(g, "action.completed")
        assert done["approval_id"] == apr


def test_who_may_not_decide():
    with gateway() as g:
        apr = ask(g)["approval_id"]
        # alice asked, and is in approver_principals; olga operates, eve looks: neither is an approver.
        for key, why in ((API_KEY, "the requester cannot decide"), (EVE, "not an approval reviewer"),
                         (OPERATOR_KEY, "not an approval reviewer")):
            for path in ("/approvals/decide", "/api/ui/approvals/decide"):
                r = decide(g, apr, key=key, path=path)
                assert r.status == 403 and r.json["reason"].startswith("approval_forbidden: ") and why in r.json["reason"], r
        assert g.request("POST", "/approvals/decide", json.dumps({"approval_id": apr, "decision": "approve"}).encode()).status == 401
        assert g.act(transfer(1, apr)).json["approval_status"] == "pending"
        named = ask(g, kind="payments.grant")["approval_id"]
        r = decide(g, named, key=DORA)
        assert r.status == 403 and "names other approvers" in r.json["reason"], r
        assert decide(g, named, key=CAROL).status == 200
        assert not [x for x in g.records() if x.get("approver") not in (None, "carol")]


def test_statuses_of_decisions():
    with gateway() as g:
        apr = ask(g)["approval_id"]
        rows = [
            ({"approval_id": apr}, 400, "validation_error: approval_id and decision are required"),
            ({"approval_id": apr, "decision": " "}, 400, "validation_error: approval_id and decision are required"),
            ({"approval_id": apr, "decision": "approve", "x": 1}, 400, "validation_error: unknown member"),
            ({"approval_id": apr, "decision": 1}, 400, "validation_error: decision must be a string"),
            ({"approval_id": apr, "decision": "Approve"}, 400, "approval_error: invalid decision"),
            ({"approval_id": apr, "decision": "approve", "reason": "x" * 1001}, 400, "validation_error: reason"),
            ({"approval_id": apr, "decision": "approve", "reason": "a\u0007b"}, 400, "validation_error: reason"),
            ({"approval_id": "apr_" + "0" * 24, "decision": "approve"}, 404, "approval_error: approval not found"),
            ({"approval_id": "nonsense", "decision": "approve"}, 404, "approval_error: approval not found"),
        ]
        for body, status, why in rows:
            r = g.request("POST", "/approvals/decide", json.dumps(body).encode(), {"Authorization": f"Bearer {CAROL}"})
            assert r.status == status and r.json["reason"].startswith(why), (body, r)
        for word in ("APPROVED", " approve ", "APPROVE", "approved"):
            assert decide(g, apr, word).status == 200, word
        assert len(events(g, "approval.decided")) == 1, "a repeat is no second decision"
        r = decide(g, apr, "deny", key=DORA)
        assert r.status == 409 and r.json["reason"] == "approval_error: approval already finalized", r
        r = g.request("POST", "/approvals/decide", b"a=b", {"Authorization": f"Bearer {CAROL}", "Content-Type": "text/plain"})
        assert r.status == 415, r
    with gateway(approvals={"enabled": False}) as g:
        assert g.act(transfer()).json["reason"] == "approvals_unavailable"
        r = decide(g, "apr_" + "0" * 24)
        assert r.status == 404 and r.json["reason"] == "not_enabled: approvals are not enabled", r


def test_other_parameters_identity_and_policy_are_asked_for_anew():
    with gateway() as g:
        apr = ask(g)["approval_id"]
        assert decide(g, apr).status == 200
        for body, status in ((transfer(2, apr), "mismatch"), (transfer("1", apr), "mismatch"), (transfer(1.0, apr), "mismatch"),
                             (transfer(1, apr, kind="payments.grant"), "mismatch"), (transfer(1, "apr_" + "0" * 24), "not_found"),
                             (transfer(1, "x"), "not_found")):
            r = g.act(body).json
            assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", status), (body, r)
        r = g.act(transfer(1, apr), agent="other").json
        assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", "not_found"), r
        r = g.act(transfer(1, apr), key=EVE).json
        assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", "not_found"), r
        changed = {**POLICY, "rules": POLICY["rules"] + [{"id": "more", "action_type": "a.b", "resource": "c://d/e", "decision": "DENY"}]}
        g.place.write_policy(changed)
        assert g.operator("POST", "/admin/reload").status == 200
        r = g.act(transfer(1, apr)).json
        assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", "policy_changed"), r
        assert r["approval_id"] != apr
        g.place.write_policy({**POLICY, "rules": POLICY["rules"] + [
            {"id": "no", "action_type": "payments.transfer", "resource": "payment://**", "decision": "DENY"}]})
        assert g.operator("POST", "/admin/reload").status == 200
        assert g.act(transfer(1, apr)).json["decision"] == "DENY", "an approval is no way around a denial"
        assert not [x for x in g.records() if x["event_type"] == "approval.applied"]


def test_a_pending_one_of_an_older_policy_is_not_approved():
    with gateway() as g:
        apr = ask(g)["approval_id"]
        g.place.write_policy({**POLICY, "rules": POLICY["rules"][:-1]})
        assert g.operator("POST", "/admin/reload").status == 200
        r = decide(g, apr)
        assert r.status == 409 and "policy has changed" in r.json["reason"], r
        assert page(g, f"/api/ui/approvals/{apr}").json["policy_changed"] is True
        assert decide(g, apr, "deny").status == 200


def test_a_class_is_bound_to_identity_and_counted():
    with gateway() as g:
        apr = ask(g, kind="payments.batch")["approval_id"]
        assert decide(g, apr).status == 200
        assert g.act(transfer(2, apr, kind="payments.batch"), agent="other").json["approval_status"] == "not_found"
        for n in (2, 3, 4):
            assert g.act(transfer(n, apr, kind="payments.batch")).json["decision"] == "ALLOW", n
        assert g.act(transfer(5, apr, kind="payments.batch")).json["approval_status"] == "consumed"


def test_a_quorum_needs_so_many_people_and_one_denial_ends_it():
    with gateway() as g:
        apr = ask(g, kind="payments.close")["approval_id"]
        r = decide(g, apr).json
        assert (r["status"], r["votes"], r["needed"]) == ("PENDING", 1, 2), r
        assert decide(g, apr).json["votes"] == 1
        assert g.act(transfer(1, apr, kind="payments.close")).json["approval_status"] == "pending"
        assert decide(g, apr, key=DORA).json["status"] == "APPROVED"
        assert g.act(transfer(1, apr, kind="payments.close")).json["decision"] == "ALLOW"
        apr = ask(g, 2, kind="payments.close")["approval_id"]
        assert decide(g, apr).status == 200
        assert decide(g, apr, "deny", key=DORA).json["decision"] == "DENY"
        assert decide(g, apr).status == 409
        assert g.act(transfer(2, apr, kind="payments.close")).json["reason"] == "denied_by_approver"


def test_a_denial_lasts_across_restarts():
    place = Workplace(options(), POLICY)
    try:
        with Gateway(workplace=place) as g:
            apr = ask(g)["approval_id"]
            assert decide(g, apr, "deny").json["decision"] == "DENY"
        with Gateway(workplace=place) as g:
            for body in (transfer(), transfer(1, apr)):
                r = g.act(body).json
                assert (r["decision"], r["reason"]) == ("DENY", "denied_by_approver"), r
            assert ask(g, 2)["approval_status"] == "pending"
            assert g.act(transfer(), agent="other").json["decision"] == "REQUIRE_APPROVAL"
    finally:
        place.remove()


def test_a_denial_ends_after_its_time():
    with gateway(approvals={"denial_seconds": 1}) as g:
        apr = ask(g)["approval_id"]
        assert decide(g, apr, "deny").status == 200
        assert g.act(transfer()).json["reason"] == "denied_by_approver"
        until(lambda: g.act(transfer()).json["decision"] == "REQUIRE_APPROVAL", "the denial ends")


def test_pending_ones_are_capped():
    with gateway(approvals={"max_pending": 5, "max_pending_per_identity": 3}) as g:
        for n in range(3):
            ask(g, n)
        assert g.act(transfer(3)).json["reason"] == "approvals_limit"
        assert g.act(transfer(2)).json["decision"] == "REQUIRE_APPROVAL", "what is asked for already is named"
        for n in range(2):
            assert g.act(transfer(n), agent="other").json["decision"] == "REQUIRE_APPROVAL"
        assert g.act(transfer(2), agent="other").json["reason"] == "approvals_limit", "the cap in all"
        assert decide(g, ask(g, 0)["approval_id"], "deny").status == 200
        assert ask(g, 7)["approval_status"] == "pending", "a decision makes room"


def test_an_approval_runs_out_by_itself_and_that_is_recorded():
    with gateway() as g:
        pending = ask(g, 1, kind="payments.soon")["approval_id"]
        approved = ask(g, 2, kind="payments.soon")["approval_id"]
        assert decide(g, approved).status == 200
        ended = until(lambda: len(events(g, "approval.expired")) == 2 and events(g, "approval.expired"), "both run out")
        assert {(e["approval_id"], e["reason"]) for e in ended} == {(pending, "not_decided_in_time"), (approved, "not_used_in_time")}
        for apr in (pending, approved):
            for decision in ("approve", "deny"):
                r = decide(g, apr, decision)
                assert r.status == 400 and r.json["reason"] == "approval_error: approval expired", r
        r = g.act(transfer(2, approved, kind="payments.soon")).json
        assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", "expired"), r
        assert page(g, f"/api/ui/approvals/{approved}").json["status"] == "EXPIRED"


def test_approvals_outlive_a_restart():
    place = Workplace(options(), POLICY)
    try:
        with Gateway(workplace=place) as g:
            apr = ask(g)["approval_id"]
        with Gateway(workplace=place) as g:
            assert ask(g)["approval_id"] == apr
            assert decide(g, apr).status == 200
        with Gateway(workplace=place, expect_exit=None) as g:
            assert g.act(transfer(1, apr)).json["decision"] == "ALLOW"
            g.kill()
        with Gateway(workplace=place) as g:
            assert g.act(transfer(1, apr)).json["approval_status"] == "consumed"
    finally:
        place.remove()


def test_stateless_has_none():
    opts = options(approvals={"enabled": False}, runtime={"stateless_mode": True}, audit={"sink": "stdout"}, ledger=None)
    with Gateway(opts, POLICY) as g:
        assert g.act(transfer()).json["reason"] == "approvals_unavailable"
    place = Workplace(options(runtime={"stateless_mode": True}, audit={"sink": "stdout"}, ledger=None), POLICY)
    try:
        done = place.run("config", "check", "-c", "nomos.json", check=1)
        assert b"approvals must be disabled in runtime.stateless_mode" in done.stderr + done.stdout
    finally:
        place.remove()


def test_one_approval_and_a_thousand_at_once_is_one_use():
    """Decisions and retries at the same time: some are too early, one is in time, all others are too late."""
    n_threads, n_each = 20, 25
    with gateway(gateway={"concurrency_limit": 1000, "overload_wait_ms": 0}, approvals={"max_pending": 10000}) as g:
        apr = ask(g)["approval_id"]
        start = threading.Barrier(2 * n_threads)
        answers, failures = [], []

        def run(work):
            connection = g.connect()
            try:
                start.wait()
                for _ in range(n_each):
                    answers.append(work(connection))
            except Exception as e:  # shown below
                failures.append(e)
            finally:
                connection.close()

        def retry(connection):
            return g.act(transfer(1, apr), connection=connection)

        def approve(connection):
            body = json.dumps({"approval_id": apr, "decision": "approve"}).encode()
            return g.request("POST", "/approvals/decide", body, {"Authorization": f"Bearer {CAROL}"}, connection)

        threads = [threading.Thread(target=run, args=(w,)) for w in [retry, approve] * n_threads]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures, failures[:3]
        assert len(answers) == 2 * n_threads * n_each and all(a.status == 200 for a in answers), [a for a in answers if a.status != 200][:3]
        allowed = [a for a in answers if a.json["reason"] == "allow_by_approval"]
        # Whoever came before the first decision had only asked: then one more retry is the use.
        if not allowed:
            allowed = [g.act(transfer(1, apr))]
        assert len(allowed) == 1, len(allowed)
        assert g.act(transfer(1, apr)).json["approval_status"] == "consumed"
        records = g.records()
        assert len([r for r in records if r["event_type"] == "approval.applied"]) == 1
        assert len([r for r in records if r["event_type"] == "approval.decided"]) == 1
        assert len([r for r in records if r["event_type"] == "action.decision" and r["decision"] == "ALLOW"]) == 1


def test_a_crash_between_approval_and_effect():
    """Before the commit nothing was used; behind it the use stands, the outcome is unknown and nothing runs again."""
    body = action("fs.write", "file://workspace/out/a", {"content": "x"})
    for fault, is_used in (("ledger.append.after", False), ("effect.before", True), ("effect.after", True)):
        place = Workplace(options(), POLICY)
        (place.dir / "workspace/out").mkdir()
        try:
            with Gateway(workplace=place) as g:
                apr = g.act(body).json["approval_id"]
                assert decide(g, apr).status == 200
            named = {**body, "context": {"extensions": {"approval": {"approval_id": apr}}}}
            gate = place.dir / "fault-is-on"
            env = {"NOMOS_FAULT": f"{fault}:1-:kill", "NOMOS_FAULT_WHILE": str(gate)}
            with Gateway(workplace=place, env=env, expect_exit=-9) as g:
                gate.touch()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    g.act(named)
                until(lambda: g.process.poll() is not None, "it dies at " + fault)
            file = place.dir / "workspace/out/a"
            assert file.exists() == (fault == "effect.after")
            file.unlink(missing_ok=True)
            with Gateway(workplace=place) as g:
                r = g.act(named).json
                if is_used:
                    assert (r["decision"], r.get("approval_status")) == ("REQUIRE_APPROVAL", "consumed"), (fault, r)
                    assert not file.exists()
                    assert [x for x in g.records() if x.get("result_classification") == "UNKNOWN" and x["approval_id"] == apr]
                else:
                    assert r["decision"] == "ALLOW" and file.read_text() == "x", (fault, r)
                assert len([x for x in g.records() if x["event_type"] == "approval.applied"]) == 1
        finally:
            place.remove()


def test_lists_and_pages():
    with gateway() as g:
        ids = [ask(g, n)["approval_id"] for n in range(5)]
        first = page(g, "/api/ui/approvals?limit=3").json
        assert [a["approval_id"] for a in first["approvals"]] == ids[:1:-1], first
        second = page(g, f"/api/ui/approvals?limit=3&cursor={first['next_cursor']}").json
        assert [a["approval_id"] for a in second["approvals"]] == ids[1::-1] and second["next_cursor"] is None, second
        row = first["approvals"][0]
        assert (row["status"], row["expired"], row["principal"], row["agent"], row["environment"]) == ("PENDING", False, "alice", "bot", "dev")
        assert (row["action_type"], row["resource"], row["scope_type"]) == ("payments.transfer", TRANSFER, "fingerprint")
        assert (row["votes"], row["needed"], row["has_hidden"]) == (0, 1, False)
        assert row["action_summary"] == f"payments.transfer {TRANSFER}"
        assert decide(g, ids[0]).status == 200
        assert len(page(g, "/api/ui/approvals").json["approvals"]) == 4
        assert len(page(g, "/api/ui/approvals?status=all").json["approvals"]) == 5
        for word, n in (("pending", 4), ("PENDING", 4), ("ALL", 5)):  # as rows have it, too
            assert len(page(g, f"/api/ui/approvals?status={word}").json["approvals"]) == n, word
        # In one order, whatever became of each.
        assert decide(g, ids[3], "deny").status == 200
        seen, cursor = [], ""
        while cursor is not None:
            part = page(g, "/api/ui/approvals?status=all&limit=2" + cursor).json
            seen += [(a["approval_id"], a["status"]) for a in part["approvals"]]
            cursor = part["next_cursor"] and "&cursor=" + part["next_cursor"]
        assert [a for a, _ in seen] == ids[::-1] and [s for _, s in seen] == ["PENDING", "DENIED", "PENDING", "PENDING", "APPROVED"], seen
        for bad in ("limit=0", "limit=201", "limit=x", "cursor=x", "status=open", "limit=1&limit=2"):
            assert page(g, "/api/ui/approvals?" + bad).status == 400, bad
        assert g.get("/api/ui/approvals").status == 401


def test_an_action_names_its_approval():
    with gateway() as g:
        shown = lambda: page(g, "/api/ui/actions/act-7").json
        asked = ask(g, 1, action_id="act-7")
        want = {"approval_id": asked["approval_id"], "status": "PENDING", "expires_at": asked["approval_expires_at"],
                "expired": False, "scope_type": "fingerprint"}
        assert shown()["approval"] == want, shown()
        assert decide(g, want["approval_id"]).status == 200
        assert shown()["approval"] == {**want, "status": "APPROVED"}
        assert g.act(transfer(1, want["approval_id"], action_id="act-7")).json["decision"] == "ALLOW"
        assert shown()["approval"]["status"] == "CONSUMED" and shown()["decision"] == "ALLOW"
        # The newest of an action that asked again.
        again = ask(g, 1, action_id="act-7")["approval_id"]
        assert shown()["approval"]["approval_id"] == again != want["approval_id"]
        g.act(action("payments.other", TRANSFER, action_id="act-8"))
        assert "approval" not in page(g, "/api/ui/actions/act-8").json


def test_long_requests_cannot_hide_a_list():
    # Each row is some 96 KB: `&` is six bytes in JSON, and the resource is in it twice.
    with gateway(approvals={"max_pending_per_identity": 60}) as g:
        asked = [g.act(action("payments.transfer", f"{TRANSFER}/{n}/" + "&" * 8000, {"n": n})).json["approval_id"] for n in range(50)]
        seen, cursor = [], ""
        while cursor is not None:
            reply = page(g, f"/api/ui/approvals?limit=50{cursor and '&cursor=' + cursor}")
            assert reply.status == 200 and reply.json["approvals"], reply
            seen += [a["approval_id"] for a in reply.json["approvals"]]
            cursor = reply.json["next_cursor"]
        assert seen == asked[::-1], (len(seen), len(asked))


def test_one_approval_shows_what_is_hidden():
    with gateway() as g:
        body = action("payments.transfer", TRANSFER, {"n": 1.5, "password": "hunter2", "list": [{"note": "Authorization: Bearer abcdefghijklmnop"}]})
        apr = g.act(body).json["approval_id"]
        shown = page(g, f"/api/ui/approvals/{apr}", CAROL)
        assert b"hunter2" not in shown.body and b"abcdefghijklmnop" not in shown.body
        shown = shown.json
        assert shown["params"]["n"] == 1.5 and shown["params"]["password"] == "[REDACTED]", shown
        hidden = {h["path"]: h["length"] for h in shown["hidden"]}
        assert hidden["$.password"] == 7 and "$.list[0].note" in hidden and shown["hidden_count"] == 2, hidden
        assert (shown["has_hidden"], shown["can_decide"], shown["why_not"]) == (True, True, "")
        assert (shown["reason"], shown["matched_rule_ids"]) == ("require_approval_by_rule", ["ask-transfer"])
        assert page(g, f"/api/ui/approvals/{apr}", API_KEY).json["why_not"] == "you asked for it"
        assert page(g, f"/api/ui/approvals/{apr}", EVE).json["can_decide"] is False
        r = decide(g, apr)
        assert r.status == 409 and "ack_redacted" in r.json["reason"], r
        assert decide(g, apr, ack_redacted=True, reason="<b>fine</b>").status == 200
        [vote] = page(g, f"/api/ui/approvals/{apr}").json["votes"]
        assert (vote["approver"], vote["decision"], vote["reason"], vote["channel"], vote["ack_redacted"]) == (
            "carol", "ALLOW", "<b>fine</b>", "api", True), vote
        assert events(g, "approval.decided")[0]["ack_redacted"] is True
        # Neither the ledger nor its journal holds the secret in a record.
        assert not [r for r in g.records() if "hunter2" in json.dumps(r)]
        assert page(g, "/api/ui/approvals/apr_" + "0" * 24).status == 404


def test_an_agent_looks_at_its_own_only():
    with gateway(identity={"principal_agents": {"alice": ["bot", "other"], "eve": ["other"]}}) as g:
        apr = ask(g)["approval_id"]

        def look(key=API_KEY, agent="bot", approval=apr):
            return g.get(f"/approvals/{approval}", {"Authorization": f"Bearer {key}", "X-Nomos-Agent-Id": agent})

        r = look()
        assert r.status == 200 and (r.json["status"], r.json["approval_id"], r.json["uses"]) == ("pending", apr, 0), r
        # Parameters and states are for who asks alone, not for a cache in between; nor is what a reload would change.
        for private in (r, page(g, f"/api/ui/approvals/{apr}"), page(g, "/api/ui/approvals"), g.operator("GET", "/admin/reload")):
            assert private.status == 200 and private.headers["Cache-Control"] == "no-store", (private, private.headers)
            assert private.headers["X-Content-Type-Options"] == "nosniff", private.headers
        assert decide(g, apr).status == 200
        assert look().json["status"] == "approved"
        assert g.act(transfer(1, apr)).json["decision"] == "ALLOW"
        assert look().json["status"] == "consumed"
        unknown = look(approval="apr_" + "0" * 24)
        for other in (look(agent="other"), look(EVE, "other"), unknown):
            assert other.status == 404 and other.body == unknown.body, other
        for refused in (look(EVE, "bot"), look(API_KEY, "ghost"), look("nope"), g.get(f"/approvals/{apr}"),
                        g.get(f"/approvals/{apr}", {"Authorization": f"Bearer {API_KEY}"})):
            assert refused.status == 401, refused


def relay(g, which, token, **body):
    path = {"generic": "/webhooks/approvals", "slack": "/webhooks/slack/approvals", "teams": "/webhooks/teams/approvals"}[which]
    header = {"generic": "X-Nomos-Webhook-Token", "slack": "X-Nomos-Slack-Token", "teams": "X-Nomos-Teams-Token"}[which]
    return g.request("POST", path, json.dumps(body).encode(), {header: token} if token is not None else {})


def test_relays_do_not_exist_without_their_token():
    with gateway() as g:
        for which in ("generic", "slack", "teams"):
            assert relay(g, which, TOKEN).status == 404, which
    with gateway(approvals={"slack_token": TOKEN}) as g:
        assert relay(g, "generic", TOKEN).status == 404 and relay(g, "teams", TOKEN).status == 404
        for token in (None, "", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper()):
            r = relay(g, "slack", token, approval_id="x", decision="approve")
            assert r.status == 401 and r.json["reason"] == "auth_error: invalid slack token", (token, r)
        r = relay(g, "slack", TOKEN, approval_id="x", decision="approve")
        assert r.status == 400 and r.json["reason"] == "validation_error: approval_id, decision, user_id, and channel_id are required", r


def test_a_relay_decides_as_a_principal_or_asserts_one():
    users = {"U1": "carol", "U2": "alice", "U3": "eve", "U4": "dora"}
    relays = {"generic": {"token": TOKEN, "principal": "opsbot"}, "slack": {"token": TOKEN, "users": users},
              "teams": {"token": TOKEN, "users": {"T1": "dora"}}}
    with gateway(approvals={"relay": relays, "approver_principals": ["opsbot", "alice"]}) as g:
        def slack(apr, user, decision="approve", **more):
            return relay(g, "slack", TOKEN, approval_id=apr, decision=decision, user_id=user, channel_id="C1", **more)

        apr = ask(g)["approval_id"]
        for user, why in (("U9", "nobody here"), ("U2", "requester"), ("U3", "not an approval reviewer")):
            r = slack(apr, user)
            assert r.status == 403 and why in r.json["reason"], (user, r)
        assert slack(apr, "U1", comment="ok").json["status"] == "APPROVED"
        [decided] = events(g, "approval.decided.slack")
        assert (decided["approver"], decided["asserted_by"], decided["reason"]) == ("carol", "slack", "ok"), decided
        apr = ask(g, 2)["approval_id"]
        assert relay(g, "generic", TOKEN, approval_id=apr, decision="deny").json["decision"] == "DENY"
        [decided] = events(g, "approval.decided")
        assert decided["approval_channel"] == "webhook", "the generic relay has no event type of its own, as the original"
        assert decided["approver"] == "opsbot" and "asserted_by" not in decided, decided
        # One relay is one voice, however many people it names.
        apr = ask(g, 3, kind="payments.close")["approval_id"]
        assert slack(apr, "U1").json["votes"] == 1
        r = slack(apr, "U4").json
        assert (r["votes"], r["status"]) == (1, "PENDING"), r
        r = relay(g, "teams", TOKEN, approval_id=apr, decision="approve", user_aad_id="T1", conversation_id="C").json
        assert r["votes"] == 1, "dora has said so already"
        assert page(g, f"/api/ui/approvals/{apr}", CAROL).json["why_not"] == "", "what was said of her does not keep her from saying it"
        r = decide(g, apr).json
        assert (r["votes"], r["status"]) == (2, "APPROVED"), "her own word takes its place"
        apr = ask(g, 4, kind="payments.close")["approval_id"]
        assert slack(apr, "U1").json["votes"] == 1
        assert relay(g, "generic", TOKEN, approval_id=apr, decision="approve").json["status"] == "APPROVED"


def test_what_a_relay_brought_ends_with_the_relay():
    """What an operator does when its token has leaked: take the relay away and reload."""
    slack = {"slack": {"token": TOKEN, "users": {"U1": "carol"}}}
    with gateway(approvals={"relay": slack}) as g:
        apr = ask(g)["approval_id"]
        given = relay(g, "slack", TOKEN, approval_id=apr, decision="approve", user_id="U1", channel_id="C1").json
        assert given["status"] == "APPROVED", given
        g.place.write_config(options())
        assert g.operator("POST", "/admin/reload").status == 200
        r = decide(g, apr, key=DORA)
        assert r.status == 409 and "its approvers changed" in r.json["reason"], r
        r = g.act(transfer(1, apr)).json
        assert (r["decision"], r["approval_status"]) == ("REQUIRE_APPROVAL", "expired"), r
        assert [e["reason"] for e in events(g, "approval.expired")] == ["approvers_changed"]
        assert decide(g, r["approval_id"], key=DORA).json["status"] == "APPROVED"
        assert g.act(transfer(1, r["approval_id"])).json["decision"] == "ALLOW"


def test_a_vote_that_a_required_sink_has_not_taken_is_said_to_stand():
    with required_sink() as (audit, takes), gateway(audit=audit) as g:
        apr = ask(g)["approval_id"]
        takes.clear()
        r = decide(g, apr)
        assert r.status == 503 and "it is recorded and stands" in r.json["reason"], r
        takes.set()
        until(lambda: page(g, f"/api/ui/approvals/{apr}").status == 200, "the sink has caught up")
        assert page(g, f"/api/ui/approvals/{apr}").json["status"] == "APPROVED"


def test_decisions_have_a_rate_of_their_own():
    with gateway(gateway={"rate_limit_per_minute": 3}) as g:
        apr = ask(g)["approval_id"]
        assert [decide(g, apr).status for _ in range(4)] == [200, 200, 200, 429]
        r = decide(g, apr)
        assert r.json["reason"] == "rate_limited: rate limit exceeded" and int(r.headers["Retry-After"]) >= 1, r
        assert decide(g, apr, key=DORA).status == 200


def test_looking_has_a_rate_of_its_own_too():
    """An answer comes from the ledger's thread; one agent must not keep it from the others."""
    with gateway(gateway={"rate_limit_per_minute": 3}) as g:
        apr = ask(g)["approval_id"]
        look = lambda agent: g.get(f"/approvals/{apr}", {"Authorization": f"Bearer {API_KEY}", "X-Nomos-Agent-Id": agent})
        assert [look("bot").status for _ in range(4)] == [200, 200, 200, 429]
        assert int(look("bot").headers["Retry-After"]) >= 1
        assert page(g, f"/api/ui/approvals/{apr}").status == 200


def test_command_line():
    with gateway() as g:
        place, url = g.place, "http://%s:%d" % g.address
        apr = ask(g)["approval_id"]
        (place.dir / "keys").mkdir()
        (place.dir / "keys/operator").write_text(CAROL + "\n")
        where = ("-c", "nomos.json", "--url", url)
        listed = json.loads(place.run("approvals", "list", *where, check=0).stdout)
        assert [a["approval_id"] for a in listed["approvals"]] == [apr]
        text = place.run("approvals", "list", *where, "--format", "text", check=0).stdout.decode()
        assert text.startswith(f"{apr} PENDING payments.transfer {TRANSFER} expires="), text
        shown = place.run("approvals", "show", *where, apr, check=0).stdout.decode()
        assert '"params"' in shown and '"n": 1' in shown, shown
        done = place.run("approvals", "approve", "--url", url, apr, env={"NOMOS_API_KEY": EVE}, check=1)
        assert b"403" in done.stderr and b"not an approval reviewer; use the key of another principal" in done.stderr, done
        done = place.run("approvals", "list", "--url", url, env={"NOMOS_API_KEY": ""}, check=1)
        assert b"--key-file FILE or NOMOS_API_KEY" in done.stderr, done
        done = place.run("approvals", "approve", *where, "--reason", "by hand", apr, check=0)
        assert done.stdout.decode().startswith(f"{apr} APPROVED expires="), done
        assert events(g, "approval.decided")[0]["reason"] == "by hand"
        apr = ask(g, 2)["approval_id"]
        denied = json.loads(place.run("approvals", "deny", *where, "--format", "json", apr, check=0).stdout)
        assert denied["decision"] == "DENY", denied
        place.run("approvals", "approve", *where, check=2)
        place.run("approvals", "approve", *where, "../x", check=2)
        place.run("approvals", "list", *where, "--limit", "0", check=2)


class _Stranger(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200 and some JSON, as many a service does."""

    def do_GET(self):
        body = self.server.body
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


def test_an_answer_of_something_else_is_none():
    """Or somebody believes that nothing waits, or that a decision was recorded."""
    place = Workplace()
    (place.dir / "key").write_text(CAROL)
    (place.dir / "key").chmod(0o600)
    calls = (("approvals", "list"), ("approvals", "show", "apr_1"), ("approvals", "approve", "apr_1"), ("approvals", "deny", "apr_1"),
             ("actions", "unknown"), ("actions", "settle", "1", "--outcome", "failed", "--reason", "x"), ("config", "diff"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        where = ("--url", f"http://127.0.0.1:{stranger.server_port}", "--key-file", "key", "--format", "text")
        try:
            for stranger.body in (b"{}", b'{"status":"ok"}', b"[]", b"true"):
                for args in calls:
                    done = place.run(*args[:2], *where, *args[2:], check=1)
                    assert done.stdout == b"" and b"no nomos gateway answers" in done.stderr, (args, done)
            row = {"approval_id": "apr_1\napr_2", "status": "a\tb", "action_type": "x", "resource": "y", "expires_at": "z"}
            stranger.body = json.dumps({"approvals": [row]}).encode()
            done = place.run("approvals", "list", *where, check=0)
            assert done.stdout == b"apr_1\\u{a}apr_2 a\\u{9}b x y expires=z\n", done
        finally:
            stranger.shutdown()
            place.remove()


def test_command_line_reads_the_ledger_of_the_configuration():
    """Without a URL or a key `list` and `show` need nobody's credential and no gateway; what they print is what the gateway says."""
    with gateway() as g:
        place, url = g.place, "http://%s:%d" % g.address
        secret = "sk-abcdefghijklmnopqrstuvwxyz012345"
        ids = [ask(g, n)["approval_id"] for n in (1, secret, 3)]
        assert decide(g, ids[0], reason="seen").status == 200
        own = {"NOMOS_API_KEY": ""}
        remote = ("--url", url)

        def both(*args):
            file = json.loads(place.run("approvals", *args, "-c", "nomos.json", "--format", "json", env=own, check=0).stdout)
            asked = json.loads(place.run("approvals", *args, *remote, "--format", "json", env={"NOMOS_API_KEY": EVE}, check=0).stdout)
            return file, asked

        for args in (("list",), ("list", "--all"), ("list", "--limit", "1")):
            file, asked = both(*args)
            assert file == asked and file["approvals"], (args, file, asked)
        for apr in ids:
            file, asked = both("show", apr)
            assert file.pop("why_not").startswith("it was read from the ledger's file"), file
            asked.pop("why_not")
            assert file == asked and file["policy_changed"] is False, (file, asked)
            assert secret not in json.dumps(file)
        text = place.run("approvals", "list", "-c", "nomos.json", "--format", "text", env=own, check=0).stdout.decode()
        assert [line.split()[0] for line in text.splitlines()] == ids[:0:-1], text
        place.run("approvals", "show", "-c", "nomos.json", "apr_" + "0" * 24, env=own, check=1)
        g.stop()
        stopped = json.loads(place.run("approvals", "list", "--all", "-c", "nomos.json", env=own, check=0).stdout)
        assert [a["status"] for a in stopped["approvals"]] == ["PENDING", "PENDING", "APPROVED"], stopped
        # Reading decides nothing, and who reads needs a key to decide.
        done = place.run("approvals", "approve", "-c", "nomos.json", ids[1], env=own, check=1)
        assert b"no API key" in done.stderr, done
        place.write_policy({"version": "v1", "rules": POLICY["rules"][:1]})
        assert json.loads(place.run("approvals", "show", "-c", "nomos.json", "--format", "json", ids[1], env=own, check=0).stdout)["policy_changed"] is True
        place.write_policy("not a policy")
        assert json.loads(place.run("approvals", "show", "-c", "nomos.json", "--format", "json", ids[1], env=own, check=0).stdout)["policy_changed"] is None


def test_doctor_says_when_nobody_can_approve():
    rows = ((options(approvals={"approver_principals": []}, identity={"roles": {"operator": ["olga"]}}), b"nobody can approve"),
            (options(approvals={"slack_token": TOKEN}), b'"slack", who is no approver'),
            (options(approvals={"relay": {"teams": {"token": TOKEN, "users": {"U": "eve"}}}}), b'"eve", who is no approver'),
            (options(), None), (options(approvals={"enabled": False}), b"approvals are off"))
    for opts, text in rows:
        place = Workplace(opts, POLICY)
        try:
            done = place.run("doctor", "-c", "nomos.json", "--format", "json")
            [check] = [c for c in json.loads(done.stdout)["checks"] if c["id"] == "approvals.approvers_configured"]
            assert text is None or text.decode() in check["message"] + check.get("hint", ""), check
            assert check["message"].startswith("advice: ") == (text is not None and b"off" not in text), check
        finally:
            place.remove()
