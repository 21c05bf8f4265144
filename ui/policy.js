// Policy: bundles, rules with their hits, and what the policy would say of an action. Limits: buckets and breakers.
import {ago, attempt, card, dim, empty, facts, field, fill, h, number, plural, say, short, stamp, table, tree, val, when} from "./kit.js";
import {get, may, post, query, session} from "./api.js";

const some = (list) => (Array.isArray(list) ? list : list ? [list] : []).map((x, i) => [i ? ", " : "", val(x)]);
const filled = (object) => object && Object.keys(object).length > 0;

function ruleList(list, first) {
	const search = h("input", {id: "q", type: "search", value: first ?? "", spellcheck: "false", autocomplete: "off"});
	let rows = [];
	let next;
	let turn = 0;
	const load = (more) => attempt(list, async () => {
		const mine = ++turn;
		const page = await get(`policy/rules${query({q: search.value, cursor: more && next})}`);
		if (mine !== turn) return;
		rows = more ? rows.concat(page.rules) : page.rules;
		next = page.next_cursor;
		fill(list, rows.length ? table("Rules", [
			["Rule", (r) => [h("b", val(r.id)), " ", stamp(r.decision)]],
			["For", (r) => h("div", [["principals", r.principals], ["agents", r.agents], ["environments", r.environments]].map(([name, l]) =>
				some(l).length > 0 && h("div", dim(`${name} `), some(l))))],
			["Action and resource", (r) => h("div", h("div", val(r.action_type)), h("div", val(r.resource)))],
			["With", (r) => h("div", some(r.risk_flags), filled(r.obligations) && h("details", h("summary", "obligations"), tree(r.obligations)))],
			["Hits", (r) => (r.hits ? number(r.hits) : dim("never")), "num"]], rows)
			: empty(search.value ? "No rule has this in it." : "The policy has no rule: everything is denied.", "The search looks at ids, types, resources and names."),
		next && h("button", {type: "button", onclick: () => load(true)}, "More rules"));
		if (search.value) say(`${plural(rows.length, "rule")} found`);
	});
	let later;
	search.addEventListener("input", () => {
		clearTimeout(later);
		later = setTimeout(load, 250);
	});
	load();
	return search;
}

function answer(a) {
	return h("div.answer", h("p.lead", stamp(a.decision), " ", val(a.reason_code ?? a.reason)),
		facts([["Rules that decided", some(a.matched_rule_ids).length ? some(a.matched_rule_ids) : val("", "none: denied by default")],
			filled(a.obligations_preview) && ["Obligations", tree(a.obligations_preview)], ["Policy", short(a.policy_bundle_hash)]]),
		h("details", h("summary", "The whole explanation"), tree(a)));
}

function explain() {
	const input = (id, value, more) => h("input", {id, value, required: true, spellcheck: "false", autocomplete: "off", ...more});
	const fields = {principal: input("x-principal", session.who.principal), agent: input("x-agent", ""), environment: input("x-env", "dev"),
		action_type: input("x-type", "", {placeholder: "payments.refund"}), resource: input("x-resource", "", {placeholder: "payment://shop.example.com/orders/1"})};
	const params = h("textarea", {id: "x-params", rows: 4, spellcheck: "false", value: "{}"});
	const out = h("div", {"aria-live": "polite"});
	return h("form", {onsubmit(e) {
		e.preventDefault();
		attempt(out, async () => {
			const v = Object.fromEntries(Object.entries(fields).map(([name, node]) => [name, node.value]));
			try {
				JSON.parse(params.value || "{}");
			} catch {
				throw Object.assign(new Error("The parameters are not JSON."), {status: 400, remedy: "Write an object, such as {\"amount\": 12}."});
			}
			// The text of the parameters goes out as it was typed: a number keeps its digits.
			const head = JSON.stringify({schema_version: "v1", action_id: "explain-1", trace_id: "explain-1", context: {extensions: {}}, ...v});
			fill(out, answer(await post("explain", `${head.slice(0, -1)},"params":${params.value || "{}"}}`)));
		});
	}}, h("div.fields", field("Principal", fields.principal), field("Agent", fields.agent), field("Environment", fields.environment),
		field("Action type", fields.action_type), field("Resource", fields.resource)), field("Parameters (JSON)", params),
	h("div.bar", h("button.main", "What would happen?"), dim("Nothing is recorded or done.")), out);
}

export function policy(root, _, search) {
	const bundles = h("div");
	const list = h("div");
	fill(root, h("h1", {tabindex: -1}, "Policy"), card("In force", bundles), card("Rules", field("Find a rule", ruleList(list, search.get("q"))), list),
		card("Ask the policy", may("operator") ? explain() : empty("Asking for anyone's identity is for operators.", "An agent can ask for itself: POST /explain, or nomos send --explain.")));
	const refresh = () => attempt(bundles, async () => {
		const p = await get("policy");
		fill(bundles, facts([["Hash", val(p.policy_bundle_hash)], ["Loaded", p.loaded_at && [when(p.loaded_at), ", ", ago(p.loaded_at)]]]),
			table("Bundles", [["Bundle", (b) => val(b.path)], ["Role", (b) => val(b.role)], ["Signature", (b) => (b.signature_verified ? h("b.allow", "verified") : dim("not checked"))],
				["Hash", (b) => short(b.hash)]], p.bundles ?? []));
	});
	refresh();
	return {refresh};
}

const gauge = (part, whole, label) => h("svg.gauge", {viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": label},
	h("rect", {width: 100, height: 6}), h(part * 5 < whole ? "rect.deny" : "rect.allow", {width: whole ? Math.min(100, (100 * part) / whole) : 0, height: 6}));

export function limits(root) {
	const box = h("div");
	fill(root, h("h1", {tabindex: -1}, "Limits"), box);
	const refresh = () => attempt(box, async () => {
		const l = await get("limits");
		const buckets = l.buckets ?? [];
		const breakers = l.breakers ?? [];
		const room = (l.concurrency_limit ?? 0) - l.in_flight;
		fill(box, card("Work in flight", h("p.lead", `${number(l.in_flight)} of ${number(l.concurrency_limit)} places are taken.`),
			gauge(room, l.concurrency_limit, `${number(room)} places are free`)),
		card("Rate buckets", buckets.length ? table("Rate buckets", [["Key", (b) => val(b.key)], ["Left", (b) => h("div.level", gauge(b.remaining, b.capacity, `${number(b.remaining)} of ${number(b.capacity)} left`),
			h("span", `${number(Math.floor(b.remaining))} of ${number(b.capacity)}`))], ["Refills a minute", (b) => number(b.refill_per_minute), "num"]], buckets)
			: empty("No bucket is in use.", "A bucket appears when an identity sends its first request under rate_limits.")),
		card("Circuit breakers", breakers.length ? table("Circuit breakers", [["Identity", (b) => val(b.identity)],
			["State", (b) => h(String(b.state).toLowerCase() === "closed" ? "span.stamp.allow" : "span.stamp.deny", b.state)], ["Failures", (b) => number(b.failures), "num"],
			["Tries again", (b) => (b.open_until ? when(b.open_until) : val("", "—"))]], breakers) : empty("Every breaker is closed.", "A breaker opens when an executor keeps failing for one identity.")));
	});
	refresh();
	const timer = setInterval(refresh, 3000);
	return {refresh, leave: () => clearInterval(timer)};
}
