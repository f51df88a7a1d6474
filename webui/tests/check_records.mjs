// SPDX-License-Identifier: Apache-2.0
/*
 * Judges every exchange that tests left in the folder API_RECORD (records.mjs).
 * The daemon that answered is gone, so the contract is that of the build.
 */
import {builtContract} from "./daemon.mjs";
import {recorded} from "./records.mjs";
import {none, ok, finish} from "./tap.mjs";

const contract = builtContract();
const directory = process.argv[2] ?? process.env.API_RECORD;
const suites = new Map(); // of a test: its faults
let count = 0;

for (const [name, list] of recorded(directory)) {
	const suite = name.split(".")[0];
	const faults = suites.get(suite) ?? [];
	suites.set(suite, faults);
	count += list.length;
	for (const exchange of list)
		for (const fault of contract.judge(exchange))
			faults.push(`${exchange.method} ${exchange.url}: ${fault}\n` +
				`${exchange.sent.body.slice(0, 200)}\n-> ${exchange.body.slice(0, 300)}`);
}
ok(count > 0, `${count} exchanges of other tests were recorded`);
for (const [suite, faults] of suites)
	none(faults, `${suite}: every answer is as the contract says`);
finish();
