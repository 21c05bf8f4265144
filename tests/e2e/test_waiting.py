# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Held requests (Prefer: wait), event streams and notices of approvals, on the built program (decisions 23, 27, 37)."""
import json
import select
import socket

from support import API_KEY, INSTRUMENTED, PATIENCE, POLICY, Gateway, action, config, until

APPROVER_KEY = "test-approver-key"
VIEWER = {"Authorization": f"Bearer {APPROVER_KEY}"}
STREAMS_PER_PRINCIPAL = 8
WAITS = 200 if INSTRUMENTED else 1000
SLOTS = 50


def options(gateway=None, **approvals):
    return config(
        gateway={"concurrency_limit": SLOTS, **(gateway or {})},
        identity={"api_keys": {API_KEY: "alice", "test-operator-key": "olga", APPROVER_KEY: "vera"},
                  "roles": {"operator": ["olga"], "viewer": ["olga", "vera"]}},
        approvals={"enabled": True, "approver_principals": ["vera"], **approvals})


def transfer(number=1, **members):
    return action("payments.transfer", "payment://bank.example.com/accounts/1", {"amount": number},
                  **{"action_id": f"act-{number}", **members})


class Held:
    """One request on a connection of its own, of which the answer is awaited."""

    def __init__(self, g, body, wait=None, path="/action", headers=None):
        raw = json.dumps(body).encode()
        head = {"Host": "h", **g.auth(raw), "Content-Length": len(raw), **(headers or {})}
        if wait is not None:
            head["Prefer"] = f"wait={wait}"
        lines = "".join(f"{k}: {v}\r\n" for k, v in head.items())
        self.socket = socket.create_connection(g.address, timeout=PATIENCE)
        self.socket.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + raw)

    def is_answered(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self):
        """Status, headers, body."""
        got = b""
        while b"\r\n\r\n" not in got:
            part = self.socket.recv(65536)
            assert part, f"closed after {got!r}"
            got += part
        head, body = got.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        while len(body) < int(headers["content-length"]):
            body += self.socket.recv(65536)
        return int(lines[0].split()[1]), headers, json.loads(body)

    def close(self):
        self.socket.close()


class Events:
    """An open stream of events."""

    def __init__(self, g, path="/api/ui/stream", headers=None):
        self.connection = g.connect()
        self.connection.request("GET", path, headers=VIEWER if headers is None else headers)
        self.reply = self.connection.getresponse()
        self.status = self.reply.status

    def next(self):
        """The next event and its data; None at the end. Comments are skipped."""
        event = data = None
        while True:
            line = self.reply.readline()
            if not line:
                return None
            if line == b"\n" and event is not None:
                return event, json.loads(data)
            if line.startswith(b"event: "):
                event = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                data = line[6:]

    def until_event(self, event, **members):
        """The data of the next such event that has these members."""
        while True:
            got = self.next()
            assert got is not None, f"the stream ended before {event} {members}"
            if got[0] == event and all(got[1].get(k) == v for k, v in members.items()):
                return got[1]

    def close(self):
        self.connection.close()


def decide(g, approval_id, decision="APPROVE", **members):
    body = json.dumps({"approval_id": approval_id, "decision": decision, "reason": "seen", **members}).encode()
    return g.request("POST", "/approvals/decide", body,
                     {"Authorization": f"Bearer {APPROVER_KEY}", "Content-Type": "application/json"})


def requested(g):
    return [r for r in g.records() if r["event_type"] == "approval.requested"]


def wait_for_approval(g, n=1):
    """The ids of the first n approvals that were asked for, oldest first."""
    return [r["approval_id"] for r in until(lambda: (len(requested(g)) >= n and requested(g)), f"{n} approvals")]


def test_a_held_request_gets_what_the_person_decided():
    with Gateway(options()) as g:
        held = Held(g, transfer(1), wait=60)
        (approval,) = wait_for_approval(g)
        assert not held.is_answered()
        assert decide(g, approval).status == 200
        status, headers, body = held.answer()
        assert status == 200 and body["decision"] == "ALLOW" and body["reason"] == "allow_by_approval", body
        assert headers["preference-applied"] == "wait=60" and headers.get("connection") != "close", headers
        held.close()
        # It is used up: the same action asks anew.
        r = g.act(transfer(1))
        assert r.json["decision"] == "REQUIRE_APPROVAL" and r.json["approval_id"] != approval, r
        assert "Preference-Applied" not in r.headers


def test_a_held_request_is_denied_when_the_person_says_so():
    with Gateway(options()) as g:
        held = Held(g, transfer(1), wait=60, path="/run")
        (approval,) = wait_for_approval(g)
        assert decide(g, approval, "DENY").status == 200
        status, headers, body = held.answer()
        assert status == 200 and body["decision"] == "DENY" and body["reason"] == "denied_by_approver", body
        held.close()


def test_a_client_that_left_loses_its_wait_and_nothing_else():
    """Its action does not run though it is approved; the approval is still there for the one that comes back."""
    with Gateway(options(max_waiting=1)) as g:
        held = Held(g, transfer(1), wait=60)
        (approval,) = wait_for_approval(g)
        held.close()
        # Its place is free when it was noticed.
        def next_one_waits():
            other = Held(g, transfer(2), wait=1)
            applied = "preference-applied" in other.answer()[1]
            other.close()
            return applied
        until(next_one_waits, "the place of the one that left")
        assert decide(g, approval).status == 200
        assert not [r for r in g.records() if r.get("decision") == "ALLOW" and r["event_type"] == "action.decision"]
        again = g.act(transfer(1, context={"extensions": {"approval": {"approval_id": approval}}}))
        assert again.json["decision"] == "ALLOW", again


def test_who_waits_in_vain_gets_the_id_and_no_more():
    with Gateway(options()) as g:
        held = Held(g, transfer(1), wait=1)
        status, headers, body = held.answer()
        assert status == 200 and body["decision"] == "REQUIRE_APPROVAL" and body["approval_status"] == "pending", body
        assert headers["preference-applied"] == "wait=1"
        held.close()
        assert [r["approval_id"] for r in requested(g)] == [body["approval_id"]]
        assert not [r for r in g.records() if r.get("decision") == "ALLOW"]


def test_the_wait_is_bounded_by_the_configuration():
    with Gateway(options(max_wait_seconds=1)) as g:
        held = Held(g, transfer(1), wait=100000)
        status, headers, body = held.answer()
        assert body["decision"] == "REQUIRE_APPROVAL" and headers["preference-applied"] == "wait=1", (headers, body)
        held.close()
        # What is no number is no preference.
        held = Held(g, transfer(2), wait="soon")
        assert "preference-applied" not in held.answer()[1]
        held.close()


def test_an_approval_that_runs_out_ends_the_wait():
    with Gateway(options(ttl_seconds=1)) as g:
        held = Held(g, transfer(1), wait=60)
        status, headers, body = held.answer()
        assert body["decision"] == "REQUIRE_APPROVAL" and body["approval_status"] == "expired", body
        held.close()


def test_who_finds_no_place_is_answered_at_once():
    with Gateway(options(max_waiting=1)) as g:
        first = Held(g, transfer(1), wait=60)
        wait_for_approval(g)
        second = Held(g, transfer(2), wait=60)
        status, headers, body = second.answer()
        assert body["decision"] == "REQUIRE_APPROVAL" and "preference-applied" not in headers, (headers, body)
        assert not first.is_answered()
        first.close()
        second.close()

    with Gateway(options(max_waiting_per_principal=1)) as g:
        first = Held(g, transfer(1), wait=60)
        wait_for_approval(g)
        second = Held(g, transfer(2), wait=60)
        assert "preference-applied" not in second.answer()[1]
        first.close()
        second.close()


def test_the_end_of_the_gateway_answers_those_who_wait():
    with Gateway(options()) as g:
        held = [Held(g, transfer(i), wait=60) for i in range(1, 4)]
        wait_for_approval(g, 3)
        g.process.terminate()
        for h in held:
            status, headers, body = h.answer()
            assert status == 200 and body["decision"] == "REQUIRE_APPROVAL" and headers["connection"] == "close", (headers, body)
            h.close()
        assert g.process.wait(PATIENCE) == 0


def reload_policy(g, keep):
    """The rules of POLICY for which keep says yes, or what it makes of them."""
    rules = [keep(json.loads(json.dumps(r))) for r in POLICY["rules"]]
    g.place.write_policy({**POLICY, "rules": [r for r in rules if r]})
    assert g.operator("POST", "/admin/reload").status == 200


def test_another_policy_decides_at_once_about_those_who_wait():
    with Gateway(options()) as g:
        held = [Held(g, transfer(i), wait=60) for i in range(1, 4)]
        wait_for_approval(g, 3)
        reload_policy(g, lambda r: r if r["id"] != "ask-transfer" else None)
        # Nobody decided, and an approval lasts for 15 minutes.
        for h in held:
            status, headers, body = h.answer()
            assert status == 200 and body["decision"] == "DENY" and body["reason"] == "deny_by_default", body
            assert headers["preference-applied"] == "wait=60"
            h.close()


def test_under_another_policy_that_asks_the_wait_goes_on_for_its_approval():
    with Gateway(options()) as g:
        held = Held(g, transfer(1), wait=60)
        [old] = wait_for_approval(g)
        reload_policy(g, lambda r: {**r, "obligations": {"approval_ttl_seconds": 700}} if r["id"] == "ask-transfer" else r)
        new = wait_for_approval(g, 2)[1]
        assert new != old and not held.is_answered()
        assert decide(g, old).status == 400, "it has ended, so that it does not count against the caps"
        assert decide(g, new).status == 200
        status, _, body = held.answer()
        assert status == 200 and body["decision"] == "ALLOW" and body["approval_id"] == new, body
        held.close()


def test_a_reload_of_the_same_policy_wakes_nobody():
    with Gateway(options()) as g:
        held = Held(g, transfer(1), wait=60)
        [apr] = wait_for_approval(g)
        assert g.operator("POST", "/admin/reload").status == 200
        assert decide(g, apr).status == 200
        assert held.answer()[2]["decision"] == "ALLOW"
        held.close()
        assert len([r for r in g.records() if r["event_type"] == "action.decision"]) == 2


def test_streams_learn_of_another_policy():
    with Gateway(options()) as g:
        apr = g.act(transfer(1)).json["approval_id"]
        page = Events(g)
        assert page.next()[0] == "hello"
        agent = Events(g, f"/approvals/{apr}/events", AGENT)
        assert agent.next()[1]["status"] == "pending"
        reload_policy(g, lambda r: r if r["id"] != "ask-transfer" else None)
        page.until_event("approval", approval_id="", status="policy_changed")
        # It is told what is, which is as before.
        assert agent.next()[1]["status"] == "pending"
        # Without the right to it a stream ends then, and not with its next comment.
        o = options()
        o["identity"]["api_keys"] = {"another-key-of-alice": "alice", "test-operator-key": "olga", APPROVER_KEY: "vera"}
        g.place.write_config(o)
        reload_policy(g, lambda r: r)
        assert agent.next() is None
        agent.close()
        page.close()


def test_the_page_hears_of_approvals_as_they_come_and_go():
    with Gateway(options(ttl_seconds=1), expect_exit=0) as g:
        page = Events(g)
        assert page.status == 200 and page.reply.headers["Content-Type"] == "text/event-stream"
        assert page.reply.headers["Cache-Control"] == "no-store"
        assert page.next() == ("hello", {})
        approval = g.act(transfer(1)).json["approval_id"]
        page.until_event("approval", approval_id=approval, status="pending")
        page.until_event("approval", approval_id=approval, status="expired")
        overview = page.until_event("overview", ready=True)
        assert overview["totals"]["require_approval"] == 1 and "unknown" not in overview, overview
        g.process.terminate()
        while page.next() is not None:
            pass
        page.close()
        assert g.process.wait(PATIENCE) == 0


def test_only_viewers_get_the_page_s_stream():
    with Gateway(options()) as g:
        assert g.get("/api/ui/stream").status == 401
        assert g.get("/api/ui/stream", {"Authorization": f"Bearer {API_KEY}"}).status == 403
        head = g.request("HEAD", "/api/ui/stream", headers=VIEWER)
        assert head.status == 200 and head.body == b"", head
        # What is sent behind the request of a stream is never run.
        body = json.dumps(action()).encode()
        lines = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "h", **g.auth(body), "Content-Length": len(body)}.items())
        s = socket.create_connection(g.address, timeout=PATIENCE)
        s.sendall(f"GET /api/ui/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {APPROVER_KEY}\r\n\r\n"
                  f"POST /action HTTP/1.1\r\n{lines}\r\n".encode() + body)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while part := s.recv(65536):
            got += part
        assert got.count(b"HTTP/1.1") == 1 and got.endswith(b"0\r\n\r\n"), got
        s.close()
        assert not [r for r in g.records() if r["event_type"] == "action.decision"]


def test_a_flood_of_streams_takes_its_own_places_only():
    with Gateway(options()) as g:
        pages = [Events(g) for _ in range(STREAMS_PER_PRINCIPAL)]
        assert all(page.next() == ("hello", {}) for page in pages)
        for _ in range(100):
            more = Events(g)
            assert more.status == 429 and int(more.reply.headers["Retry-After"]) > 0, more.status
            more.close()
        # Neither other principals nor requests that wait are touched by it.
        other = Events(g, headers={"Authorization": "Bearer test-operator-key"})
        assert other.next() == ("hello", {})
        held = Held(g, transfer(1), wait=1)
        assert held.answer()[1]["preference-applied"] == "wait=1"
        held.close()
        assert g.act(action()).json["decision"] == "ALLOW"
        pages.pop().close()

        def one_more():
            page = Events(g)
            if page.status != 200:
                page.close()
                return False
            pages.append(page)
            return True
        until(one_more, "the place of the one that left")
        for page in [*pages, other]:
            page.close()


def test_a_page_that_does_not_read_holds_nobody_up():
    """What others hear is not delayed."""
    n = 20
    with Gateway(options(max_pending=10000, max_pending_per_identity=10000)) as g:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(g.address)
        s.sendall(f"GET /api/ui/stream HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {APPROVER_KEY}\r\n\r\n".encode())
        page = Events(g)
        assert page.next() == ("hello", {})
        for i in range(n):
            approval = g.act(transfer(i)).json["approval_id"]
            page.until_event("approval", approval_id=approval, status="pending")
        s.close()
        page.close()


def test_a_stream_ends_with_the_right_to_it():
    with Gateway(options()) as g:
        page = Events(g)
        assert page.next() == ("hello", {})
        o = options()
        del o["identity"]["api_keys"][APPROVER_KEY]
        g.place.write_config(o)
        assert g.operator("POST", "/admin/reload").status == 200
        while page.next() is not None:
            pass
        page.close()


def test_a_thousand_waits_cost_no_worker_and_no_slot():
    """On two workers and 50 slots: other requests are answered meanwhile, and each wait ends with its own decision."""
    n = WAITS
    o = options(max_waiting=n, max_waiting_per_principal=n, max_pending=n, max_pending_per_identity=n,
                max_wait_seconds=600, ttl_seconds=3600)
    with Gateway(o) as g:
        held = []
        while len(held) < n:
            # As many at a time as there are slots; those that wait have given theirs back.
            held += [Held(g, transfer(i), wait=600) for i in range(len(held) + 1, len(held) + SLOTS + 1)]
            until(lambda: len(requested(g)) == len(held), "all have asked")
        assert not any(h.is_answered() for h in held)
        for i in range(200):
            assert g.act(action(action_id=f"other-{i}")).json["decision"] == "ALLOW"
        ids = {r["action_id"]: r["approval_id"] for r in requested(g)}
        for i in range(1, n + 1):
            if i % 100 == 0:
                assert decide(g, ids[f"act-{i}"]).status == 200
        for i in range(100, n + 1, 100):
            status, headers, body = held[i - 1].answer()
            assert status == 200 and body["decision"] == "ALLOW" and body["action_id"] == f"act-{i}", body
        waiting = [h for i, h in enumerate(held, 1) if i % 100]
        assert not any(h.is_answered() for h in waiting)
        for h in held[: n // 2]:
            h.close()
        for i in range(50):
            assert g.act(action(action_id=f"later-{i}")).json["decision"] == "ALLOW"
        g.process.terminate()
        for i, h in enumerate(held[n // 2:], n // 2 + 1):
            if i % 100:
                assert h.answer()[2]["decision"] == "REQUIRE_APPROVAL"
            h.close()
        assert g.process.wait(PATIENCE) == 0


AGENT = {"Authorization": f"Bearer {API_KEY}", "X-Nomos-Agent-Id": "bot"}


def test_an_agent_follows_its_own_approval_from_what_it_is_to_its_end():
    with Gateway(options()) as g:
        asked = g.act(transfer(1)).json
        path = f"/approvals/{asked['approval_id']}/events"
        events = Events(g, path, AGENT)
        assert events.status == 200 and events.reply.headers["Content-Type"] == "text/event-stream"
        name, first = events.next()
        assert name == "approval" and first == g.get(f"/approvals/{asked['approval_id']}", AGENT).json, first
        assert first["status"] == "pending" and first["approval_id"] == asked["approval_id"]
        assert decide(g, asked["approval_id"]).status == 200
        assert events.until_event("approval", status="approved")
        assert g.act(transfer(1, context={"extensions": {"approval": {"approval_id": asked["approval_id"]}}})).json["decision"] == "ALLOW"
        events.until_event("approval", status="consumed")
        assert events.next() is None, "behind a final state there is nothing to wait for"
        events.close()
        # Who comes later gets the end at once.
        events = Events(g, path, AGENT)
        assert events.next()[1]["status"] == "consumed" and events.next() is None
        events.close()


def test_nobody_follows_what_others_asked_for():
    o = options()
    o["identity"]["api_keys"]["mallory-s-key"] = "mallory"
    with Gateway(o) as g:
        path = f"/approvals/{g.act(transfer(1)).json['approval_id']}/events"
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {API_KEY}"}, 401), (VIEWER, 401),
                                ({"Authorization": "Bearer mallory-s-key", "X-Nomos-Agent-Id": "bot"}, 404)):
            assert g.get(path, headers).status == status, (headers, g.get(path, headers))
        assert g.get("/approvals/apr_000000000000000000000000/events", AGENT).status == 404
        assert g.get(f"/approvals/{'a' * 200}/events", AGENT).status == 404


def test_agents_streams_take_the_places_of_waits_and_give_them_back():
    with Gateway(options(max_waiting=2)) as g:
        asked = g.act(transfer(1)).json["approval_id"]
        open_ones = [Events(g, f"/approvals/{asked}/events", AGENT) for _ in range(2)]
        assert all(e.next()[0] == "approval" for e in open_ones)
        full = Events(g, f"/approvals/{asked}/events", AGENT)
        assert full.status == 503 and int(full.reply.headers["Retry-After"]) > 0
        full.close()
        held = Held(g, transfer(1), wait=5)
        assert "preference-applied" not in held.answer()[1]
        held.close()
        # The page has places of its own.
        page = Events(g)
        assert page.next() == ("hello", {})
        page.close()
        open_ones.pop().close()

        def place_is_free():
            e = Events(g, f"/approvals/{asked}/events", AGENT)
            e.close()
            return e.status == 200
        until(place_is_free, "the place of the one that left")
        open_ones.pop().close()


def test_all_who_wait_for_one_approval_are_told_and_one_uses_it():
    """Held requests of the same action on both workers, one approval with one use."""
    n = 20
    with Gateway(options()) as g:
        held = [Held(g, transfer(1), wait=60) for _ in range(n)]
        (approval,) = wait_for_approval(g)
        until(lambda: len([r for r in g.records() if r["event_type"] == "action.decision"]) == n, "all have asked")
        assert decide(g, approval).status == 200
        got = [h.answer()[2] for h in held]
        assert sorted(b["decision"] for b in got) == ["ALLOW"] + (n - 1) * ["REQUIRE_APPROVAL"], got
        assert len({b["approval_id"] for b in got if b["decision"] == "REQUIRE_APPROVAL"} - {approval}) <= 1
        for h in held:
            h.close()
        uses = [r for r in g.records() if r.get("decision") == "ALLOW" and r["event_type"] == "action.decision"]
        assert len(uses) == 1 and uses[0]["approval_id"] == approval, uses
