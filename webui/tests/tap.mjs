// SPDX-License-Identifier: Apache-2.0
// TAP lines, as tests/run reads them.
let number = 0;
let failures = 0;

export function ok(good, name, ...notes) {
	console.log(`${good ? "ok" : "not ok"} ${++number} - ${name}`);
	if (!good) {
		failures++;
		for (const note of notes.flat().slice(0, 40))
			console.log(`#   ${String(note).slice(0, 600).replaceAll("\n", "\n#   ")}`);
	}
	return good;
}

/* One line for many findings: the first forty are shown. */
export const none = (faults, name) => ok(faults.length === 0, name,
	faults.length > 40 ? [`${faults.length} in all`, ...faults] : faults);

export function finish() {
	console.log(`1..${number}`);
	process.exitCode = failures ? 1 : 0;
}
