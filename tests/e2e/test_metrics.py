# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""GET /metrics, and the rules and the dashboard that are made of it."""
import json
import re
import subprocess
import tempfile

from pathlib import Path

from support import API_KEY, OPERATOR_KEY, Gateway, action, config, have, until

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
RULES = CONFIGS / "prometheus" / "nomos.rules.yaml"
RULES_TEST = ROOT / "tests" / "prometheus" / "rules_test.yaml"
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?(?:[0-9.eE+-]+|\+Inf))')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """The samples by name and labels; what is not of the format fails, and so does a sample without HELP and TYPE before it."""
    kinds, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert line.split(" ", 3)[3], line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in kinds or kinds.get(base) == "histogram", line
            key = (name, tuple(sorted(LABEL.findall(labels or ""))))
            assert key not in samples, line
            samples[key] = float(value)
    return kinds, samples


def metrics(g, key=OPERATOR_KEY):
    reply = g.request("GET", "/metrics", b"", {"Authorization": f"Bearer {key}"} if key else {})
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain; version=0.0.4"), reply
    return parse(reply.body.decode())


def value(samples, name, **labels):
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def buckets(samples, name, **labels):
    rows = [(dict(key[1])["le"], n) for key, n in samples.items()
            if key[0] == f"{name}_bucket" and labels.items() <= dict(key[1]).items()]
    return sorted(rows, key=lambda row: float(row[0].replace("+Inf", "inf")))


def test_what_happens_is_counted():
    with Gateway(config(audit={"sink": "stdout"})) as g:
        # The record of the start comes behind the first answers.
        until(lambda: value(metrics(g)[1], "nomos_ledger_head") == 2, "the start is recorded")
        _, before = metrics(g)
        for _ in range(5):
            assert g.act().json["decision"] == "ALLOW"
        assert g.act(action("payments.unheard", "payment://x/1")).json["decision"] == "DENY"
        assert g.act(key="wrong").status == 401
        assert g.request("GET", "/nowhere", b"").status == 404
        kinds, after = metrics(g)

        def grew(name, **labels):
            return value(after, name, **labels) - value(before, name, **labels)

        assert grew("nomos_decisions_total", decision="ALLOW") == 5 and grew("nomos_decisions_total", decision="DENY") == 1
        assert grew("nomos_http_answers_total", method="POST", route="/action", code="2xx") == 6
        assert grew("nomos_http_answers_total", method="POST", route="/action", code="4xx") == 1
        assert grew("nomos_http_answers_total", method="", route="none", code="4xx") == 1
        assert grew("nomos_auth_failures_total") == 1
        assert grew("nomos_ledger_head") == grew("nomos_ledger_records_total") == 6
        assert value(after, "nomos_ready", check="ledger") == 1
        assert value(after, "nomos_policy_info", hash=policy_hash(g), assurance="BEST_EFFORT") == 1
        for step in ("normalize", "decide", "commit"):
            assert grew("nomos_step_seconds_count", step=step) == 6, step
        # The wrong key is refused by its head alone when that comes before the body.
        assert grew("nomos_step_seconds_count", step="authenticate") in (6, 7)
        assert grew("nomos_http_answer_seconds_count", route="POST /action") == 7
        assert ("nomos_sink_lag_records", (("required", "false"), ("sink", "stdout"))) in after
        # Buckets add up, and the times are seconds: nothing here takes ten.
        for name, labels in (("nomos_step_seconds", {"step": "commit"}), ("nomos_ledger_commit_seconds", {}), ("nomos_ledger_group_entries", {})):
            rows = buckets(after, name, **labels)
            assert len(rows) == 19 and rows[-1][0] == "+Inf" and rows[-1][1] == value(after, f"{name}_count", **labels) > 0, rows
            assert [n for _, n in rows] == sorted(n for _, n in rows), rows
        assert 0 < value(after, "nomos_step_seconds_sum", step="commit") < 60
        assert all(kinds[name] == "gauge" for name in ("nomos_connections", "nomos_ledger_head")) and kinds["nomos_requests_total"] == "counter"


def policy_hash(g):
    return g.operator("GET", "/api/ui/overview").json["policy_bundle_hash"]


def test_labels_do_not_grow_with_what_clients_send():
    with Gateway() as g:
        metrics(g)
        _, before = metrics(g)
        for i in range(60):
            g.request("GET", f"/approvals/id{i}", b"")
            g.request("GET", f"/nowhere/{i}?{i}", b"")
            g.act(action(f"custom.type{i}", f"thing://host{i}/x", trace_id=f"trace{i}"))
        _, after = metrics(g)
        new = {key for key in after if key not in before}
        assert not [key for key in new for _, text in key[1] if re.search(r"(id|host|trace|type|nowhere/?)\d", text)], new
        assert len(new) < 100, new


def test_who_may_look():
    with Gateway() as g:
        assert g.request("GET", "/metrics", b"").status == 401
        assert g.request("GET", "/metrics", b"", {"Authorization": f"Bearer {API_KEY}"}).status == 403
        metrics(g)
        g.place.write_config(config(gateway={"metrics_public": True}))
        assert g.operator("POST", "/admin/reload").status == 200
        metrics(g, key=None)
        assert g.request("GET", "/api/ui/overview", b"").status == 401


def promtool(*args, stdin=None):
    done = subprocess.run(["promtool", *map(str, args)], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def test_promtool_has_nothing_to_say():
    assert have("promtool")
    with Gateway() as g:
        g.act()
        told = promtool("check", "metrics", stdin=g.operator("GET", "/metrics").body)
        assert told.strip() == "", told
    promtool("check", "rules", RULES)
    promtool("test", "rules", RULES_TEST)


def test_each_alert_is_seen_to_fire():
    """promtool goes by what the test names: an alert that it does not name has none."""
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- ", RULES_TEST.read_text())
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(alerts) >= 17 and set(alerts) == set(fired), set(alerts) ^ set(fired)


def test_what_ends_and_what_is_lost_has_an_alert():
    """Where it matters to somebody that a gauge of a time or a counter of losses moves, there is a rule."""
    with Gateway() as g:
        kinds, _ = metrics(g)
    rules = named(RULES.read_text())
    wanted = {name for name in kinds if re.search(r"_end_seconds$|_dropped_total$|_dead_letters_total$|_failures_total$|_failed_total$", name)}
    # These have an alert by what comes of them, or are a client's own doing.
    by_other_means = {"nomos_sink_failures_total", "nomos_tls_handshakes_failed_total"}
    assert by_other_means <= wanted and wanted - by_other_means <= rules, wanted - by_other_means - rules


def named(text):
    return set(re.findall(r"\b(nomos_[a-z_]+|process_[a-z_]+)\b", text))


def test_rules_and_dashboard_name_what_is_there():
    with Gateway(config(audit={"sink": "stdout"})) as g:
        g.act()
        _, samples = metrics(g)
    there = {key[0] for key in samples}
    dashboard = json.loads((CONFIGS / "grafana" / "nomos.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(asked) >= 15
    for text in [*asked, RULES.read_text(), RULES_TEST.read_text()]:
        assert named(text) <= there, named(text) - there
    # As rules, so that they are parsed by what will evaluate them.
    rules = [{"record": f"r{i}", "expr": text.replace("$__rate_interval", "1m").replace("$instance", ".*")} for i, text in enumerate(asked)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        promtool("check", "rules", file.name)
