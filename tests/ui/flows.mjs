// What people do on the operator page, from the first look to the last click. Each is one test of tests/e2e/test_ui_page.py.
import assert from "node:assert/strict";
import {accessible, act, ask, enter, fits, go, heading, holds, LOOKS, open, operator, settled, shot, signedIn} from "./harness.mjs";

const TRANSFER = {action_type: "payments.transfer", resource: "payment://bank.example.com/accounts/7"};
const decided = (page) => page.locator("#say").getByText(/Approved|Denied|Counted/);

export const flows = {
	async signing_in() {
		const {page, done} = await open("light", "#/limits");
		await page.getByRole("heading", {name: "Sign in"}).waitFor();
		await shot(page, "sign-in-light");
		await page.getByLabel("API key").fill("nk_wrong_key");
		await page.keyboard.press("Enter");
		await page.getByRole("alert").getByText("This key is not known.").waitFor();
		await enter(page);
		// The address that was asked for is the one that is shown; signing in leaves no key behind.
		await heading(page, "Limits");
		assert.equal(await page.locator("#key").count(), 0);
		await page.reload();
		await heading(page, "Limits");
		await page.getByRole("button", {name: "Sign out"}).click();
		await page.getByRole("heading", {name: "Sign in"}).waitFor();
		await page.reload();
		await page.getByRole("heading", {name: "Sign in"}).waitFor();
		assert.deepEqual(await page.evaluate(() => [document.cookie, Object.keys(localStorage), sessionStorage.length]), ["", [], 0]);
		await done();
	},

	async ended_session() {
		const id = await ask();
		const {page, done} = await signedIn(`#/approvals/${id}`);
		await page.getByLabel("Reason").fill("half a thought");
		await page.context().clearCookies();
		await page.getByRole("button", {name: "Approve", exact: true}).click();
		await page.getByText("Your session has ended.").waitFor();
		await shot(page, "session-ended-light");
		await enter(page);
		// The place and what was typed are still there, and the decision was not made by itself.
		assert.equal(await page.evaluate(() => location.hash), `#/approvals/${id}`);
		assert.equal(await page.getByLabel("Reason").inputValue(), "half a thought");
		await page.getByRole("button", {name: "Approve", exact: true}).click();
		await decided(page).waitFor({state: "attached"});
		assert.equal((await act(TRANSFER, id)).decision, "ALLOW");
		await done();
	},

	async navigation() {
		const {page, done} = await signedIn();
		await heading(page, "Overview");
		for (const [key, name] of [["a", "Approvals"], ["i", "Investigate"], ["p", "Policy"], ["l", "Limits"]]) {
			// Both within a second and a half, which a busy machine may miss.
			while (!(await page.locator("h1").innerText()).startsWith(name)) {
				await page.keyboard.press("g");
				await page.keyboard.press(key);
				await settled(page);
			}
			await heading(page, name);
			// Who reads the page with their ears is told where they are.
			assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
			assert.ok((await page.title()).includes(name));
			assert.equal(await page.locator("#nav [aria-current=page]").innerText(), name);
		}
		await page.goBack();
		await heading(page, "Policy");
		await page.keyboard.press("?");
		await page.getByRole("dialog", {name: "Keyboard shortcuts"}).waitFor();
		await shot(page, "keys-light");
		await page.getByLabel("Letters are shortcuts").uncheck();
		await page.keyboard.press("Escape");
		await page.keyboard.press("g");
		await page.keyboard.press("o");
		await heading(page, "Policy");
		await go(page, "#/nowhere");
		await heading(page, "No such page");
		await go(page, "#/investigate/trace/%ff");
		await page.getByRole("button", {name: /theme/}).click();
		assert.equal(await page.evaluate(() => getComputedStyle(document.body).colorScheme), "light");
		await page.getByRole("button", {name: /theme/}).click();
		await page.reload();
		assert.equal(await page.evaluate(() => getComputedStyle(document.body).colorScheme), "dark");
		await done();
	},

	async overview() {
		await act({action_type: "payments.refund", resource: "payment://shop.example.com/orders/1"});
		await act({action_type: "payments.unheard", resource: "payment://shop.example.com/orders/1"});
		await ask();
		const {page, done} = await signedIn();
		await holds(page, ".lead", "Ready.", "1 action waits for a decision.");
		await holds(page, ".figures", "Allowed", "Asked", "Denied");
		await holds(page, ".bars", "deny_by_default");
		await page.getByRole("img", {name: /1 allowed, 1 asked, 1 denied/}).waitFor();
		// Without a touch, what happens now comes.
		await ask({params: {amount: 130}});
		await holds(page, ".lead", "2 actions wait for a decision.");
		await page.waitForFunction(() => document.title.startsWith("(2) "));
		await shot(page, "overview-light", {fullPage: true});
		await done();
	},

	/** The receiver refused a decision for good, and takes nothing since. */
	async sinks() {
		await act({action_type: "payments.refund", resource: "payment://shop.example.com/orders/1"});
		const {page, done} = await signedIn();
		const row = page.getByRole("table", {name: "Sinks"}).getByRole("row").filter({hasText: "webhook:"});
		await row.getByText("failing").waitFor();
		await page.getByRole("columnheader", {name: "Dead letters"}).waitFor();
		await row.getByRole("cell", {name: "1", exact: true}).last().waitFor();
		assert.equal(await row.getByRole("cell").last().textContent(), "1");
		await accessible(page, "the overview");
		await shot(page, "sinks-light", {fullPage: true});
		await done();
	},

	/** A gateway that was killed before an effect could be settled has been started again. */
	async settle() {
		const {page, done} = await signedIn();
		await holds(page, ".lead", "1 outcome is unknown.");
		await page.getByRole("button", {name: "Settle…"}).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByText("fs.write").waitFor();
		await accessible(page, "the dialog");
		await shot(page, "settle-light");
		await dialog.getByLabel("It").selectOption("failed");
		await dialog.getByLabel("How you know").fill("the file is not there");
		await dialog.getByRole("button", {name: "Record the outcome"}).click();
		await holds(page, "#say", "Settled and recorded.");
		assert.equal(await dialog.count(), 0);
		await go(page, "#/investigate?event=action.settled");
		await page.locator("td.seq a").click();
		await holds(page, ".tree", "the file is not there", "olga", "failed");
		await done();
	},

	async approve() {
		const {page, done} = await signedIn("#/approvals");
		await holds(page, ".inbox", "Nothing waits for you.");
		const id = await ask({params: {amount: 120, to: "ACME", digits: 1}});
		// It appears by itself, and is said.
		await page.locator(`[data-stop="${id}"]`).waitFor();
		await holds(page, "#say", "New request: payments.transfer by bot");
		await page.keyboard.press("j");
		await page.keyboard.press("Enter");
		await holds(page, ".asks", "bot", "alice", "dev", "payments.transfer", "payment://bank.example.com/accounts/7");
		await holds(page, ".detail .sheet", "amount", "120", "to", "ACME");
		await holds(page, ".detail", "ask-transfer", "require_approval_by_rule");
		await shot(page, "approval-light");
		await page.keyboard.press("e");
		await page.keyboard.type("the invoice is there");
		await page.keyboard.press("Escape");
		await page.keyboard.press("a");
		assert.equal((await operator("GET", `approvals/${id}`)).status.toLowerCase(), "pending");
		await page.keyboard.press("Enter");
		await decided(page).waitFor({state: "attached"});
		await holds(page, ".detail", "Decisions so far", "the invoice is there", "olga");
		assert.equal((await act({params: {amount: 120, to: "ACME", digits: 1}}, id)).decision, "ALLOW");
		await holds(page, ".detail", "Decided or over.");
		await page.getByLabel("Show").selectOption("all");
		await holds(page, ".inbox", "CONSUMED");
		await done();
	},

	async deny() {
		const id = await ask();
		const {page, done} = await signedIn(`#/approvals/${id}`);
		await page.getByLabel("Reason").fill("not today");
		await page.getByRole("button", {name: "Deny", exact: true}).click();
		await holds(page, ".detail", "DENIED", "not today");
		assert.equal((await act(TRANSFER, id)).decision, "DENY");
		await done();
	},

	async hidden_parts() {
		const id = await ask({params: {amount: 1, password: "correct horse battery staple", note: "key AKIAIOSFODNN7EXAMPLE in the middle"}});
		const {page, done} = await signedIn(`#/approvals/${id}`);
		await holds(page, ".detail", "hidden as secret", "28 bytes", "I know that parts are hidden from me");
		assert.ok(!(await page.locator("body").innerHTML()).includes("correct horse"));
		await shot(page, "hidden-light");
		await page.getByRole("button", {name: "Approve", exact: true}).click();
		await page.getByRole("alert").getByText("Say first that you know of the hidden parts.").waitFor();
		await page.getByLabel("I know that parts are hidden from me").check();
		await page.getByRole("button", {name: "Approve", exact: true}).click();
		await decided(page).waitFor({state: "attached"});
		const {votes} = await operator("GET", `approvals/${id}`);
		assert.equal(votes[0].ack_redacted, true);
		await done();
	},

	async quorum() {
		const id = await ask({action_type: "payments.payout", resource: "payment://bank.example.com/accounts/7"});
		const first = await signedIn(`#/approvals/${id}`);
		await first.page.getByRole("button", {name: "Approve", exact: true}).click();
		await holds(first.page, ".detail", "1 of 2 agree", "You cannot decide this");
		const second = await signedIn(`#/approvals/${id}`, "approver");
		await second.page.getByRole("button", {name: "Approve", exact: true}).click();
		await holds(second.page, ".detail", "APPROVED");
		// The other one's page knows it without a touch.
		await holds(first.page, ".detail", "APPROVED", "anna");
		await first.done();
		await second.done();
	},

	async together() {
		for (const amount of [1, 2, 3]) await ask({params: {amount}});
		await ask({params: {amount: 4}, resource: "payment://bank.example.com/accounts/8"});
		await ask({params: {amount: 5, password: "secret of five"}});
		const {page, done} = await signedIn("#/approvals");
		await holds(page, ".alike", "4 alike");
		await page.keyboard.press("b");
		const dialog = page.getByRole("dialog");
		await dialog.getByText("has hidden parts").waitFor();
		await accessible(page, "the dialog");
		await shot(page, "together-light");
		assert.equal(await dialog.getByRole("checkbox", {checked: true}).count(), 3);
		await dialog.getByLabel("Reason for all").fill("the same invoice thrice");
		await dialog.getByRole("button", {name: "Approve what is marked"}).click();
		await dialog.getByText("3 of 3 recorded.").waitFor();
		await dialog.getByRole("button", {name: "Close"}).click();
		const left = (await operator("GET", "approvals?status=pending")).approvals;
		assert.deepEqual(left.map((a) => [a.resource.at(-1), a.has_hidden]).sort(), [["7", true], ["8", false]]);
		await done();
	},

	async together_only_what_was_seen() {
		const ids = [];
		for (const amount of [1, 2, 3]) ids.push(await ask({params: {amount}}));
		const {page, done} = await signedIn("#/approvals");
		await holds(page, ".alike", "3 alike");
		let release;
		const held = new Promise((resolve) => (release = resolve));
		await page.route(`**/approvals/${ids[0]}`, async (route) => {
			await held;
			await route.continue();
		});
		await page.route(`**/approvals/${ids[1]}`, (route) => route.abort());
		await page.keyboard.press("b");
		const dialog = page.getByRole("dialog");
		const box = (id) => dialog.locator(`#b-${id}`);
		await dialog.locator(`#b-${ids[2]}:checked`).waitFor();
		await dialog.locator("li .failure").waitFor();
		assert.ok(await box(ids[0]).isDisabled() && await box(ids[1]).isDisabled());
		assert.equal(await dialog.getByRole("checkbox", {checked: true}).count(), 1);
		release();
		await dialog.locator(`#b-${ids[0]}:checked`).waitFor();
		assert.ok(await box(ids[1]).isDisabled());
		await done();
	},

	async more_than_once() {
		const often = await ask({action_type: "payments.standing"});
		const any = await ask({action_type: "payments.any"});
		const {page, done} = await signedIn(`#/approvals/${often}`);
		await holds(page, ".detail", "This would allow it 3 times.");
		await go(page, `#/approvals/${any}`);
		await holds(page, ".detail", "This would approve any parameters for this action and resource, 3 times.");
		assert.equal(await page.getByText("This would allow it").count(), 0);
		// Beside one that is alike, none of its kind is offered for a glance at many.
		await page.route("**/approvals?*", async (route) => {
			const reply = await route.fetch();
			const list = await reply.json();
			const one = list.approvals.find((r) => r.approval_id === any);
			await route.fulfill({response: reply, json: {...list, approvals: [one, {...one, approval_id: often}]}});
		});
		await page.getByLabel("Show").selectOption("all");
		await page.waitForFunction(() => document.querySelectorAll(".inbox .ask").length === 2 && [...document.querySelectorAll(".inbox .ask b")].every((b) => b.textContent.includes("payments.any")));
		assert.equal(await page.locator(".alike").count(), 0);
		await done();
	},

	async roles() {
		const id = await ask();
		const {page, done} = await signedIn(`#/approvals/${id}`, "viewer");
		await holds(page, ".detail", "You cannot decide this");
		assert.equal(await page.getByRole("button", {name: "Approve", exact: true}).count(), 0);
		await go(page, "#/policy");
		await holds(page, "main", "for operators");
		await done();
	},

	async investigate() {
		for (let i = 0; i < 60; i++) await act({action_type: i % 2 ? "payments.refund" : "payments.unheard", resource: `payment://shop.example.com/orders/${i}`, trace_id: `order-${i % 3}`});
		const {page, done} = await signedIn("#/investigate");
		await holds(page, "tbody", "payment://shop.example.com/orders/59");
		await page.getByLabel("Decision").selectOption("DENY");
		await page.getByLabel("Trace").fill("order-1");
		await page.getByRole("button", {name: "Search"}).click();
		await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 10);
		assert.ok((await page.evaluate(() => location.hash)).includes("decision=DENY"));
		await shot(page, "investigate-light");
		const download = page.waitForEvent("download");
		await page.getByRole("link", {name: "Export these as JSON lines"}).click();
		const file = await (await download).createReadStream();
		let lines = "";
		for await (const part of file) lines += part;
		assert.equal(lines.trim().split("\n").filter((line) => JSON.parse(line).event_type === "action.decision").length, 10);
		await page.getByRole("link", {name: "Clear"}).click();
		await page.getByRole("button", {name: "Older records"}).click();
		await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 55);
		await page.locator("td.seq a").nth(50).click();
		await page.getByRole("button", {name: "Verify"}).click();
		await holds(page, "main", "The record is as it was written.", "equal");
		await shot(page, "record-light");
		// News that draw other pages anew leave what Verify found.
		await ask({resource: "payment://bank.example.com/news"});
		await holds(page, "#waiting", "1");
		await settled(page);
		await holds(page, "main", "The record is as it was written.", "equal");
		await page.goBack();
		// The list is as it was: the same rows, the same place.
		await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 55 && scrollY > 100);
		// News come while the trace is still being asked for: the second answer says no more than the first, which was not shown.
		const asked = [];
		await page.route("**/api/ui/traces/order-1", (route) => asked.push(route));
		await page.evaluate(() => (location.hash = "#/investigate/trace/order-1"));
		await heading(page, "Trace order-1");
		await ask({resource: "payment://bank.example.com/more-news"});
		await holds(page, "#waiting", "2");
		while (asked.length < 2) await page.waitForTimeout(20);
		for (const route of asked) {
			const answered = page.waitForEvent("requestfinished");
			await route.continue();
			await answered;
		}
		await page.unroute("**/api/ui/traces/order-1");
		await page.waitForFunction(() => document.querySelectorAll(".timeline li").length === 20);
		await shot(page, "trace-light");
		await done();
	},

	async policy() {
		await act({action_type: "payments.refund", resource: "payment://shop.example.com/orders/1"});
		const {page, done} = await signedIn("#/policy");
		await holds(page, "main", "policy.json", "allow-refund", "ask-transfer", "deny-env");
		await page.getByLabel("Find a rule").fill("refund");
		await page.waitForFunction(() => document.querySelectorAll("tbody").item(1)?.rows.length === 1);
		await holds(page, "main", "allow-refund");
		await page.getByLabel("Agent").fill("bot");
		await page.getByLabel("Principal").fill("alice");
		await page.getByLabel("Environment").fill("dev");
		await page.getByLabel("Action type").fill("payments.transfer");
		await page.getByLabel("Resource").fill("payment://bank.example.com/x");
		await page.getByRole("button", {name: "What would happen?"}).click();
		await holds(page, "form", "ASK", "ask-transfer");
		await shot(page, "policy-light", {fullPage: true});
		await page.getByLabel("Parameters (JSON)").fill("{not json");
		await page.getByRole("button", {name: "What would happen?"}).click();
		await page.locator("form .failure").waitFor();
		await done();
	},

	async limits() {
		await act({action_type: "payments.refund", resource: "payment://shop.example.com/orders/1"});
		const {page, done} = await signedIn("#/limits");
		await holds(page, "main", "Work in flight", "Rate buckets", "Circuit breakers");
		await shot(page, "limits-light");
		await done();
	},

	async hostile_values() {
		const nasty = "<script>globalThis.pwned=1</script><img src=x onerror=globalThis.pwned=1>\u202egnp.exe\u200b\u0007\u0000\u{e0041}a\u0301\u0301\u0301\u0301\u0301";
		const params = {[nasty]: nasty, ["__proto__"]: {polluted: true}, constructor: nasty, exact: "EXACT", url: "javascript:alert(1)", long: "y".repeat(25000)};
		const id = await ask({params});
		const trace = "trace\"><b>x";
		for (const more of [{params}, {action_type: "payments.refund", resource: "payment://shop.example.com/orders/%3Cscript%3E", params, trace_id: trace}, {params: {big: "z".repeat(10e6)}}]) await act(more).catch((error) => assert.equal(error.message, "fetch failed")); // the head of 10 MB is refused, the rest not read
		const {page, done} = await signedIn(`#/approvals/${id}`);
		await holds(page, ".detail .sheet", "<script>globalThis.pwned=1</script>", "\\u{202e}", "\\u{200b}", "\\u{7}", "\\u{0}", "\\u{e0041}", "\\u{301}", "javascript:alert(1)", "12345678901234567890.10");
		assert.ok((await page.locator(".sheet").innerText()).length < 10000);
		await page.getByRole("button", {name: "… more of 25,000 characters"}).click();
		await page.waitForFunction(() => document.querySelector(".sheet").innerText.length > 25000);
		await shot(page, "hostile-light");
		await go(page, "#/investigate");
		await page.locator("td.seq a").first().waitFor();
		for (const hash of (await page.locator("td.seq a").evaluateAll((all) => all.map((a) => a.getAttribute("href")))).slice(0, 4)) {
			await go(page, hash);
			await page.locator(".tree").first().waitFor();
		}
		for (const hash of [`#/investigate/trace/${encodeURIComponent(trace)}`, `#/policy?q=${encodeURIComponent(nasty)}`, `#/approvals/${encodeURIComponent(`../../${nasty}`)}`, `#/${nasty}`]) {
			await go(page, hash);
			await page.locator("h1").waitFor();
		}
		assert.deepEqual(await page.evaluate(() => [globalThis.pwned, {}.polluted, document.querySelectorAll("main script, main img, main b b").length]), [undefined, undefined, 0]);
		await done();
	},

	async accessibility() {
		const id = await ask({params: {amount: 1, password: "correct horse battery staple"}});
		await ask({params: {amount: 2}});
		await act({action_type: "payments.refund", resource: `payment://shop.example.com/${"x".repeat(180)}`});
		const pages = {overview: "#/overview", approvals: "#/approvals", approval: `#/approvals/${id}`, investigate: "#/investigate", trace: "#/investigate/trace/trace-1", record: "#/investigate/record/3", policy: "#/policy", limits: "#/limits"};
		for (const look of Object.keys(LOOKS)) {
			const {page, done} = await open(look);
			await page.getByLabel("API key").waitFor();
			await accessible(page, `${look} sign-in`);
			await enter(page);
			for (const [name, hash] of Object.entries(pages)) {
				await go(page, hash);
				if (name === "approval") await page.locator(".asks").waitFor();
				await accessible(page, `${look} ${name}`);
				await fits(page, `${look} ${name}`);
				await shot(page, `${name}-${look}`, {fullPage: look !== "phone"});
			}
			await done();
		}
	},

	async no_stream() {
		// Where a proxy swallows the stream the page asks every few seconds.
		const {page, done} = await open("light", "#/approvals");
		await page.route("**/api/ui/stream", (route) => route.abort());
		await enter(page);
		await holds(page, "#state", "Every few seconds");
		const id = await ask();
		await page.locator(`[data-stop="${id}"]`).waitFor();
		await page.unroute("**/api/ui/stream");
		await done();
	},

	async gateway_gone() {
		const {page, done} = await signedIn("#/limits");
		await page.route("**/api/ui/**", (route) => route.abort());
		await go(page, "#/policy");
		await holds(page, "main", "The gateway does not answer.", "Is it running");
		await shot(page, "gone-light");
		await done();
	},

	/** The pictures of docs/operator-ui.md, small enough to be kept: cp build/screenshots/docs/*.png docs/ui/ */
	async pictures() {
		// NOMOS_UI_TRAFFIC: for how many milliseconds there is something to draw.
		const end = Date.now() + Number(process.env.NOMOS_UI_TRAFFIC ?? 0);
		for (let i = 0; i < 24 || Date.now() < end; i++) {
			const order = `order-${1040 + (i % 7)}`;
			await act({action_type: ["refund", "refund", "unheard", "refund", "refund"][(i + (i >> 6)) % 5].replace(/^/, "payments."), resource: `payment://shop.example.com/${order}`, params: {amount: 12 + (i % 30)}, trace_id: order});
			if (end > Date.now()) await new Promise((done) => setTimeout(done, 20 + 60 * (1 + Math.sin(i / 90))));
		}
		for (const amount of [480, 515]) await ask({params: {amount, currency: "EUR"}, resource: "payment://bank.example.com/accounts/12"});
		const transfer = {params: {amount: 1249.5, currency: "EUR", to: {name: "ACME Lamps Ltd", iban: "DE02 1203 0000 0000 2020 51"}, text: "Invoice 2026-1042, lamps for the east wing"}, trace_id: "invoice-1042"};
		const id = await ask(transfer);
		const {page, done} = await signedIn();
		await page.setViewportSize({width: 1120, height: 760});
		await holds(page, ".lead", "3 actions wait");
		await shot(page, "docs/overview");
		await go(page, `#/approvals/${id}`);
		await holds(page, ".detail .sheet", "1249.5");
		await shot(page, "docs/approval");
		await page.setViewportSize(LOOKS.phone.viewport);
		await shot(page, "docs/phone");
		await page.setViewportSize({width: 1120, height: 700});
		await page.getByRole("button", {name: "Approve", exact: true}).click();
		await decided(page).waitFor({state: "attached"});
		assert.equal((await act(transfer, id)).decision, "ALLOW");
		await page.emulateMedia({colorScheme: "dark"});
		await go(page, "#/investigate/trace/invoice-1042");
		await page.locator(".timeline li").nth(2).waitFor();
		await shot(page, "docs/trace");
		await page.emulateMedia({colorScheme: "light"});
		await go(page, "#/investigate/record/3");
		await page.getByRole("button", {name: "Verify"}).click();
		await holds(page, "main", "The record is as it was written.");
		await shot(page, "docs/record");
		await done();
	},
};
