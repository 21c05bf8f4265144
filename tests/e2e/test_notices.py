# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Notices of approvals (approvals.notify): what receivers get, at least once, and that nobody waits for them."""
import hashlib
import hmac
import json
import pathlib
import queue
import socket
import tempfile

from certificates import Authority
from stub_server import StubServer
from support import PATIENCE, Gateway, Workplace, action, config, until

SECRET = "a-secret-of-the-receiver"
PASSWORD = "hunter2-is-not-shown"


class Receiver(StubServer):
    """Keeps what is posted; its answers are taken from a list, the last one for ever."""

    def __init__(self, answers=(200,), **server):
        self.posts = queue.Queue()
        self.answers = list(answers)
        super().__init__(**server)

    def _serve(self, http_request):
        body = http_request.rfile.read(int(http_request.headers["Content-Length"]))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        http_request.send_response(status)
        http_request.send_header("Content-Length", "0")
        http_request.end_headers()
        self.posts.put((status, http_request.path, dict(http_request.headers), body))

    def next(self, status=200):
        """The next post that was answered so."""
        while True:
            got = self.posts.get(timeout=PATIENCE)
            if got[0] == status:
                return got


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def options(*receivers, **approvals):
    return config(approvals={"enabled": True, "notify": list(receivers), **approvals})


def receiver(name, port, **members):
    return {"name": name, "url": f"http://127.0.0.1:{port}/T0KEN", **members}


def transfer(number=1):
    return action("payments.transfer", "payment://bank.example.com/accounts/1",
                  {"amount": number, "password": PASSWORD}, action_id=f"act-{number}")


def test_each_receiver_is_told_in_its_own_form():
    with Receiver() as json_desk, Receiver() as slack, Receiver() as teams:
        o = options(receiver("desk", json_desk.port, secret=SECRET, page="https://nomos.example/ui/"),
                    receiver("chat", slack.port, kind="slack"), receiver("team", teams.port, kind="teams"))
        with Gateway(o) as g:
            assert g.act(action()).json["decision"] == "ALLOW"
            approval = g.act(transfer()).json
            assert approval["decision"] == "REQUIRE_APPROVAL", approval
            _, path, headers, body = json_desk.next()
            assert path == "/T0KEN" and headers["X-Nomos-Event"] == "approval.requested"
            stamp, mac = (part.split("=", 1)[1] for part in headers["X-Nomos-Signature"].split(","))
            assert mac == hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            told = json.loads(body)
            for name in ("approval_id", "approval_expires_at", "approval_fingerprint"):
                assert told[name] == approval[name], (name, told, approval)
            assert told["resource"] == "payment://bank.example.com/accounts/1" and told["principal"] == "alice", told
            assert told["page"] == "https://nomos.example/ui/"
            bodies = [body]
            _, _, headers, body = slack.next()
            assert "X-Nomos-Signature" not in headers
            assert approval["approval_id"] in json.loads(body)["text"]
            bodies.append(body)
            card = json.loads(teams.next()[3])
            assert card["attachments"][0]["content"]["type"] == "AdaptiveCard"
            bodies.append(json.dumps(card).encode())
            assert not any(PASSWORD.encode() in body for body in bodies)
            # The same action asks for nothing new, so nobody is told again; the next one is the next message.
            assert g.act(transfer()).json["approval_id"] == approval["approval_id"]
            other = g.act(transfer(2)).json["approval_id"]
            assert json.loads(json_desk.next()[3])["approval_id"] == other
            assert "T0KEN" not in g.read_log() and SECRET not in g.log


def test_what_is_hidden_in_the_ledger_is_hidden_from_receivers():
    key = "AKIAIOSFODNN7EXAMPLE"
    with Receiver() as desk, Receiver() as slack, Receiver() as teams:
        o = options(receiver("desk", desk.port), receiver("chat", slack.port, kind="slack"),
                    receiver("team", teams.port, kind="teams"))
        with Gateway(o) as g:
            body = transfer()
            body["resource"] = f"payment://bank.example.com/accounts/{key}"
            approval = g.act(body).json
            assert approval["decision"] == "REQUIRE_APPROVAL", approval
            for each in (desk, slack, teams):
                text = each.next()[3].decode()
                assert approval["approval_id"] in text and key not in text, text


def test_a_receiver_that_is_away_gets_it_when_it_is_back_and_nobody_waits():
    port = free_port()
    with Gateway(options(receiver("desk", port))) as g:
        approval = g.act(transfer()).json["approval_id"]
        for i in range(20):
            assert g.act(action(action_id=f"other-{i}")).json["decision"] == "ALLOW"
        with Receiver(port=port) as desk:
            assert json.loads(desk.next()[3])["approval_id"] == approval


def test_a_receiver_that_refuses_for_a_while_is_tried_again():
    with Receiver(answers=(500, 429, 503, 200)) as desk:
        with Gateway(options(receiver("desk", desk.port))) as g:
            approval = g.act(transfer()).json["approval_id"]
            assert json.loads(desk.next()[3])["approval_id"] == approval


def test_what_is_refused_for_good_is_given_up_and_said():
    with Receiver(answers=(404, 404, 404, 404, 404, 200)) as desk:
        with Gateway(options(receiver("desk", desk.port))) as g:
            lost = g.act(transfer(1)).json["approval_id"]
            until(lambda: f"nobody was told there of approval {lost}" in g.read_log(), "it is given up")
            told = g.act(transfer(2)).json["approval_id"]
            assert json.loads(desk.next()[3])["approval_id"] == told


def test_a_crash_loses_no_notice():
    port = free_port()
    place = Workplace(options(receiver("desk", port)))
    try:
        with Gateway(workplace=place, expect_exit=None) as g:
            approval = g.act(transfer()).json["approval_id"]
            g.kill()
        with Receiver(port=port) as desk, Gateway(workplace=place):
            assert json.loads(desk.next()[3])["approval_id"] == approval
    finally:
        place.remove()


def test_a_receiver_that_asks_for_a_certificate():
    with tempfile.TemporaryDirectory() as folder:
        ca, others = Authority(f"{folder}/ca"), Authority(f"{folder}/others", "Another CA")
        server, pair, foreign = ca.issue("receiver"), ca.issue("sender", None, "clientAuth"), others.issue("sender", None, "clientAuth")
        together = pathlib.Path(folder) / "together.pem"
        together.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
        shown = {"none": {}, "a stranger's": {"cert_file": str(foreign[0]), "key_file": str(foreign[1])},
                 "ours": {"cert_file": str(pair[0]), "key_file": str(pair[1])}, "in one file": {"cert_file": str(together)}}
        for name, files in shown.items():
            with Receiver(tls=server, client_ca=ca.cert) as desk:
                told = {"name": "desk", "url": f"https://localhost:{desk.port}/T0KEN", "ca_file": str(ca.cert), **files}
                with Gateway(options(told)) as g:
                    asked = g.act(transfer()).json["approval_id"]
                    if name in ("ours", "in one file"):
                        assert json.loads(desk.next()[3])["approval_id"] == asked, name
                        assert desk.n_refused == 0, name
                    else:
                        until(lambda d=desk: d.n_refused > 0, "it was tried")
                        assert desk.posts.empty(), name


def test_addresses_of_metadata_services_are_not_called():
    with Gateway(options({"name": "desk", "url": "http://169.254.169.254/latest"})) as g:
        assert g.act(transfer()).json["decision"] == "REQUIRE_APPROVAL"
        until(lambda: "link-local or a metadata service" in g.read_log(), "it is refused")
        assert g.act(action()).json["decision"] == "ALLOW"


def test_what_is_wrong_with_a_receiver_is_said_at_the_start_without_its_url():
    for wrong, why in (([receiver("a", 1), receiver("a", 2)], "two receivers are named a"),
                       ([receiver("A b", 1)], "only a-z"), ([{"name": "a", "url": "ftp://T0KEN/"}], "http://"),
                       ([{"name": "a"}], "url"), ([receiver("a", 1, kind="pager")], "slack")):
        place = Workplace(options(*wrong))
        try:
            text = place.run("serve", "-c", "nomos.json", check=1).stderr.decode()
            assert why in text and "T0KEN" not in text, text
        finally:
            place.remove()
