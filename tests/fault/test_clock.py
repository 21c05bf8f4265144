# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The wall clock jumps: every deadline and bucket runs on the other clock, and the chain does not care what time it is."""
import calendar
import json
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Load, check_acknowledged, check_effects, open_intents, read_ledger, seeded, verify
from support import PATIENCE, Gateway, Workplace, action, config, socket, until
from world import World

HOUR, DAY, YEAR = 3600, 86400, 31556952
JUMPS = (HOUR, -HOUR, -2 * DAY, 10 * YEAR, -20 * YEAR, 150 * YEAR, 0)
PATIENT_S = 120  # between a reading of the clock here and there


def seconds_of(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def is_near(seconds, shift):
    return abs(seconds - time.time() - shift) < PATIENT_S


def check_evidence(place):
    verify(place)
    rows = read_ledger(place.ledger)
    assert not open_intents(rows)
    return [r for _, r in rows]


def test_jumps_under_load_change_times_and_nothing_else():
    with World() as world, Gateway(env=world.env) as g:
        load = Load(g, seeded("clock jumps"), "load")
        for number, shift in enumerate(JUMPS):
            world.shift_wall(shift)
            r = g.act(action(action_id=f"jump-{number}"))
            assert r.status == 200 and is_near(calendar.timegm(time.strptime(r.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")), shift), r
            assert g.get("/readyz").status == 200
            count = len(load.acknowledged)
            until(lambda n=count: len(load.acknowledged) > n + 10, "the load goes on")
        load.join()
        assert g.stop() == 0
        records = check_evidence(g.place)
        check_acknowledged(load.acknowledged, read_ledger(g.place.ledger))
        check_effects(g.place, load.acknowledged, read_ledger(g.place.ledger))
        for number, shift in enumerate(JUMPS):
            found = [r for r in records if r.get("action_id") == f"jump-{number}"]
            assert len(found) == 1 and is_near(seconds_of(found[0]["timestamp"]), shift), (shift, found)
        # The order is that of the chain, not of the clock.
        assert [r["seq"] for r in records] == list(range(1, len(records) + 1))


def test_durations_are_not_those_of_the_wall_clock():
    with World() as world, Gateway(env=world.env) as g:
        for shift in JUMPS:
            world.hang_sync()
            c = g.connect()
            body = json.dumps(action("fs.read", "file://workspace/README.md")).encode()
            c.request("POST", "/action", body, g.auth(body))
            world.until_hanging()
            world.shift_wall(shift)
            world.release()
            assert c.getresponse().status == 200
            c.close()
        # A record leaves out a duration of less than a millisecond.
        measured = [r.get("duration_ms", 0) for r in g.records() if r["event_type"] == "action.completed"]
        assert len(measured) == len(JUMPS) and all(0 <= ms < PATIENCE * 1000 for ms in measured), measured


def test_a_jump_fills_no_bucket_and_empties_none():
    options = config(gateway={"rate_limit_per_minute": 3})
    with World() as world, Gateway(options, env=world.env) as g:
        while g.act().status == 200:
            pass
        for shift in (YEAR, -YEAR, 100 * YEAR):
            world.shift_wall(shift)
            r = g.act()
            assert r.status == 429 and 1 <= int(r.headers["Retry-After"]) <= 60, r
    with World() as world, Gateway(options, env=world.env) as g:
        world.shift_wall(-YEAR)
        assert g.act().status == 200
        world.shift_wall(-2 * YEAR)
        assert g.act().status == 200


def test_a_jump_passes_no_deadline():
    """Half a request, an idle connection and a kept one stay as they are for a century, and then are served."""
    options = config(gateway={"header_timeout_seconds": 30, "body_timeout_seconds": 30, "idle_timeout_seconds": 30})
    with World() as world, Gateway(options, env=world.env) as g:
        raw = json.dumps(action()).encode()
        lines = ["POST /action HTTP/1.1", "Host: x", f"Content-Length: {len(raw)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in g.auth(raw).items()]
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + raw
        parts = (0, 40, len(whole) - 3)
        sockets = [socket.create_connection(g.address, timeout=PATIENCE) for _ in parts]
        for s, n in zip(sockets, parts):
            s.sendall(whole[:n])
        for shift in (100 * YEAR, -30 * YEAR):
            world.shift_wall(shift)
            begin = time.monotonic()
            # Deadlines are looked at four times a second.
            until(lambda b=begin: g.act().status == 200 and time.monotonic() - b > 0.8, "the deadlines were looked at")
        for s, n in zip(sockets, parts):
            s.sendall(whole[n:])
            assert s.makefile("rb").readline().split()[1] == b"200"
            s.close()


def test_the_end_does_not_wait_for_the_wall_clock():
    options = config(gateway={"shutdown_delay_seconds": 1, "shutdown_grace_seconds": 600})
    for shift in (-10 * YEAR, 10 * YEAR):
        with World() as world, Gateway(options, env=world.env) as g:
            g.signal(signal.SIGTERM)
            until(lambda: g.get("/readyz").status == 503, "draining")
            world.shift_wall(shift)
            assert g.act().status == 200
            assert g.process.wait(PATIENCE) == 0
            check_evidence(g.place)


def test_a_start_before_the_last_record():
    place = Workplace()
    try:
        with World() as world:
            for shift in (0, -5 * YEAR, 50 * YEAR, -30 * YEAR):
                world.shift_wall(shift)
                with Gateway(workplace=place, env=world.env) as g:
                    assert g.act(action(action_id=f"at-{shift}")).status == 200 and g.get("/readyz").status == 200
                    assert is_near(seconds_of(json.loads(g.read_log().splitlines()[0])["time"]), shift)
                records = check_evidence(place)
                assert is_near(seconds_of(records[-1]["timestamp"]), shift) and records[-1]["event_type"] == "checkpoint"
            place.run("audit", "verify", place.ledger, env=world.env, check=0)
        check_search(place)
    finally:
        place.remove()


def ids(done):
    return [json.loads(line)["action_id"] for line in done.stdout.splitlines()]


def check_search(place):
    """Times that go back and forth are found all the same."""
    def find(*times):
        done = place.run("audit", "query", place.ledger, "--decision", "allow", "--format", "json", *times, check=0)
        found = json.loads(done.stdout) if done.stdout.startswith(b"[") else [json.loads(x) for x in done.stdout.splitlines()]
        return {r["action_id"] for r in found}
    now = time.gmtime().tm_year
    since = [f"{now + n}-01-01T00:00:00Z" for n in (-40, -10, -1, 2, 60)]
    names = {f"at-{s}" for s in (0, -5 * YEAR, 50 * YEAR, -30 * YEAR)}
    assert find() == names
    assert find("--since", since[0], "--until", since[1]) == {f"at-{-30 * YEAR}"}
    assert find("--since", since[1], "--until", since[2]) == {f"at-{-5 * YEAR}"}
    assert find("--since", since[2], "--until", since[3]) == {"at-0"}
    assert find("--since", since[3], "--until", since[4]) == {f"at-{50 * YEAR}"}
    assert find("--since", since[4]) == set()
