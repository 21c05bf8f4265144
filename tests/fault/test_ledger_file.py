# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The ledger's files are taken away or replaced under a running gateway: what it wrote then would be evidence for nobody."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import read_ledger
from support import Gateway, Workplace, action, until


def check_refuses(g):
    def refused():
        r = g.act()
        assert r.status in (200, 503), r
        return r.status == 503
    # At most the group that was being written when the file went away is acknowledged.
    until(refused, "the loss is noticed")
    for number in range(3):
        name = f"refused{number}"
        r = g.act(action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name))
        assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
        assert not (g.place.dir / "workspace/out" / name).exists()
    assert g.get("/readyz").status == 503 and g.get("/healthz").status == 200


def run(damage):
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            assert [g.act().status for _ in range(3)] == [200, 200, 200]
            damage(place)
            check_refuses(g)
            assert str(place.dir) not in g.act().body.decode(), "a path of the host in an answer"
    finally:
        place.remove()


def test_deleted():
    run(lambda place: os.unlink(place.ledger))


def test_moved_away():
    run(lambda place: os.rename(place.ledger, place.dir / "elsewhere.db"))


def test_replaced_by_a_copy():
    def replace(place):
        shutil.copyfile(place.ledger, place.dir / "copy.db")
        os.replace(place.dir / "copy.db", place.ledger)
    run(replace)


def test_write_ahead_log_deleted():
    run(lambda place: os.unlink(f"{place.ledger}-wal"))


def test_restored_after_the_loss_continues_the_same_chain():
    place = Workplace()
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            acknowledged = [g.act().headers["X-Request-Id"] for _ in range(3)]
            os.rename(place.ledger, place.dir / "elsewhere.db")
            check_refuses(g)
            os.rename(place.dir / "elsewhere.db", place.ledger)
            until(lambda: g.act().status == 200, "decisions again, without a restart")
        found = {r.get("request_id") for _, r in read_ledger(place.ledger)}
        assert set(acknowledged) <= found
    finally:
        place.remove()
