# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Attempts to get around the policy (nomos-policy.md 6.4), against the built program; the rows are tests/corpus/bypass/cases.json.

The policy allows everything but .env files: what stops an attempt here is the gateway, not a rule that happens to be missing.
A row says what is attempted, what must come back, how the trail classifies it (null: refused before it is an action), and what must
not be seen. Kinds of action that nothing carries out yet are denied; their rows say so and change with them.
"""
import ctypes
import json
import os
import threading

from support import Gateway, LONG, ROOT, action, until

POLICY = {"version": "v1", "rules": [
    {"id": "all", "action_type": "*", "resource": "**", "decision": "ALLOW"},
    {"id": "no-env", "action_type": "*", "resource": "file://workspace/**/.env", "decision": "DENY"},
]}
OUTSIDE_SECRET = "secret-outside-of-the-workspace"
INSIDE_SECRET = "secret-that-a-rule-denies"
# Never in an answer or a record, whatever was attempted.
NEVER = (OUTSIDE_SECRET, INSIDE_SECRET, "AKIAABCDEFGHIJKLMNOP", "abcdefghijklmnopqrstuvwxyz", "root:x:0")
RENAME_EXCHANGE = 2
AT_FDCWD = -100


def furnish(place):
    """Every trap that a row needs; the folder outside lies beside the workspace."""
    workspace, outside = place.dir / "workspace", place.dir / "outside"
    outside.mkdir()
    (outside / "secret").write_text(OUTSIDE_SECRET)
    (workspace / ".env").write_text(INSIDE_SECRET)
    (workspace / "leaky.txt").write_text("a AKIAABCDEFGHIJKLMNOP b\n")
    os.symlink(outside / "secret", workspace / "link-to-secret")
    os.symlink(".env", workspace / "link-to-env")
    os.symlink(outside, workspace / "link-to-outside")
    os.symlink(outside / "made-by-dangling", workspace / "dangling")
    os.symlink("/proc/self/root", workspace / "link-to-proc")
    os.link(workspace / ".env", workspace / "hard-to-env")
    os.mkfifo(workspace / "fifo")


def attempt(g, tried):
    if "raw_bytes" in tried:
        return g.act(b'{"x":"' + b"x" * tried["raw_bytes"] + b'"}')
    if "raw" in tried:
        return g.act(tried["raw"].encode())
    params = dict(tried["params"])
    if "content_bytes" in tried:
        params["content"] = "x" * tried["content_bytes"]
    return g.act(action(tried["action_type"], tried["resource"], params))


def check_answer(case, r):
    expected = case["expected"]
    assert r.status == expected["status"], r
    assert r.json["decision"] == expected["decision"] and r.json["reason"].startswith(expected["reason"]), r
    if case["redaction_behavior"] == "no output":
        assert "output" not in r.json, r


def check_trail(case, records):
    """The last record about the attempt carries the classification; an attempt that is no action leaves no success behind."""
    found = [x["result_classification"] for x in records if "result_classification" in x]
    if case["audit_classification"] is not None:
        assert found and found[-1] == case["audit_classification"], records
    if case["expected"]["decision"] == "DENY":
        assert "SUCCESS" not in found, records


def tree(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_attempts():
    cases = json.loads((ROOT / "tests/corpus/bypass/cases.json").read_text())
    assert len({case["id"] for case in cases}) == len(cases) > 40
    with Gateway(policy=POLICY) as g:
        furnish(g.place)
        outside = tree(g.place.dir / "outside")
        failed = []
        answers = {}
        for case in cases:
            r = attempt(g, case["action_attempted"])
            answers[r.headers["X-Request-Id"]] = case
            try:
                check_answer(case, r)
                text = r.body.decode()
                assert not [s for s in (*NEVER, str(g.place.dir)) if s in text], text
            except AssertionError as error:
                failed.append(f"{case['id']}: {error}")
        trail = g.records()
        for request_id, case in answers.items():
            try:
                check_trail(case, [x for x in trail if x.get("request_id") == request_id])
            except AssertionError as error:
                failed.append(f"{case['id']}: trail: {error}")
        text = json.dumps(trail)
        failed += [f"in a record: {secret}" for secret in NEVER if secret in text]
        assert not failed, "\n".join(failed)
        assert tree(g.place.dir / "outside") == outside, "something outside of the workspace was touched"
        assert (g.place.dir / "workspace/.env").read_text() == INSIDE_SECRET
        assert not (g.place.dir / "workspace/twice").exists() and not (g.place.dir / "workspace/big").exists()
        g.place.run("audit", "verify", g.place.ledger, check=0)


class Swapper:
    """Exchanges two names without a pause, so that a check and the use after it meet different files."""

    def __init__(self, first, second):
        self.stopping = threading.Event()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.thread = threading.Thread(target=self._run, args=(os.fsencode(first), os.fsencode(second)))

    def _run(self, first, second):
        while not self.stopping.is_set():
            assert self.libc.renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) == 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        self.thread.join()


def race(attempt, seen):
    """Many attempts, and more until one was won and one lost."""
    while len(seen) < (5000 if LONG else 300):
        attempt()
    until(lambda: attempt() or len(set(seen)) == 2, "the race was won and lost")


def test_workspace_race_probe():
    with Gateway(policy=POLICY) as g:
        workspace, outside = g.place.dir / "workspace", g.place.dir / "outside"
        outside.mkdir()
        (workspace / "parent").mkdir()
        os.symlink(outside, workspace / "swap")
        seen = []

        def write():
            n = len(seen)
            r = g.act(action("fs.write", f"file://workspace/parent/f{n}", {"content": "x"}, action_id=f"race-{n}"))
            assert r.status in (200, 400), r
            if r.status == 400:
                assert r.json["reason"].startswith("execution_error: file://workspace/parent/"), r
            seen.append(r.status)
        with Swapper(workspace / "parent", workspace / "swap"):
            race(write, seen)
        assert list(outside.iterdir()) == [], "a write left the workspace"
        classes = {x["result_classification"] for x in g.records() if x["event_type"] == "action.completed"}
        assert "SUCCESS" in classes and "SANDBOX_VIOLATION" in classes, classes


def test_file_race_probe():
    with Gateway(policy=POLICY) as g:
        workspace = g.place.dir / "workspace"
        (g.place.dir / "outside").write_text(OUTSIDE_SECRET)
        (workspace / "file").write_text("harmless")
        os.symlink(g.place.dir / "outside", workspace / "swap")
        seen = []

        def read():
            r = g.act(action("fs.read", "file://workspace/file"))
            assert OUTSIDE_SECRET not in r.body.decode(), "a read left the workspace"
            assert r.status == 400 or (r.status == 200 and r.json["output"] == "harmless"), r
            seen.append(r.status)
        with Swapper(workspace / "file", workspace / "swap"):
            race(read, seen)
