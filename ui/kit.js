// How elements are made. Every text goes through text(): nothing becomes markup, or hides itself.

// What cannot be seen or moves what can: controls, bidi, zero-width, odd spaces, piled-up accents.
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{DI}]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/gu;
const CUT = 4000;
const SVG = new Set(["svg", "rect", "line", "path"]);

export const one = (selector, root = document) => root.querySelector(selector);

/** h("p.note", {title: "…"}, "text", node, [more]): an element; strings become text, never markup. */
export function h(what, ...kids) {
	const [tag, ...classes] = what.split(".");
	const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
	if (classes[0]) node.setAttribute("class", classes.join(" "));
	if (kids[0]?.constructor === Object) for (const [name, value] of Object.entries(kids.shift())) set(node, name, value);
	return add(node, kids);
}

function set(node, name, value) {
	if (value === undefined || value === null || value === false) return;
	if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
	else if (name === "href" && !/^(#\/|\/api\/ui\/)/.test(value)) throw new Error("not a link of this page");
	else if (name === "value" || name === "checked") node[name] = value;
	else node.setAttribute(name, value === true ? "" : value);
}

export function add(node, ...kids) {
	for (const kid of kids.flat(Infinity)) {
		if (kid instanceof Node) node.append(kid);
		else if (kid !== undefined && kid !== null && kid !== false) text(node, String(kid));
	}
	return node;
}

export function fill(node, ...kids) {
	node.replaceChildren();
	return add(node, kids);
}

function text(node, s, limit = CUT) {
	let head = s.length > limit + 200 ? s.slice(0, limit) : s;
	if (head !== s && /[\ud800-\udbff]$/.test(head)) head = head.slice(0, -1);
	let at = 0;
	for (const {0: found, index} of head.matchAll(unseen)) {
		if (found === "\n" && node.tagName === "PRE") continue;
		node.append(head.slice(at, index));
		const code = found.codePointAt(0).toString(16);
		const mark = document.createElement("span");
		mark.className = "mark";
		mark.title = `character U+${code.toUpperCase().padStart(4, "0")}`;
		mark.textContent = `\\u{${code}}`;
		node.append(mark);
		at = index + found.length;
	}
	node.append(head.slice(at));
	if (head !== s) node.append(button(`… more of ${plural(s.length, "character")}`, (e) => {
		e.target.remove();
		text(node, s.slice(head.length), 40000);
	}, ".quiet"));
}

/** A value as it came, isolated; letters outside ASCII are underlined. */
export function val(value, none = "none") {
	if (value === undefined || value === null || value === "") return h("span.none", none);
	const s = String(value);
	return /[^\0-\x7f]/.test(s.slice(0, CUT)) ? h("bdi.val.foreign", s) : h("bdi.val", s);
}

export const num = (n) => Number(n ?? 0).toLocaleString("en");
export const plural = (n, what, many = `${what}s`) => `${num(n)} ${n === 1 ? what : many}`;
export const short = (hash) => val(hash && String(hash).slice(0, 12));
export const link = (href, ...kids) => h("a", {href}, kids);
export const dim = (...kids) => h("span.note", kids);
export const note = (...kids) => h("p.note", kids);
export const button = (label, onclick, kind = "", more = {}) => h(`button${kind}`, {type: "button", onclick, ...more}, label);
export const alert = (...kids) => h("div", {role: "alert"}, kids);
export const input = (id, more) => h("input", {id, spellcheck: "false", autocomplete: "off", ...more});
export const fold = (title, ...kids) => h("details", h("summary", title), kids);
export const empty = (title, hint) => h("div.empty", h("p", title), hint && note(hint));

/** Addresses in the page, from what records name. */
const at = (page) => (id) => page + encodeURIComponent(id);
export const to = {trace: at("#/investigate/trace/"), record: at("#/investigate/record/"), action: at("#/investigate?action="), rule: at("#/policy?q="), approval: at("#/approvals/")};

export const rules = (ids) => (ids ?? []).map((id, i) => [i > 0 && ", ", link(to.rule(id), val(id))]);

export function span(ms) {
	const s = Math.round(Math.abs(ms) / 1000);
	if (ms < 1000 && ms >= 0) return `${ms} ms`;
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
	return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
}

/** The time of day, its date when not today, the exact text as its title. */
export function when(stamp) {
	const t = new Date(stamp);
	if (!stamp || isNaN(t)) return val(stamp, "unknown");
	const [day, clock] = t.toLocaleString("sv").split(" ");
	return h("time", {datetime: stamp, title: stamp}, new Date().toLocaleDateString("sv") === day ? clock : `${day} ${clock}`);
}

export const ago = (stamp) => h("time", {datetime: stamp, title: stamp}, `${span(Date.now() - new Date(stamp))} ago`);

const STAMPS = {ALLOW: ".allow", PASS: ".allow", APPROVED: ".allow", DENY: ".deny", FAIL: ".deny", DENIED: ".deny", WARN: ".ask", PENDING: ".ask", REQUIRE_APPROVAL: ".ask"};
export const kind = (word) => STAMPS[word] ?? ".plain";
export function stamp(word) {
	const w = String(word ?? "").toUpperCase();
	return w && h(`span.stamp${kind(w)}`, {PENDING: "waiting", REQUIRE_APPROVAL: "ask"}[w] ?? w.toLowerCase());
}

/** Columns: [heading, cell(row), class]. On a narrow screen each row is a card. */
export const table = (caption, columns, rows) => h("div.scroll", h("table", h("caption.unseen", caption),
	h("thead", h("tr", columns.map(([name, , kind = ""]) => h(`th${kind}`, {scope: "col"}, name)))),
	h("tbody", rows.map((row) => h("tr", columns.map(([name, cell, kind = ""]) => h(`td${kind}`, {"data-name": name}, cell(row))))))));

/** Long content that scrolls, also by keys. */
export const sheet = (label, ...kids) => h("div.sheet", {tabindex: 0, role: "group", "aria-label": label}, kids);
export const facts = (...pairs) => h("dl.facts", pairs.map((pair) => pair && h("div", h("dt", pair[0]), h("dd", pair[1]))));

export function card(title, ...kids) {
	const id = title.replace(/\W+/g, "-");
	return h("section.card", {"aria-labelledby": id}, h("h2", {id}, title), kids);
}

export function dialog(title, ...kids) {
	const before = document.activeElement;
	const box = h("dialog", {"aria-label": title, onclose() {
		box.remove();
		before?.focus();
	}}, h("div.bar", h("h2", title), button("×", () => box.close(), ".quiet", {"aria-label": "Close"})), kids);
	document.body.append(box);
	box.showModal();
	return box;
}

export function field(label, control, hint) {
	if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
	return h("div.field", h("label", {for: control.id}, label), control, hint && h("p.note", {id: `${control.id}-hint`}, hint));
}

/** JSON as rows. covers: by path (".a.b[0]"), what to say beside a value. */
export function tree(value, covers = {}, path = "$") {
	if (value === null || typeof value !== "object" || value instanceof String) {
		const node = val(value === null ? "null" : value, "empty text");
		if (typeof value !== "string") node.classList.add("num");
		return h("span", node, covers[path] && h("span.hide", covers[path]));
	}
	const all = Object.entries(value);
	const list = Array.isArray(value);
	if (!all.length) return h("span.none", list ? "empty list" : "empty object");
	return h(list ? "ol.tree" : "ul.tree", all.map(([name, kid]) => h("li", h("span.key", list ? name : val(name, '""')),
		tree(kid, covers, path + (list ? `[${name}]` : `.${name}`)))));
}

/** JSON; a number whose digits would change is kept as a String object. */
export const parse = (body) => JSON.parse(body, (_, value, at) => (typeof value !== "number" || (at ? at.source === String(value) : Number.isSafeInteger(value)) ? value : Object(at?.source ?? `about ${value}`)));

export function say(message, urgent) {
	const node = one(urgent ? "#alarm" : "#say");
	node.textContent = "";
	requestAnimationFrame(() => fill(node, message));
}

export const failure = (error) => h("div.failure", h("p", error.status === undefined ? `This page has a fault: ${error.message}` : error.message), error.remedy && note(error.remedy));

/** Holds what work returns, now and at each load(); nothing leaves it as it is. */
export function panel(work) {
	const node = h("div");
	node.load = () => attempt(node, work, (made) => made && fill(node, made));
	node.load();
	return node;
}

/** Asks, then shows, or says what went wrong. Of several for one place the last counts, in whatever order they end. */
export async function attempt(place, ask, show) {
	const turn = (place.turn = (place.turn ?? 0) + 1);
	const last = () => turn === place.turn;
	place.setAttribute("aria-busy", "true");
	try {
		const got = await ask();
		if (last()) show(got);
	} catch (error) {
		if (!last()) return;
		fill(place, failure(error));
		if (error.status !== 401) say(error.message, true);
	} finally {
		if (last()) place.removeAttribute("aria-busy");
	}
}
