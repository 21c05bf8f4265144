# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What a service manager is to a service: a socket for its messages, and listening sockets it begins with."""
import os
import pathlib
import socket
import sys
import tempfile

from support import PATIENCE

# Becomes the program with the sockets of argv[1] (comma list) as 3, 4, ...; their names are in the environment.
STARTER = """
import os, sys
for at, fd in enumerate(map(int, filter(None, sys.argv[1].split(",")))):
    os.dup2(fd, 100 + at)
n = len(list(filter(None, sys.argv[1].split(","))))
for at in range(n):
    os.dup2(100 + at, 3 + at, inheritable=True)
    os.close(100 + at)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(n)
os.execv(sys.argv[2], sys.argv[2:])
"""


def starter(sockets):
    """A prefix for Gateway: the program begins with these sockets."""
    for s in sockets:
        os.set_inheritable(s.fileno(), True)
    return (sys.executable, "-c", STARTER, ",".join(str(s.fileno()) for s in sockets))


class Inbox:
    """A NOTIFY_SOCKET and the messages that came to it, each as a dictionary. Use it in a `with` block."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="nomos-notify-")
        self.path = str(pathlib.Path(self.dir.name) / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE)

    def take(self):
        """The next one; waits for it."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def take_until(self, key):
        """The next one that has this key; those before are dropped."""
        while key not in (message := self.take()):
            pass
        return message

    def count_waiting(self):
        """Takes what is there and says how many those were."""
        self.socket.setblocking(False)
        n = 0
        try:
            while self.socket.recv(4096):
                n += 1
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)
        return n

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.dir.cleanup()
