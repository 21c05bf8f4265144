// Policy: bundles, rules with hits, what it would say of an action. Limits: buckets and breakers.
import {add, ago, attempt, button, card, dim, empty, facts, field, fill, fold, h, input, note, num, panel, plural, rules, say, short, stamp, table, tree, val, when} from "./kit.js";
import {get, may, post, query, session} from "./api.js";

const some = (list) => [list ?? []].flat().map((x, i) => [i > 0 && ", ", val(x)]);
const filled = (object) => Object.keys(object ?? {}).length > 0;

function browser(first) {
	const search = input("q", {type: "search", value: first ?? ""});
	const list = h("div");
	let rows = [];
	let next;
	const load = (more) => attempt(list, () => get(`policy/rules${query({q: search.value, cursor: more && next})}`), (page) => {
		rows = more ? rows.concat(page.rules) : page.rules;
		next = page.next_cursor;
		fill(list, rows.length ? table("Rules", [
			["Rule", (r) => h("div", h("b", val(r.id)), " ", stamp(r.decision))],
			["For", (r) => h("div", ["principals", "agents", "environments"].map((name) => r[name]?.length > 0 && h("div", dim(`${name} `), some(r[name]))))],
			["Action and resource", (r) => h("div", h("div", val(r.action_type)), val(r.resource))],
			["With", (r) => h("div", some(r.risk_flags), filled(r.obligations) && fold("obligations", tree(r.obligations)))],
			["Hits", (r) => (r.hits ? num(r.hits) : dim("never")), ".num"]], rows)
			: search.value ? empty("No rule has this in it.") : empty("There is no rule: everything is denied."), next && button("More rules", () => load(true)));
		say(`${plural(rows.length, "rule")} shown`);
	});
	search.addEventListener("input", () => load());
	load();
	return [field("Find a rule", search), list];
}

const answer = (a) => [h("p.lead", stamp(a.decision), " ", val(a.reason_code ?? a.reason)),
	facts(["Rules that decided", a.matched_rule_ids?.length ? rules(a.matched_rule_ids) : "none: denied by default"], filled(a.obligations_preview) && ["Obligations", tree(a.obligations_preview)]), fold("The whole explanation", tree(a))];

function explain() {
	const entry = (name, label, value) => field(label, input(`x-${name}`, {name, required: true, value}));
	const params = h("textarea", {id: "x-params", rows: 4, spellcheck: "false", value: "{}"});
	const out = h("div", {"aria-live": "polite"});
	return h("form", {onsubmit(e) {
		e.preventDefault();
		const head = JSON.stringify({schema_version: "v1", action_id: "explain", trace_id: "explain", context: {extensions: {}}, ...Object.fromEntries(new FormData(e.target))});
		// As it was typed: a number keeps its digits.
		attempt(out, () => post("explain", `${head.slice(0, -1)},"params":${params.value}}`), (a) => fill(out, answer(a)));
	}}, h("div.fields", entry("principal", "Principal", session.who.principal), entry("agent", "Agent"), entry("environment", "Environment"), entry("action_type", "Action type"), entry("resource", "Resource")),
	field("Parameters (JSON)", params), h("div.bar", h("button.main", "What would happen?"), dim("Nothing is recorded or done.")), out);
}

export function policy(root, _, search) {
	const bundles = panel(async () => {
		const p = await get("policy");
		return [facts(["Hash", val(p.policy_bundle_hash)], p.loaded_at && ["Loaded", [when(p.loaded_at), ", ", ago(p.loaded_at)]]), table("Bundles", [["Bundle", (b) => val(b.path)], ["Role", (b) => val(b.role)],
			["Signature", (b) => (b.signature_verified ? h("b.allow", "verified") : dim("not checked"))], ["Hash", (b) => short(b.hash)]], p.bundles ?? [])];
	});
	add(root, card("In force", bundles), card("Rules", browser(search.get("q"))),
		card("Ask the policy", may("operator") ? explain() : empty("Asking for anyone's identity is for operators.", "An agent asks for itself with POST /explain.")));
	return {refresh: bundles.load};
}

const gauge = (n, whole) => h("svg.gauge", {viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true"}, h("rect", {width: 100, height: 6}), h(n * 5 < whole ? "rect.deny" : "rect.allow", {width: Math.min(100, (100 * n) / (whole || 1)), height: 6}));

export function limits(root) {
	const box = panel(async () => {
		const l = await get("limits");
		const free = l.concurrency_limit - l.in_flight;
		return [card("Work in flight", h("p.lead", `${num(free)} of ${plural(l.concurrency_limit, "place is", "places are")} free.`), gauge(free, l.concurrency_limit)),
			card("Rate buckets", l.buckets?.length ? table("Rate buckets", [["Key", (b) => val(b.key)], ["Left", (b) => h("div.level", gauge(b.remaining, b.capacity), `${num(Math.floor(b.remaining))} of ${num(b.capacity)}`)],
				["Refills a minute", (b) => num(b.refill_per_minute), ".num"]], l.buckets) : empty("No bucket is in use.", "One appears with a first request under rate_limits.")),
			card("Circuit breakers", l.breakers?.length ? table("Circuit breakers", [["Identity", (b) => val(b.identity)], ["State", (b) => h(/closed/i.test(b.state) ? "span.stamp.allow" : "span.stamp.deny", b.state)],
				["Failures", (b) => num(b.failures), ".num"], ["Tries again", (b) => (b.open_until ? when(b.open_until) : "")]], l.breakers) : empty("Every breaker is closed.", "One opens when work keeps failing."))];
	});
	add(root, box);
	const timer = setInterval(box.load, 5000);
	return {refresh: box.load, leave: () => clearInterval(timer)};
}
