# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A ledger that was damaged while no gateway ran: a start refuses and says what to do, or `audit verify` names what was changed.

Neither ever crashes, and no changed record passes.
"""
import contextlib
import http.client
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import OPEN, rounds, seeded, verify
from prepared import copy_of, ended, killed, start
from support import BIN, PATIENCE, Gateway, Workplace, action

PAGE = 8192
REMEDY = "nomos audit seal"


def check_refused(place, *words):
    """A start ends with 1, says why and what can be done, and leaves the file as it is."""
    before = place.ledger.read_bytes() if place.ledger.is_file() else None
    for _ in range(2):  # the second start is told the same
        status, log = start(place)
        assert status == 1, (status, log)
        for word in words:
            assert word in log, (word, log)
    after = place.ledger.read_bytes() if place.ledger.is_file() else None
    assert before == after, "a refused start changed the ledger"


def check_damaged(place, *words):
    check_refused(place, REMEDY, *words)


def check_not_whole(place, *words):
    done = place.run("audit", "verify", place.ledger, check=1)
    for word in words:
        assert word in done.stdout.decode(), (word, done.stdout)


def on_copy(source, damage, *checks):
    place = copy_of(source)
    try:
        damage(place)
        for check in checks:
            check(place)
    finally:
        place.remove()


def sql(place, *statements):
    with sqlite3.connect(place.ledger) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


# ---- the whole file ----

def test_truncated_at_any_size_is_refused():
    size = ended().ledger.stat().st_size
    for cut in (0, 1, 50, 100, 1000, PAGE, PAGE + 100, size // 2, size // 2 // PAGE * PAGE, size - PAGE):
        on_copy(ended(), lambda place: os.truncate(place.ledger, cut), lambda place: check_refused(place, "ledger"))


def test_truncated_inside_its_last_page():
    """A crash may leave that behind while the log still has the page; the start cannot tell, verify can."""
    good = rows_of(ended().ledger)
    on_copy(ended(), lambda place: os.truncate(place.ledger, place.ledger.stat().st_size - PAGE + 100),
            lambda place: check_any_damage(place, good, "last page"), lambda place: check_start(place, "last page"))


def test_deleted_is_not_begun_anew():
    on_copy(ended(), lambda place: place.ledger.unlink(), check_damaged)


def test_garbage_and_other_programs_files_are_left_alone():
    def foreign(place):
        place.ledger.unlink()
        sql(place, "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)")
    on_copy(ended(), lambda place: place.ledger.write_bytes(os.urandom(100000)), check_refused)
    on_copy(ended(), lambda place: place.ledger.write_bytes(b"hello\n"), check_refused)
    on_copy(ended(), foreign, lambda place: check_refused(place, "another program"))


def test_what_is_no_regular_file_is_refused():
    def make(how):
        def damage(place):
            place.ledger.unlink()
            how(place.ledger)
        return damage
    for how in (os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/full", path), lambda path: os.symlink("nowhere", path)):
        on_copy(ended(), make(how), check_refused)


def test_newer_schema_is_refused():
    on_copy(ended(), lambda place: sql(place, "PRAGMA user_version = 99"),
            lambda place: check_refused(place, "schema version 99", "newer version"))


def test_another_valid_ledger_is_refused():
    def replace(place):
        shutil.copyfile(killed_and_ended().ledger, place.ledger)
    on_copy(ended(), replace, check_damaged, check_not_whole)


def killed_and_ended():
    """Another chain, of another gateway, at rest."""
    place = copy_of(killed())
    with Gateway(workplace=place):
        pass
    return place


def test_older_copy_of_itself_is_refused():
    def replace(place):
        older = (place.dir / "older.db")
        shutil.copyfile(place.ledger, older)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        os.replace(older, place.ledger)
    on_copy(ended(), replace, lambda place: check_damaged(place, "older copy"), lambda place: check_not_whole(place, "cut off"))


# ---- the files beside it ----

def test_lost_write_ahead_log_is_noticed():
    """The records in it were acknowledged: going on without them would be a lie."""
    def damage(place):
        assert pathlib.Path(f"{place.ledger}-wal").stat().st_size > 0
        os.unlink(f"{place.ledger}-wal")
    on_copy(killed(), damage, lambda place: check_damaged(place, "-wal"))


def test_log_that_another_program_moved_into_the_database_is_not_missed():
    def check(place):
        with sqlite3.connect(place.ledger) as db:
            n = db.execute("SELECT count(*) FROM records").fetchone()[0]
        db.close()
        assert not os.path.exists(f"{place.ledger}-wal")
        with Gateway(workplace=place) as g:
            assert "unless another program" in g.read_log()
            assert len(g.records()) >= n
        verify(place)
    on_copy(killed(), check)


def test_sealing_ends_the_refusal_over_a_lost_log():
    def seal(place):
        os.unlink(f"{place.ledger}-wal")
        place.run("audit", "seal", place.ledger, "--reason", "the log was lost", check=0)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        verify(place)
    on_copy(killed(), seal)


def test_killed_starts_again_whatever_happened_to_shm():
    """The index of the log is made anew."""
    for damage in (os.unlink, lambda path: os.truncate(path, 0), lambda path: pathlib.Path(path).write_bytes(os.urandom(32768))):
        place = copy_of(killed())
        try:
            damage(f"{place.ledger}-shm")
            rows = sum(1 for _ in place.run("audit", "export", place.ledger, check=0).stdout.splitlines())
            with Gateway(workplace=place) as g:
                assert g.act().status == 200
                assert len(g.records()) >= rows
            verify(place)
        finally:
            place.remove()


def test_key_and_head_deleted_damaged_or_open_to_others():
    def edit(suffix, how):
        def damage(place):
            path = pathlib.Path(f"{place.ledger}{suffix}")
            how(path)
        return damage
    other = killed_and_ended()
    try:
        for suffix in (".key", ".head"):
            cases = [lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 20),
                     lambda path: path.write_bytes(os.urandom(200)),
                     lambda path, suffix=suffix: shutil.copyfile(f"{other.ledger}{suffix}", path)]
            for how in cases:
                on_copy(ended(), edit(suffix, how), lambda place: check_refused(place, suffix.strip(".")))
        on_copy(ended(), edit(".key", lambda path: path.unlink()), lambda place: check_refused(place, "key", REMEDY))
        on_copy(ended(), edit(".key", lambda path: path.chmod(0o644)), lambda place: check_refused(place, "chmod 600"))
        if os.geteuid() == 0:
            on_copy(ended(), edit(".key", lambda path: os.chown(path, 65534, 65534)),
                    lambda place: check_refused(place, "another user"))
        for how in (lambda path: os.truncate(path, 0), lambda path: path.write_bytes(b"x" * 50),
                    lambda path: shutil.copyfile(f"{other.ledger}.head", path)):
            on_copy(ended(), edit(".head", how), lambda place: place.run("audit", "verify", place.ledger, check=1))
        # The public half is for auditors; a gateway does not need it, and verify does not take another chain's.
        on_copy(ended(), edit(".pub", lambda path: shutil.copyfile(f"{other.ledger}.pub", path)),
                lambda place: check_not_whole(place, "wrong key"))
    finally:
        other.remove()


def test_without_its_head_file_a_ledger_starts_and_verifies():
    """It only makes a cut harder to notice; the next checkpoint writes it again."""
    def check(place):
        os.unlink(f"{place.ledger}.head")
        verify(place)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        assert os.path.exists(f"{place.ledger}.head")
        verify(place)
    on_copy(ended(), check)


# ---- rows ----

def first_open_state(place, old, new):
    with sqlite3.connect(place.ledger) as db:
        seq = db.execute("SELECT max(seq) FROM records WHERE state = ? AND CAST(body AS TEXT) LIKE '%\"action_type\":\"fs.%'"
                         " AND CAST(body AS TEXT) LIKE '%action.decision%' AND CAST(body AS TEXT) LIKE '%\"ALLOW\"%'",
                         (old,)).fetchone()[0]
        db.execute("UPDATE records SET state = ? WHERE seq = ?", (new, seq))
    db.close()
    return seq


def test_row_before_the_first_record():
    def damage(place):
        sql(place, "INSERT INTO records SELECT 0, state, hash, body FROM records WHERE seq = 5")
    on_copy(ended(), damage, lambda place: check_damaged(place, "before record 1"),
            lambda place: check_not_whole(place, "before record 1"))
    on_copy(ended(), lambda place: sql(place, "INSERT INTO records SELECT -7, state, hash, body FROM records WHERE seq = 5"),
            lambda place: check_damaged(place, "-7"), lambda place: check_not_whole(place, "-7"))


def test_ended_intent_set_to_open_is_found():
    """A start would write a second outcome, UNKNOWN, for what has one."""
    on_copy(ended(), lambda place: first_open_state(place, 0, OPEN),
            lambda place: check_not_whole(place, "its outcome is recorded"))
    on_copy(killed(), lambda place: first_open_state(place, 0, OPEN),
            lambda place: check_damaged(place, "its outcome is recorded"))


def test_open_intent_set_to_ended_is_found():
    """Nobody would learn that an effect may have happened: the start is refused, and verify names the record."""
    place = Workplace()
    try:
        g = Gateway(workplace=place, env={"NOMOS_FAULT": "effect.before:1:kill"}, expect_exit=None)
        with g, contextlib.suppress(OSError, http.client.HTTPException):
            g.act(action("fs.read", "file://workspace/README.md"))
        place.run("audit", "verify", place.ledger, check=0)  # an open intent by itself is whole
        first_open_state(place, OPEN, 0)
        check_damaged(place, "no record tells how")
        check_not_whole(place, "no record tells how")
    finally:
        place.remove()


def test_index_of_open_records_that_is_not_whole():
    """It finds what a crash left open: an intent that it lacks would stay open for ever."""
    def damage(place):
        read = "SELECT rootpage, sql FROM sqlite_schema WHERE name = 'records_open'"
        with sqlite3.connect(place.ledger) as db:
            page, text = db.execute(read).fetchone()
            db.execute("PRAGMA writable_schema = ON")
            db.execute("DELETE FROM sqlite_schema WHERE name = 'records_open'")
        db.close()
        sql(place, "UPDATE records SET state = 0 WHERE seq = (SELECT max(seq) FROM records WHERE state = 2)")
        with sqlite3.connect(place.ledger) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("INSERT INTO sqlite_schema VALUES('index', 'records_open', 'records', ?, ?)", (page, text))
        db.close()
    on_copy(ended(), damage, lambda place: check_not_whole(place, "index"))


def test_state_that_no_gateway_writes_is_found():
    on_copy(ended(), lambda place: first_open_state(place, 0, 9), lambda place: check_not_whole(place, "its state"))


# ---- any page ----

def rows_of(path):
    """What SQLite itself reads of the records' table, or None."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as db:
            db.text_factory = bytes  # a flipped byte can make a text of a blob
            rows = {seq: (bytes(digest), bytes(body))
                    for seq, digest, body in db.execute("SELECT seq, hash, body FROM records NOT INDEXED ORDER BY seq")}
    except (sqlite3.DatabaseError, TypeError, OverflowError, UnicodeDecodeError):  # a complaint quotes what it does not understand
        return None
    finally:
        if "db" in locals():
            db.close()
    return rows


def check_any_damage(place, good, where):
    """verify says 0 only for the very records that were written; a start refuses clearly or works; neither crashes."""
    done = place.run("audit", "verify", place.ledger)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode in (0, 1, 2), (where, done.returncode, said)
    changed = rows_of(place.ledger) != good
    assert not (changed and done.returncode == 0), f"{where}: a changed record passes: {said}"
    assert done.returncode == 0 or said.strip(), where
    return done.returncode


def flip(data, at, pick, n):
    for _ in range(n):
        data[at + pick.randrange(PAGE)] ^= pick.randrange(1, 256)


def check_start(place, where):
    done = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    log = ""
    with done.stderr:
        for line in done.stderr:
            log += line
            if "listening on" in line:
                done.terminate()
        status = done.wait(PATIENCE)
    assert status == 0 or (status == 1 and ("nomos audit" in log or "not a" in log or "schema" in log)), (where, status, log)


def test_flipped_bytes_in_any_page():
    pick = seeded("flipped bytes")
    original = ended().ledger.read_bytes()
    good = rows_of(ended().ledger)
    n_pages = len(original) // PAGE
    place = copy_of(ended())
    found = set()
    try:
        for page in range(n_pages):
            for number in range(rounds(1, 12)):
                data = bytearray(original)
                flip(data, page * PAGE, pick, 1 if number % 2 == 0 else 16)
                place.ledger.write_bytes(data)
                found.add(check_any_damage(place, good, f"page {page}"))
                # What a start reads: the header, the schema, the roots, and what lies behind the last checkpoint.
                if page < 7 or page >= n_pages - 2 or number > 0:
                    check_start(place, f"page {page}")
                    for tail in ("-wal", "-shm"):
                        pathlib.Path(f"{place.ledger}{tail}").unlink(missing_ok=True)
                    for kept in (".head", ".lock"):
                        shutil.copyfile(f"{ended().ledger}{kept}", f"{place.ledger}{kept}")
    finally:
        place.remove()
    assert 1 in found, "no damage was found at all"


def test_flipped_bytes_in_the_log_lose_nothing_silently():
    """SQLite drops the log from the damaged frame on. What is left is a shorter chain, never a changed one: the head file, a
    witness, or the count of the next start tells the loss."""
    pick = seeded("flipped log")
    original = pathlib.Path(f"{killed().ledger}-wal").read_bytes()
    whole = [line for line in killed().run("audit", "export", killed().ledger, check=0).stdout.splitlines()][:-1]
    for number in range(rounds(6, 100)):
        place = copy_of(killed())
        try:
            data = bytearray(original)
            data[pick.randrange(len(data))] ^= pick.randrange(1, 256)
            pathlib.Path(f"{place.ledger}-wal").write_bytes(data)
            kept = place.run("audit", "export", place.ledger).stdout.splitlines()[:-1]
            assert kept == whole[:len(kept)], "a changed record passes"
            witness = place.dir / "witness.jsonl"
            witness.write_bytes(b"\n".join(whole) + b"\n")
            done = place.run("audit", "verify", "--witness", witness, place.ledger)
            assert done.returncode == (0 if len(kept) == len(whole) else 1), (number, done)
            check_start(place, f"log {number}")
        finally:
            place.remove()
