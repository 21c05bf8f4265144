# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""A proxy in front and the gateway never disagree about where a request ends: every case of tests/corpus/http through nginx and
HAProxy and Envoy, as they are and with their checks turned off, against what each of them took for a request."""
import json
import pathlib
import re
import subprocess
import tempfile

from balancers import find
from proxies import ANSWER, Proxy, load_corpus
from support import BIN, LONG, Gateway, config, until
import support

WIRE_READ = pathlib.Path(BIN).parent / "tests" / "wire_read"
STAMP = re.compile(rb"\r\nX-Meant-Serial: ([^\r]*)\r\n", re.IGNORECASE)


def read_all(streams):
    """What the framing machine reads in each: (requests, status of the refusal or 0)."""
    frames = b"".join(b"%d\n%s" % (len(s), s) for s in streams)
    done = subprocess.run([WIRE_READ], input=frames, capture_output=True, check=True)
    return [(read[:-1], read[-1]) for read in map(json.loads, done.stdout.splitlines())]


def path_of(target):
    """Without scheme and authority, which a proxy takes off."""
    short = re.sub(r"^[A-Za-z]+://[^/?]*", "", target)
    return short if short.startswith(("/", "*")) else "/" + short


def header(request, name):
    return [value for key, value in request[2] if key.lower() == name]


class Exchange:
    """One case through one proxy."""

    def __init__(self, case, proxy, answers):
        self.name = f"{proxy.kind}, {case.name}"
        self.case, self.kind = case, proxy.kind
        self.reply = proxy.send(case.send, answers)
        # The proxy waits for each answer, so all that it passed on is answered when it has closed.
        meant = proxy.relay.count("up", b"\nx-meant-serial: ")
        until(lambda: proxy.relay.count("down", ANSWER) >= meant, f"{self.name}: answers to {meant} requests")
        proxy.settle()
        self.links = [link for link in proxy.relay.take() if not link[0].startswith(b"GET /probe ")]
        self.log = [json.loads(line) for line in proxy.read_log()] if proxy.kind == "nginx" else []
        self.read = None

    def check_forwarded(self, read):
        """On each connection to the gateway: as many requests, in the same order, with the same bodies as meant."""
        requests = []
        for (up, down), (seen, refusal) in zip(self.links, read):
            stamps = [serial.decode() for serial in STAMP.findall(up)]
            assert len(seen) + (refusal > 0) == len(stamps), \
                f"{self.name}: the proxy meant {len(stamps)} requests, read are {len(seen)} and a refusal {refusal}: {up[:600]!r}"
            assert down.lower().count(ANSWER) == len(stamps), f"{self.name}: {down.lower().count(ANSWER)} answers to {len(stamps)} requests"
            for request, serial in zip(seen, stamps):
                assert header(request, "x-meant-serial") == [serial], f"{self.name}: {request}"
                requests.append(request)
        # Envoy takes another connection where it likes; its stamps begin with the time.
        return sorted(requests, key=lambda r: header(r, "x-meant-serial")[0]) if self.kind == "envoy" else requests

    def check_bodies(self, requests):
        """The body that the gateway sees is the body that the proxy read."""
        bodies = {serial: body.encode("latin-1").hex() for serial, _, _, body, _, _ in self.log}
        for request in requests:
            serial = header(request, "x-meant-serial")[0]
            meant = bodies[serial] if self.log else header(request, "x-meant-body")[0].lower() if header(request, "x-meant-body") else ""
            assert request[3] == meant, f"{self.name}: the proxy meant the body {meant}, read is {request[3]}"

    def meant(self, requests):
        """All requests as the proxy cut them out of the case, in order: (method, path, body or None when it is not known)."""
        if not self.log:
            return [(r[0], path_of(r[1]), r[3]) for r in requests]
        # Passed on, or answered by the proxy itself but not refused.
        lines = [line for line in self.log if line[4] or line[5] == "405"]
        return [(line[1], path_of(line[2]), line[3].encode("latin-1").hex() if line[4] else None) for line in lines]

    def check_boundaries(self, requests, direct):
        """Of what both took from the same bytes, each request is the same one."""
        meant = self.meant(requests)
        for ours, theirs in zip(direct, meant):
            assert ours[0] == theirs[0] and path_of(ours[1]) == theirs[1] and theirs[2] in (None, ours[3]), \
                f"{self.name}: cut as {theirs} by the proxy, as {[ours[0], ours[1], ours[3]]} by the gateway"
        return len(meant) - len(direct)


def compare(kind, options=""):
    if find(kind) is None:
        raise support.Skip(f"{kind} is not installed")
    cases = load_corpus()
    assert len(cases) >= 400
    direct = read_all([case.send for case in cases])
    limits = {"max_header_bytes": 128 * 1024, "max_headers": 100, "max_body_bytes": 64 * 1024}
    with tempfile.TemporaryDirectory(prefix="nomos-proxy-") as folder, Gateway(config(gateway=limits)) as gateway:
        with Proxy(kind, pathlib.Path(folder) / "p", gateway.address, options) as proxy:
            exchanges = [Exchange(case, proxy, len(requests)) for case, (requests, _) in zip(cases, direct)]
        read = iter(read_all([up for e in exchanges for up, _ in e.links]))
        counts = {"as many": 0, "the gateway takes fewer": 0, "the proxy takes fewer": 0}
        forwarded = 0
        for exchange, (requests, _) in zip(exchanges, direct):
            seen = exchange.check_forwarded([next(read) for _ in exchange.links])
            exchange.check_bodies(seen)
            more = exchange.check_boundaries(seen, requests)
            forwarded += len(seen)
            counts["as many" if more == 0 else "the gateway takes fewer" if more > 0 else "the proxy takes fewer"] += 1
            if DIFFERENCES is not None and more != 0:
                DIFFERENCES.append((kind, options, more, exchange.case.name))
    # A proxy that passes nothing on would agree about everything.
    assert forwarded > 150, forwarded
    print(f"      {kind} {options!r}: {forwarded} requests passed on; {counts}")


DIFFERENCES = None


def test_nginx_agrees():
    compare("nginx")


def test_nginx_without_header_checks_agrees():
    compare("nginx", "ignore_invalid_headers off; underscores_in_headers on;")


def test_haproxy_agrees():
    compare("haproxy")


def test_haproxy_without_checks_agrees():
    compare("haproxy", "option accept-invalid-http-request")


def test_envoy_agrees():
    compare("envoy")


def test_envoy_without_checks_agrees():
    if LONG:
        compare("envoy", "accept_http_10: true, default_host_for_http_10: h, allow_chunked_length: true, allow_absolute_url: true")
