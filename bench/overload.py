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
HEALTH_PAUSE_MS, RELOAD_PAUSE_MS = 20, 200
PROBES = ("health", "reload")


def raw(method, path, headers, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items()),
             *([f"Content-Length: {len(body)}"] if method == "POST" else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def write_requests(folder):
    load = rig.LOADS["decide"]
    (folder / "act.http").write_bytes(raw(load.method, load.path, load.headers(), load.body))
    (folder / "health.http").write_bytes(raw("GET", "/healthz", {}))
    (folder / "reload.http").write_bytes(raw("POST", "/admin/reload", {"Authorization": f"Bearer {OPERATOR_KEY}"}))


def run_loader(r, server, connections, rate, milliseconds, mode):
    """The figures of the loader, {name: value}, and the ids of the requests that were answered."""
    answered = r.folder / "answered"
    done = subprocess.run(
        ["taskset", "-c", r.load_cpus, str(r.build / "bench/bench_open_load"), str(server.port), str(r.folder / "act.http"),
         str(connections), str(rate), str(milliseconds), mode, str(answered),
         f"{r.folder}/health.http:{HEALTH_PAUSE_MS}", f"{r.folder}/reload.http:{RELOAD_PAUSE_MS}"],
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
    server = r.serve("overload", identity=IDENTITY, ledger={"path": "ledger.db"})
    figures, answered = run_loader(r, server, connections or plan["overload_connections"], rate, plan["overload_milliseconds"], mode)
    r.stop([server])
    figures["lost"] = count_lost(server, answered)
    figures["load"] = os.getloadavg()[0]
    return figures


def find_capacity(r, plan):
    return statistics.median(measure(r, plan, 0, "ignore", plan["capacity_connections"])["goodput"] for _ in range(r.rounds))


def row(label, rate, f, peak):
    return [label, f"{rate:,.0f}", f"{f['goodput']:,.0f}", f"{f['goodput'] / peak:.2f}", f"{f['shed']:,.0f}", f"{f['unsent']:,.0f}",
            f"{f['answered_p50']:,.1f} / {f['answered_p99']:,.1f}",
            *(f"{f[f'probe{i}_p50']:.1f} / {f[f'probe{i}_p99']:.1f} / {f[f'probe{i}_max']:.1f}" for i in range(len(PROBES))),
            f"{f['lost']:.0f}", f"{f['load']:.1f}"]


def run(r, report, plan):
    write_requests(r.folder)
    capacity = find_capacity(r, plan)
    runs = [(mode, times, capacity * times, measure(r, plan, max(1, int(capacity * times)), mode))
            for mode in ("heed", "ignore") for times in plan["overload_times"]]
    peak = max([capacity, *(f["goodput"] for *_, f in runs)])
    for mode, text in (("heed", "clients that heed Retry-After"), ("ignore", "clients that ask again at once")):
        rows = [row(f"{times:g} ×", rate, f, peak) for m, times, rate, f in runs if m == mode]
        report.table(f"Overload: {text}; {plan['overload_connections']:,} connections, capacity {capacity:,.0f} requests/s",
                     ["asked for", "requests/s due", "answered/s", "of the peak", "turned away/s", "not sent/s", "answered p50 / p99 ms",
                      "/healthz p50 / p99 / max ms", "/admin/reload p50 / p99 / max ms", "lost", "load average"], rows)
    if plan.get("overload_file"):
        plan["overload_file"].write_text(json.dumps(
            {"capacity": capacity, "peak": peak,
             "runs": [{"mode": m, "times": t, "rate": rate, **f} for m, t, rate, f in runs]}, indent=1) + "\n")
    lost = sum(f["lost"] for *_, f in runs)
    if lost:
        raise SystemExit(f"bench: {lost:.0f} answers are not in the ledger")
