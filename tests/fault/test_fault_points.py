# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""kill -9, and a failing call, at every fault point of base/fault_tbl.h (test builds only), each followed by a start.

Three scenarios reach the points: a gateway that serves and stops, one that recovers from a crash, the commands that keep a
ledger. A first run of each writes down how often every moment is reached; a moment that none reaches is a failure.
"""
import collections
import contextlib
import functools
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import (LONG, Acknowledged, check_acknowledged, check_effects, check_settled, make_action, open_intents, read_ledger,
                      seeded, verify)
from support import BIN, PATIENCE, ROOT, Gateway, Workplace, config, until

POINTS = re.findall(r'^X\(\w+, "([a-z_.]+)"\)', (ROOT / "base/include/base/fault_tbl.h").read_text(), re.M)
MOMENTS = [f"{name}.{moment}" for name in POINTS for moment in ("before", "after")]
# Reached so often, and so harmless to die at, that only their failure is tried.
ONLY_FAIL = ("vfs.read", "vfs.lock", "vfs.shm")
ACTIONS = ("decide", "deny", "read", "write", "write", "read", "deny", "decide")
FEW_RECORDS = config(audit={"sink": "stdout", "checkpoint_every": 4})


class Died(Exception):
    """The process was ended by the fault."""


def died(process):
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(PATIENCE) == -9
    return False


def send_all(gateway, name, kinds, answers):
    """Each action once, on one connection after the other; what was answered goes to answers."""
    for number, kind in enumerate(kinds):
        action_id = f"{name}-{number}"
        try:
            reply = gateway.act(make_action(kind, action_id))
        except (OSError, gateway.unfinished):
            raise Died from None
        answers.append(Acknowledged(kind, action_id, reply))
        if number == 4:
            with contextlib.suppress(OSError, gateway.unfinished):
                gateway.operator("POST", "/admin/reload")


def serve(place, env, answers, name="a", kinds=ACTIONS):
    """Start, mixed actions, reload, clean stop. Returns the exit status; a start that is refused gives its own."""
    import http.client
    try:
        g = Gateway(workplace=place, env=env, expect_exit=None)
    except AssertionError as error:
        status = re.search(r"ended with (-?\d+)", str(error))
        assert status, error
        assert status[1] == "-9" or "nomos: " in str(error) or '"level":"error"' in str(error), f"refused without a word: {error}"
        return int(status[1])
    g.unfinished = http.client.HTTPException
    with g:
        try:
            send_all(g, name, kinds, answers)
        except Died:
            assert died(g.process), g.read_log()
            return -9
        return g.stop()


def recover(place, env, answers):
    """A start on what a crash left, and a stop."""
    return serve(place, env, answers, "back", ())


def keep(place, env, answers):
    """The commands that read a ledger or put it aside, then a start on the chain that follows."""
    for args in (("audit", "export", "ledger.db"), ("audit", "backup", "ledger.db", "copy.db"),
                 ("audit", "seal", "--reason", "a new year", "ledger.db")):
        if place.run(*args, env=env).returncode == -9:
            return -9
    return serve(place, {}, answers, "next")


def after_crash(name, point):
    """A place whose gateway died at a point with an intent open."""
    place = Workplace(FEW_RECORDS)
    answers = []
    assert serve(place, {"NOMOS_FAULT": f"{point}:2:kill"}, answers, name) == -9
    assert open_intents(read_ledger(place.ledger))
    return place, answers


def after_stop():
    place = Workplace(FEW_RECORDS)
    answers = []
    assert serve(place, {}, answers, "old") == 0
    return place, answers


class Scenario:
    """Runs in copies of one prepared place; counts says how often each moment is reached."""

    def __init__(self, run, prepare):
        self.run = run
        self.template, self.before = prepare()
        place = self.copy()
        try:
            log = place.dir / "points"
            assert run(place, {"NOMOS_FAULT_LOG": str(log)}, []) == 0
            self.counts = collections.Counter(log.read_text().split())
        finally:
            place.remove()

    def copy(self):
        place = Workplace(FEW_RECORDS)
        shutil.rmtree(place.dir)
        shutil.copytree(self.template.dir, place.dir, symlinks=True)
        return place


@functools.cache
def scenarios():
    return {
        "serve": Scenario(serve, lambda: (Workplace(FEW_RECORDS), [])),
        "recover": Scenario(recover, lambda: after_crash("gone", "effect.before")),
        "keep": Scenario(keep, after_stop),
    }


def sealed(place):
    return [p for p in place.dir.glob("ledger.db.sealed-*") if re.fullmatch(r".*sealed-\d{8}T\d{6}Z", p.name)]


def read_all(place):
    """The records of the ledger that is there, and of one that was sealed before it."""
    rows = [row for path in sealed(place) for row in read_ledger(path)]
    return rows + (read_ledger(place.ledger) if place.ledger.exists() else [])


def finish_seal(place):
    """A seal that was cut off: a start refuses and says what to do, and that works, once the second in the new name is over."""
    refused = place.run("serve", "-c", "nomos.json")
    assert refused.returncode != 0 and b"nomos audit seal --reason" in refused.stderr, refused
    until(lambda: place.run("audit", "seal", "--reason", "once more", "ledger.db").returncode == 0, "sealed")


def check_and_go_on(place, answers):
    """Nothing acknowledged is lost, nothing was done without an intent; the next start needs no help and works."""
    rows = read_all(place)
    good = [a for a in answers if a.status == 200]
    check_acknowledged(good, rows)
    check_effects(place, good, rows)
    assert not (place.dir / "copy.db").exists() or place.run("audit", "verify", "copy.db", "--checkpoint-key", "ledger.db.pub", check=0)
    left = open_intents(rows)
    again = []
    if (place.dir / "ledger.db.head").exists() and not place.ledger.exists():
        finish_seal(place)
    assert serve(place, {}, again, "again") == 0
    assert [a.status for a in again] == [200] * len(ACTIONS), [vars(a) for a in again]
    rows = read_all(place)
    check_settled(left, rows)
    check_acknowledged(good + again, rows)
    check_effects(place, good + again, rows)
    verify(place)


def run_case(scenario, fault):
    place = scenario.copy()
    answers = list(scenario.before)
    try:
        status = scenario.run(place, {"NOMOS_FAULT": fault}, answers)
        check_and_go_on(place, answers)
        return status
    except BaseException:
        print(f"      NOMOS_FAULT={fault}", flush=True)
        raise
    finally:
        place.remove()


def choose_times(pick, n):
    """Which of n times a moment strikes: one of them, or each."""
    return range(1, n + 1) if LONG else [pick.randint(1, n)]


def test_every_fault_point_is_reached():
    reached = collections.Counter()
    for scenario in scenarios().values():
        reached.update(scenario.counts)
    assert not [m for m in MOMENTS if m not in reached], [m for m in MOMENTS if m not in reached]
    print(f"      {len(MOMENTS)} moments, reached {sum(reached.values())} times", flush=True)


def kill_everywhere(name, short):
    """All moments of the scenario, or in the short form those that begin with one of the words."""
    scenario = scenarios()[name]
    pick = seeded(f"kill at points of {name}")
    n_cases = 0
    for moment in MOMENTS:
        if scenario.counts[moment] == 0 or moment.startswith(ONLY_FAIL) or not (LONG or moment.startswith(short)):
            continue
        for times in choose_times(pick, scenario.counts[moment]):
            # Threads share a count: a run may reach a moment once less often than the first did.
            if run_case(scenario, f"{moment}:{times}:kill") == -9:
                n_cases += 1
            else:
                assert times > 1, f"{moment} was not reached"
    print(f"      {n_cases} kills", flush=True)
    assert n_cases > 10


def test_kill_at_every_point_of_a_run():
    kill_everywhere("serve", "")


def test_kill_at_every_point_of_a_recovery():
    kill_everywhere("recover", ("ledger.", "vfs.sync"))


def test_kill_at_every_point_of_backup_export_and_seal():
    kill_everywhere("keep", ("export", "backup", "seal", "file"))


def test_a_kill_while_the_first_key_is_made_leaves_no_half_key():
    scenario = scenarios()["serve"]
    for call in ("create", "write", "sync", "rename"):
        for moment in ("before", "after"):
            place = scenario.copy()
            try:
                assert serve(place, {"NOMOS_FAULT": f"file.{call}.{moment}:2:kill"}, []) == -9  # the first file is the public half
                key = place.dir / "ledger.db.key"
                assert key.exists() == (f"{call}.{moment}" == "rename.after"), (call, moment)
                assert not key.exists() or key.read_text().endswith("-----END PRIVATE KEY-----\n")
                check_and_go_on(place, [])
            finally:
                place.remove()
