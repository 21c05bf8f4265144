# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Signals at every moment of the process's life (decisions 37): before it is ready, under load, while the ledger closes."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import Load, check_acknowledged, check_effects, make_action, open_intents, read_ledger, rounds, seeded, verify
from support import BIN, PATIENCE, Gateway, Workplace, action, config, until
from world import World


def check_clean_end(place):
    """Nothing is left for the next start to mend, and it finds nothing to say but that the keys of these tests stand in clear."""
    done = place.run("audit", "verify", place.ledger, check=0)
    assert b", 0 unsigned" in done.stdout, done.stdout
    rows = read_ledger(place.ledger)
    assert rows[-1][1]["event_type"] == "checkpoint" and not open_intents(rows)
    with Gateway(workplace=place) as g:
        assert g.act().status == 200
        log = [json.loads(line) for line in g.read_log().splitlines()]
    assert not [line for line in log if line["level"] not in ("info", "ok") and "stand in clear" not in line["msg"]], log


def wire_bytes(gateway, body):
    raw = json.dumps(body).encode()
    lines = ["POST /action HTTP/1.1", "Host: x", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in gateway.auth(raw).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


class Pipeliner:
    """Sends requests in packs of four on one connection and reads whole answers until the gateway closes."""

    PACK = 4

    def __init__(self, gateway, name):
        self.gateway, self.name = gateway, name
        self.statuses = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with socket.create_connection(self.gateway.address, timeout=PATIENCE) as s:
            replies = s.makefile("rb")
            try:
                while True:
                    number = len(self.statuses)
                    s.sendall(b"".join(wire_bytes(self.gateway, make_action("write", f"{self.name}-{number + i}"))
                                       for i in range(self.PACK)))
                    for _ in range(self.PACK):
                        if not self._read_one(replies):
                            return
            except ConnectionError:
                return

    def _read_one(self, replies):
        line = replies.readline()
        if not line:
            return False
        headers = http.client.parse_headers(replies)
        length = int(headers["Content-Length"])
        assert len(replies.read(length)) == length, "an answer was cut"
        self.statuses.append(int(line.split()[1]))
        return True


def test_sigterm_under_load_answers_all_that_was_accepted():
    pick = seeded("sigterm under load")
    place = Workplace()
    try:
        for number in range(rounds(4, 60)):
            before = len(read_ledger(place.ledger)) if place.ledger.exists() else 0
            with Gateway(workplace=place) as g:
                load = Load(g, pick, f"r{number}", connections=8)
                pipes = [Pipeliner(g, f"r{number}-p{i}") for i in range(4)]
                until(lambda: len(load.acknowledged) >= 30 and all(p.statuses for p in pipes), "load")
                time.sleep(pick.uniform(0, 0.05))  # the moment of the signal
                g.signal(pick.choice([signal.SIGTERM, signal.SIGINT]))
                load.join()
                for p in pipes:
                    p.thread.join()
                assert g.process.wait(PATIENCE) == 0, g.read_log()
            rows = read_ledger(place.ledger)
            check_acknowledged(load.acknowledged, rows)
            check_effects(place, load.acknowledged, rows)
            # What is in the ledger was accepted, so somebody has read an answer to it.
            decided = [r["action_id"] for _, r in rows[before:] if r["event_type"] == "action.decision"]
            answered = len(load.acknowledged) + sum(len(p.statuses) for p in pipes)
            assert {s for p in pipes for s in p.statuses} == {200}
            assert len(decided) == answered, f"{len(decided)} decided, {answered} answered"
            check_clean_end(place)
    finally:
        place.remove()


def test_second_signal_ends_at_once_while_the_ledger_closes():
    with World() as world, Gateway(env=world.env, expect_exit=None) as g:
        assert g.act().status == 200
        world.hang_sync()
        g.signal(signal.SIGTERM)
        world.until_hanging()  # the last checkpoint does not come to the disk
        g.signal(signal.SIGTERM)
        assert g.process.wait(PATIENCE) in (1, -signal.SIGTERM)
        world.release()
        verify(g.place)
        with Gateway(workplace=g.place) as again:
            assert again.act().status == 200
        verify(g.place)


def test_second_signal_ends_at_once_while_a_reload_hangs():
    with World() as world, Gateway(env=world.env, expect_exit=None) as g:
        world.hang_open_of("policy.json")
        g.signal(signal.SIGHUP)
        world.until_hanging()
        assert g.act().status == 200
        g.signal(signal.SIGTERM)
        until(lambda: "a reload does not end" not in g.read_log() and g.is_refusing(), "the listeners are closed")
        g.signal(signal.SIGTERM)
        assert g.process.wait(PATIENCE) in (1, -signal.SIGTERM)
        verify(g.place)


def test_hangup_is_harmless_until_the_last_instruction():
    """Log rotation and reload scripts do not know that the gateway is just going."""
    reader, writer = os.pipe()
    place = Workplace()
    process = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        text = b""
        while b"listening on" not in text:
            text += os.read(reader, 65536)
        process.terminate()
        # Nobody reads the log any more: its last lines wait for up to two seconds while the rest is gone already.
        fill(f"/proc/{process.pid}/fd/2")
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
        assert process.returncode == 0, process.returncode
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        place.remove()


def fill(path):
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return  # it has ended already
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        pass
    finally:
        os.close(fd)


def start_hung(world, place):
    """A start that stands still before it reads its policy."""
    world.hang_open_of("policy.json")
    process = subprocess.Popen([BIN, "serve", "-c", "nomos.json", "--log-format", "json"], cwd=place.dir, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **world.env})
    world.until_hanging()
    return process


def test_hangup_before_ready_waits_and_reloads():
    place = Workplace()
    with World() as world:
        process = start_hung(world, place)
        try:
            process.send_signal(signal.SIGHUP)
            world.release()
            until(lambda: b"runtime.reload" in place.run("audit", "query", place.ledger).stdout, "the reload is recorded")
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
    check_clean_end(place)
    place.remove()


def test_sigterm_at_any_moment_of_a_start_leaves_nothing_to_mend():
    pick = seeded("sigterm while starting")
    place = Workplace()
    statuses = set()
    try:
        for _ in range(rounds(30, 300)):
            process = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pick.uniform(0, 0.08))  # the moment of the signal
            process.terminate()
            statuses.add(process.wait(PATIENCE))
            assert statuses <= {0, -signal.SIGTERM}, statuses
            if place.ledger.exists() and process.returncode == 0:
                verify(place)
                assert not open_intents(read_ledger(place.ledger))
        # A start that was cut off so early that it has only made files is gone on with.
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        check_clean_end(place)
        print(f"      ended with {sorted(statuses)}", flush=True)
    finally:
        place.remove()


def test_stopped_for_longer_than_every_deadline():
    """A machine that was suspended: what came in meanwhile is served, nothing is refused for the time that was slept through."""
    options = config(gateway={"idle_timeout_seconds": 1, "header_timeout_seconds": 1, "body_timeout_seconds": 1})
    with Gateway(options) as g:
        connections = [g.connect() for _ in range(8)]
        for c in connections:
            assert g.act(connection=c).status == 200
        g.signal(signal.SIGSTOP)
        begin = time.monotonic()
        raw = wire_bytes(g, action(action_id="slept"))
        for c in connections:
            c.sock.sendall(raw)
        until(lambda: time.monotonic() - begin > 3, "the deadlines are over")
        g.signal(signal.SIGCONT)
        for c in connections:
            r = http.client.HTTPResponse(c.sock, method="POST")
            r.begin()
            assert r.status == 200, (r.status, r.read())
            r.read()
            c.close()
        assert g.act().status == 200


def test_ignored_signals_change_nothing():
    with Gateway() as g:
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG):
            g.signal(number)
            assert g.act().status == 200


def test_signals_that_end_the_process_are_like_a_crash():
    pick = seeded("other signals")
    place = Workplace()
    try:
        for number in (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            # A shell's background job is started with some of them ignored.
            with Gateway(workplace=place, expect_exit=-number, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as g:
                load = Load(g, pick, f"s{int(number)}")
                until(lambda: len(load.acknowledged) >= 10, "load")
                g.signal(number)
                load.join()
                g.process.wait(PATIENCE)
            rows = read_ledger(place.ledger)
            check_acknowledged(load.acknowledged, rows)
            check_effects(place, load.acknowledged, rows)
            verify(place)
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
        assert not open_intents(read_ledger(place.ledger))
    finally:
        place.remove()
