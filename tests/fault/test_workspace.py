# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The workspace changes under the gateway: deleted, moved, replaced, full of what is no file (nomos-policy.md 5.3, 5.4)."""
import ctypes
import os
import pathlib
import socket
import stat
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import open_intents, read_ledger, rounds, verify
from support import PATIENCE, Gateway, Workplace, action, config, until

POLICY = {"version": "v1", "rules": [
    {"id": "read", "action_type": "fs.read", "resource": "file://workspace/**", "decision": "ALLOW"},
    {"id": "write", "action_type": "fs.write", "resource": "file://workspace/**", "decision": "ALLOW"},
    {"id": "pay", "action_type": "payments.refund", "resource": "payment://shop.example.com/**", "decision": "ALLOW"},
]}
# Root reads everything; without its capabilities it is the owner and no more.
AS_OWNER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--") if os.geteuid() == 0 else ()
SECRET = "what lies outside"


class Site:
    """A gateway whose every answer is looked at: no path of the host, and at the end no open intent and a whole chain."""

    def __init__(self, prefix=()):
        self.gateway = Gateway(policy=POLICY, workplace=Workplace(policy=POLICY), prefix=prefix)
        self.place = self.gateway.place
        self.root = self.place.dir / "workspace"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.gateway.__exit__(kind, value, trace)
            if kind is None:
                verify(self.place)
                assert not open_intents(read_ledger(self.place.ledger))
        finally:
            self.place.remove()

    def ask(self, *args):
        r = self.gateway.act(action(*args))
        assert str(self.place.dir) not in r.body.decode() and SECRET not in r.body.decode(), r
        return r

    def read(self, name="README.md"):
        return self.ask("fs.read", f"file://workspace/{name}")

    def write(self, name, content="new\n"):
        return self.ask("fs.write", f"file://workspace/{name}", {"content": content})

    def reload(self):
        r = self.gateway.operator("POST", "/admin/reload")
        assert r.status == 200, r

    def check_alive(self):
        """All four threads of the pool still come back."""
        assert self.ask().status == 200
        for _ in range(8):
            assert self.write("alive").status == 200 and self.read("alive").json["output"] == "new\n"


def refused(r, why, status=400):
    assert r.status == status and r.json["reason"].startswith("execution_error") and why in r.json["reason"], r


def test_a_deleted_workspace_is_a_fault_until_it_is_made_and_reloaded():
    with Site() as s:
        s.root.joinpath("README.md").unlink()
        s.root.rmdir()
        for r in (s.read(), s.write("x"), s.write("a/b/x")):
            refused(r, "the workspace is gone", 500)
        assert s.ask().status == 200
        assert "executor.workspace_root was deleted" in s.gateway.read_log()
        # A reload that does not find it keeps what there is; one that does goes on with it.
        assert s.gateway.operator("POST", "/admin/reload").status == 400
        s.root.mkdir()
        refused(s.write("x"), "the workspace is gone", 500)
        assert not list(s.root.iterdir())
        s.reload()
        s.check_alive()


def test_a_workspace_that_moves_is_followed_until_a_reload():
    with Site() as s:
        moved, outside = s.place.dir / "moved", s.place.dir / "outside"
        outside.mkdir()
        outside.joinpath("README.md").write_text(SECRET)
        s.root.rename(moved)
        s.root.symlink_to(outside)
        assert s.read().json["output"] == "hello from the workspace\n"
        assert s.write("made").status == 200 and moved.joinpath("made").read_text() == "new\n"
        assert [p.name for p in outside.iterdir()] == ["README.md"]
        # Another folder in its place: taken at the next reload, since the configuration names it.
        s.root.unlink()
        s.root.mkdir()
        s.root.joinpath("README.md").write_text("the new one\n")
        assert s.read().json["output"] == "hello from the workspace\n"
        s.reload()
        assert s.read().json["output"] == "the new one\n"
        s.check_alive()


def test_a_start_without_a_workspace_says_so():
    place = Workplace(policy=POLICY)
    root = place.dir / "workspace"
    try:
        root.joinpath("README.md").unlink()
        root.rmdir()
        for make in (lambda: None, root.touch, lambda: os.symlink("nowhere", root), lambda: os.symlink("workspace", root),
                     lambda: os.mkfifo(root)):
            make()
            done = place.run("serve", "-c", "nomos.json")
            assert done.returncode == 1 and b"executor.workspace_root" in done.stderr, done
            root.unlink(missing_ok=True)
    finally:
        place.remove()


def test_a_workspace_without_permission():
    with Site(AS_OWNER) as s:
        s.root.joinpath("sub").mkdir()
        s.root.joinpath("sub/file").write_text("x")
        for path in (s.root, s.root / "sub", s.root / "sub/file"):
            mode = path.stat().st_mode
            path.chmod(0)
            refused(s.read("sub/file"), "permission denied")
            if path.is_dir():
                refused(s.write("sub/file"), "permission denied")
            path.chmod(mode)
        s.root.chmod(0o555)
        refused(s.write("made"), "permission denied")
        s.root.chmod(0o755)
        assert not list(s.root.glob(".nomos-*"))
        s.check_alive()


def test_writes_while_the_permission_comes_and_goes():
    with Site(AS_OWNER) as s:
        stop = threading.Event()

        def toggle():
            while not stop.is_set():
                for mode in (0o555, 0o755):
                    s.root.chmod(mode)
        t = threading.Thread(target=toggle)
        t.start()
        results = [s.write(f"f{i}", f"content {i}\n") for i in range(rounds(120, 3000))]
        stop.set()
        t.join()
        s.root.chmod(0o755)
        for i, r in enumerate(results):
            path = s.root / f"f{i}"
            if r.status == 200:
                assert path.read_text() == f"content {i}\n"
            else:
                refused(r, "permission denied")
                assert not path.exists()
        assert len({r.status for r in results}) == 2, "the permission never changed in between"
        left = list(s.root.glob(".nomos-*"))
        assert len(left) <= sum(r.status != 200 for r in results), left
        s.check_alive()


def make_special(root):
    """What is no file, by name; and how the gateway calls it when it is read."""
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(root / "socket"))
    (root / "folder").mkdir()
    outside = root.parent / "outside"
    outside.write_text(SECRET)
    os.symlink(outside, root / "link")
    os.symlink("nowhere", root / "dangling")
    os.symlink("loop", root / "loop")
    os.symlink("/dev/zero", root / "to-device")
    os.link(outside, root / "hard")
    names = {"fifo": "not a regular file", "socket": "not a regular file", "folder": "not a regular file",
             "link": "path escape", "dangling": "path escape", "loop": "path escape", "to-device": "path escape",
             "hard": "several names"}
    try:
        for name, minor in (("null", 3), ("zero", 5), ("tty", 0)):
            os.mknod(root / name, 0o666 | stat.S_IFCHR, os.makedev(5 if name == "tty" else 1, minor))
            names[name] = "not a regular file"
    except PermissionError:
        print("      without devices: only root makes them", flush=True)
    return names


def test_what_is_no_file_is_refused_and_not_touched():
    with Site() as s:
        names = make_special(s.root)
        before = {name: os.lstat(s.root / name) for name in names}
        for _ in range(3):
            for name, why in names.items():
                refused(s.read(name), why)
                if name != "hard":
                    refused(s.write(name), "path escape" if "escape" in why else "not a regular file")
        for name, st in before.items():
            now = os.lstat(s.root / name)
            assert (now.st_ino, now.st_mode, now.st_size) == (st.st_ino, st.st_mode, st.st_size), name
        # A second name of a file elsewhere is replaced, not written through.
        assert s.write("hard").status == 200
        assert (s.place.dir / "outside").read_text() == SECRET and (s.root / "hard").read_text() == "new\n"
        s.check_alive()


def test_a_writer_that_waits_at_a_fifo_is_not_woken():
    with Site() as s:
        fifo = s.root / "fifo"
        os.mkfifo(fifo)
        writer = subprocess.Popen(["sh", "-c", f"echo started; echo x > {fifo}"], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"started\n"
        until(lambda: is_opening(writer.pid), "the writer waits")
        for _ in range(20):
            refused(s.read("fifo"), "not a regular file")
        assert writer.poll() is None and is_opening(writer.pid), "the open of the gateway let the writer go on"
        with open(fifo) as f:
            assert f.read() == "x\n"
        assert writer.wait(PATIENCE) == 0
        writer.stdout.close()


def is_opening(pid):
    """In openat or open, whose numbers these are."""
    return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0] in ("257", "56", "2")


def test_set_id_bits_do_not_survive_a_write():
    with Site() as s:
        path = s.root / "tool"
        path.write_text("old\n")
        path.chmod(0o6755)
        assert s.read("tool").json["output"] == "old\n"
        assert s.write("tool").status == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o755 and path.read_text() == "new\n"


def test_huge_and_changing_files_cost_no_more_than_the_limit():
    with Site() as s:
        with open(s.root / "sparse", "wb") as f:
            f.truncate(1 << 40)
        growing = s.root / "growing"
        growing.write_bytes(b"a" * 4096)
        stop = threading.Event()

        def change():
            with open(growing, "r+b") as f:
                while not stop.is_set():
                    f.truncate(8 << 20)
                    f.truncate(0)
                    f.write(b"a" * 65536)
                    f.flush()
                    f.seek(0)
        t = threading.Thread(target=change)
        t.start()
        try:
            for _ in range(rounds(60, 1000)):
                r = s.read("sparse")
                assert r.status == 200 and r.json["truncated"], r
                r = s.read("growing")
                assert r.status == 200 and set(r.json.get("output", "")) <= {"a", "\0"}, r
        finally:
            stop.set()
            t.join()
        s.check_alive()


def test_a_file_that_is_replaced_while_read_is_one_or_the_other():
    with Site() as s:
        versions = [(letter * 30000) + "\n" for letter in "ab"]
        path, fresh = s.root / "file", s.root / "fresh"
        path.write_text(versions[0])
        stop = threading.Event()

        def replace():
            while not stop.is_set():
                for text in versions:
                    fresh.write_text(text)
                    fresh.rename(path)
        t = threading.Thread(target=replace)
        t.start()
        try:
            seen = {s.read("file").json["output"] for _ in range(rounds(200, 3000))}
        finally:
            stop.set()
            t.join()
        assert seen == set(versions), {text[:3] for text in seen}


EXCHANGE = 2  # RENAME_EXCHANGE


def exchange(a, b):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_a_folder_that_becomes_a_link_during_the_open_leads_nowhere():
    with Site() as s:
        outside, folder, link = s.place.dir / "outside", s.root / "folder", s.root / "other"
        outside.mkdir()
        outside.joinpath("file").write_text(SECRET)
        folder.mkdir()
        folder.joinpath("file").write_text("inside\n")
        os.symlink(outside, link)
        stop = threading.Event()

        def swap():
            while not stop.is_set():
                exchange(folder, link)
        t = threading.Thread(target=swap)
        t.start()
        statuses = set()
        try:
            for i in range(rounds(150, 10000)):
                r = s.read("folder/file")
                statuses.add(r.status)
                assert r.status != 200 or r.json["output"] == "inside\n", r
                assert s.write(f"folder/w{i % 7}").status in (200, 400)
                assert s.write(f"folder/new{i}/x").status in (200, 400)
        finally:
            stop.set()
            t.join()
        assert statuses == {200, 400}, statuses
        assert [p.name for p in outside.iterdir()] == ["file"] and outside.joinpath("file").read_text() == SECRET
        s.check_alive()


def test_odd_names_and_deep_folders():
    with Site() as s:
        for name in (b"bytes-\xff\xfe", b"new\nline", b"tab\t", b"del\x7f"):
            pathlib.Path(os.fsdecode(os.fsencode(s.root) + b"/" + name)).write_text(SECRET)
        for name in ("bytes-%FF%FE", "new%0Aline", "tab%09", "del%7F", "a%00b"):
            r = s.read(name)
            assert r.status == 400 and "normalization_error" in r.body.decode(), (name, r)
        for name in ("with space", "ünïcode", "..x", "x..", "...", "-n", "n" * 255):
            assert s.write(name).status == 200, name
            assert s.read(name).json["output"] == "new\n"
        refused(s.write("n" * 256), "not a usable file name")
        refused(s.read("n" * 256), "not a usable file name")
        for depth in (20, 255):
            deep = "/".join("d" * (depth % 7 + 1) for _ in range(depth)) + "/file"
            assert s.write(deep).status == 200, depth
            assert s.read(deep).json["output"] == "new\n"
        refused(s.write("/".join("e" for _ in range(300)) + "/file"), "not a usable file name")
        s.check_alive()


def test_an_immutable_folder_is_left_as_it_is():
    with Site() as s:
        frozen = s.root / "frozen"
        frozen.mkdir()
        done = subprocess.run(["chattr", "+i", frozen], capture_output=True)
        if done.returncode != 0:  # not root, or a file system without the flag: a folder nobody may write is refused above
            print("      chattr does not work here", flush=True)
            return
        try:
            refused(s.write("frozen/file"), "permission denied")
            refused(s.write("frozen/a/file"), "permission denied")
        finally:
            subprocess.run(["chattr", "-i", frozen], check=True)
        assert not list(frozen.iterdir())
        s.check_alive()
