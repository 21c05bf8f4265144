# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What the operator page asks, of a ledger of a million records: one connection, one question after the other."""
import http.client
import json
import statistics
import time
import urllib.parse

import rig

RARE = "service-999"
EVER = "2000-01-01T00:00:00Z"


def page(server, path, **query):
    """Seconds, and the answer."""
    target = path + ("?" + urllib.parse.urlencode(query) if query else "")
    begin = time.monotonic()
    server.request("GET", target, headers={"Authorization": f"Bearer {rig.API_KEY}"})
    reply = server.getresponse()
    text = reply.read()
    seconds = time.monotonic() - begin
    if reply.status != 200:
        raise SystemExit(f"bench: {target} answers {reply.status} {text[:300]!r}")
    return seconds, text


def questions(known):
    """Of what a record of the middle says: title -> (path, query)."""
    trace, action, middle, when = known["trace_id"], known["action_id"], known["seq"], known["timestamp"]
    records, traces = "/api/ui/records", "/api/ui/traces"
    return {
        "records, the newest 50": (records, {"limit": 50}),
        "records, the newest 200": (records, {"limit": 200}),
        "records, a page from the middle": (records, {"limit": 50, "cursor": middle}),
        "by trace, whole": (records, {"trace": trace}),
        "by trace, 3 digits": (records, {"trace": trace[:3]}),
        "by trace, none": (records, {"trace": "no-such-trace"}),
        "by action": (records, {"action": action}),
        "by action, none": (records, {"action": "no-such-action"}),
        "by principal": (records, {"principal": "service-003"}),
        "by principal, rare": (records, {"principal": RARE}),
        "denials of a rare principal": (records, {"principal": RARE, "decision": "DENY"}),
        "by agent": (records, {"agent": "agent-7"}),
        "by type": (records, {"type": "fs.read"}),
        "by class, usual": (records, {"class": "SUCCESS"}),
        "by class, rare": (records, {"class": "UNKNOWN"}),
        "by class, none": (records, {"class": "EXEC_TIMEOUT"}),
        "by event, none": (records, {"event": "approval.recorded"}),
        "until the middle": (records, {"until": when}),
        "until the middle, of a rare principal": (records, {"until": when, "principal": RARE}),
        "a text that many records have": (records, {"text": "README", "since": EVER}),
        "a text that is in no record": (records, {"text": "no such text", "since": EVER}),
        "traces, 50": (traces, {"limit": 50}),
        "traces, 200": (traces, {"limit": 200}),
        "traces that were denied": (traces, {"decision": "DENY"}),
        "traces of a rare principal": (traces, {"principal": RARE}),
        "traces of nobody": (traces, {"principal": "nobody"}),
        "one trace": (f"{traces}/{trace}", {}),
        "one action": (f"/api/ui/actions/{action}", {}),
        "one record": (f"{records}/{middle}", {}),
        "one record, verified": (f"{records}/{middle}/verify", {}),
        "overview": ("/api/ui/overview", {}),
        "readiness": ("/api/ui/readiness", {}),
        "approvals": ("/api/ui/approvals", {}),
        "policy": ("/api/ui/policy", {}),
        "rules with their hits": ("/api/ui/policy/rules", {}),
        "limits": ("/api/ui/limits", {}),
    }


def wait_for_index(server, action):
    """Of a ledger whose newest records the index has not read, an old action is not found at once."""
    end = time.monotonic() + rig.START_SECONDS
    while time.monotonic() < end:
        server.request("GET", f"/api/ui/actions/{action}", headers={"Authorization": f"Bearer {rig.API_KEY}"})
        reply = server.getresponse()
        reply.read()
        if reply.status == 200:
            return
        time.sleep(0.2)
    raise SystemExit("bench: the search index does not come up")


def run(r, report, plan, fill):
    """fill(folder, n): makes ledger.db with its index there."""
    n_records, rounds = plan["question_records"], plan["question_rounds"]
    folder = r.folder / "questions"
    folder.mkdir()
    fill(folder, n_records)
    server = r.serve("asked", ledger={"path": str(folder / "ledger.db")},
                     approvals={"enabled": True, "approver_principals": ["alice"]})
    connection = server.connect()
    _, text = page(connection, "/api/ui/records", limit=1, cursor=n_records // 2)
    found = json.loads(text)["records"][0]
    _, text = page(connection, f"/api/ui/records/{found['seq']}")
    known = {**json.loads(text)["record"], "seq": found["seq"]}
    wait_for_index(connection, known["action_id"])
    rows = []
    for title, (path, query) in questions(known).items():
        seconds = [page(connection, path, **query)[0] * 1000 for _ in range(rounds)]
        rows.append([title, f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"])
    connection.close()
    r.stop()
    report.table(f"Questions of the operator page to {n_records:,} records, milliseconds over one connection; {rounds} of each",
                 ["question", "median", "slowest"], rows)
