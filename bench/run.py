#!/usr/bin/env python3
# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Runs every bench and prints one report. scripts/bench builds and calls this.

    run.py BUILD [--smoke] [--write] [--pin shared|split] [--rounds N] [--seconds N] [--only PART]

Nothing here judges a figure: a bench fails only when it cannot run, or when what it measures answers wrongly.
"""
import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import overload  # noqa: E402
import questions  # noqa: E402
import rig  # noqa: E402

STATELESS = {"runtime": {"stateless_mode": True}, "audit": {"sink": "stdout"}}
IDLE_CONNECTIONS = 400


class Report:
    def __init__(self):
        self.lines = []

    def add(self, text=""):
        self.lines.append(text)
        print(text, flush=True)

    def table(self, title, head, rows):
        self.add(f"\n## {title}\n")
        self.add("| " + " | ".join(head) + " |")
        self.add("|" + "---|" * len(head))
        for row in rows:
            self.add("| " + " | ".join(str(cell) for cell in row) + " |")


def loads(r, report, plan):
    """The loads against the yardsticks, with the ledger as it is shipped: FULL."""
    rows = []
    for name in plan["loads"]:
        servers = [r.bare(), r.serve("full")]
        if name in plan["beside"]:
            servers += [s for s in (r.floor(), r.nginx()) if s is not None]
        for connections in plan["connections"]:
            figures = {f.name: f for f in r.compare(servers, rig.LOADS[name], connections)}
            bare, ours = figures["bare"], figures["full"]
            rows.append([name, connections, f"{bare.rate:,.0f}", f"{ours.rate:,.0f}", ours.text(),
                         *(figures[other].text() if other in figures else "–" for other in ("floor", "nginx")),
                         f"{bare.p50:,.0f} / {bare.p99:,.0f}", f"{ours.p50:,.0f} / {ours.p99:,.0f}"])
        r.stop()
    report.table("Loads, SQLite FULL, 10 rules; ratios to bare evhttp: median (lowest–highest round)",
                 ["load", "connections", "bare req/s", "nomos req/s", "nomos", "our HTTP layer", "nginx",
                  "bare p50 / p99 µs", "nomos p50 / p99 µs"], rows)


def audit(r, report, plan):
    rows = []
    for name, connections in plan["audit"]:
        servers = [r.bare(), r.gateway("off"), r.serve("stdout", **STATELESS), r.gateway("normal"), r.serve("full")]
        figures = r.compare(servers, rig.LOADS[name], connections)
        rows.append([name, connections] + [f"{f.text()}, {f.p50:,.0f} / {f.p99:,.0f}" for f in figures[1:]])
        r.stop()
    report.table("Audit settings; ratio to bare, p50 / p99 µs",
                 ["load", "connections", "off", "stdout to /dev/null", "SQLite NORMAL", "SQLite FULL"], rows)


def policies(r, report, plan):
    servers = [r.gateway("off", name=f"{n} rules", rules=n) for n in plan["rules"]]
    rows = [[f.name, f"{f.rate:,.0f}", f.text()] for f in r.compare(servers, rig.LOADS["decide"], plan["policy_connections"])]
    r.stop()
    report.table(f"Size of the policy: decide, audit off, {plan['policy_connections']} connections; ratio to {plan['rules'][0]} rules",
                 ["policy", "req/s", "ratio"], rows)


def tool(r, name, *args):
    """The figures of a small bench: {name: (value, unit)}."""
    done = subprocess.run(["taskset", "-c", r.server_cpus, str(r.build / f"bench/bench_{name}"), *map(str, args)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: bench_{name}: {done.stdout}{done.stderr}")
    found = {}
    for line in done.stdout.splitlines():
        key, value, unit = line.split()
        found[key] = (float(value), unit)
    return found


def repeated(r, rounds, name, *args):
    """Median and spread of each figure of a bench over rounds."""
    runs = [tool(r, name, *args) for _ in range(rounds)]
    return {key: (statistics.median(run[key][0] for run in runs), min(run[key][0] for run in runs),
                  max(run[key][0] for run in runs), unit) for key, (_, unit) in runs[0].items()}


def micro(r, report, plan):
    rows = []

    def add(label, figures):
        for key, (middle, low, high, unit) in figures.items():
            rows.append([label, key, f"{middle:,.4g} {unit}", f"{low:,.4g}–{high:,.4g}"])

    milliseconds, rounds = plan["milliseconds"], plan["micro_rounds"]
    for n in plan["rules"]:
        bundle, bodies = r.folder / f"rules-{n}.json", r.folder / f"actions-{n}.jsonl"
        bundle.write_bytes(rig.generate(n))
        bodies.write_bytes(rig.generate(n, plan["actions"]))
        add(f"evaluation, {n} rules", repeated(r, rounds, "eval", milliseconds, bundle, bodies))
        add(f"load and compile, {n} rules", repeated(r, rounds, "load", 3, bundle))
    add("worst-case patterns", repeated(r, rounds, "eval", milliseconds))
    add("redaction", repeated(r, rounds, "redact", milliseconds))
    runs = []
    for number in range(rounds):
        folder = r.folder / f"ledger-{number}"
        folder.mkdir()
        runs.append({**tool(r, "ledger", folder, 64, 1024, milliseconds, "full"), **tool(r, "verify", folder / "ledger.db")})
        shutil.rmtree(folder)
    add("ledger alone, 64 waiting, 1 KiB, FULL; verify",
        {key: (statistics.median(x[key][0] for x in runs), min(x[key][0] for x in runs), max(x[key][0] for x in runs), unit)
         for key, (_, unit) in runs[0].items()})
    report.table("One layer at a time; median (lowest–highest round)", ["what", "figure", "median", "spread"], rows)


def idle_connections(server, count):
    held = []
    for _ in range(count):
        c = server.connect()
        c.request("GET", "/healthz")
        c.getresponse().read()
        held.append(c)
    return held


def process(r, report, plan):
    """Start, memory, allocations: of the process as a whole."""
    starts = []
    for number in range(plan["micro_rounds"]):
        server = r.serve(f"start{number}")
        starts.append(server.ready_seconds * 1000)
        r.stop([server])
    server = r.serve("idle")
    before = server.rss_anon_kib()
    held = idle_connections(server, IDLE_CONNECTIONS)
    after = server.rss_anon_kib()
    for c in held:
        c.close()
    r.stop([server])
    rows = [["start to accepting, new ledger and key", f"{statistics.median(starts):.0f} ms ({min(starts):.0f}–{max(starts):.0f})"],
            [f"RssAnon idle, {r.workers} workers", f"{before / 1024:.1f} MiB"],
            [f"RssAnon per idle keep-alive connection ({IDLE_CONNECTIONS})", f"{(after - before) / IDLE_CONNECTIONS:.1f} KiB"]]
    for store in ("off", "full"):
        server = r.gateway(store)
        for name in plan["counted"]:
            r.wrk(server, rig.LOADS[name], 64, 1)
            first = server.allocations()
            requests = r.wrk(server, rig.LOADS[name], 64)["requests"]
            rows.append([f"heap allocations of our code per {name} after warm-up, audit {store}",
                         f"{(server.allocations() - first) / requests:.4f}"])
        r.stop([server])
    report.table("The process", ["what", "figure"], rows)


def tls(r, report, plan):
    """Keep-alive over TLS against the same in clear, and what an idle connection takes."""
    rows = []
    for name in plan["tls_loads"]:
        for store in ("off", "full"):
            servers = [r.gateway(store, name="clear"), r.gateway(store, name="tls", is_tls=True)]
            clear, over = r.compare(servers, rig.LOADS[name], plan["policy_connections"])
            rows.append([f"{name}, audit {store}", f"{clear.rate:,.0f}", f"{over.rate:,.0f}", over.text(),
                         f"{clear.p50:,.0f} / {clear.p99:,.0f}", f"{over.p50:,.0f} / {over.p99:,.0f}"])
            r.stop()
    report.table(f"TLS 1.3, keep-alive, {plan['policy_connections']} connections; ratio to the same in clear",
                 ["load", "clear req/s", "TLS req/s", "ratio", "clear p50 / p99 µs", "TLS p50 / p99 µs"], rows)
    server = r.serve("idle", is_tls=True)
    before = server.rss_anon_kib()
    held = idle_connections(server, IDLE_CONNECTIONS)
    after = server.rss_anon_kib()
    for c in held:
        c.close()
    r.stop()
    report.add(f"\nRssAnon per idle keep-alive TLS connection ({IDLE_CONNECTIONS}): {(after - before) / IDLE_CONNECTIONS:.1f} KiB.")


def growth(r, report, plan):
    """A small ledger and a large one: what is the same, and what is not."""
    sizes = plan["ledger_records"]
    found = {}
    for n in sizes:
        folder = r.folder / f"growth-{n}"
        folder.mkdir()
        found[n] = tool(r, "growth", folder, n, plan["growth_milliseconds"])
        shutil.rmtree(folder)
    rows = [[key, *(f"{found[n][key][0]:,.4g} {unit}" for n in sizes)] for key, (_, unit) in found[sizes[0]].items()]
    report.table("Size of the ledger", ["figure", *(f"{n:,} records" for n in sizes)], rows)


def asked(r, report, plan):
    questions.run(r, report, plan, lambda folder, n: tool(r, "growth", folder, n, plan["question_milliseconds"]))


def curve(r, report, title, first, steps):
    """bare, deciding without evidence, and FULL, along one size: rows of (text, load, connections, workers)."""
    rows = []
    for text, load, n_connections, n_workers in steps:
        r.workers = n_workers
        bare, off, full = r.compare([r.bare(), r.gateway("off"), r.serve("full")], load, n_connections)
        rows.append([text, f"{bare.rate:,.0f}", f"{off.rate:,.0f}", off.text(), f"{full.rate:,.0f}", full.text(),
                     f"{bare.p50:,.0f} / {bare.p99:,.0f}", f"{full.p50:,.0f} / {full.p99:,.0f}"])
        r.stop()
    r.workers = r.workers_max
    report.table(title, [first, "bare req/s", "off req/s", "off", "FULL req/s", "FULL", "bare p50 / p99 µs", "FULL p50 / p99 µs"], rows)


def workers(r, report, plan):
    """One and two workers; beyond that this machine has no processors."""
    curve(r, report, "Workers: ratios to bare evhttp with as many", "load, workers",
          [(f"{name}, {n}", rig.LOADS[name], plan["growth_connections"], n)
           for name in plan["worker_loads"] for n in range(1, r.workers_max + 1)])


def connections(r, report, plan):
    curve(r, report, "Connections: decide; ratios to bare evhttp", "connections",
          [(n, rig.LOADS["decide"], n, r.workers_max) for n in plan["many_connections"]])


def bodies(r, report, plan):
    curve(r, report, f"Bodies: decide, {plan['growth_connections']} connections; ratios to bare evhttp", "bytes",
          [(f"{n:,}", rig.decide(n), plan["growth_connections"], r.workers_max) for n in plan["bodies"]])


PARTS = {"growth": growth, "micro": micro, "process": process, "loads": loads, "audit": audit, "policies": policies,
         "workers": workers, "connections": connections, "bodies": bodies, "tls": tls, "overload": overload.run, "questions": asked}
FULL = {"loads": list(rig.LOADS), "beside": ["decide", "health"], "connections": [1, 8, 64, 256], "rules": [10, 100, 1000, 10000], "actions": 1000,
        "audit": [("decide", 1), ("decide", 64), ("decide", 256), ("read", 1), ("read", 64), ("read", 256)],
        "tls_loads": ["health", "decide"], "policy_connections": 64, "growth_connections": 64, "worker_loads": ["health", "explain", "decide"],
        "many_connections": [1, 4, 16, 64, 256, 1024], "bodies": [200, 600, 2048, 8192, 32000, 65000], "milliseconds": 400, "micro_rounds": 5, "counted": ["decide", "deny", "read", "explain"],
        "ledger_records": [10_000, 10_000_000], "growth_milliseconds": 3000, "question_records": 1_000_000, "question_milliseconds": 200, "question_rounds": 20,
        "overload_connections": 2048, "capacity_connections": 256, "overload_milliseconds": 4500, "overload_rounds": 3,
        "overload_times": [1, 2, 4, 10]}
SMOKE = {**FULL, "beside": ["health"], "connections": [8], "rules": [10, 1000], "actions": 50, "audit": [("decide", 8)], "milliseconds": 30,
         "growth_connections": 8, "worker_loads": ["decide"], "many_connections": [1, 64], "bodies": [200, 65000],
         "micro_rounds": 1, "policy_connections": 8, "counted": ["decide", "read"], "ledger_records": [500, 5000],
         "growth_milliseconds": 30, "question_records": 5000, "question_rounds": 1, "overload_connections": 64, "capacity_connections": 8, "overload_milliseconds": 300,
         "overload_times": [1, 4]}


def results_folder():
    folder = rig.HERE / "results"
    folder.mkdir(exist_ok=True)
    return folder


def describe(r, report, smoke):
    commit = subprocess.run(["git", "-C", str(rig.ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(r.folder)], capture_output=True, text=True).stdout.strip()
    report.add(f"# Figures of {datetime.date.today().isoformat()}\n")
    report.add(f"Commit {commit.stdout.strip() or 'unknown'}, {platform.machine()}, Linux {platform.release()}, "
               f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start, ledger on {kind}. "
               f"Servers on processors {r.server_cpus} with {r.workers} workers, wrk on {r.load_cpus}; {r.rounds} rounds of "
               f"{r.seconds} s in turn after a warm-up.{' A smoke: the figures mean nothing.' if smoke else ''}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--write", action="store_true")
    options.add_argument("--pin", choices=("shared", "split"), default="shared")
    options.add_argument("--rounds", type=int)
    options.add_argument("--seconds", type=int, default=1)
    options.add_argument("--records", type=int, help="of the large ledger of growth; ten million need 12 GB of disk")
    options.add_argument("--only", choices=tuple(PARTS), action="append")
    given = options.parse_args()
    rounds = given.rounds or (1 if given.smoke else 5)
    r = rig.Rig(given.build.resolve(), given.build.resolve() / "bench-work", given.pin, given.seconds, rounds,
                warm_up=not given.smoke)
    report = Report()
    plan = dict(SMOKE if given.smoke else FULL)
    if given.write:
        plan["overload_file"] = results_folder() / "overload.json"
    if given.records:
        plan["ledger_records"] = [plan["ledger_records"][0], given.records]
    try:
        describe(r, report, given.smoke)
        for part in given.only or PARTS:
            PARTS[part](r, report, plan)
    finally:
        r.stop()
        shutil.rmtree(r.folder, ignore_errors=True)
    report.add(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")
    if given.write:
        (results_folder() / f"{datetime.date.today().isoformat()}.md").write_text("\n".join(report.lines) + "\n")


if __name__ == "__main__":
    main()
