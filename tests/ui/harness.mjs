// A browser at the page of a running gateway, and an agent beside it. What no page may do is watched in every flow: an error, a
// refused script, a request to anywhere else.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {chromium} from "playwright-core";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const {url: base, keys, secret, agent, shots, patience, executable} = JSON.parse(process.env.NOMOS_UI_TEST);

export const LOOKS = {
	light: {viewport: {width: 1360, height: 900}, colorScheme: "light"},
	dark: {viewport: {width: 1360, height: 900}, colorScheme: "dark"},
	phone: {viewport: {width: 390, height: 844}, colorScheme: "light", hasTouch: true},
};

let browser;
export async function launch() {
	// Chromium cannot make its sandbox as root, as in a container.
	browser = await chromium.launch({executablePath: executable, args: process.getuid() === 0 ? ["--no-sandbox"] : []});
	return browser;
}

/** A page with nobody signed in. */
export async function open(look = "light", hash = "") {
	const context = await browser.newContext({...LOOKS[look], reducedMotion: "reduce", timezoneId: "UTC", acceptDownloads: true});
	context.setDefaultTimeout(patience * 1000);
	const page = await context.newPage();
	const wrong = [];
	page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
	page.on("console", (message) => {
		// The browser itself notes every answer that is not 2xx.
		if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(`console: ${message.text()}`);
	});
	page.on("dialog", (dialog) => {
		wrong.push(`dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	page.on("request", (request) => {
		if (!request.url().startsWith(`${base}/`)) wrong.push(`elsewhere: ${request.url()}`);
	});
	await context.exposeFunction("refused", (what) => wrong.push(`policy: ${what}`));
	await context.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => globalThis.refused(`${e.violatedDirective} ${e.blockedURI}`)));
	await page.goto(`${base}/ui/${hash}`);
	return {page, wrong, async done() {
		await context.close();
		assert.deepEqual(wrong, []);
	}};
}

export async function enter(page, who = "operator") {
	await page.getByLabel("API key").fill(keys[who]);
	await page.getByRole("button", {name: "Sign in"}).click();
	await page.getByRole("navigation", {name: "Pages"}).waitFor();
}

export async function signedIn(hash = "", who = "operator", look = "light") {
	const it = await open(look, hash);
	await enter(it.page, who);
	return it;
}

/** Goes to an address of the page and waits until nothing on it is being loaded. */
export async function go(page, hash) {
	// The page has heard of it before this listener does: what is looked for afterwards is not on the page before.
	await page.evaluate((h) => new Promise((done) => {
		if (location.hash === h) return done();
		addEventListener("hashchange", done, {once: true});
		location.hash = h;
	}), hash);
	await settled(page);
}

export async function settled(page) {
	await page.waitForFunction(() => !document.querySelector("main [aria-busy]"));
}

export async function heading(page, text) {
	await page.getByRole("heading", {level: 1, name: text, exact: true}).waitFor();
}

/** Waits until the text of what the selector finds holds all of the words. */
export async function holds(page, selector, ...words) {
	await page.waitForFunction(([s, list]) => {
		const text = [...document.querySelectorAll(s)].map((node) => node.innerText).join("\n");
		return list.every((word) => text.includes(word));
	}, [selector, words]);
}

export async function shot(page, name, options = {}) {
	await page.screenshot({path: path.join(shots, `${name}.png`), animations: "disabled", ...options});
}

/** What axe finds serious or critical, or breaks WCAG 2 A and AA. */
export async function accessible(page, where) {
	await page.evaluate(axe);
	const found = await page.evaluate(async () => (await globalThis.axe.run(document, {resultTypes: ["violations"]})).violations
		.filter((v) => ["serious", "critical"].includes(v.impact))
		.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.failureSummary.split("\n")[1] ?? ""}`).join(" | ")}`));
	assert.deepEqual(found, [], where);
}

/** No part of the page is wider than the window. */
export async function fits(page, where) {
	const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
	assert.ok(content <= window, `${where}: ${content} px in ${window}`);
}

/** What the pages of a flow that failed show, as text and as pictures. */
export async function tell(browser, flow) {
	for (const [i, page] of browser.contexts().flatMap((context) => context.pages()).entries()) {
		console.log(`--- page ${i} at ${page.url()}\n${(await page.locator("body").innerText()).slice(0, 3000)}`);
		await shot(page, `failed-${flow}-${i}`);
	}
}

let serial = 0;

/** The agent asks; its answer as an object with the status. approval: the id of one that a person gave. */
export async function act(more = {}, approval = undefined) {
	const body = JSON.stringify({schema_version: "v1", action_id: `act-${++serial}`, action_type: "payments.transfer", resource: "payment://bank.example.com/accounts/7", params: {amount: 120},
		trace_id: "trace-1", context: {extensions: approval ? {approval: {approval_id: approval}} : {}}, ...more}).replaceAll('"EXACT"', "12345678901234567890.10");
	const reply = await fetch(`${base}/action`, {method: "POST", body, headers: {"Content-Type": "application/json", Authorization: `Bearer ${keys.agent}`, "X-Nomos-Agent-Id": agent,
		"X-Nomos-Agent-Signature": crypto.createHmac("sha256", secret).update(body).digest("hex")}});
	return {status: reply.status, ...(await reply.json())};
}

/** Asks for what a person has to approve. */
export async function ask(more = {}) {
	const reply = await act(more);
	assert.equal(reply.decision, "REQUIRE_APPROVAL", JSON.stringify(reply));
	return reply.approval_id;
}

/** A request of a person's own, past the page. */
export async function operator(method, route, body) {
	const reply = await fetch(`${base}/api/ui/${route}`, {method, body: body && JSON.stringify(body), headers: {Authorization: `Bearer ${keys.operator}`, "Content-Type": "application/json"}});
	assert.ok(reply.ok, `${method} ${route}: ${reply.status} ${await reply.clone().text()}`);
	return reply.json();
}
