# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The other side of heap_shim.c: starts the program with it, chooses what fails, reads what was counted."""
import mmap
import os
import pathlib
import subprocess
import tempfile

from support import BIN

SHIM = pathlib.Path(BIN).resolve().parent / "tests/libheap_shim.so"
OWNERS = ("other", "own", "event", "crypto", "sqlite", "libc", "yaml", "curl", "patterns", "cjson")
ATTACHED, FAIL_IN, FAIL_ALL, MASK, FAILED, LIVE_BYTES, PEAK_BYTES, TRACE_ON, TRACED = range(9)
COUNTS, WHERE, TRACE, TRACE_MAX = 16, 1024, 8192, 1 << 18


class Heap:
    """One control file; give `env` to the process."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="nomos-heap-")
        self.file.truncate(TRACE + 8 * TRACE_MAX)
        self.map = mmap.mmap(self.file.fileno(), 0)
        self.words = memoryview(self.map).cast("Q")
        self.env = {"NOMOS_HEAP_CONTROL": self.file.name, "LD_PRELOAD": str(SHIM)}
        if _is_asan():
            # The shim stands in front of the sanitizer's allocator and hands everything on to it.
            # What the loader keeps when the shim looks at the stack is not the program's.
            self.known_leaks = tempfile.NamedTemporaryFile(prefix="nomos-heap-", mode="w")
            self.known_leaks.write("leak:_dl_map_object_deps\n")
            self.known_leaks.flush()
            self.env["LSAN_OPTIONS"] = f"suppressions={self.known_leaks.name}:print_suppressions=0"
            self.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:allocator_may_return_null=1"

    def close(self):
        self.words.release()
        self.map.close()
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def clear(self):
        """For the next process: nothing fails, nothing is counted."""
        self.words[:1024] = memoryview(bytes(8192)).cast("Q")

    def fail_at(self, n, *owners):
        """The n-th allocation from now fails, once; of these owners only, when some are given. 0: none."""
        self.words[MASK] = sum(1 << OWNERS.index(o) for o in owners)
        self.words[FAILED] = 0
        self.words[FAIL_IN] = n

    def disarm(self):
        """Nothing fails any more; whether something did."""
        self.words[FAIL_IN] = 0
        self.words[FAIL_ALL] = 0
        return self.words[FAILED] > 0

    def fail_all(self, *owners):
        self.words[MASK] = sum(1 << OWNERS.index(o) for o in owners)
        self.words[FAILED] = 0
        self.words[FAIL_ALL] = 1

    @property
    def failed(self):
        return self.words[FAILED]

    def calls(self, owner):
        return self.words[COUNTS + 4 * OWNERS.index(owner)]

    def live(self, owner):
        """(blocks, bytes) that are allocated now."""
        at = COUNTS + 4 * OWNERS.index(owner)
        return self.words[at + 1], self.words[at + 2]

    def peak(self, owner):
        """The most bytes since restart_peaks."""
        return self.words[COUNTS + 4 * OWNERS.index(owner) + 3]

    @property
    def live_bytes(self):
        return self.words[LIVE_BYTES]

    def restart_peaks(self):
        self.words[PEAK_BYTES] = self.words[LIVE_BYTES]
        for owner in range(len(OWNERS)):
            self.words[COUNTS + 4 * owner + 3] = self.words[COUNTS + 4 * owner + 2]

    def trace(self, is_on):
        self.words[TRACED] = 0
        self.words[TRACE_ON] = int(is_on)

    @property
    def traced(self):
        """One number per allocation since trace(True): equal ones came the same way."""
        first = TRACE // 8
        return list(self.words[first:first + min(self.words[TRACED], TRACE_MAX)])

    @property
    def where(self):
        """The calls above the last failure, by name where the program has one."""
        lines = bytes(self.map[WHERE:WHERE + 7168]).split(b"\0")[0].decode().splitlines()
        own = [line.split("+")[1] for line in lines if line.startswith("program+")]
        named = iter(_names(own))
        return " < ".join(next(named) if line.startswith("program+") else line for line in lines)


def _names(addresses):
    if not addresses:
        return []
    done = subprocess.run(["addr2line", "-f", "-s", "-e", BIN, *addresses], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if len(lines) < 2 * len(addresses):
        return addresses
    return [f"{lines[2 * i]} {lines[2 * i + 1]}" for i in range(len(addresses))]


def _is_asan():
    return b"libasan" in subprocess.run(["ldd", BIN], capture_output=True, check=False).stdout
