// An inbox; beside it what is asked, why, by whom, and the decision.
import {add, alert, attempt, button, dialog, dim, empty, facts, failure, field, fill, fold, h, input, link, note, num, one, panel, plural, rules, say, sheet, span, stamp, table, to, tree, val, when} from "./kit.js";
import {get, post, query} from "./api.js";

const left = (r) => new Date(r.expires_at) - Date.now();
// Not by this machine's clock, which may be wrong.
const open = (r) => /^pending$/i.test(r.status) && !r.expired;
const alike = (r) => JSON.stringify([r.principal, r.agent, r.environment, r.action_type, r.resource, r.scope_type]);
const agreed = (r) => r.needed > 1 && dim(` ${num(r.votes_counted ?? r.votes)} of ${num(r.needed)} agree`);
const requester = (r) => [val(r.agent, "an agent"), " for ", val(r.principal), " in ", val(r.environment)];
const state = (r) => (open(r) ? h(left(r) < 120000 ? "b.deny" : "span.note", {"data-until": left(r) > 0 && r.expires_at}, `${span(Math.max(0, left(r)))} left`) : stamp(r.expired ? "expired" : r.status));

async function decide(r, decision, reason, ack) {
	const done = await post("approvals/decide", {approval_id: r.approval_id, decision, reason: reason || undefined, ack_redacted: ack || undefined});
	return decision === "deny" ? "Denied." : /^pending$/i.test(done.status) ? `Counted: ${num(done.votes)} of ${num(done.needed)} agree.` : "Approved.";
}

/** One request for each; a failure stops no other. */
function together(list, done) {
	const rows = list.map((r) => ({r, box: input(`b-${r.approval_id}`, {type: "checkbox", disabled: true}), result: h("span")}));
	const reason = h("textarea", {id: "b-reason", rows: 2, maxlength: 500});
	const told = h("p", {role: "status"});
	const run = async (decision) => {
		const chosen = rows.filter((row) => row.box.checked);
		let good = 0;
		for (const b of buttons) b.disabled = true;
		for (const [i, {r, box, result}] of chosen.entries()) {
			fill(told, `${i + 1} of ${chosen.length}`);
			try {
				if (decision === "approve" && r.has_hidden) throw new Error("It has hidden parts: look at it by itself.");
				fill(result, h("b", await decide(r, decision, reason.value)));
				box.disabled = true;
				good++;
			} catch (error) {
				fill(result, h("b.deny", error.message));
			}
			box.checked = false;
		}
		for (const b of buttons) b.disabled = false;
		fill(told, `${num(good)} of ${num(chosen.length)} recorded.`);
		done();
	};
	const buttons = [button("Approve what is marked", () => run("approve"), ".main"), button("Deny what is marked", () => run("deny"), ".danger")];
	dialog(`${num(list.length)} requests alike`, h("p", requester(list[0]), " asks for ", val(list[0].action_type), " on ", val(list[0].resource), ", each with parameters of its own:"),
		h("ul.batch", rows.map(({r, box, result}) => h("li", box, h("label", {for: box.id}, val(r.action_id), r.has_hidden && dim(" has hidden parts"), panel(async () => {
			const {params, hidden} = await get(`approvals/${r.approval_id}`);
			box.checked = !r.has_hidden && !hidden?.length;
			box.disabled = !box.checked;
			return tree(params);
		})), result))), field("Reason for all", reason), told, h("div.bar", buttons));
}

function covers(hidden) {
	const words = {};
	for (const {path, length} of hidden) words[path] = `${words[path] ? `${words[path]}, and` : "hidden:"} ${plural(length, "byte")}`;
	return words;
}

function why(r) {
	const ids = r.matched_rule_ids ?? [];
	const duties = r.obligations ?? {};
	return [h("p", ids.length ? [ids.length > 1 ? "Rules ask" : "A rule asks", " for a person: ", rules(ids)] : "The policy asks for a person", " ", dim(val(r.reason, ""))),
		Object.keys(duties).length > 0 && fold("Obligations", tree(duties)),
		r.policy_changed && h("p.failure", "The policy has changed since. An approval counts only under the policy it was asked for; the agent must ask again.")];
}

/** What is typed or pressed stays in place while news are drawn around it. */
function detail(id, done) {
	let drawn;
	let seen;
	let past;
	const [above, form, below] = Array.from({length: 3}, () => h("div"));
	const box = h("div", above, form, below);
	// A failure later on leaves what is shown.
	const spare = h("div");
	const load = () => attempt(seen ? spare : above, () => get(`approvals/${encodeURIComponent(id)}`), show);
	function show(r) {
		const whole = JSON.stringify(r);
		if (whole === seen) return;
		const held = !seen || box.contains(document.activeElement);
		seen = whole;
		const key = `${r.status}${r.can_decide}`;
		if (key !== drawn) {
			fill(form, decision(r));
			past = panel(async () => {
				const {records} = await get(`records${query({principal: r.principal, agent: r.agent, event: "action.decision", limit: 10})}`);
				const before = records.filter((p) => p.action_id !== r.action_id);
				return before.length ? h("ul.past", before.map((p) => h("li", when(p.timestamp), stamp(p.decision), link(to.record(p.seq), val(p.action_type), " ", val(p.resource))))) : note("Nothing before this.");
			});
		}
		drawn = key;
		draw(r);
		if (held && !box.contains(document.activeElement)) one(".asks", box).focus({preventScroll: true});
	}
	function draw(r) {
		const hidden = r.hidden ?? [];
		const n = r.hidden_count ?? hidden.length;
		const folds = [...box.querySelectorAll("details")].map((d) => d.open);
		fill(above, h("a.back", {href: "#/approvals"}, "All approvals"),
			h("h2.asks", {tabindex: -1}, val(r.agent, "An agent"), ", acting for ", val(r.principal), " in ", val(r.environment), ", asks to do ", h("b", val(r.action_type)), " on ", h("b", val(r.resource)), "."),
			h("p.bar", open(r) && stamp("PENDING"), state(r), agreed(r)),
			r.scope_type === "class" && h("p.failure", `This would approve any parameters for this action and resource, ${plural(r.max_uses, "time")}.`),
			r.scope_type !== "class" && r.max_uses > 1 && h("p.failure", `This would allow it ${num(r.max_uses)} times.`),
			h("h3", "Why the policy asks"), why(r),
			h("h3", "Exact parameters"), n > 0 && note(`${plural(n, "part is", "parts are")} hidden as secret: `, hidden.map((p, i) => [i > 0 && ", ", val(p.path)])),
			sheet("Parameters", tree(r.params ?? {}, covers(hidden))));
		fill(below, h("h3", "Recently asked by the same agent"), past,
			r.votes?.length > 0 && [h("h3", "Decisions so far"), table("Decisions", [["Who", (v) => val(v.approver)], ["Said", (v) => stamp(v.decision)], ["Reason", (v) => val(v.reason, "")], ["By", (v) => val(v.channel)], ["When", (v) => when(v.time)]], r.votes)],
			fold("Identity of this request", facts(["Approval", val(r.approval_id)], ["Binding", val(r.binding_hash)], ["Policy", val(r.policy_bundle_hash)], ["Uses", `${num(r.uses)} of ${num(r.max_uses)}`],
				["Asked", when(r.created_at)], ["Until", when(r.expires_at)], ["Action", r.action_id && link(to.action(r.action_id), val(r.action_id))], ["Trace", r.trace_id && link(to.trace(r.trace_id), val(r.trace_id))])));
		box.querySelectorAll("details").forEach((d, i) => (d.open = folds[i] ?? false));
	}
	function decision(r) {
		const hidden = r.has_hidden || r.hidden?.length > 0;
		if (!open(r)) return note("Decided or over.");
		if (r.can_decide === false) return h("div.decide", h("p", "You cannot decide this: ", val(r.why_not)));
		const reason = h("textarea", {id: "reason", rows: 2, maxlength: 500, "data-key": "e"});
		const ack = input("ack", {type: "checkbox"});
		const told = alert();
		const press = async (word) => {
			if (word === "approve" && hidden && !ack.checked) {
				fill(told, h("p.failure", "Say first that you know of the hidden parts."));
				return ack.focus();
			}
			for (const b of buttons) b.disabled = true;
			try {
				say(await decide(r, word, reason.value, hidden && ack.checked));
				one(".asks", box).focus();
				await load();
			} catch (error) {
				fill(told, failure(error));
			}
			for (const b of buttons) b.disabled = false;
			return done();
		};
		const buttons = [button("Approve", () => press("approve"), ".main", {"data-key": "a"}), button("Deny", () => press("deny"), ".danger", {"data-key": "d"})];
		return h("div.decide", field("Reason", reason, "Recorded with your name."), hidden && h("p", ack, " ", h("label", {for: "ack"}, "I know that parts are hidden from me")), told, h("div.bar", buttons));
	}
	return {box, load};
}

export function approvals(root, id) {
	let rows;
	let next;
	let drawn;
	let load;
	const list = h("div.inbox");
	const box = h("article.detail", {"aria-label": "The request"});
	const filter = h("select", {"aria-label": "Show", onchange: () => refresh()}, h("option", {value: "pending"}, "Waiting"), h("option", {value: "all"}, "All"));
	const split = h("div.split", h("div", h("div.bar", filter), list), box);
	add(root, split);

	const row = (r) => h("a.ask", {href: to.approval(r.approval_id), "data-stop": r.approval_id, "aria-current": r.approval_id === id && "true"},
		h("span.bar", h("b", val(r.action_type)), state(r)), h("span.line", val(r.resource)), h("span.line.note", requester(r), agreed(r), r.has_hidden && " · hidden parts"));
	function draw() {
		const whole = JSON.stringify([rows, next]);
		if (whole === drawn) return;
		drawn = whole;
		const focus = document.activeElement.dataset.stop;
		const groups = Map.groupBy(rows, alike);
		fill(list, rows.length ? [...groups.values()].map((group) => {
			const wait = group.filter((r) => open(r) && r.scope_type !== "class");
			return [wait.length > 1 && h("div.alike", h("span", `${num(wait.length)} alike`), button("Decide together…", () => together(wait, refresh), "", {"data-key": "b"})), group.map(row)];
		}) : empty("Nothing waits for you.", "What needs a person appears here by itself."), next && button("Older ones", () => fetchList(true)));
		if (focus) one(`[data-stop="${CSS.escape(focus)}"]`, list)?.focus();
	}
	const spare = h("div");
	const fetchList = (more) => attempt(rows ? spare : list, () => get(`approvals${query({limit: more ? 50 : Math.max(50, Math.min(200, rows?.length ?? 0)), status: filter.value, cursor: more && next})}`), (page) => {
		const known = new Set((rows ?? page.approvals).map((r) => r.approval_id));
		const came = page.approvals.find((r) => !known.has(r.approval_id) && open(r));
		if (came && !more) say(`New request: ${came.action_type} by ${came.agent}`);
		rows = more ? rows.concat(page.approvals) : page.approvals;
		next = page.next_cursor;
		draw();
	});
	const refresh = () => {
		fetchList();
		load?.();
	};
	function select(which) {
		id = which;
		split.classList.toggle("chosen", id);
		for (const a of list.querySelectorAll(".ask")) a.setAttribute("aria-current", String(a.dataset.stop === id));
		const it = id && detail(id, fetchList);
		load = it?.load;
		fill(box, it ? it.box : empty("Choose a request to see what it asks.", "j and k move, Enter opens, ? shows all keys."));
		load?.();
	}
	const clock = setInterval(() => {
		for (const node of root.querySelectorAll("[data-until]")) {
			const ms = new Date(node.dataset.until) - Date.now();
			if (ms > 0) fill(node, `${span(ms)} left`);
			else {
				delete node.dataset.until;
				refresh();
			}
		}
	}, 1000);
	fetchList();
	select(id);
	return {
		refresh,
		turn(which) {
			select(which);
			if (!which) one("h1", root).focus();
			return true;
		},
		key(key) {
			const target = one(`[data-key="${CSS.escape(key)}"]`, root);
			target?.focus();
			if (key === "b") target?.click();
			return target;
		},
		leave: () => clearInterval(clock),
	};
}
