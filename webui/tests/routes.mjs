// SPDX-License-Identifier: Apache-2.0
/*
 * The rows of handlers in ../api, as text: what the daemon says it serves. (That
 * it does is found by asking it: access.mjs.)
 */
import {readdirSync, readFileSync} from "node:fs";
import {join} from "node:path";

const ROW = /\{\s*"([A-Za-z]+)",\s*"([A-Z]+)",\s*((?:"[^"]*"\s*)+),\s*API_([A-Z]+)([^}]*)\}/g;

/* A text with its macros of one line put in, as far as rows need it. */
function expand(text) {
	const macros = [...text.matchAll(/^#define ([A-Z_]+)[ \t]+(.*[^\\\n])$/gm)].reverse();
	for (const [, name, value] of macros)
		if (/API_|"/.test(value))
			text = text.replace(new RegExp(`\\b${name}\\b`, "g"), () => value);
	return text;
}

export function routes(directory) {
	const rows = [];
	for (const file of readdirSync(directory, {recursive: true}).filter((name) => name.endsWith(".c"))) {
		const text = expand(readFileSync(join(directory, file), "utf8"));
		for (const [, operation, method, path, role, rest] of text.matchAll(ROW)) {
			const flags = [...rest.matchAll(/API_([A-Z_]+)/g)].map(([, name]) => name);
			const query = [...rest.matchAll(/"([^"]*)"/g)].map(([, name]) => name).join("");
			rows.push({operation, method: method.toLowerCase(), flags, file,
				path: path.replace(/"\s*"/g, "").replaceAll('"', "").trim(),
				role: role.toLowerCase(), query: query.split(" ").filter(Boolean)});
		}
	}
	return rows;
}

/* What a row and its operation disagree on. */
export function differences(row, operation) {
	const faults = [];
	const same = (what, ours, contract) => {
		if (String(ours) !== String(contract))
			faults.push(`${row.operation} (${row.file}): ${what} is ${ours}, in the contract ${contract}`);
	};
	const has = (flag) => row.flags.includes(flag);
	const body = operation.spec.requestBody;
	same("method", row.method, operation.method);
	same("path", row.path, operation.path);
	same("role", row.role, operation.role);
	same("If-Match", has("NEEDS_MATCH"), operation.takes("If-Match"));
	same("dryRun", has("DRY_RUN"), operation.takes("dryRun"));
	same("Idempotency-Key", has("IDEMPOTENT"), operation.takes("Idempotency-Key"));
	same("paging", has("PAGED"), operation.takes("after"));
	same("body", has("BODY") || has("BODY_MAY"), body !== undefined);
	same("YAML", has("YAML"), body?.content["application/yaml"] !== undefined);
	const shared = ["dryRun", "limit", "after"];
	same("query", row.query.sort(), operation.parameters.filter((p) => p.in === "query" &&
		!shared.includes(p.name)).map((p) => p.name).sort());
	return faults;
}
