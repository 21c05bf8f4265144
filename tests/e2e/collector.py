# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""An OTLP/HTTP collector that believes nothing: every body is read by the messages of opentelemetry-proto in their JSON form, and a
member that is not in them, a wrong type, a bad id, a span that ends before it starts, an id that comes twice, a parent that
never comes, a counter that falls: each is a fault. Faults are in `faults`."""
import gzip
import json
import re

from stub_server import StubServer
from support import until


class Fault(Exception):
    pass


def need(holds, what):
    if not holds:
        raise Fault(what)


def hex_id(n):
    def check(v):
        need(isinstance(v, str) and re.fullmatch(f"[0-9a-f]{{{2 * n}}}", v) and v.strip("0"), f"id {v!r}")
        return v
    return check


def text(v):
    need(isinstance(v, str), f"no string: {v!r}")
    return v


def whole(bits, signed=False):
    """32 bits are numbers, 64 bits are strings of digits."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def check(v):
        if bits == 64:
            need(isinstance(v, str) and re.fullmatch(r"-?(0|[1-9][0-9]*)", v), f"no 64-bit integer as a string: {v!r}")
        else:
            need(isinstance(v, int) and not isinstance(v, bool), f"no integer: {v!r}")
        need(low <= int(v) <= high, f"out of range: {v!r}")
        return int(v)
    return check


def enum(*values):
    def check(v):
        need(isinstance(v, int) and not isinstance(v, bool) and v in values, f"enum {v!r} not of {values}")
        return v
    return check


def double(v):
    need(isinstance(v, (int, float)) and not isinstance(v, bool), f"no number: {v!r}")
    return float(v)


def boolean(v):
    need(isinstance(v, bool), f"no boolean: {v!r}")
    return v


def many(check):
    def check_all(v):
        need(isinstance(v, list), f"no list: {v!r}")
        return [check(x) for x in v]
    return check_all


def message(required=(), **members):
    def check(v):
        need(isinstance(v, dict), f"no object: {v!r}")
        for name in v:
            need(name in members, f"unknown member {name!r}")
        for name in required:
            need(name in v, f"no member {name!r} in {sorted(v)}")
        return {name: members[name](value) for name, value in v.items()}
    return check


def any_value(v):
    need(isinstance(v, dict) and len(v) == 1, f"a value has one member: {v!r}")
    (kind, inner), = v.items()
    if kind == "arrayValue":
        return message(("values",), values=many(any_value))(inner)["values"]
    kinds = {"stringValue": text, "boolValue": boolean, "intValue": whole(64, True), "doubleValue": double}
    need(kind in kinds, f"unknown kind of value {kind!r}")
    return kinds[kind](inner)


def attributes(v):
    pairs = many(message(("key", "value"), key=text, value=any_value))(v)
    need(len({p["key"] for p in pairs}) == len(pairs), f"a key twice: {[p['key'] for p in pairs]}")
    need(all(p["key"] for p in pairs), "an empty key")
    return {p["key"]: p["value"] for p in pairs}


RESOURCE = message(("attributes",), attributes=attributes, droppedAttributesCount=whole(32))
SCOPE = message(("name",), name=text, version=text, attributes=attributes, droppedAttributesCount=whole(32))
STATUS = message(message=text, code=enum(0, 1, 2))
SPAN = message(
    ("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"), traceId=hex_id(16), spanId=hex_id(8),
    traceState=text, parentSpanId=hex_id(8), flags=whole(32), name=text, kind=enum(1, 2, 3, 4, 5), startTimeUnixNano=whole(64),
    endTimeUnixNano=whole(64), attributes=attributes, droppedAttributesCount=whole(32), status=STATUS)
NUMBER = message(("timeUnixNano",), attributes=attributes, startTimeUnixNano=whole(64), timeUnixNano=whole(64), asDouble=double,
                 asInt=whole(64, True), flags=whole(32))
BUCKETS = message(
    ("timeUnixNano", "count", "bucketCounts", "explicitBounds"), attributes=attributes, startTimeUnixNano=whole(64),
    timeUnixNano=whole(64), count=whole(64), sum=double, bucketCounts=many(whole(64)), explicitBounds=many(double), flags=whole(32),
    min=double, max=double)
METRIC = message(
    ("name",), name=text, description=text, unit=text, gauge=message(("dataPoints",), dataPoints=many(NUMBER)),
    sum=message(("dataPoints", "aggregationTemporality", "isMonotonic"), dataPoints=many(NUMBER),
                aggregationTemporality=enum(1, 2), isMonotonic=boolean),
    histogram=message(("dataPoints", "aggregationTemporality"), dataPoints=many(BUCKETS), aggregationTemporality=enum(1, 2)))


def request(resources, scopes, items, item):
    inner = message(("scope", items), scope=SCOPE, schemaUrl=text, **{items: many(item)})
    outer = message(("resource", scopes), resource=RESOURCE, schemaUrl=text, **{scopes: many(inner)})
    return message((resources,), **{resources: many(outer)})


TRACES = request("resourceSpans", "scopeSpans", "spans", SPAN)
METRICS = request("resourceMetrics", "scopeMetrics", "metrics", METRIC)


def unique(pairs):
    need(len({name for name, _ in pairs}) == len(pairs), f"a member twice: {[name for name, _ in pairs]}")
    return dict(pairs)


def no_constant(name):
    raise Fault(f"{name} is no number of JSON")


def read(body):
    return json.loads(body.decode("utf-8", "strict"), object_pairs_hook=unique, parse_constant=no_constant)


class Collector(StubServer):
    """Answers as `answer` says: a status, one of the words below, or a function of the path that gives one of these.
    Only what it answered 2xx is taken."""

    def __init__(self, answer=200, port=0, headers=(), tls=None, client_ca=None):
        self.answer = answer
        self.wanted = dict(headers)
        self.spans = {}  # by id
        self.points = {}  # (name, attributes) -> (value, start, time): the newest
        self.kinds = {}
        self.instances = set()
        self.bodies = []  # all that came, taken or not, unpacked
        self.encodings = set()
        self.asked = []  # paths
        self.retry_after = None
        super().__init__(port, tls, client_ca)

    def options(self, **more):
        return {"enabled": True, "sink": f"otlp:{self.url}", "interval_seconds": 1, **more}

    def _serve(self, h):
        answer = self.answer(h.path) if callable(self.answer) else self.answer
        if answer == "closes early":
            with self.lock:
                self.asked.append(h.path)
            h.close_connection = True
            return
        size = int(h.headers["Content-Length"])
        body = h.rfile.read(size)
        if len(body) < size:
            return
        if h.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with self.lock:
            self.asked.append(h.path)
            self.bodies.append(body)
            self.encodings.add(h.headers.get("Content-Encoding"))
            try:
                self._take(h, body, answer in (200, "garbage", "slow", "rejects some"))
            except (Fault, ValueError, KeyError) as e:
                self.faults.append(f"{h.path}: {e}")
        if isinstance(answer, int) or answer == "slow":
            if answer == "slow":
                self.ending.wait(0.3)
            self._answer(h, answer if isinstance(answer, int) else 200, b"{}")
        elif answer == "rejects some":
            what = "rejectedSpans" if h.path.endswith("traces") else "rejectedDataPoints"
            self._answer(h, 200, json.dumps({"partialSuccess": {what: "2", "errorMessage": "no room"}}).encode())
        elif answer == "garbage":
            self._answer(h, 200, b"\x00\xff<html>{{{" * 100)
        else:
            self._misbehave(h, answer, {"no http": b"\x16\x03\x01 what is this\r\n\r\n"})

    def _answer(self, h, status, body):
        h.send_response(status)
        if self.retry_after is not None and status != 200:
            h.send_header("Retry-After", str(self.retry_after))
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def _take(self, h, body, is_taken):
        need(h.headers["Content-Type"] == "application/json", f"type {h.headers['Content-Type']}")
        for name, value in self.wanted.items():
            need(h.headers.get(name) == value, f"header {name}")
        if h.path.endswith("/v1/traces"):
            self._check_all(TRACES(read(body))["resourceSpans"], "scopeSpans", "spans", self._take_span, is_taken)
        elif h.path.endswith("/v1/metrics"):
            self._check_all(METRICS(read(body))["resourceMetrics"], "scopeMetrics", "metrics", self._take_metric, is_taken)
        else:
            raise Fault("no such path")

    def _check_all(self, resources, scopes, items, take, is_taken):
        for resource in resources:
            names = resource["resource"]["attributes"]
            need(names["service.name"] == "nomos" and names["service.version"] and names["service.instance.id"], f"resource {names}")
            self.instances.add(names["service.instance.id"])
            for scope in resource[scopes]:
                need(scope["scope"]["name"] == "nomos.telemetry", "scope")
                need(scope[items], "an empty request")
                for item in scope[items]:
                    take(item, is_taken)

    def _take_span(self, span, is_taken):
        need(span["startTimeUnixNano"] > 0 and span["endTimeUnixNano"] >= span["startTimeUnixNano"], f"times of {span['name']}")
        need(span["name"], "a span without a name")
        if is_taken:
            need(span["spanId"] not in self.spans, f"span id {span['spanId']} twice")
            self.spans[span["spanId"]] = span

    def _take_metric(self, metric, is_taken):
        name = metric["name"]
        kinds = [k for k in ("gauge", "sum", "histogram") if k in metric]
        need(len(kinds) == 1, f"{name} has kinds {kinds}")
        kind = kinds[0]
        need(self.kinds.setdefault(name, kind) == kind, f"{name} was a {self.kinds[name]}")
        held = metric[kind]
        need(held["dataPoints"], f"{name} has no points")
        if kind != "gauge":
            need(held["aggregationTemporality"] == 2, f"{name} is not cumulative")
        if kind == "sum":
            need(held["isMonotonic"], f"{name} is not monotonic")
        seen = set()
        for point in held["dataPoints"]:
            key = (name, tuple(sorted(point.get("attributes", {}).items())))
            need(key not in seen, f"{key} twice in one request")
            seen.add(key)
            self._take_point(key, kind, point, is_taken)

    def _take_point(self, key, kind, point, is_taken):
        start, time = point.get("startTimeUnixNano", 0), point["timeUnixNano"]
        if kind == "histogram":
            need(len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1, f"buckets of {key}")
            need(point["explicitBounds"] == sorted(set(point["explicitBounds"])), f"bounds of {key}")
            need(point["count"] == sum(point["bucketCounts"]), f"count of {key}")
            value = point["bucketCounts"]
        else:
            need(("asInt" in point) != ("asDouble" in point), f"{key} has not one value")
            value = [point.get("asInt", point.get("asDouble"))]
        if kind != "gauge":
            need(0 < start <= time, f"times of {key}")
        before = self.points.get(key)
        if before is not None:
            need(time >= before[2], f"{key} goes back in time")
            if kind != "gauge":
                need(start == before[1], f"{key} has another start")
                need(all(a <= b for a, b in zip(before[0], value)), f"{key} falls: {before[0]} to {value}")
        if is_taken:
            self.points[key] = (value, start, time)

    # ---- what tests ask ----

    def roots(self, **wanted):
        """The requests' spans that have these attributes (dots are written __)."""
        names = {name.replace("__", "."): value for name, value in wanted.items()}
        with self.lock:
            return [s for s in self.spans.values() if s["kind"] == 2 and names.items() <= s["attributes"].items()]

    def root(self, **wanted):
        """Waits for the only one."""
        found = until(lambda: self.roots(**wanted), f"a span with {wanted}")
        assert len(found) == 1, found
        return found[0]

    def children(self, root):
        with self.lock:
            return sorted((s for s in self.spans.values() if s.get("parentSpanId") == root["spanId"]),
                          key=lambda s: (s["startTimeUnixNano"], s["endTimeUnixNano"]))

    def point(self, name, **labels):
        with self.lock:
            found = self.points.get((name, tuple(sorted(labels.items()))))
        return found[0] if found else None

    def n_asked(self, path):
        with self.lock:
            return sum(p.endswith(path) for p in self.asked)

    def text(self):
        with self.lock:
            return b"\n".join(self.bodies).decode()

    def check(self):
        for span in self.spans.values():
            is_remote = span.get("flags", 0) & 0x200
            parent = self.spans.get(span.get("parentSpanId"))
            if "parentSpanId" in span and not is_remote:
                if parent is None or parent["traceId"] != span["traceId"]:
                    self.faults.append(f"{span['name']} has a parent that never came")
                elif not (parent["startTimeUnixNano"] <= span["startTimeUnixNano"] and span["endTimeUnixNano"] <= parent["endTimeUnixNano"]):
                    self.faults.append(f"{span['name']} is not within its parent")
        super().check()
