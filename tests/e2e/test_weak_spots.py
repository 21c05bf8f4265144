# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Weak spots of the reference that no other test covers; docs/reliability.md has the whole list with its tests."""
import socket
import threading

from pipes import drain, pipe_of
from support import Gateway, PATIENCE, Workplace, action, config, until


def test_weak_spot_3_an_answer_that_takes_long_still_arrives():
    """Deadlines of reading and writing are apart from the action: what was done is never answered by a closed connection."""
    options = config(audit={"sink": "stdout", "required": "stdout", "required_deadline_ms": 60000},
                     gateway={"header_timeout_seconds": 1, "body_timeout_seconds": 1, "idle_timeout_seconds": 1,
                              "write_timeout_seconds": 1})
    place = Workplace(options)
    stop = threading.Event()
    try:
        with pipe_of(4096, is_full=True) as (read, write), Gateway(workplace=place, stdout=write) as g:
            reader = threading.Thread(target=drain, args=(read, stop))
            answers = []
            write_file = action("fs.write", "file://workspace/out/slow", {"content": "x"})
            waiting = threading.Thread(target=lambda: answers.append(g.act(write_file)))
            with socket.create_connection(g.address, timeout=PATIENCE) as idle:
                idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                waiting.start()
                while idle.recv(65536):
                    pass
                # This connection came first and its deadline is over; the action waits all the same.
                assert waiting.is_alive() and not answers, "the answer went out before the required sink had its record"
                idle.close()
            try:
                reader.start()
                until(lambda: answers, "the answer arrives")
            finally:
                waiting.join()
            assert answers[0].status == 200, answers
            assert (place.dir / "workspace/out/slow").read_text() == "x"
            g.stop()  # it needs the reader as well
            stop.set()
            reader.join()
    finally:
        stop.set()
        place.remove()


def test_weak_spots_2_10_19_routes_without_their_part_do_not_exist():
    """What could be decided or reported without its rules is not there at all until it is built."""
    with Gateway() as g:
        for method, path in (("POST", "/approvals/decide"), ("POST", "/api/ui/approvals/decide"), ("POST", "/actions/report"),
                             ("POST", "/webhooks/approvals"), ("POST", "/webhooks/slack/approvals"),
                             ("POST", "/webhooks/teams/approvals")):
            for headers in ({}, g.auth(b"{}")):
                r = g.request(method, path, b"{}" if method == "POST" else b"", headers)
                assert r.status == 404, (path, r)
        assert [r for r in g.records() if r["event_type"].startswith("approval")] == []
