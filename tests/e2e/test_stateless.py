# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Stateless mode: nothing on disk, the chain lives in the process and at the receivers, and nothing is released before the required
ones have it (design.md 4, decisions 21)."""
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from receiver import SECRET, Receiver, place_of
from support import Gateway, action, config, signal, subprocess, until

BIG = "x" * 20000


def options(*receivers, required="", sink=None, deadline_ms=1000, **sections):
    sinks = [sink] if sink else []
    return config(runtime={"stateless_mode": True}, ledger=None,
                  audit={"sink": ",".join([*sinks, *(f"webhook:{r.url}" for r in receivers)]), "required": required,
                         "required_deadline_ms": deadline_ms, "checkpoint_key_path": "chain.key",
                         "webhook": {"secret": SECRET, "timeout_ms": 500, "retry_max_ms": 50, "batch_max": 32}}, **sections)


def write(name):
    return action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name)


def ids(receiver):
    with receiver.lock:
        return {r.get("action_id") for r in receiver.taken}


def check_refuses(g, name):
    r = g.act(write(name))
    assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
    assert not (g.place.dir / "workspace/out" / name).exists(), "an effect that nobody has a record of"


def received(place, path, *args, check=0):
    return place.run("audit", "verify", "--received", path, "--format", "json", *args, check=check)


def test_the_chain_is_at_the_receiver_and_verifies_there():
    with place_of(config()) as place:
        kept = place.dir / "kept"
        with Receiver(keeps=kept) as receiver:
            place.write_config(options(receiver))
            before = {p.name for p in place.dir.iterdir()}
            with Gateway(workplace=place) as g:
                for number in range(20):
                    assert g.act(action(action_id=f"a{number}")).status == 200
                    assert f"a{number}" in ids(receiver), "answered before the receiver had it"
                assert g.act(write("done")).status == 200 and (place.dir / "workspace/out/done").exists()
            # Stopping has told all of it, with a checkpoint at the end.
            assert receiver.taken[0]["event_type"] == "chain.start" and receiver.taken[0]["stateless"] is True
            assert receiver.taken[-1]["event_type"] == "checkpoint"
            assert {p.name for p in place.dir.iterdir()} - before == {"chain.key", "chain.key.pub", "kept"}, "a file that was not asked for"
        chain = json.loads(received(place, kept, "--checkpoint-key", "chain.key.pub").stdout)["chains"]
        assert len(chain) == 1 and chain[0]["good"] and chain[0]["checkpoint"] == chain[0]["witness"]["last"], chain


def test_each_start_is_a_chain_of_its_own():
    with place_of(config()) as place:
        kept = place.dir / "kept"
        with Receiver(keeps=kept) as receiver:
            place.write_config(options(receiver))
            for _ in range(3):
                with Gateway(workplace=place) as g:
                    assert g.act().status == 200
            begins = [r for r in receiver.taken if r["event_type"] == "chain.start"]
            assert len({r["chain_id"] for r in begins}) == 3 and all(r["seq"] == 1 and r["stateless"] for r in begins), begins
        chains = json.loads(received(place, kept, "--checkpoint-key", "chain.key.pub").stdout)["chains"]
        assert [c["good"] for c in chains] == [True] * 3
        lines = kept.read_bytes().splitlines(keepends=True)
        (place.dir / "gap").write_bytes(b"".join(lines[:1] + lines[2:]))
        answer = json.loads(received(place, "gap", check=1).stdout)
        assert [c["good"] for c in answer["chains"]] == [False, True, True], answer


def test_kill_loses_nothing_that_was_answered():
    with place_of(config()) as place:
        kept = place.dir / "kept"
        with Receiver(keeps=kept) as receiver:
            place.write_config(options(receiver))
            for number in range(4):
                with Gateway(workplace=place, expect_exit=None) as g:
                    answered = [name for name in (f"r{number}-{n}" for n in range(10 + number)) if g.act(action(action_id=name)).status == 200]
                    g.kill()
                assert set(answered) <= ids(receiver)
        chains = json.loads(received(place, kept, "--checkpoint-key", "chain.key.pub").stdout)["chains"]
        assert len(chains) == 4 and all(c["good"] for c in chains), chains


def test_a_required_receiver_that_is_dead_refuses_and_recovers():
    with Receiver() as receiver, place_of(options(receiver, deadline_ms=200)) as place:
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
            for way in (500, "hangs", "resets"):
                receiver.answer = way
                check_refuses(g, f"refused-{way}")
                until(lambda: g.get("/readyz").status == 503, "not ready")
                assert g.get("/healthz").status == 200
                receiver.answer = 200
                until(lambda: g.get("/readyz").status == 200, "ready again")
                until(lambda: g.act().status == 200, "decisions again, without a restart")
        outcomes = {r["action_id"]: r for r in receiver.taken if r["event_type"] == "action.completed"}
        for intent in [r for r in receiver.taken if r["event_type"] == "action.decision" and r["action_id"].startswith("refused")]:
            assert outcomes[intent["action_id"]]["outcome"] == "failed", "an intent that nobody ended"


def test_an_outcome_that_the_receiver_refuses_is_named_by_its_dead_letter():
    """Nobody else has that record: the dead letter says what it was of and how it ended, and so does the verdict on what was kept."""
    def refuse(records):
        return 422 if any(r["event_type"] == "action.completed" for r in records) else 200
    with place_of(config()) as place:
        kept = place.dir / "kept"
        with Receiver(keeps=kept, answer=refuse) as receiver:
            place.write_config(options(receiver))
            receiver.may_pass = range(1, 1000)
            with Gateway(workplace=place) as g:
                g.act(write("done"))
                assert (place.dir / "workspace/out/done").exists()
                until(lambda: any(r["event_type"] == "sink.dead_letter" for r in list(receiver.taken)), "the receiver is told")
            told = next(r for r in receiver.taken if r["event_type"] == "sink.dead_letter")
            intent = next(r for r in receiver.taken if r["event_type"] == "action.decision")
            assert told["refused_event"] == "action.completed" and told["refused_outcome"] == "succeeded", told
            assert told["refused_intent_seq"] == intent["seq"] and told["refused_seq"] > intent["seq"], told
        text = place.run("audit", "verify", "--received", kept, "--checkpoint-key", "chain.key.pub", check=0).stdout.decode()
        assert f"dead letter: record {told['refused_seq']}, action.completed of record {intent['seq']}: succeeded\n" in text, text
        [dead] = json.loads(received(place, kept).stdout)["chains"][0]["witness"]["dead"]
        assert dead == {"event_type": "action.completed", "intent_seq": intent["seq"], "outcome": "succeeded", "seq": told["refused_seq"]}


def test_any_all_and_names():
    with Receiver() as one, Receiver(answer=500) as two:
        for required, want in (("", 200), ("any", 200), ("all", 503), ("webhook", 503)):
            with place_of(options(one, two, required=required, deadline_ms=200)) as place, Gateway(workplace=place) as g:
                assert g.act(action(action_id="x")).status == want, required
        # A sink that is not named is not waited for, whatever it does.
        read, write_end = os.pipe()
        with place_of(options(two, sink="stdout", required="stdout", deadline_ms=200)) as place:
            with Gateway(workplace=place, stdout=write_end) as g:
                assert g.act(action(action_id="on-stdout")).status == 200
                os.close(write_end)
            assert b'"on-stdout"' in os.read(read, 1 << 20)
        os.close(read)
        two.faults.clear()


def test_a_slow_receiver_slows_and_bounds():
    """All that waits fits into the memory that was set aside: more is refused, nothing is forgotten."""
    with Receiver(answer="hangs") as receiver, place_of(options(receiver, deadline_ms=30000)) as place:
        place.write_config({**options(receiver, deadline_ms=300), "gateway": {**options(receiver)["gateway"], "concurrency_limit": 1000}})
        with Gateway(workplace=place) as g:
            rss = lambda: int(next(line for line in pathlib.Path(f"/proc/{g.process.pid}/status").read_text().splitlines()
                                   if line.startswith("RssAnon")).split()[1])
            before = rss()
            statuses = {g.act(action(action_id=f"s{n}", params={"text": BIG})).status for n in range(60)}
            assert statuses == {503}, statuses
            assert rss() < before + 64 * 1024, "it keeps what it cannot tell"
            receiver.answer = 200
            until(lambda: g.act(action(action_id="after")).status == 200, "decisions again")
        assert "after" in ids(receiver)


def test_stopping_tells_what_is_under_way():
    with Receiver() as receiver, place_of(options(receiver, sink="stdout", required="stdout")) as place:
        read, write_end = os.pipe()
        with Gateway(workplace=place, stdout=write_end) as g:
            os.close(write_end)
            receiver.answer = 503
            for number in range(20):
                assert g.act(action(action_id=f"t{number}")).status == 200
            receiver.answer = 200
            assert g.stop() == 0
        os.close(read)
        assert {f"t{n}" for n in range(20)} <= ids(receiver) and receiver.taken[-1]["event_type"] == "checkpoint"


def test_what_it_cannot_do_it_says():
    with Receiver() as receiver:
        policy_place = options(receiver)
        with place_of(policy_place) as place, Gateway(workplace=place) as g:
            r = g.act(action("payments.transfer", "payment://bank.example.com/1"))
            assert r.json["decision"] == "DENY" and "approvals_unavailable" in r.json["reason"], r
            r = g.act(headers={"Idempotency-Key": "k1"})
            assert r.status == 400 and "not_enabled" in r.body.decode(), r
            g.signal(signal.SIGHUP)
            until(lambda: any(x["event_type"] == "runtime.reload" for x in list(receiver.taken)), "a reload is in the chain")
        for wrong in ({"audit": {"sink": "file:trail.jsonl"}}, {"audit": {"sink": "sqlite:x.db"}}, {"audit": {"sink": ""}}, {"approvals": {"enabled": True}}):
            with place_of({**policy_place, **{k: {**policy_place.get(k, {}), **v} for k, v in wrong.items()}}) as place:
                assert place.run("serve", "-c", "nomos.json").returncode == 1, wrong


def test_doctor_says_what_is_missing():
    with Receiver() as receiver:
        opts = options(receiver)
        with place_of(opts) as place:
            def check(ident):
                done = place.run("doctor", "-c", "nomos.json", "--format", "json")
                return next(c for c in json.loads(done.stdout)["checks"] if c["id"] == ident)
            assert check("audit.stateless")["status"] == "PASS"
            del opts["audit"]["checkpoint_key_path"]
            place.write_config(opts)
            c = check("audit.stateless")
            assert "checkpoint_key_path" in json.dumps(c), c
            opts["audit"]["sink"] = "stderr"
            opts["audit"]["checkpoint_key_path"] = "chain.key"
            place.write_config(opts)
            assert "this host" in json.dumps(check("audit.stateless"))
