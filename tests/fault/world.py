# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The system as the program sees it, bent by preload.c: the wall clock, opens and syncs that hang until the test lets go,
reads that take long."""
import atexit
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

from support import until

HERE = pathlib.Path(__file__).resolve().parent
NUMBERS = ("wall_offset_s", "open_hangs", "sync_hangs", "n_hanging", "read_takes_us")  # struct control of preload.c
NAME_BYTES = 256
built = {}


def library():
    """Compiled once per run."""
    if not built:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="nomos-preload-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        built["path"] = folder / "preload.so"
        subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
                        "-o", built["path"], HERE / "preload.c", "-ldl"], check=True)
    return built["path"]


class World:
    """Give env to Gateway or Workplace.run; close when done."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="nomos-control-")
        size = 8 * len(NUMBERS) + NAME_BYTES
        self.file.truncate(size)
        self.memory = mmap.mmap(self.file.fileno(), size)
        sanitizers = {name: os.environ.get(name, "") + ":verify_asan_link_order=0" for name in ("ASAN_OPTIONS",)}
        self.env = {"LD_PRELOAD": str(library()), "NOMOS_TEST_CONTROL": self.file.name, **sanitizers}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        self.memory.close()
        self.file.close()

    def _set(self, name, value):
        struct.pack_into("=q", self.memory, 8 * NUMBERS.index(name), value)

    def shift_wall(self, seconds):
        self._set("wall_offset_s", seconds)

    def hang_open_of(self, name):
        raw = name.encode()
        self.memory[8 * len(NUMBERS):] = raw + bytes(NAME_BYTES - len(raw))
        self._set("open_hangs", 1)

    def hang_sync(self):
        self._set("sync_hangs", 1)

    def slow_reads(self, microseconds):
        """A machine that can do little: each read of a client's bytes takes so long."""
        self._set("read_takes_us", microseconds)

    def release(self):
        self._set("read_takes_us", 0)
        self._set("open_hangs", 0)
        self._set("sync_hangs", 0)

    def until_hanging(self, count=1):
        until(lambda: struct.unpack_from("=q", self.memory, 8 * NUMBERS.index("n_hanging"))[0] >= count,
              f"{count} threads hang")
