# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Forms of HTTP that clients really use, byte by byte over a socket: pipelining, 100-continue, HTTP/1.0, HEAD, OPTIONS, absolute
targets, for a route that needs nothing and for one that decides; what the wire refuses, and its limits as they are configured."""
import json
import re
import socket

from support import API_KEY, AGENT_SECRET, PATIENCE, Gateway, action, config, sign, until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


class Wire:
    """A connection that sends what it is told and reads one answer at a time."""

    def __init__(self, gateway):
        self.socket = socket.create_connection(gateway.address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _read_until(self, is_enough):
        while not is_enough():
            part = self.socket.recv(65536)
            assert part, f"closed after {self.got!r}"
            self.got += part

    def reply(self, has_body=True):
        """(status, headers by lower-case name, body)"""
        self._read_until(lambda: b"\r\n\r\n" in self.got)
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines), f"a header twice: {head}"
        size = int(headers.get("content-length", 0)) if has_body else 0
        self._read_until(lambda: len(self.got) >= size)
        body, self.got = self.got[:size], self.got[size:]
        return int(first.split()[1]), headers, body

    def closed(self):
        """The server has closed, and sent nothing besides."""
        assert self.socket.recv(65536) == b"" and self.got == b"", self.got
        return True


def act_head(body, first=b"POST /action HTTP/1.1", extra=b"", length=None):
    signature = sign(AGENT_SECRET, body)
    return first + (f"\r\nHost: h\r\nAuthorization: Bearer {API_KEY}\r\nX-Nomos-Agent-Id: bot\r\nX-Nomos-Agent-Signature: {signature}"
                    f"\r\nContent-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n").encode() \
        + extra + b"\r\n"


def act(number, **kwargs):
    body = json.dumps(action(action_id=f"act-{number}")).encode()
    return act_head(body, **kwargs) + body


def decided(gateway):
    """The action ids of the ledger's decisions, in order."""
    return [r["action_id"] for r in gateway.records() if r["event_type"] == "action.decision"]


def test_pipelined_requests_are_answered_in_order():
    with Gateway() as gateway, Wire(gateway) as wire:
        wire.send(act(1) + HEALTH + act(2) + HEALTH + act(3))
        bodies = []
        for expected in ("act-1", None, "act-2", None, "act-3"):
            status, headers, body = wire.reply()
            assert status == 200 and "connection" not in headers, (status, headers)
            bodies.append(json.loads(body)["action_id"] if expected else body)
        assert bodies == ["act-1", b"ok", "act-2", b"ok", "act-3"], bodies
        assert decided(gateway) == ["act-1", "act-2", "act-3"]


def test_nothing_behind_a_bad_request_is_decided():
    with Gateway() as gateway:
        for bad in (b"GET /healthz HTTP/1.1\r\nHost : h\r\n\r\n", act(7, extra=b"Transfer-Encoding: chunked\r\n"),
                    act(7, extra=b"Authorization: Bearer " + API_KEY.encode() + b"\r\n"),
                    act(7, extra=b"x-nomos-agent-id: bot\r\n"), act(7, extra=b"Content-Type: text/plain\r\n")):
            with Wire(gateway) as wire:
                wire.send(act(1) + bad + act(8))
                assert wire.reply()[0] == 200
                status, headers, body = wire.reply()
                assert status == 400 and headers["connection"] == "close", (status, headers)
                assert json.loads(body)["reason"].startswith("validation_error: ")
                assert wire.closed()
        assert decided(gateway) == ["act-1"] * 5


def test_continue_is_sent_for_an_accepted_head():
    body = json.dumps(action(action_id="act-1")).encode()
    with Gateway() as gateway, Wire(gateway) as wire:
        for first in (b"POST /action HTTP/1.1", b"POST /action HTTP/1.1"):
            wire.send(act_head(body, first, b"Expect: 100-continue\r\n"))
            assert wire.reply() == (100, {}, b"")
            wire.send(body[:10])
            wire.send(body[10:])
            status, _, answer = wire.reply()
            assert status == 200 and json.loads(answer)["action_id"] == "act-1"
        # Not for one whose body is there already, nor without a body, nor on HTTP/1.0.
        wire.send(act_head(body, extra=b"Expect: 100-continue\r\n") + body)
        assert wire.reply()[0] == 200
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n")
        assert wire.reply()[0] == 200
        wire.send(act_head(body, b"POST /action HTTP/1.0", b"Expect: 100-continue\r\n"))
        wire.send(body)
        assert wire.reply()[0] == 200 and wire.closed()


def test_continue_is_not_sent_for_a_refused_head():
    body = json.dumps(action()).encode()
    for extra, length, expected in ((b"Expect: 100-continue\r\n", 10 ** 9, 413), (b"Expect: 100-continue\r\nX : y\r\n", None, 400),
                                    (b"Expect: 200-ok\r\n", None, 417)):
        with Gateway() as gateway, Wire(gateway) as wire:
            wire.send(act_head(body, extra=extra, length=length))
            status, headers, _ = wire.reply()
            assert status == expected and headers["connection"] == "close", (status, headers)
            assert wire.closed() and decided(gateway) == []


def test_http10():
    with Gateway() as gateway:
        for request in (b"GET /healthz HTTP/1.0\r\n\r\n", act(1, first=b"POST /action HTTP/1.0")):
            with Wire(gateway) as wire:
                wire.send(request + act(9))
                status, headers, _ = wire.reply()
                assert status == 200 and headers["connection"] == "close", (status, headers)
                assert wire.closed()
        with Wire(gateway) as wire:
            wire.send(act(2, first=b"POST /action HTTP/1.0", extra=b"Connection: keep-alive\r\n"))
            status, headers, _ = wire.reply()
            assert status == 200 and headers["connection"] == "keep-alive", (status, headers)
            wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert wire.reply()[2] == b"ok" and wire.closed()
        assert decided(gateway) == ["act-1", "act-2"]


def test_head_has_the_headers_of_get_and_no_body():
    with Gateway() as gateway, Wire(gateway) as wire:
        wire.send(HEALTH.replace(b"GET", b"HEAD") + HEALTH)
        status, head, _ = wire.reply(has_body=False)
        assert status == 200
        status, full, body = wire.reply()
        assert status == 200 and body == b"ok"
        for name in ("content-length", "content-type"):
            assert head[name] == full[name]
        # A route without GET; a body that the route does not take is passed over, not run.
        inner = HEALTH
        wire.send(act(1, first=b"HEAD /action HTTP/1.1") + b"HEAD /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(inner)
                  + inner + HEALTH)
        assert wire.reply(has_body=False)[0] == 405
        assert wire.reply(has_body=False)[0] == 413
        assert wire.reply()[2] == b"ok"
        wire.send(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert wire.reply(has_body=False)[0] == 200 and wire.closed()
        assert decided(gateway) == []


def test_options():
    with Gateway() as gateway, Wire(gateway) as wire:
        for target, allowed in ((b"/healthz", {"GET", "HEAD", "OPTIONS"}), (b"/action", {"POST", "OPTIONS"}),
                                (b"*", {"DELETE", "GET", "HEAD", "POST", "OPTIONS"}), (b"http://h/action", {"POST", "OPTIONS"})):
            wire.send(b"OPTIONS %b HTTP/1.1\r\nHost: h\r\n\r\n" % target + HEALTH)
            status, headers, _ = wire.reply()
            assert status == 204 and set(headers["allow"].split(", ")) == allowed, (target, headers)
            assert len(headers["allow"].split(", ")) == len(allowed), headers
            assert "content-length" not in headers
            assert wire.reply()[2] == b"ok"
        wire.send(b"OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
        assert wire.reply()[0] == 404
        wire.send(act(1, first=b"OPTIONS /action HTTP/1.1"))
        assert wire.reply()[0] == 204
        assert decided(gateway) == []


def test_absolute_target_of_our_own_authority():
    with Gateway() as gateway:
        with Wire(gateway) as wire:
            wire.send(b"GET http://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n" + act(1, first=b"POST http://H/action HTTP/1.1"))
            assert wire.reply()[2] == b"ok"
            assert json.loads(wire.reply()[2])["action_id"] == "act-1"
        for target in (b"http://evil/action", b"http://h:1/action", b"http://u@h/action", b"ftp://h/action"):
            with Wire(gateway) as wire:
                wire.send(act(2, first=b"POST " + target + b" HTTP/1.1") + act(3))
                assert wire.reply()[0] == 400 and wire.closed()
        assert decided(gateway) == ["act-1"]


def test_a_route_is_found_by_the_target_as_it_was_sent():
    """Nothing is decoded or made simpler before it is compared."""
    with Gateway() as gateway:
        assert gateway.get("/healthz?a=%00").status == 200
        for target in ("/%68ealthz", "/healthz%00x", "/healthz%20", "/healthz/", "//h/healthz", "/./healthz", "/a/../healthz", "/HEALTHZ", "/healthz;a"):
            with Wire(gateway) as wire:
                wire.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                assert wire.reply()[0] in (400, 404), target


def test_chunked_action_in_small_pieces():
    body = json.dumps(action(action_id="act-1")).encode()
    head = act_head(body).replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    with Gateway() as gateway, Wire(gateway) as wire:
        for byte in head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n":
            wire.send(bytes([byte]))
        status, _, answer = wire.reply()
        assert status == 200 and json.loads(answer)["action_id"] == "act-1"
        until(lambda: decided(gateway) == ["act-1"], "the decision is in the ledger")


# ---- what is refused ----

REFUSED = {
    "line does not end in CRLF": (400, b"GET /refused HTTP/1.1\nHost: h\r\n\r\n"),
    "both Content-Length and Transfer-Encoding": (400, b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "malformed header name": (400, b"GET /refused HTTP/1.1\r\nHost: h\r\nContent-Length : 35\r\n\r\n"),
    "folded header line": (400, b"GET /refused HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
    "malformed chunk": (400, b"POST /refused HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n"),
    "HTTP version is not supported": (505, b"GET /refused HTTP/1.2\r\nHost: h\r\n\r\n"),
    "unknown method": (501, b"BREW /refused HTTP/1.1\r\nHost: h\r\n\r\n"),
    "expectation is not supported": (417, b"GET /refused HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n"),
}


def refusals(gateway):
    """How often each reason is counted, and the sum that also counts what routes and credentials refuse."""
    text = gateway.operator("GET", "/metrics").body.decode()
    by_reason = re.findall(r'^nomos_wire_refusals_total\{reason="([^"]*)"\} (\d+)$', text, re.M)
    return {reason: int(n) for reason, n in by_reason}, int(re.search(r"^nomos_requests_refused_total (\d+)$", text, re.M)[1])


def test_what_the_wire_refuses_is_counted_and_logged():
    with Gateway(config(gateway={"workers": 1})) as gateway:
        for n, (reason, (status, data)) in enumerate(REFUSED.items(), 1):
            with Wire(gateway) as wire:
                wire.send(data + HEALTH)
                got, headers, body = wire.reply()
                assert (got, headers["connection"]) == (status, "close"), (reason, got, headers)
                assert json.loads(body) == {"decision": "DENY", "reason": f"validation_error: {reason}"}, body
                assert wire.closed()
            by_reason, total = refusals(gateway)
            assert by_reason == dict.fromkeys(list(REFUSED)[:n], 1) and total == n, (reason, by_reason, total)
        # The first of a second is told, and how many others were not; never what the client sent.
        until(lambda: "refused a request from 127.0.0.1 with 400: line does not end in CRLF" in gateway.read_log(), "it is logged")
        assert "/refused" not in gateway.log
        assert not [r for r in gateway.records() if r["event_type"].startswith("action")]


# ---- limits ----

def answer_to(gateway, data):
    """(status, reason of the refusal)"""
    with Wire(gateway) as wire:
        wire.send(data)
        status, _, body = wire.reply()
        return status, json.loads(body)["reason"].partition(": ")[2] if body.startswith(b"{") else ""


def get(path=b"/healthz", extra=b""):
    return b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n" + extra + b"\r\n"


def test_each_limit_of_the_configuration_is_kept():
    limits = {"max_request_line_bytes": 300, "max_header_bytes": 1200, "max_headers": 9, "max_body_bytes": 1100, "max_requests_per_connection": 3}
    longest = b"/" + b"x" * (300 - len("GET / HTTP/1.1\r\n"))
    with Gateway(config(gateway=limits)) as gateway:
        assert answer_to(gateway, get(longest))[0] == 404
        assert answer_to(gateway, get(longest + b"x")) == (431, "request line is too long")
        assert answer_to(gateway, get(extra=b"X: y\r\n" * 8))[0] == 200
        assert answer_to(gateway, get(extra=b"X: y\r\n" * 9)) == (431, "too many request headers")
        fill = 1200 - len(get(extra=b"X: \r\n"))
        assert answer_to(gateway, get(extra=b"X: " + b"y" * fill + b"\r\n"))[0] == 200
        assert answer_to(gateway, get(extra=b"X: " + b"y" * (fill + 1) + b"\r\n")) == (431, "request headers are too large")
        assert answer_to(gateway, act_head(b" " * 1100) + b" " * 1100)[0] == 400
        assert answer_to(gateway, act_head(b" " * 1101)) == (413, "request body is too large")
        with Wire(gateway) as wire:
            wire.send(HEALTH * 4)
            assert [wire.reply()[1].get("connection") for _ in range(3)] == [None, None, "close"]
            assert wire.closed()


def test_each_deadline_of_the_configuration_is_kept():
    """One at a time is short, the others are an hour."""
    beginnings = {
        "header_timeout_seconds": (get()[:-2], "request headers did not arrive in time"),
        "body_timeout_seconds": (act_head(b"{}", length=9) + b"{}", "request body did not arrive in time"),
        "idle_timeout_seconds": (b"", None),
    }
    for name, (data, reason) in beginnings.items():
        hours = {**dict.fromkeys(beginnings, 3600), "min_bytes_per_second": 0, name: 1}
        with Gateway(config(gateway=hours)) as gateway:
            with Wire(gateway) as wire:
                wire.send(data)
                if reason is not None:
                    status, _, body = wire.reply()
                    assert status == 408 and json.loads(body)["reason"] == f"validation_error: {reason}", (status, body)
                assert wire.closed()


def test_the_least_rate_of_the_configuration_is_kept():
    hours = {"header_timeout_seconds": 3600, "body_timeout_seconds": 3600, "min_bytes_per_second": 1000000, "rate_grace_seconds": 1}
    with Gateway(config(gateway=hours)) as gateway:
        # More than the least rate of the defaults asks for.
        assert answer_to(gateway, get(extra=b"X: " + b"y" * 12000)[:-2]) == (408, "request headers arrive too slowly")
        assert answer_to(gateway, act_head(b"{}", length=60001) + b"{" * 60000) == (408, "request body arrives too slowly")


def test_an_address_has_so_many_connections():
    with Gateway(config(gateway={"max_connections_per_address": 3})) as gateway:
        held = [Wire(gateway) for _ in range(3)]
        for wire in held:
            wire.send(HEALTH)
            assert wire.reply()[0] == 200
        with Wire(gateway) as wire:
            assert wire.closed()
        held.pop().socket.close()
        until(lambda: gateway_answers(gateway), "a place that was left is taken")
        for wire in held:
            wire.socket.close()


def gateway_answers(gateway):
    """Whether a new connection is served; one over the cap is closed, as the kernel sees fit by a reset."""
    try:
        return gateway.raw(get(extra=b"Connection: close\r\n")).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False
