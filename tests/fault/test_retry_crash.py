# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A process that dies between an effect and its record: the retry learns that, and an operator settles what became of it."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import signal

from support import API_KEY, OPERATOR_KEY, PATIENCE, Gateway, Workplace, action, config, required_sink, until


def write(content="x", name="once", **members):
    return action("fs.write", f"file://workspace/out/{name}", {"content": content}, **members)


def key(value):
    return {"Idempotency-Key": value}


def events(g, name):
    return [x for x in g.records() if x["event_type"] == name]


def settle(g, seq, body, key=OPERATOR_KEY):
    raw = json.dumps(body).encode()
    return g.request("POST", f"/api/ui/actions/{seq}/settle", raw, {"Authorization": f"Bearer {key}"})


def cut_off(place, headers):
    """A gateway that dies between the effect of a write and the record of its outcome."""
    with Gateway(workplace=place, env={"NOMOS_FAULT": "effect.after:1:kill"}, expect_exit=None) as g:
        try:
            g.act(write(), headers=headers)
        except (OSError, http.client.HTTPException):
            pass
        g.process.wait(PATIENCE)


def test_a_key_whose_action_was_cut_off_never_runs_again():
    place = Workplace()
    file = place.dir / "workspace" / "out" / "once"
    try:
        cut_off(place, key("k"))
        assert file.exists()
        file.unlink()
        with Gateway(workplace=place) as g:
            for _ in range(2):
                r = g.act(write(action_id="act-2"), headers=key("k"))
                assert r.status == 409 and r.json["reason"].startswith("outcome_unknown: ") and "act-1" in r.json["reason"], r
                assert "Retry-After" not in r.headers
            assert not file.exists() and len(events(g, "action.decision")) == 1
            assert g.act(write("y"), headers=key("k")).status == 422
    finally:
        place.remove()


def test_an_operator_settles_an_unknown_outcome_once():
    place = Workplace()
    try:
        cut_off(place, None)
        with Gateway(workplace=place) as g:
            g.act(write(action_id="act-2"))
            unknown = [x for x in g.records() if x.get("outcome") == "unknown"]
            assert len(unknown) == 1, unknown
            seq = unknown[0]["intent_seq"]
            known = [x for x in g.records() if x.get("outcome") == "succeeded"][0]
            def overview():
                return g.request("GET", "/api/ui/overview", b"", {"Authorization": f"Bearer {OPERATOR_KEY}"}).json["unknown"]

            assert [x["intent_seq"] for x in overview()] == [seq]
            good = {"outcome": "succeeded", "reason": "the file is there, token sk-abcdefghijklmnopqrstuvwxyz012345"}
            assert settle(g, seq, good, key=API_KEY).status == 403
            for body in ({}, {"outcome": "succeeded"}, {**good, "outcome": "maybe"}, {**good, "reason": " "}, {**good, "more": 1}):
                r = settle(g, seq, body)
                assert r.status == 400 and r.json["reason"].startswith("validation_error: "), (body, r)
            for other in (known["intent_seq"], known["seq"], 1, 10**6):
                assert settle(g, other, good).status == 404, other
            assert settle(g, "x", good).status == 400
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                numbers = [seq, unknown[0]["seq"]] * 4
                replies = list(pool.map(lambda n: settle(g, n, good), numbers))
            assert sorted(r.status for r in replies) == [200] + [409] * 7, replies
            assert overview() == []
            told = events(g, "action.settled")
            assert len(told) == 1 and told[0]["intent_seq"] == seq and told[0]["outcome"] == "succeeded", told
            assert told[0]["executor_metadata"] == {"settled_by": "olga"} and told[0]["principal"] == "alice"
            assert told[0]["reason"].startswith("the file is there") and "abcdefghijklmnop" not in told[0]["reason"], told
            assert g.place.run("audit", "verify", g.place.ledger).returncode == 0
    finally:
        place.remove()


def test_the_command_line_settles_an_unknown_outcome():
    place = Workplace()
    try:
        cut_off(place, None)
        with Gateway(workplace=place) as g:
            where = ("--url", "http://%s:%d" % g.address)
            olga = {"NOMOS_API_KEY": OPERATOR_KEY}
            [line] = place.run("actions", "unknown", *where, env=olga, check=0).stdout.decode().splitlines()
            seq, _, principal, agent, kind, resource, action_id = line.split()
            assert (principal, agent, kind, resource, action_id) == ("alice", "bot", "fs.write", "file://workspace/out/once", "act-1"), line
            listed = json.loads(place.run("actions", "unknown", *where, "--format", "json", env=olga, check=0).stdout)
            assert [str(x["seq"]) for x in listed["unknown"]] == [seq] and list(listed) == ["unknown"], listed
            for wrong in (("--reason", "r", seq), ("--outcome", "maybe", "--reason", "r", seq), ("--outcome", "failed", seq),
                          ("--outcome", "failed", "--reason", "r"), ("--outcome", "failed", "--reason", "r", "../x")):
                done = place.run("actions", "settle", *where, *wrong, env=olga, check=2)
                assert done.stdout == b"" and b"ERROR" in done.stderr, done
            good = ("--outcome", "succeeded", "--reason", "the \"file\" is there")
            done = place.run("actions", "settle", *where, *good, seq, env={"NOMOS_API_KEY": API_KEY}, check=1)
            assert b"403" in done.stderr, done
            done = place.run("actions", "settle", *where, seq, *good, env=olga, check=0)
            assert done.stdout.startswith(b"settled "), done
            assert events(g, "action.settled")[0]["reason"] == 'the "file" is there'
            done = place.run("actions", "settle", *where, *good, seq, env=olga, check=1)
            assert b"409" in done.stderr and b"already_settled" in done.stderr, done
            assert place.run("actions", "unknown", *where, env=olga, check=0).stdout == b""
    finally:
        place.remove()


def test_a_settlement_that_a_required_sink_has_not_taken_is_said_to_stand():
    place = Workplace()
    try:
        cut_off(place, None)
        with required_sink() as (audit, takes):
            place.write_config(config(audit=audit))
            with Gateway(workplace=place) as g:
                [unknown] = [x for x in g.records() if x.get("outcome") == "unknown"]
                good = {"outcome": "failed", "reason": "looked"}
                until(lambda: g.get("/readyz").status == 200, "the sink has what was there")
                takes.clear()
                r = settle(g, unknown["seq"], good)
                assert r.status == 503 and "it is recorded and stands" in r.json["reason"] and "Retry-After" not in r.headers, r
                takes.set()
                until(lambda: g.get("/readyz").status == 200, "the sink has caught up")
                assert settle(g, unknown["seq"], good).status == 409
                assert len(events(g, "action.settled")) == 1
    finally:
        place.remove()


def test_an_answer_lost_behind_its_commit_is_had_by_the_retry():
    """Stopped in the outcome's transaction, then killed behind that commit, whatever its number."""
    place = Workplace()
    gate = place.dir / "fault-is-on"
    try:
        with Gateway(workplace=place, expect_exit=-9, env={
                "NOMOS_FAULT": "ledger.close.after:1:stop,ledger.commit.after:1-:kill", "NOMOS_FAULT_WHILE": str(gate)}) as g:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(g.act, write(), headers=key("lost"))
                stat = pathlib.Path(f"/proc/{g.process.pid}/stat")
                until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", "stopped at the point")
                gate.touch()
                g.signal(signal.SIGCONT)
                g.process.wait(PATIENCE)
                assert isinstance(asked.exception(), (OSError, http.client.HTTPException)), asked
        file = place.dir / "workspace" / "out" / "once"
        file.unlink()
        with Gateway(workplace=place) as g:
            r = g.act(write(action_id="again"), headers=key("lost"))
            assert r.status == 200 and r.headers["Idempotency-Replayed"] == "true" and not file.exists(), r
    finally:
        place.remove()


class DiedAtStart(Exception):
    pass


def starting(place, fault):
    """A gateway; on a slow machine chores of the ledger may meet the fault before anybody is served."""
    try:
        return Gateway(workplace=place, env={"NOMOS_FAULT": fault}, expect_exit=None)
    except AssertionError as error:
        if "ended with -9" in str(error):
            raise DiedAtStart from error
        raise


# Before and behind each thing that lies between a key and its answer.
MOMENTS = [f"{point}.{moment}" for point in ("ledger.append", "ledger.commit", "effect", "fs_write.rename", "ledger.close")
           for moment in ("before", "after")]


def test_wherever_it_dies_a_key_has_one_effect():
    place = Workplace()
    try:
        with Gateway(workplace=place):
            pass  # the ledger is there: the first append and commit are those of the start
        ends = set()
        for moment in MOMENTS:
            for nth in (2, 3, 4):  # the ledger's own chores may make some between
                file = place.dir / "workspace" / "out" / "once"
                file.unlink(missing_ok=True)
                name = key(f"{moment}-{nth}")
                first = None
                with contextlib.suppress(OSError, http.client.HTTPException, DiedAtStart), \
                        starting(place, f"{moment}:{nth}:kill") as g:
                    first = g.act(write(), headers=name)
                    g.kill()
                n_effects = file.exists()
                file.unlink(missing_ok=True)
                with Gateway(workplace=place) as g:
                    r = g.act(write(action_id="again"), headers=name)
                n_effects += file.exists()
                assert n_effects <= 1, (moment, nth, r)
                if first is not None:
                    assert r.body == first.body and r.headers["Idempotency-Replayed"] == "true", (moment, nth, first, r)
                elif r.status == 409:
                    assert r.json["reason"].startswith("outcome_unknown: "), (moment, nth, r)
                else:
                    assert r.status == 200 and n_effects == 1, (moment, nth, r)
                ends.add((first is not None, r.status, r.headers.get("Idempotency-Replayed")))
        # Both were met: cut off, and never begun; the answer that is lost behind its commit has the test above.
        assert {(False, 409, None), (False, 200, None)} <= ends, ends
        assert place.run("audit", "verify", place.ledger).returncode == 0
    finally:
        place.remove()
