#!/usr/bin/env python3
# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""As much of systemctl as docs/deployment.md uses, for units in the folder $UNITS: start and wait for READY=1, reload, stop, and sockets that
are open between two runs of a service. What it keeps is beside the units."""
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

UNITS = pathlib.Path(os.environ["UNITS"])
PATIENCE = 60


def read(name):
    """Settings of a unit as (key, value), in order."""
    lines = (UNITS / name).read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines if "=" in line and not line.startswith("#")]


def get(unit, key):
    return [value for name, value in unit if name == key]


def state(name):
    return UNITS / (name + ".state")


def hold(name):
    """The socket unit: a process that keeps the socket, and hands it to whatever service runs, is this one; started once."""
    unit = read(name)
    host, port = get(unit, "ListenStream")[0].rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    os.set_inheritable(listener.fileno(), True)
    keeper = socket.socket(socket.AF_UNIX)
    keeper.bind(str(UNITS / (name + ".keeper")))
    keeper.listen()
    while True:
        asker, _ = keeper.accept()
        socket.send_fds(asker, [get(unit, "FileDescriptorName")[0].encode()], [listener.fileno()])
        asker.close()


def start_socket(name):
    if os.fork() == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        state(name).write_text(str(os.getpid()))
        hold(name)
    wait_for(lambda: (UNITS / (name + ".keeper")).exists() and state(name).exists())


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("systemctl: no answer")
        time.sleep(0.02)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def inherit(socket_unit):
    """Asks the keeper of the sockets: makes descriptor 3 and says its name."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(UNITS / (socket_unit + ".keeper")))
        name, fds, _, _ = socket.recv_fds(s, 64, 1)
    os.dup2(fds[0], 3, inheritable=True)
    return name.decode()


def start_service(name):
    unit = read(name)
    env = {**os.environ, **dict(e.split("=", 1) for e in get(unit, "Environment"))}
    cwd = get(unit, "WorkingDirectory")[0]
    for line in get(unit, "ExecStartPre"):
        subprocess.run(shlex.split(line), cwd=cwd, env=env, check=True)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = UNITS / (name + ".notify")
    path.unlink(missing_ok=True)
    inbox.bind(str(path))
    inbox.settimeout(PATIENCE)
    env["NOTIFY_SOCKET"] = str(path)
    child = os.fork()
    if child == 0:
        os.setsid()
        socket_unit = name.replace(".service", ".socket")
        if (UNITS / (socket_unit + ".keeper")).exists():
            env.update(LISTEN_FDNAMES=inherit(socket_unit), LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.chdir(cwd)
        line = shlex.split(get(unit, "ExecStart")[0])
        os.execve(line[0], line, env)
    state(name).write_text(str(child))
    while b"READY=1" not in inbox.recv(4096):
        pass


def stop(name):
    pid = int(state(name).read_text())
    os.kill(pid, signal.SIGKILL if name.endswith(".socket") else signal.SIGTERM)
    wait_for(lambda: not is_alive(pid))
    state(name).unlink()
    (UNITS / (name + ".keeper")).unlink(missing_ok=True)


def main():
    verb, names = sys.argv[1], [a for a in sys.argv[2:] if not a.startswith("-")]
    if verb == "daemon-reload":
        for unit in UNITS.glob("nomos.*"):
            assert unit.suffix in (".service", ".socket", ".state", ".notify"), unit
        return
    for name in names:
        if verb in ("stop", "restart"):
            stop(name)
        if verb in ("enable", "start", "restart"):
            (start_socket if name.endswith(".socket") else start_service)(name)
        elif verb == "reload":
            os.kill(int(state(name).read_text()), signal.SIGHUP)


main()
