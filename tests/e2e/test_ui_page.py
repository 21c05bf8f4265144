# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""The operator page in headless Chromium against the built gateway; the flows are in tests/ui/flows.mjs, the pictures in build/screenshots."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from receiver import Receiver
from support import PATIENCE, POLICY, ROOT, Gateway, Workplace, action, config

FOLDER = ROOT / "tests/ui"
SHOTS = ROOT / "build/screenshots"
PEOPLE = {"agent": "alice", "operator": "olga", "approver": "anna", "viewer": "victor"}
# Such that the doctor, whose findings the overview shows, has nothing to say of them.
KEYS = {who: hashlib.sha256(who.encode()).hexdigest() for who in PEOPLE}
SECRET = hashlib.sha256(b"secret").hexdigest()
RULES = [{"id": "ask-payout", "action_type": "payments.payout", "resource": "payment://bank.example.com/**",
          "decision": "REQUIRE_APPROVAL", "obligations": {"approvers": {"min": 2}}},
         {"id": "ask-often", "action_type": "payments.standing", "resource": "payment://bank.example.com/**",
          "decision": "REQUIRE_APPROVAL", "obligations": {"approval_max_uses": 3}},
         {"id": "ask-class", "action_type": "payments.any", "resource": "payment://bank.example.com/**",
          "decision": "REQUIRE_APPROVAL", "obligations": {"approval_max_uses": 3, "approval_scope_class": "action_type_resource"}}]


def options():
    made = config(approvals={"enabled": True})
    made["identity"].update(api_keys={KEYS[who]: name for who, name in PEOPLE.items()}, agent_secrets={"bot": SECRET}, service_secrets={},
                            principal_agents={"alice": ["bot"]})
    made["identity"]["roles"] = {"operator": ["olga"], "approver": ["anna", "olga"], "viewer": ["victor"]}
    return made


def leave_unknown(place):
    """The process dies when the intent is durable and the effect would begin."""
    body = action("fs.write", "file://workspace/out/note.txt", {"content": "x"})
    with Gateway(workplace=place, env={"NOMOS_FAULT": "effect.before:1:kill"}, expect_exit=-9) as g:
        with contextlib.suppress(OSError, http.client.HTTPException):  # it dies before it answers
            g.act(body, key=KEYS["agent"], secret=SECRET)
        g.process.wait(PATIENCE)


def browse(flow, before=None):
    """Runs one flow against a gateway of its own; its output is the message when it fails."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    place = Workplace(options(), {**POLICY, "rules": POLICY["rules"] + RULES})
    (place.dir / "nomos.json").chmod(0o600)  # else the doctor says so on the overview
    if before is not None:
        before(place)
    with Gateway(workplace=place) as g:
        told = {"url": "http://%s:%d" % g.address, "keys": KEYS, "secret": SECRET, "agent": "bot", "shots": str(SHOTS),
                "patience": PATIENCE / 4, "executable": shutil.which("chromium")}
        done = subprocess.run(["node", FOLDER / "run.mjs", flow], cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE * 3, env={**os.environ, "NOMOS_UI_TEST": json.dumps(told)})
        assert done.returncode == 0, f"{flow}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    place.remove()


def test_signing_in():
    browse("signing_in")


def test_ended_session():
    browse("ended_session")


def test_navigation():
    browse("navigation")


def test_overview():
    browse("overview")


def test_sinks():
    refused = []

    def answer(records):
        if any(r["event_type"] == "action.decision" for r in records):
            refused.append(1)
            return 422
        return 500 if refused else 200
    with Receiver(answer=answer, secret=None) as receiver:
        def before(place):
            made = options()
            made["audit"] = {"sink": f"webhook:{receiver.url}", "webhook": {"retry_max_ms": 20}}
            place.write_config(made)
        browse("sinks", before)


def test_approve():
    browse("approve")


def test_deny():
    browse("deny")


def test_hidden_parts():
    browse("hidden_parts")


def test_quorum():
    browse("quorum")


def test_together():
    browse("together")


def test_together_only_what_was_seen():
    browse("together_only_what_was_seen")


def test_more_than_once():
    browse("more_than_once")


def test_roles():
    browse("roles")


def test_investigate():
    browse("investigate")


def test_policy():
    browse("policy")


def test_limits():
    browse("limits")


def test_hostile_values():
    browse("hostile_values")


def test_accessibility():
    browse("accessibility")


def test_no_stream():
    browse("no_stream")


def test_gateway_gone():
    browse("gateway_gone")


def test_pictures():
    browse("pictures")


def test_settle():
    browse("settle", leave_unknown)


def test_every_flow_is_a_test():
    flows = re.findall(r"^\tasync (\w+)\(\) \{$", (FOLDER / "flows.mjs").read_text(), re.MULTILINE)
    assert len(flows) > 10 and [name for name in flows if f"test_{name}" not in globals()] == [], flows
