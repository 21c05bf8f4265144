# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""More clients than can be served, on a machine made slow: some are told to come back, the others are answered rightly and recorded;
operators, health and readiness are served meanwhile, and it ends by itself."""
import json
import pathlib
import select
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Acknowledged, check_acknowledged, read_ledger, verify
from support import API_KEY, PATIENCE, Gateway, Reply, Workplace, action, config, sign, AGENT_SECRET, until
from world import World

CLIENTS = 64
READ_US = 5000  # with CLIENTS in one turn: many times the limit
LIMIT_MS = 20
ENOUGH = 20


def head(body_bytes, signature, key=API_KEY, extra=""):
    return (f"POST /action HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nX-Nomos-Agent-Id: bot\r\n"
            f"X-Nomos-Agent-Signature: {signature}\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {body_bytes}\r\n\r\n").encode()


def request(action_id, key=API_KEY):
    body = json.dumps(action(action_id=action_id)).encode()
    return head(len(body), sign(AGENT_SECRET, body), key) + body


def cut_reply(data):
    """(Reply, rest), or None while it is not whole."""
    top, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = top.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    n = int(headers["Content-Length"])
    return (Reply(int(lines[0].split()[1]), headers, rest[:n]), rest[n:]) if len(rest) >= n else None


class Crowd:
    """Clients on kept connections that ask again as soon as they are answered, whatever Retry-After says."""

    def __init__(self, g):
        self.g = g
        self.poller = select.epoll()
        self.clients = {}
        self.n_asked = 0
        self.admitted, self.shed = [], []
        for _ in range(CLIENTS):
            s = socket.create_connection(g.address, timeout=PATIENCE)
            self.clients[s.fileno()] = [s, b"", None]
            self.poller.register(s, select.EPOLLIN)
            self._ask(s.fileno())

    def _ask(self, fd):
        client = self.clients[fd]
        client[2] = f"crowd-{self.n_asked}"
        self.n_asked += 1
        client[0].sendall(request(client[2]))

    def _note(self, action_id, reply):
        if reply.status == 200:
            assert reply.json["decision"] == "ALLOW", reply
            self.admitted.append(Acknowledged("decide", action_id, reply))
            return
        assert reply.status == 503 and reply.headers["Retry-After"] == "1", reply
        assert reply.json["decision"] == "DENY" and reply.json["reason"].startswith("overloaded"), reply
        self.shed.append(reply.headers["X-Request-Id"])

    def pump(self, asks=True):
        """Takes in what has come for a moment; each who was answered asks again."""
        for fd, _ in self.poller.poll(0.05):
            client = self.clients[fd]
            part = client[0].recv(65536)
            assert part, "a connection that was turned away is kept"
            client[1] += part
            cut = cut_reply(client[1])
            if cut:
                client[1] = cut[1]
                self._note(client[2], cut[0])
                client[2] = None
                if asks:
                    self._ask(fd)

    def pump_until(self, condition, what):
        until(lambda: self.pump() or condition(), what)

    def end(self):
        """Every request has its answer."""
        until(lambda: self.pump(asks=False) or all(c[2] is None for c in self.clients.values()), "all are answered")
        for client in self.clients.values():
            client[0].close()
        self.poller.close()


def begin_overload(crowd):
    crowd.pump_until(lambda: len(crowd.shed) >= ENOUGH, "some are turned away")
    n = len(crowd.admitted)
    crowd.pump_until(lambda: len(crowd.admitted) >= n + ENOUGH, "and some are let in")


def ask_raw(crowd, data):
    """One request on a connection of its own, while the crowd goes on; closed says whether the server ended it."""
    with socket.create_connection(crowd.g.address, timeout=PATIENCE) as s:
        s.sendall(data)
        s.setblocking(False)
        got = b""
        cut = None

        def receive():
            nonlocal got, cut
            crowd.pump()
            if select.select([s], [], [], 0)[0]:
                got += s.recv(65536)
            cut = cut_reply(got)
            return cut
        until(receive, "an answer")
        return cut[0]


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def ask_early(crowd, data):
    """The first answer to a head alone: 100, or a last one."""
    with socket.create_connection(crowd.g.address, timeout=PATIENCE) as s:
        s.sendall(data)
        s.setblocking(False)
        got = b""

        def receive():
            nonlocal got
            crowd.pump()
            if select.select([s], [], [], 0)[0]:
                got += s.recv(65536)
            return got.startswith(b"HTTP/1.1 100") or cut_reply(got)
        until(receive, "an answer to the head")
        return Reply(100, {}, b"") if got.startswith(b"HTTP/1.1 100") else cut_reply(got)[0]


def check_early(crowd):
    """Before its body a request is turned away with a closed connection, and without a credential not for the load."""
    reply = None

    def is_shed():
        nonlocal reply
        reply = ask_early(crowd, head(600, "0" * 64, extra="Expect: 100-continue\r\n"))
        return reply.status == 503
    until(is_shed, "one is turned away before its body")
    assert reply.headers["Connection"] == "close" and reply.headers["Retry-After"] == "1", reply
    assert ask_early(crowd, head(600, "0" * 64, key="wrong", extra="Expect: 100-continue\r\n")).status == 401


def start():
    place = Workplace(config(gateway={"workers": 1, "concurrency_limit": 1000, "overload_wait_ms": LIMIT_MS}))
    world = World()
    return place, world, Gateway(workplace=place, env=world.env)


def check_evidence(place, crowd):
    rows = read_ledger(place.ledger)
    check_acknowledged(crowd.admitted, rows)
    known = {r.get("request_id") for _, r in rows}
    assert not known & set(crowd.shed), "turned away, and yet in the ledger"
    verify(place)


def test_some_are_turned_away_and_nothing_is_lost():
    place, world, gateway = start()
    with world, gateway as g:
        world.slow_reads(READ_US)
        crowd = Crowd(g)
        begin_overload(crowd)
        for _ in range(3):
            for path in ("/healthz", "/readyz", "/version"):
                assert ask_raw(crowd, get(path)).status == 200, path
        operator = b"POST /admin/reload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer test-operator-key\r\nContent-Length: 0\r\n\r\n"
        assert ask_raw(crowd, operator).status == 200
        # Who has no credential learns nothing of the load.
        for number in range(10):
            assert ask_raw(crowd, request(f"bad-{number}", key="wrong")).status == 401
        check_early(crowd)
        crowd.end()
        world.slow_reads(0)
        until(lambda: all(g.act(action(action_id="after")).status == 200 for _ in range(ENOUGH)),
              "everybody is let in again, without a restart")
    check_evidence(place, crowd)
    place.remove()


def test_the_limit_is_reloaded():
    place, world, gateway = start()
    with world, gateway as g:
        world.slow_reads(READ_US)
        crowd = Crowd(g)
        begin_overload(crowd)
        place.write_config(config(gateway={"workers": 1, "concurrency_limit": 1000, "overload_wait_ms": 0}))
        operator = b"POST /admin/reload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer test-operator-key\r\nContent-Length: 0\r\n\r\n"
        assert ask_raw(crowd, operator).status == 200

        def nobody_is_shed():
            n_shed, n_admitted = len(crowd.shed), len(crowd.admitted)
            crowd.pump_until(lambda: len(crowd.admitted) >= n_admitted + 4 * CLIENTS, "answers")
            return len(crowd.shed) == n_shed
        until(nobody_is_shed, "without a limit all are let in, under the same load")
        crowd.end()
    check_evidence(place, crowd)
    place.remove()


def test_many_large_records_at_once_are_not_the_last():
    """They fill one transaction with more than the ledger keeps memory for."""
    place = Workplace()
    statuses = []

    def ask(g, name):
        connection = g.connect()
        for number in range(2):
            large = action("payments.refund", "payment://shop.example.com/" + "&" * 8000, action_id=f"{name}-{number}")
            statuses.append(g.act(large, connection=connection).status)

    with Gateway(config(gateway={"overload_wait_ms": 0}), workplace=place) as g:
        threads = [threading.Thread(target=ask, args=(g, f"large-{i}")) for i in range(32)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert statuses == [200] * 64, statuses
        assert g.act().status == 200 and g.get("/readyz").status == 200
    verify(place)
    place.remove()
