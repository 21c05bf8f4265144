# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Runs every test_* function of every test_*.py beside this file and under ../fault; the last line counts them.

    run.py [--sample] [--jobs N] [name ...]     only tests whose file or function name holds one of the words

Files run in a process of their own, two at a time; a file that says `ALONE = True` runs when no other does. With words, or with
`--jobs 1`, all run here, one after the other. `--sample` leaves out those files of ../fault that SAMPLE does not name. A file
that has not ended after LIMIT seconds fails: it shows where it stands and is ended with all that it started.
"""
import argparse
import atexit
import concurrent.futures
import faulthandler
import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
FAULT = HERE.parent / "fault"
sys.path.insert(0, str(HERE))
ALLOWED_SKIPS = {line.split("#")[0].strip() for line in (HERE.parent / "allowed_skips").read_text().splitlines()}
# Threads, ledger and net under faults: what a sanitizer can say more about than the other files have already made it say.
SAMPLE = ("test_fault_points", "test_flood", "test_kill", "test_overload", "test_reload_faults", "test_signals", "test_sinks")
# The files that take longest, beginning with the longest: none of them is left at the end with nothing beside it.
FIRST = ("test_ui_page", "test_fault_points", "test_reload_faults", "test_flood", "test_waiting")

LIMIT = 7200 if os.environ.get("NOMOS_TEST_LONG") == "yes" else 900


class Skip(Exception):
    """Raised by a test that cannot run here; a failure unless tests/allowed_skips names it."""


def load(path):
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_test(label, test):
    """Whether it passed; None: it was skipped, as it may be."""
    begin = time.monotonic()
    try:
        test()
    except Skip as skip:
        if label in ALLOWED_SKIPS:
            print(f"skip  {label}: {skip}", flush=True)
            return None
        print(f"FAIL  {label}: skipped ({skip}), which tests/allowed_skips does not allow", flush=True)
        return False
    except BaseException as error:  # an assertion, a time-out: all are failures with a trace
        print(f"FAIL  {label}", flush=True)
        traceback.print_exc(file=sys.stdout)
        if isinstance(error, KeyboardInterrupt):
            raise
        return False
    print(f"ok    {label} ({time.monotonic() - begin:.2f} s)", flush=True)
    return True


def run_here(files, words):
    """How many passed and failed."""
    results = []
    for path in files:
        for name, test in list(vars(load(path)).items()):
            label = f"{path.stem}.{name}"
            if name.startswith("test_") and callable(test) and (not words or any(word in label for word in words)):
                results.append(run_test(label, test))
    return results.count(True), results.count(False)


def end_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def run_apart(path):
    """What it printed, and how many passed and failed, in a process of its own. Its output goes to a file: of a pipe, a process that
    outlives the test would hold the other end."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([sys.executable, "-B", __file__, "--jobs", "1", path.stem + "."], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(LIMIT)
            ended = f"ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"was ended after {LIMIT} s"
            process.send_signal(signal.SIGUSR1)  # it writes where its threads stand
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        end_group(process, signal.SIGKILL)
        process.wait()
        out.seek(0)
        printed = out.read().decode(errors="replace")
    text, _, last = printed.rstrip("\n").rpartition("\n")
    count = re.fullmatch(r"e2e: (\d+) passed, (\d+) failed", last)
    if count is None:
        return f"{printed}FAIL  {path.stem}: {ended} before its last test\n", (0, 1)
    return text + "\n", (int(count[1]), int(count[2]))


def work_of(text):
    """Seconds of the tests that passed in what a file printed."""
    return sum(float(seconds) for seconds in re.findall(r"^ok    .* \((\d+\.\d+) s\)$", text, re.M))


def run_together(files, jobs):
    alone = [path for path in files if re.search(r"^ALONE = True$", path.read_text(), re.M)]
    passed = failed = n_faults = 0
    fault_seconds = 0.0
    files = sorted(files, key=lambda path: FIRST.index(path.stem) if path.stem in FIRST else len(FIRST))
    for group, width in ([path for path in files if path not in alone], jobs), (alone, 1):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            for path, (text, count) in zip(group, pool.map(run_apart, group)):
                print(text, end="", flush=True)
                if path.parent == FAULT:
                    n_faults += sum(count)
                    fault_seconds += work_of(text)
                passed += count[0]
                failed += count[1]
    if n_faults > 0:
        print(f"fault cases: {n_faults}, {fault_seconds:.0f} s one after the other", flush=True)
    return passed, failed


def main():
    import support
    support.Skip = Skip
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    socket.setdefaulttimeout(LIMIT / 3)
    # A shell may have started this in the background, with these ignored; the programs under test would inherit it.
    for number in signal.SIGINT, signal.SIGQUIT:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    files = sorted(FAULT.glob("test_*.py")) + sorted(HERE.glob("test_*.py"))
    if options.sample:
        files = [path for path in files if path.parent == HERE or path.stem in SAMPLE]
    if options.words or options.jobs == 1:
        passed, failed = run_here(files, options.words)
    else:
        passed, failed = run_together(files, options.jobs)
    atexit._run_exitfuncs()  # what is kept for several tests is removed; a thread that a test left holds up no end
    print(f"e2e: {passed} passed, {failed} failed", flush=True)
    os._exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
