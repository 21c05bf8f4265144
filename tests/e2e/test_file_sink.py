# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The sink file:PATH: lines as an export has them, rotation by size, logrotate's two ways, kill -9, torn lines, a full disk, and
files that are not ours (decisions 22)."""
import contextlib
import json
import os
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support import Gateway, Workplace, action, config, signal, until


@contextlib.contextmanager
def place_of(required="", **file):
    place = Workplace(config(audit={"sink": "file:trail.jsonl", "from": "start", "required": required, "file": file}))
    try:
        yield place
    finally:
        place.remove()


def trail(place):
    return place.dir / "trail.jsonl"


def act(g, n=1):
    for _ in range(n):
        assert g.act().status == 200


def rotated(place):
    """All files, the oldest first."""
    numbered = sorted(place.dir.glob("trail.jsonl.*"), key=lambda p: -int(p.suffix[1:]))
    return [*numbered, *([trail(place)] if trail(place).exists() else [])]


def check_whole(place, paths):
    """Every record of the ledger, once, in order, with the bytes of an export."""
    export = place.run("audit", "export", place.ledger, check=0).stdout.splitlines(keepends=True)
    lines = b"".join(p.read_bytes() for p in paths).splitlines(keepends=True)
    assert lines == export[:-1], ([json.loads(line)["seq"] for line in lines][-5:], len(export))


def caught_up(place):
    done = place.run("audit", "sinks", place.ledger, "--format", "json")
    rows = json.loads(done.stdout)["sinks"]
    return bool(rows) and rows[0]["behind"] == 0


def test_lines_are_those_of_an_export_and_private():
    old = os.umask(0)
    try:
        with place_of() as place:
            for _ in range(2):
                with Gateway(workplace=place) as g:
                    act(g, 10)
            check_whole(place, [trail(place)])
            assert trail(place).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_rotation_by_size_keeps_so_many():
    with place_of(max_bytes=8000, keep=100) as place:
        with Gateway(workplace=place) as g:
            act(g, 40)
        files = rotated(place)
        assert len(files) > 5 and all(p.stat().st_size <= 8000 for p in files), [p.stat().st_size for p in files]
        check_whole(place, files)
        assert all(p.stat().st_mode & 0o777 == 0o600 for p in files)
    with place_of(max_bytes=8000, keep=2) as place:
        with Gateway(workplace=place) as g:
            act(g, 40)
        assert [p.name for p in rotated(place)] == ["trail.jsonl.2", "trail.jsonl.1", "trail.jsonl"]


def test_kill_loses_nothing_and_repeats_nothing():
    for max_bytes in (0, 6000):
        with place_of(max_bytes=max_bytes, keep=1000) as place:
            for number in range(5):
                with Gateway(workplace=place, expect_exit=None) as g:
                    act(g, 8 + number)
                    g.kill()
                if number == 2:  # the cursor of a moment before, as after a kill between the file and the ledger
                    # and a line that was cut in the middle
                    with open(trail(place), "ab") as f:
                        f.write(b'{"chain_id":"torn')
            with Gateway(workplace=place) as g:
                act(g)
            check_whole(place, rotated(place))


def test_what_the_file_lacks_is_written_again():
    """A disk that forgot its last blocks; the cursor is further on."""
    with place_of() as place:
        with Gateway(workplace=place) as g:
            act(g, 10)
        lines = trail(place).read_bytes().splitlines(keepends=True)
        trail(place).write_bytes(b"".join(lines[:-5]) + lines[-5][:20])
        with Gateway(workplace=place) as g:
            act(g, 2)
        check_whole(place, [trail(place)])


def test_logrotate_moves_and_copies():
    with place_of() as place:
        with Gateway(workplace=place) as g:
            act(g, 5)
            until(lambda: caught_up(place), "all is written")
            moved = place.dir / "moved.jsonl"
            trail(place).rename(moved)
            g.signal(signal.SIGHUP)
            act(g, 5)
            until(lambda: caught_up(place), "all is written")
            assert trail(place).stat().st_mode & 0o777 == 0o600
            copied = place.dir / "copied.jsonl"
            copied.write_bytes(trail(place).read_bytes())
            os.truncate(trail(place), 0)  # copytruncate
            act(g, 5)
        check_whole(place, [moved, copied, trail(place)])


def test_a_full_disk_only_makes_it_fall_behind():
    """RLIMIT_FSIZE stands for the disk: the ledger's own files are shorter than the trail that is there already."""
    with place_of() as place:
        with Gateway(workplace=place) as g:
            act(g, 3)
        big = place.dir / "big"
        line = trail(place).read_bytes().splitlines(keepends=True)[-1]
        with open(trail(place), "ab") as f:
            while f.tell() < 64 << 20:
                f.write(line * 1000)
        limit = trail(place).stat().st_size + 1500  # one line and a half
        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Gateway(workplace=place, preexec_fn=limited) as g:
            act(g, 10)
            assert g.get("/readyz").status == 200
            row = until(lambda: (lambda r: r if r["error"] else None)(json.loads(
                place.run("audit", "sinks", place.ledger, "--format", "json").stdout)["sinks"][0]), "it says so")
            assert row["behind"] > 0, row
            assert trail(place).read_bytes().endswith(b"\n"), "a line that was not whole was left"
            assert trail(place).stat().st_size <= limit
            resource.prlimit(g.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            until(lambda: caught_up(place), "it catches up")
        assert not big.exists()
        tail = trail(place).read_bytes()[-1 << 20:].splitlines()[1:]
        seqs = [json.loads(entry)["seq"] for entry in tail]
        first = json.loads(line)["seq"]
        assert seqs[seqs.index(first + 1):] == list(range(first + 1, seqs[-1] + 1)), seqs[-30:]


def test_a_required_file_that_cannot_be_written_refuses():
    with place_of(required="file") as place:
        with Gateway(workplace=place) as g:
            act(g, 2)
            trail(place).unlink()
            trail(place).mkdir()
            until(lambda: g.act().status == 503, "no decision without it")
            assert g.get("/readyz").status == 503
            trail(place).rmdir()
            until(lambda: g.get("/readyz").status == 200, "it recovers")
            act(g)


def refused(place, *words):
    done = place.run("serve", "-c", "nomos.json")
    text = done.stderr + done.stdout
    assert done.returncode == 1 and all(w in text for w in words), text


def test_other_files_are_left_alone():
    with place_of() as place:
        target = place.dir / "target"
        target.write_text("precious\n")
        trail(place).symlink_to(target)
        refused(place, b"trail.jsonl")
        trail(place).unlink()
        for content in ("precious\n", "precious", '{"a":1}\n', "precious\n{cut"):
            trail(place).write_text(content)
            refused(place, b"trail.jsonl")
            assert trail(place).read_text() == content
        trail(place).unlink()
        os.mkfifo(trail(place))
        refused(place, b"not a regular file")
        trail(place).unlink()
        assert target.read_text() == "precious\n"
        place.write_config(config(audit={"sink": "file:no/such/folder/trail.jsonl"}))
        refused(place, b"no/such/folder")


def test_two_gateways_do_not_share_one():
    with place_of() as place, place_of() as other:
        other.write_config(config(audit={"sink": f"file:{trail(place)}"}))
        with Gateway(workplace=place) as g:
            act(g)
            refused(other, b"another process writes to it")


def test_a_file_that_knows_more_than_the_ledger():
    """It is a witness: a ledger that was put back from a copy does not go on as if nothing had been."""
    with place_of() as place:
        with Gateway(workplace=place) as g:
            act(g, 2)
        place.run("audit", "backup", place.ledger, "old.db", check=0)
        with Gateway(workplace=place) as g:
            act(g, 2)
        for name in ("ledger.db", "ledger.db.head"):
            (place.dir / name).unlink()
        (place.dir / "old.db").rename(place.ledger)
        refused(place, b"older copy")
