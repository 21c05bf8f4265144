# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A disk without inodes, full at the start, full for a backup, read-only: what needs no write goes on, the rest waits and comes back."""
import os
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import support
from evidence import OPEN, read_ledger, verify
from support import BIN, PATIENCE, Gateway, Workplace, action, config, until
from test_disk_full import Mounts, SmallDisk, act_until_full, check_ledger, check_recovers, check_refuses

FAST_CHECKPOINTS = {"audit": {"checkpoint_every": 8}}


def explain(g):
    r = g.post("/explain", action())
    assert r.status == 200, r


def test_no_inodes_left():
    """The ledger's own files are open; only the head file is made anew, and it may lag."""
    with SmallDisk("size=4m,nr_inodes=40", **FAST_CHECKPOINTS) as disk:
        g = disk.gateway
        assert g.act().status == 200
        fillers = []
        try:
            for number in range(1000):
                fillers.append(disk.inside / f"small/inode{number}")
                fillers[-1].touch()
        except OSError:
            fillers.pop()
        good = [g.act().headers["X-Request-Id"] for _ in range(40)]
        until(lambda: "head file could not be written" in g.read_log(), "it is said")
        assert g.get("/readyz").status == 200
        disk.verify()
        for filler in fillers:
            filler.unlink()
        for _ in range(20):
            assert g.act().status == 200
        disk.verify()
        check_ledger(read_ledger(disk.inside / "small/ledger.db"), good, [], [])


def test_full_while_checkpoints_and_cursors_are_written():
    """Every few records a checkpoint, a cursor after each: whichever write finds no room, nothing acknowledged is lost."""
    with SmallDisk(audit={"checkpoint_every": 2, "sink": "stderr"}) as disk:
        g, out = disk.gateway, disk.place.dir / "workspace/out"
        for turn in range(3):
            disk.fill()
            good = act_until_full(g)
            unrecorded, refused = check_refuses(g, out, f"w{turn}-")
            explain(g)
            (disk.inside / "small/filler").unlink()
            until(lambda: g.act().status == 200, "decisions again")
        check_recovers(g, out)
        disk.verify()
        check_ledger(read_ledger(disk.inside / "small/ledger.db"), good, unrecorded, refused)


def test_full_at_the_start_is_refused_and_leaves_no_half_ledger():
    """It says why; with room the next start makes the ledger, whatever the one before left behind."""
    for free_kib in (0, 4, 8, 24, 40, 64, 100):
        place = Workplace(config(ledger={"path": "small/ledger.db"}))
        (place.dir / "small").mkdir()
        script = f"mount -t tmpfs -o size=1m none small && head -c {1024 - free_kib}K /dev/zero > small/filler"
        try:
            with Mounts(place, script) as mounts:
                try:
                    with Gateway(workplace=place, prefix=mounts.prefix, expect_exit=None) as g:
                        assert g.get("/healthz").status == 200
                except AssertionError as refused:
                    assert "ended with 1" in str(refused) and ("No space" in str(refused) or "full" in str(refused)), refused
                assert mounts.run("rm", "small/filler").returncode == 0
                with Gateway(workplace=place, prefix=mounts.prefix) as g:
                    assert g.act().status == 200
                done = mounts.run(BIN, "audit", "verify", "small/ledger.db")
                assert done.returncode == 0, (free_kib, done)
        finally:
            place.remove()


def test_backup_onto_a_full_disk():
    """It fails, says so, leaves nothing behind, and the gateway goes on."""
    with SmallDisk("size=3m") as disk:
        g = disk.gateway
        for _ in range(100):
            assert g.act().status == 200
        filler = disk.inside / "small/filler"
        with open(filler, "wb") as f:
            stat = os.statvfs(disk.inside / "small")
            f.write(b"\0" * (stat.f_bavail * stat.f_bsize - (128 << 10)))
        before = sorted(p.name for p in (disk.inside / "small").iterdir())
        done = disk.run("audit", "backup", disk.ledger, disk.place.dir / "small/copy.db")
        assert done.returncode != 0 and done.stderr, done
        assert sorted(p.name for p in (disk.inside / "small").iterdir()) == before, "something was left behind"
        filler.unlink()
        assert g.act().status == 200
        done = disk.run("audit", "backup", disk.ledger, disk.place.dir / "small/copy.db")
        assert done.returncode == 0, done
        done = disk.run("audit", "verify", "--checkpoint-key", f"{disk.ledger}.pub", disk.place.dir / "small/copy.db")
        assert done.returncode == 0, done


def test_ended_on_a_full_disk_starts_again():
    """What had to wait for space is unknown then, and nothing acknowledged is missing."""
    def end_full(place):
        with Gateway(workplace=place, expect_exit=None) as g:
            unlimited = resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
            good = act_until_full(g)
            check_refuses(g, place.dir / "workspace/out")
            g.stop()
        return good
    place = Workplace()
    try:
        good = end_full(place)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        rows = read_ledger(place.ledger)
        assert not [r for state, r in rows if state == OPEN]
        check_ledger(rows, good, [], [])
        verify(place)
    finally:
        place.remove()


# ---- read-only ----

def test_start_on_a_read_only_disk():
    place = Workplace(config(ledger={"path": "small/ledger.db"}))
    (place.dir / "small").mkdir()
    try:
        with Mounts(place, "mount -t tmpfs none small") as mounts:
            with Gateway(workplace=place, prefix=mounts.prefix) as g:
                assert g.act().status == 200
            assert mounts.run("mount", "-o", "remount,ro", "small").returncode == 0
            done = mounts.run(BIN, "serve", "-c", "nomos.json")
            assert done.returncode == 1 and "Read-only" in done.stderr, done
            assert mounts.run(BIN, "audit", "verify", "small/ledger.db").returncode == 0
            assert mounts.run("mount", "-o", "remount,rw", "small").returncode == 0
            with Gateway(workplace=place, prefix=mounts.prefix) as g:
                assert g.act().status == 200
            assert mounts.run(BIN, "audit", "verify", "small/ledger.db").returncode == 0
    finally:
        place.remove()


def test_read_only_while_running_and_back():
    """A file system that its kernel makes read-only after an error refuses every write; the test build's fault points do the same."""
    place = Workplace()
    gate = place.dir / "read-only"
    names = ("vfs.write", "vfs.truncate", "vfs.sync", "vfs.delete", "file.create")
    env = {"NOMOS_FAULT": ",".join(f"{n}.before:1-:error=EROFS" for n in names), "NOMOS_FAULT_WHILE": str(gate)}
    try:
        with Gateway(workplace=place, env=env) as g:
            assert g.act().status == 200
            gate.touch()
            good = act_until_full(g)
            unrecorded, refused = check_refuses(g, place.dir / "workspace/out")
            explain(g)
            gate.unlink()
            check_recovers(g, place.dir / "workspace/out")
            verify(place)
            check_ledger(read_ledger(place.ledger), good, unrecorded, refused)
        verify(place)
    finally:
        place.remove()


def test_folder_that_its_owner_may_not_write_to():
    """Taken away while it runs: the ledger's files are open, so decisions go on. At a start: refused, and said."""
    if os.geteuid() == 0:
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        as_user = []
    place = Workplace()
    try:
        for path in [place.dir, *place.dir.rglob("*")]:
            if as_user:
                os.chown(path, 65534, 65534)
        if as_user and subprocess.run([*as_user, BIN, "version"], capture_output=True).returncode != 0:
            raise support.Skip("another user cannot run the program here")
        with Gateway(workplace=place, prefix=as_user) as g:
            assert g.act().status == 200
            os.chmod(place.dir, 0o555)
            assert {g.act().status for _ in range(20)} == {200}
        for tail in ("-wal", "-shm"):
            pathlib.Path(f"{place.ledger}{tail}").unlink(missing_ok=True)
        os.chmod(place.dir, 0o555)
        done = subprocess.run([*as_user, BIN, "serve", "-c", "nomos.json"], cwd=place.dir, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 1 and b"ledger" in done.stderr, done
        os.chmod(place.dir, 0o755)
        with Gateway(workplace=place, prefix=as_user) as g:
            assert g.act().status == 200
        verify(place)
    finally:
        os.chmod(place.dir, 0o755)
        place.remove()
