# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""stdout as a sink: closed, without a reader, full, a full disk, a terminal that nobody reads. An optional one delays nothing and loses nothing, a required
one denies within its deadline and gives the intent back (decisions 15, 22)."""
import contextlib
import fcntl
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import read_ledger, verify
from pipes import terminal
from support import Gateway, Workplace, action, config, until

DEADLINE_MS = 300


def options(required):
    return config(audit={"sink": "stdout", "required": required, "required_deadline_ms": DEADLINE_MS})


def write_action(name):
    return action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name)


class Pipe:
    """A pipe of 64 KiB, or other ends; what is read from it is kept."""

    def __init__(self, ends=None):
        self.read, self.write = ends or os.pipe()
        if ends is None:
            fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, 65536)
        self.data = []
        self.reader = threading.Thread(target=self._read)

    def _read(self):
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(self.read, 65536):
                self.data.append(part)

    def start_reading(self):
        self.reader.start()

    def close_write(self):
        if self.write >= 0:
            os.close(self.write)
        self.write = -1

    def seqs(self):
        """What arrived, line by line; each is the record of the ledger, whole."""
        self.close_write()
        self.reader.join()
        return [json.loads(line)["seq"] for line in b"".join(self.data).splitlines()]

    def close(self):
        self.close_write()
        os.close(self.read)


def fill(g, n=100):
    """More records than the pipe holds."""
    for _ in range(n):
        assert g.act().status == 200
    assert g.get("/readyz").status == 200


def check_denies(g, name):
    r = g.act(write_action(name))
    assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
    assert not (g.place.dir / "workspace/out" / name).exists()
    until(lambda: g.get("/readyz").status == 503, "not ready")
    assert g.get("/healthz").status == 200


def check_given_back(place, *names):
    rows = [r for _, r in read_ledger(place.ledger)]
    for intent in [r for r in rows if r["event_type"] == "action.decision" and r["action_id"] in names]:
        outcomes = [r for r in rows if r.get("intent_seq") == intent["seq"]]
        assert [(r["outcome"], r["result_classification"] != "UNKNOWN") for r in outcomes] == [("failed", True)], outcomes


def test_optional_full_pipe_catches_up_in_order():
    pipe = Pipe()
    place = Workplace(options(""))
    try:
        with Gateway(workplace=place, stdout=pipe.write) as g:
            fill(g)
            pipe.start_reading()
            fill(g, 3)
        assert pipe.seqs() == [r["seq"] for _, r in read_ledger(place.ledger)]
        verify(place)
    finally:
        pipe.close()
        place.remove()


def test_optional_full_pipe_is_caught_up_by_the_next_start():
    """The first run ends with records that nobody took; the second one begins where its reader stopped."""
    first, second = Pipe(), Pipe()
    place = Workplace(options(""))
    try:
        with Gateway(workplace=place, stdout=first.write) as g:
            fill(g)
        first.start_reading()
        first.close_write()
        first.reader.join()
        lines = b"".join(first.data).splitlines(keepends=True)
        taken = [json.loads(line)["seq"] for line in lines if line.endswith(b"\n")]
        second.start_reading()
        with Gateway(workplace=place, stdout=second.write):
            pass
        rest = second.seqs()
        every = [r["seq"] for _, r in read_ledger(place.ledger)]
        assert taken + rest == every, (taken[-3:], rest[:3])
        verify(place)
    finally:
        first.close()
        second.close()
        place.remove()


def test_kill_9_repeats_at_most_what_the_cursor_had_not_noted():
    first, second = Pipe(), Pipe()
    place = Workplace(options(""))
    try:
        first.start_reading()
        second.start_reading()
        with Gateway(workplace=place, stdout=first.write, expect_exit=None) as g:
            fill(g)
            g.kill()
        with Gateway(workplace=place, stdout=second.write) as g:
            fill(g, 3)
        taken, rest = first.seqs(), second.seqs()
        every = [r["seq"] for _, r in read_ledger(place.ledger)]
        assert taken == every[:len(taken)] and rest == every[-len(rest):]
        assert len(taken) + len(rest) >= len(every), "a record is in neither"
        verify(place)
    finally:
        first.close()
        second.close()
        place.remove()


def test_optional_closed_broken_or_full():
    """No descriptor at all, a pipe without a reader, a disk without room."""
    @contextlib.contextmanager
    def broken_pipe():
        read, write = os.pipe()
        os.close(read)
        yield write
        os.close(write)

    @contextlib.contextmanager
    def full_disk():
        with open("/dev/full", "wb") as full:
            yield full

    for stream in (contextlib.nullcontext(None), broken_pipe(), full_disk()):
        place = Workplace(options(""))
        try:
            with stream as out, Gateway(workplace=place, stdout=out, preexec_fn=(lambda: os.close(1)) if out is None else None) as g:
                fill(g, 20)
                assert g.act(write_action("done")).status == 200 and (place.dir / "workspace/out/done").exists()
            verify(place)
        finally:
            place.remove()


def test_required_closed_at_the_start():
    place = Workplace(options("stdout"))
    try:
        with Gateway(workplace=place, preexec_fn=lambda: os.close(1)) as g:
            check_denies(g, "refused")
        check_given_back(place, "refused")
        verify(place)
    finally:
        place.remove()


def test_required_loses_its_reader():
    """Nobody can ever read that pipe again: it denies until it is started anew, and then the records come."""
    first, second = Pipe(), Pipe()
    place = Workplace(options("stdout"))
    try:
        with Gateway(workplace=place, stdout=first.write) as g:
            first.close_write()
            assert os.read(first.read, 65536)
            os.close(first.read)
            first.read = os.open(os.devnull, os.O_RDONLY)
            check_denies(g, "refused")
        second.start_reading()
        with Gateway(workplace=place, stdout=second.write) as g:
            until(lambda: g.act().status == 200, "decisions again")
        check_given_back(place, "refused")
        rest = second.seqs()
        assert rest == [r["seq"] for _, r in read_ledger(place.ledger)][-len(rest):]
        verify(place)
    finally:
        first.close()
        second.close()
        place.remove()


def fill_until_denied(g):
    """Measured: from the question to the 503 it is the deadline, and scheduling; nothing waits for the next one."""
    took = []

    def is_denied():
        begin = time.monotonic()
        r = g.act()
        took.append(time.monotonic() - begin)
        return r.status == 503
    until(is_denied, "nothing more is taken")
    print(f"      denied after {took[-1]:.3f} s with a deadline of {DEADLINE_MS / 1000} s", flush=True)


def check_denies_and_goes_on(pipe):
    place = Workplace(options("stdout"))
    try:
        with Gateway(workplace=place, stdout=pipe.write) as g:
            fill_until_denied(g)
            check_denies(g, "refused")
            pipe.start_reading()
            until(lambda: g.act().status == 200, "decisions again")
        check_given_back(place, "refused")
        assert pipe.seqs() == [r["seq"] for _, r in read_ledger(place.ledger)]
        verify(place)
    finally:
        pipe.close()
        place.remove()


def test_required_denies_within_its_deadline():
    check_denies_and_goes_on(Pipe())


def test_required_terminal_denies_within_its_deadline():
    check_denies_and_goes_on(Pipe(terminal()))


def test_end_with_a_terminal_that_nobody_reads():
    """Neither the sink nor telemetry's lines hold it up, alone or together; what was written is whole lines, but for the last."""
    for extra in ({}, {"telemetry": {"enabled": True, "sink": "stdout"}}):
        pipe = Pipe(terminal())
        place = Workplace({**options("stdout"), **extra})
        try:
            with Gateway(workplace=place, stdout=pipe.write) as g:
                fill_until_denied(g)
                check_denies(g, "refused")
            check_given_back(place, "refused")
            verify(place)
            pipe.start_reading()
            pipe.close_write()
            pipe.reader.join()
            lines = b"".join(pipe.data).split(b"\n")
            seqs = [r["seq"] for r in map(json.loads, lines[:-1]) if "seq" in r]
            assert seqs and seqs == [r["seq"] for _, r in read_ledger(place.ledger)][:len(seqs)], seqs
        finally:
            pipe.close()
            place.remove()
