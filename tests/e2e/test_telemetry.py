# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Telemetry against a collector that reads strictly (collector.py), and as lines: what is told of each request, and that no fault of it
changes a decision."""
import contextlib
import fcntl
import json
import os
import tempfile
import threading

from certificates import Authority
from collector import Collector
from pipes import pipe_of
from support import API_KEY, OPERATOR_KEY, POLICY, Gateway, Workplace, action, config, sign, until
from test_metrics import metrics, value
from test_waiting import APPROVER_KEY, Held, decide, wait_for_approval

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JOINED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1,other=2"}
STEPS = ["receive", "queue", "authenticate", "admit", "parse", "normalize", "limit", "decide", "commit"]
SECRET = "AKIAABCDEFGHIJKLMNOP"


@contextlib.contextmanager
def traced(collector, policy=None, telemetry=None, **sections):
    with Gateway(config(telemetry=collector.options(**(telemetry or {})), **sections), policy) as g:
        yield g


def told(answer=200, n=1, policy=None, telemetry=None, **sections):
    """A collector, what a gateway told it of `n` refunds, and the answers: all of it, since the end flushes."""
    with Collector(answer) as c:
        with traced(c, policy, telemetry, **sections) as g:
            replies = [g.act(action(action_id=f"act-{i}")) for i in range(n)]
        return c, replies


def names(c, root):
    return [s["name"] for s in c.children(root)]


# ---- traces ----

def test_a_request_joins_its_caller_s_trace():
    with Collector() as c:
        with traced(c) as g:
            reply = g.act(headers=JOINED)
            assert reply.headers["Traceparent"] == JOINED["traceparent"] and reply.headers["Tracestate"] == JOINED["tracestate"]
        root = c.root()
        assert (root["traceId"], root["parentSpanId"], root["traceState"]) == (TRACE, PARENT, JOINED["tracestate"])
        assert root["flags"] == 0x301 and root["name"] == "POST /action"
        children = c.children(root)
        assert [s["name"] for s in children] == [*STEPS, "respond"]
        assert {s["traceId"] for s in children} == {TRACE} and {s["flags"] for s in children} == {0x101}


def test_without_a_caller_s_trace_each_request_begins_one():
    c, _ = told(n=5)
    roots = c.roots()
    assert len(roots) == 5 and len({r["traceId"] for r in roots}) == 5
    assert not any("parentSpanId" in r or "traceState" in r for r in roots)
    for r in roots:
        assert {s["traceId"] for s in c.children(r)} == {r["traceId"]}


def test_weak_spot_38_span_ids_are_unique_and_times_are_real():
    """One trace id and one action id many times over: the collector refuses an id that comes twice."""
    with Collector() as c:
        with traced(c) as g:
            for _ in range(20):
                g.act(headers=JOINED)
        assert len(c.roots()) == 20 and len(c.spans) == 20 * (len(STEPS) + 2)
        for r in c.roots():
            children = c.children(r)
            assert r["endTimeUnixNano"] > r["startTimeUnixNano"]
            commit = next(s for s in children if s["name"] == "commit")
            assert commit["endTimeUnixNano"] > commit["startTimeUnixNano"], "a commit takes time"
            # The steps follow each other without a hole, from the request's begin to its end.
            assert children[0]["startTimeUnixNano"] == r["startTimeUnixNano"] and children[-1]["endTimeUnixNano"] == r["endTimeUnixNano"]
            for a, b in zip(children, children[1:]):
                assert 0 <= b["startTimeUnixNano"] - a["endTimeUnixNano"] < 1e9, (a["name"], b["name"])


def test_what_is_no_traceparent_is_not_joined():
    bad = [f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE.upper()}-{PARENT}-01",
           f"00-{TRACE}-{PARENT}", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE[:-1]}-{PARENT}-011", "", "x" * 55, f"0x-{TRACE}-{PARENT}-01"]
    with Collector() as c:
        with traced(c) as g:
            for text in bad:
                assert g.act(headers={"traceparent": text, "tracestate": "vendor=1"}).status == 200, text
            raw = json.dumps(action()).encode()
            lines = "".join(f"{k}: {v}\r\n" for k, v in g.auth(raw).items())
            two = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n" * 2
            g.raw(f"POST /action HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{lines}{two}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        roots = c.roots()
        assert len(roots) == len(bad) + 1
        assert not any(r["traceId"] == TRACE or "parentSpanId" in r or "traceState" in r for r in roots), roots


def test_a_traceparent_of_a_later_version_is_joined():
    with Collector() as c:
        with traced(c) as g:
            g.act(headers={"traceparent": f"cc-{TRACE}-{PARENT}-01-what-comes"})
        assert c.root()["parentSpanId"] == PARENT


def test_the_caller_decides_whether_it_is_sampled():
    with Collector() as c:
        with traced(c, telemetry={"sample_one_in": 10}) as g:
            for _ in range(5):
                g.act(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
                g.act(headers=JOINED)
            for i in range(20):
                g.act(action(action_id=f"own-{i}"))
        joined = [r for r in c.roots() if r["traceId"] == TRACE]
        assert len(joined) == 5 and len(c.roots()) == 5 + 2
        assert c.point("nomos.decisions", decision="ALLOW", result="SUCCESS") == [30], "counters have all"


def test_who_has_no_credential_does_not_choose_to_be_sampled():
    """Else whoever can connect takes up the places of everybody's traces."""
    with Collector() as c:
        with traced(c, telemetry={"sample_one_in": 1000000}) as g:
            g.act()  # the one of a million
            for _ in range(10):
                assert g.act(headers={**JOINED, "Authorization": "Bearer wrong"}).status == 401
                assert act_as_service(g, "made-up", secret="made-up").status == 401
                assert act_as_service(g, "svc", secret="made-up").status == 401
            assert g.act(headers=JOINED).status == 200
        assert [r["traceId"] for r in c.roots() if r["traceId"] == TRACE] == [TRACE]


def act_as_service(g, name, secret):
    raw = json.dumps(action()).encode()
    signed = {"X-Nomos-Service-Id": name, "X-Nomos-Service-Signature": sign(secret, raw)}
    return g.act(raw, headers={**JOINED, **signed, "Authorization": ""})


def test_a_service_joins_its_caller_s_trace():
    """Only its signature of the body says that it is one."""
    with Collector() as c:
        with traced(c, telemetry={"sample_one_in": 1000000}) as g:
            g.act()  # the one of a million
            assert act_as_service(g, "svc", secret="service-secret").status == 200
        root = c.root(nomos__principal="svc")
        assert (root["traceId"], root["parentSpanId"], root["traceState"]) == (TRACE, PARENT, JOINED["tracestate"])


def results_gateway(c):
    return traced(c, policy={**POLICY, "rules": [*POLICY["rules"], {
        "id": "allow-limited", "action_type": "mail.send", "resource": "mail://**", "decision": "ALLOW"}]},
        approvals={"enabled": True, "approver_principals": ["olga"]},
        rate_limits={"principal_action": [{"id": "few-mails", "action_type": "mail.send", "burst": 1, "refill_per_minute": 1}]})


def test_each_result_has_its_span_and_its_counters():
    with Collector() as c:
        with results_gateway(c) as g:
            assert g.act(action(action_id="allow")).json["decision"] == "ALLOW"
            assert g.act(action("no.such", "no://where/x", action_id="deny")).json["decision"] == "DENY"
            assert g.act(action("payments.transfer", "payment://bank.example.com/1", action_id="ask")).json["decision"] == "REQUIRE_APPROVAL"
            assert g.act(action("fs.read", "file://workspace/../x", action_id="bad")).status == 400
            assert g.act(action("fs.read", "file://workspace/README.md", action_id="read")).json["output"]
            assert g.act(action("fs.read", "file://workspace/none", action_id="missing")).status == 400
            assert g.act(action("mail.send", "mail://a/b", action_id="mail-1")).json["decision"] == "ALLOW"
            assert g.act(action("mail.send", "mail://a/b", action_id="mail-2")).json["reason"] == "RATE_LIMIT_EXCEEDED"
            assert g.act(key="wrong").status == 401
            assert g.act(secret="wrong").status == 401
            assert g.act({"no": "action"}).status == 400
            assert g.post("/explain", action(action_id="why")).status == 200
            assert g.post("/run", action(action_id="run")).status == 200
        def one(action_id):
            return c.root(nomos__action_id=action_id)

        allow = one("allow")["attributes"]
        assert allow["nomos.result"] == "SUCCESS" and allow["nomos.matched_rule_ids"] == ["allow-refund"] and allow["nomos.ledger_seq"] > 0
        assert (allow["nomos.principal"], allow["nomos.agent"], allow["nomos.environment"]) == ("alice", "bot", "dev")
        assert (allow["http.response.status_code"], allow["http.route"], allow["http.request.method"]) == (200, "/action", "POST")
        deny = one("deny")["attributes"]
        assert (deny["nomos.decision"], deny["nomos.reason"], deny["nomos.result"]) == ("DENY", "deny_by_default", "DENIED_POLICY")
        ask = one("ask")["attributes"]
        assert ask["nomos.result"] == "APPROVAL_REQUIRED" and ask["nomos.approval_id"].startswith("apr_")
        bad = one("bad")
        assert bad["attributes"]["nomos.result"] == "NORMALIZATION_ERROR" and bad["attributes"]["error.type"] == "normalization_error"
        assert "nomos.decision" not in bad["attributes"] and "nomos.resource" not in bad["attributes"]
        assert names(c, bad) == [*STEPS[:6], "commit", "respond"] and bad["status"] == {}
        assert [s["name"] for s in c.children(bad) if s["status"] == {"code": 2}] == ["commit"], "where it ended"
        read = one("read")
        assert names(c, read) == [*STEPS, "effect", "settle", "respond"] and read["attributes"]["nomos.result"] == "SUCCESS"
        assert one("missing")["attributes"]["nomos.result"] == "VALIDATION_ERROR"
        mail = one("mail-2")["attributes"]
        assert (mail["nomos.result"], mail["nomos.rate_limit_rule_id"]) == ("RATE_LIMIT_EXCEEDED", "few-mails")
        refused = c.roots(http__response__status_code=401)
        assert len(refused) == 2 and not any("nomos.principal" in r["attributes"] for r in refused)
        assert c.root(http__route="/explain")["attributes"]["nomos.action_id"] == "why"
        assert c.root(http__route="/run")["attributes"]["nomos.result"] == "SUCCESS"
        assert len(c.roots()) == 13

        def count(name, **labels):
            return (c.point(name, **labels) or [0])[0]

        assert count("nomos.decisions", decision="ALLOW", result="SUCCESS") == 4
        assert count("nomos.decisions", decision="DENY", result="DENIED_POLICY") == 1
        assert count("nomos.decisions", decision="ALLOW", result="VALIDATION_ERROR") == 1
        assert count("nomos.decisions", decision="DENY", result="RATE_LIMIT_EXCEEDED") == 1
        assert count("nomos.decisions", result="NORMALIZATION_ERROR") == 1
        assert count("nomos.approvals", result="APPROVAL_REQUIRED") == count("nomos.retries", result="APPROVAL_REQUIRED") == 1
        limits = {"action_type": "mail.send", "principal": "alice"}
        assert count("nomos.rate_limits", result="allowed", **limits) == 1
        assert count("nomos.rate_limits", result="exceeded", rule_id="few-mails", scope="principal_action", **limits) == 1
        assert not [key for key in c.points if key[0] == "nomos.failures"]


def test_a_held_request_is_one_span_and_says_how_long_it_was_held():
    with Collector() as c:
        with traced(c, approvals={"enabled": True, "approver_principals": ["vera"]},
                    identity={"api_keys": {API_KEY: "alice", OPERATOR_KEY: "olga", APPROVER_KEY: "vera"}}) as g:
            body = action("payments.transfer", "payment://bank.example.com/1")
            held = Held(g, body, wait=30)
            asked = until(lambda: g.act(body).json.get("approval_id"), "it is asked for")
            decide = json.dumps({"approval_id": asked, "decision": "approve"}).encode()
            assert g.request("POST", "/approvals/decide", decide, {"Authorization": f"Bearer {APPROVER_KEY}", "Content-Type": "application/json"}).status == 200
            assert held.answer()[2]["decision"] == "ALLOW"
            held.close()
        root = c.root(nomos__decision="ALLOW")
        assert names(c, root) == [*STEPS, "hold", *STEPS[2:], "respond"], names(c, root)
        assert root["attributes"]["nomos.reason"] == "allow_by_approval" and root["attributes"]["nomos.approval_id"] == asked
        hold = next(s for s in c.children(root) if s["name"] == "hold")
        assert hold["endTimeUnixNano"] > hold["startTimeUnixNano"]


def test_a_held_request_whose_next_try_is_turned_away_tells_what_it_was_answered():
    with Collector() as c:
        with traced(c, approvals={"enabled": True, "approver_principals": ["vera"]}, gateway={"rate_limit_per_minute": 1},
                    identity={"api_keys": {API_KEY: "alice", OPERATOR_KEY: "olga", APPROVER_KEY: "vera"}}) as g:
            held = Held(g, action("payments.transfer", "payment://bank.example.com/1"), wait=4)
            (asked,) = wait_for_approval(g)
            assert decide(g, asked).status == 200
            assert held.answer()[2]["decision"] == "REQUIRE_APPROVAL"
            held.close()
        root = c.root()
        assert "hold" in names(c, root) and {s["name"] for s in c.children(root) if s["status"] == {"code": 2}} == {"admit"}
        said = root["attributes"]
        assert (said["nomos.decision"], said["nomos.result"], said.get("error.type")) == ("REQUIRE_APPROVAL", "APPROVAL_REQUIRED", None), said


# ---- metrics ----

def test_weak_spot_38_counters_are_cumulative_from_one_start():
    """The collector refuses one that falls or has another start; here: that it grows by what happens, and is no 1 for ever."""
    with Collector() as c:
        with traced(c) as g:
            seen = []
            for n in (1, 9):
                while sum(seen[-1:]) < n:
                    g.act()
                    seen.append(sum(seen[-1:]) + 1)
                until(lambda: c.point("nomos.decisions", decision="ALLOW", result="SUCCESS") == [n], f"{n} decisions")
            _, scraped = metrics(g)
        families = {name for name, _ in scraped} - {name for name, _ in c.points}
        base = {f.rsplit("_", 1)[0] for f in families if f.endswith(("_bucket", "_sum", "_count"))}
        assert base <= set(c.kinds) and all(f.rsplit("_", 1)[0] in base for f in families), families
        assert {c.kinds[name] for name in base} == {"histogram"}
        assert c.kinds["nomos_connections"] == "gauge" and c.kinds["nomos_decisions_total"] == "sum"
        assert c.point("nomos_decisions_total", decision="ALLOW") == [9]
        assert sum(c.point("nomos_step_seconds", step="commit")) == 9
        assert c.n_asked("/v1/metrics") >= 2 and len(c.instances) == 1
        assert not [key for key in c.points if key[0] == "nomos.decisions" and key[1] != (("decision", "ALLOW"), ("result", "SUCCESS"))]


def test_words_of_one_agent_leave_room_for_those_of_others():
    rules = {"global_tool": [{"id": "all", "action_type": "*", "burst": 100000, "refill_per_minute": 100000}]}
    keys = {API_KEY: "alice", "other-key": "bob"}
    with Collector() as c:
        with traced(c, rate_limits=rules, identity={"api_keys": keys}, telemetry={"sample_one_in": 100000}) as g:
            connection = g.connect()
            for i in range(1600):
                assert g.act(action(f"made.up{i}", "x://y/z", action_id=f"act-{i}"), connection=connection).json["decision"] == "DENY"
            connection.close()
            assert g.act().json["decision"] == "ALLOW"
            assert g.act(key="other-key").json["decision"] == "ALLOW"
        assert c.point("nomos.decisions", decision="ALLOW", result="SUCCESS") == [2]
        assert c.point("nomos.rate_limits", result="allowed", action_type="payments.refund", principal="bob") == [1]
        assert c.point("nomos.rate_limits", **{"otel.metric.overflow": "true"})[0] > 1000


# ---- a collector that is not well ----

def sent(g):
    return value(metrics(g)[1], "nomos_telemetry_sent_total")


def test_weak_spot_38_no_answer_waits_for_the_collector():
    """Nothing is answered by the collector before all requests are."""
    with Collector("hangs") as c:
        with traced(c) as g:
            until(lambda: c.n_asked("/v1/metrics") > 0, "the first call hangs")
            for i in range(50):
                assert g.act(action(action_id=f"act-{i}")).json["decision"] == "ALLOW"
            assert not c.spans
            c.answer = 200
            c.ending.set()
            until(lambda: len(c.roots()) == 50, "all come")
            c.ending.clear()


def test_what_can_be_tried_again_is_not_lost():
    for answer in (429, 502, 503, 504, "closes early", "resets", "no http"):
        with Collector(answer) as c:
            with traced(c) as g:
                for i in range(10):
                    assert g.act(action(action_id=f"act-{i}")).json["decision"] == "ALLOW", answer
                until(lambda: c.n_asked("/v1/traces") > 0, f"it was tried ({answer})")
                c.answer = 200
                until(lambda: len(c.roots()) == 10, f"all come ({answer})")
                _, samples = metrics(g)
                assert value(samples, "nomos_telemetry_failures_total") > 0 and value(samples, "nomos_telemetry_dropped_total") == 0
                until(lambda: sent(g) == 10, "it is counted")


def test_retry_after_is_heeded():
    with Collector(503) as c:
        c.retry_after = 3600
        with traced(c) as g:
            g.act()
            until(lambda: c.n_asked("/v1/traces") == 1 and c.n_asked("/v1/metrics") == 1, "each was tried")
            c.answer = 200
            g.act()
        # Only the end does not wait for it.
        assert len(c.roots()) == 2 and c.n_asked("/v1/traces") == 3, c.asked


def test_what_is_refused_for_good_is_dropped_and_counted():
    for answer in (400, 500, 301):
        with Collector(answer) as c:
            with traced(c) as g:
                for i in range(3):
                    assert g.act(action(action_id=f"act-{i}")).json["decision"] == "ALLOW", answer
                until(lambda: value(metrics(g)[1], "nomos_telemetry_dropped_total") == 3, f"dropped ({answer})")
                c.answer = 200
                g.act(action(action_id="after"))
            assert [r["attributes"]["nomos.action_id"] for r in c.roots()] == ["after"]


def test_a_collector_that_answers_slowly_or_garbage_has_taken_it():
    for answer in ("garbage", "slow"):
        c, replies = told(answer, n=5)
        assert len(c.roots()) == 5 and all(r.status == 200 for r in replies), answer


def test_what_a_collector_rejects_in_part_is_said_and_not_sent_again():
    with Collector("rejects some") as c:
        with traced(c) as g:
            g.act()
            until(lambda: sent(g) == 1, "it was sent")
            assert value(metrics(g)[1], "nomos_telemetry_failures_total") > 0
            assert "the collector rejected a part" in g.read_log() and "no room" not in g.read_log()
        assert len(c.roots()) == 1


def test_without_a_collector_decisions_are_as_ever_and_memory_is_bounded():
    n, room = 600, 32
    with Collector() as c:
        port = c.port
    with Gateway(config(telemetry={"enabled": True, "sink": f"otlp:http://127.0.0.1:{port}", "queue_max": room, "interval_seconds": 1})) as g:
        def dropped():
            return value(metrics(g)[1], "nomos_telemetry_dropped_total")

        connection = g.connect()
        for i in range(n):
            assert g.act(action(action_id=f"act-{i}"), connection=connection).json["decision"] == "ALLOW"
        connection.close()
        lost = dropped()
        assert n - lost <= 2 * room + 256, "those in the ring, and one batch that waits"
        with Collector(port=port) as back:
            until(lambda: len(back.roots()) == n - lost, "what had room comes")
            until(lambda: sent(g) == n - lost, "it is counted")
            assert dropped() == lost
            assert value(metrics(g)[1], "nomos_decisions_total", decision="ALLOW") == n
            until(lambda: back.point("nomos.decisions", decision="ALLOW", result="SUCCESS") == [n], "the counters lost nothing")


def test_the_end_sends_what_waits():
    with Collector() as c:
        with traced(c, telemetry={"interval_seconds": 3600}) as g:
            for i in range(30):
                g.act(action(action_id=f"act-{i}"))
        assert len(c.roots()) == 30
        assert c.point("nomos.decisions", decision="ALLOW", result="SUCCESS") == [30], "the last ones, too"


def test_the_end_does_not_wait_for_a_collector_that_hangs():
    with Collector("hangs") as c:
        with traced(c) as g:
            g.act()
            until(lambda: c.n_asked("/v1/traces") + c.n_asked("/v1/metrics") > 0, "a call hangs")
            assert g.stop() == 0
        c.spans.clear()


def test_headers_path_and_packing():
    with Collector(headers={"Authorization": "Bearer collector-token", "X-Scope-OrgID": "tenant-1"}) as c:
        options = {"sink": f"otlp:{c.url}/otlp/", "gzip": True,
                   "headers": {"Authorization": "Bearer collector-token", "X-Scope-OrgID": "tenant-1"}}
        with traced(c, telemetry=options) as g:
            g.act()
            shown = g.place.run("config", "dump", "-c", "nomos.json", check=0).stdout.decode()
            assert "collector-token" not in shown and "collector-token" not in g.read_log()
        assert set(c.asked) == {"/otlp/v1/traces", "/otlp/v1/metrics"} and c.encodings == {"gzip"}
        assert len(c.roots()) == 1


def test_tls_both_ways():
    with tempfile.TemporaryDirectory() as folder:
        ca, other = Authority(f"{folder}/ca"), Authority(f"{folder}/other")
        server, own = ca.issue("collector"), ca.issue("sender", None, "clientAuth")
        mine = {"cert_file": str(own[0]), "key_file": str(own[1])}
        for trusted, shown in ((ca, mine), (ca, {}), (other, mine)):
            with Collector(tls=server, client_ca=ca.cert) as c:
                with traced(c, telemetry={"ca_file": str(trusted.cert), **shown}) as g:
                    assert g.act().json["decision"] == "ALLOW"
                    if trusted is other or not shown:
                        until(lambda c=c: c.n_refused > 0, "it was tried")
                assert len(c.roots()) == (1 if trusted is ca and shown else 0)


# ---- secrets ----

def secret_actions():
    where = f"payment://shop.example.com/orders/{SECRET}"
    yield action(resource=where, params={"password": "hunter2", "note": SECRET}, action_id="s-1"), {}
    yield action(resource="payment://shop.example.com/code-99887766", action_id="s-2"), {}
    yield action(action_id="s-3"), {"traceparent": JOINED["traceparent"], "tracestate": f"vendor={SECRET}"}
    yield action("fs.read", "file://workspace/README.md", action_id="s-4"), {}
    yield action("made.code99887766", "x://y/z", action_id="s-5"), {}


def test_secrets_and_what_is_nobody_s_business_are_not_told():
    rules = {"global_tool": [{"id": "all", "action_type": "*", "burst": 1000, "refill_per_minute": 1000}]}
    with Collector() as c:
        with traced(c, rate_limits=rules, redaction={"patterns": ["code-?[0-9]+"]}) as g:
            for body, headers in secret_actions():
                assert g.act(body, headers=headers).status == 200
            folder = str(g.place.dir)
        text = c.text()
        for word in (SECRET, "hunter2", "99887766", API_KEY, "hello from the workspace", folder, "Bearer"):
            assert word not in text, word
        assert c.root(nomos__action_id="s-1")["attributes"]["nomos.resource"] == "payment://shop.example.com/orders/[REDACTED]"
        assert "traceState" not in c.root(nomos__action_id="s-3"), "a list with a hole is none"
        assert c.point("nomos.rate_limits", result="allowed", action_type="[REDACTED]", principal="alice") == [1]


def test_long_texts_are_left_out_whole():
    long = "payment://shop.example.com/" + "a" * 4000
    with Collector() as c:
        with traced(c) as g:
            assert g.act(action(resource=long), headers={"traceparent": JOINED["traceparent"], "tracestate": "v=" + "x" * 600}).status == 200
        root = c.root()
        assert root["attributes"]["nomos.resource"] == "(too long)" and "traceState" not in root


# ---- lines ----

def lines_of(sink, act, pipe_bytes=65536, sample_one_in=1, **sections):
    """What a gateway with that sink wrote, the lines of telemetry."""
    with contextlib.ExitStack() as stack:
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, pipe_bytes)
        got = []
        reader = threading.Thread(target=lambda: got.append(open(read, "rb").read()))
        reader.start()
        try:
            g = stack.enter_context(Gateway(config(telemetry={"enabled": True, "sink": sink, "sample_one_in": sample_one_in}, **sections), stdout=write))
        finally:
            os.close(write)
        act(g)
        g.stop()
        text = g.read_log() if sink == "stderr" else None
    reader.join()
    lines = (text if text is not None else got[0].decode()).splitlines()
    return [json.loads(line) for line in lines if '"signal_type"' in line], got[0].decode()


def test_lines_have_the_reference_s_names_and_members():
    for sink in ("stdout", "stderr"):
        lines, _ = lines_of(sink, lambda g: (g.act(action("fs.read", "file://workspace/README.md"), headers=JOINED), g.act(key="wrong")))
        events = [line for line in lines if line["signal_type"] == "trace"]
        assert [(e["event_name"], e.get("status")) for e in events] == [
            ("gateway.request", "accepted"), ("request.lifecycle", None), ("policy.evaluation", "ALLOW"), ("executor.run", "SUCCESS"),
            ("request.lifecycle", None), ("gateway.request", "refused")], events
        assert events[0] == {
            "signal_type": "trace", "event_name": "gateway.request", "trace_id": "trace-1", "correlation_id": "trace-1",
            "traceparent": JOINED["traceparent"], "tracestate": JOINED["tracestate"], "status": "accepted",
            "attributes": {"action_id": "act-1", "action_type": "fs.read", "transport": "http"}}
        start, end = events[1]["attributes"], events[4]["attributes"]
        assert start == {"phase": "start", "action_id": "act-1", "action_type": "fs.read", "resource": "file://workspace/README.md",
                         "environment": "dev", "principal": "alice", "agent": "bot", "assurance_level": "BEST_EFFORT"}
        assert end == {"phase": "end", "decision": "ALLOW", "result": "SUCCESS"}
        assert events[2]["attributes"]["matched_rule_ids"] == ["allow-read"]
        assert all("traceparent" not in e for e in events[1:])
        assert [line for line in lines if line["signal_type"] == "metric"] == [
            {"signal_type": "metric", "name": "nomos.decisions", "kind": "counter", "value": 1, "trace_id": "trace-1",
             "attributes": {"decision": "ALLOW", "result": "SUCCESS"}}]


def test_lines_count_what_is_not_sampled():
    """Their number is the operator's affair: an agent cannot switch its own off."""
    def act(g):
        g.act()
        g.act(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})

    lines, _ = lines_of("stdout", act)
    assert [line["signal_type"] for line in lines] == (["trace"] * 4 + ["metric"]) * 2
    lines, _ = lines_of("stdout", act, sample_one_in=100)
    assert [line["signal_type"] for line in lines] == ["trace"] * 4 + ["metric"] * 2


def test_lines_of_failures_and_approvals():
    def act(g):
        g.act(action("payments.transfer", "payment://bank.example.com/1"))
        g.act(action("fs.read", "file://workspace/%zz"))

    lines, _ = lines_of("stdout", act, approvals={"enabled": True})
    counted = [(line["name"], line["attributes"]) for line in lines if line["signal_type"] == "metric"]
    assert counted == [
        ("nomos.decisions", {"decision": "REQUIRE_APPROVAL", "result": "APPROVAL_REQUIRED"}),
        ("nomos.approvals", {"result": "APPROVAL_REQUIRED"}), ("nomos.retries", {"result": "APPROVAL_REQUIRED"}),
        ("nomos.decisions", {"result": "NORMALIZATION_ERROR"})], counted


def test_lines_hold_no_secret():
    def act(g):
        for body, headers in secret_actions():
            g.act(body, headers=headers)

    lines, text = lines_of("stdout", act, redaction={"patterns": ["code-?[0-9]+"]})
    assert len(lines) > 10 and not any(word in text for word in (SECRET, "hunter2", "99887766", API_KEY, "hello from"))


def test_records_and_telemetry_on_one_stdout_never_mix():
    """Records of many writes each into a pipe that is always full, lines between them: every line is whole."""
    n = 300

    def act(g):
        def many(k):
            connection = g.connect()
            for i in range(n):
                g.act(action(resource="payment://shop.example.com/" + "b" * 7000, action_id=f"act-{k}-{i}"),
                      connection=connection)
            connection.close()

        threads = [threading.Thread(target=many, args=(k,)) for k in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    _, text = lines_of("stdout", act, pipe_bytes=4096, audit={"sink": "stdout"})
    lines = [json.loads(line) for line in text.splitlines()]
    records = [line for line in lines if line.get("event_type") == "action.decision"]
    assert len(records) == 3 * n and sum(line.get("event_name") == "gateway.request" for line in lines) == 3 * n


def test_a_stdout_that_nobody_reads_or_that_is_closed_changes_nothing():
    telemetry = {"enabled": True, "sink": "stdout", "queue_max": 16}
    options = config(telemetry=telemetry)
    for audit in ("", "stdout"):
        with pipe_of(4096, is_full=True) as (_, write):
            with Gateway(config(telemetry=telemetry, audit={"sink": audit}), stdout=write) as g:
                for _ in range(100):
                    assert g.act().json["decision"] == "ALLOW"
                assert value(metrics(g)[1], "nomos_telemetry_dropped_total") >= 80
                assert g.stop() == 0
    read, write = os.pipe()
    os.close(read)
    with Gateway(options, stdout=write) as g:
        os.close(write)
        for _ in range(20):
            assert g.act().json["decision"] == "ALLOW"
        until(lambda: value(metrics(g)[1], "nomos_telemetry_dropped_total") == 20, "all are counted")
    with Gateway(options, preexec_fn=lambda: os.close(1)) as g:
        assert g.act().json["decision"] == "ALLOW"


def test_the_end_does_not_wait_for_a_terminal_that_nobody_reads():
    """Of a terminal nobody can say how much it takes: a write of a line that waited for a reader would never end."""
    master, slave = os.openpty()
    try:
        with Gateway(config(telemetry={"enabled": True, "sink": "stdout", "queue_max": 16}), stdout=slave) as g:
            connection = g.connect()
            while value(metrics(g)[1], "nomos_telemetry_dropped_total") == 0:
                assert g.act(connection=connection).json["decision"] == "ALLOW"
            connection.close()
            assert g.stop() == 0
            assert '"stopped"' in g.read_log()
    finally:
        os.close(master)
        os.close(slave)


# ---- configuration ----

def test_what_is_no_sink_is_refused_in_the_reference_s_words():
    words = "telemetry.sink must be stdout, stderr, or otlp:\\u003cbase_url\\u003e"  # < and > of the log's JSON
    for sink in ("otlp:", "otlp:no-url", "otlp:ftp://x", "otlp:http://user@x", "otlp:http://x?a=b", "syslog", "otlp:http://", "stdout,stderr", ""):
        place = Workplace(config(telemetry={"enabled": True, "sink": sink}))
        done = place.run("serve", "-c", "nomos.json", check=1)
        assert words in done.stderr.decode(), (sink, done.stderr)
        place.write_config(config(telemetry={"enabled": False, "sink": sink}))
        place.run("config", "check", "-c", "nomos.json", check=0)
        place.remove()
    place = Workplace(config(telemetry={"headers": {"Content-Type": "x"}}))
    assert "header 1 of telemetry.headers cannot be sent" in place.run("config", "check", "-c", "nomos.json").stderr.decode()
    place.remove()


def test_places_that_held_requests_may_take_up_are_warned_of():
    for queue_max, approvals, is_warned in ((None, {}, False), (100, {}, True), (100, {"max_waiting": 50}, False), (100, {"enabled": False}, False)):
        telemetry = {"enabled": True, "sink": "stdout", **({"queue_max": queue_max} if queue_max else {})}
        with Gateway(config(telemetry=telemetry, approvals={"enabled": True, **approvals})) as g:
            assert ("less than twice approvals.max_waiting" in g.read_log()) == is_warned, (queue_max, approvals)


def test_it_is_off_until_it_is_asked_for_and_restart_only():
    with Collector() as c:
        with Gateway(config(telemetry={**c.options(), "enabled": False})) as g:
            g.act(headers=JOINED)
            g.place.write_config(config(telemetry=c.options()))
            reply = g.operator("POST", "/admin/reload")
            assert reply.status == 400 and "telemetry.enabled: cannot change while running" in g.read_log(), reply
        assert not c.asked
        with Gateway(config(), env={"NOMOS_TELEMETRY_ENABLED": "true", "NOMOS_TELEMETRY_SINK": f"otlp:{c.url}"}) as g:
            g.act()
        assert len(c.roots()) == 1
