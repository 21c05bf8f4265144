# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What the operator page reads: records, traces, actions; paged, filtered, checked, and harmless whatever they hold."""
import hashlib
import http.client
import json
import re
import socket
import sqlite3
import threading
from pathlib import Path

from support import API_KEY, INSTRUMENTED, LONG, OPERATOR_KEY, PATIENCE, Gateway, Workplace, action, config, until

ROLES = {"roles": {"operator": ["olga"], "viewer": ["olga"]}}
HOSTILE = "<img src=x onerror=alert(1)>\u202e \u0000 \" ' &"


def gateway(**sections):
    return Gateway(config(identity=ROLES, **sections))


def ui(g, path):
    return g.operator("GET", "/api/ui/" + path)


def pages(g, path, key):
    """All pages of a list, by their cursors."""
    items, cursor, n = [], "", 0
    while cursor is not None:
        r = ui(g, path + ("&cursor=" + cursor if cursor else ""))
        assert r.status == 200, r
        items += r.json[key]
        cursor = r.json["next_cursor"]
        n += 1
        assert n < 100
    return items


def test_every_page_route_needs_a_principal_with_a_role():
    with gateway() as g:
        for path in ("records", "records/1", "records/1/verify", "export", "traces", "traces/t", "actions/a", "session", "overview", "readiness",
                     "policy", "policy/rules", "limits", "upstreams"):
            assert g.get("/api/ui/" + path).status == 401, path
            assert g.get("/api/ui/" + path, {"Authorization": f"Bearer {API_KEY}"}).status == 403, path
            assert g.request("POST", "/api/ui/" + path, b"", {"Content-Type": "application/json"}).status in (400, 405), path
            good = ui(g, path)
            assert good.status in (200, 404), (path, good)
            if good.status == 200:
                assert good.headers["Cache-Control"] == "no-store" and good.headers["X-Content-Type-Options"] == "nosniff", path


def test_records_are_paged_newest_first_without_gap_or_repeat():
    with gateway() as g:
        for i in range(12):
            assert g.act(action(action_id=f"act-{i}", trace_id=f"trace-{i % 3}")).status == 200
        every = g.records()
        for limit in (1, 5, 200):
            seqs = [r["seq"] for r in pages(g, f"records?limit={limit}", "records")]
            assert seqs == sorted((r["seq"] for r in every), reverse=True), limit
        one = pages(g, "records?trace=trace-1&limit=3", "records")
        assert [r["action_id"] for r in one] == ["act-10", "act-7", "act-4", "act-1"]
        assert {r["event_type"] for r in pages(g, "records?event=runtime.start", "records")} == {"runtime.start"}
        assert not pages(g, "records?principal=nobody&decision=deny", "records")
        assert len(pages(g, "records?principal=alice&agent=bot&type=payments.refund&decision=allow&since=1h", "records")) == 12
        assert not pages(g, "records?until=1h&action=act-1", "records")
        assert len(pages(g, "records?text=act-7&since=1h", "records")) == 1
        # The names that the original gives its filters.
        for query, n in (("trace_id=trace-", 3), ("trace_id=trace-1", 1), ("trace_id=race-1", 0), ("environment=prod", 0),
                         ("action_type=payments.refund&decision=allow&principal=alice&agent=bot&environment=dev", 3)):
            assert len(pages(g, "traces?" + query, "traces")) == n, query
        assert len(pages(g, "records?environment=dev&limit=5", "records")) == 12, "records of the gateway itself have none"


def test_questions_that_make_no_sense_are_refused():
    with gateway() as g:
        for query in ("bogus=1", "limit=0", "limit=201", "limit=x", "limit=1&limit=1", "cursor=0", "cursor=-1", "cursor=99999999999999999999",
                      "since=yesterday", "trace=%zz", "trace=%", "trace=%00", "trace=%ff", "action=" + "a" * 1100, "text=x", "decision", "=x",
                      "trace=a&trace_id=a", "type=a.b&action_type=a.b"):
            r = ui(g, "records?" + query)
            assert r.status == (200 if query == "decision" else 400), (query, r)
        for path in ("records/0", "records/x", "records/-1", "records/18446744073709551616", "records/1%00"):
            assert ui(g, path).status == 400, path
        assert ui(g, "records/99999").status == 404


def test_one_record_has_the_bytes_that_were_hashed():
    with gateway() as g:
        g.act(action(action_id="act-h", params={"note": HOSTILE, "password": "hunter2"}))
        seq = ui(g, "records?action=act-h").json["records"][0]["seq"]
        r = ui(g, f"records/{seq}").json
        assert r["record"] == json.loads(r["canonical"])
        assert hashlib.sha256((r["canonical"] + r["prev_event_hash"]).encode()).hexdigest() == r["event_hash"]
        assert "hunter2" not in r["canonical"]
        before = ui(g, f"records/{seq - 1}").json
        assert before["event_hash"] == r["prev_event_hash"]


def test_verify_of_one_record():
    with gateway(audit={"checkpoint_every": 4}) as g:
        for i in range(9):
            g.act(action(action_id=f"act-{i}"))
        first = ui(g, "records/1/verify").json
        assert first["matches"] and first["links_to_previous"] and first["chain_to_checkpoint"], first
        assert first["checkpoint"]["signature_valid"] is True and first["checkpoint"]["seq"] > 1, first
        last = ui(g, f"records/{g.records()[-1]['seq']}/verify").json
        assert last["matches"] is True and last["links_to_previous"] is True, last


def test_verify_finds_a_changed_record():
    with gateway(audit={"checkpoint_every": 1000}) as g:
        for i in range(4):
            g.act(action(action_id=f"act-{i}"))
        # Somebody with the file, beside the running writer.
        with sqlite3.connect(g.place.ledger) as db:
            db.execute("UPDATE records SET body = CAST(replace(body, 'act-1', 'act-9') AS BLOB) WHERE seq = 4")
        changed = ui(g, "records/4/verify").json
        assert changed["matches"] is False and "was changed" in changed["message"], changed
        behind = ui(g, "records/3/verify").json
        assert behind["matches"] is True and behind["chain_to_checkpoint"] is False, behind
        # What is no JSON at all breaks no reply.
        with sqlite3.connect(g.place.ledger) as db:
            db.execute("UPDATE records SET body = CAST('{\"action_id\":\"act-9\",' AS BLOB) WHERE seq = 4")
        assert ui(g, "records/4").json["record"] is None
        assert [r for r in ui(g, "records").json["records"] if r["seq"] == 4][0]["is_malformed"] is True
        assert ui(g, "records/4/verify").json["matches"] is False
        assert ui(g, "traces").status == 200 and ui(g, "export").status == 200
        g.expect_exit = None


def rehash(db, first):
    """Links the rows from `first` on anew, as somebody who may write the file but has no key can."""
    previous = db.execute("SELECT hash FROM records WHERE seq = ?", (first - 1,)).fetchone()[0].hex()
    for seq, body in db.execute("SELECT seq, body FROM records WHERE seq >= ? ORDER BY seq", (first,)).fetchall():
        body = re.sub(rb'"prev_event_hash":"[0-9a-f]{64}"', f'"prev_event_hash":"{previous}"'.encode(), body)
        previous = hashlib.sha256(body + previous.encode()).hexdigest()
        db.execute("UPDATE records SET body = ?, hash = ? WHERE seq = ?", (body, bytes.fromhex(previous), seq))


def test_verify_finds_a_forged_chain_under_a_genuine_signature():
    with gateway(audit={"checkpoint_every": 4}) as g:
        for i in range(9):
            g.act(action(action_id=f"act-{i}"))
        good = ui(g, "records/3/verify").json
        assert good["chain_to_checkpoint"] and good["checkpoint"]["signature_valid"], good
        with sqlite3.connect(g.place.ledger) as db:
            db.execute("UPDATE records SET body = CAST(replace(body, 'act-0', 'act-9') AS BLOB) WHERE seq = 3")
            assert db.total_changes == 1
            rehash(db, 3)
        # The checkpoint is as it was signed, but of another chain than the one that leads to it now.
        for seq in (2, 3):
            forged = ui(g, f"records/{seq}/verify").json
            assert forged["chain_to_checkpoint"] is False and "is broken" in forged["message"], forged
        g.expect_exit = None


def test_traces_and_actions():
    with gateway() as g:
        g.act(action(action_id="act-1", trace_id="trace-a"))
        g.act(action("fs.read", "file://workspace/README.md", action_id="read-1", trace_id="trace-a"))
        g.act(action("fs.read", "file://workspace/secret/.env", action_id="read-2", trace_id="trace-ab"))
        traces = ui(g, "traces").json["traces"]
        assert [t["trace_id"] for t in traces] == ["trace-ab", "trace-a"]
        assert traces[1]["event_count"] == 3 and traces[1]["action_id"] == "read-1" and traces[0]["decision"] == "DENY"
        assert len(pages(g, "traces?limit=1", "traces")) == 2
        assert [t["trace_id"] for t in ui(g, "traces?decision=deny").json["traces"]] == ["trace-ab"]
        events = ui(g, "traces/trace-a").json["events"]
        assert [e["event_type"] for e in events] == ["action.decision", "action.decision", "action.completed"], events
        assert ui(g, "traces/trace").status == 404
        done = ui(g, "actions/read-1").json
        assert done["outcome"] == "succeeded" and done["matched_rule_ids"] == ["allow-read"], done
        assert done["audit"]["event_type"] == "action.completed" and len(done["events"]) == 2
        assert ui(g, "actions/nothing").status == 404


def test_an_action_that_was_not_searched_for_is_not_called_absent():
    """Without an index one question reads some 10,000 records."""
    with gateway(audit={"index": False}) as g:
        assert g.act(action(action_id="act-old")).status == 200

        def read(n):
            c = g.connect()
            for _ in range(n):
                assert g.act(action("fs.read", "file://workspace/README.md"), connection=c).status == 200
            c.close()

        threads = [threading.Thread(target=read, args=(1280,)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        newest = ui(g, "records?event=action.completed&limit=1").json["records"][0]
        assert newest["seq"] > 10100, newest
        r = ui(g, "actions/act-old")
        assert r.status == 503 and "index" in r.json["reason"], r
        assert ui(g, "actions/" + newest["action_id"]).status == 200


def test_export_is_lines_with_their_hashes():
    with gateway() as g:
        for i in range(5):
            g.act(action(action_id=f"act-{i}"))
        r = ui(g, "export?event=action.decision&limit=3")
        lines = [json.loads(line) for line in r.body.splitlines()]
        assert [line["action_id"] for line in lines] == ["act-4", "act-3", "act-2"], lines
        rest = [json.loads(line) for line in ui(g, f"export?event=action.decision&cursor={lines[-1]['seq'] - 1}").body.splitlines()]
        assert [line["action_id"] for line in rest] == ["act-1", "act-0"], rest
        assert r.headers["Content-Type"] == "application/x-ndjson" and r.headers["Content-Disposition"].startswith("attachment")
        want = {x["seq"]: x["event_hash"] for x in g.records()}
        assert all(want[line["seq"]] == line["event_hash"] for line in lines)


def fill(g, n, size=4000):
    """So many decisions, each with a resource of that length, over one connection."""
    c = g.connect()
    for i in range(n):
        assert g.act(action(action_id=f"act-{i}", resource="payment://shop.example.com/" + "x" * size), connection=c).status == 200
    c.close()


def test_an_export_of_everything_is_the_chain_with_its_trailer():
    with gateway() as g:
        fill(g, 11000 if LONG else 400, 4000)
        r = ui(g, "export")
        lines = r.body.splitlines()
        assert len(r.body) > 4_000_000 and "Content-Length" not in r.headers and r.headers["Cache-Control"] == "no-store", r.headers
        trailer = json.loads(lines[-1])
        assert trailer["trailer"] == "nomos.export.v1" and trailer["count"] == len(lines) - 1, trailer
        (g.place.dir / "chain.jsonl").write_bytes(r.body)
        g.place.run("audit", "verify", "chain.jsonl", check=0)
        (g.place.dir / "cut.jsonl").write_bytes(b"\n".join(lines[:-2] + lines[-1:]) + b"\n")
        g.place.run("audit", "verify", "cut.jsonl", check=1)
        # Any part of it is no chain: newest first, and no trailer.
        part = ui(g, "export?event=action.decision").body.splitlines()
        assert len(part) == (11000 if LONG else 400) and all(b'"trailer"' not in line for line in part)
        assert [json.loads(line)["seq"] for line in part] == sorted((json.loads(line)["seq"] for line in part), reverse=True)
        # With something hidden it would not verify, so it does not claim to.
        g.place.write_config(config(identity=ROLES, redaction={"patterns": ["act-77"]}))
        assert g.operator("POST", "/admin/reload").status == 200
        hidden = [json.loads(line) for line in ui(g, "export").body.splitlines()]
        assert "trailer" not in hidden[-1] and [x for x in hidden if x.get("is_redacted")], hidden[-1]


def read_some(g, path, n):
    """An export of which the client has read so much and then stopped."""
    s = socket.create_connection(g.address, timeout=PATIENCE)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # so that the kernel does not take all of it
    s.sendall(f"GET /api/ui/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR_KEY}\r\n\r\n".encode())
    got = b""
    while len(got) < n:
        part = s.recv(65536)
        assert part, got[:200]
        got += part
    return s, got


def drain(s, got=b""):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # a small one is slow
    while True:
        try:
            part = s.recv(1 << 20)
        except ConnectionResetError:
            return got
        if not part:
            return got
        got += part


def test_an_export_waits_for_its_reader_and_holds_one_page():
    with gateway(gateway={"workers": 1}) as g:
        fill(g, 900)
        status = Path(f"/proc/{g.process.pid}/status")

        def resident():
            return int([line for line in status.read_text().splitlines() if line.startswith("RssAnon")][0].split()[1])

        ui(g, "export?limit=50")
        before = resident()
        held = [read_some(g, "export", 20000) for _ in range(4)]
        # All turns are taken; other questions are answered all the same.
        full = ui(g, "export")
        assert full.status == 503 and full.headers["Retry-After"], full
        assert ui(g, "records?limit=1").status == 200
        # 8 MB each, of which a page and what is unsent are held.
        if not INSTRUMENTED:
            assert resident() - before < 8 * 1024, (before, resident())
        whole = drain(*held[0])
        assert whole.endswith(b"0\r\n\r\n") and b'"trailer":"nomos.export.v1"' in whole
        # Who leaves gives the turn back.
        for s, _ in held[1:]:
            s.close()
        until(lambda: ui(g, "export?limit=1").status == 200, "a turn is free")
        until(lambda: len([read_some(g, "export", 100) for _ in range(3)]) == 3, "all are")


def test_exports_are_cut_when_the_right_is_lost_and_when_the_gateway_stops():
    with gateway() as g:
        fill(g, 900)
        at_stop = read_some(g, "export?since=1d", 20000)
        lost = read_some(g, "export", 20000)
        g.place.write_config(config(identity={"roles": {"operator": ["alice"], "viewer": ["alice"]}}))
        assert g.operator("POST", "/admin/reload").status == 200
        got = drain(*lost)
        assert not got.endswith(b"0\r\n\r\n") and b'"trailer"' not in got, len(got)
        assert g.stop() == 0
        assert not drain(*at_stop).endswith(b"0\r\n\r\n")


def test_a_pattern_added_later_hides_what_was_recorded_before():
    with gateway() as g:
        g.act(action(resource="payment://shop.example.com/orders/SESAME-77", action_id="act-s"))
        seq = ui(g, "records?action=act-s").json["records"][0]["seq"]
        assert "SESAME-77" in ui(g, f"records/{seq}").json["canonical"]
        g.place.write_config(config(identity=ROLES, redaction={"patterns": ["SESAME-[0-9]+"]}))
        assert g.operator("POST", "/admin/reload").status == 200
        for path in ("records", f"records/{seq}", "traces/trace-1", "actions/act-s", "export", "traces"):
            r = ui(g, path)
            assert r.status == 200 and b"SESAME" not in r.body, (path, r)
            if path != "export":
                assert r.json
        assert ui(g, f"records/{seq}").json["canonical"] is None
        assert ui(g, f"records/{seq}/verify").json["matches"] is True


def test_without_a_ledger_the_page_says_so():
    with gateway(runtime={"stateless_mode": True}, ledger=None, audit={"sink": "stdout"}) as g:
        r = ui(g, "records")
        assert r.status == 404 and r.json["reason"].startswith("not_enabled"), r


def test_overview_counts_what_was_decided():
    with gateway() as g:
        for i in range(6):
            g.act(action(action_id=f"act-{i}"))
        g.act(action("fs.read", "file://workspace/.env", action_id="env"))
        g.act(action("payments.void", action_id="else"))
        o = ui(g, "overview").json
        assert o["ready"] is True and o["ready_why"] is None and o["totals"] == {"allow": 6, "deny": 2, "require_approval": 0}, o["totals"]
        assert {r["reason"]: r["count"] for r in o["reasons"]} == {"deny_by_rule": 1, "deny_by_default": 1}, o["reasons"]
        # The second that is not over is not shown yet.
        until(lambda: sum(s["allow"] + s["deny"] for s in ui(g, "overview").json["per_second"]) == 8, "whole seconds")
        assert len(o["per_second"]) == 120 and o["unknown"] == [] and o["ledger"]["head_seq"] == len(g.records())
        assert o["policy_bundle_hash"] == ui(g, "policy").json["policy_bundle_hash"] and o["in_flight"] == 0
        assert o["pending_approvals"] == 0


def test_overview_names_sinks_and_unknown_outcomes():
    with gateway(audit={"sink": "stdout", "required": "all"}) as g:
        g.act(action())
        sink, = until(lambda: [s for s in ui(g, "overview").json["sinks"] if s["lag"] == 0], "the sink has taken all")
        assert sink["name"] == "stdout" and sink["required"] is True, sink


def test_overview_lists_actions_whose_outcome_is_unknown():
    place = Workplace(config(identity=ROLES))
    try:
        with Gateway(workplace=place, env={"NOMOS_FAULT": "effect.before:1:kill"}, expect_exit=None) as g:
            try:
                g.act(action("fs.read", "file://workspace/README.md", action_id="lost", trace_id="trace-lost"))
            except (ConnectionError, http.client.HTTPException):
                pass
            g.process.wait(60)
        with Gateway(workplace=place) as g:
            lost, = ui(g, "overview").json["unknown"]
            assert lost["action_id"] == "lost" and lost["intent_seq"] < lost["seq"] and lost["principal"] == "alice", lost
            assert [r["seq"] for r in ui(g, "records?class=unknown").json["records"]] == [lost["seq"]]
    finally:
        place.remove()


def test_overview_of_a_gateway_without_a_ledger():
    with gateway(runtime={"stateless_mode": True}, ledger=None, audit={"sink": "stdout"}) as g:
        g.act(action())
        o = ui(g, "overview")
        assert o.status == 200 and o.json["totals"]["allow"] == 1 and o.json["unknown"] == [], o


def test_rules_are_found_and_counted():
    with gateway() as g:
        for _ in range(3):
            g.act(action())
        rules = pages(g, "policy/rules?limit=2", "rules")
        assert [r["id"] for r in rules] == sorted(r["id"] for r in rules) and len(rules) == 6
        hits = {r["id"]: r["hits"] for r in rules}
        assert hits["allow-refund"] == 3 and hits["allow-read"] == 0, hits
        assert [r["id"] for r in ui(g, "policy/rules?q=REFUND").json["rules"]] == ["allow-refund"]
        assert ui(g, "policy/rules?q=allow-refund").json["rules"][0]["obligations"] == {"reason": "small amounts"}
        assert ui(g, "policy/rules?q=nothing").json["rules"] == [] and ui(g, "policy/rules?cursor=99").json["rules"] == []
        for query in ("limit=0", "cursor=x", "bogus=1"):
            assert ui(g, "policy/rules?" + query).status == 400
        # They belong to the policy that is in force.
        assert g.operator("POST", "/admin/reload").status == 200
        assert ui(g, "policy/rules?q=allow-refund").json["rules"][0]["hits"] == 0
        p = ui(g, "policy").json
        assert p["rule_count"] == 6 and p["bundles"][0]["path"] == "policy.json", p


def test_explain_for_any_identity_has_no_effect_and_is_for_operators():
    with gateway() as g:
        body = {**action("fs.read", "file://workspace/.env"), "principal": "mallory", "agent": "x", "environment": "prod"}
        before = len(g.records())
        r = g.request("POST", "/api/ui/explain", json.dumps(body).encode(), {"Authorization": f"Bearer {OPERATOR_KEY}"})
        assert r.status == 200 and r.json["decision"] == "DENY" and r.json["matched_rule_ids"] == ["deny-env"], r
        for bad in (action(), [], {**body, "principal": ""}, {**body, "more": 1}, {**body, "resource": "file://workspace/../x"}):
            r = g.request("POST", "/api/ui/explain", json.dumps(bad).encode(), {"Authorization": f"Bearer {OPERATOR_KEY}"})
            assert r.status == 400 and "error" in r.json["reason"], (bad, r)
        assert g.request("POST", "/api/ui/explain", json.dumps(body).encode(), {"Authorization": f"Bearer {API_KEY}"}).status == 403
        assert len(g.records()) == before and ui(g, "policy/rules?q=deny-env").json["rules"][0]["hits"] == 0


def test_limits_show_the_emptiest_buckets():
    with gateway(gateway={"rate_limit_per_minute": 5}) as g:
        while g.act().status == 200:
            pass
        limits = ui(g, "limits").json
        assert limits["in_flight"] == 0 and limits["concurrency_limit"] == 32
        bucket = limits["buckets"][0]
        assert bucket["remaining"] == 0 and bucket["capacity"] == 5 and "alice" in bucket["key"], limits
        assert limits["breakers"] == []


def test_limits_hide_secrets_in_the_keys_of_buckets():
    limits = {"principal_resource": [{"id": "r1", "resource": "payment://**", "burst": 5, "refill_per_minute": 5}]}
    with gateway(rate_limits=limits) as g:
        g.act(action(resource="payment://shop.example.com/AKIAABCDEFGHIJKLMNOP/x"))
        # Kept as its first 200 bytes and a hash: the cut falls into the secret.
        start = "payment://shop.example.com/"
        n = 190 - len("principal_resource|r1|alice|" + start)
        g.act(action(resource=start + "a" * (n - 1) + "/AKIAABCDEFGHIJKLMNOP/" + "b" * 200))
        keys = [b["key"] for b in ui(g, "limits").json["buckets"]]
        assert len([k for k in keys if k.startswith("principal_resource|r1|alice|")]) == 2, keys
        assert not [k for k in keys if "AKIA" in k], keys


def test_readiness_has_doctors_checks_and_leaves_the_ledger_alone():
    with gateway() as g:
        g.act()
        r = ui(g, "readiness").json
        checks = {c["id"]: c for c in r["checks"]}
        assert (r["deployment_mode"], r["approvals_enabled"], r["operator_principal"]) == ("unmanaged", False, "olga"), r
        assert checks["live.ledger"]["status"] == "PASS" and checks["policy.bundle_parses"]["status"] == "PASS"
        assert {c["status"] for c in r["checks"]} <= {"PASS", "WARN", "FAIL"} and r["overall_status"] in ("READY", "NOT_READY")
        # Opening the ledger's file in the process that writes it would drop its locks.
        assert "ledger.opens" not in checks and "ledger.chain" not in checks
        locks = Path("/proc/locks").read_text()
        inode = f":{g.place.ledger.stat().st_ino} "
        assert [line for line in locks.splitlines() if inode in line and "POSIX" in line], locks
        assert g.act(action(action_id="again")).status == 200


def test_readiness_tells_paths_of_the_host_to_operators_alone():
    identity = {"roles": {"operator": ["olga"], "viewer": ["alice"]}}
    with Gateway(config(identity=identity)) as g:
        g.place.write_config(config(identity=identity, executor={"workspace_root": "/nowhere/at all"}))
        told = ui(g, "readiness").body.decode()
        assert "/nowhere/at all: No such" in told, told
        seen = g.get("/api/ui/readiness", {"Authorization": f"Bearer {API_KEY}"})
        assert seen.status == 200 and b"/nowhere" not in seen.body and b" all: No" not in seen.body and b"[path]: No such" in seen.body, seen.body
        assert [c["id"] for c in seen.json["checks"]] == [c["id"] for c in json.loads(told)["checks"]]


def test_readiness_hides_paths_behind_a_colon():
    identity = {"roles": {"operator": ["olga"], "viewer": ["alice"]}}
    with Gateway(config(identity=identity)) as g:
        broken = config(identity=identity, gateway={"listen": "unix:/nowhere/" + "x" * 105})
        g.place.write_config(broken)
        told = ui(g, "readiness").body.decode()
        assert "unix:/nowhere/xxx" in told, told
        seen = g.get("/api/ui/readiness", {"Authorization": f"Bearer {API_KEY}"}).body.decode()
        assert "/nowhere" not in seen and "xxx" not in seen and "unix:[path]" in seen, seen


def test_too_many_questions_at_once_are_turned_away():
    with gateway(gateway={"workers": 1}) as g:
        for i in range(40):
            g.act(action(action_id=f"act-{i}"))
        statuses = []

        def ask():
            statuses.append(ui(g, "export?text=nothing-holds-this&since=1h").status)

        threads = [threading.Thread(target=ask) for _ in range(60)]
        for t in threads:
            t.start()
        assert g.act(action(action_id="meanwhile")).status == 200
        for t in threads:
            t.join()
        assert set(statuses) <= {200, 503} and 200 in statuses, statuses
        assert ui(g, "records?limit=1").status == 200
