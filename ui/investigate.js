// Investigate: search the ledger, follow one trace, look at one record and check its hash.
import {attempt, card, dim, empty, facts, field, fill, h, note, number, plural, say, span, stamp, table, to, tree, val, when, link} from "./kit.js";
import {get, query} from "./api.js";

const FIELDS = [["trace", "Trace"], ["action", "Action id"], ["principal", "Principal"], ["agent", "Agent"], ["type", "Action type"]];
const EVENTS = ["action.decision", "action.completed", "approval.requested", "approval.decided", "approval.expired", "runtime.start", "runtime.reload"];
const traceLink = (id) => (id ? link(to.trace(id), val(id)) : val(""));

// The last list, so that coming back from a record finds it as it was.
let kept = {};

export function investigate(root, _, search) {
	const input = (name) => h("input", {id: `s-${name}`, name, value: search.get(name) ?? "", spellcheck: "false", autocomplete: "off"});
	const choice = (name, options) => h("select", {id: `s-${name}`, name}, options.map(([value, label]) => {
		const option = h("option", {value}, label);
		option.selected = value === (search.get(name) ?? "");
		return option;
	}));
	const time = (name) => {
		const node = h("input", {id: `s-${name}`, name, type: "datetime-local", step: 1});
		const t = new Date(search.get(name) ?? "");
		if (!isNaN(t)) node.value = new Date(t - t.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
		return node;
	};
	const form = h("form", {role: "search", onsubmit(e) {
		e.preventDefault();
		const v = Object.fromEntries(new FormData(form));
		for (const name of ["since", "until"]) if (v[name]) v[name] = new Date(v[name]).toISOString();
		const hash = `#/investigate${query(v)}`;
		if (location.hash === hash) run(); else location.hash = hash;
	}}, h("div.fields", FIELDS.map(([name, label]) => field(label, input(name))),
		field("Decision", choice("decision", [["", "any"], ["ALLOW", "allow"], ["DENY", "deny"], ["REQUIRE_APPROVAL", "ask"]])),
		field("Event", choice("event", [["", "any"], ...EVENTS.map((e) => [e, e])])), field("From", time("since")), field("To", time("until"))),
	h("div.bar", h("button.main", "Search"), link("#/investigate", "Clear"), h("a", {id: "export", href: "/api/ui/export", download: ""}, "Export these as JSON lines")));
	const out = h("div");
	fill(root, h("h1", {tabindex: -1}, "Investigate"), h("section.card", {"aria-label": "Filters"}, form), h("section.card", {"aria-label": "Records"}, out));

	const filters = Object.fromEntries(search);
	const name = query(filters);
	form.querySelector("#export").setAttribute("href", `/api/ui/export${name}`);
	let rows = [];
	let next;
	function draw() {
		fill(out, rows.length ? table("Records, newest first", [
			["Record", (r) => h("a", {href: to.record(r.seq), "data-stop": r.seq}, number(r.seq)), "seq"], ["Time", (r) => when(r.timestamp)],
			["Event", (r) => val(r.event_type), "wide"], ["Decision", (r) => [stamp(r.decision), " ", dim(val(r.result_classification ?? r.reason, ""))]],
			["Who", (r) => [val(r.agent, ""), r.principal && [dim(" for "), val(r.principal)]]], ["Action", (r) => h("div", h("div", val(r.action_type, "")), h("div", val(r.resource, "")))],
			["Trace", (r) => r.trace_id && traceLink(r.trace_id)]], rows) : empty("No record is like this.", "Take a filter away. A trace may be its beginning only; the other fields are exact."),
		next && h("button", {type: "button", onclick: () => load(true)}, "Older records"));
		kept = {name, rows, next, at: 0};
	}
	const load = (more) => attempt(out, async () => {
		const page = await get(`records${query({...filters, limit: 50, cursor: more && next})}`);
		rows = more ? rows.concat(page.records) : page.records;
		next = page.next_cursor;
		draw();
		say(`${plural(rows.length, "record")} shown${next ? ", there are older ones" : ""}`);
	});
	const run = () => load(false);
	const old = kept.name === name && performance.now() - kept.left < 600000 ? kept : undefined;
	if (old) {
		({rows, next} = old);
		draw();
		requestAnimationFrame(() => scrollTo(0, old.at));
	} else run();
	return {keep: Boolean(old), refresh: () => rows.length || run(), leave() {
		kept = {...kept, at: scrollY, left: performance.now()};
	}};
}

/** A trace as a time line: where each event lies between the first and the last, and what it was. */
export function trace(root, id) {
	const box = h("div");
	fill(root, h("p", h("a.back", {href: "#/investigate"}, "Search")), h("h1", {tabindex: -1}, "Trace ", val(id)), box);
	const refresh = () => attempt(box, async () => {
		const events = (await get(`traces/${encodeURIComponent(id)}`)).events ?? [];
		const times = events.map((e) => +new Date(e.timestamp));
		const start = Math.min(...times);
		const whole = Math.max(1, Math.max(...times) - start);
		const kind = (e) => ({ALLOW: "allow", DENY: "deny", REQUIRE_APPROVAL: "ask"}[e.decision] ?? "plain");
		fill(box, h("p.lead", `${plural(events.length, "event")} in ${whole < 1000 ? `${whole} ms` : span(whole)}`), h("svg.line", {viewBox: "0 0 1000 24", preserveAspectRatio: "none", "aria-hidden": "true"},
			h("line", {x1: 0, x2: 1000, y1: 12, y2: 12}), events.map((e, i) => h(`rect.${kind(e)}`, {x: 4 + (984 * (times[i] - start)) / whole, y: 4, width: 4, height: 16}))),
		h("ol.timeline", events.map((e, i) => h(`li.${kind(e)}`, h("div.at", when(e.timestamp), dim(i ? ` +${times[i] - times[i - 1] < 1000 ? `${times[i] - times[i - 1]} ms` : span(times[i] - times[i - 1])}` : " start")),
			h("div", h("p", h("b", val(e.event_type)), " ", stamp(e.decision), " ", dim(val(e.result_classification ?? e.reason, ""))),
				h("p", e.action_summary ? val(e.action_summary) : val(e.action_type, "")),
				note(e.seq && [link(to.record(e.seq), `record ${number(e.seq)}`), " "], e.approval_id && [link(to.approval(e.approval_id), "approval"), " "],
					e.action_id && link(to.action(e.action_id), "all of this action")),
				e.matched_rule_ids?.length > 0 && note("rules: ", e.matched_rule_ids.map((r) => [link(to.rule(r), val(r)), " "])))))));
	});
	refresh();
	return {title: `Trace ${id}`, refresh};
}

async function hashHere(r) {
	if (!globalThis.crypto?.subtle) return undefined;
	const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(r.canonical + (r.prev_event_hash ?? "")));
	return [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

function verify(r) {
	const out = h("div", {role: "status"});
	return [h("button", {type: "button", onclick: () => attempt(out, async () => {
		const [v, here] = await Promise.all([get(`records/${r.seq}/verify`), hashHere(r)]);
		const good = v.matches && v.links_to_previous !== false && (here === undefined || here === r.event_hash);
		fill(out, h(good ? "p.lead.allow" : "p.lead.deny", good ? "The record is as it was written." : "The record does not hold. Keep the file as it is and run nomos audit verify."), h("ul",
			h("li", "The gateway computed the hash anew: ", h("b", v.matches ? "equal" : "different"), ". ", v.message && val(v.message)), h("li", "Link to the record before it: ", h("b", v.links_to_previous === false ? "broken" : "holds")),
			h("li", here === undefined ? "This browser computes hashes over HTTPS or on this machine only." : ["This browser computed it from the text below: ", h("b", here === r.event_hash ? "equal" : "different")]),
			h("li", v.checkpoint ? [`Checkpoint at record ${number(v.checkpoint.seq)}: signature `, h("b", v.checkpoint.signature_valid ? "valid" : "not valid")] : "No checkpoint is behind it yet.")));
	})}, "Verify"), out];
}

export function record(root, seq) {
	const box = h("div");
	fill(root, h("p", h("a.back", {href: "#/investigate"}, "Search")), h("h1", {tabindex: -1}, `Record ${number(seq)}`), box);
	const refresh = () => attempt(box, async () => {
		const r = await get(`records/${seq}`);
		const m = r.record ?? {};
		const members = Object.entries(m).filter(([name]) => !["event_hash", "prev_event_hash", "seq"].includes(name));
		fill(box, card("What happened", h("p.lead", stamp(m.decision), " ", val(m.action_summary ?? m.event_type)), facts([["Time", when(m.timestamp)], ["Event", val(m.event_type)], m.agent && ["Agent", val(m.agent)], m.principal && ["Principal", val(m.principal)],
			m.reason && ["Reason", val(m.reason)], m.result_classification && ["Outcome", val(m.result_classification)], m.trace_id && ["Trace", traceLink(m.trace_id)], m.action_id && ["Action", link(to.action(m.action_id), val(m.action_id))],
			m.matched_rule_ids?.length && ["Rules", m.matched_rule_ids.map((x) => [link(to.rule(x), val(x)), " "])]])),
		card("Hash", facts([["This record", val(r.event_hash)], ["The one before", val(r.prev_event_hash, "this is the first")]]), verify(r)), card("All members", h("div.sheet", tree(Object.fromEntries(members)))),
		card("The text that was hashed", h("pre", r.canonical ?? "")), h("nav.bar", {"aria-label": "Neighbours"}, Number(seq) > 1 && link(`#/investigate/record/${Number(seq) - 1}`, "← Record before"), link(`#/investigate/record/${Number(seq) + 1}`, "Record after →")));
	});
	refresh();
	return {title: `Record ${seq}`, refresh};
}
