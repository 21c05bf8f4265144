# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The webhook sink against a strict receiver: batches, gzip, several receivers, every way to fail, dead letters, and what
`nomos audit sinks` says of it (decisions 22)."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from receiver import SECRET, Receiver, place_of
from support import LONG, Gateway, action, config, signal, until


def options(*receivers, **webhook):
    return config(audit={"sink": ",".join(f"webhook:{r.url}" for r in receivers), "from": "start",
                         "webhook": {"secret": SECRET, "timeout_ms": 5000, "retry_max_ms": 50, **webhook}})


def act(g, n=1, name="a"):
    for number in range(n):
        r = g.act(action(action_id=f"{name}-{number}"))
        assert r.status == 200, r


def sinks(place):
    done = place.run("audit", "sinks", place.ledger, "--format", "json")
    rows = json.loads(done.stdout)
    assert done.returncode == any(r["error"] for r in rows["sinks"]), (done.returncode, rows)
    return rows


def heads(g):
    return g.records()[-1]["seq"]


def check_all(receiver, place, may_miss=()):
    """Everything that is in the ledger came, once in order."""
    done = place.run("audit", "export", place.ledger, check=0)
    want = [r["seq"] for r in map(json.loads, done.stdout.splitlines()) if "event_type" in r and r["seq"] not in may_miss]
    assert receiver.seqs() == want, (receiver.seqs()[-5:], want[-5:])
    receiver.check()


def test_batches_and_gzip():
    for packed in (False, True):
        with Receiver(answer=503) as receiver, place_of(options(receiver, batch_max=16, gzip=packed)) as place:
            with Gateway(workplace=place) as g:
                act(g, 60)
                receiver.answer = 200
                until(lambda: receiver.has(heads(g)), "all arrives")
            check_all(receiver, place)
            assert max(receiver.sizes) == 16 and receiver.n_repeated == 0, receiver.sizes
            headers = receiver.requests[-1][0]
            assert headers["Content-Type"] == "application/x-ndjson" and (headers.get("Content-Encoding") == "gzip") == packed
            # Checkpoints are what makes a receiver a witness.
            assert receiver.taken[-1]["event_type"] == "checkpoint"


def test_one_record_per_post_by_default():
    with Receiver() as receiver, place_of(options(receiver)) as place:
        with Gateway(workplace=place) as g:
            act(g, 5)
        check_all(receiver, place)
        assert set(receiver.sizes) == {1} and receiver.requests[0][0]["Content-Type"] == "application/json"


def test_each_receiver_has_a_cursor_of_its_own():
    with Receiver() as fast, Receiver(answer="hangs") as slow, place_of(options(fast, slow, timeout_ms=200)) as place:
        with Gateway(workplace=place) as g:
            act(g, 30)
            until(lambda: fast.has(heads(g)), "the fast one has all")
            rows = until(lambda: (lambda rows: rows if any(r["error"] for r in rows) else None)(sinks(place)["sinks"]), "seen")
            behind = {r["behind"] for r in rows}
            assert 0 in behind and max(behind) >= 30, rows
            slow.answer = 200
            slow.ending.set()
            slow.ending.clear()
            until(lambda: slow.has(heads(g)), "the slow one catches up")
        check_all(fast, place)
        check_all(slow, place)
        assert all(r["behind"] == 0 and r["error"] == "" for r in sinks(place)["sinks"])


WAYS = (500, 503, 429, 408, 401, 404, 302, "hangs", "resets", "answers half", "reads half")


def test_every_way_to_fail_is_tried_again_and_loses_nothing():
    with Receiver() as receiver, place_of(options(receiver, batch_max=8, timeout_ms=300)) as place:
        with Gateway(workplace=place) as g:
            for way in WAYS:
                receiver.answer = way
                asked, taken = receiver.n_asked, receiver.seqs()
                act(g, 3, f"w-{way}".replace(" ", "-"))
                if way != "reads half":
                    until(lambda a=asked: receiver.n_asked > a + 6, f"it is asked again after {way}")
                else:
                    until(lambda: sinks(place)["sinks"][0]["error"], "it fails")
                assert receiver.seqs() == taken, way
                assert g.act().status == 200 and g.get("/readyz").status == 200
                receiver.answer = 200
                until(lambda: receiver.has(heads(g)), f"it goes on after {way}")
        check_all(receiver, place)
        assert sinks(place)["sinks"][0]["dead_letters"] == 0


def test_slow_reading_is_waited_for():
    with Receiver(answer="reads slowly") as receiver, place_of(options(receiver, batch_max=64)) as place:
        with Gateway(workplace=place) as g:
            act(g, 20)
            until(lambda: receiver.has(heads(g)), "all arrives")
        check_all(receiver, place)


def self_signed(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key", "-out",
                    folder / f"{name}.pem"], check=True, capture_output=True)
    return folder / f"{name}.pem", folder / f"{name}.key"


def test_a_certificate_of_somebody_else_gets_nothing():
    with place_of(config()) as place:
        own, other = self_signed(place.dir, "own"), self_signed(place.dir, "other")
        with Receiver(tls=other) as receiver:
            place.write_config(options(receiver, ca_file=str(own[0])))
            port = receiver.port
            with Gateway(workplace=place) as g:
                act(g, 3)
                until(lambda: sinks(place)["sinks"][0]["error"], "it fails")
                assert receiver.n_asked == 0, "a body went to a receiver that is not the one"
                receiver.close()
                with Receiver(tls=own, port=port) as right:
                    until(lambda: right.has(heads(g)), "the right one gets all")
                    assert g.stop() == 0
                    check_all(right, place)


def test_a_refused_record_becomes_a_dead_letter_and_is_told():
    """Only that record, whatever batch it came in; the chain says so, to the receiver too."""
    def refuse(records):
        return 422 if any(r.get("action_id") == "bad" and r["event_type"] == "action.decision" for r in records) else 200
    for batch in (1, 32):
        with Receiver(answer=500) as receiver, place_of(options(receiver, batch_max=batch)) as place:
            with Gateway(workplace=place) as g:
                act(g, 10, "before")
                assert g.act(action(action_id="bad")).status == 200
                act(g, 10, "after")
                bad = [r["seq"] for r in g.records() if r.get("action_id") == "bad" and r["event_type"] == "action.decision"]
                assert len(bad) == 1
                receiver.may_pass = frozenset(bad)
                receiver.answer = refuse
                until(lambda: any(r["event_type"] == "sink.dead_letter" for r in list(receiver.taken)), "the receiver is told")
                told = next(r for r in receiver.taken if r["event_type"] == "sink.dead_letter")
                assert told["refused_seq"] == bad[0] and "422" in told["reason"] and told["sink"].startswith("webhook:"), told
                assert receiver.url not in json.dumps(told)
            check_all(receiver, place, may_miss=bad)
            alone = [r for r in receiver.requests if r[1] == 1 and r[0]["X-Nomos-Seq"] == str(bad[0])]
            assert len(alone) == 5, len(alone)
            row = sinks(place)["sinks"][0]
            assert row["dead_letters"] == 1 and row["last_dead_letter"] == bad[0] and row["behind"] == 0, row
            place.run("audit", "verify", place.ledger, check=0)


def test_a_receiver_that_refuses_everything_makes_no_chain_of_dead_letters():
    """The record of a dead letter that is refused too leaves none of its own."""
    with Receiver(answer=400) as receiver, place_of(options(receiver, retry_max_ms=10)) as place:
        with Gateway(workplace=place) as g:
            act(g, 2)
            until(lambda: sinks(place)["sinks"][0]["dead_letters"] == heads(g), "all are dead letters")
            told = [r for r in g.records() if r["event_type"] == "sink.dead_letter"]
            assert len(told) * 2 == heads(g), told
            assert g.get("/readyz").status == 200


def test_sinks_names_no_secret_and_lists_what_was_ever_fed():
    with Receiver() as receiver, place_of(options(receiver)) as place:
        place.write_config(config(audit={"sink": f"webhook:{receiver.url}/T0KEN?key=T0KEN,file:trail.jsonl", "required": "file"}))
        with Gateway(workplace=place) as g:
            act(g)
        done = place.run("audit", "sinks", place.ledger, check=0)
        assert b"T0KEN" not in done.stdout and b"T0KEN" not in done.stderr
        rows = {r["name"].split(":")[0]: r for r in sinks(place)["sinks"]}
        assert rows["webhook"]["target"] == receiver.url.rsplit("/", 1)[0] and not rows["webhook"]["required"], rows
        assert rows["file"]["target"] == str(place.dir / "trail.jsonl") and rows["file"]["required"], rows
        assert json.loads(place.run("audit", "sinks", "-c", "nomos.json", "--format", "json", check=0).stdout)["head"] >= 3
        export = place.run("audit", "export", place.ledger, check=0).stdout
        (place.dir / "export.jsonl").write_bytes(export)
        place.run("audit", "sinks", "export.jsonl", check=2)
        place.run("audit", "sinks", "no-such-file", check=2)
        receiver.faults.clear()  # it was not signed


def test_kill_in_the_middle_of_deliveries():
    with Receiver() as receiver, place_of(options(receiver, batch_max=4)) as place:
        for round_number in range(4):
            with Gateway(workplace=place, expect_exit=None) as g:
                act(g, 25, f"r{round_number}")
                until(lambda: len(receiver.seqs()) > 5 + 10 * round_number, "under way")
                g.kill()
        with Gateway(workplace=place) as g:
            until(lambda: receiver.has(heads(g)), "all arrives")
        check_all(receiver, place)
        assert receiver.n_back <= 4, "once per start at most"


def test_retention_does_not_pass_a_receiver_that_is_away():
    with Receiver(answer=503) as receiver:
        opts = options(receiver, batch_max=64)
        opts["audit"]["checkpoint_every"] = 8
        opts["audit"]["retention"] = {"records": 1, "segment_records": 1, "look_ms": 20}
        with place_of(opts) as place:
            with Gateway(workplace=place) as g:
                # Whoever is denied has nothing to report: nothing else keeps these records.
                for _ in range(40):
                    assert g.act(action("payments.payout")).status == 200
                looks = receiver.n_asked
                until(lambda: receiver.n_asked > looks + 5, "some time has passed")
                assert g.records()[0]["seq"] == 1, "records were archived that the receiver has not"
                receiver.answer = 200
                until(lambda: receiver.has(30), "it catches up")
                until(lambda: g.act(action("payments.payout")).status == 200 and g.records()[0]["seq"] > 1, "then they are archived")
            assert receiver.seqs() == list(range(1, receiver.taken[-1]["seq"] + 1))
            place.run("audit", "verify", place.ledger, "--archive", f"{place.ledger}.archive", check=0)


def test_a_long_outage_in_accelerated_time():
    """Pauses of 30 s at most are 10 ms here: 3,000 times faster. The long form is a week of them (40,320 of 15 s on average); the gateway is
    killed, stopped and reloaded meanwhile, and the receiver is away in different ways."""
    n_tries = 7 * 24 * 3600 // 15 if LONG else 400
    with Receiver(answer=503) as receiver:
        opts = options(receiver, batch_max=64, retry_max_ms=10, gzip=True)
        opts["audit"]["checkpoint_every"] = 16
        with place_of(opts) as place:
            name = 0
            for part in range(1, 5):
                with Gateway(workplace=place, expect_exit=None if part == 2 else 0) as g:
                    while receiver.n_asked < part * n_tries // 4:
                        receiver.answer = (503, "resets", 429, "answers half")[name % 4]
                        act(g, 5, f"o{name}")
                        name += 1
                        asked = receiver.n_asked
                        until(lambda n=asked: receiver.n_asked >= n + min(100, n_tries // 20), "it goes on asking")
                    if part == 1:
                        g.signal(signal.SIGHUP)
                    if part == 2:
                        g.kill()
                    assert g.process.poll() is not None or g.get("/readyz").status == 200
                    assert not receiver.seqs()
                    if part == 4:
                        receiver.answer = 200
                        until(lambda: receiver.has(heads(g)), "all arrives")
            assert receiver.n_back == 0, "it went back, and nothing had been taken"
            check_all(receiver, place)
            assert {f"o{n}-{k}" for n in range(name) for k in range(5)} <= {r.get("action_id") for r in receiver.taken}
