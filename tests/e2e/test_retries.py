# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Retries: one Idempotency-Key, one effect, whatever happens in between; what a caller reports, and what an operator settles."""
import concurrent.futures
import json

from support import OPERATOR_KEY, Gateway, Workplace, action, config, until


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
