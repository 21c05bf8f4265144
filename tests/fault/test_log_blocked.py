# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""stderr that nobody reads (a pipe, a terminal), is closed, or is a full disk: nothing waits for it (decisions 41).

That lines are dropped and counted when the queue is full is a unit test (tests/unit/base/test_log.c)."""
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import verify
from pipes import pipe_of, terminal
from support import BIN, POLICY, Gateway, Workplace, action, config, until


class Quiet(Gateway):
    """A gateway whose stderr is `stream`; it is found by its port, not by its log."""

    def __init__(self, stream, place):
        self.own, self.place, self.log, self.expect_exit = False, place, "", 0
        self.address = ("127.0.0.1", free_port())
        options = config()
        options["gateway"]["listen"] = "%s:%d" % self.address
        place.write_config(options)
        self.err = open(os.devnull, "w+b")
        self.process = subprocess.Popen([BIN, "serve", "-c", "nomos.json", "--log-format", "json"], cwd=place.dir, stderr=stream,
                                        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                        preexec_fn=(lambda: os.closerange(0, 3)) if stream is None else None)
        try:
            until(self._answers, "the gateway answers")
        except BaseException:
            self.kill()
            raise

    def _answers(self):
        assert self.process.poll() is None, f"nomos serve ended with {self.process.returncode}"
        with contextlib.suppress(OSError):
            return self.get("/healthz").status == 200
        return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_log_lines(g, n):
    """Each reload is a line; a changed policy shows in /readyz when it is in force."""
    for number in range(n):
        g.place.write_policy({**POLICY, "version": "v1", "rules": [*POLICY["rules"], {
            "id": f"rule-{number}-of-{n}", "action_type": "x.y", "resource": "x://y/**", "decision": "DENY"}]})
        before = g.get("/readyz").body
        g.signal(signal.SIGHUP)
        until(lambda: g.get("/readyz").body != before, "the reload")


def check_works(g, name):
    r = g.act(action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name))
    assert r.status == 200 and (g.place.dir / "workspace/out" / name).read_text() == "x", r
    assert g.get("/readyz").status == 200


def test_stderr_that_nobody_reads():
    """More lines than the pipe holds; a reader that comes late gets them all, in order."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    place = Workplace()
    text = []
    reader = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(read, 65536), b"")))
    try:
        with Quiet(write, place) as g:
            os.close(write)
            write = -1
            make_log_lines(g, 40)
            check_works(g, "blocked")
            reader.start()
            check_works(g, "read")
        reader.join()
        lines = [json.loads(line) for line in b"".join(text).splitlines()]
        times = [line["time"] for line in lines]
        assert sum("reloaded" in line["msg"] for line in lines) == 40 and len(b"".join(text)) > 4096
        assert times == sorted(times) and lines[-1]["msg"] == "stopped", lines[-1]
        verify(place)
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)
        place.remove()


def test_end_with_a_stderr_that_nobody_reads():
    """The last lines wait for a moment, not for ever."""
    place = Workplace()
    try:
        with pipe_of(4096) as (_, write), Quiet(write, place) as g:
            make_log_lines(g, 40)
            check_works(g, "blocked")
        verify(place)
    finally:
        place.remove()


def test_end_with_a_terminal_that_nobody_reads():
    """It says that it takes bytes when it takes less than a line; a write that was begun has to come back all the same."""
    place = Workplace()
    ours, theirs = terminal()
    try:
        with Quiet(theirs, place) as g:
            make_log_lines(g, 40)
            check_works(g, "blocked")
        verify(place)
    finally:
        os.close(ours)
        os.close(theirs)
        place.remove()


def test_stderr_without_a_reader():
    read, write = os.pipe()
    place = Workplace()
    try:
        with Quiet(write, place) as g:
            os.close(write)
            os.close(read)
            make_log_lines(g, 3)
            check_works(g, "alone")
        verify(place)
    finally:
        place.remove()


def test_stderr_and_stdout_closed_at_the_start():
    """Their numbers go to no file of ours."""
    place = Workplace()
    try:
        with Quiet(None, place) as g:
            make_log_lines(g, 3)
            check_works(g, "closed")
        verify(place)
    finally:
        place.remove()


def test_stderr_on_a_full_disk():
    place = Workplace()
    try:
        with open("/dev/full", "wb") as full:
            with Quiet(full, place) as g:
                make_log_lines(g, 3)
                check_works(g, "full")
            verify(place)
    finally:
        place.remove()
