// How the page talks to its gateway, with errors that say what to do.
import {parse} from "./kit.js";

const REMEDY = {
	0: "Is it running, and this machine connected? Only what you saw confirmed was changed.",
	401: "Sign in to go on.",
	403: "identity.roles in the configuration says who may.",
	404: "It may be over, or not switched on.",
	429: "Wait a moment and try again.",
	503: "The overview says which part is not ready.",
};

export class Failure extends Error {
	constructor(status, reason, remedy = REMEDY[status] ?? (status >= 500 ? "The gateway's log says why." : "")) {
		super(reason);
		Object.assign(this, {status, remedy});
	}
}

export const session = {who: null};
export const may = (role) => session.who?.roles?.includes(role);

async function ask(method, path, body) {
	const headers = {};
	if (body) headers["Content-Type"] = "application/json";
	if (method !== "GET" && session.who) headers["X-Nomos-Csrf"] = session.who.csrf_token;
	let reply;
	let value;
	try {
		reply = await fetch(`/api/ui/${path}`, {method, headers, body, cache: "no-store"});
		value = await reply.text();
	} catch {
		throw new Failure(0, "The gateway does not answer.");
	}
	try {
		value = value && parse(value);
	} catch {
		throw new Failure(reply.status, "The answer is not JSON.");
	}
	if (!reply.ok) throw new Failure(reply.status, String(value?.reason ?? reply.statusText));
	return value;
}

/** Throws Failure; when the session has ended, the key is asked for. */
async function call(...request) {
	try {
		return await ask(...request);
	} catch (error) {
		if (error.status === 401 && session.who) session.onend();
		throw error;
	}
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, typeof body === "string" ? body : JSON.stringify(body));

export function query(values) {
	const q = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
	return q.size ? `?${q}` : "";
}

export const resume = async () => (session.who = await ask("GET", "session").catch((error) => {
	if (error.status !== 401) throw error;
}));
export const enter = async (key) => (session.who = await ask("POST", "session", JSON.stringify({api_key: key})));
export const leave = () => ask("DELETE", "session").catch(() => {});

/** Events as they come, or tick() every few seconds while there is no stream. Returns what ends it. */
export function live(onevent, tick, onstate) {
	let source;
	let timer;
	let retry;
	const open = () => {
		source = new EventSource("/api/ui/stream");
		source.onopen = () => {
			timer = clearInterval(timer);
			onstate("live");
			tick();
		};
		source.onerror = () => {
			timer ||= setInterval(tick, 4000);
			onstate(navigator.onLine ? "polling" : "offline");
			if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 15000);
		};
		for (const name of ["approval", "overview"]) source.addEventListener(name, (e) => onevent(name, parse(e.data)));
	};
	open();
	return () => {
		clearTimeout(retry);
		clearInterval(timer);
		source.close();
	};
}
