# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Pipes and terminals as a stdout or stderr that nobody reads."""
import contextlib
import fcntl
import os
import pty


def fill(write):
    """Whoever writes next has to wait until somebody reads."""
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"\n" * 4096):
            pass
    os.set_blocking(write, True)


@contextlib.contextmanager
def pipe_of(capacity, is_full=False):
    """(read end, write end) of a pipe that holds so many bytes; the write end blocks, as a stdout does."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, capacity)
    try:
        if is_full:
            fill(write)
        yield read, write
    finally:
        os.close(read)
        os.close(write)


def terminal():
    """(our end, the program's end). The program's polls as writable while it takes less than a line, and a write waits then; each
    line that comes out ends with a carriage return and a line feed."""
    return pty.openpty()


def drain(read, stop):
    """Reads and throws away until stop is set."""
    os.set_blocking(read, False)
    while not stop.wait(0.005):
        with contextlib.suppress(BlockingIOError):
            while os.read(read, 65536):
                pass
