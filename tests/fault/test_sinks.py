# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A sink that hangs: a required one stops decisions until it works again, an optional one is never waited for (decisions 15, 22)."""
import contextlib
import http.server
import json
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from evidence import read_ledger, verify
from pipes import drain, pipe_of
from support import Gateway, Workplace, action, config, until


class Receiver:
    """An HTTP receiver of records that answers only while `works` is set."""

    def __init__(self):
        receiver = self
        self.works = threading.Event()
        self.works.set()
        self.ending = threading.Event()
        self.taken = []
        self.n_asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.n_asked += 1
                receiver.works.wait()
                if receiver.ending.is_set():
                    self.close_connection = True
                    return
                receiver.taken.append(json.loads(body))
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/records"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.ending.set()
        self.works.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def write_action(name):
    return action("fs.write", f"file://workspace/out/{name}", {"content": "x"}, action_id=name)


def check_refuses(g, name):
    r = g.act(write_action(name))
    assert r.status == 503 and r.json["reason"].startswith("audit_error"), r
    assert not (g.place.dir / "workspace/out" / name).exists(), "an effect that a required sink has no record of"
    r = until(lambda: (lambda r: r if r.status == 503 else None)(g.get("/readyz")), "not ready")
    assert [c["name"] for c in r.json["checks"] if not c["ok"]] == ["ledger"], r
    assert g.get("/healthz").status == 200


def check_recovers(g):
    until(lambda: g.act().status == 200, "decisions again, without a restart")
    until(lambda: g.get("/readyz").status == 200, "ready again")
    r = g.act(write_action("after"))
    assert r.status == 200 and (g.place.dir / "workspace/out/after").read_text() == "x", r


def check_refused_is_recorded(rows, name):
    """The intent was durable, so the chain says that nothing was done: an outcome, not UNKNOWN (decisions 15 a)."""
    intents = [r for _, r in rows if r["event_type"] == "action.decision" and r["action_id"] == name]
    assert intents, f"{name} is not in the ledger"
    assert len(intents) == 1, intents
    for intent in intents:
        outcomes = [r for _, r in rows if r.get("intent_seq") == intent["seq"]]
        assert [r["outcome"] for r in outcomes] == ["failed"], outcomes
        assert outcomes[0]["result_classification"] != "UNKNOWN", outcomes


def sinks(sink, required):
    return config(audit={"sink": sink, "required": required, "required_deadline_ms": 300, "webhook": {"timeout_ms": 500}})


def test_required_webhook_that_hangs():
    receiver = Receiver()
    place = Workplace(sinks(f"webhook:{receiver.url}", "webhook"))
    try:
        with Gateway(workplace=place) as g:
            assert g.act().status == 200
            receiver.works.clear()
            check_refuses(g, "refused")
            receiver.works.set()
            check_recovers(g)
        rows = read_ledger(place.ledger)
        check_refused_is_recorded(rows, "refused")
        verify(place)
    finally:
        receiver.close()
        place.remove()


def test_optional_webhook_is_never_waited_for():
    receiver = Receiver()
    place = Workplace(sinks(f"webhook:{receiver.url}", ""))
    try:
        with Gateway(workplace=place) as g:
            receiver.works.clear()
            ids = []
            for number in range(50):
                r = g.act(action(action_id=f"a{number}"))
                assert r.status == 200, r
                ids.append(f"a{number}")
            r = g.act(write_action("done"))
            assert r.status == 200 and (place.dir / "workspace/out/done").exists(), r
            assert g.get("/readyz").status == 200
            until(lambda: receiver.n_asked > 0, "the receiver was asked")
            assert not [t for t in receiver.taken if t.get("action_id") in ids], "it was the hanging receiver that answered"
            receiver.works.set()
            seen = lambda: list(dict.fromkeys(t["action_id"] for t in receiver.taken if t.get("action_id") in ids))
            until(lambda: len(seen()) == len(ids), "all records arrive in the end")
            assert seen() == ids, "out of order"
    finally:
        receiver.close()
        place.remove()


def until_refused(g):
    """Fills the pipe: records go out until one does not."""
    def one():
        r = g.act()
        assert r.status in (200, 503), r
        return r.status == 503
    until(one, "the pipe is full")


def test_required_stdout_that_nobody_reads():
    with pipe_of(65536) as (read, write):
        place = Workplace(sinks("stdout", "stdout"))
        stop = threading.Event()
        reader = threading.Thread(target=drain, args=(read, stop))
        try:
            with Gateway(workplace=place, stdout=write) as g:
                until_refused(g)
                check_refuses(g, "refused")
                reader.start()
                check_recovers(g)
            # Refused while the sink was known to be behind: then there is no intent either.
            intents = [r["seq"] for _, r in read_ledger(place.ledger) if r.get("action_id") == "refused"]
            if intents:
                check_refused_is_recorded(read_ledger(place.ledger), "refused")
            verify(place)
        finally:
            stop.set()
            if reader.ident is not None:
                reader.join()
            place.remove()


def test_optional_stdout_that_nobody_reads():
    with pipe_of(65536) as (_, write):
        place = Workplace(sinks("stdout", ""))
        try:
            with Gateway(workplace=place, stdout=write) as g:
                assert {g.act().status for _ in range(100)} == {200}
                assert g.get("/readyz").status == 200
            verify(place)
        finally:
            place.remove()


def test_required_webhook_down_at_the_start():
    """The gateway starts, says that it is not ready, denies, and recovers when the receiver works."""
    receiver = Receiver()
    receiver.works.clear()
    try:
        options = config(audit={"sink": f"webhook:{receiver.url}", "required": "webhook", "required_deadline_ms": 200,
                                "from": "start"})
        with Gateway(options) as g:
            until(lambda: g.get("/readyz").status == 503, "readyz fails")
            assert g.act().status == 503
            receiver.works.set()
            until(lambda: g.get("/readyz").status == 200, "readyz recovers")
            assert g.act().status == 200
            assert g.records()[1]["event_type"] == "runtime.start"
    finally:
        receiver.close()
