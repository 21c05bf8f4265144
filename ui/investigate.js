// Search the ledger, follow a trace, look at a record and check its hash.
import {add, attempt, button, card, dim, empty, facts, field, fill, h, input, kind, link, note, num, one, panel, plural, rules, say, sheet, span, stamp, table, to, tree, val, when} from "./kit.js";
import {get, query} from "./api.js";

const EVENTS = ["action.decision", "action.completed", "approval.requested", "approval.decided.ui", "approval.applied", "runtime.reload"];
const moment = {type: "datetime-local", step: 1};
const outcome = (r) => dim(val(r.result_classification ?? r.reason, ""));

// So that coming back from a record finds the list as it was.
let kept = {};

export function investigate(root, _, search) {
	const entry = (name, label, more) => field(label, input(`s-${name}`, {name, value: search.get(name) ?? "", ...more}));
	const choice = (name, label, options) => field(label, h("select", {id: `s-${name}`, name}, h("option", {value: ""}, "any"), options.map((value) => h("option", {value, selected: value === search.get(name)}, value))));
	const filters = Object.fromEntries(search);
	const name = query(filters);
	for (const t of ["since", "until"]) if (Date.parse(filters[t])) filters[t] = new Date(filters[t]).toISOString();
	const form = h("form", {role: "search", onsubmit(e) {
		e.preventDefault();
		const wanted = query(Object.fromEntries(new FormData(form)));
		if (wanted === name) load();
		else location.hash = `#/investigate${wanted}`;
	}}, h("div.fields", entry("trace", "Trace"), entry("action", "Action id"), entry("principal", "Principal"), entry("agent", "Agent"), entry("type", "Action type"),
		choice("decision", "Decision", ["ALLOW", "DENY", "REQUIRE_APPROVAL"]), choice("event", "Event", EVENTS), entry("since", "From", moment), entry("until", "To", moment)),
	h("div.bar", h("button.main", "Search"), link("#/investigate", "Clear"), h("a", {href: `/api/ui/export${query(filters)}`, download: true}, "Export these as JSON lines")));
	const out = h("div");
	add(root, h("section.card", {"aria-label": "Filters"}, form), h("section.card", {"aria-label": "Records"}, out));

	const old = kept.name === name && performance.now() - kept.left < 600000;
	let {rows, next} = old ? kept : {rows: []};
	const draw = () => fill(out, rows.length ? table("Records, newest first", [
		["Record", (r) => h("a", {href: to.record(r.seq), "data-stop": r.seq}, num(r.seq)), ".seq"], ["Time", (r) => when(r.timestamp)], ["Event", (r) => val(r.event_type), ".wide"],
		["Decision", (r) => h("div", stamp(r.decision), " ", outcome(r))], ["Who", (r) => h("div", val(r.agent, ""), r.principal && [dim(" for "), val(r.principal)])],
		["Action", (r) => h("div", h("div", val(r.action_type, "")), val(r.resource, ""))], ["Trace", (r) => r.trace_id && link(to.trace(r.trace_id), val(r.trace_id))]], rows)
		: empty(next ? `None like this down to record ${num(next)}.` : "No record is like this.", "Of a trace the beginning is enough; other fields are exact."), next && button("Older records", () => load(true)));
	const load = (more) => attempt(out, () => get(`records${query({...filters, limit: 50, cursor: more && next})}`), (page) => {
		rows = more ? rows.concat(page.records) : page.records;
		next = page.next_cursor;
		draw();
		say(`${plural(rows.length, "record")} shown`);
	});
	if (old) {
		draw();
		requestAnimationFrame(() => scrollTo(0, kept.at));
	} else load();
	return {keep: old, refresh: () => rows.length || load(), leave: () => (kept = {name, rows, next, at: scrollY, left: performance.now()})};
}

const back = () => h("p", link("#/investigate", "← Search"));

export function trace(root, id) {
	const box = panel(async () => {
		const {events} = await get(`traces/${encodeURIComponent(id)}`);
		// A trace only grows: what has the focus stays.
		if (events.length === one(".timeline", box)?.childElementCount) return;
		const times = events.map((e) => +new Date(e.timestamp));
		return [h("p.lead", `${plural(events.length, "event")} in ${span(Math.max(...times) - Math.min(...times))}`),
		h("ol.timeline", events.map((e, i) => h(`li${kind(e.decision)}`, h("div", when(e.timestamp), dim(i ? ` +${span(Math.max(0, times[i] - times[i - 1]))}` : " start")), h("div", h("p", h("b", val(e.event_type)), " ", stamp(e.decision), " ", outcome(e)),
			h("p", val(e.action_summary ?? e.action_type, "")), e.matched_rule_ids?.length > 0 && note("Rules: ", rules(e.matched_rule_ids)),
			h("p.bar", e.seq && link(to.record(e.seq), `Record ${num(e.seq)}`), e.approval_id && link(to.approval(e.approval_id), "Approval"))))))];
	});
	add(root, back(), box);
	return {refresh: box.load};
}

async function hashHere(r) {
	const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(r.canonical + (r.prev_event_hash ?? "")));
	return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
}

function verify(r) {
	const out = h("div", {role: "status"});
	const word = (good, yes, no) => h(good ? "b.allow" : "b.deny", good ? yes : no);
	return [h("p", button("Verify", () => attempt(out, async () => [await get(`records/${r.seq}/verify`), crypto.subtle && r.canonical && (await hashHere(r)) === r.event_hash], ([v, here]) => {
		const good = v.matches && v.links_to_previous && here !== false;
		fill(out, h("p.lead", word(good, "The record is as it was written.", "The record does not hold. Keep the files as they are; run nomos audit verify.")), facts(
			["Computed by the gateway", word(v.matches, "equal", "different")], ["Computed by this browser", typeof here === "boolean" ? word(here, "equal", "different") : "not here"],
			["Link to the record before", word(v.links_to_previous, "holds", "broken")], ["Checkpoint", v.checkpoint ? [`at ${num(v.checkpoint.seq)}: `, word(v.checkpoint.signature_valid, "signature valid", "signature not valid")] : "none behind it yet"]), v.message && note(v.message));
	}))), out];
}

// A record never changes: what Verify found stays.
export function record(root, seq) {
	let r;
	const box = panel(async () => {
		r = await get(`records/${seq}`);
		const {event_hash, prev_event_hash, ...m} = r.record;
		return [card("What happened", h("p.lead", stamp(m.decision), " ", val(m.action_summary ?? m.event_type)), facts(["Time", when(m.timestamp)], ["Outcome", outcome(m)], m.agent && ["Who", h("div", val(m.agent), " for ", val(m.principal))], m.trace_id && ["Trace", link(to.trace(m.trace_id), val(m.trace_id))], m.action_id && ["Action", link(to.action(m.action_id), val(m.action_id))],
			m.matched_rule_ids && ["Rules", rules(m.matched_rule_ids)])), card("Hash", facts(["This record", val(r.event_hash)], ["The one before", val(r.prev_event_hash, "this is the first")]), verify(r)), card("All members", sheet("Members", tree(m))),
		card("The text that was hashed", sheet("Canonical text", h("pre", r.canonical)))];
	});
	add(root, back(), box);
	return {refresh: () => r || box.load()};
}
