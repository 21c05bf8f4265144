# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What long commands show on a terminal, and only there."""
import json
import os
import pty
import re
import subprocess
import threading

from support import BIN, PATIENCE, Gateway, Workplace, action, config

PROGRESS_EVERY = 4096  # records


def fill_ledger(place):
    """More records than lie between two lines of progress: each read is an intent and an outcome."""
    per_thread = PROGRESS_EVERY // 2 // 8 + 10

    def act(g):
        c = g.connect()
        for _ in range(per_thread):
            assert g.act(action("fs.read", "file://workspace/README.md"), connection=c).status == 200
        c.close()
    with Gateway(workplace=place) as g:
        threads = [threading.Thread(target=act, args=(g,)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def run_on_terminal(place, *args):
    """Exit status, stdout (a pipe), and what the terminal got on stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BIN, *map(str, args)], cwd=place.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = []

    def read():
        while True:
            try:
                shown.append(os.read(ours, 65536))
            except OSError:  # the last one has closed it
                return
    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=PATIENCE)
    reader.join()
    os.close(ours)
    return process.returncode, out, b"".join(shown)


def test_progress_of_long_commands_on_a_terminal():
    place = Workplace()
    try:
        fill_ledger(place)
        export = place.dir / "export.jsonl"
        export.write_bytes(place.run("audit", "export", place.ledger, check=0).stdout)
        n_records = sum("event_type" in json.loads(line) for line in export.read_text().splitlines())
        for args in (("audit", "verify", place.ledger), ("audit", "export", place.ledger), ("audit", "verify", export)):
            plain = place.run(*args, check=0)
            status, out, shown = run_on_terminal(place, *args)
            assert status == 0 and out == plain.stdout, args
            # Each line is written over by the next, and the last one is wiped.
            lines = re.findall(rb"\r[a-z ]+ (\d+)(?: of (\d+))? records", shown)
            assert lines and int(lines[0][0]) == PROGRESS_EVERY, (args, shown)
            assert all(total in (b"", str(n_records).encode()) for _, total in lines), (lines, n_records)
            assert b"\r\x1b[K" in shown, shown
            assert b"\r" not in plain.stderr, "progress in a file"
    finally:
        place.remove()


def show(place, *args):
    """What a terminal gets of stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BIN, *args], cwd=place.dir, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = []
    try:
        while part := os.read(ours, 65536):
            shown.append(part)
    except OSError:  # the last one has closed it
        pass
    os.close(ours)
    assert process.wait(PATIENCE) == 0, args
    return b"".join(shown).decode()


def test_what_an_agent_wrote_neither_acts_on_a_terminal_nor_hides():
    """Whoever decides by what the command line shows must see what was asked for."""
    nasty = "a\u009b2J\u202eb\u200b\ufeff"
    options = config(approvals={"enabled": True})
    with Gateway(options) as g:
        r = g.act(action("payments.transfer", "payment://bank.example.com/" + nasty, {nasty: nasty}))
        assert r.json["decision"] == "REQUIRE_APPROVAL", r
        for args in (("list",), ("list", "--format", "text"), ("show", r.json["approval_id"])):
            text = show(g.place, "approvals", args[0], "-c", "nomos.json", *args[1:])
            assert "bank.example.com/a" in text and "202e" in text, text
            assert not [c for c in text if c not in "\r\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c in "\u202e\u200b\ufeff")], (args, text)
        assert nasty in json.loads(show(g.place, "approvals", "list", "-c", "nomos.json"))["approvals"][0]["resource"]


def test_log_of_serve_is_text_on_a_terminal_and_ends_with_it():
    """A terminal that goes away sends SIGHUP, which is a reload: the gateway goes on without its log."""
    ours, theirs = pty.openpty()
    place = Workplace()
    process = subprocess.Popen([BIN, "serve", "-c", "nomos.json"], cwd=place.dir, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    try:
        text = b""
        while b"listening on" not in text:
            text += os.read(ours, 65536)
        assert not text.lstrip().startswith(b"{"), text
        os.close(ours)
        for _ in range(20):
            process.send_signal(1)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        place.run("audit", "verify", place.ledger, check=0)
    finally:
        process.kill()
        process.wait()
        place.remove()
