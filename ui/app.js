// The frame: who is signed in, which page the address names, what is live, keys.
import {add, alert, button, dialog, empty, failure, field, fill, h, input, num, one} from "./kit.js";
import {enter, get, leave, live, resume, session} from "./api.js";
import {overview} from "./overview.js";
import {approvals} from "./approvals.js";
import {investigate, record, trace} from "./investigate.js";
import {limits, policy} from "./policy.js";

const PAGES = {
	overview: ["Overview", "M4 20h16M6 16v-5M11 16V5M16 16v-8"], approvals: ["Approvals", "M5 12l5 5L20 6"],
	investigate: ["Investigate", "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15 15l5 5"], policy: ["Policy", "M6 3h9l4 4v14H6zM9 11h7M9 15h7"],
	limits: ["Limits", "M4 17a8 8 0 1 1 16 0M12 17l4-6"],
};
const ROUTES = [[/^overview$/, overview], [/^approvals(?:\/([^/]+))?$/, approvals], [/^investigate$/, investigate], [/^policy$/, policy], [/^limits$/, limits],
	[/^investigate\/trace\/([^/]+)$/, trace, "Trace"], [/^investigate\/record\/(\d+)$/, record, "Record"]];
const main = one("#main");
const doorway = one("#door");
let shown = {};
let stop;
let waiting = 0;

const title = () => (document.title = `${waiting ? `(${waiting}) ` : ""}${shown.title ?? ""} · nomos`);

function count(pending = 0) {
	waiting = pending;
	fill(one("#waiting"), pending > 0 && [num(pending), h("span.unseen", " waiting")]);
	title();
}

function mark() {
	const name = location.hash.slice(2).split(/[/?]/)[0] || "overview";
	for (const a of document.querySelectorAll("#nav a")) a.setAttribute("aria-current", a.dataset.page === name ? "page" : "false");
}

function route() {
	if (!session.who) return;
	const [path, search = ""] = (location.hash.slice(2) || "overview").split("?");
	const [pattern, page, prefix] = ROUTES.find(([p]) => p.test(path)) ?? [];
	mark();
	let argument;
	try {
		argument = page && decodeURIComponent(pattern.exec(path)[1] ?? "");
	} catch {
		argument = "";
	}
	if (page && shown.page === page && shown.turn?.(argument)) return;
	shown.leave?.();
	const words = prefix ? `${prefix} ${argument}` : page ? PAGES[path.split("/")[0]][0] : "No such page";
	const head = h("h1", {tabindex: -1}, words);
	const root = h("div.page", head);
	shown = {page, title: words, ...(page ? page(root, argument, new URLSearchParams(search)) : add(root, empty("This address leads nowhere.")) && {})};
	main.replaceChildren(root);
	title();
	if (!shown.keep) scrollTo(0, 0);
	head.focus({preventScroll: true});
}

const look = document.documentElement.dataset;
const theme = button("", () => {
	look.theme = {auto: "light", light: "dark", dark: "auto"}[look.theme];
	localStorage.setItem("nomos.theme", look.theme);
	name();
}, ".quiet");
const name = () => fill(theme, {auto: "Auto", light: "Light", dark: "Dark"}[look.theme], h("span.unseen", " theme"));

function frame() {
	const {principal, roles} = session.who;
	fill(one("#nav"), Object.entries(PAGES).map(([page, [label, d]]) => h("a", {href: `#/${page}`, "data-page": page},
		h("svg", {viewBox: "0 0 24 24", "aria-hidden": "true"}, h("path", {d})), h("span", label), page === "approvals" && h("b.badge", {id: "waiting"}))));
	name();
	fill(one("#self"), h("p.state", {id: "state"}), h("p.who", h("b", principal), h("span", roles.at(-1) ?? "no role")),
		h("div.tools", theme, button("Keys", help, ".quiet"), button("Sign out", () => leave().then(() => door()), ".quiet")));
	mark();
}

function state(word) {
	one("#state").dataset.state = word;
	fill(one("#state"), {live: "Live", polling: "Every few seconds", offline: "No network"}[word]);
}

function follow() {
	let soon;
	const again = () => {
		shown.refresh?.();
		get("overview").then((o) => count(o.pending_approvals), () => {});
	};
	stop = live((event, about) => {
		if (event === "overview") return shown.draw?.(about);
		// Many at once are one look.
		soon ||= setTimeout(() => {
			soon = 0;
			again();
		}, 200);
	}, again, state);
}

// An ended session covers what was there: the address, and what was typed, stay.
function door(why, before) {
	stop?.();
	session.who = null;
	one("#top").hidden = main.hidden = true;
	for (const box of document.querySelectorAll("dialog")) box.close();
	const key = input("key", {type: "password", required: true});
	const told = alert(why);
	fill(doorway, h("form", {async onsubmit(e) {
		e.preventDefault();
		try {
			await enter(key.value.trim());
		} catch (error) {
			if (error.status === 401) Object.assign(error, {message: "This key is not known.", remedy: "Give the whole of it. One that left the configuration works no more."});
			fill(told, failure(error));
			return key.select();
		}
		return open(before);
	}}, h("p.brand", one(".brand img").cloneNode(), "nomos"), h("h1", "Sign in"), field("API key", key, "A person's key, such as the one in keys/operator."),
	told, h("button.main", "Sign in")));
	doorway.hidden = false;
	document.title = "Sign in · nomos";
	key.focus();
}

function open(before) {
	doorway.hidden = true;
	fill(doorway);
	frame();
	one("#top").hidden = main.hidden = false;
	if (before === session.who.principal) {
		shown.refresh?.();
		one("h1", main)?.focus();
	} else {
		shown.leave?.();
		shown = {};
		route();
	}
	follow();
}

session.onend = () => door(h("p.failure", "Your session has ended. Sign in to go on where you were."), session.who.principal);

const KEYS = {o: "overview", a: "approvals", i: "investigate", p: "policy", l: "limits"};
const HELP = [["g, then o a i p l", "Overview, Approvals, Investigate, Policy, Limits"], ["/", "first field"], ["j k Enter", "next, previous, open"],
	["a d", "to Approve, to Deny; Enter does it"], ["e", "to the reason"], ["b", "decide alike ones together"], ["?", "this list"]];
function help() {
	const on = input("keys-on", {type: "checkbox", checked: localStorage.getItem("nomos.keys") !== "off", onchange: () => localStorage.setItem("nomos.keys", on.checked ? "on" : "off")});
	dialog("Keyboard shortcuts", h("dl.keys", HELP.map(([key, what]) => h("div", h("dt", h("kbd", key)), h("dd", what)))), h("p", on, " ", h("label", {for: "keys-on"}, "Letters are shortcuts")));
}

let chord = -1e4;
document.addEventListener("keydown", (e) => {
	const {key, target} = e;
	if (e.ctrlKey || e.metaKey || e.altKey || !session.who || one("dialog[open]")) return;
	if (target.matches("input, textarea, select")) {
		if (key === "Escape") target.blur();
		return;
	}
	if (localStorage.getItem("nomos.keys") === "off" && key !== "?") return;
	const page = e.timeStamp - chord < 1500 && KEYS[key];
	chord = key === "g" ? e.timeStamp : -1e4;
	if (page) location.hash = `#/${page}`;
	else if (key === "?") help();
	else if (key === "/") one("input", main)?.focus();
	else if (key === "j" || key === "k") {
		const stops = [...main.querySelectorAll("[data-stop]")];
		stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(document.activeElement) + (key === "j" ? 1 : -1)))]?.focus();
	} else if (!shown.key?.(key)) return;
	e.preventDefault();
});

one(".skip").addEventListener("click", (e) => {
	e.preventDefault();
	main.focus();
});
addEventListener("hashchange", route);

resume().then((who) => (who ? open() : door()), (error) => door(failure(error)));
