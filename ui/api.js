// How the page talks to its gateway: one origin, one cookie, one token against forged requests, and errors that say what to do.
import {parse} from "./kit.js";

const REMEDY = {
	0: "The gateway does not answer. Is it running, and is this machine connected? Nothing was changed that you have not seen confirmed.",
	403: "Your role does not allow this. An operator can change roles in the configuration (identity.roles).",
	404: "It is not there. It may have expired, or the part is not switched on in the configuration.",
	409: "Somebody or something was quicker. Look at the newest state and decide again.",
	429: "Too many requests. Wait a moment and try again.",
	503: "The gateway cannot do this now. The overview says which part is not ready.",
};

export class Failure extends Error {
	constructor(status, reason) {
		super(reason);
		this.status = status;
		this.remedy = REMEDY[status] ?? (status >= 500 ? "The gateway failed. Its log says why; look for the time of this message." : "");
	}
}

export const session = {who: null, onexpired() {}};
export const may = (role) => session.who?.roles?.includes(role) ?? false;

async function ask(method, path, body) {
	const headers = {Accept: "application/json"};
	if (body !== undefined) headers["Content-Type"] = "application/json";
	if (method !== "GET" && session.who) headers["X-Nomos-Csrf"] = session.who.csrf_token;
	let reply;
	let content;
	try {
		reply = await fetch(path, {method, headers, body: typeof body === "object" ? JSON.stringify(body) : body,
			credentials: "same-origin", redirect: "error", cache: "no-store"});
		content = await reply.text();
	} catch {
		throw new Failure(0, "no answer");
	}
	let value = null;
	try {
		if (content) value = parse(content);
	} catch {
		throw new Failure(reply.ok ? 502 : reply.status, "the answer is not JSON");
	}
	if (!reply.ok) throw new Failure(reply.status, String(value?.reason ?? reply.statusText));
	return value;
}

/** The answer as an object. Throws Failure; a session that ended asks for the key again and keeps the place. */
export async function call(method, path, body) {
	try {
		return await ask(method, path, body);
	} catch (error) {
		if (error.status === 401 && session.who) session.onexpired();
		throw error;
	}
}

export const get = (path) => call("GET", `/api/ui/${path}`);
export const post = (path, body) => call("POST", `/api/ui/${path}`, body);

export function query(values) {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(values)) if (value) q.set(name, value);
	const s = q.toString();
	return s ? `?${s}` : "";
}

export async function resume() {
	try {
		session.who = await ask("GET", "/api/ui/session");
	} catch (error) {
		session.who = null;
		if (error.status !== 401) throw error;
	}
	return session.who;
}

export async function enter(key) {
	session.who = null;
	session.who = await ask("POST", "/api/ui/session", {api_key: key});
	return session.who;
}

export async function leave() {
	await ask("DELETE", "/api/ui/session").catch(() => {});
	session.who = null;
}

/** Events of the gateway as they come; while there is no stream, tick() is called every few seconds instead. */
export function live(onevent, tick, onstate) {
	let source;
	let timer;
	const poll = (on) => {
		if (on && !timer) timer = setInterval(tick, 4000);
		if (!on) timer = clearInterval(timer);
	};
	const open = () => {
		source = new EventSource("/api/ui/stream");
		source.onopen = () => {
			poll(false);
			onstate("live");
			tick();
		};
		source.onerror = () => {
			poll(true);
			onstate(navigator.onLine === false ? "offline" : "polling");
			if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 15000);
		};
		for (const name of ["approval", "overview"]) {
			source.addEventListener(name, (e) => {
				try {
					onevent(name, parse(e.data));
				} catch {
					tick();
				}
			});
		}
	};
	let retry;
	open();
	return () => {
		clearTimeout(retry);
		poll(false);
		source.close();
	};
}
