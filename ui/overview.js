// The state of the gateway.
import {add, ago, alert, attempt, button, card, dialog, dim, empty, facts, failure, field, fill, fold, h, link, note, num, panel, plural, say, short, stamp, table, to, val, when} from "./kit.js";
import {get, may, post} from "./api.js";

/** Decisions by the second: allowed upwards with asked on top, denied downwards. */
function chart(seconds) {
	const sum = (name) => num(seconds.reduce((n, s) => n + s[name], 0));
	const up = Math.max(3, ...seconds.map((s) => s.allow + s.require_approval));
	const down = Math.max(1, ...seconds.map((s) => s.deny));
	const unit = 100 / (up + down);
	const width = 600 / Math.max(60, seconds.length);
	const bars = seconds.map((s, i) => [[".allow", s.allow, up - s.allow], [".ask", s.require_approval, up - s.allow - s.require_approval], [".deny", s.deny, up]].map(([kind, n, y]) =>
		n > 0 && h(`rect${kind}`, {x: 600 - (seconds.length - i) * width, y: unit * y, width: width - 1, height: n * unit})));
	const words = `The last ${plural(seconds.length, "second")}: ${sum("allow")} allowed, ${sum("require_approval")} asked, ${sum("deny")} denied. Scale: ${up} up, ${down} down.`;
	return h("figure", h("svg.chart", {viewBox: "0 0 600 100", role: "img", "aria-label": words, preserveAspectRatio: "none"}, bars, h("line", {x2: 600, y1: up * unit, y2: up * unit})),
		h("figcaption", h("span.key.allow", "allowed"), h("span.key.ask", "asked"), h("span.key.deny", "denied"), dim(words)));
}

function reasons(list) {
	const most = Math.max(...list.map((r) => r.count));
	return list.length ? h("ul.bars", list.map((r) => h("li", val(r.reason), h("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true"},
		h("rect.deny", {width: (100 * r.count) / most, height: 8})), h("b", num(r.count))))) : empty("Nothing was denied.");
}

function settle(u, done) {
	const reason = h("textarea", {id: "settle", required: true, rows: 3, maxlength: 500});
	const told = alert();
	const outcome = h("select", {id: "outcome"}, h("option", {value: "succeeded"}, "succeeded"), h("option", {value: "failed"}, "failed, or never happened"));
	const box = dialog("Settle an unknown outcome", h("form", {async onsubmit(e) {
		e.preventDefault();
		try {
			await post(`actions/${u.seq}/settle`, {outcome: outcome.value, reason: reason.value});
			box.close();
			say("Settled and recorded.");
			done();
		} catch (error) {
			fill(told, failure(error));
		}
	}}, h("p", "Find out what became of ", val(u.action_type), " ", val(u.resource), ". It is never run again by itself."),
	field("It", outcome), field("How you know", reason, "Recorded with your name."), told, h("button.main", "Record the outcome")));
}

const unknown = (list, done) => (list.length ? table("Actions with an unknown outcome", [["Time", (u) => when(u.timestamp)], ["Agent", (u) => val(u.agent)],
	["Action", (u) => link(to.record(u.seq), val(u.action_type), " ", val(u.resource))], ["", (u) => may("operator") && button("Settle…", () => settle(u, done))]], list) : empty("None: every effect has its outcome."));

function checks(list) {
	const bad = list.filter((c) => c.status !== "PASS");
	const rows = (some) => h("ul.checks", some.map((c) => h("li", stamp(c.status), h("div", h("p", val(c.id), " ", c.message), c.hint && note(c.hint)))));
	return [bad.length ? rows(bad) : empty("Every check passes."), fold(`${plural(list.length - bad.length, "check")} passed`, rows(list.filter((c) => c.status === "PASS")))];
}

/** Fills only when it says something else: it may have the focus. */
function once(node, key, build) {
	if (node.dataset.key === String(key)) return;
	node.dataset.key = key;
	fill(node, build());
}

export function overview(root) {
	let last = {};
	const trouble = h("div");
	const lead = h("p.lead", "…");
	const figures = h("dl.figures");
	const [rate, why, open, ledger, policy] = Array.from({length: 5}, () => h("div"));
	add(root, trouble, lead, figures, card("Decisions per second", rate), h("div.grid", h("div", card("Denials by reason", why), card("Unknown outcomes", open), card("Policy in force", policy)),
		h("div", card("Readiness", panel(async () => checks((await get("readiness")).checks ?? []))), card("Ledger and sinks", ledger))));

	function draw(news) {
		const o = last = {...last, ...news};
		const waits = o.pending_approvals ?? 0;
		const list = o.unknown ?? [];
		const sinks = o.sinks ?? [];
		const t = o.totals ?? {};
		once(lead, [o.ready, waits, list.length], () => [h(o.ready ? "b.allow" : "b.deny", o.ready ? "Ready." : "Not ready: "), !o.ready && (o.ready_why || "the checks below say why."), " ",
			waits ? link("#/approvals", `${plural(waits, "action waits", "actions wait")} for a decision.`) : "Nothing waits for a decision.", list.length > 0 && ` ${plural(list.length, "outcome is", "outcomes are")} unknown.`]);
		fill(figures, [["Allowed", t.allow, ".allow"], ["Asked", t.require_approval, ".ask"], ["Denied", t.deny, ".deny"], ["In flight", o.in_flight, ""]].map(([name, n, kind]) =>
			h("div", h("dt", name), h(`dd${kind}`, num(n), !kind && o.concurrency_limit > 0 && h("small", ` of ${num(o.concurrency_limit)}`)))));
		fill(rate, chart(o.per_second ?? []));
		fill(why, reasons((o.reasons ?? []).filter((r) => !/^require/.test(r.reason))));
		once(open, JSON.stringify(list), () => unknown(list, refresh));
		fill(ledger, facts(["Newest record", num(o.ledger?.head_seq)], ["Wait of the queue", `${num(o.ledger?.queue_wait_ms)} ms`]),
			sinks.length ? table("Sinks", [["Sink", (s) => val(s.name)], ["", (s) => [s.required && h("span.stamp.plain", "required"), s.failing && h("b.deny", " failing")]], ["Taken to", (s) => num(s.taken_seq), ".num"],
				["Behind", (s) => (s.lag ? h("b.ask", num(s.lag)) : "0"), ".num"], ["Dead letters", (s) => (s.dead_letters ? h("b.deny", num(s.dead_letters)) : "0"), ".num"]], sinks) : note("No sinks."));
		once(policy, o.policy_bundle_hash, () => [facts(["Hash", short(o.policy_bundle_hash)], ["Loaded", o.policy_loaded_at ? ago(o.policy_loaded_at) : val()], ["Assurance", val(o.assurance_level)]), link("#/policy", "Rules and explanations")]);
	}
	const refresh = () => attempt(trouble, () => get("overview"), (o) => {
		draw(o);
		fill(trouble);
	});
	refresh();
	return {refresh, draw};
}
