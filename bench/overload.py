# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""What becomes of goodput and of waiting when more is asked than can be served: an open loop at multiples of the capacity, which a
closed loop finds first. Every answer is looked for in the ledger."""
import json
import os
import sqlite3
import statistics
import subprocess

import rig

OPERATOR_KEY = "bench-operator-key"
IDENTITY = {"principal": "alice", "agent": "bot", "environment": "dev",
            "api_keys": {rig.API_KEY: "alice", OPERATOR_KEY: "olga"}, "agent_secrets": {"bot": rig.AGENT_SECRET},
            "roles": {"operator": ["olga"]}}
# What is asked beside the load, and the milliseconds between two of each.
PROBES = {"/healthz": 20, "/readyz": 20, "/explain by an operator": 50, "/admin/reload": 200}
MODES = {"heed": "clients that heed Retry-After", "ignore": "clients that ask again at once"}


def raw(method, path, headers, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items()),
             *([f"Content-Length: {len(body)}"] if method == "POST" else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def write_requests(folder):
    load = rig.LOADS["decide"]
    (folder / "act.http").write_bytes(raw(load.method, load.path, load.headers(), load.body))
    operator = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    explain = rig.LOADS["explain"]
    asked = (raw("GET", "/healthz", {}), raw("GET", "/readyz", {}),
             raw("POST", explain.path, {**explain.headers(), **operator}, explain.body), raw("POST", "/admin/reload", operator))
    for i, request in enumerate(asked):
        (folder / f"probe{i}.http").write_bytes(request)


def run_loader(r, server, connections, rate, milliseconds, mode):
    """The figures of the loader, {name: value}, and the ids of the requests that were answered."""
    answered = r.folder / "answered"
    done = subprocess.run(
        ["taskset", "-c", r.load_cpus, str(r.build / "bench/bench_open_load"), str(server.port), str(r.folder / "act.http"),
         str(connections), str(rate), str(milliseconds), mode, str(answered),
         *(f"{r.folder}/probe{i}.http:{pause}" for i, pause in enumerate(PROBES.values()))],
        capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: bench_open_load: {done.stdout}{done.stderr}")
    figures = {key: float(value) for key, value, _ in map(str.split, done.stdout.splitlines())}
    for name in ("other", "unanswered", *(f"probe{i}_failed" for i in range(len(PROBES)))):
        if figures[name]:
            raise SystemExit(f"bench: {figures[name]:.0f} {name}: {done.stdout}")
    return figures, set(answered.read_text().split())


def count_lost(server, answered):
    """Answers whose decision is not in the ledger; the server has stopped."""
    with sqlite3.connect(server.folder / "ledger.db") as db:
        for (body,) in db.execute("SELECT body FROM records"):
            answered.discard(json.loads(body).get("request_id"))
    db.close()
    return len(answered)


def measure(r, plan, rate, mode, connections=None):
    """One run on a new ledger."""
    server = r.serve("overload", sheds=True, identity=IDENTITY, ledger={"path": "ledger.db"})
    figures, answered = run_loader(r, server, connections or plan["overload_connections"], rate, plan["overload_milliseconds"], mode)
    r.stop([server])
    figures["lost"] = count_lost(server, answered)
    figures["load"] = os.getloadavg()[0]
    return figures


class Point:
    """One multiple of the capacity: medians over the rounds. The capacity is found anew right before each run, since a shared
    machine has another one a minute later; ratios are taken within a round."""

    def __init__(self, mode, times, rounds):
        self.mode, self.times = mode, times
        self.ratios = [f["goodput"] / capacity for capacity, f in rounds]
        self.capacity = statistics.median(capacity for capacity, _ in rounds)
        self.figures = {name: statistics.median(f[name] for _, f in rounds) for name in rounds[0][1]}
        self.lost = sum(f["lost"] for _, f in rounds)

    def row(self):
        f = self.figures
        return [f"{self.times:g} ×", f"{self.capacity:,.0f}", f"{f['offered']:,.0f}", f"{f['goodput']:,.0f}",
                f"{statistics.median(self.ratios):.2f} ({min(self.ratios):.2f}–{max(self.ratios):.2f})",
                f"{f['shed']:,.0f}", f"{f['unsent']:,.0f}", f"{f['answered_p50']:,.1f} / {f['answered_p99']:,.1f}",
                *(f"{f[f'probe{i}_p50']:.1f} / {f[f'probe{i}_p99']:.1f} / {f[f'probe{i}_max']:.1f}" for i in range(len(PROBES))),
                f"{self.lost:.0f}", f"{f['load']:.1f}"]

    def plain(self):
        return {"mode": self.mode, "times": self.times, "probes": list(PROBES), "capacity": self.capacity, "ratio": statistics.median(self.ratios),
                **self.figures}


def run_round(r, plan, mode, times):
    capacity = measure(r, plan, 0, "ignore", plan["capacity_connections"])["goodput"]
    if not capacity:
        raise SystemExit("bench: no request was answered")
    return capacity, measure(r, plan, max(1, int(capacity * times)), mode)


def run(r, report, plan):
    write_requests(r.folder)
    wanted = [(mode, times) for mode in MODES for times in plan["overload_times"]]
    found = [{key: run_round(r, plan, *key) for key in wanted} for _ in range(min(r.rounds, plan["overload_rounds"]))]
    points = [Point(*key, [one[key] for one in found]) for key in wanted]
    for mode, text in MODES.items():
        report.table(f"Overload: {text}; {plan['overload_connections']:,} connections",
                     ["asked for", "capacity/s", "due/s", "answered/s", "of the capacity", "turned away/s", "not sent/s",
                      "answered p50 / p99 ms", *(f"{name} p50 / p99 / max ms" for name in PROBES), "lost",
                      "load average"], [p.row() for p in points if p.mode == mode])
    if plan.get("overload_file"):
        plan["overload_file"].write_text(json.dumps([p.plain() for p in points], indent=1) + "\n")
    lost = sum(p.lost for p in points)
    if lost:
        raise SystemExit(f"bench: {lost:.0f} answers are not in the ledger")
