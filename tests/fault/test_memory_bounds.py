# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""How much memory a request can make the process take, and that nothing of it stays (design.md rule 8; performance.md).

The bound of one request, libraries included: MULTIPLE bytes for each of its own, and FIXED. What the arena may hand out is
capped in pipeline/snapshot.c; a tree of one-digit numbers comes nearest.
"""
import contextlib
import json
import pathlib
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import make_action, rounds, seeded
from heap import OWNERS, Heap
from support import INSTRUMENTED, OPERATOR_KEY, Gateway, action, config, until

KIB = 1024
MULTIPLE = 64
FIXED = 320 * KIB
BODY_MAX = 64 * KIB
PARAMS_MAX = 32 * KIB


def with_params(text):
    return json.dumps(action(params="@")).replace('"@"', text).encode()


def many(head, unit, tail, size):
    """head, as many units as fit, tail: about size bytes of params."""
    return with_params(head + unit * ((size - len(head) - len(tail)) // len(unit.encode())) + tail)


def members(size, name):
    return with_params("{" + ",".join(f'"{name}{i:x}":1' for i in range(size // (len(name) + 9))) + "}")


def bodies(size):
    """What costs a parser, a canonical form, a redactor or a quoted text the most, in about size bytes."""
    raw = size - 400
    yield "open arrays", b"[" * size
    yield "open objects", b'{"a":' * (size // 5)
    yield "unfinished text", b'"' + b"a" * (size - 1)
    yield "no text", b"\xff" * size
    yield "digits", b"1" * size
    yield "spaces", b" " * size
    for name, unit in (("numbers", "1,"), ("empty texts", '"",'), ("empty arrays", "[],"), ("empty objects", "{},"), ("pairs", "[[]],"),
                       ("objects", '{"":{}},'), ("secrets", '"AKIAIOSFODNN7EXAMPLE",')):
        yield name, many('{"a":[', unit, "1]}", raw)
    for name, unit in (("escaped controls", "\\u0001"), ("line ends", "\\n"), ("quotes", '\\"'), ("two bytes", "\u00e9"), ("deletes", "\x7f"),
                       ("one secret after the other", "AKIAIOSFODNN7EXAMPLE ")):
        yield name, many('{"a":"', unit, '"}', raw)
    yield "members", members(raw, "")
    yield "secret members", members(raw, "password")
    yield "long name", many('{"', "k", '":1}', raw)
    yield "depth", with_params('{"a":' * 30 + "1" + "}" * 30)
    for name, unit in (("deep resource", "a/"), ("dots", "./"), ("escapes in a resource", "%41"), ("stars", "*")):
        yield name, json.dumps(action(resource="payment://shop.example.com/" + unit * (min(raw, 8000) // len(unit)))).encode()
    yield "extensions", json.dumps(action(context={"extensions": {f"k{i}": i for i in range(min(raw, 8000) // 12)}})).encode()
    yield "a file of line ends", json.dumps(action("fs.write", "file://workspace/out/f", {"content": "\n" * (raw // 2)})).encode()


def peak_of(heap, ask):
    """Bytes that were taken beyond what was live before; SQLite's cache has a bound of its own."""
    before = [heap.live(owner)[1] for owner in OWNERS]
    heap.restart_peaks()
    ask()
    return sum(max(0, heap.peak(owner) - was) for owner, was in zip(OWNERS, before, strict=True) if owner != "sqlite")


def test_worst_bodies():
    worst = (0, "")
    with Heap() as heap, Gateway(config(gateway={"workers": 1}), env=heap.env) as g:
        for _ in range(10):
            assert g.act().status == 200
        for size in (4 * KIB, PARAMS_MAX, BODY_MAX):
            for name, body in bodies(size):
                assert len(body) <= BODY_MAX, (name, len(body))
                for path in ("/action", "/explain"):
                    headers = {**g.auth(body), **{f"X-Fill-{i}": "h" * 100 for i in range(80)}}
                    statuses = []
                    peak = peak_of(heap, lambda: statuses.append(g.request("POST", path, body, headers).status))
                    assert statuses[0] in (200, 400, 413, 422, 503), (name, statuses)
                    n_own = len(body) + sum(len(k) + len(v) + 4 for k, v in headers.items())
                    assert peak <= MULTIPLE * n_own + FIXED, f"{name}, {path}: {peak} bytes for {n_own}"
                    worst = max(worst, (peak / n_own, f"{peak} bytes for {n_own}: {name}, {path}, {statuses[0]}"))
        assert g.act().status == 200
    assert worst[0] > 10, "the worst body is a cheap one: nothing was measured"
    print(f"      {worst[0]:.1f} bytes per byte: {worst[1]}", flush=True)


def test_many_at_once_are_bounded_by_the_slots():
    """Those without a slot cost what they sent, not what a tree of it would."""
    n_slots, n_clients = 4, 32
    body = many('{"a":[', "1,", "1]}", PARAMS_MAX - 400)
    with Heap() as heap, Gateway(config(gateway={"workers": 2, "concurrency_limit": n_slots}), env=heap.env) as g:
        assert g.act().status == 200
        statuses = set()

        def ask():
            connection = g.connect()
            for _ in range(8):
                statuses.add(g.post("/action", body, connection=connection).status)
            connection.close()

        def crowd():
            threads = [threading.Thread(target=ask) for _ in range(n_clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        peak = peak_of(heap, crowd)
        assert statuses <= {200, 429, 503}, statuses
        # A worker keeps the largest piece of each request's memory for the next one: 256 KiB at most.
        bound = n_slots * (MULTIPLE * len(body) + FIXED) + n_clients * (3 * len(body) + 256 * KIB)
        assert peak <= bound, (peak, bound)
        print(f"      {n_clients} clients, {n_slots} slots: {peak} bytes, at most {bound}; {statuses}", flush=True)


def test_bodies_that_never_end():
    n = rounds(40, 400)
    with Heap() as heap, Gateway(config(gateway={"workers": 1}), env=heap.env) as g, contextlib.ExitStack() as clients:
        assert g.act().status == 200
        # Who they are is right; what they sign can only be known at the end.
        head = "".join(f"{k}: {v}\r\n" for k, v in g.auth(b"").items())
        head = f"POST /action HTTP/1.1\r\nHost: h\r\nContent-Length: {BODY_MAX}\r\n{head}\r\n".encode()
        before = heap.live_bytes
        for _ in range(n):
            s = clients.enter_context(socket.create_connection(g.address))
            s.sendall(head + b"x" * (BODY_MAX - 1))
        until(lambda: heap.live_bytes - before > n * (BODY_MAX - 1) // 2, "the bodies arrive")
        assert g.act().status == 200
        per = (heap.live_bytes - before) / n
        assert per <= 3 * BODY_MAX, per
        print(f"      {per / KIB:.0f} KiB for each body of {BODY_MAX // KIB} KiB that never ends", flush=True)


REFUSED = (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
           b"POST /action HTTP/1.1\nHost: h\r\n\r\n", b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", b"POST /action HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n")


class Mix:
    """Rounds of the same requests, good and bad, of clients that stay, leave early and are refused."""

    def __init__(self, gateway, pick):
        self.gateway, self.pick, self.count = gateway, pick, 0
        self.worst = [body for _, body in bodies(8 * KIB)]

    def run(self, n):
        g = self.gateway
        connection = g.connect()
        for number in range(n):
            self.count += 1
            kind = ("decide", "deny", "read", "write", "decide")[number % 5]
            r = g.act(make_action(kind, f"m-{number % 50}"), connection=connection)
            assert r.status == 200, r
            if number % 7 == 0:
                g.post("/explain", self.worst[number // 7 % len(self.worst)], connection=connection)
            if number % 11 == 0:
                assert g.request("POST", "/action", b"{}", {}, connection).status == 401
            if number % 13 == 0:
                g.raw(REFUSED[number // 13 % len(REFUSED)])
            if number % 17 == 0:
                self.leave_early()
            if number % 400 == 0:
                assert g.operator("POST", "/admin/reload").status == 200
        connection.close()

    def leave_early(self):
        raw = json.dumps(action()).encode()
        head = "".join(f"{k}: {v}\r\n" for k, v in self.gateway.auth(raw).items())
        sent = f"POST /action HTTP/1.1\r\nHost: h\r\nContent-Length: {len(raw)}\r\n{head}\r\n".encode() + raw
        with socket.create_connection(self.gateway.address) as s:
            s.sendall(sent[:self.pick.randrange(1, len(sent) + 1)])


def anonymous_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


def test_nothing_grows():
    pick = seeded("growth")
    n = rounds(1000, 25000)
    with Heap() as heap, Gateway(env=heap.env) as g:
        mix = Mix(g, pick)
        mix.run(n)
        own = ("own", "event", "crypto", "libc", "patterns", "yaml")
        before = {owner: heap.live(owner) for owner in own}
        rss, cached = anonymous_kib(g.process.pid), heap.live("sqlite")[1]
        mix.run(n)
        # One block per hundred requests would be seen; connections that are on their way out are waited for.
        until(lambda: all(heap.live(owner)[0] <= before[owner][0] + n // 100 for owner in own),
              f"as many blocks as before, {before}")
        after = {owner: heap.live(owner) for owner in own}
        assert sum(b for _, b in after.values()) <= sum(b for _, b in before.values()) + 512 * KIB, (before, after)
        # SQLite fills its caches up to their sizes: 2 MiB of the ledger, 8 MiB of the search index, readers.
        assert heap.live("sqlite")[1] <= 16 * KIB * KIB, heap.live("sqlite")
        grown = anonymous_kib(g.process.pid) - rss
        assert grown <= (heap.live("sqlite")[1] - cached) // KIB + 2 * KIB or INSTRUMENTED, f"{grown} KiB more after {n} requests"
        print(f"      {n} requests: own blocks {before['own'][0]} and {after['own'][0]}, RssAnon {rss} KiB and {rss + grown} KiB", flush=True)


def test_reloads_leave_no_block_behind():
    """Without a ledger file: what RssAnon grows by is the ring of records, allocated at the start and touched as it fills."""
    options = config(runtime={"stateless_mode": True}, audit={"sink": "stdout"}, ledger=None)
    n = rounds(1500, 3000)
    with Heap() as heap, Gateway(options, env=heap.env) as g:
        def reload(times):
            connection = g.connect()
            for _ in range(times):
                assert g.request("POST", "/admin/reload", b"", {"Authorization": f"Bearer {OPERATOR_KEY}"}, connection).status == 200
            connection.close()

        reload(50)
        before = {owner: heap.live(owner) for owner in OWNERS}
        reload(n)
        # What libevent keeps comes and goes, and OpenSSL has a hundred blocks for each thread that it is used on first; one block per
        # reload would be twice as many.
        until(lambda: all(heap.live(owner)[0] <= before[owner][0] + n // 2 for owner in OWNERS), f"as many blocks as before, {before}")
        grown = heap.live("own")[1] - before["own"][1]
        assert grown <= 16 * KIB, grown
        print(f"      {grown} bytes more of its own after {n} reloads", flush=True)


def test_own_allocations_of_a_warm_request():
    n = rounds(300, 1000)
    with Heap() as heap, Gateway(env=heap.env) as g:
        found = {}
        for kind in ("decide", "deny", "read", "write", "explain"):
            def send(number, kind=kind):
                if kind == "explain":
                    return g.post("/explain", action(), connection=connection)
                return g.act(make_action(kind, f"{kind}-{number}"), connection=connection)
            connection = g.connect()
            for number in range(100):
                assert send(number).status == 200
            before = heap.calls("own")
            for number in range(n):
                assert send(number).status == 200
            found[kind] = heap.calls("own") - before
            connection.close()
        print(f"      own allocations for {n} of each: {found}", flush=True)
        # A request of any kind needs none outside its arena; the ledger's chores (checkpoint, search index) need one now and then.
        # Under ASan each piece of an arena is a block, so that what is behind it is seen.
        assert all(calls <= n // 10 for calls in found.values()) or INSTRUMENTED, found


def test_idle_process_and_idle_connections():
    """performance.md: 8 MiB idle with two workers, 10 KiB for each idle keep-alive connection."""
    n = 200
    with Gateway() as g, contextlib.ExitStack() as clients:
        idle = anonymous_kib(g.process.pid)
        for _ in range(n):
            s = clients.enter_context(socket.create_connection(g.address))
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
        per = (anonymous_kib(g.process.pid) - idle) / n
        print(f"      idle: {idle} KiB; {per:.1f} KiB per idle connection", flush=True)
        assert idle <= 8 * KIB or INSTRUMENTED, idle
        assert per <= 10 or INSTRUMENTED, per
