// run.mjs FLOW: one flow of flows.mjs in a browser of its own.
import {flows} from "./flows.mjs";
import {launch, tell} from "./harness.mjs";

const browser = await launch();
try {
	await flows[process.argv[2]]();
} catch (error) {
	console.log(error.stack);
	await tell(browser, process.argv[2]);
	process.exitCode = 1;
} finally {
	await browser.close();
}
