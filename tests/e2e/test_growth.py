# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A ledger that is kept small under load: archives, restarts, deaths, and one chain through all of them."""
import http.client
import json
import threading

from support import PATIENCE, Gateway, Workplace, action, config, until

DENIED = ("nobody.allowed", "payment://shop.example.com/orders/1")


def small():
    return config(audit={"sink": "", "checkpoint_every": 16,
                         "retention": {"records": 60, "segment_records": 20, "look_ms": 10}})


class Load:
    """Clients that go on until they are told to stop; the action ids of every answer they read."""

    def __init__(self, gateway, name, n_clients=4):
        self.gateway = gateway
        self.is_over = threading.Event()
        self.answered = [[] for _ in range(n_clients)]
        self.threads = [threading.Thread(target=self._run, args=(name, i)) for i in range(n_clients)]
        for t in self.threads:
            t.start()

    def _run(self, name, number):
        # One effect of ours, one decision without any.
        bodies = (("fs.read", "file://workspace/README.md"), DENIED)
        count = 0
        while not self.is_over.is_set():
            kind, resource = bodies[count % 2]
            action_id = f"{name}-{number}-{count}"
            count += 1
            try:
                status = self.gateway.act(action(kind, resource, action_id=action_id)).status
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                self.answered[number].append(action_id)

    def stop(self):
        self.is_over.set()
        for t in self.threads:
            t.join(PATIENCE)
        return [action_id for ids in self.answered for action_id in ids]


def archives(place):
    folder = place.dir / "ledger.db.archive"
    return sorted(folder.glob("*.jsonl")) if folder.exists() else []


def verify_all(place):
    done = place.run("audit", "verify", place.ledger, "--archive", "ledger.db.archive", "--format", "json", check=0)
    answer = json.loads(done.stdout)
    assert answer["good"] and answer["anchor_seq"] == 0 and answer["records"] == answer["head_seq"], answer
    assert answer["archives"] == len(archives(place)), answer
    return answer["head_seq"]


def all_action_ids(place):
    """What archives and ledger hold, each record once."""
    lines = [line for path in archives(place) for line in path.read_text().splitlines()]
    lines += place.run("audit", "export", place.ledger, check=0).stdout.decode().splitlines()
    records = [r for r in map(json.loads, lines) if "event_type" in r]
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
    return {r.get("action_id") for r in records}


def test_a_small_ledger_under_load_over_restarts_and_a_death_is_one_chain_with_its_archives():
    place = Workplace(small())
    answered = []
    head = 0
    try:
        for number, dies in enumerate((False, True, False)):
            before = len(archives(place))
            with Gateway(workplace=place, expect_exit=None if dies else 0) as g:
                load = Load(g, f"run{number}")
                try:
                    until(lambda: len(archives(place)) >= before + 3, "three segments are archived")
                    if dies:
                        g.kill()
                finally:
                    answered += load.stop()
            last, head = head, verify_all(place)
            assert head > last
            # By itself the ledger is whole from its anchor on, and says where the rest is.
            alone = place.run("audit", "verify", place.ledger, check=0).stdout
            assert b"are in the archive" in alone and b"whole to checkpoint" in alone
        assert answered and set(answered) <= all_action_ids(place)
        # Whoever takes one archive away, or changes one, is found out.
        victim = archives(place)[1]
        text = victim.read_text()
        victim.write_text(text.replace("run0-", "run9-", 1))
        done = place.run("audit", "verify", place.ledger, "--archive", "ledger.db.archive", check=1)
        assert victim.name.encode() in done.stdout and b"edited" in done.stdout
        victim.unlink()
        done = place.run("audit", "verify", place.ledger, "--archive", "ledger.db.archive", check=1)
        assert b"missing: record" in done.stdout
        victim.write_text(text)
        oldest = archives(place)[0]
        text = oldest.read_text()
        oldest.unlink()
        done = place.run("audit", "verify", place.ledger, "--archive", "ledger.db.archive", check=1)
        assert b"are in none of the archives given" in done.stdout and b"missing: records 1 to" in done.stdout, done.stdout
        oldest.write_text(text)
        verify_all(place)
    finally:
        place.remove()


def test_without_retention_nothing_leaves_the_ledger():
    options = small()
    options["audit"]["retention"].update(records=0)
    with Gateway(options) as g:
        for number in range(50):
            assert g.act(action(*DENIED, action_id=f"a{number}")).status == 200
        assert not archives(g.place)
        assert b"archive" not in g.place.run("audit", "verify", g.place.ledger, check=0).stdout


class Reader:
    """A command that reads beside the gateway, run again and again until it is told to stop."""

    def __init__(self, place, check, *args):
        self.place, self.check, self.args = place, check, args
        self.is_over = threading.Event()
        self.n_answers = self.n_refusals = 0
        self.problem = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            while not self.is_over.is_set():
                done = self.place.run("audit", *self.args)
                # Where segments go as fast as here, a reader may not keep up; it never takes that for damage.
                if done.returncode != 0 and b"records were archived while they were read; try again" in done.stderr:
                    self.n_refusals += 1
                    continue
                assert done.returncode == 0, done
                self.check(done)
                self.n_answers += 1
        except BaseException as error:
            self.problem = error

    def end(self):
        self.is_over.set()
        self.thread.join()
        if self.problem:
            raise self.problem


def check_good(done):
    assert json.loads(done.stdout)["good"], done


def check_seqs(done):
    """Records without a gap."""
    seqs = [r["seq"] for r in map(json.loads, done.stdout.splitlines()) if "event_type" in r]
    assert seqs and seqs == list(range(seqs[0], seqs[0] + len(seqs))), seqs


def test_readers_beside_retention_find_one_chain():
    """Records go into the archive while they are read."""
    place = Workplace(small())
    try:
        with Gateway(workplace=place) as g:
            load = Load(g, "beside", 2)
            until(lambda: archives(place), "the first archive")
            as_json = ("--format", "json", "ledger.db")
            readers = [Reader(place, check_good, "verify", "--archive", "ledger.db.archive", *as_json),
                       Reader(place, check_good, "verify", *as_json),
                       Reader(place, check_seqs, "export", "ledger.db"),
                       Reader(place, check_seqs, "tail", "-n", "50", *as_json),
                       Reader(place, check_seqs, "query", "--scan", "--limit", "20", *as_json)]
            try:
                before = len(archives(place))
                until(lambda: any(r.problem for r in readers) or (len(archives(place)) >= before + 10
                                                                   and all(r.n_answers >= 5 for r in readers)), "reads beside archiving")
            finally:
                load.stop()
                for r in readers:
                    r.end()
            print("      answers and refusals:", {f"{i} {r.args[0]}": (r.n_answers, r.n_refusals) for i, r in enumerate(readers)}, flush=True)
        verify_all(place)
    finally:
        place.remove()
