// SPDX-License-Identifier: Apache-2.0
/*
 * Wrong values in the bodies of requests that would be taken without: a member that
 * there is not, beside every other; something else in the place of every choice; one
 * that must be there and is not. Each is refused with the pointer to that member of the
 * body that was sent, and choices with what is allowed there, as the contract has it;
 * and nothing is changed.
 */
import {daemon, must, prepare, recorder, root, rowsOf, send, contract, connect} from "./rehearsal.mjs";
import {finish, none, ok} from "./tap.mjs";

const WRONG = "no-such-thing";

/* -- schemas ------------------------------------------------------------------- */

const schemas = {};
for (const name of ["source", "appliance", "job"])
	schemas[name] = await must(200, root.send("GET", `/api/v1/schemas/${name}`));

/* With its document, in which "#/..." means something, and all that it says of itself in
 * one. */
function whole({schema, document}) {
	const at = schema.$ref?.split("#") ?? [];
	if (schema.$ref) {
		const {$ref, ...more} = schema;
		const other = at[0] ? schemas[at[0].split("/").at(-1)] : document;
		const found = (at[1] ?? "").split("/").slice(1).reduce((node, part) => node[part], other);
		const inner = whole({schema: found, document: other});
		return {schema: {...inner.schema, ...more}, document: inner.document};
	}
	const {allOf, ...more} = schema;
	const all = [more, ...(allOf ?? []).map((part) => whole({schema: part, document}).schema)];
	return {schema: {...more, ...(allOf && {properties: Object.assign({}, ...all.map((s) => s.properties)),
		required: all.flatMap((s) => s.required ?? [])})}, document};
}

const typed = (branch) => branch.properties?.type?.const;
const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/* What of a choice of schemas is meant by the value. */
function branchOf(node, value) {
	const choice = node.schema.oneOf ?? node.schema.anyOf;
	if (!choice || node.schema.properties)
		return node;
	const branches = choice.map((schema) => whole({schema, document: node.document}));
	return branches.find(({schema}) => typed(schema) !== undefined ? typed(schema) === value?.type
		: isMap(value) ? schema.properties && Object.keys(value).every((key) => schema.properties[key])
			: !["object", "null"].includes(schema.type)) ?? node;
}

/* -- mistakes ------------------------------------------------------------------ */

const choicesOf = (schema) => schema.enum?.filter((one) => one !== null) ??
	(schema.type === "boolean" ? [true, false] : null);

function* mistakesInMap(node, value, at) {
	const properties = Object.fromEntries(Object.entries(node.schema.properties ?? {})
		.map(([name, schema]) => [name, whole({schema, document: node.document})])
		.filter(([, {schema}]) => !schema.readOnly));
	if (node.schema.additionalProperties !== true && !node.schema.writeOnly)
		yield {at: [...at, WRONG], wrong: 1, allowed: Object.keys(properties), open: true};
	for (const [name, inner] of Object.entries(properties)) {
		const choices = choicesOf(inner.schema);
		if (choices)
			yield {at: [...at, name], wrong: WRONG, allowed: choices};
		else if (value[name] !== undefined)
			yield* mistakes(inner, value[name], [...at, name]);
	}
	for (const name of node.schema.required ?? [])
		if (value[name] !== undefined)
			yield {at: [...at, name]};
}

function* mistakes(node, value, at = []) {
	node = whole(node);
	const types = (node.schema.oneOf ?? []).map((schema) => typed(whole({schema, document: node.document}).schema));
	if (types.length && types.every((type) => type !== undefined))
		yield {at: [...at, "type"], wrong: WRONG, allowed: types};
	node = branchOf(node, value);
	if (isMap(value))
		yield* mistakesInMap(node, value, at);
	if (Array.isArray(value) && node.schema.items && value.length)
		yield* mistakes({schema: node.schema.items, document: node.document}, value[0], [...at, 0]);
}

function altered(json, {at, wrong}) {
	const copy = JSON.parse(JSON.stringify(json)); // no part of it twice
	const place = at.slice(0, -1).reduce((inner, key) => inner[key], copy);
	if (wrong === undefined)
		delete place[at.at(-1)];
	else
		place[at.at(-1)] = wrong;
	return copy;
}

/* -- answers ------------------------------------------------------------------- */

const faults = [];
const told = (values) => values?.map((value) => JSON.stringify(value)).sort().join() ?? "nothing";

function judge(operation, mistake, answer) {
	const pointer = `/${mistake.at.join("/")}`;
	const blame = (text) => faults.push(`${operation.id} ${pointer}: ${text}: ${answer.status} ${answer.body.slice(0, 200)}`);
	const [error] = answer.json?.errors ?? [];
	if (![400, 422].includes(answer.status) || !error)
		return blame("422 with the place was expected");
	if (error.pointer !== pointer)
		blame("another place is meant");
	const missing = mistake.allowed?.filter((one) => !error.allowed?.includes(one));
	if (missing?.length || (mistake.allowed && !mistake.open && told(error.allowed) !== told(mistake.allowed)))
		blame(`${told(mistake.allowed)} is allowed there`);
}

/* -- all ----------------------------------------------------------------------- */

/* What the requests of the rehearsal have not: every driver with its options. */
function sources() {
	const {protocol, format, listener} = schemas.source.$defs;
	const mem = {protocol: {type: "mem", size: "4MiB"}};
	const needed = {path: "a.raw", target: mem, leg: mem, store: mem, other: mem, size: "4MiB"};
	const minimal = (schema) => {
		const {schema: full} = whole({schema, document: schemas.source});
		return {type: typed(full), ...Object.fromEntries((full.required ?? []).filter((name) => name !== "type")
			.map((name) => [name, name === "file" ? mem : needed[name] ?? 4096]))};
	};
	return [...protocol.oneOf.map((schema) => ({protocol: minimal(schema)})),
		...format.oneOf.map((schema) => ({format: {file: mem, ...minimal(schema)}})),
		...listener.oneOf.map((schema) => ({listeners: [minimal(schema)], ...mem})),
		{listeners: [{type: "fault", rules: [{op: "read"}]}], ...mem}];
}

/* A document that has everything that has choices. */
const document = (config) => ({...config, hosts: [{name: "web1", iscsi: {iqn: ["*"],
	chap: {user: "web1", secret: "a-secret-of-16-bytes", mutual: {user: "us", secret: "another-of-16-bytes"}}}}]});

let count = 0, failure = "";
const hosts = [];
async function walk(operation, row) {
	const {schema} = operation.spec.requestBody.content["application/json"];
	const optional = operation.method === "patch";
	for (const mistake of mistakes({schema, document: contract.document}, row.json)) {
		const named = operation.method === "put" && mistake.at.join() === "name";
		if (mistake.wrong === undefined && (optional || named))
			continue; // a patch leaves out what it wants, and the path says the name
		const headers = operation.takes("If-Match") ? {"if-match": "*"} : {};
		const answer = await send(operation, {...row, json: altered(row.json, mistake)}, headers, "dryRun=true");
		judge(operation, mistake, answer);
		count++;
	}
}

/* The options of a kind of job are not in the contract, but in a schema of their own. */
async function walkOptions(operation, kind) {
	const options = Object.fromEntries((kind.properties.options.required ?? []).map((name) =>
		[name, name === "to" ? {protocol: {type: "mem", size: "4MiB"}} : "x"]));
	const json = {volume: "kept", kind: kind.properties.kind.const, options};
	for (const mistake of mistakes({schema: kind.properties.options, document: schemas.job}, options, ["options"])) {
		judge(operation, mistake, await send(operation, {at: {}, json: altered(json, mistake)}, {}, "dryRun=true"));
		count++;
	}
}

try {
	hosts.push(await connect("db01"));
	const made = await prepare();
	const sessions = await root.list("/api/v1/sessions");
	const exports = await root.list("/api/v1/exports");
	const config = await must(200, root.send("GET", "/api/v1/config"));
	const rows = rowsOf({...made, session: sessions[0].id, exported: exports.find((e) => e.volume === "db01").id, config});
	const before = JSON.stringify(config);
	for (const operation of contract.operations.filter((o) => isMap(rows[o.id]?.json) && o.spec.requestBody))
		await walk(operation, rows[operation.id]);
	const by = (id) => contract.operations.find((o) => o.id === id);
	for (const source of sources())
		await walk(by("replaceSource"), {at: {name: "spare"}, json: source});
	await walk(by("replaceConfig"), {at: {}, json: document(config)});
	for (const kind of schemas.job.oneOf)
		await walkOptions(by("startJob"), kind);
	ok(JSON.stringify(await must(200, root.send("GET", "/api/v1/config"))) === before, "nothing is changed");
} catch (error) {
	failure = error.stack;
}
const kinds = contract.document.components.schemas.NewJob.properties.kind.enum;
ok(kinds.toSorted().join() === schemas.job.oneOf.map((kind) => kind.title).toSorted().join(), "the schema of jobs has all kinds");
ok(failure === "" && count > 300, `${count} mistakes were made`, failure);
none(faults, "each is refused with its place, and with what is allowed there");
none(recorder.faults, "every answer is as the contract says");
await Promise.all(hosts.map((host) => host.end()));
root.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
