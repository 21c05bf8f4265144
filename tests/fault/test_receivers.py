# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Webhook receivers that are broken in every way, and a resolver that is dead: an optional one delays nothing, a required one
denies, stopping never waits for it, and every record arrives in the end, in order (decisions 15, 22)."""
import contextlib
import json
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import support
from evidence import read_ledger, verify
from support import Gateway, Workplace, action, config, until


class Receiver:
    """A receiver of records whose behaviour changes: works, hangs, resets, fails, drips, floods, or is gone."""

    def __init__(self):
        self.mode = "works"
        self.taken = []
        self.n_asked = 0
        self.ending = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d/records" % self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        while not self.ending.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while True:
                line = stream.readline()
                if not line:
                    return
                size = 0
                while (line := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                body = stream.read(size)
                mode, self.n_asked = self.mode, self.n_asked + 1
                if not self._answer(connection, mode, body):
                    return

    def _answer(self, connection, mode, body):
        if mode == "works":
            self.taken.append(json.loads(body))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        if mode == "fails":
            connection.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
            return True
        if mode == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mode == "hangs":
            self.ending.wait()
        elif mode == "drips":
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.ending.wait(0.02):
                connection.sendall(b"x")
        elif mode == "floods":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            while not self.ending.is_set():
                connection.sendall(b"x" * 65536)
        return False

    def close(self):
        self.ending.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()


BROKEN = ("hangs", "resets", "fails", "drips", "floods")


def sinks(url, required):
    return config(audit={"sink": f"webhook:{url}", "required": required, "required_deadline_ms": 300, "webhook": {"timeout_ms": 400}})


def check_all_arrived(receiver, place):
    """Each record, in order; again only what was on its way when a delivery broke off."""
    want = [r["seq"] for _, r in read_ledger(place.ledger)]
    got = list(dict.fromkeys(t["seq"] for t in receiver.taken))
    assert got == want, (got[:5], got[-5:], want[-5:])


@contextlib.contextmanager
def receiving(required):
    """(receiver, workplace); afterwards all records have arrived."""
    receiver = Receiver()
    place = Workplace(sinks(receiver.url, required))
    try:
        yield receiver, place
        check_all_arrived(receiver, place)
        verify(place)
    finally:
        receiver.close()
        place.remove()


def test_optional_receiver_broken_in_every_way():
    with receiving("") as (receiver, place):
        with Gateway(workplace=place) as g:
            for mode in BROKEN:
                receiver.mode = mode
                asked = receiver.n_asked
                assert {g.act().status for _ in range(10)} == {200}
                until(lambda: receiver.n_asked > asked, f"the receiver that {mode} is asked")
                assert g.act().status == 200 and g.get("/readyz").status == 200
            receiver.mode = "works"
            last = read_ledger(place.ledger)[-1][1]["seq"]
            until(lambda: receiver.taken and receiver.taken[-1]["seq"] >= last, "all arrive")


def test_required_receiver_broken_in_every_way():
    with receiving("webhook") as (receiver, place):
        with Gateway(workplace=place) as g:
            for mode in BROKEN:
                receiver.mode = mode
                name = f"refused-{mode}"
                r = g.act(action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name))
                assert r.status == 503 and r.json["reason"].startswith("audit_error"), (mode, r)
                assert not (place.dir / "workspace/out" / name).exists(), mode
                assert g.get("/healthz").status == 200
                receiver.mode = "works"
                until(lambda: g.act().status == 200, f"decisions again after one that {mode}")
        rows = read_ledger(place.ledger)
        for intent in [r for _, r in rows if r["event_type"] == "action.decision" and r["action_id"].startswith("refused-")]:
            outcomes = [r for _, r in rows if r.get("intent_seq") == intent["seq"]]
            assert [r["outcome"] for r in outcomes] == ["failed"], outcomes


def test_stopping_does_not_wait_for_a_broken_receiver_and_the_next_start_delivers():
    for mode in BROKEN:
        with receiving("") as (receiver, place):
            receiver.mode = mode
            with Gateway(workplace=place) as g:
                assert {g.act().status for _ in range(3)} == {200}
                until(lambda: receiver.n_asked > 0, "the receiver is asked")
            receiver.mode = "works"
            with Gateway(workplace=place) as g:
                last = len(g.records())
                until(lambda: receiver.taken and receiver.taken[-1]["seq"] >= last, "all arrive")


def test_receiver_that_is_gone():
    receiver = Receiver()
    place = Workplace(sinks(receiver.url, ""))
    receiver.close()
    try:
        with Gateway(workplace=place) as g:
            assert {g.act().status for _ in range(10)} == {200}
            assert g.get("/readyz").status == 200
        verify(place)
    finally:
        place.remove()


class DeadResolver:
    """A name server that takes questions and never answers, for a gateway with mounts of its own."""

    def __init__(self, place):
        self.words = mounts()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind(("127.0.0.9", 53))
        except OSError as error:
            self.socket.close()
            raise support.Skip(f"port 53 is not ours: {error}") from None
        (place.dir / "resolv.conf").write_text("nameserver 127.0.0.9\noptions timeout:30 attempts:5\n")
        self.prefix = (*self.words, "sh", "-c", 'mount --bind resolv.conf /etc/resolv.conf && exec "$@"', "sh")

    def was_asked(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return bool(self.socket.recv(512))
        return False


def mounts():
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*words, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0:
            return words
    raise support.Skip("mounts are not allowed here")


def run_with_dead_resolver(required, look):
    place = Workplace(sinks("http://receiver.example.com/records", required))
    try:
        dead = DeadResolver(place)
        with dead.socket, Gateway(workplace=place, prefix=dead.prefix) as g:
            until(dead.was_asked, "the resolver is asked")
            look(g)
        verify(place)
    finally:
        place.remove()


def test_dead_resolver_delays_nothing_and_not_the_end():
    """One lookup may take minutes; the process ends within its drain all the same."""
    def look(g):
        assert {g.act().status for _ in range(10)} == {200}
        assert g.get("/readyz").status == 200
    run_with_dead_resolver("", look)


def test_dead_resolver_of_a_required_receiver():
    def look(g):
        assert g.act().status == 503
        assert g.get("/healthz").status == 200 and g.get("/readyz").status == 503
    run_with_dead_resolver("webhook", look)
