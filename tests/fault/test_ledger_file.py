# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The ledger's files are taken away or replaced under a running gateway: what it wrote then would be evidence for nobody."""
import contextlib
import os
import pathlib
import shutil
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import read_ledger, verify
from support import Gateway, Workplace, action, config, until


def check_refuses(g):
    def refused():
        r = g.act()
        assert r.status in (200, 503), r
        return r.status == 503
    # At most the group that was being written when the file went away is acknowledged.
    until(refused, "the loss is noticed")
    for number in range(3):
        name = f"refused{number}"
        r = g.act(action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name))
        assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
        assert not (g.place.dir / "workspace/out" / name).exists()
    assert g.get("/readyz").status == 503 and g.get("/healthz").status == 200


def run(damage):
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            assert [g.act().status for _ in range(3)] == [200, 200, 200]
            damage(place)
            check_refuses(g)
            assert str(place.dir) not in g.act().body.decode(), "a path of the host in an answer"
    finally:
        place.remove()


def test_deleted():
    run(lambda place: os.unlink(place.ledger))


def test_moved_away():
    run(lambda place: os.rename(place.ledger, place.dir / "elsewhere.db"))


def test_replaced_by_a_copy():
    def replace(place):
        shutil.copyfile(place.ledger, place.dir / "copy.db")
        os.replace(place.dir / "copy.db", place.ledger)
    run(replace)


def test_write_ahead_log_deleted():
    run(lambda place: os.unlink(f"{place.ledger}-wal"))


@contextlib.contextmanager
def log_without_ledger():
    """What a crash before the first checkpoint left, but for the ledger, which is elsewhere: the place, the ledger, and who has an answer."""
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            acknowledged = [g.act().headers["X-Request-Id"] for _ in range(3)]
            g.kill()
        assert not os.path.exists(f"{place.ledger}.head")
        elsewhere = place.dir / "elsewhere.db"
        os.rename(place.ledger, elsewhere)
        yield place, elsewhere, acknowledged
    finally:
        place.remove()


def test_log_whose_ledger_is_gone_is_not_thrown_away():
    """No head file says that there was a ledger, and SQLite would remove the log of a file without bytes."""
    with log_without_ledger() as (place, elsewhere, acknowledged):
        for _ in range(2):
            r = place.run("serve", "-c", "nomos.json")
            assert r.returncode != 0 and b"ledger.db-wal, the log of a ledger, is there but" in r.stderr, r
            place.ledger.touch()
        os.replace(elsewhere, place.ledger)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        assert has_all(place, acknowledged)
        verify(place)


def test_log_whose_ledger_is_gone_is_sealed():
    with log_without_ledger() as (place, _, _):
        assert b"nomos audit seal" in place.run("serve", "-c", "nomos.json").stderr
        place.run("audit", "seal", place.ledger, "--reason", "its file was lost", check=0)
        assert not os.path.exists(f"{place.ledger}-wal")
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        verify(place)


def test_restored_after_the_loss_continues_the_same_chain():
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            acknowledged = [g.act().headers["X-Request-Id"] for _ in range(3)]
            os.rename(place.ledger, place.dir / "elsewhere.db")
            check_refuses(g)
            os.rename(place.dir / "elsewhere.db", place.ledger)
            until(lambda: g.act().status == 200, "decisions again, without a restart")
        found = {r.get("request_id") for _, r in read_ledger(place.ledger)}
        assert set(acknowledged) <= found
    finally:
        place.remove()


def remove_folder(folder):
    """As `rm -rf` does: what the gateway makes or removes in it meanwhile stops nothing."""
    def is_gone():
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    until(is_gone, "the folder is gone")


def test_folder_deleted():
    """The ledger's folder goes with all that is in it."""
    place = Workplace(config(ledger={"path": "evidence/ledger.db"}))
    try:
        (place.dir / "evidence").mkdir()
        with Gateway(workplace=place, expect_exit=None) as g:
            assert g.act().status == 200
            remove_folder(place.dir / "evidence")
            check_refuses(g)
    finally:
        place.remove()


def damage_while_running(damage, check):
    """What was acknowledged before stays; check looks at the gateway after the damage, and at the ledger after its end."""
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            acknowledged = [g.act().headers["X-Request-Id"] for _ in range(20)]
            damage(place)
            check(g)
            assert g.get("/healthz").status == 200
        return place, acknowledged
    except BaseException:
        place.remove()
        raise


def has_all(place, acknowledged):
    found = {r.get("request_id") for _, r in read_ledger(place.ledger)}
    return set(acknowledged) <= found


def goes_on(g):
    for _ in range(5):
        assert g.act().status == 200
    assert g.get("/readyz").status == 200


def test_replaced_by_other_things():
    """Another ledger, a foreign database, garbage, nothing: by rename, as an editor or a restore does it."""
    def by(make):
        def replace(place):
            new = place.dir / "new.db"
            make(new)
            os.replace(new, place.ledger)
        return replace

    def foreign(path):
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE t(x)")
        db.close()
    for make in (lambda path: path.write_bytes(b""), lambda path: path.write_bytes(os.urandom(9000)), foreign):
        run(by(make))


def fold_log(place):
    """What the log has goes into the database, as it does by itself once the log is long: from then on a cut takes records away."""
    with sqlite3.connect(place.ledger) as db:
        assert db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    db.close()


def is_told(place, acknowledged):
    """verify finds that it is not whole, or all that was acknowledged is there."""
    done = place.run("audit", "verify", place.ledger)
    assert done.returncode in (0, 1, 2), done
    return done.returncode != 0 or has_all(place, acknowledged)


def test_truncated_in_place_while_running_is_never_taken_for_whole():
    """The same file, cut: it may be noticed at once, by the next start, or by verify; nobody takes what is left for all of it."""
    n_lost = 0
    for size in (0, 50, 4096, 10000, 30000):
        place = Workplace()
        try:
            with Gateway(workplace=place, expect_exit=None) as g:
                acknowledged = [g.act().headers["X-Request-Id"] for _ in range(60)]
                fold_log(place)
                acknowledged += [g.act().headers["X-Request-Id"] for _ in range(3)]
                os.truncate(place.ledger, size)
                for _ in range(5):
                    r = g.act()
                    assert r.status in (200, 503), r
                    acknowledged += [r.headers["X-Request-Id"]] if r.status == 200 else []
                assert g.get("/healthz").status == 200
            n_lost += place.run("audit", "verify", place.ledger).returncode != 0
            assert is_told(place, acknowledged), size
            with contextlib.suppress(AssertionError), Gateway(workplace=place, expect_exit=None):
                pass
            assert is_told(place, acknowledged), f"{size}, behind the next start"
        finally:
            place.remove()
    assert n_lost > 0, "no cut took anything away"


def test_index_of_the_log_deleted_or_overwritten_while_running():
    """-shm lies in memory that the gateway shares with readers; what it says wrongly must not end in a wrong chain."""
    def overwrite(place):
        with open(f"{place.ledger}-shm", "r+b") as f:
            f.write(os.urandom(os.path.getsize(f"{place.ledger}-shm")))
    for damage in (lambda place: os.unlink(f"{place.ledger}-shm"), overwrite):
        def check(g):
            for _ in range(20):
                assert g.act().status in (200, 503)
        place, acknowledged = damage_while_running(damage, check)
        try:
            done = place.run("audit", "verify", place.ledger)
            assert done.returncode == 0 and has_all(place, acknowledged), done
        finally:
            place.remove()


def test_key_and_head_file_gone_while_running():
    """They are not needed until the next checkpoint, which writes the head file again."""
    def damage(place):
        for suffix in (".key", ".pub", ".head"):
            pathlib.Path(f"{place.ledger}{suffix}").unlink(missing_ok=True)
    place, acknowledged = damage_while_running(damage, goes_on)
    try:
        assert os.path.exists(f"{place.ledger}.head") and has_all(place, acknowledged)
    finally:
        place.remove()


# ---- another process has the database ----

def test_write_lock_held_by_another_process():
    place = Workplace()
    try:
        with Gateway(workplace=place) as g:
            acknowledged = [g.act().headers["X-Request-Id"] for _ in range(3)]
            other = sqlite3.connect(place.ledger, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            check_refuses(g)
            other.execute("ROLLBACK")
            other.close()
            until(lambda: g.act().status == 200, "decisions again, without a restart")
            until(lambda: g.get("/readyz").status == 200, "ready again")
        assert has_all(place, acknowledged)
        verify(place)
    finally:
        place.remove()


def test_start_while_another_process_has_the_write_lock():
    place = Workplace()
    try:
        with Gateway(workplace=place):
            pass
        other = sqlite3.connect(place.ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with Gateway(workplace=place) as g:
            check_refuses(g)
            other.execute("ROLLBACK")
            other.close()
            until(lambda: g.get("/readyz").status == 200, "ready without a restart")
            assert g.act().status == 200
        assert sum(1 for _, r in read_ledger(place.ledger) if r["event_type"] == "runtime.start") == 2
        verify(place)
    finally:
        place.remove()


def test_reader_with_an_open_snapshot():
    """It pins the write-ahead log, which grows while it stays and is used from its beginning again once it has gone."""
    place = Workplace()
    wal = pathlib.Path(f"{place.ledger}-wal")
    try:
        with Gateway(workplace=place) as g:
            connection = g.connect()
            assert g.act(connection=connection).status == 200
            reader = sqlite3.connect(place.ledger, isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            until(lambda: g.act(connection=connection).status == 200 and wal.stat().st_size > 3 << 20, "the log grows")
            assert g.get("/readyz").status == 200
            reader.execute("ROLLBACK")
            reader.close()
            size = wal.stat().st_size
            for _ in range(600):  # enough to double it
                assert g.act(connection=connection).status == 200
            assert wal.stat().st_size < size + (1 << 20), (size, wal.stat().st_size)
        assert not wal.exists()
        verify(place)
    finally:
        place.remove()
