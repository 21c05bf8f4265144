# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Ledgers to be damaged: made once per run by the real program, copied for each case."""
import atexit
import functools
import shutil
import subprocess

from evidence import KINDS, make_action
from support import BIN, PATIENCE, Gateway, Workplace

N_ACTIONS = 260  # about 400 records


def _fill(gateway, name):
    connection = gateway.connect()
    for number in range(N_ACTIONS):
        r = gateway.act(make_action(KINDS[number % len(KINDS)], f"{name}-{number}"), connection=connection)
        assert r.status == 200, r
    connection.close()


@functools.cache
def ended():
    """A workplace whose gateway drained and stopped: all is in the database, the last record is a checkpoint."""
    place = Workplace()
    atexit.register(place.remove)
    with Gateway(workplace=place) as g:
        _fill(g, "ended")
    return place


@functools.cache
def killed():
    """A workplace whose gateway was killed: the last records are in the write-ahead log alone."""
    place = Workplace()
    atexit.register(place.remove)
    with Gateway(workplace=place, expect_exit=None) as g:
        _fill(g, "killed")
        g.kill()
    return place


def copy_of(place):
    copy = Workplace()
    shutil.rmtree(copy.dir)
    shutil.copytree(place.dir, copy.dir)
    return copy


def start(place, args=()):
    """(exit status, log) of a start that is to be refused; a gateway that listens is an error."""
    done = subprocess.Popen([BIN, "serve", "-c", "nomos.json", *args], cwd=place.dir, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    log = ""
    try:
        for line in done.stderr:
            log += line
            assert "listening on" not in line, "it started:\n" + log
        return done.wait(PATIENCE), log
    finally:
        if done.poll() is None:
            done.kill()
        done.wait(PATIENCE)
        done.stderr.close()
