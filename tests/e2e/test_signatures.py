# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Request signatures v2 (decisions 39), keys and their bounds (decisions 40). The other side is signing.py."""
import contextlib
import datetime
import hashlib
import json
import subprocess
import threading
import time

from signing import Signer, form, mac
from support import AGENT_SECRET, API_KEY, OPERATOR_KEY, Gateway, Workplace, action, config, sign, until

BOT = Signer(AGENT_SECRET, key=API_KEY)
AGENT_FAILED = "auth_error: agent authentication failed"


def v2_only(**identity):
    return config(identity={"signature_versions": ["v2"], **identity})


@contextlib.contextmanager
def workplace():
    place = Workplace()
    try:
        yield place
    finally:
        place.remove()


def refused(reply, reason=AGENT_FAILED):
    assert reply.status == 401 and reply.json["reason"] == reason, reply
    return True


def test_each_signature_counts_once():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        headers = BOT.headers("POST", "/action", raw)
        assert g.request("POST", "/action", raw, headers).status == 200
        for _ in range(3):
            refused(g.request("POST", "/action", raw, headers))
        assert BOT.send(g, action()).status == 200
        assert len([x for x in g.records() if x["event_type"] == "action.decision"]) == 2


def test_all_workers_know_a_nonce():
    with Gateway(config(gateway={"workers": 4}, identity={"signature_versions": ["v2"]})) as g:
        raw = json.dumps(action()).encode()
        for _ in range(10):
            headers = BOT.headers("POST", "/action", raw)
            taken = []
            threads = [threading.Thread(target=lambda h=headers: taken.append(g.request("POST", "/action", raw, h).status)) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert sorted(taken) == [200] + [401] * 7, taken


def test_what_is_signed_cannot_be_changed():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        good = BOT.headers("POST", "/action", raw, idempotency_key="order-1")
        nonce = good["X-Nomos-Nonce"]
        for change in ({"Idempotency-Key": "order-2"}, {"Idempotency-Key": None}, {"X-Nomos-Nonce": nonce[:-1] + ("A" if nonce[-1] == "_" else "_")},
                       {"X-Nomos-Timestamp": str(int(good["X-Nomos-Timestamp"]) + 1)}, {"X-Nomos-Agent-Id": "ghost"},
                       {"X-Nomos-Nonce": None}, {"X-Nomos-Timestamp": None}, {"X-Nomos-Agent-Signature": None},
                       {"X-Nomos-Agent-Signature": good["X-Nomos-Agent-Signature"].upper()},
                       {"X-Nomos-Agent-Signature": good["X-Nomos-Agent-Signature"][3:]},
                       {"X-Nomos-Agent-Signature": sign(AGENT_SECRET, raw)}):
            headers = {k: v for k, v in {**good, **change}.items() if v is not None}
            assert refused(g.request("POST", "/action", raw, headers)), change
        refused(g.request("POST", "/action", raw + b" ", good))
        for path in ("/run", "/explain", "/actions/report", "/action?", "/action?a=b"):
            refused(g.request("POST", path, raw, good))
        assert g.request("POST", "/action", raw, good).status == 200


def test_a_query_is_covered_as_it_was_written():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        assert BOT.send(g, raw, "/action?b=%2F&a").status == 200
        headers = BOT.headers("POST", "/action?b=%2f&a", raw)
        refused(g.request("POST", "/action?b=%2F&a", raw, headers))
        # An absolute target is signed from its path on.
        headers = BOT.headers("POST", "/action?x", raw)
        host = f"{g.address[0]}:{g.address[1]}"
        lines = [f"POST http://{host}/action?x HTTP/1.1", f"Host: {host}", "Connection: close", f"Content-Length: {len(raw)}"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        assert g.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + raw).startswith(b"HTTP/1.1 200 ")


def test_clocks_may_be_apart_so_far_and_no_further():
    with Gateway(v2_only(signature_window_seconds=300)) as g:
        now = int(time.time())
        assert BOT.send(g, action(), timestamp=now + 290).status == 200
        refused(BOT.send(g, action(), timestamp=now + 320))
        refused(BOT.send(g, action(), timestamp=now - 320))
        # Within the window, but this process did not run yet, so it cannot know whether it was used.
        refused(BOT.send(g, action(), timestamp=now - 60))
        log = g.read_log()
        assert "too far from now" in log or "from before this process" in log, log


def test_a_nonce_is_its_agent_s_own():
    other = Signer("other-secret-1", "other", key=API_KEY)
    with Gateway(v2_only(agent_secrets={"bot": AGENT_SECRET, "other": "other-secret-1"})) as g:
        raw = json.dumps(action()).encode()
        nonce = "0123456789abcdef"
        assert BOT.send(g, raw, nonce=nonce).status == 200
        assert other.send(g, raw, nonce=nonce).status == 200
        refused(BOT.send(g, raw, nonce=nonce))
        refused(other.send(g, raw, nonce=nonce))
        # Not even with another request.
        refused(BOT.send(g, action(action_id="other"), nonce=nonce))


def test_a_full_share_refuses_its_agent_only():
    other = Signer("other-secret-1", "other", key=API_KEY)
    with Gateway(v2_only(agent_secrets={"bot": AGENT_SECRET, "other": "other-secret-1"}, max_nonces_per_signer=16)) as g:
        got = [BOT.send(g, action()).status for _ in range(20)]
        assert got == [200] * 16 + [401] * 4, got
        assert other.send(g, action()).status == 200
        # A reload changes the limit and forgets nothing.
        g.place.write_config(v2_only(agent_secrets={"bot": AGENT_SECRET, "other": "other-secret-1"}, max_nonces_per_signer=18))
        g.operator("POST", "/admin/reload")
        got = [BOT.send(g, action()).status for _ in range(4)]
        assert got == [200, 200, 401, 401], got


def test_a_header_that_stands_twice_is_refused():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        for name in ("X-Nomos-Timestamp", "X-Nomos-Nonce", "X-Nomos-Agent-Signature", "X-Nomos-Agent-Id", "Idempotency-Key"):
            headers = BOT.headers("POST", "/action", raw, idempotency_key="k")
            lines = ["POST /action HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(raw)}"]
            lines += [f"{k}: {v}" for k, v in headers.items()] + [f"{name.lower()}: {headers[name]}"]
            assert g.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + raw).startswith(b"HTTP/1.1 400 "), name


def test_version_1_counts_only_where_it_is_on():
    with Gateway() as g:
        assert g.act().status == 200 and BOT.send(g, action()).status == 200
        for versions, v1, v2 in ((["v2"], 401, 200), (["v1"], 200, 401), (["v1", "v2"], 200, 200)):
            g.place.write_config(config(identity={"signature_versions": versions}))
            assert g.operator("POST", "/admin/reload").status == 200
            assert (g.act().status, BOT.send(g, action()).status) == (v1, v2), versions


def test_services_sign_too():
    by_service = Signer(AGENT_SECRET, service=("svc", "service-secret"))
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        headers = by_service.headers("POST", "/action", raw)
        wrong = {**headers, "X-Nomos-Service-Signature": mac("wrong", form("POST", "/action", 1, "n" * 16, raw))}
        refused(g.request("POST", "/action", raw, wrong), "auth_error: principal authentication failed")
        assert g.request("POST", "/action", raw, headers).status == 200
        refused(g.request("POST", "/action", raw, headers))
        assert [x for x in g.records() if x["event_type"] == "action.decision"][0]["principal"] == "svc"
        # Not on operators' routes, whatever it signs.
        assert by_service.send(g, b"", "/admin/reload").status == 401


def ed25519_key(place, name):
    pem = place.dir / f"{name}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(pem)], check=True, capture_output=True)
    return pem, subprocess.run(["openssl", "pkey", "-in", str(pem), "-pubout"], check=True, capture_output=True, text=True).stdout


def test_ed25519_keys_sign_and_are_replaced():
    with workplace() as place:
        old, old_public = ed25519_key(place, "old")
        new, new_public = ed25519_key(place, "new")
        place.write_config(v2_only(agent_secrets={"x": "unused-secret"}, agent_public_keys={"bot": old_public}))
        with Gateway(workplace=place) as g:
            raw = json.dumps(action()).encode()
            by_old, by_new = Signer(key=API_KEY, key_file=old), Signer(key=API_KEY, key_file=new)
            headers = by_old.headers("POST", "/action", raw)
            assert g.request("POST", "/action", raw, headers).status == 200
            refused(g.request("POST", "/action", raw, headers))
            refused(by_new.send(g, raw))
            # The public key is no secret: a MAC under it is nothing.
            for text in (old_public, old_public.splitlines()[1]):
                refused(Signer(text, key=API_KEY).send(g, raw))
            place.write_config(v2_only(agent_secrets={"x": "unused-secret"}, agent_public_keys={"bot": [new_public, old_public]}))
            assert g.operator("POST", "/admin/reload").status == 200
            assert by_old.send(g, raw).status == 200 and by_new.send(g, raw).status == 200
            (place.dir / "body").write_bytes(raw)
            (place.dir / "key").write_text(API_KEY)
            lines = place.run("sign", "--key-file", "key", "--agent", "bot", "--agent-key-file", "new.pem", "body", check=0).stdout.decode()
            assert g.request("POST", "/action", raw, dict(line.split(": ", 1) for line in lines.splitlines())).status == 200


def test_a_secret_is_replaced_without_a_failed_request():
    secrets = [AGENT_SECRET, "second-secret-2", "third-secret-33"]
    statuses, stop = [], threading.Event()
    current = {"secret": secrets[0]}
    with Gateway(v2_only()) as g:
        def work():
            while not stop.is_set():
                statuses.append(Signer(current["secret"], key=API_KEY).send(g, action()).status)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for t in threads:
            t.start()
        for old, new in zip(secrets, secrets[1:]):
            g.place.write_config(v2_only(agent_secrets={"bot": [new, old]}))
            assert g.operator("POST", "/admin/reload").status == 200
            seen = len(statuses)
            current["secret"] = new
            until(lambda n=seen: len(statuses) > n + 20, "requests under the new secret")
            g.place.write_config(v2_only(agent_secrets={"bot": new}))
            assert g.operator("POST", "/admin/reload").status == 200
        stop.set()
        for t in threads:
            t.join()
        assert set(statuses) == {200} and len(statuses) > 40, statuses
        refused(Signer(secrets[0], key=API_KEY).send(g, action()))


POLICY = {"version": "v1", "rules": [{"id": "ask", "action_type": "payments.refund", "resource": "payment://**",
                                      "decision": "REQUIRE_APPROVAL"}]}


def with_approvals():
    return config(approvals={"enabled": True, "approver_principals": ["olga"]}, identity={"signature_versions": ["v2"], "signature_window_seconds": 2})


def test_a_held_request_is_no_replay_of_itself():
    with Gateway(with_approvals(), POLICY) as g:
        raw = json.dumps(action()).encode()
        headers = {**BOT.headers("POST", "/action", raw), "Prefer": "wait=30"}
        got = []
        t = threading.Thread(target=lambda: got.append(g.request("POST", "/action", raw, headers)))
        t.start()
        waiting = until(lambda: g.operator("GET", "/api/ui/approvals").json["approvals"], "an approval")
        # Longer than its timestamp is good for.
        end = time.time() + 3.2
        until(lambda: time.time() > end, "the end of the window")
        body = json.dumps({"approval_id": waiting[0]["approval_id"], "decision": "approve"}).encode()
        r = g.request("POST", "/approvals/decide", body, {"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"})
        assert r.status == 200, r
        t.join()
        assert got[0].status == 200 and got[0].json["decision"] == "ALLOW", got
        refused(g.request("POST", "/action", raw, headers))


def test_reading_with_a_signature():
    with Gateway(with_approvals(), POLICY) as g:
        asked = BOT.send(g, action()).json["approval_id"]
        path = f"/approvals/{asked}"
        headers = BOT.headers("GET", path)
        assert g.request("GET", path, b"", headers).status == 200
        assert g.request("GET", path, b"", headers).status == 401
        assert Signer("wrong", key=API_KEY).send(g, b"", path, "GET").status == 401
        # HEAD is not GET to a signature.
        assert g.request("HEAD", path, b"", BOT.headers("GET", path)).status == 401
        # A service proves itself alone; the agent beside it has to as well. The approval is alice's, so it finds nothing.
        by_service = Signer(AGENT_SECRET, service=("svc", "service-secret"))
        assert by_service.send(g, b"", path, "GET").status == 404
        unsigned = by_service.headers("GET", path)
        del unsigned["X-Nomos-Agent-Signature"]
        assert g.request("GET", path, b"", unsigned).status == 401
        v1 = {"X-Nomos-Agent-Id": "bot", "X-Nomos-Agent-Signature": sign(AGENT_SECRET, b""), "X-Nomos-Service-Id": "svc",
              "X-Nomos-Service-Signature": sign("service-secret", b"")}
        assert g.request("GET", path, b"", v1).status == 401


def test_a_body_that_comes_late_uses_its_nonce_once():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        headers = BOT.headers("POST", "/action", raw)
        c = g.connect()
        c.putrequest("POST", "/action")
        for k, v in headers.items():
            c.putheader(k, v)
        c.putheader("Content-Length", str(len(raw)))
        c.putheader("Expect", "100-continue")
        c.endheaders()
        assert c.sock.recv(100).startswith(b"HTTP/1.1 100")
        c.send(raw)
        r = c.getresponse()
        assert r.status == 200, r.read()
        c.close()


def key_row(secret, **more):
    return {"id": secret.split("_")[1], "principal": "hannah", "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest(), **more}


def test_keys_end_and_are_narrowed():
    made = {name: f"nk_{name}_" + "ab" * 32 for name in ("plain", "ended", "ends", "away", "here", "narrow", "viewer")}
    past = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [key_row(made["plain"]), key_row(made["ended"], expires=past), key_row(made["ends"], expires="2200-01-01T00:00:00Z"),
            key_row(made["away"], networks=["10.1.0.0/16", "2001:db8::/32"]), key_row(made["here"], networks=["127.0.0.0/8"]),
            key_row(made["narrow"], agents=["other"]), key_row(made["viewer"], roles=["viewer"], owner="the board")]
    options = config(identity={"hashed_keys": rows, "roles": {"operator": ["hannah", "olga"]},
                               "agent_secrets": {"bot": AGENT_SECRET, "other": "other-secret-1"}})
    with Gateway(options) as g:
        unknown = g.act(key="nk_nobody_" + "ab" * 32)
        for name, good in (("plain", True), ("ended", False), ("ends", True), ("away", False), ("here", True), ("viewer", True)):
            r = g.act(key=made[name])
            assert r.status == (200 if good else 401), (name, r)
            if not good:
                assert r.body == unknown.body
        refused(g.act(key=made["narrow"]))
        assert g.act(key=made["narrow"], agent="other", secret="other-secret-1").status == 200

        def operator(name, path, method="GET"):
            return g.request(method, path, b"", {"Authorization": f"Bearer {made[name]}"}).status

        assert operator("plain", "/admin/reload", "POST") == 200
        assert operator("viewer", "/admin/reload", "POST") == 403
        assert operator("viewer", "/api/ui/records") == 200
        for name in ("ended", "away"):
            assert operator(name, "/api/ui/records") == 401
        # A session has what its key has.
        r = g.request("POST", "/api/ui/session", json.dumps({"api_key": made["viewer"]}).encode(), {"Content-Type": "application/json"})
        assert r.status == 200 and r.json["roles"] == ["viewer"], r
        assert g.request("POST", "/api/ui/session", json.dumps({"api_key": made["away"]}).encode(),
                         {"Content-Type": "application/json"}).status == 401


def test_keys_that_nomos_makes_are_taken():
    with workplace() as place:
        done = place.run("keys", "new", "--principal", "robot", "--owner", "the \"ci\" team", "--agents", "bot", "--networks", "127.0.0.1",
                         "--expires", "1d", "--roles", "viewer", "--key-file", "robot.key", check=0)
        key = (place.dir / "robot.key").read_text().strip()
        assert key.startswith("nk_") and key not in done.stdout.decode() and (place.dir / "robot.key").stat().st_mode & 0o777 == 0o600
        place.run("keys", "new", "--principal", "robot", "--key-file", "robot.key", check=1)
        shown = place.run("keys", "new", "--principal", "eve", "--name", "eve", check=0).stdout.decode()
        eve = next(line for line in shown.splitlines() if line.startswith("nk_eve"))
        rows = [line.strip() for text in (done.stdout.decode(), shown) for line in text.splitlines() if line.strip().startswith("- {")]
        made = json.dumps(config(identity={"api_keys": {}})).replace('"api_keys": {}', '"hashed_keys": ["@"]')
        # JSON is YAML, and so is the row.
        (place.dir / "nomos.yaml").write_text(made.replace('["@"]', "[" + ", ".join(row[2:] for row in rows) + "]"))
        listed = place.run("keys", "list", "-c", "nomos.yaml", check=0).stdout.decode()
        assert "principal=robot owner=the \"ci\" team roles=viewer agents=bot networks=127.0.0.1 expires=" in listed, listed
        assert "principal=eve\n" in listed and key not in listed and eve not in listed
        with Gateway(workplace=place, config_file="nomos.yaml") as g:
            assert Signer(AGENT_SECRET, key=key).send(g, action()).status == 200
            assert Signer(AGENT_SECRET, key=eve).send(g, action()).status == 200
            refused(Signer(AGENT_SECRET, key=eve + "0").send(g, action()), "auth_error: principal authentication failed")


def test_doctor_advises_to_leave_version_1():
    with workplace() as place:
        checks = json.loads(place.run("doctor", "-c", "nomos.json", "--format", "json").stdout)["checks"]
        found = next(c for c in checks if c["id"] == "identity.request_signatures")
        assert "v1" in json.dumps(found), found
        place.write_config(v2_only())
        checks = json.loads(place.run("doctor", "-c", "nomos.json", "--format", "json").stdout)["checks"]
        assert "v1" not in json.dumps(next(c for c in checks if c["id"] == "identity.request_signatures"))


def test_the_log_says_why_and_the_client_does_not_learn_it():
    with Gateway(v2_only()) as g:
        raw = json.dumps(action()).encode()
        headers = BOT.headers("POST", "/action", raw)
        assert g.request("POST", "/action", raw, headers).status == 200
        assert "nonce" not in g.request("POST", "/action", raw, headers).body.decode()
        until(lambda: "the nonce was used before" in g.read_log(), "a line in the log")


def failing(g, headers=None):
    return [r for _ in range(6) for r in [g.act(key="nobody", headers=headers)]]


def test_failed_authentication_is_limited_and_valid_credentials_are_not():
    with Gateway(config(gateway={"failed_auth_per_minute": 4})) as g:
        got = failing(g)
        assert [r.status for r in got] == [401] * 4 + [429] * 2, got
        assert 1 <= int(got[-1].headers["Retry-After"]) <= 16 and got[-1].json["reason"].startswith("rate_limited"), got[-1]
        # The same bucket on every route, and the agent's half counts too.
        assert g.get("/api/ui/records", {"Authorization": "Bearer nobody"}).status == 429
        assert g.act(secret="wrong").status == 429
        assert g.act().status == 200 and BOT.send(g, action()).status == 200
        assert g.operator("GET", "/api/ui/records").status == 200
        assert g.get("/healthz").status == 200


def test_failed_authentication_is_not_limited_unless_asked_for():
    with Gateway() as g:
        assert {r.status for r in failing(g)} == {401}


def test_a_trusted_proxy_is_not_limited_and_its_clients_are():
    with Gateway(config(gateway={"failed_auth_per_minute": 4, "trusted_proxies": ["127.0.0.0/8"]})) as g:
        assert {r.status for r in failing(g)} == {401}
        one = failing(g, {"X-Forwarded-For": "203.0.113.7"})
        assert [r.status for r in one] == [401] * 4 + [429] * 2, one
        assert failing(g, {"X-Forwarded-For": "203.0.113.8"})[0].status == 401


def test_a_key_s_network_is_the_client_s_behind_a_trusted_proxy():
    key = "nk_far_" + "ab" * 32
    identity = {"hashed_keys": [key_row(key, networks=["203.0.113.0/24"])]}
    with Gateway(config(identity=identity, gateway={"trusted_proxies": ["127.0.0.0/8"]})) as g:
        assert g.act(key=key).status == 401
        assert g.act(key=key, headers={"X-Forwarded-For": "203.0.113.7"}).status == 200
        assert g.act(key=key, headers={"X-Forwarded-For": "198.51.100.7"}).status == 401
    # Nobody else is believed.
    with Gateway(config(identity=identity)) as g:
        assert g.act(key=key, headers={"X-Forwarded-For": "203.0.113.7"}).status == 401
