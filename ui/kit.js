// How the page makes elements. Every text goes through text(), so nothing that the gateway sends becomes markup or hides itself.

// What cannot be seen, or moves what can be: controls, bidi and zero-width characters, odd spaces, piled-up accents.
const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{DI}]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/gu;
const CUT = 4000;

const SVG = new Set(["svg", "g", "rect", "line", "path", "circle", "title"]);

function attribute(node, name, value) {
	if (value === undefined || value === null || value === false) return;
	if (name.startsWith("on")) return node.addEventListener(name.slice(2), value);
	if (name === "href" && !/^(#\/|\/api\/ui\/)/.test(value)) throw new Error(`not a link of this page: ${value}`);
	if (name === "value" || name === "checked" || name === "disabled" || name === "open") node[name] = value;
	else node.setAttribute(name, value === true ? "" : value);
}

/** h("p.note", {title: "…"}, "text", node, [more]): an element; strings become text, never markup. */
export function h(what, ...rest) {
	const [tag, ...classes] = what.split(".");
	const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
	if (classes.length) node.setAttribute("class", classes.join(" "));
	const first = rest[0];
	if (first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first)) {
		for (const [name, value] of Object.entries(rest.shift())) attribute(node, name, value);
	}
	return add(node, rest);
}

export function add(node, kids) {
	for (const kid of [kids].flat(Infinity)) {
		if (kid instanceof Node) node.append(kid);
		else if (kid !== undefined && kid !== null && kid !== false) text(node, String(kid));
	}
	return node;
}

export function fill(node, ...kids) {
	node.replaceChildren();
	return add(node, kids);
}

/** Appends s as text; what cannot be seen becomes a visible mark, and what is very long waits for a button. */
function text(node, s, limit = CUT) {
	let head = s.length > limit + 200 ? s.slice(0, limit) : s;
	if (/[\ud800-\udbff]$/.test(head) && head.length < s.length) head = head.slice(0, -1);
	let at = 0;
	for (const found of head.matchAll(hidden)) {
		if (found[0] === "\n" && node.tagName === "PRE") continue;
		if (found.index > at) node.append(head.slice(at, found.index));
		const code = found[0].codePointAt(0).toString(16);
		const mark = document.createElement("span");
		mark.className = "mark";
		mark.title = `character U+${code.toUpperCase().padStart(4, "0")}, which would not be seen`;
		mark.textContent = `\\u{${code}}`;
		node.append(mark);
		at = found.index + found[0].length;
	}
	if (at < head.length) node.append(head.slice(at));
	if (head.length === s.length) return;
	const more = h("button.more", {type: "button", onclick() {
		more.remove();
		text(node, s.slice(head.length), 40000);
	}}, `… show more of ${number(s.length)} characters`);
	node.append(more);
}

/** A value as the gateway sent it: isolated, in the type of records; letters outside ASCII are underlined. */
export function val(value, none = "none") {
	if (value === undefined || value === null || value === "") return h("span.none", none);
	const node = h("bdi.val", String(value));
	if (/[^\x00-\x7f]/.test(String(value).slice(0, CUT))) {
		node.classList.add("foreign");
		node.title = "holds characters outside ASCII";
	}
	return node;
}

export const link = (href, ...kids) => h("a", {href}, kids);
export const dim = (...kids) => h("span.note", kids);
export const note = (...kids) => h("p.note", kids);

/** Links into the page, from what records name. */
export const to = {
	trace: (id) => `#/investigate/trace/${encodeURIComponent(id)}`, record: (seq) => `#/investigate/record/${Number(seq)}`,
	action: (id) => `#/investigate?action=${encodeURIComponent(id)}`, rule: (id) => `#/policy?q=${encodeURIComponent(id)}`,
	approval: (id) => `#/approvals/${encodeURIComponent(id)}`,
};

export const number = (n) => Number(n ?? 0).toLocaleString("en");
export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
export const short = (hash) => (hash ? val(String(hash).slice(0, 12)) : h("span.none", "none"));

export function span(ms) {
	const s = Math.round(Math.abs(ms) / 1000);
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min ${s < 600 && s % 60 ? `${s % 60} s` : ""}`.trim();
	return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
}

/** The time of day, its date when it is not today; the exact text as its title. */
export function when(stamp) {
	const t = new Date(stamp);
	if (!stamp || isNaN(t)) return val(stamp, "unknown");
	const clock = t.toLocaleTimeString("en-GB");
	const day = t.toDateString() === new Date().toDateString() ? "" : `${t.toLocaleDateString("en-CA")} `;
	return h("time", {datetime: t.toISOString(), title: String(stamp)}, day + clock);
}

export const ago = (stamp) => h("time", {datetime: String(stamp), title: String(stamp)}, `${span(Date.now() - new Date(stamp))} ago`);

const STAMPS = {ALLOW: ["allow", "Allow"], DENY: ["deny", "Deny"], REQUIRE_APPROVAL: ["ask", "Ask"], PASS: ["allow", "Pass"],
	WARN: ["ask", "Warn"], FAIL: ["deny", "Fail"], PENDING: ["ask", "Waiting"], APPROVED: ["allow", "Approved"],
	DENIED: ["deny", "Denied"], CONSUMED: ["plain", "Used"], EXPIRED: ["plain", "Expired"]};

export function stamp(word) {
	if (!word) return h("span.none", "");
	const [kind, label] = STAMPS[String(word).toUpperCase()] ?? ["plain", word];
	return h(`span.stamp.${kind}`, label);
}

/** Columns: [heading, cell(row), class?]. On a narrow screen each row becomes a card whose cells name themselves. */
export function table(caption, columns, rows, row = {}) {
	return h("div.scroll", h("table", h("caption.unseen", caption), h("thead", h("tr", columns.map(([name]) => h("th", {scope: "col"}, name)))),
		h("tbody", rows.map((r) => h("tr", typeof row === "function" ? row(r) : row, columns.map(([name, cell, kind]) =>
			h(kind ? `td.${kind}` : "td", {"data-name": name}, cell(r))))))));
}

export const empty = (title, hint) => h("div.empty", h("p", title), hint && h("p.note", hint));

export function facts(pairs) {
	return h("dl.facts", pairs.filter(Boolean).map(([name, value]) => h("div", h("dt", name), h("dd", value))));
}

export function card(title, ...kids) {
	const id = `c-${title.replace(/\W+/g, "-").toLowerCase()}`;
	return h("section.card", {"aria-labelledby": id}, h("h2", {id}, title), kids);
}

/** A modal dialog; close returns the focus to where it was. */
export function dialog(title, ...kids) {
	const box = h("dialog", {"aria-label": title}, h("div.bar", h("h2", title),
		h("button.quiet", {type: "button", "aria-label": "Close", onclick: () => box.close()}, "×")), kids);
	const before = document.activeElement;
	box.addEventListener("close", () => {
		box.remove();
		before?.focus?.();
	});
	document.body.append(box);
	box.showModal();
	return box;
}

export function field(label, control, hint) {
	const id = control.id || (control.id = `f-${label.replace(/\W+/g, "-").toLowerCase()}`);
	const note = hint && h("p.note", {id: `${id}-hint`}, hint);
	if (note) control.setAttribute("aria-describedby", note.id);
	return h("div.field", h("label", {for: id}, label), control, note);
}

/** JSON as a tree of rows. paths: JSON pointers of hidden spans to their lengths. */
export function tree(value, paths = new Map(), path = "", depth = 0) {
	if (value instanceof Exact) return h("bdi.val.num", {title: "shown digit for digit"}, value.source);
	if (value === null || typeof value !== "object") {
		const kind = value === null ? "nul" : typeof value === "string" ? "str" : typeof value === "number" ? "num" : "boo";
		const node = val(typeof value === "string" ? value : String(value), "empty text");
		node.classList.add(kind);
		return paths.has(path) ? h("span.cover", node, paths.get(path)) : node;
	}
	const list = Array.isArray(value);
	const all = Object.entries(value);
	if (!all.length) return h("span.none", list ? "empty list" : "empty object");
	if (depth > 40) return val(JSON.stringify(value));
	const box = h(list ? "ol.tree" : "ul.tree");
	const show = (from) => {
		for (const [name, kid] of all.slice(from, from + 200)) {
			const here = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
			box.append(h("li", h("span.key", list ? `${name}` : val(name, '""')), tree(kid, paths, here, depth + 1)));
		}
		if (all.length <= from + 200) return;
		const more = h("li", h("button.more", {type: "button", onclick() {
			more.remove();
			show(from + 200);
		}}, `… show more of ${plural(all.length, "member")}`));
		box.append(more);
	};
	show(0);
	return box;
}

/** A number whose text JavaScript would change. */
export class Exact {
	constructor(source) {
		this.source = source;
	}
	toString() {
		return this.source;
	}
	toJSON() {
		return JSON.rawJSON ? JSON.rawJSON(this.source) : this.source;
	}
}

export const parse = (body) => JSON.parse(body, (key, value, at) =>
	(typeof value === "number" && at?.source !== undefined && at.source !== String(value) ? new Exact(at.source) : value));

/** Said to screen readers. */
export function say(message, urgent = false) {
	const node = document.getElementById(urgent ? "alarm" : "say");
	node.textContent = "";
	requestAnimationFrame(() => fill(node, message));
}

export function failure(error) {
	if (error.status === 401) return h("p.note", "Sign in to go on.");
	return h("div.failure", h("p", error.status === undefined ? `This page has a fault: ${error.message}` : error.message), error.remedy && h("p.note", error.remedy));
}

/** Runs work; what goes wrong is shown in place and said. */
export async function attempt(place, work) {
	place.setAttribute("aria-busy", "true");
	try {
		return await work();
	} catch (error) {
		fill(place, failure(error));
		if (error.status !== 401) say(error.message, true);
		return undefined;
	} finally {
		place.removeAttribute("aria-busy");
	}
}
