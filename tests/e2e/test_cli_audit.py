# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""nomos audit against ledgers of a real gateway: beside it, after it, after its death."""
import json
import os
import signal
import sqlite3
import subprocess

from support import BIN, PATIENCE, Gateway, Workplace, until


def snapshot(place):
    """Every file of the folder but what a command printed."""
    return {p.name: p.read_bytes() for p in place.dir.iterdir() if p.is_file() and not p.name.endswith(".out")}


class Tail:
    """nomos audit tail -f as a process whose lines can be waited for."""

    def __init__(self, place, *args):
        self.out = place.dir / "tail.out"
        self.stream = self.out.open("wb")
        self.process = subprocess.Popen([BIN, "audit", "tail", "-f", "--format", "json", *args, str(place.ledger)],
                                        stdout=self.stream, stderr=subprocess.DEVNULL)

    def records(self):
        return [json.loads(line) for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def seqs(self):
        return [r["seq"] for r in self.records()]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE)
        self.stream.close()
        return status


def run_some(place, n=3):
    with Gateway(workplace=place) as g:
        for _ in range(n):
            assert g.act().status == 200


def test_verify_and_query_beside_a_running_gateway():
    with Gateway() as g:
        assert g.act().status == 200
        done = g.place.run("audit", "verify", g.place.ledger, check=0)
        assert done.stdout.startswith(b"whole to checkpoint 0, ")
        # Flags may stand before and behind FILE, and the configuration can name it.
        for args in (["--format", "json", g.place.ledger], [g.place.ledger, "--format=json"],
                     ["-c", "nomos.json", "--format", "json"]):
            answer = json.loads(g.place.run("audit", "verify", *args, check=0).stdout)
            assert answer["good"] and answer["kind"] == "ledger" and list(answer) == sorted(answer)
        rows = g.place.run("audit", "query", g.place.ledger, "--decision", "allow", "--since", "1h", check=0).stdout
        assert b"payments.refund" in rows and b"\x1b" not in rows
        assert g.place.run("audit", "query", g.place.ledger, "--decision", "deny", check=0).stdout == b""
        lines = g.place.run("audit", "query", g.place.ledger, "--format", "json", "--limit", "2", check=0).stdout
        assert [json.loads(line)["seq"] for line in lines.splitlines()] == [1, 2]


def test_reading_changes_no_byte_after_a_stop_and_after_a_kill():
    for kill in (False, True):
        place = Workplace()
        try:
            with Gateway(workplace=place, expect_exit=None) as g:
                for _ in range(3):
                    assert g.act().status == 200
                if kill:
                    g.kill()
            before = snapshot(place)
            assert ("ledger.db-wal" in before) or not kill
            place.run("audit", "verify", place.ledger, check=0)
            export = place.run("audit", "export", place.ledger, check=0).stdout
            place.run("audit", "query", place.ledger, check=0)
            place.run("audit", "tail", place.ledger, check=0)
            assert snapshot(place) == before
            (place.dir / "export.jsonl").write_bytes(export)
            done = place.run("audit", "verify", "export.jsonl", "--checkpoint-key", "ledger.db.pub", check=0)
            assert b"signed trailer" in done.stdout
        finally:
            place.remove()


def test_verify_says_no_with_1_and_cannot_say_with_2():
    place = Workplace()
    try:
        run_some(place)
        export = place.run("audit", "export", place.ledger, check=0).stdout
        lines = export.splitlines(keepends=True)
        (place.dir / "witness.jsonl").write_bytes(b"".join(lines[:-1]))
        (place.dir / "cut.jsonl").write_bytes(b"".join(lines[:-2]))
        done = place.run("audit", "verify", "cut.jsonl", check=1)
        assert b"cut off" in done.stdout
        last = json.loads(lines[-2])
        expected = f"{last['seq']}:{last['event_hash']}"
        place.run("audit", "verify", place.ledger, "--expect", expected, "--witness", "witness.jsonl", check=0)
        place.run("audit", "verify", place.ledger, "--expect", f"{last['seq']}:{'0' * 64}", check=1)
        place.run("audit", "verify", place.ledger, "--expect", f"{last['seq'] + 1}:{'0' * 64}", check=1)
        for args in ([], ["no-such-file"], ["policy.json", "ledger.db"], ["ledger.db", "--expect", "x"],
                     ["ledger.db", "--checkpoint-key", "policy.json"], ["ledger.db", "--witness", "policy.json"],
                     ["ledger.db", "--format", "xml"], ["ledger.db", "--no-such-flag"], ["ledger.db.key"]):
            done = place.run("audit", "verify", *args, check=2)
            assert done.stdout == b"" and b"[ERROR]" in done.stderr

        with sqlite3.connect(place.ledger) as db:
            db.execute("DELETE FROM records WHERE seq = 3")
        db.close()
        done = place.run("audit", "verify", place.ledger, check=1)
        assert done.stdout == b"not whole: record 3: missing: record 3\n"
        answer = json.loads(place.run("audit", "verify", place.ledger, "--format", "json", check=1).stdout)
        assert not answer["good"] and answer["bad_seq"] == 3
        (place.dir / "ledger.db.head").write_text("{}")
        done = place.run("audit", "verify", place.ledger, check=1)
        assert b"head file is damaged" in done.stdout
    finally:
        place.remove()


def test_export_without_a_key_and_to_a_reader_that_left():
    place = Workplace()
    try:
        run_some(place)
        os.rename(place.dir / "ledger.db.key", place.dir / "away.key")
        done = place.run("audit", "export", place.ledger, check=0)
        assert b"not signed" in done.stderr
        (place.dir / "e.jsonl").write_bytes(done.stdout)
        assert b"unsigned trailer" in place.run("audit", "verify", "e.jsonl", check=0).stdout
        signed = place.run("audit", "export", place.ledger, "--key", "away.key", check=0).stdout
        assert b'"signature"' in signed.splitlines()[-1]
        place.run("audit", "export", place.ledger, "--key", "no-such.key", check=1)
        place.run("audit", "export", "e.jsonl", check=1)
        read, write = os.pipe()
        os.close(read)
        try:
            for command in ("export", "query", "tail"):
                done = subprocess.run([BIN, "audit", command, str(place.ledger)], stdout=write,
                                      stderr=subprocess.PIPE, timeout=PATIENCE)
                assert done.returncode == 1, (command, done)
        finally:
            os.close(write)
    finally:
        place.remove()


def test_tail_follows_over_a_stop_a_kill_and_a_new_chain():
    place = Workplace()
    try:
        run_some(place, 1)
        known = place.run("audit", "query", place.ledger, "--format", "json", check=0).stdout.splitlines()
        tail = Tail(place, "-n", "2")
        try:
            until(lambda: len(tail.records()) >= 2, "tail shows the last records")
            assert tail.seqs() == [len(known) - 1, len(known)]
            with Gateway(workplace=place, expect_exit=None) as g:
                assert g.act().status == 200
                until(lambda: any(r.get("action_type") == "payments.refund" and r["seq"] > len(known)
                                  for r in tail.records()), "tail sees a record of the running gateway")
                g.kill()
            with Gateway(workplace=place) as g:
                assert g.act().status == 200
            done = place.run("audit", "query", place.ledger, "--format", "json", check=0).stdout.splitlines()
            until(lambda: tail.seqs()[-1] == len(done), "tail sees the end")
            assert tail.seqs() == list(range(len(known) - 1, len(done) + 1))
            shown = len(tail.records())
            place.run("audit", "seal", place.ledger, "--reason", "a test", check=0)
            run_some(place, 1)
            until(lambda: len(tail.records()) > shown, "tail sees the new chain")
            fresh = tail.records()[shown]
            assert fresh["seq"] == 1 and fresh["event_type"] == "chain.start" and fresh["reason"] == "a test"
        finally:
            assert tail.stop() == 0
    finally:
        place.remove()


def test_tail_ends_when_its_reader_goes():
    place = Workplace()
    try:
        run_some(place, 1)
        tail = subprocess.Popen([BIN, "audit", "tail", "-f", str(place.ledger)], stdout=subprocess.PIPE)
        assert tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait(PATIENCE) == 0
    finally:
        place.remove()


def test_backup_beside_a_running_gateway():
    with Gateway() as g:
        assert g.act().status == 200
        done = g.place.run("audit", "backup", g.place.ledger, "copy.db", check=0)
        assert b"keep with it" in done.stderr
        copy = g.place.dir / "copy.db"
        assert copy.stat().st_mode & 0o7777 == 0o600
        assert g.act().status == 200
        key = ["--checkpoint-key", "ledger.db.pub"]
        assert json.loads(g.place.run("audit", "verify", "copy.db", "--format", "json", *key, check=0).stdout)["good"]
        g.place.run("audit", "backup", g.place.ledger, "copy.db", check=1)
        g.place.run("audit", "backup", "-c", "nomos.json", "copy2.db", check=0)
        g.place.run("audit", "backup", g.place.ledger, check=2)
        g.place.run("audit", "backup", check=2)
        assert sorted(p.name for p in g.place.dir.glob("copy*")) == ["copy.db", "copy2.db"]


def test_seal_refuses_beside_a_gateway_and_says_what_is_next():
    with Gateway() as g:
        place = g.place
        assert g.act().status == 200
        assert b"held by process" in place.run("audit", "seal", place.ledger, "--reason", "x", check=1).stderr
        place.run("audit", "seal", place.ledger, check=2)
        place.run("audit", "seal", place.ledger, "--reason", "", check=1)
        assert g.act().status == 200
        assert g.stop() == 0
        done = place.run("audit", "seal", place.ledger, "--reason", "moved to a new disk", check=0)
        assert b"next:" in done.stderr
        sealed = [p for p in place.dir.iterdir() if ".sealed-" in p.name and p.name.endswith("Z")]
        assert len(sealed) == 1 and not place.ledger.exists()
        place.run("audit", "verify", sealed[0].name, check=0)
        place.run("audit", "seal", place.ledger, "--reason", "x", check=1)
        run_some(place, 1)
        first = json.loads(place.run("audit", "query", place.ledger, "--limit", "1", "--format", "json",
                                     check=0).stdout)
        assert first["reason"] == "moved to a new disk" and first["previous_chain"]["seq"] > 0


def test_query_pages_with_and_without_the_search_index():
    with Gateway() as g:
        for _ in range(9):
            assert g.act().status == 200

        def seqs(*args):
            lines = g.place.run("audit", "query", g.place.ledger, "--format", "json", *args, check=0).stdout
            return [json.loads(line)["seq"] for line in lines.splitlines()]

        def indexed():
            try:
                db = sqlite3.connect(f"file:{g.place.ledger}.idx?mode=ro", uri=True)
                return int(db.execute("SELECT value FROM meta WHERE key = 'seq'").fetchone()[0])
            except sqlite3.Error:
                return 0

        until(lambda: indexed() >= 10, "the index knows all records")
        assert g.act().status == 200
        everything = seqs("--decision", "allow", "--scan")
        assert len(everything) == 10
        assert seqs("--decision", "allow") == everything
        first = seqs("--decision", "allow", "--newest", "--limit", "4")
        second = seqs("--decision", "allow", "--newest", "--limit", "4", "--from", first[-1] - 1)
        assert first + second == everything[::-1][:8]
        assert seqs("--contains", "payments", "--since", "1h") and not seqs("--contains", "no such text", "--since", "1h")
        assert b"since or until" in g.place.run("audit", "query", g.place.ledger, "--contains", "x", check=1).stderr
