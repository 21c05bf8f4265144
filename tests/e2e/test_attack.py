# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What a hostile client, a careless operator or a poor host does to the program."""
import os
import resource
import signal
import socket
import subprocess

from support import BIN, PATIENCE, Gateway, Workplace, action, config, until


def limit_of(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


def test_clients_that_never_finish_do_not_fail_the_end():
    """Whoever can connect can send half a request or leave a reply unread; a stop must still be a clean one."""
    halves = (b"GET /he", b"POST /action HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    with Gateway(config(gateway={"shutdown_grace_seconds": 6})) as g:
        held = []
        for half in halves:
            s = socket.create_connection(g.address)
            s.sendall(half)
            held.append(s)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(g.address)
        deaf.setblocking(False)
        one = b"GET /openapi.yaml HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
        try:
            for _ in range(1000):
                deaf.send(one)
        except BlockingIOError:
            pass
        held.append(deaf)
        assert g.act().status == 200
        assert g.stop() == 0, g.read_log()
        assert g.records()[-1]["event_type"] == "checkpoint"
        for s in held:
            s.close()


def test_a_hangup_before_the_gateway_listens_is_a_reload():
    def hang_up_early():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        os.kill(os.getpid(), signal.SIGHUP)

    with Gateway(preexec_fn=hang_up_early) as g:
        reloads = until(lambda: [r for r in g.records() if r["event_type"] == "runtime.reload"], "the reload is recorded")
        assert reloads[0]["outcome"] == "success" and g.act().status == 200


def test_a_limit_of_file_sizes_is_an_error_of_the_write():
    """SIGXFSZ would end the process in the middle of an effect."""
    with Gateway() as g:
        assert g.act().status == 200
        old = resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (0, old[1]))
        r = g.act(action("fs.write", "file://workspace/out/a", {"content": "x"}))
        assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
        assert not (g.place.dir / "workspace" / "out" / "a").exists()
        resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, old)
        until(lambda: g.act().status == 200, "the ledger takes records again")


def test_too_few_descriptors_at_the_start_are_named():
    place = Workplace()
    try:
        n_refused = 0
        for n in range(5, 30):
            process = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, preexec_fn=limit_of(resource.RLIMIT_NOFILE, n))
            text = b""
            while b"listening on" not in text:
                part = os.read(process.stderr.fileno(), 65536)
                if not part:
                    break
                text += part
            process.terminate()
            process.stderr.close()
            process.wait(PATIENCE)
            if b"listening on" in text:
                continue
            n_refused += 1
            assert b"Too many open files" in text or b"unable to open database file" in text or b"shared" in text \
                or b"too low" in text, (n, text)
        assert n_refused > 0
    finally:
        place.remove()


def test_output_that_nobody_takes_is_a_failure():
    place = Workplace()
    try:
        place.run("init", "made", check=0)
        for args in (["version"], ["policy", "hash", "policy.json"], ["config", "dump", "-c", "nomos.json"],
                     ["config", "doc"], ["config", "schema"], ["config", "example"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([BIN, *args], cwd=place.dir, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
            assert done.returncode == 1 and b"cannot write to stdout" in done.stderr, (args, done)
    finally:
        place.remove()


def test_a_fifo_in_place_of_the_search_index_does_not_hold_a_search():
    place = Workplace()
    index = place.dir / "ledger.db.idx"

    def search():
        found = place.run("audit", "query", "ledger.db", "--format", "json", "--decision", "ALLOW", check=0)
        return len(found.stdout.splitlines())

    try:
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
            until(index.exists, "the index is there")
            n = search()
            assert n > 0
            index.unlink()
            os.mkfifo(index)
            assert search() == n
        assert search() == n
        with Gateway(workplace=place) as g:
            assert g.act().status == 200 and search() > n
    finally:
        place.remove()
