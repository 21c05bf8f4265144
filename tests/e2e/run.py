# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Runs every test_* function of every test_*.py beside this file and under ../fault; the last line counts them.

    run.py [name ...]     only tests whose file or function name holds one of the words
"""
import importlib.util
import os
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
ALLOWED_SKIPS = {line.split("#")[0].strip() for line in (HERE.parent / "allowed_skips").read_text().splitlines()}


class Skip(Exception):
    """Raised by a test that cannot run here; a failure unless tests/allowed_skips names it."""


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    import support
    support.Skip = Skip
    words = sys.argv[1:]
    passed = failed = 0
    files = sorted(HERE.glob("test_*.py")) + sorted((HERE.parent / "fault").glob("test_*.py"))
    for path in files:
        module = load(path)
        for name, test in list(vars(module).items()):
            if not name.startswith("test_") or not callable(test):
                continue
            label = f"{path.stem}.{name}"
            if words and not any(word in label for word in words):
                continue
            begin = time.monotonic()
            try:
                test()
            except Skip as skip:
                if label in ALLOWED_SKIPS:
                    print(f"skip  {label}: {skip}", flush=True)
                    continue
                failed += 1
                print(f"FAIL  {label}: skipped ({skip}), which tests/allowed_skips does not allow", flush=True)
            except BaseException as error:  # an assertion, a time-out, an interrupt: all are failures with a trace
                failed += 1
                print(f"FAIL  {label}", flush=True)
                traceback.print_exc(file=sys.stdout)
                if isinstance(error, KeyboardInterrupt):
                    break
            else:
                passed += 1
                print(f"ok    {label} ({time.monotonic() - begin:.2f} s)", flush=True)
    print(f"e2e: {passed} passed, {failed} failed", flush=True)
    os._exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
