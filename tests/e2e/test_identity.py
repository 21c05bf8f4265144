# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Who may ask: API keys, service and agent signatures, roles (nomos-http.md 2, 9; decisions 26)."""
import hashlib
import json

from support import AGENT_SECRET, API_KEY, Gateway, action, config, sign, until


def test_unknown_and_wrong_look_the_same():
    with Gateway() as g:
        raw = json.dumps(action()).encode()
        good = g.auth(raw)
        replies = []
        for change in ({"Authorization": "Bearer nope"}, {"Authorization": None}, {"Authorization": "Basic abc"},
                       {"Authorization": "Bearer "}):
            headers = {k: v for k, v in {**good, **change}.items() if v is not None}
            replies.append(g.request("POST", "/action", raw, headers))
        for r in replies:
            assert r.status == 401 and r.json["reason"] == "auth_error: principal authentication failed", r
        for change in ({"X-Nomos-Agent-Id": "ghost"}, {"X-Nomos-Agent-Signature": "0" * 64}, {"X-Nomos-Agent-Id": None},
                       {"X-Nomos-Agent-Signature": sign(AGENT_SECRET, raw).upper()},
                       {"X-Nomos-Agent-Signature": sign(AGENT_SECRET, raw + b" ")}):
            headers = {k: v for k, v in {**good, **change}.items() if v is not None}
            r = g.request("POST", "/action", raw, headers)
            assert r.status == 401 and r.json["reason"] == "auth_error: agent authentication failed", (change, r)
        assert not [x for x in g.records() if x["event_type"] == "action.decision"]


def test_authentication_comes_before_validation():
    with Gateway() as g:
        r = g.request("POST", "/action", b"{", {"Authorization": "Bearer nope"})
        assert r.status == 401, r


def test_service_hmac():
    with Gateway() as g:
        raw = json.dumps(action()).encode()
        headers = g.auth(raw)
        del headers["Authorization"]
        headers.update({"X-Nomos-Service-Id": "svc", "X-Nomos-Service-Signature": sign("service-secret", raw)})
        r = g.request("POST", "/action", raw, headers)
        assert r.status == 200, r
        assert [x for x in g.records() if x["event_type"] == "action.decision"][0]["principal"] == "svc"
        # Not on operator routes.
        headers["X-Nomos-Service-Signature"] = sign("service-secret", b"")
        assert g.request("POST", "/admin/reload", b"", headers).status == 401


def test_published_agent_vector():
    raw = (b'{"schema_version":"v1","action_id":"a1","action_type":"fs.read","resource":"file://workspace/README.md",'
           b'"params":{},"trace_id":"t1","context":{"extensions":{}}}')
    assert len(raw) == 160
    with Gateway() as g:
        headers = g.auth(raw)
        headers["X-Nomos-Agent-Signature"] = "10e13d68c5164d40006adfbfa58cf293d59cbaf78006245fdd2ff0a8add691c9"
        r = g.request("POST", "/action", raw, headers)
        assert r.status == 200 and r.json["output"] == "hello from the workspace\n", r


def test_hashed_keys():
    secret = "nk_k1_" + "ab" * 32
    keys = [{"id": "k1", "principal": "hannah", "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest()}]
    with Gateway(config(identity={"hashed_keys": keys})) as g:
        assert g.act(key=secret).status == 200
        assert g.act(key=secret[:-1] + "c").status == 401
        assert g.act(key="nk_k2_" + "ab" * 32).status == 401
        assert [x for x in g.records() if x["event_type"] == "action.decision"][0]["principal"] == "hannah"


def test_keys_in_clear_are_warned_about_at_each_start_and_reload():
    def lines(g, word):
        return [line for line in map(json.loads, g.read_log().splitlines()) if word in line["msg"]]
    def warnings(g):
        return lines(g, "stand in clear")
    with Gateway() as g:
        assert g.act().status == 200  # they work all the same
        [first] = warnings(g)
        assert first["level"] == "warn" and "nomos keys new" in first["msg"] and "identity.hashed_keys" in first["msg"], first
        assert API_KEY not in first["msg"] and "identity.api_keys: 2" in first["msg"], first
        assert g.operator("POST", "/admin/reload").status == 200
        until(lambda: len(warnings(g)) == 2, "said again")
        secret = "nk_op_" + "ab" * 32
        row = {"id": "op", "principal": "olga", "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest()}
        g.place.write_config(config(identity={"api_keys": {}, "hashed_keys": [row]}))
        assert g.operator("POST", "/admin/reload").status == 200
        assert g.act(key=secret).status == 200 and g.act().status == 401
        until(lambda: len(lines(g, "reloaded")) == 2, "that is said as well")
        assert len(warnings(g)) == 2


def test_principal_agents_bind():
    # nomos-http.md 10.3, 16.
    identity = {"principal_agents": {"alice": ["other"]}, "agent_secrets": {"bot": AGENT_SECRET, "other": "other-secret-1"}}
    with Gateway(config(identity=identity)) as g:
        assert g.act().status == 401
        assert g.act(agent="other", secret="other-secret-1").status == 200


def test_roles_guard_operator_routes():
    with Gateway() as g:
        assert g.request("POST", "/admin/reload").status == 401
        r = g.request("POST", "/admin/reload", b"", {"Authorization": "Bearer test-api-key-1"})
        assert r.json["reason"] == "forbidden: the principal has not the role operator (identity.roles)", r
        assert r.status == 403 and r.json["reason"].startswith("forbidden"), r
        assert g.operator("POST", "/admin/reload").status == 200


def test_principal_in_a_body_is_refused():
    with Gateway() as g:
        for name in ("principal", "agent", "environment"):
            r = g.act(action(**{name: "root"}))
            assert r.status == 400 and name in r.json["reason"], r
