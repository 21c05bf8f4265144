# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What the tests of faults look at: the ledger's rows, read without the program, and load that remembers what was acknowledged.

The chain is checked twice, here from its definition (audit/chain.h) and by `nomos audit verify`.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import threading

from support import LONG, action

OPEN = 1  # enum ledger_state: an intent with an effect of ours and no outcome


def seeded(name):
    """A generator whose seed is printed, and can be given again as NOMOS_TEST_SEED."""
    seed = int(os.environ.get("NOMOS_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"      {name}: NOMOS_TEST_SEED={seed}", flush=True)
    return random.Random(seed)


def rounds(short, long):
    return long if LONG else short


def read_ledger(path, root=pathlib.Path("/")):
    """[(state, record)] in order, of a private copy; the chain is checked on the way."""
    source = root / str(path).lstrip("/")
    with tempfile.TemporaryDirectory(prefix="nomos-evidence-") as folder:
        copy = pathlib.Path(folder) / "copy.db"
        for tail in ("", "-wal", "-journal"):
            if source.with_name(source.name + tail).exists():
                shutil.copyfile(source.with_name(source.name + tail), copy.with_name(copy.name + tail))
        with sqlite3.connect(copy) as db:
            is_made = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'records'").fetchone()[0]
            rows = db.execute("SELECT seq, state, hash, body FROM records ORDER BY seq").fetchall() if is_made else []
        db.close()
    previous = ""
    found = []
    for number, (seq, state, digest, body) in enumerate(rows, 1):
        assert seq == number, f"record {number} is missing or out of order"
        record = json.loads(body)
        assert record["seq"] == seq and record.get("prev_event_hash", "") == previous, f"record {seq} is not linked"
        previous = hashlib.sha256(bytes(body) + previous.encode()).hexdigest()
        assert bytes(digest).hex() == previous, f"record {seq} was changed"
        found.append((state, record))
    return found


def verify(place):
    place.run("audit", "verify", place.ledger, check=0)


class Acknowledged:
    """One answer that a client has read to its end."""

    def __init__(self, kind, action_id, reply):
        self.kind, self.action_id, self.status = kind, action_id, reply.status
        self.request_id = reply.headers["X-Request-Id"]
        self.decision = reply.json.get("decision")


KINDS = ("decide", "deny", "read", "write")


def make_action(kind, action_id):
    if kind == "decide":
        return action(action_id=action_id)
    if kind == "deny":
        return action("payments.payout", action_id=action_id)
    if kind == "read":
        return action("fs.read", "file://workspace/README.md", action_id=action_id)
    return action("fs.write", f"file://workspace/out/{action_id}", {"content": f"written by {action_id}\n"}, action_id=action_id)


class Load:
    """Mixed actions over several connections until the gateway goes away or stop is called."""

    def __init__(self, gateway, pick, name, connections=6):
        self.gateway, self.name = gateway, name
        self.acknowledged = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i, random.Random(pick.getrandbits(32))))
                        for i in range(connections)]
        for thread in self.threads:
            thread.start()

    def _run(self, number, pick):
        connection = self.gateway.connect()
        count = 0
        while not self.stopping.is_set():
            kind = pick.choice(KINDS)
            action_id = f"{self.name}-{number}-{count}"
            count += 1
            try:
                reply = self.gateway.act(make_action(kind, action_id), connection=connection)
            except OSError:
                return
            except Exception as error:  # a reply cut in the middle: http.client has many names for it
                if type(error).__module__ != "http.client":
                    raise
                return
            self.acknowledged.append(Acknowledged(kind, action_id, reply))

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def check_acknowledged(acknowledged, rows):
    """Every answer is in the ledger, with the outcome where something was done."""
    intents = {r["request_id"]: r for _, r in rows if r["event_type"] == "action.decision"}
    outcomes = {r["intent_seq"]: r for _, r in rows if r["event_type"] == "action.completed"}
    for a in acknowledged:
        assert a.status == 200, vars(a)
        record = intents.get(a.request_id)
        assert record is not None, f"acknowledged and not in the ledger: {vars(a)}"
        assert record["action_id"] == a.action_id and record["decision"] == a.decision, (vars(a), record)
        if a.kind in ("read", "write"):
            assert outcomes[record["seq"]]["outcome"] == "succeeded", outcomes[record["seq"]]


def check_effects(place, acknowledged, rows):
    """No file without an intent before it; every acknowledged write is whole."""
    out = place.dir / "workspace/out"
    intents = {r["action_id"] for _, r in rows if r["event_type"] == "action.decision" and r["action_type"] == "fs.write"}
    files = {p.name: p for p in out.iterdir()} if out.exists() else {}
    for name, path in files.items():
        if name.startswith(".nomos-"):
            continue  # a temporary file of a write that the kill cut off
        assert name in intents, f"{name} was written without an intent"
        assert path.read_text() == f"written by {name}\n", f"{name} is not whole"
    for a in acknowledged:
        assert a.kind != "write" or a.action_id in files, f"acknowledged and not written: {a.action_id}"


def open_intents(rows):
    return [r["seq"] for state, r in rows if state == OPEN]


def check_settled(intents, rows):
    """Each intent that a crash left open has exactly one outcome now, UNKNOWN, written before anything else was decided."""
    outcomes = {}
    for _, r in rows:
        if r["event_type"] == "action.completed":
            outcomes.setdefault(r["intent_seq"], []).append(r)
    for seq in intents:
        found = outcomes.get(seq, [])
        assert len(found) == 1 and found[0]["result_classification"] == "UNKNOWN", (seq, found)
        assert not found[0].get("retryable"), found
    assert not open_intents(rows), "an intent is open still"
