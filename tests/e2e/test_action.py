# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""POST /action, /run and /explain over real sockets: decisions, replies, errors (nomos-http.md 1, 9)."""
import json

from support import Gateway, action, config


def test_custom_action_is_authorised_and_recorded():
    with Gateway() as g:
        r = g.act()
        assert r.status == 200, r
        assert list(r.json) == ["decision", "reason", "trace_id", "action_id", "execution_mode", "report_path",
                                "obligations", "approval_fingerprint"], r
        assert r.json["decision"] == "ALLOW" and r.json["reason"] == "allow_by_rule"
        assert r.json["execution_mode"] == "external_authorized" and r.json["report_path"] == "/actions/report"
        assert r.json["obligations"] == {"reason": "small amounts"}
        assert r.body.endswith(b"}\n")
        assert r.headers["X-Request-Id"].startswith("req_")
        assert r.headers["Content-Type"] == "application/json" and r.headers["Server"] == "nomos"
        decisions = [x for x in g.records() if x["event_type"] == "action.decision"]
        assert len(decisions) == 1
        d = decisions[0]
        assert d["decision"] == "ALLOW" and d["principal"] == "alice" and d["agent"] == "bot"
        assert d["request_id"] == r.headers["X-Request-Id"]
        assert d["action_fingerprint"] == r.json["approval_fingerprint"]
        assert d["resource_normalized"] == "payment://shop.example.com/orders/1"


def test_run_is_the_same_handler():
    with Gateway() as g:
        r = g.post("/run", action())
        assert r.status == 200 and r.json["decision"] == "ALLOW", r


def test_denied_by_default_is_200_and_recorded():
    with Gateway() as g:
        r = g.act(action(resource="payment://evil.example.com/x"))
        assert r.status == 200 and r.json["decision"] == "DENY" and r.json["reason"] == "deny_by_default", r
        assert "execution_mode" not in r.json
        assert [x["decision"] for x in g.records() if x["event_type"] == "action.decision"] == ["DENY"]


def test_approval_rules_deny_while_approvals_are_off():
    # The reference crashes the request here (nomos-http.md 10.1, 1).
    with Gateway() as g:
        r = g.act(action("payments.transfer", "payment://bank.example.com/x"))
        assert r.status == 200 and r.json["decision"] == "DENY" and r.json["reason"] == "approvals_unavailable", r
        assert g.act().status == 200


def test_built_in_types_without_an_executor_deny():
    with Gateway() as g:
        r = g.act(action("process.exec", "file://workspace/", {"argv": ["true"]}))
        assert r.status == 200 and r.json["decision"] == "DENY" and r.json["reason"] == "unsupported_action", r


def test_explain_has_no_side_effect():
    def n_records(g):
        # A checkpoint comes by the clock.
        return sum(r["event_type"] != "checkpoint" for r in g.records())

    with Gateway() as g:
        before = n_records(g)
        r = g.post("/explain", action())
        assert r.status == 200 and r.json["decision"] == "ALLOW" and r.json["action_id"] == "act-1", r
        r = g.post("/explain", action(resource="payment://evil.example.com/x"))
        assert r.json["why_denied"]["reason_code"] == "deny_by_default", r
        assert n_records(g) == before


def test_validation_messages():
    cases = [
        ({"schema_version": "v2"}, "schema_version must be v1"),
        ({"action_id": "bad id"}, "action_id has invalid format"),
        ({"action_type": "BadAction"}, "action_type has invalid format"),
        ({"resource": " "}, "resource is required"),
        ({"trace_id": ""}, "trace_id is required"),
        ({"params": None}, "params must be an object"),
        ({"params": []}, "params must be an object"),
        ({"context": None}, "context is required"),
        ({"context": {"other": 1}}, 'unknown context field "other"'),
        ({"principal": "mallory"}, 'json: unknown field "principal"'),
    ]
    with Gateway() as g:
        for change, message in cases:
            body = action()
            body.update(change)
            r = g.act(body)
            assert r.status == 400, (change, r)
            assert list(r.json) == ["decision", "reason"] and r.json["decision"] == "DENY"
            assert r.json["reason"].startswith("validation_error: ") and message in r.json["reason"], (change, r)
            assert r.headers["X-Request-Id"]
        r = g.act(b"null")
        assert r.json["reason"].count("is required") == 7, r
        assert not [x for x in g.records() if x["event_type"] == "action.decision"]


def test_duplicate_and_case_variant_members_are_refused():
    # nomos-http.md 10.6, 39 and nomos-policy.md 9.1.
    with Gateway() as g:
        raw = json.dumps(action()).encode()
        for bad in (raw[:-1] + b',"resource":"payment://shop.example.com/2"}', raw[:-1] + b',"Resource":"x://y/z"}'):
            r = g.act(bad)
            assert r.status == 400 and "esource" in r.json["reason"], r


def test_body_limits():
    with Gateway() as g:
        big = json.dumps(action(params={"x": "a" * 33000})).encode()
        r = g.act(big)
        assert r.status == 400 and "params exceeds 32768 bytes" in r.json["reason"], r
        r = g.act(b" " * 70000)
        assert r.status == 413 and r.json["reason"].startswith("validation_error"), r


def test_every_resource_within_the_limit_has_room_in_its_record():
    # Three times in the record, six bytes for each of these.
    with Gateway() as g:
        start = "payment://shop.example.com/"
        r = g.act(action(resource=start + "<" * (8192 - len(start))))
        assert r.status == 200 and r.json["decision"] == "ALLOW", r
        r = g.act(action("fs.read", "file://other/" + "<" * 8000))
        assert r.status == 400 and r.json["reason"].startswith("normalization_error"), r
        assert len([x for x in g.records() if x["event_type"] == "action.decision"]) == 2
        r = g.act(action(resource=start + "<" * 60000))
        assert r.status == 400 and "resource exceeds 8192 bytes" in r.json["reason"], r


def test_media_type():
    with Gateway() as g:
        raw = json.dumps(action()).encode()
        headers = g.auth(raw)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        r = g.request("POST", "/action", raw, headers)
        assert r.status == 415 and "application/json" in r.json["reason"], r
        del headers["Content-Type"]
        assert g.request("POST", "/action", raw, headers).status == 200
        headers["Content-Type"] = "application/json; charset=utf-8"
        assert g.request("POST", "/action", raw, headers).status == 200


def test_normalisation_errors_are_recorded_once():
    with Gateway() as g:
        for path in ("/action", "/explain"):
            r = g.post(path, action("fs.read", "file://workspace/../etc/passwd"))
            assert r.status == 400 and r.json["reason"] == "normalization_error: file path traversal detected", r
        found = [x for x in g.records() if x.get("result_classification") == "NORMALIZATION_ERROR"]
        assert len(found) == 1 and found[0]["decision"] == "DENY"


def test_routes_methods_and_errors():
    with Gateway() as g:
        r = g.get("/nothing")
        assert r.status == 404 and r.json["reason"].startswith("not_found"), r
        r = g.get("/action")
        assert r.status == 405 and r.headers["Allow"] == "POST, OPTIONS", r
        r = g.request("OPTIONS", "/healthz")
        assert r.status == 204 and r.headers["Allow"] == "GET, HEAD, OPTIONS" and r.body == b"", r
        assert g.request("BREW", "/action").status == 501
        assert g.get("/action/").status == 404
        assert g.get("/%61ction").status == 404


def test_health_ready_version_openapi():
    with Gateway() as g:
        r = g.get("/healthz")
        assert r.status == 200 and r.body == b"ok" and r.headers["Content-Type"].startswith("text/plain"), r
        r = g.request("HEAD", "/healthz")
        assert r.status == 200 and r.body == b"" and r.headers["Content-Length"] == "2", r
        r = g.get("/readyz")
        assert r.status == 200 and r.json["status"] == "ready", r
        assert [c["name"] for c in r.json["checks"]] == ["policy", "ledger", "serving"]
        assert r.body.count(b"\n") == 5, "one line per check"
        assert set(g.get("/version").json) == {"Version", "Commit", "BuildDate", "Compiler", "Modified"}
        assert g.get("/openapi.yaml").body.startswith(b"openapi: 3.1.0")


def test_trace_context_is_echoed():
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Gateway() as g:
        r = g.act(headers={"traceparent": good, "tracestate": "a=b"})
        assert r.headers["Traceparent"] == good and r.headers["Tracestate"] == "a=b", r
        r = g.act(headers={"traceparent": good.upper(), "tracestate": "a=b"})
        assert r.headers["Traceparent"] is None and r.headers["Tracestate"] is None
        r = g.act(b"{}", headers={"traceparent": good})
        assert r.status == 400 and r.headers["Traceparent"] == good


def test_secrets_in_values_never_damage_or_enter_a_record():
    # nomos-http.md 10.4, 25 and 31.
    with Gateway() as g:
        secret = "AKIAABCDEFGHIJKLMNOP"
        r = g.act(action(resource="payment://shop.example.com/cookie:x", params={"note": f"authorization: Bearer {secret}",
                                                                                  "password": "hunter2hunter2"}))
        assert r.status == 200, r
        text = g.place.run("audit", "export", g.place.ledger, check=0).stdout.decode()
        assert secret not in text and "hunter2" not in text
        assert g.place.run("audit", "verify", g.place.ledger).returncode == 0
        assert [x for x in g.records() if x["event_type"] == "action.decision"][0]["action_id"] == "act-1"


def test_concurrency_limit_counts_authenticated_actions_only():
    # nomos-http.md 10.2, 4: idle or unauthenticated connections take no slot.
    with Gateway(config(gateway={"concurrency_limit": 1})) as g:
        idle = [g.connect() for _ in range(8)]
        for c in idle:
            c.connect()
            c.sock.sendall(b"POST /action HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert g.act().status == 200
        for c in idle:
            c.close()


def test_rate_limit_per_minute():
    with Gateway(config(gateway={"rate_limit_per_minute": 2})) as g:
        assert [g.act().status for _ in range(2)] == [200, 200]
        r = g.act()
        assert r.status == 429 and r.json["reason"].startswith("rate_limited: "), r
        assert int(r.headers["Retry-After"]) >= 1
        # Identity wins over rate, another identity has its own bucket.
        assert g.act(key="wrong").status == 401
        assert g.act(key="test-operator-key").status == 200


def test_rate_limits_deny_with_200_and_a_record():
    limits = {"principal_action": [{"id": "refunds", "action_type": "payments.refund", "burst": 2, "refill_per_minute": 1}]}
    with Gateway(config(rate_limits=limits)) as g:
        reasons = [g.act().json["reason"] for _ in range(3)]
        assert reasons == ["allow_by_rule", "allow_by_rule", "RATE_LIMIT_EXCEEDED"], reasons
        r = g.act()
        assert r.status == 200 and r.json["decision"] == "DENY"
        assert "approval_fingerprint" not in r.json and "obligations" not in r.json, r
        last = [x for x in g.records() if x["event_type"] == "action.decision"][-1]
        assert last["result_classification"] == "RATE_LIMIT_EXCEEDED" and last["retryable"] is True
        assert last["executor_metadata"]["rate_limit_rule_id"] == "refunds", last


def test_breaker_ignores_the_callers_mistakes():
    # nomos-http.md 10.2, 9.
    with Gateway(config(gateway={"circuit_breaker_failures": 1})) as g:
        for _ in range(3):
            r = g.act(action("fs.read", "file://workspace/missing.txt"))
            assert r.status == 400 and r.json["reason"].startswith("execution_error: "), r
        assert g.act().status == 200


def test_replay_of_pipelined_requests_in_order():
    with Gateway() as g:
        parts = []
        for i in range(20):
            raw = json.dumps(action(action_id=f"a{i}")).encode()
            head = f"POST /action HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n"
            head += "".join(f"{k}: {v}\r\n" for k, v in g.auth(raw).items())
            if i == 19:
                head += "Connection: close\r\n"
            parts.append(head.encode() + b"\r\n" + raw)
        got = g.raw(b"".join(parts))
        ids = [json.loads(line)["action_id"] for line in got.split(b"\n") if line.startswith(b'{"decision"')]
        assert ids == [f"a{i}" for i in range(20)], ids
