# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Reloads in a storm, reloads that hang, and files that are replaced by what is none (docs/hot-reload.md)."""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import open_intents, read_ledger, rounds, seeded, verify
from support import BIN, INSTRUMENTED, OPERATOR_KEY, PATIENCE, POLICY, Gateway, Workplace, action, config, until
from world import World

AS_OWNER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--") if os.geteuid() == 0 else ()
DENYING = {**POLICY, "rules": [r for r in POLICY["rules"] if r["id"] != "allow-refund"]}
GIGABYTE = 1 << 30


def put(path, text):
    """As an operator should: beside it, then renamed over it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.rename(path)


def reload(g):
    return g.operator("POST", "/admin/reload")


def hash_of(place, policy):
    path = place.dir / "other.json"
    path.write_text(json.dumps(policy))
    text = place.run("policy", "hash", path, check=0).stdout.decode().split()
    return next(word for word in text if len(word) == 64)


class Storm:
    """Alternating policies, a signal for each, operators that ask at the same time, and clients that act meanwhile."""

    def __init__(self, gateway, pick):
        self.gateway, self.pick = gateway, pick
        self.stop = threading.Event()
        self.bad, self.n_acted, self.n_reloaded = [], 0, 0
        runs = [self._act] * 4 + [self._ask] * 3 + [self._hang_up]
        self.threads = [threading.Thread(target=run) for run in runs]
        for t in self.threads:
            t.start()

    def _act(self):
        c = self.gateway.connect()
        while not self.stop.is_set():
            r = self.gateway.act(connection=c)
            self.n_acted += 1
            if r.status != 200 or r.json["decision"] not in ("ALLOW", "DENY"):
                self.bad.append(r)

    def _ask(self):
        while not self.stop.is_set():
            r = reload(self.gateway)
            self.n_reloaded += 1
            if r.status != 200:
                self.bad.append(r)

    def _hang_up(self):
        texts = [json.dumps(DENYING), json.dumps(POLICY)]
        number = 0
        while not self.stop.is_set():
            put(self.gateway.place.dir / "policy.json", texts[number % 2])
            number += 1
            self.gateway.signal(signal.SIGHUP)
            time.sleep(self.pick.uniform(0, 0.005))  # the rhythm of the storm

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


def check_policies(rows, decisions):
    """Each decision is the one of the policy that it names, and that one was in force: a worker swaps between two reloads, so
    it is the policy of the last record of a reload or of the one before."""
    in_force = [None, None]
    for _, r in rows:
        if r["event_type"] in ("runtime.start", "runtime.reload"):
            assert r["outcome"] == "success", r
            in_force = [in_force[1], r["policy_bundle_hash"]]
        elif r["event_type"] == "action.decision":
            assert r["policy_bundle_hash"] in in_force, (r, in_force)
            assert decisions[r["policy_bundle_hash"]] == r["decision"], r


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def count_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_storm_of_reloads_under_load():
    with Gateway() as g:
        decisions = {hash_of(g.place, POLICY): "ALLOW", hash_of(g.place, DENYING): "DENY"}
        storm = Storm(g, seeded("reload storm"))
        for enough in range(10, rounds(300, 5000) + 1, 10):  # each within the patience for one thing
            until(lambda: storm.n_reloaded >= enough, f"{enough} reloads")
        until(lambda: storm.n_acted >= 500, "the actions")
        storm.end()
        assert not storm.bad, storm.bad[:3]
        assert reload(g).status == 200
        rows = read_ledger(g.place.ledger)
        check_policies(rows, decisions)
        assert {r["decision"] for _, r in rows if r["event_type"] == "action.decision"} == {"ALLOW", "DENY"}
        print(f"      {storm.n_acted} actions, {storm.n_reloaded} reloads asked for", flush=True)


def test_thousands_of_reloads_leave_nothing_behind():
    """Each snapshot holds a descriptor of the workspace: as many files as before means that the old ones are gone."""
    with Gateway() as g:
        c = g.connect()

        def some(n):
            for number in range(n):
                put(g.place.dir / "policy.json", json.dumps(DENYING if number % 2 else POLICY))
                r = g.request("POST", "/admin/reload", b"", {"Authorization": f"Bearer {OPERATOR_KEY}"}, c)
                assert r.status == 200, r
                assert g.act().status == 200
            c.close()
        some(100)
        files, before = count_files(g.process.pid), resident_kib(g.process.pid)
        some(rounds(400, 10000))
        grown = resident_kib(g.process.pid) - before
        until(lambda: count_files(g.process.pid) <= files, "the snapshots are freed")
        print(f"      {grown} KiB more after {rounds(400, 10000)} reloads", flush=True)
        # The store and the ring of the ledger fill up to their bounds; instrumented builds keep what was freed.
        assert grown < rounds(4096, 16384) or INSTRUMENTED, grown


def test_a_reload_that_hangs_holds_up_nobody():
    with World() as world, Gateway(env=world.env) as g:
        world.hang_open_of("policy.json")
        put(g.place.dir / "policy.json", json.dumps(DENYING))
        g.signal(signal.SIGHUP)
        world.until_hanging()
        replies = []
        asking = [threading.Thread(target=lambda: replies.append(reload(g))) for _ in range(4)]
        for t in asking:
            t.start()
        for _ in range(20):
            assert g.act().json["decision"] == "ALLOW"
            assert g.act(action("fs.read", "file://workspace/README.md")).status == 200
            assert g.get("/readyz").status == 200
        assert not replies
        world.release()
        for t in asking:
            t.join()
        assert [r.status for r in replies] == [200] * 4
        assert g.act().json["decision"] == "DENY"


def test_a_reload_that_hangs_at_the_end_is_left_behind():
    options = config(gateway={"shutdown_grace_seconds": 1})
    with World() as world, Gateway(options, env=world.env, expect_exit=1) as g:
        world.hang_open_of("policy.json")
        g.signal(signal.SIGHUP)
        world.until_hanging()
        assert g.act().status == 200
        g.signal(signal.SIGTERM)
        assert g.process.wait(PATIENCE) == 1
        assert "a reload does not end" in g.read_log()
        world.release()
        check_end(g.place)


def test_a_reload_that_ends_during_the_shutdown():
    with World() as world:
        for _ in range(rounds(3, 20)):
            with Gateway(env=world.env) as g:
                world.hang_open_of("policy.json")
                g.signal(signal.SIGHUP)
                world.until_hanging()
                g.signal(signal.SIGTERM)
                until(lambda: g.is_refusing(), "the listeners are closed")
                world.release()
                assert g.process.wait(PATIENCE) == 0, g.read_log()
                check_end(g.place)
                reloads = [r for _, r in read_ledger(g.place.ledger) if r["event_type"] == "runtime.reload"]
                assert len(reloads) == 1 and reloads[0]["outcome"] == "success"


def test_reloads_and_the_end_at_the_same_time():
    pick = seeded("reload and end")
    place = Workplace()
    try:
        for _ in range(rounds(15, 300)):
            with Gateway(workplace=place) as g:
                asking = threading.Thread(target=ask_until_gone, args=(g,))
                asking.start()
                for _ in range(pick.randrange(1, 6)):
                    g.signal(signal.SIGHUP)
                time.sleep(pick.uniform(0, 0.02))  # the moment of the end
                g.signal(signal.SIGTERM)
                assert g.process.wait(PATIENCE) == 0, g.read_log()
                asking.join()
            check_end(place)
    finally:
        place.remove()


def ask_until_gone(g):
    try:
        while reload(g).status in (200, 400):
            pass
    except OSError:
        pass


def check_end(place):
    done = place.run("audit", "verify", place.ledger, check=0)
    assert b", 0 unsigned" in done.stdout, done.stdout
    assert not open_intents(read_ledger(place.ledger))


def make_sparse(path):
    with open(path, "wb") as f:
        f.truncate(GIGABYTE)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def make_unreadable(path):
    path.write_text("{}")
    path.chmod(0)


# What stands where the file was, and what the gateway must say about it.
REPLACEMENTS = {
    "garbage": (lambda p: p.write_bytes(random.Random(1).randbytes(5000)), ""),
    "half": (lambda p: p.write_text('{"version": "v1", "rules": ['), ""),
    "empty": (lambda p: p.write_text(""), ""),
    "deleted": (lambda p: None, "No such file"),
    "fifo": (os.mkfifo, "not a regular file"),
    "socket": (make_socket, "not a regular file"),
    "folder": (lambda p: p.mkdir(), "not a regular file"),
    "device": (lambda p: p.symlink_to("/dev/zero"), "not a regular file"),
    "terminal": (lambda p: p.symlink_to("/dev/tty"), "not a regular file"),
    "loop": (lambda p: p.symlink_to(p), "Too many levels"),
    "dangling": (lambda p: p.symlink_to("nowhere"), "No such file"),
    "behind-a-file": (lambda p: p.symlink_to("nomos.key/x"), ""),
    "sparse": (make_sparse, "over"),
    "unreadable": (make_unreadable, "Permission denied"),
}


def remove(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def test_a_file_replaced_by_anything_keeps_what_runs():
    for name in ("policy.json", "nomos.json"):
        place = Workplace()
        path = place.dir / name
        good = path.read_text()
        with Gateway(workplace=place, prefix=AS_OWNER) as g:
            before = resident_kib(g.process.pid)
            for what, (make, why) in REPLACEMENTS.items():
                remove(path)
                make(path)
                r = reload(g)
                assert r.status == 400 and str(place.dir) not in r.body.decode(), (name, what, r)
                last = [x for x in g.records() if x["event_type"] == "runtime.reload"][-1]
                assert last["outcome"] == "failure" and why in last["reason"] and name in last["reason"], (what, last)
                assert g.act().json["decision"] == "ALLOW", what
            assert resident_kib(g.process.pid) - before < 200 * 1024
            remove(path)
            put(path, good)
            assert reload(g).status == 200
        check_end(place)
        place.remove()


def test_a_start_with_a_file_replaced_by_anything_says_so():
    for name in ("policy.json", "nomos.json"):
        place = Workplace()
        path = place.dir / name
        for what, (make, why) in REPLACEMENTS.items():
            remove(path)
            make(path)
            done = subprocess.run([*AS_OWNER, BIN, "serve", "-c", "nomos.json"], cwd=place.dir,
                                  capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
            text = done.stderr.decode(errors="replace")
            assert done.returncode == 1 and why in text and name in text, (name, what, done)
            assert not place.ledger.exists(), "a ledger was made for nothing"
        remove(path)
        place.remove()


def test_a_file_that_grows_without_end():
    with Gateway() as g:
        path = g.place.dir / "policy.json"
        good = path.read_text()
        stop = threading.Event()

        def grow():
            while not stop.is_set():
                with open(path, "wb") as f:
                    f.write(b'{"version": "v1", "rules": [')
                    for _ in range(48):
                        if stop.is_set():
                            break
                        f.write(b" " * (1 << 20))
        t = threading.Thread(target=grow)
        t.start()
        try:
            for _ in range(rounds(10, 200)):
                assert reload(g).status == 400
                assert g.act().json["decision"] == "ALLOW"
        finally:
            stop.set()
            t.join()
        put(path, good)
        assert reload(g).status == 200
