# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Thousands of connections that are slow, silent, unread, gone or too many. Meanwhile a good client gets every answer; the hostile
ones are ended by their deadline, with our JSON where they asked something; memory stays bounded and all of it is given back."""
import json
import os
import pathlib
import resource
import select
import socket
import struct
import threading

import support
from support import API_KEY, INSTRUMENTED, PATIENCE, Gateway, action, config, sign, until

SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
N = min(5000, HARD - 1000)
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
if INSTRUMENTED:
    N = min(N, 500)
MB = 1024 * 1024


def hostile(**limits):
    """Deadlines that a test can wait for."""
    if INSTRUMENTED:  # so slow that what is a flood here is an overload there
        limits = {"overload_wait_ms": 0, **limits}
    return config(gateway={"header_timeout_seconds": 3, "body_timeout_seconds": 3, "idle_timeout_seconds": 3,
                           "write_timeout_seconds": 2, "concurrency_limit": 100, **limits})


def head_of(body_bytes, key=API_KEY, extra=""):
    """The head of a good action whose body has so many bytes."""
    return (f"POST /action HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nX-Nomos-Agent-Id: bot\r\n"
            f"X-Nomos-Agent-Signature: {'0' * 64}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {body_bytes}\r\n{extra}\r\n").encode()


class Crowd:
    """Many sockets, what each has received, and which of them the gateway has ended."""

    def __init__(self, address, n=N, first=b""):
        self.sockets = {}
        self.received = {}
        self.poller = select.epoll()
        for _ in range(n):
            s = socket.create_connection(address, timeout=PATIENCE)
            s.setblocking(False)
            if first:
                s.send(first)
            self.sockets[s.fileno()] = s
            self.received[s.fileno()] = b""
            self.poller.register(s, select.EPOLLIN)

    def send(self, data):
        for s in self.sockets.values():
            try:
                s.send(data)
            except OSError:
                pass

    def pump(self, timeout=0.05):
        """Takes in what has come; those that ended are closed."""
        for fd, _ in self.poller.poll(timeout):
            try:
                part = self.sockets[fd].recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            self.received[fd] += part
            if not part:
                self.poller.unregister(fd)
                self.sockets.pop(fd).close()

    def wait_ended(self):
        until(lambda: self.pump() or not self.sockets, "the gateway has ended every hostile connection")

    def statuses(self):
        """How many were answered with which status; None: silently. Every answer has to be ours."""
        counts = {}
        for data in self.received.values():
            status = None
            if data:
                head, _, body = data.partition(b"\r\n\r\n")
                status = int(head.split()[1])
                assert b"Connection: close" in head and json.loads(body)["decision"] == "DENY", data
            counts[status] = counts.get(status, 0) + 1
        return counts

    def close(self):
        for s in self.sockets.values():
            s.close()
        self.poller.close()


class GoodClient:
    """Acts on new connections and on one that it keeps, until the block ends; every answer has to be right."""

    def __init__(self, g):
        self.g = g
        self.n = 0
        self.problem = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.stop.is_set():
                for body in (action(), action("fs.read", "file://workspace/README.md")):
                    r = self.g.act(body)
                    assert r.status == 200 and r.json["decision"] == "ALLOW", r
                    self.n += 1
                self.stop.wait(0.005)
        except BaseException as e:
            self.problem = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        n = self.n
        until(lambda: self.problem or self.n > n, "the good client is still answered")
        self.stop.set()
        self.thread.join()
        if self.problem:
            raise self.problem


def resident(g):
    """Bytes of memory of its own."""
    text = pathlib.Path(f"/proc/{g.process.pid}/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024


def descriptors(g):
    return len(os.listdir(f"/proc/{g.process.pid}/fd"))


def check_released(g, before):
    until(lambda: descriptors(g) <= before + 4, "every descriptor is given back")
    assert g.act().status == 200


def held_per_connection(g, before, what, n=N):
    """Once all are in: the growth, printed, for each."""
    until(lambda: descriptors(g) >= before[1] + n * 9 // 10, f"{what} connections are accepted")
    each = (resident(g) - before[0]) / n
    print(f"      {what}: {each:.0f} bytes of memory for each of {n} connections", flush=True)
    return each


def start(**limits):
    g = Gateway(hostile(**limits))
    g.act()
    return g


def test_idle_connections():
    with start() as g:
        before = resident(g), descriptors(g)
        with GoodClient(g):
            crowd = Crowd(g.address)
            assert held_per_connection(g, before, "idle") < 6000 or INSTRUMENTED
            crowd.wait_ended()
        assert crowd.statuses() == {None: N}
        crowd.close()
        check_released(g, before[1])


def test_idle_connections_after_a_request():
    body = json.dumps(action()).encode()
    whole = head_of(len(body)).replace(b"0" * 64, sign("agent-secret", body).encode()) + body
    # So many actions at a time are an overload, which has its own tests.
    with start(idle_timeout_seconds=5, concurrency_limit=100000, overload_wait_ms=0) as g:
        before = resident(g), descriptors(g)
        with GoodClient(g):
            crowd = Crowd(g.address, first=whole)
            until(lambda: crowd.pump() or all(crowd.received.values()), "every request is answered")
            assert held_per_connection(g, before, "idle after a request") < 8000 or INSTRUMENTED
            crowd.wait_ended()
        assert all(b'"decision":"ALLOW"' in data and data.startswith(b"HTTP/1.1 200") for data in crowd.received.values())
        crowd.close()
        check_released(g, before[1])


def check_slow(first, what, bytes_max):
    """Each sends the beginning and then byte by byte, until its deadline ends it."""
    with start() as g:
        before = resident(g), descriptors(g)
        with GoodClient(g):
            crowd = Crowd(g.address, first=first)
            assert held_per_connection(g, before, what) < bytes_max or INSTRUMENTED
            while crowd.sockets:
                crowd.send(b"x")
                crowd.pump()
        assert crowd.statuses() == {408: N}, crowd.statuses()
        crowd.close()
        check_released(g, before[1])


def test_slow_heads():
    check_slow(b"GET /healthz HTTP/1.1\r\nX-Slow: ", "slow head", 8000)


def test_slow_bodies():
    """Of a client with a key, whose bodies are worth waiting for."""
    check_slow(head_of(60000) + b"{" * 2000, "2,000 bytes of a body", 12000)


def test_the_cap_is_reached_by_silent_connections():
    """Nobody else would get in if accepting only paused."""
    with start(max_connections=N // 2, idle_timeout_seconds=3600) as g:
        before = descriptors(g)
        with GoodClient(g):
            crowd = Crowd(g.address)
            for _ in range(20):
                assert g.get("/healthz").status == 200
                assert descriptors(g) <= before + N // 2 + 8
            until(lambda: crowd.pump() or N - len(crowd.sockets) >= N // 2 - 64, "those over the cap have given way")
        assert set(crowd.statuses()) == {None}, crowd.statuses()
        crowd.close()
        check_released(g, before)


def test_the_cap_is_reached_by_slow_requests():
    with start(max_connections=N // 2, header_timeout_seconds=3600, min_bytes_per_second=0) as g:
        before = descriptors(g)
        with GoodClient(g):
            crowd = Crowd(g.address, first=b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            for _ in range(20):
                assert g.get("/healthz").status == 200
            crowd.pump()
        assert set(crowd.statuses()) <= {None, 503} and crowd.statuses().get(503, 0) > 0, crowd.statuses()
        crowd.close()
        check_released(g, before)


def test_bodies_without_a_credential():
    """Each is answered at its head: none is kept, and none holds the only slot."""
    heads = {
        401: head_of(60000, key="unknown"), 404: b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        405: b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        413: b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    }
    with start(concurrency_limit=1, body_timeout_seconds=3600) as g:
        before = resident(g), descriptors(g)
        with GoodClient(g):
            for status, head in heads.items():
                crowd = Crowd(g.address, n=N // 5, first=head)
                until(lambda: crowd.pump() or all(crowd.received.values()), "every head is answered")
                # What follows is a body nobody waits for, not a request.
                crowd.send(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
                crowd.wait_ended()
                assert crowd.statuses() == {status: N // 5}, (status, crowd.statuses())
                crowd.close()
        assert resident(g) - before[0] < 40 * MB or INSTRUMENTED
        check_released(g, before[1])


def test_whole_requests_without_a_credential():
    """Many at once on many connections: each has its answer, in order, and health, an operator and a good client have theirs meanwhile."""
    body = json.dumps(action()).encode()
    n, each = N // 10, 5
    one = head_of(len(body), key="unknown") + body
    with start() as g:
        before = resident(g), descriptors(g)
        with GoodClient(g) as good:
            crowd = Crowd(g.address, n=n, first=one * each)
            for _ in range(20):
                assert g.get("/healthz").status == 200 and g.get("/readyz").status == 200
                assert g.operator("POST", "/admin/reload").status == 200
            done = good.n
            until(lambda: good.n > done, "a good client is answered while they wait")
            until(lambda: crowd.pump() or all(data.count(b"HTTP/1.1 ") == each for data in crowd.received.values()), "all are answered")
        assert all(data.count(b"HTTP/1.1 401 ") == each for data in crowd.received.values())
        assert resident(g) - before[0] < 40 * MB or INSTRUMENTED
        crowd.close()
        check_released(g, before[1])


def test_early_answers_are_those_of_the_whole_request():
    with start() as g:
        body = json.dumps(action()).encode()
        rows = {
            "an unknown key": {"Authorization": "Bearer x"},
            "no key": {"Authorization": None},
            "no agent": {"X-Nomos-Agent-Id": None},
            "no signature": {"X-Nomos-Agent-Signature": None},
            "a signature that is none": {"X-Nomos-Agent-Signature": "0" * 63},
            "another media type": {"Content-Type": "text/plain"},
        }
        for name, changes in rows.items():
            headers = {k: v for k, v in {**g.auth(body), **changes}.items() if v is not None}
            late = g.post("/action", body, headers={}) if not headers else g.request("POST", "/action", body, headers)
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            head = f"POST /action HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
            early_head, _, early_body = g.raw(head.encode()).partition(b"\r\n\r\n")
            early = {k.lower(): v for k, v in (line.split(": ", 1) for line in early_head.decode().split("\r\n")[1:])}
            assert int(early_head.split()[1]) == late.status and late.status in (401, 415), (name, early_head, late)
            assert early_body == late.body, (name, early_body, late)
            assert set(early) == {k.lower() for k in late.headers} | {"connection"}, (name, early, dict(late.headers))
        # Whose signature it is can only be told with the body, and an unknown name must not be told before a known one.
        for agent in ("bot", "nobody"):
            got = g.raw(head_of(len(body), extra="Expect: 100-continue\r\n").replace(b": bot", b": " + agent.encode()),
                        until_closed=False)
            assert got.startswith(b"HTTP/1.1 100 "), got


def test_a_flood_of_connects():
    with start() as g:
        before = descriptors(g)
        with GoodClient(g):
            for _ in range(N):
                socket.create_connection(g.address, timeout=PATIENCE).close()
            # All at once, as fast as the kernel takes them.
            crowd = []
            for _ in range(N // 2):
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(g.address)
                crowd.append(s)
            for s in crowd:
                s.close()
        check_released(g, before)


def test_clients_that_vanish():
    """A reset in each state: nothing of them stays, and what was decided is whole."""
    body = json.dumps(action()).encode()
    whole = head_of(len(body)).replace(b"0" * 64, sign("agent-secret", body).encode()) + body
    with start(concurrency_limit=100000) as g:
        before = descriptors(g)
        with GoodClient(g):
            for first in (b"", b"GET /he", head_of(60000) + b"{", whole, whole + b"GET /"):
                for _ in range(N // 25):
                    s = socket.create_connection(g.address, timeout=PATIENCE)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.sendall(first)
                    s.close()
        check_released(g, before)
        assert g.stop() == 0
        g.place.run("audit", "verify", g.place.ledger, check=0)


TCP_REPAIR = 19


def cut_power(s):
    """As a machine does that loses its power: neither an end nor a reset comes from it."""
    try:
        s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        raise support.Skip("a socket that vanishes needs CAP_NET_ADMIN") from None
    s.close()


def test_half_open_connections():
    """Their clients are gone and nothing says so: each is ended by the deadline of what it was in."""
    body = json.dumps(action()).encode()
    whole = head_of(len(body)).replace(b"0" * 64, sign("agent-secret", body).encode()) + body
    states = {"silent": b"", "head": b"GET /healthz HTTP/1.1\r\nX-Slow: ", "body": head_of(60000) + b"{" * 2000, "idle": whole,
              "next": whole + b"GET /"}
    each = N // (5 * len(states))
    deadlines = {f"{name}_timeout_seconds": 5 for name in ("header", "body", "idle")}
    with start(concurrency_limit=100000, overload_wait_ms=0, **deadlines) as g:
        before = descriptors(g)
        with GoodClient(g):
            for what, first in states.items():
                crowd = Crowd(g.address, n=each, first=first)
                if first.startswith(whole):
                    until(lambda: crowd.pump() or all(crowd.received.values()), f"{what}: every request is answered")
                for s in crowd.sockets.values():
                    cut_power(s)
                crowd.poller.close()
            until(lambda: descriptors(g) >= before + each, "they are held, since nobody has said that they ended")
        check_released(g, before)
        assert g.stop() == 0
        g.place.run("audit", "verify", g.place.ledger, check=0)


def test_half_closed_clients_get_all_of_their_answer():
    with start() as g:
        for _ in range(20):
            with socket.create_connection(g.address, timeout=PATIENCE) as s:
                s.sendall(b"GET /openapi.yaml HTTP/1.1\r\nHost: a\r\n\r\n")
                s.shutdown(socket.SHUT_WR)
                got = b""
                while part := s.recv(65536):
                    got += part
            head, _, rest = got.partition(b"\r\n\r\n")
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert head.startswith(b"HTTP/1.1 200") and len(rest) == length


def test_readers_of_nothing():
    """Replies that nobody takes are cut, and what is written meanwhile is bounded."""
    with start() as g:
        before = resident(g), descriptors(g)
        with GoodClient(g):
            deaf = []
            for _ in range(100):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                s.connect(g.address)
                s.setblocking(False)
                try:
                    while True:
                        s.send(b"GET /openapi.yaml HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
                except BlockingIOError:
                    pass
                deaf.append(s)
            assert resident(g) - before[0] < 100 * MB or INSTRUMENTED
            until(lambda: descriptors(g) <= before[1] + 8, "those that take nothing are cut")
        for s in deaf:
            s.close()
        check_released(g, before[1])


def test_idle_clients_leave_descriptors_for_the_work():
    """Actions and reloads open files, however many clients there are and however few files may be open."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (220, 220))

    with Gateway(hostile(idle_timeout_seconds=3600), preexec_fn=few) as g:
        assert "leaves room for" in g.read_log()
        with GoodClient(g):
            crowd = Crowd(g.address, n=200)
            for n in range(5):
                r = g.act(action("fs.write", f"file://workspace/out/f{n}", {"content": "x"}))
                assert r.status == 200 and r.json["decision"] == "ALLOW", r
                assert g.operator("POST", "/admin/reload").status == 200
            assert descriptors(g) < 220
        crowd.close()
        log = g.read_log()
        assert "Too many open files" not in log, log[-2000:]
        assert g.act().status == 200


def test_accepting_pauses_when_descriptors_are_out():
    """Somebody else takes them, or the limit is lowered: no spin, no flood of lines, and it goes on by itself."""
    with start() as g:
        n_open = descriptors(g)
        with socket.create_connection(g.address, timeout=PATIENCE) as kept:
            kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            resource.prlimit(g.process.pid, resource.RLIMIT_NOFILE, (n_open + 1, HARD))
            crowd = Crowd(g.address, n=50)
            until(lambda: "pausing" in g.read_log(), "accepting pauses")
            for _ in range(50):
                kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            resource.prlimit(g.process.pid, resource.RLIMIT_NOFILE, (HARD, HARD))
        with GoodClient(g):
            crowd.wait_ended()
        assert crowd.statuses() == {None: 50}
        # One a second at the most, from each worker.
        assert g.read_log().count("pausing") < 40
        crowd.close()


def test_a_cap_that_is_stormed():
    """Whoever gives way comes back at once: a client that sends its request as it connects is answered all the same."""
    with start(max_connections=100, header_timeout_seconds=3600, min_bytes_per_second=0) as g:
        before = descriptors(g)
        stop = threading.Event()

        def storm():
            held = []
            while not stop.is_set():
                s = socket.socket()
                s.setblocking(False)
                s.connect_ex(g.address)
                held.append(s)
                for old in held[:-20]:
                    try:
                        old.send(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
                    except OSError:
                        pass
                while len(held) > 150:
                    held.pop(0).close()
                stop.wait(0.001)
            for s in held:
                s.close()

        storms = [threading.Thread(target=storm) for _ in range(2)]
        for t in storms:
            t.start()
        try:
            until(lambda: "are the most" in g.read_log(), "the cap is reached")
            for _ in range(10):
                assert g.act().status == 200
        finally:
            stop.set()
            for t in storms:
                t.join()
        check_released(g, before)
