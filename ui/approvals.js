// Approvals: an inbox that keeps itself up to date, and beside it what is asked, why, by whom, and the decision.
import {attempt, dialog, dim, empty, facts, failure, field, fill, h, note, number, plural, say, span, stamp, table, to, tree, val, when, link} from "./kit.js";
import {get, post, query} from "./api.js";

const PAGE = 50;
const alike = (a) => JSON.stringify([a.principal, a.agent, a.environment, a.action_type, a.resource, a.scope_type]);
const open = (a) => String(a.status).toUpperCase() === "PENDING" && !a.expired && new Date(a.expires_at) > Date.now();
const needs = (a) => a.needed > 1 && dim(` ${number(votes(a))} of ${number(a.needed)} agree`);
const votes = (a) => (Array.isArray(a.votes) ? a.votes.filter((v) => /^(allow|approve)/i.test(v.decision)).length : a.votes ?? 0);

function left(a) {
	if (!open(a)) return dim(a.expired || new Date(a.expires_at) <= Date.now() ? "expired" : String(a.status).toLowerCase());
	const ms = new Date(a.expires_at) - Date.now();
	return h(ms < 120000 ? "b.deny" : "span.note", {"data-until": a.expires_at}, `${span(ms)} left`);
}

const requester = (a) => [val(a.agent, "an agent"), " for ", val(a.principal), " in ", val(a.environment)];

function decide(a, decision, reason, ack) {
	return post("approvals/decide", {approval_id: a.approval_id, decision, ...(reason && {reason}), ...(ack && {ack_redacted: true})});
}

const saying = (r, decision) => (decision === "DENY" ? "Denied." : /pending/i.test(r.status ?? "") ? `Your approval counts: ${number(r.votes)} of ${number(r.needed)}.` : "Approved.");

/** One request for each of them, in turn, each with its own result; a failure stops none of the others. */
function together(list, done) {
	const boxes = list.map((a) => h("input", {type: "checkbox", id: `b-${a.approval_id}`, checked: !a.has_hidden}));
	const results = list.map(() => h("span"));
	const reason = h("textarea", {rows: 2, maxlength: 1000, id: "batch-reason"});
	const bar = h("progress", {max: 1, value: 0, "aria-label": "Progress", hidden: true});
	const told = h("p", {role: "status"});
	const buttons = [["ALLOW", "Approve all marked", "button.main"], ["DENY", "Deny all marked", "button.danger"]].map(([decision, label, kind]) =>
		h(kind, {type: "button", onclick: () => run(decision)}, label));
	const box = dialog(`${plural(list.length, "request")} alike`, h("p", requester(list[0]), " asks for ", val(list[0].action_type), " on ", val(list[0].resource),
		". Only who asks and for what is alike: the parameters of each are its own."),
	h("ul.batch", list.map((a, i) => h("li", boxes[i], h("label", {for: boxes[i].id}, val(a.action_summary, a.approval_id), " ", left(a),
		a.has_hidden && dim(" has hidden parts: approve it by itself")), h("a", {href: to.approval(a.approval_id), onclick: () => box.close()}, "look"), results[i]))),
	field("Reason for all", reason), bar, told, h("div.bar", buttons));

	async function run(decision) {
		const chosen = list.map((a, i) => [a, boxes[i], results[i]]).filter(([, b]) => b.checked && !b.disabled);
		if (!chosen.length) return fill(told, "Mark at least one.");
		for (const b of buttons) b.disabled = true;
		bar.hidden = false;
		bar.max = chosen.length;
		let good = 0;
		for (const [i, [a, b, result]] of chosen.entries()) {
			fill(told, `${number(i + 1)} of ${number(chosen.length)}`);
			try {
				if (decision === "ALLOW" && a.has_hidden) throw new Error("has hidden parts: open it");
				fill(result, h("b", saying(await decide(a, decision, reason.value), decision)));
				b.disabled = true;
				good += 1;
			} catch (error) {
				fill(result, h("span.deny", error.message));
				if (error.status === 401) return box.close();
			}
			b.checked = false;
			bar.value = i + 1;
		}
		for (const b of buttons) b.disabled = false;
		fill(told, `${number(good)} of ${number(chosen.length)} recorded.`);
		return done();
	}
}

/** What is hidden of the parameters, by JSON pointer, each with number and length. */
function covers(hidden) {
	const lengths = new Map();
	for (const part of hidden) lengths.set(part.path, [...(lengths.get(part.path) ?? []), part.length]);
	return new Map([...lengths].map(([path, l]) => [path, h("span.hide", `${plural(l.length, "hidden part")}: ${l.map((n) => plural(n, "character")).join(", ")}`)]));
}

function why(d) {
	const reason = d.reason && typeof d.reason === "object" ? d.reason : {code: d.reason, ...d};
	const code = reason.reason ?? reason.reason_code ?? reason.code;
	const rules = reason.matched_rule_ids ?? [];
	const duties = reason.obligations ?? {};
	return [h("p", rules.length ? [plural(rules.length, "rule"), rules.length === 1 ? " asks" : " ask", " for a person: ", rules.map((r, i) => [i ? ", " : "",
		link(to.rule(r), val(r))]), "."] : "The policy asks for a person.", code && [" ", dim("("), val(code), dim(")")]),
	Object.keys(duties).length > 0 && h("details", h("summary", "Obligations"), tree(duties)),
	d.policy_changed && h("p.failure", "The policy has changed since this was asked. An approval counts only for the policy it was asked under; the agent will have to ask again.")];
}

function detail(box, id, done) {
	let drawn = "";
	let form;
	async function load() {
		const d = await get(`approvals/${encodeURIComponent(id)}`);
		const key = `${d.status} ${open(d)}`;
		draw(d, key !== drawn || !form);
		drawn = key;
	}
	function draw(d, fresh) {
		const hidden = d.hidden ?? [];
		if (fresh) form = decision(d, hidden);
		const had = form.contains(document.activeElement) && document.activeElement;
		fill(box, h("a.back", {href: "#/approvals"}, "All approvals"),
			h("h2.asks", {tabindex: -1, id: "asked"}, val(d.agent, "An agent"), ", acting for ", val(d.principal), " in ", val(d.environment), ", asks to do ", h("b", val(d.action_type)), " on ", h("b", val(d.resource)), "."),
			h("p.bar", stamp(open(d) || d.status !== "PENDING" ? d.status : "EXPIRED"), left(d), needs(d), d.scope_type && d.scope_type !== "fingerprint" && h("span.stamp.plain", `scope: ${d.scope_type}`)),
			d.scope_type === "class" && h("p.failure", `This approves every action of this kind on this resource, ${d.max_uses > 1 ? `up to ${number(d.max_uses)} times` : "once"}, with whatever parameters.`),
			h("h3", "Why the policy asks"), why(d),
			h("h3", "Exact parameters"), hidden.length > 0 && note(`${plural(hidden.length, "part")} hidden as secret. You see how long each is, not what it says.`),
			h("div.sheet", tree(d.params ?? {}, covers(hidden))),
			hidden.length > 0 && h("details", h("summary", "Where the hidden parts are"), table("Hidden parts", [["Place", (p) => val(p.path, "the whole")], ["Characters", (p) => number(p.length), "num"]], hidden)),
			form,
			h("h3", "Recently asked by the same agent"), past(d.history ?? []),
			(d.votes?.length > 0) && [h("h3", "Decisions so far"), table("Decisions so far", [["Who", (v) => val(v.approver)], ["Said", (v) => stamp(v.decision)], ["Reason", (v) => val(v.reason, "")],
				["By", (v) => val(v.channel)], ["When", (v) => when(v.time)]], d.votes)],
			h("details", h("summary", "Identity of this request"), facts([["Approval", val(d.approval_id)], ["Fingerprint", val(d.approval_fingerprint)], ["Binding", val(d.binding_hash)], ["Policy", val(d.policy_bundle_hash)],
				["Uses", `${number(d.uses)} of ${number(d.max_uses)}`], ["Asked", when(d.created_at)], ["Until", when(d.expires_at)],
				["Action", link(to.action(d.action_id), val(d.action_id))], ["Trace", d.trace_id && link(to.trace(d.trace_id), val(d.trace_id))]])));
		if (had) had.focus();
	}
	const past = (list) => (list.length ? h("ul.past", list.map((r) => h("li", when(r.timestamp), stamp(r.decision), link(to.action(r.action_id), val(r.action_type), " ", val(r.resource)))))
		: note("Nothing before this."));

	function decision(d, hidden) {
		if (!open(d)) return note("This is decided or over; nothing more can be done here.");
		if (d.can_decide === false) return h("div.decide", h("p", "You cannot decide this."), note(val(d.why_not, "Your role is not among its approvers.")));
		const reason = h("textarea", {id: "reason", rows: 2, maxlength: 1000, "data-key": "e"});
		const ack = hidden.length > 0 && h("input", {type: "checkbox", id: "ack"});
		const told = h("div", {role: "alert"});
		const press = async (word) => {
			if (word === "ALLOW" && ack && !ack.checked) {
				fill(told, h("p.failure", "Say first that you know of the hidden parts."));
				return ack.focus();
			}
			for (const b of buttons) b.disabled = true;
			try {
				const result = saying(await decide(d, word, reason.value, ack && ack.checked), word);
				say(result);
				await load();
				done();
				box.querySelector("#asked")?.focus();
			} catch (error) {
				fill(told, failure(error));
				if (error.status === 409 || error.status === 404) done();
			}
			for (const b of buttons) b.disabled = false;
			return undefined;
		};
		const buttons = [h("button.main", {type: "button", "data-key": "a", onclick: () => press("ALLOW")}, "Approve"), h("button.danger", {type: "button", "data-key": "d", onclick: () => press("DENY")}, "Deny")];
		return h("div.decide", field("Reason", reason, "Kept in the ledger with your name; the agent may see it."),
			ack && h("p.pick", ack, " ", h("label", {for: "ack"}, `I know that ${plural(hidden.length, "part is", "parts are")} hidden from me.`)), told, h("div.bar", buttons));
	}
	return {load};
}

export function approvals(root, id) {
	let rows = [];
	let next;
	let current;
	let status = "pending";
	const list = h("div.inbox");
	const box = h("article.detail");
	const filter = h("select", {id: "status", onchange() {
		status = filter.value;
		refresh();
	}}, h("option", {value: "pending"}, "Waiting"), h("option", {value: "all"}, "All, newest first"));
	const split = h("div.split", h("div", h("div.bar", h("label.unseen", {for: "status"}, "Show"), filter), list), box);
	fill(root, h("h1", {tabindex: -1}, "Approvals"), split);

	const row = (a) => h("a.ask", {href: to.approval(a.approval_id), "data-stop": a.approval_id, "aria-current": a.approval_id === id && "true"},
		h("span.bar", h("b", val(a.action_type)), open(a) ? left(a) : stamp(a.expired ? "EXPIRED" : a.status)), h("span.line", val(a.resource)), h("span.line.note", requester(a), needs(a), a.has_hidden && " · hidden parts"));

	function draw() {
		const at = document.activeElement?.dataset?.stop;
		const groups = new Map();
		for (const a of rows) groups.set(alike(a), [...(groups.get(alike(a)) ?? []), a]);
		fill(list, rows.length ? [...groups.values()].map((group) => {
			const waits = group.filter(open);
			return [waits.length > 1 && h("div.alike", h("span", `${number(waits.length)} alike`), h("button", {type: "button", "data-key": "b", onclick: () => together(waits, refresh)}, "Decide together…")), group.map(row)];
		}) : empty(status === "all" ? "Nothing was asked yet." : "Nothing waits for you.", "What a rule with REQUIRE_APPROVAL stops appears here by itself."),
		next && h("button", {type: "button", onclick: () => load(true)}, "Older ones"));
		if (at) list.querySelector(`[data-stop="${CSS.escape(at)}"]`)?.focus();
	}
	async function load(more) {
		const known = new Set(rows.map((a) => a.approval_id));
		const first = !rows.length;
		await attempt(more || first ? list : h("div"), async () => {
			const page = await get(`approvals${query({limit: PAGE, status, cursor: more && next})}`);
			const came = page.approvals.filter((a) => !known.has(a.approval_id) && open(a));
			rows = more ? rows.concat(page.approvals) : page.approvals;
			next = page.next_cursor;
			draw();
			if (!first && !more && came.length) say(`${plural(came.length, "new request")}: ${came[0].action_type} by ${came[0].agent}`);
		});
	}
	const refresh = () => {
		load();
		current?.load().catch(() => {});
	};
	function select(which, focus) {
		id = which;
		split.classList.toggle("chosen", Boolean(id));
		for (const link of list.querySelectorAll("a.ask")) {
			if (link.dataset.stop === id) link.setAttribute("aria-current", "true");
			else link.removeAttribute("aria-current");
		}
		current = id ? detail(box, id, load) : undefined;
		if (!id) return fill(box, h("div.empty", h("p", "Choose a request to see what it asks."), note("j and k move through the list, Enter opens, ? shows all keys.")));
		fill(box, note("Loading…"));
		return attempt(box, current.load).then(() => focus && box.querySelector("#asked")?.focus({preventScroll: true}));
	}
	const clock = setInterval(() => {
		for (const node of root.querySelectorAll("[data-until]")) {
			const ms = new Date(node.dataset.until) - Date.now();
			if (ms > 0) fill(node, `${span(ms)} left`);
			else node.removeAttribute("data-until"), refresh();
		}
	}, 1000);
	load();
	select(id, true);
	return {
		title: "Approvals", refresh,
		turn(which) {
			select(which, true);
			if (!which) root.querySelector("h1").focus();
			return true;
		},
		event(name, e) {
			if (name !== "approval") return;
			load();
			if (e.approval_id === id) current?.load().catch(() => {});
		},
		key(key) {
			const target = root.querySelector(`.detail [data-key="${CSS.escape(key)}"], .inbox [data-key="${CSS.escape(key)}"]`);
			target?.focus();
			if (key === "b") target?.click();
			return Boolean(target);
		},
		leave: () => clearInterval(clock),
	};
}
