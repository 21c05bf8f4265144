// The frame of the page: who is signed in, which page the address names, what is live, keys that work everywhere.
import {add, dialog, empty, failure, field, fill, h, note, number, say} from "./kit.js";
import {enter, get, leave, live, resume, session} from "./api.js";
import {overview} from "./overview.js";
import {approvals} from "./approvals.js";
import {investigate, record, trace} from "./investigate.js";
import {limits, policy} from "./policy.js";

const PAGES = [["overview", "Overview", "o"], ["approvals", "Approvals", "a"], ["investigate", "Investigate", "i"],
	["policy", "Policy", "p"], ["limits", "Limits", "l"]];
const ROUTES = [
	[/^overview$/, overview], [/^approvals(?:\/([^/]+))?$/, approvals], [/^investigate$/, investigate],
	[/^investigate\/trace\/([^/]+)$/, trace], [/^investigate\/record\/(\d+)$/, record], [/^policy$/, policy], [/^limits$/, limits],
];
const ICONS = {
	overview: "M4 20h16M6 16v-5M11 16V5M16 16v-8", approvals: "M5 12l5 5L20 6", investigate: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15 15l5 5",
	policy: "M6 3h9l4 4v14H6zM9 11h7M9 15h7", limits: "M4 17a8 8 0 1 1 16 0M12 17l4-6",
};
const $ = (id) => document.getElementById(id);
const main = $("main");
let shown = {};
let stop;
let waiting = 0;

function title() {
	document.title = `${waiting ? `(${waiting}) ` : ""}${shown.title ?? "nomos"} · nomos`;
}

function count(pending) {
	waiting = pending ?? 0;
	const badge = $("waiting");
	if (badge) fill(badge, waiting ? [number(waiting), h("span.unseen", " waiting")] : null);
	title();
}

function route(focus = true) {
	if (!session.who) return;
	const [path, search = ""] = (location.hash.slice(2) || "overview").split("?");
	let found;
	let page;
	for (const [pattern, p] of ROUTES) if ((found = pattern.exec(path))) { page = p; break; }
	const name = path.split("/")[0];
	for (const link of document.querySelectorAll("#nav a")) {
		if (link.dataset.page === name) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	let argument;
	try {
		argument = found?.[1] && decodeURIComponent(found[1]);
	} catch {
		page = undefined;
	}
	if (page && shown.page === page && shown.turn?.(argument, new URLSearchParams(search))) return title();
	shown.leave?.();
	const root = h("div.page");
	shown = {page};
	if (page) shown = {page, ...page(root, argument, new URLSearchParams(search))};
	else add(root, [h("h1", {tabindex: -1}, "No such page"), empty("This address leads nowhere.", "The pages are in the list of the page's head.")]);
	shown.title ??= root.querySelector("h1")?.textContent;
	main.replaceChildren(root);
	title();
	if (!shown.keep) scrollTo(0, 0);
	if (focus) (root.querySelector("[data-focus]") ?? root.querySelector("h1"))?.focus({preventScroll: true});
}

// The theme: what the system says, or one of the two.
const root = document.documentElement;
function theme(button) {
	const now = root.dataset.theme;
	const label = {auto: "as the system", light: "light", dark: "dark"}[now];
	button.setAttribute("aria-label", `Theme: ${label}. Change it`);
	fill(button, {auto: "Auto", light: "Light", dark: "Dark"}[now]);
}
function flip(button) {
	root.dataset.theme = {auto: "light", light: "dark", dark: "auto"}[root.dataset.theme] ?? "auto";
	localStorage.setItem("nomos.theme", root.dataset.theme);
	theme(button);
	say(button.getAttribute("aria-label"));
}

function frame() {
	fill($("nav"), PAGES.map(([page, name]) => h("a", {href: `#/${page}`, "data-page": page},
		h("svg", {viewBox: "0 0 24 24", "aria-hidden": "true"}, h("path", {d: ICONS[page]})), h("span", name),
		page === "approvals" && h("b.badge", {id: "waiting"}))));
	const look = h("button.quiet", {type: "button", onclick: () => flip(look)});
	theme(look);
	const {principal, roles} = session.who;
	fill($("self"), h("p.state", {id: "state"}), h("p.who", h("b", principal), h("span", roles.at(-1) ?? "no role")),
		h("div.tools", look, h("button.quiet", {type: "button", "aria-label": "Keyboard shortcuts", onclick: help}, "Keys"),
			h("button.quiet", {type: "button", async onclick() {
				await leave();
				door();
			}}, "Sign out")));
}

function state(word) {
	const node = $("state");
	if (!node || node.dataset.state === word) return;
	if (node.dataset.state && word !== "live") say(word === "offline" ? "No network" : "Live updates stopped; asking every few seconds");
	node.dataset.state = word;
	fill(node, {live: "Live", polling: "Every few seconds", offline: "No network"}[word]);
}

function start() {
	stop?.();
	stop = live((name, event) => {
		if (name === "overview") count(event.pending_approvals);
		shown.event?.(name, event);
	}, async () => {
		shown.refresh?.();
		await get("overview").then((o) => {
			count(o.pending_approvals);
			shown.event?.("overview", o);
		}, () => {});
	}, state);
}

// Signing in. An ended session only covers what was there: the address, and what was typed, stay.
function door(why) {
	stop?.();
	const before = session.who?.principal;
	session.who = null;
	$("top").hidden = main.hidden = true;
	const key = h("input", {id: "key", type: "password", autocomplete: "current-password", required: true, spellcheck: "false"});
	const message = h("div", {role: "alert"});
	const box = $("door");
	const reveal = h("button.quiet", {type: "button", "aria-pressed": "false", onclick() {
		const plain = key.type === "password";
		key.type = plain ? "text" : "password";
		reveal.setAttribute("aria-pressed", String(plain));
	}}, "Show");
	fill(box, h("form", {async onsubmit(e) {
		e.preventDefault();
		const button = box.querySelector("button.main");
		button.disabled = true;
		try {
			await enter(key.value.trim());
			box.hidden = true;
			box.replaceChildren();
			opened(before);
		} catch (error) {
			fill(message, h("div.failure", h("p", error.status === 401 ? "This key is not known." : error.message), note(error.status === 401
				? "Use the whole key, nk_… for keys that nomos made. A key that was taken out of the configuration works no more." : error.remedy)));
			key.select();
			key.focus();
		}
		button.disabled = false;
	}}, h("p.brand", h("svg", {viewBox: "0 0 32 32", "aria-hidden": "true"}, h("path", {d: "M8 24V8l16 16V8"})), h("span", "nomos")), h("h1", "Sign in"),
	why && h("p.failure", why), field("API key", key, "A person's key: what may be decided here follows from its role. nomos init wrote one to keys/operator."),
	message, h("div.bar", h("button.main", "Sign in"), reveal)));
	box.hidden = false;
	document.title = "Sign in · nomos";
	key.focus();
}

function opened(before) {
	frame();
	$("top").hidden = main.hidden = false;
	start();
	if (before === session.who.principal && shown.refresh) {
		shown.refresh();
		title();
		main.querySelector("h1")?.focus();
	} else {
		shown.leave?.();
		shown = {};
		route();
	}
}

session.onexpired = () => {
	if ($("door").hidden) door("Your session has ended. Sign in to go on where you were.");
};

// Keys. Single letters can be switched off; they never work while a field has the focus.
const KEYS = [["g o", "Overview"], ["g a", "Approvals"], ["g i", "Investigate"], ["g p", "Policy"], ["g l", "Limits"], ["/", "To the search field"],
	["j, k", "Next, previous in a list"], ["Enter", "Open what has the focus"], ["a", "To Approve (Enter approves)"], ["d", "To Deny (Enter denies)"],
	["e", "To the reason"], ["b", "Decide alike ones together"], ["?", "This list"]];
function help() {
	const on = localStorage.getItem("nomos.keys") !== "off";
	const box = h("input", {type: "checkbox", id: "keys-on", checked: on, onchange: () => localStorage.setItem("nomos.keys", box.checked ? "on" : "off")});
	dialog("Keyboard shortcuts", h("dl.keys", KEYS.map(([key, what]) => h("div", h("dt", key.split(" ").map((k) => [h("kbd", k.replace(",", "")), " "])), h("dd", what)))),
		h("p", box, " ", h("label", {for: "keys-on"}, "Single-letter shortcuts are on")));
}

let chord = 0;
document.addEventListener("keydown", (e) => {
	if (e.ctrlKey || e.metaKey || e.altKey || !session.who || document.querySelector("dialog[open]")) return;
	if (e.target.closest?.("input, textarea, select")) {
		if (e.key === "Escape") e.target.blur();
		return;
	}
	if (localStorage.getItem("nomos.keys") === "off" && e.key !== "?") return;
	const page = Date.now() - chord < 1500 && PAGES.find((p) => p[2] === e.key);
	chord = e.key === "g" ? Date.now() : 0;
	if (page) location.hash = `#/${page[0]}`;
	else if (e.key === "?") help();
	else if (e.key === "/" && main.querySelector("input")) main.querySelector("input").focus();
	else if (e.key === "j" || e.key === "k") step(e.key === "j" ? 1 : -1);
	else if (!shown.key?.(e.key)) return;
	e.preventDefault();
});

function step(by) {
	const stops = [...main.querySelectorAll("[data-stop]")];
	const at = stops.indexOf(document.activeElement);
	const next = stops[at < 0 ? (by > 0 ? 0 : stops.length - 1) : Math.min(stops.length - 1, Math.max(0, at + by))];
	next?.focus();
}

document.querySelector(".skip").addEventListener("click", (e) => {
	e.preventDefault();
	main.focus();
});
addEventListener("hashchange", () => route());
addEventListener("online", () => shown.refresh?.());

resume().then((who) => (who ? opened() : door()), (error) => {
	door();
	fill($("door").querySelector("[role=alert]"), failure(error));
});
