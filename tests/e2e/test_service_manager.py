# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Under a service manager: what it is told (sd_notify) and when, and the watchdog."""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from service_manager import Inbox
from support import BIN, ROOT, Gateway, have, until
import support

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000


def test_ready_reloading_and_stopping_are_told():
    with Inbox() as inbox, Gateway(env={"NOTIFY_SOCKET": inbox.path}) as g:
        assert inbox.take() == {"READY": "1", "STATUS": "serving"}
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        g.signal(signal.SIGHUP)
        reloading = inbox.take()
        assert reloading["RELOADING"] == "1", reloading
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert inbox.take() == {"READY": "1", "STATUS": "serving"}
        g.place.write_policy("{")
        assert g.operator("POST", "/admin/reload").status == 400
        assert "RELOADING" in inbox.take()
        assert inbox.take() == {"READY": "1", "STATUS": "serving; the last reload was refused"}
        g.signal(signal.SIGTERM)
        assert inbox.take()["STOPPING"] == "1"
        g.process.wait()
        assert inbox.count_waiting() == 0


def test_abstract_socket_and_one_that_is_gone():
    with Inbox() as inbox:
        name = "\0nomos-test-" + str(os.getpid())
        inbox.socket = type(inbox.socket)(inbox.socket.family, inbox.socket.type)
        inbox.socket.bind(name)
        inbox.socket.settimeout(60)
        with Gateway(env={"NOTIFY_SOCKET": "@" + name[1:]}):
            assert inbox.take()["READY"] == "1"
    for text in ("/nonexistent/notify", "relative", "@", "vsock:2:1", "/" + 200 * "x"):
        with Gateway(env={"NOTIFY_SOCKET": text}) as g:
            assert g.act().status == 200


class Stopped:
    """All threads of a process but the first stand still while the block runs."""

    def __init__(self, pid):
        self.pid = pid
        self.threads = [int(t) for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid]

    def __enter__(self):
        for t in self.threads:
            assert LIBC.ptrace(PTRACE_ATTACH, t, 0, 0) == 0, os.strerror(ctypes.get_errno())
            os.waitpid(t, WALL)

    def __exit__(self, *_):
        for t in self.threads:
            LIBC.ptrace(PTRACE_DETACH, t, 0, 0)


def count_switches(pid):
    """How often the first thread has gone to sleep."""
    for line in pathlib.Path(f"/proc/{pid}/task/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError("no count of switches")


def test_watchdog_is_fed_while_every_worker_turns():
    with Inbox() as inbox:
        env = {"NOTIFY_SOCKET": inbox.path, "WATCHDOG_USEC": "90000"}
        with Gateway(env=env) as g:
            pid = g.process.pid
            for _ in range(3):
                inbox.take_until("WATCHDOG")
            with Stopped(pid):
                # One may have been on its way; the question behind it is not answered any more.
                at = count_switches(pid)
                until(lambda: count_switches(pid) > at + 3, "the main thread goes on")
                inbox.count_waiting()
                at = count_switches(pid)
                until(lambda: count_switches(pid) > at + 30, "the main thread goes on")
                assert inbox.count_waiting() == 0
            inbox.take_until("WATCHDOG")
    # For another process; no number: nobody waits for signs.
    for watchdog in ({"WATCHDOG_USEC": "90000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}):
        with Inbox() as inbox, Gateway(env={"NOTIFY_SOCKET": inbox.path, **watchdog}) as g:
            assert "READY" in inbox.take()
            assert g.act().status == 200
            g.signal(signal.SIGTERM)
            assert "STOPPING" in inbox.take()
            g.process.wait()


def test_units_are_sound_and_exposed_to_little():
    if not have("systemd-analyze"):
        raise support.Skip("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory(prefix="nomos-units-") as folder:
        for unit in (ROOT / "configs/systemd").iterdir():
            text = unit.read_text().replace("/usr/local/bin/nomos", shutil.which(BIN) or BIN)
            (pathlib.Path(folder) / unit.name).write_text(text)
        units = sorted(str(p) for p in pathlib.Path(folder).iterdir())
        assert [pathlib.Path(u).name for u in units] == ["nomos.service", "nomos.socket"]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, check=False)
        assert done.returncode == 0 and not done.stderr, done
        # A word that it does not know is only warned of.
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", units[0]],
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()[-400:]
