// Overview: what state the gateway is in, said first in a sentence, then in figures, a chart and lists.
import {ago, attempt, card, dialog, dim, empty, facts, failure, field, fill, h, note, number, plural, say, short, span, stamp, table, to, val, when, link} from "./kit.js";
import {get, may, post} from "./api.js";

/** Decisions of the last two minutes: allowed upwards with asked on top, denied downwards, from one line. */
function chart(seconds) {
	const sum = (name) => seconds.reduce((n, s) => n + s[name], 0);
	const up = Math.max(3, ...seconds.map((s) => s.allow + s.require_approval));
	const down = Math.max(1, ...seconds.map((s) => s.deny));
	const unit = 100 / (up + down);
	const step = 600 / Math.max(60, seconds.length);
	const bars = [];
	seconds.forEach((s, i) => {
		const bar = (kind, n, y) => n && bars.push(h(`rect.${kind}`, {x: 600 - (seconds.length - i) * step, y: unit * y, width: step - 1, height: n * unit}));
		bar("allow", s.allow, up - s.allow);
		bar("ask", s.require_approval, up - s.allow - s.require_approval);
		bar("deny", s.deny, up);
	});
	const words = `The last ${plural(seconds.length, "second")}: ${number(sum("allow"))} allowed, ${number(sum("require_approval"))} asked, ${
		number(sum("deny"))} denied. At most ${number(up)} up and ${number(down)} down in a second.`;
	return h("figure", h("svg.chart", {viewBox: "0 0 600 100", role: "img", "aria-label": words, preserveAspectRatio: "none"},
		bars, h("line", {x1: 0, x2: 600, y1: up * unit, y2: up * unit})),
	h("figcaption", h("span.key.allow", "allowed"), h("span.key.ask", "asked"), h("span.key.deny", "denied"), dim(words)));
}

function reasons(list) {
	const most = Math.max(1, ...list.map((r) => r.count));
	if (!list.length) return empty("Nothing was denied since the start.");
	return h("ul.bars", list.map((r) => h("li", h("span", val(r.reason)), h("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true"},
		h("rect.deny", {width: Math.max(1, (100 * r.count) / most), height: 8})), h("b", number(r.count)))));
}

function settle(u, done) {
	const reason = h("textarea", {required: true, rows: 3, maxlength: 1000});
	const told = h("div", {role: "alert"});
	const pick = (value, label, checked) => h("label.pick", h("input", {type: "radio", name: "outcome", value, checked}), " ", label);
	const box = dialog("Settle an unknown outcome", h("form", {async onsubmit(e) {
		e.preventDefault();
		try {
			await post(`actions/${u.seq}/settle`, {outcome: new FormData(e.target).get("outcome"), reason: reason.value});
			box.close();
			say("Settled and recorded.");
			done();
		} catch (error) {
			fill(told, failure(error));
		}
	}}, h("p", "Find out at the other end what happened to ", val(u.action_type), " ", val(u.resource), ", then record it. It is never run again by itself."),
	h("fieldset", h("legend", "It"), pick("succeeded", "succeeded", true), pick("failed", "failed or never happened")),
	field("How you know", reason, "Recorded in the ledger with your name."), told, h("div.bar", h("button.main", "Record the outcome"))));
}

function unknown(list, done) {
	if (!list.length) return empty("None: every effect has its outcome.");
	return table("Actions with an unknown outcome", [["Time", (u) => when(u.timestamp)], ["Agent", (u) => val(u.agent)],
		["Action", (u) => link(to.record(u.seq), val(u.action_type), " ", val(u.resource))],
		["", (u) => may("operator") && h("button", {type: "button", onclick: () => settle(u, done)}, "Settle…")]], list);
}

function checks(r) {
	const list = r.checks ?? [];
	const bad = list.filter((c) => c.status !== "PASS");
	const rows = (some) => h("ul.checks", some.map((c) => h("li", stamp(c.status), h("div", h("p", val(c.id), " ", c.message), c.hint && note(c.hint)))));
	return [bad.length ? rows(bad) : empty("Every check passes."), h("details", h("summary", `${plural(list.length - bad.length, "check")} passed`),
		rows(list.filter((c) => c.status === "PASS")))];
}

export function overview(root) {
	let last = {};
	const lead = h("p.lead", "…");
	const figures = h("dl.figures");
	const parts = {rate: h("div"), reasons: h("div"), unknown: h("div"), ledger: h("div"), policy: h("div"), checks: h("div", note("Checking…"))};
	fill(root, h("h1", {tabindex: -1}, "Overview"), lead, figures, card("Decisions per second", parts.rate), h("div.grid",
		h("div", card("Denials by reason", parts.reasons), card("Unknown outcomes", parts.unknown), card("Policy in force", parts.policy)),
		h("div", card("Readiness", parts.checks), card("Ledger and sinks", parts.ledger))));

	function draw(o) {
		const before = last;
		last = {...last, ...o};
		o = last;
		const waits = o.pending_approvals ?? 0;
		const open = o.unknown?.length ?? 0;
		fill(lead, h(o.ready ? "b.allow" : "b.deny", o.ready ? "Ready." : "Not ready: "), !o.ready && (o.ready_why || "the checks below say why"), " ",
			waits ? link("#/approvals", `${plural(waits, "action")} ${waits === 1 ? "waits" : "wait"} for a decision.`) : "Nothing waits for a decision.",
			open > 0 && ` ${plural(open, "outcome is", "outcomes are")} unknown.`);
		const t = o.totals ?? {};
		fill(figures, [["Allowed", t.allow, "allow"], ["Asked", t.require_approval, "ask"], ["Denied", t.deny, "deny"], ["In flight", o.in_flight]].map(([name, n, kind]) =>
			h("div", h("dt", name), h(kind ? `dd.${kind}` : "dd", number(n), name === "In flight" && o.concurrency_limit > 0 && h("small", ` of ${number(o.concurrency_limit)}`)))));
		fill(parts.rate, chart(o.per_second ?? []));
		fill(parts.reasons, reasons(o.reasons ?? []));
		if (JSON.stringify(before.unknown) !== JSON.stringify(o.unknown)) fill(parts.unknown, unknown(o.unknown ?? [], refresh));
		const sinks = o.sinks ?? [];
		fill(parts.ledger, facts([["Newest record", number(o.ledger?.head_seq)], ["Wait of the queue", `${number(o.ledger?.queue_wait_ms)} ms`], ["Running for", o.started_at && span(Date.now() - new Date(o.started_at))]]),
			sinks.length ? sinkTable(sinks) : note("No sinks: the ledger is the only copy (audit.sink)."));
		fill(parts.policy, facts([["Hash", short(o.policy_bundle_hash)], ["Loaded", o.policy_loaded_at ? ago(o.policy_loaded_at) : val("")], ["Assurance", val(o.assurance_level)]]),
			h("p", link("#/policy", "Rules and explanations")));
	}
	const sinkTable = (sinks) => table("Sinks", [["Sink", (s) => val(s.name)], ["", (s) => s.required && h("span.stamp.plain", "required")], ["Taken to", (s) => number(s.taken_seq), "num"],
		["Behind", (s) => (s.lag ? h("b.ask", number(s.lag)) : "0"), "num"]], sinks);
	const refresh = () => attempt(lead, async () => draw(await get("overview")));
	refresh();
	attempt(parts.checks, async () => fill(parts.checks, checks(await get("readiness"))));
	return {refresh, event: (name, o) => name === "overview" && draw(o)};
}
