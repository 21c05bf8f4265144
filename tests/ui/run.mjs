// run.mjs FLOW: one flow of flows.mjs in a browser of its own.
import {flows} from "./flows.mjs";
import {launch} from "./harness.mjs";

const browser = await launch();
try {
	await flows[process.argv[2]]();
} finally {
	await browser.close();
}
