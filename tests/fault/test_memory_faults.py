# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Memory that runs out, in the program and in every library: once at each place, and for a while (decisions 43).

What may follow: the right answer, a refusal, a closed connection, or a clear end. What may not: another answer, an effect or an
answer without its record, a hang, a signal, blocks that nobody frees, a ledger that the next start refuses.
"""
import collections
import functools
import http.client
import itertools
import json
import pathlib
import signal
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Acknowledged, check_acknowledged, check_effects, make_action, read_ledger, rounds, seeded, verify
from heap import Heap
from support import POLICY, Gateway, Workplace, config, until

# Each takes its memory apart from the others; strdup for libevent is libc's.
OWNERS = (("own",), ("event", "libc"), ("crypto",), ("sqlite",), ("yaml", "curl", "cjson", "patterns", "other"))


def ask(kind, name):
    """(path, body) of one request."""
    if kind == "explain":
        return "/explain", make_action("decide", name)
    if kind == "malformed":
        return "/action", b'{"a":'
    return "/action", make_action(kind, name)


KINDS = ("decide", "deny", "read", "write", "explain", "malformed", "reload", "ready", "options")


def send(g, kind, name):
    if kind == "reload":
        return g.operator("POST", "/admin/reload")
    if kind == "ready":
        return g.get("/readyz")
    if kind == "options":
        return g.request("OPTIONS", "/action")
    return g.post(*ask(kind, name))


def check_reply(kind, r):
    """True when it is the answer of a day with memory; a refusal is the only other one."""
    if kind == "options" and r.status == 204:
        assert r.headers["Allow"] == "POST, OPTIONS" and not r.body, r
        return True
    assert (r.headers["Content-Type"] or "").startswith("application/json"), (r, r.headers.items())
    if kind == "ready" and "checks" in r.json:
        assert all(c["ok"] for c in r.json["checks"]) == (r.status == 200), r
        return r.status == 200
    if r.status in (500, 503):
        assert r.json["decision"] == "DENY", r
        return False
    if kind == "reload":
        assert (r.status, r.json["outcome"]) in ((200, "success"), (400, "failure")), r
        return r.status == 200
    if kind == "malformed":
        assert r.status == 400 and r.json["decision"] == "DENY", r
        return True
    assert r.status == 200 and r.json["decision"] == ("DENY" if kind == "deny" else "ALLOW"), r
    if kind == "read":
        assert r.json["output"] == "hello from the workspace\n", r
    return True


def check_clear_end(process, log, where=""):
    """where: the call that got no memory. The pattern compiler's own code can fall over it; that is a crash, and what a crash
    must leave is checked all the same."""
    if "libhs.so" in where and process.returncode in (-signal.SIGSEGV, -signal.SIGABRT):
        print(f"      the pattern compiler crashed: {where[:120]}", flush=True)
        return
    assert process.returncode == 1, f"ended with {process.returncode}: {log[-2000:]}"
    assert log.strip(), "an end without a word"


@functools.cache
def left_at_the_end():
    """(blocks, bytes) of the program that the end of a good run does not free: what lives as long as the process."""
    with Heap() as heap:
        with Gateway(env=heap.env) as g:
            assert all(check_reply(kind, send(g, kind, kind)) for kind in KINDS)
        assert heap.live("own")[0] < 10, heap.live("own")
        return heap.live("own")


def yaml_place(**sections):
    """The policy as YAML, so that its parser is in the picture too."""
    place = Workplace(config(policy={"policy_bundle_path": "policy.yaml"}, **sections))
    rules = "\n".join(f"  - {json.dumps(rule)}" for rule in POLICY["rules"])
    (place.dir / "policy.yaml").write_text(f"version: v1\nrules:\n{rules}\n")
    return place


class Victim:
    """A gateway whose allocations fail; started again when it has chosen to end."""

    def __init__(self, heap):
        self.heap, self.place = heap, yaml_place()
        self.acknowledged = []
        self.outcomes = collections.Counter()
        self.start()

    def start(self):
        self.heap.clear()
        self.gateway = Gateway(workplace=self.place, env=self.heap.env, expect_exit=None)
        for number in range(2):
            for kind in KINDS:
                self.try_one(kind, f"warm-{kind}-{number}-{len(self.acknowledged)}")

    def try_one(self, kind, name):
        """The answer to one request, or None for a closed connection."""
        try:
            r = send(self.gateway, kind, name)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            return None
        if check_reply(kind, r) and kind in ("decide", "deny", "read", "write"):
            self.acknowledged.append(Acknowledged(kind, name, r))
        return r

    def try_with_failure(self, kind, n, owners):
        """False when the n-th allocation was not reached."""
        self.heap.fail_at(n, *owners)
        r = self.try_one(kind, f"{kind}-{owners[0]}-{n}-{len(self.acknowledged)}")
        has_failed = self.heap.disarm()
        self.outcomes[r.status if r else "closed"] += has_failed
        self.recover()
        return has_failed

    def recover(self):
        """Serves again, or has ended clearly; then a new start serves."""
        g = self.gateway

        def is_well():
            if g.process.poll() is not None:
                return True
            try:
                return g.act().status == 200
            except (OSError, http.client.HTTPException):
                return False
        until(is_well, "decisions again")
        if g.process.poll() is None:
            return
        self.outcomes["ended"] += 1
        check_clear_end(g.process, g.read_log(), self.heap.where)
        self.start()

    def check(self):
        g = self.gateway
        r = g.act(make_action("deny", "after"))
        assert r.status == 200 and r.json["decision"] == "DENY", r
        assert g.stop() == 0, g.read_log()[-2000:]
        assert self.heap.live("own") == left_at_the_end(), (self.heap.live("own"), left_at_the_end())
        rows = read_ledger(self.place.ledger)
        check_acknowledged(self.acknowledged, rows)
        check_effects(self.place, self.acknowledged, rows)
        verify(self.place)

    def close(self):
        self.gateway.__exit__(None, None, None)
        self.place.remove()


def each_n(pick, step):
    """1, 2, ...; or every step-th from a random first."""
    return itertools.count(1 + pick.randrange(step), step)


def check_request(kind, pattern_step=1):
    """Every allocation that a request of this kind meets, until three in a row are not met; the pattern compiler's by steps."""
    pick = seeded(f"memory of {kind}")
    with Heap() as heap:
        victim = Victim(heap)
        try:
            for owners in OWNERS:
                n_missed = 0
                for n in each_n(pick, pattern_step if "patterns" in owners else 1):
                    try:
                        n_missed = 0 if victim.try_with_failure(kind, n, owners) else n_missed + 1
                    except AssertionError:
                        print(f"      {kind}, {owners[0]} {n}: {heap.where}", flush=True)
                        raise
                    if n_missed == 3:
                        break
            assert sum(victim.outcomes.values()) > 5, "nothing failed"
            victim.check()
            print(f"      {kind}: {dict(victim.outcomes)}", flush=True)
        finally:
            victim.close()


def test_each_allocation_of_a_decision_fails_once():
    check_request("decide")


def test_each_allocation_of_a_denial_fails_once():
    check_request("deny")


def test_each_allocation_of_a_read_fails_once():
    check_request("read")


def test_each_allocation_of_a_write_fails_once():
    check_request("write")


def test_each_allocation_of_an_explanation_fails_once():
    check_request("explain")


def test_each_allocation_of_a_malformed_request_fails_once():
    check_request("malformed")


def test_each_allocation_of_a_reload_fails_once():
    check_request("reload", pattern_step=rounds(5003, 53))


def test_each_allocation_of_the_small_routes_fails_once():
    check_request("ready")
    check_request("options")


class Attempt(Gateway):
    """A start that may end before it listens, or whose line about it is the one that there was no memory for."""

    def __init__(self, port, **kwargs):
        self.port = port
        super().__init__(**kwargs)

    def _listening(self):
        if self.process.poll() is not None:
            return True
        try:
            self.address = ("127.0.0.1", self.port)
            return self.get("/healthz").status == 200
        except (OSError, http.client.HTTPException):
            self.address = None
            return False

    @property
    def is_serving(self):
        return self.address is not None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def check_serves(place):
    with Gateway(workplace=place) as g:
        r = g.act()
        assert r.status == 200 and r.json["decision"] == "ALLOW", r
    verify(place)


def try_start(heap, n, owners):
    """How a first start ended whose n-th allocation failed; None when it was not reached."""
    port = free_port()
    place = yaml_place(gateway={"listen": f"127.0.0.1:{port}"})
    try:
        heap.clear()
        heap.fail_at(n, *owners)
        with Attempt(port, workplace=place, env=heap.env, expect_exit=None) as g:
            has_failed = heap.disarm()
            if g.is_serving:
                # A ledger that had no memory for the first record refuses until it has written it.
                until(lambda: g.act().status == 200, "decisions")
                assert g.act(make_action("deny", "d")).json["decision"] == "DENY"
                assert g.stop() == 0
                assert "runtime.start" in [r["event_type"] for _, r in read_ledger(place.ledger)][:2]
                # What the reserve gives OpenSSL for good is counted as ours: it is asked for from one call deeper.
                assert "crypto" in owners or heap.live("own") == left_at_the_end(), heap.live("own")
                verify(place)
                return "served" if has_failed else None
            check_clear_end(g.process, g.read_log(), heap.where)
        check_serves(place)
        return "refused"
    finally:
        place.remove()


# By the libraries' habits: how far from one tried allocation to the next, in the short form and in the long one.
START_STEPS = ((("own",), 23, 1), (("event", "libc"), 29, 1), (("sqlite",), 401, 7), (("crypto",), 3001, 61), (("yaml", "curl", "cjson", "other"), 43, 1),
               (("patterns",), 50021, 503))


def test_each_allocation_of_a_start_fails_once():
    pick = seeded("memory of a start")
    with Heap() as heap:
        for owners, short, long in START_STEPS:
            outcomes = collections.Counter()
            for n in each_n(pick, rounds(short, long)):
                try:
                    outcome = try_start(heap, n, owners)
                except AssertionError:
                    print(f"      start, {owners[0]} {n}: {heap.where}", flush=True)
                    raise
                if outcome is None:
                    break
                outcomes[outcome] += 1
            print(f"      start, {owners[0]}: {dict(outcomes)}", flush=True)


def try_stop(heap, place, n, owners):
    """Whether the n-th allocation of an orderly end was reached and failed."""
    heap.clear()
    with Gateway(workplace=place, env=heap.env, expect_exit=None) as g:
        acknowledged = []
        for kind in ("decide", "read", "write"):
            name = f"{kind}-{owners[0]}-{n}"
            acknowledged.append(Acknowledged(kind, name, g.act(make_action(kind, name))))
        heap.fail_at(n, *owners)
        if g.stop() != 0:
            check_clear_end(g.process, g.read_log())
        has_failed = heap.disarm()
    rows = read_ledger(place.ledger)
    check_acknowledged(acknowledged, rows)
    return has_failed


def test_each_allocation_of_an_end_fails_once():
    pick = seeded("memory of an end")
    place = Workplace()
    try:
        with Heap() as heap:
            for owners in OWNERS:
                n_failed = 0
                for n in each_n(pick, rounds(13, 1)):
                    if not try_stop(heap, place, n, owners):
                        break
                    n_failed += 1
                print(f"      end, {owners[0]}: {n_failed}", flush=True)
        check_serves(place)
    finally:
        place.remove()


class Crowd:
    """Threads that ask on a new connection each time, whatever came of the one before."""

    def __init__(self, gateway, name, threads=6):
        self.gateway, self.name = gateway, name
        self.acknowledged, self.outcomes, self.wrong = [], collections.Counter(), []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        kinds = itertools.cycle(("decide", "deny", "read", "write"))
        for count in itertools.count():
            if self.stopping.is_set() or self.gateway.process.poll() is not None:
                return
            kind = next(kinds)
            name = f"{self.name}-{number}-{count}"
            try:
                r = self.gateway.act(make_action(kind, name))
            except (OSError, http.client.HTTPException):
                self.outcomes["closed"] += 1
                continue
            self.outcomes[r.status] += 1
            try:
                if check_reply(kind, r):
                    self.acknowledged.append(Acknowledged(kind, name, r))
            except AssertionError as error:
                self.wrong.append(error)

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def starve(heap, place, owners, name):
    """Under load nothing is given to these owners until several allocations have failed, then all is well again."""
    heap.clear()
    with Gateway(workplace=place, env=heap.env, expect_exit=None) as g:
        crowd = Crowd(g, name)
        has_ended = lambda: g.process.poll() is not None
        until(lambda: len(crowd.acknowledged) > 20, "load")
        heap.fail_all(*owners)
        until(lambda: heap.failed >= 8 or has_ended(), "failures")
        heap.disarm()
        if not has_ended():
            before = len(crowd.acknowledged)
            until(lambda: len(crowd.acknowledged) > before + 20 or has_ended(), "decisions again")
        crowd.join()
        if not has_ended():
            assert g.act().status == 200
            g.stop()
        else:
            check_clear_end(g.process, g.read_log())
        print(f"      {name}: ended with {g.process.returncode}, {dict(crowd.outcomes)}", flush=True)
    assert not crowd.wrong, crowd.wrong[0]
    check_serves(place)
    rows = read_ledger(place.ledger)
    check_acknowledged(crowd.acknowledged, rows)
    check_effects(place, crowd.acknowledged, rows)
    return g.process.returncode


def test_memory_is_out_for_a_while():
    place = Workplace()
    try:
        with Heap() as heap:
            for number in range(rounds(1, 10)):
                assert starve(heap, place, ("own",), f"program-{number}") == 0
                assert starve(heap, place, ("sqlite",), f"sqlite-{number}") == 0
                starve(heap, place, (), f"all-{number}")
    finally:
        place.remove()
