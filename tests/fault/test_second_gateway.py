# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Two gateways on one address or one ledger, and readers beside a busy one: one writer, whatever happens to the lock file."""
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Load, check_acknowledged, read_ledger, rounds, seeded, verify
from support import BIN, PATIENCE, Gateway, Workplace, config, until


def beside(place, **sections):
    """A second configuration in the same folder."""
    (place.dir / "second.json").write_text(json.dumps(config(**sections)))
    return "second.json"


def start_second(place, name):
    return subprocess.run([BIN, "serve", "-c", name], cwd=place.dir, capture_output=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL)


def check_second_is_refused(g, name, *words):
    before = read_ledger(g.place.ledger)
    done = start_second(g.place, name)
    log = done.stderr.decode()
    assert done.returncode == 1 and all(word in log for word in words), (done.returncode, log)
    assert g.act().status == 200 and g.get("/readyz").status == 200
    rows = read_ledger(g.place.ledger)
    assert rows[:len(before)] == before
    assert sum(1 for _, r in rows if r["event_type"] == "runtime.start") == 1, "the refused one wrote into the ledger"


def test_same_ledger_names_the_process():
    with Gateway() as g:
        check_second_is_refused(g, "nomos.json", "held by process %d" % g.process.pid)


def test_same_port_says_so():
    with Gateway() as g:
        name = beside(g.place, gateway={"listen": f"{g.address[0]}:{g.address[1]}"}, ledger={"path": "second.db"})
        check_second_is_refused(g, name, str(g.address[1]), "in use")


def test_lock_file_deleted_lets_no_second_writer_in():
    """The ledger itself is locked too."""
    with Gateway() as g:
        assert g.act().status == 200
        os.unlink(f"{g.place.ledger}.lock")
        check_second_is_refused(g, "nomos.json", "written by another process")
        done = g.place.run("audit", "seal", g.place.ledger, "--reason", "no")
        assert done.returncode != 0 and g.place.ledger.exists(), done
        assert g.act().status == 200


def test_ledger_by_a_second_name():
    with Gateway() as g:
        os.symlink("ledger.db", g.place.dir / "link.db")
        check_second_is_refused(g, beside(g.place, ledger={"path": "link.db"}), "symbolic link")
        # A hard link is refused to the second; the first one, whose file has a second name now, stops writing until it is gone.
        os.link(g.place.ledger, g.place.dir / "hard.db")
        done = start_second(g.place, beside(g.place, ledger={"path": "hard.db"}))
        assert done.returncode == 1 and "hard link" in done.stderr.decode(), done
        os.unlink(g.place.dir / "hard.db")
        until(lambda: g.act().status == 200, "decisions again")
        verify(g.place)


def test_folder_by_a_second_name():
    """A symbolic link to the folder leads to the same lock."""
    with Gateway() as g:
        os.symlink(g.place.dir, g.place.dir / "folder")
        check_second_is_refused(g, beside(g.place, ledger={"path": "folder/ledger.db"}), "held by process")


def test_two_readers_during_load():
    pick = seeded("readers")
    place = Workplace()
    try:
        with Gateway(workplace=place) as g:
            load = Load(g, pick, "load", connections=4)
            failures = []

            def read(*words):
                for _ in range(rounds(6, 60)):
                    done = place.run(*words)
                    if done.returncode != 0:
                        failures.append((words, done))
            readers = [threading.Thread(target=read, args=words) for words in
                       (("audit", "verify", place.ledger), ("audit", "query", "--limit", "50", place.ledger),
                        ("audit", "export", place.ledger))]
            for r in readers:
                r.start()
            for r in readers:
                r.join()
            load.join()
            assert not failures, failures[0]
            assert load.acknowledged
        rows = read_ledger(place.ledger)
        check_acknowledged(load.acknowledged, rows)
        verify(place)
    finally:
        place.remove()
