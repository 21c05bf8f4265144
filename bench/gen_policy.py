#!/usr/bin/env python3
# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Generates a bundle of N rules, and actions that hit and miss it, the same for the same seed.

    gen_policy.py RULES [--seed N] [--actions N]    JSON bundle, or with --actions one wire body per line

The first rules are what the loads of scripts/bench ask for; the rest is a mix as larger installations have it: folders of
projects, hosts, commands, custom types, some approvals and denials, some rules for few principals, few wildcards at the front.
"""
import argparse
import json
import random

SEED = 20260
TEAMS = ("payments", "search", "risk", "mobile", "infra", "data", "web", "support")
PROGRAMS = ("git", "make", "npm", "cargo", "go", "pytest", "ls", "rg")
CUSTOM = ("tickets.create", "orders.cancel", "mail.send", "deploy.start", "crm.update", "calendar.book")

LOADS = [
    {"id": "load-refund", "action_type": "payments.refund", "resource": "payment://shop.example.com/**", "decision": "ALLOW"},
    {"id": "load-read", "action_type": "fs.read", "resource": "file://workspace/bench/**", "decision": "ALLOW"},
    {"id": "load-env", "action_type": "*", "resource": "file://workspace/**/.env", "decision": "DENY"},
    {"id": "load-push", "action_type": "process.exec", "resource": "file://workspace/", "decision": "DENY",
     "exec_match": {"argv_patterns": [["git", "push", "**"]]}},
]


def place(pick):
    return f"{pick.choice(TEAMS)}/service-{pick.randrange(400)}"


def rule(pick, number):
    kind = pick.random()
    made = {"id": f"r{number:05d}", "decision": pick.choices(("ALLOW", "DENY", "REQUIRE_APPROVAL"), (70, 20, 10))[0]}
    if kind < 0.45:
        made["action_type"] = pick.choice(("fs.read", "fs.write", "repo.apply_patch"))
        made["resource"] = "file://workspace/" + place(pick) + pick.choice(("/**", "/src/*.c", "/docs/**", "/*/config.yaml"))
        if made["action_type"] == "repo.apply_patch":
            made["resource"] = f"repo://{pick.choice(TEAMS)}/service-{pick.randrange(400)}"
    elif kind < 0.65:
        made["action_type"] = "net.http_request"
        made["resource"] = f"url://api{pick.randrange(300)}.example.com/{pick.choice(('v1', 'v2'))}/**"
    elif kind < 0.80:
        made["action_type"] = "process.exec"
        made["resource"] = f"file://workspace/{place(pick)}"
        made["exec_match"] = {"argv_patterns": [[pick.choice(PROGRAMS), pick.choice(("test", "build", "status", "*")), "**"]]}
    else:
        made["action_type"] = pick.choice(CUSTOM)
        made["resource"] = f"{made['action_type'].split('.')[0]}://host{pick.randrange(200)}.example.com/{pick.choice(TEAMS)}/**"
    if pick.random() < 0.2:
        made["principals"] = [f"user{pick.randrange(50)}" for _ in range(3)]
    if pick.random() < 0.1:
        made["obligations"] = {"output_max_bytes": pick.randrange(1000, 65536)}
    return made


def bundle(count, seed):
    pick = random.Random(seed)
    rules = LOADS[:count]
    rules += [rule(pick, number) for number in range(count - len(rules))]
    return {"version": "v1", "rules": rules}


def concrete(pick, resource):
    text = resource.replace("/**", "/a/b/file.txt").replace("*.c", "main.c").replace("/*/", "/eu/")
    return text if pick.random() < 0.7 else text + "x"


def actions(rules, count, seed):
    pick = random.Random(seed + 1)
    for number in range(count):
        chosen = pick.choice(rules)
        kind = chosen["action_type"] if chosen["action_type"] != "*" else "fs.read"
        params = {}
        if kind == "process.exec":
            params = {"argv": [pick.choice(PROGRAMS), "test", "--all", "-k", "name"], "cwd": "."}
        elif kind == "fs.write":
            params = {"content": "text\n" * 20}
        elif kind == "net.http_request":
            params = {"method": "GET"}
        elif kind == "repo.apply_patch":
            params = {"path": "src/main.c", "content": "x"}
        yield {"schema_version": "v1", "action_id": f"a{number}", "action_type": kind,
               "resource": concrete(pick, chosen["resource"]), "params": params, "trace_id": "t",
               "context": {"extensions": {}}}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("rules", type=int)
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--actions", type=int, default=0)
    given = options.parse_args()
    made = bundle(given.rules, given.seed)
    if given.actions == 0:
        print(json.dumps(made, indent=1))
    for body in actions(made["rules"], given.actions, given.seed):
        print(json.dumps(body))


if __name__ == "__main__":
    main()
