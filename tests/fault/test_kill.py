# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load, and again while the next start recovers (design.md 4; decisions 16, 17)."""
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Load, check_acknowledged, check_effects, check_settled, open_intents, read_ledger, rounds, seeded, verify
from support import BIN, Gateway, Workplace, until


def kill_under_load(place, pick, name):
    """Serves, loads, kills; what was acknowledged."""
    with Gateway(workplace=place, expect_exit=-9) as g:
        load = Load(g, pick, name)
        until(lambda: len(load.acknowledged) >= 10 or not any(t.is_alive() for t in load.threads), "load")
        time.sleep(pick.uniform(0, 0.3))  # the moment of the fault, not a wait for anything
        g.process.kill()
        load.join()
        g.process.wait()
    return load.acknowledged


def check_after_kill(place, acknowledged):
    verify(place)
    rows = read_ledger(place.ledger)
    check_acknowledged(acknowledged, rows)
    check_effects(place, acknowledged, rows)
    return open_intents(rows)


def test_kill_under_load_loses_nothing_that_was_acknowledged():
    pick = seeded("kill under load")
    place = Workplace()
    try:
        total = []
        n_open = 0
        left = []
        for number in range(rounds(10, 200)):
            total += kill_under_load(place, pick, f"r{number}")
            # The start of this round has settled what the round before left; then comes what this round left.
            rows = read_ledger(place.ledger)
            still = open_intents(rows)
            check_settled(left, [(0 if r["seq"] in still else s, r) for s, r in rows])
            left = check_after_kill(place, total)
            n_open += len(left)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200 and g.get("/readyz").status == 200
        rows = read_ledger(place.ledger)
        check_settled(left, rows)
        check_acknowledged(total, rows)
        verify(place)
        kinds = {a.kind for a in total}
        assert kinds == {"decide", "deny", "read", "write"}, kinds
        print(f"      {len(total)} acknowledged, {n_open} intents left open by the kills", flush=True)
    finally:
        place.remove()


def test_kill_during_recovery():
    pick = seeded("kill during recovery")
    place = Workplace()
    try:
        for number in range(rounds(3, 20)):
            acknowledged = kill_under_load(place, pick, f"r{number}")
            left = check_after_kill(place, acknowledged)
            for _ in range(rounds(6, 20)):
                started = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(pick.uniform(0, 0.06))  # the moment of the fault
                started.kill()
                assert started.wait() == -9, "a start ended by itself"
                verify(place)
            with Gateway(workplace=place) as g:
                assert g.act().status == 200
            rows = read_ledger(place.ledger)
            check_settled(left, rows)
            check_acknowledged(acknowledged, rows)
            verify(place)
    finally:
        place.remove()
