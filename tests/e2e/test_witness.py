# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""`nomos audit verify --witness`: a ledger against what a real receiver kept, bodies as they came; cuts, edits and gaps on either side."""
import contextlib
import gzip
import hashlib
import json
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from receiver import SECRET, Receiver
from support import Gateway, Workplace, action, config, until


@contextlib.contextmanager
def witnessed(n=20, refuse=None, kind="payments.refund", **webhook):
    """(place, what the receiver kept) of a gateway that has ended; webhook: how it is delivered."""
    place = Workplace()
    kept = place.dir / "kept"
    try:
        with Receiver(keeps=kept) as receiver:
            place.write_config(config(audit={"sink": f"webhook:{receiver.url}", "from": "start", "checkpoint_every": 8,
                                             "webhook": {"secret": SECRET, "retry_max_ms": 20, **webhook}}))
            with Gateway(workplace=place) as g:
                if refuse is not None:
                    receiver.may_pass = frozenset([refuse])
                    receiver.answer = lambda records: 422 if any(r["seq"] == refuse for r in records) else 200
                for number in range(n):
                    assert g.act(action(kind, action_id=f"a{number}")).status == 200
                until(lambda: receiver.has(g.records()[-1]["seq"]), "all arrives")
            receiver.check()
        yield place, kept
    finally:
        place.remove()


def against(place, kept, check=0):
    return place.run("audit", "verify", place.ledger, "--witness", kept, check=check).stdout.decode()


def test_kept_bodies_are_a_witness_as_they_came():
    for webhook in ({}, {"batch_max": 16}, {"batch_max": 16, "gzip": True}, {"gzip": True}):
        with witnessed(**webhook) as (place, kept):
            assert "the witness agrees: 2" in against(place, kept), webhook
            answer = json.loads(place.run("audit", "verify", place.ledger, "--witness", kept, "--format", "json", check=0).stdout)
            assert answer["good"] and answer["witness"]["missing"] == 0 and answer["witness"]["records"] == answer["records"]
            done = place.run("audit", "verify", "--received", kept, "--checkpoint-key", "ledger.db.pub", check=0)
            assert b"whole from record 1 to checkpoint" in done.stdout and b", 0 unsigned" in done.stdout, done.stdout
            # Beside a running gateway, whose ledger is further.
            place.write_config(config())
            with Gateway(workplace=place) as g:
                assert g.act().status == 200
                against(place, kept)


def test_cuts_edits_and_gaps_are_named():
    with witnessed(batch_max=64) as (place, kept):
        lines = kept.read_bytes().splitlines(keepends=True)
        (place.dir / "gap").write_bytes(b"".join(lines[:5] + lines[8:]))
        text = against(place, "gap", 1)
        assert "record 6: missing: the witness lacks records from here, up to record 8" in text and "by itself it is whole" in text, text
        place.run("audit", "verify", "--received", "gap", check=1)
        (place.dir / "edited").write_bytes(b"".join(lines).replace(b'"action_id":"a7"', b'"action_id":"a8"', 1))
        assert "edited: what the witness has is not what was hashed" in against(place, "edited", 1)
        (place.dir / "later").write_bytes(b"".join(lines[9:]))
        assert "from 10 to" in against(place, "later", 0)
        (place.dir / "torn").write_bytes(b"".join(lines)[:-30])
        done = place.run("audit", "verify", place.ledger, "--witness", "torn", check=0)
        assert b"ends inside a record" in done.stderr
        with sqlite3.connect(place.ledger) as db:
            db.execute("DELETE FROM records WHERE seq > 10")
        db.close()
        (place.dir / "ledger.db.head").unlink()
        text = against(place, kept, 1)
        assert "cut off: the witness remembers record" in text and "the last one here is 10" in text, text


def test_a_new_ledger_in_place_of_the_old_one():
    with witnessed() as (place, kept):
        for path in place.dir.glob("ledger.db*"):
            path.unlink()
        place.write_config(config())
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        place.run("audit", "verify", place.ledger, check=0)
        assert "not here: the witness knows chain" in against(place, kept, 1)


@contextlib.contextmanager
def two_ledgers(*, keeps_key, sealed, invented=None):
    """A gateway whose ledger was taken away between two runs; both delivered to one receiver."""
    place = Workplace()
    kept = place.dir / "kept"
    try:
        with Receiver(keeps=kept) as receiver:
            receiver.secret = SECRET
            for run in range(2):
                if run == 1 and sealed:
                    place.run("audit", "seal", place.ledger, "--reason", "a new year", check=0)
                elif run == 1:
                    for path in place.dir.glob("ledger.db*"):
                        if not keeps_key or path.suffix not in (".key", ".pub"):
                            path.unlink()
                if run == 1 and invented is not None:
                    (place.dir / "ledger.db.seal").write_text(json.dumps(invented, sort_keys=True, separators=(",", ":")))
                place.write_config(config(audit={"sink": f"webhook:{receiver.url}", "from": "start", "webhook": {"secret": SECRET}}))
                with Gateway(workplace=place) as g:
                    assert g.act().status == 200
                    head = g.records()[-1]
                    until(lambda: receiver.taken and receiver.taken[-1]["event_hash"] == head["event_hash"], "all arrives")
        yield place, kept
    finally:
        place.remove()


def test_a_ledger_in_the_place_of_another_does_not_pass_silently():
    """The receiver has both: the new chain agrees with it, and the old one is nowhere."""
    with two_ledgers(keeps_key=True, sealed=False) as (place, kept):
        text = against(place, kept, 1)
        assert "replaced: the witness has chain" in text and "by itself it is whole" in text, text
        done = place.run("audit", "verify", "--received", kept, check=0)  # each is whole, and that is said too
        assert b"stands in their place" in done.stderr, done.stderr
    with two_ledgers(keeps_key=False, sealed=False) as (place, kept):
        done = place.run("audit", "verify", place.ledger, "--witness", kept, "--format", "json", check=0)
        assert b"another gateway's, or this one stands in their place" in done.stderr, done.stderr
        assert json.loads(done.stdout)["witness"]["unlinked_chains"] == 1
    with two_ledgers(keeps_key=True, sealed=True) as (place, kept):
        done = place.run("audit", "verify", place.ledger, "--witness", kept, "--format", "json", check=0)
        assert b"place" not in done.stderr and json.loads(done.stdout)["witness"]["unlinked_chains"] == 0, done.stderr


def chains_of(kept):
    """The bodies of each chain, in the order of the chains."""
    text, at, chains = kept.read_text(), 0, {}
    while at < len(text):
        record, end = json.JSONDecoder().raw_decode(text, at)
        chains.setdefault(record["chain_id"], []).append(text[at:end])
        at = end
    return chains


def test_a_replaced_ledger_is_found_in_whatever_order_its_receiver_is_read():
    with two_ledgers(keeps_key=True, sealed=False) as (place, kept):
        old, new = chains_of(kept).items()
        folder = place.dir / "rotated"
        folder.mkdir()
        (folder / "kept.jsonl").write_text("\n".join(new[1]))  # the newest file of a rotation has the first name
        (folder / "kept.jsonl.1").write_text("\n".join(old[1]))
        text = against(place, folder, 1)
        assert f"replaced: the witness has chain {old[0]} of the same key" in text and f"--accept-chain {old[0]}" in text, text
        # The host goes on posting under the old chain's name: not hashed, and hashed.
        (folder / "more").write_text(json.dumps({"chain_id": old[0], "event_hash": "a" * 64, "event_type": "chain.start", "seq": 1, "stateless": True}))
        assert "replaced" in against(place, folder, 1)
        body = json.dumps({"chain_id": old[0], "event_type": "chain.start", "seq": 1, "stateless": True}, separators=(",", ":"))
        digest = hashlib.sha256(body.encode()).hexdigest()
        (folder / "more").write_text(body.replace('"event_type"', f'"event_hash":"{digest}","event_type"', 1))
        text = against(place, folder, 1)
        assert f"edited: the witness has two first records or two keys of chain {old[0]}" in text, text
        # An operator who knows that chain says so.
        verify = lambda accepted, check: place.run("audit", "verify", place.ledger, "--witness", folder, "--accept-chain", accepted, check=check)
        assert b"the witness agrees" in verify(old[0], 0).stdout
        verify("0" * 32, 1)
        for wrong in ("", "x", old[0][:-1], f"{old[0]},x"):
            verify(wrong, 2)
        place.run("audit", "verify", place.ledger, "--accept-chain", old[0], check=2)


def test_an_invented_seal_does_not_excuse_a_replaced_ledger():
    for chain in ("", "5" * 32):
        with two_ledgers(keeps_key=True, sealed=False, invented={"chain_id": chain, "hash": "a" * 64, "reason": "a new year", "seq": 3}) as (place, kept):
            text = against(place, kept, 1)
            assert "replaced: " in text and "is not linked to what the receiver has" in text, text
    with two_ledgers(keeps_key=True, sealed=True) as (place, kept):
        [old, _], new = chains_of(kept).items()
        text = against(place, kept)
        assert f"goes on from chain {old} at record 4: verify its sealed file too" in text, text
        [sealed] = [path for path in place.dir.glob("ledger.db.sealed-*") if path.suffix.endswith("Z")]
        done = place.run("audit", "verify", sealed, "--witness", kept, "--checkpoint-key", "ledger.db.pub", check=0)
        assert b"a chain that goes on from this one" in done.stderr, done.stderr


def test_packing_turned_on_and_off_again():
    with witnessed(batch_max=64) as (place, kept):
        lines = kept.read_bytes().splitlines(keepends=True)
        mixed = gzip.compress(b"".join(lines[:7])) + b"".join(lines[7:14]) + gzip.compress(b"".join(lines[14:]))
        (place.dir / "mixed").write_bytes(mixed)
        (place.dir / "other").write_bytes(b"".join(lines[:7]) + gzip.compress(b"".join(lines[7:])))
        for name in ("mixed", "other"):
            assert "from 1 to" in against(place, name, 0)
            place.run("audit", "verify", "--received", name, check=0)


def test_a_dead_letter_is_no_gap():
    with witnessed(refuse=7, batch_max=4) as (place, kept):
        text = against(place, kept)
        assert "1 dead letters" in text, text
        done = place.run("audit", "verify", "--received", kept, "--format", "json")
        chain = json.loads(done.stdout)["chains"][0]
        assert done.returncode == 0 and chain["good"] and chain["witness"]["dead_letters"] == 1, chain


def test_archives_are_part_of_the_ledger():
    with witnessed(n=60, kind="payments.payout", batch_max=64) as (place, kept):  # denied: nothing that may be reported keeps it
        place.write_config(config(audit={"checkpoint_every": 8, "retention": {"records": 10, "segment_records": 1, "look_ms": 20}}))
        archives = pathlib.Path(f"{place.ledger}.archive")
        def first():
            return json.loads(place.run("audit", "export", place.ledger, check=0).stdout.splitlines()[0])["seq"]
        with Gateway(workplace=place):
            until(lambda: first() > 1 and len(list(archives.glob("*.jsonl"))) > 1, "records are archived")
        against(place, kept)  # it remembers what is still here
        lines = kept.read_bytes().splitlines(keepends=True)
        (place.dir / "old").write_bytes(b"".join(lines[:5]))
        assert "--archive" in against(place, "old", 1)
        archived = lambda kept, check, *more: place.run("audit", "verify", place.ledger, "--archive", archives, "--witness", kept, *more, check=check)
        archived("old", 0)
        archived(kept, 0)
        changed = [*lines[:2], lines[2].replace(b'"decision":"DENY"', b'"decision":"DONE"', 1), *lines[3:]]
        (place.dir / "changed").write_bytes(b"".join(changed))
        assert b"record 3: edited" in archived("changed", 1).stdout
        # When the oldest was thrown away, the rest is compared all the same.
        min(archives.glob("*.jsonl")).unlink()
        answer = json.loads(archived(kept, 1, "--format", "json").stdout)
        assert answer["reason"].startswith("missing: records 1 to ") and answer["witness"]["records"] > 0, answer
        text = archived(kept, 1).stdout
        assert b"the witness agrees: " in text and b"by itself it is whole" not in text, text
        changed = [*lines[:-10], *(line.replace(b'"decision":"DENY"', b'"decision":"DONE"', 1) for line in lines[-10:])]
        (place.dir / "changed").write_bytes(b"".join(changed))
        assert b": edited" in archived("changed", 1).stdout


def test_what_is_no_witness():
    with witnessed(n=1) as (place, kept):
        (place.dir / "empty").write_text("")
        for other in ("empty", "policy.json", "no-such-file"):
            place.run("audit", "verify", place.ledger, "--witness", other, check=2)
            place.run("audit", "verify", "--received", other, check=2)
        place.run("audit", "verify", place.ledger, "--received", kept, check=2)
