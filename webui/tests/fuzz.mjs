// SPDX-License-Identifier: Apache-2.0
/*
 * Random requests made from the contract: most valid, many spoilt. After each,
 *
 *	the answer is one that the contract states, without any secret that was sent
 *	what was not accepted has changed nothing; what was, only what it says
 *	(model.mjs), and the ETag has moved
 *	a dry run has foretold what then happened
 *	the same request with the same Idempotency-Key is answered the same
 *
 * and at the end the daemon is alive, stops in good order and has logged no secret.
 *
 * API_FUZZ_RUNS requests, from API_FUZZ_SEED (printed); test_fuzz.sh chooses them.
 */
import {gunzipSync} from "node:zlib";
import {readFileSync} from "node:fs";
import {Client} from "./http.mjs";
import {Daemon, methodsAt, open} from "./daemon.mjs";
import {Generator, fillLists} from "./generate.mjs";
import {canonical, difference, idOf, judgeStep, named, stateOf, wholeId} from "./model.mjs";
import {finish, none, ok} from "./tap.mjs";

const RUNS = Number(process.env.API_FUZZ_RUNS ?? 10000);
/* What `make check` says must not depend on luck. */
const SEED = Number(process.env.API_FUZZ_SEED ?? 1);
const KINDS = ["volume", "host", "target", "portal", "export", "schedule"];
const CHANGING = ["post", "put", "patch", "delete"];

/* How often, where not 10: hashing passwords takes the daemon a second each, and
 * what removes must not outrun what makes. */
const WEIGHTS = {createUser: 0.3, setPassword: 0.1, signIn: 0.1, setup: 0.1, changeOwnPassword: 0.05,
	getBundle: 0.1, getChecks: 0.5, renewCertificate: 0.2, verifyAudit: 0.5, getContract: 0.5, getDocs: 0.5,
	getSchema: 1, getHealth: 1, getReady: 1, getVersions: 1, replaceConfig: 2, restoreHistory: 1,
	createVolume: 40, createSnapshot: 30, createHost: 30, createTarget: 20, createExport: 40, createPortal: 4, createSchedule: 4, runSchedule: 4, startJob: 4,
	deleteVolume: 6, deletePortal: 2, getMetrics: 1, createToken: 12};

const daemon = new Daemon();
await daemon.start(`
volumes:
  - {name: db01, source: {protocol: {type: mem, size: 4MiB}}}
  - {name: kept, source: {format: {type: qcow2, size: 4MiB, pool: 64KiB, file: {protocol: {type: mem, size: 64MiB}}}}}
hosts: [{name: web1, iscsi: {iqn: ["iqn.1993-08.org.debian:01:ab"]}}]
targets: [{name: db01}]
exports: [{volume: db01, target: db01, lun: 0, hosts: [web1]}]
`);
const {contract, recorder, asks, root} = await open(daemon);
const nobody = new Client(recorder, {port: daemon.ports.api});

let planted = 0;
function plant() {
	const secret = `planted-${SEED.toString(36)}-${(planted++).toString(36).padStart(6, "0")}`;
	recorder.secrets.set(secret, `secret number ${planted}`);
	return secret;
}
const generator = new Generator(contract, SEED, plant);
const g = generator;

/* -- what is there ------------------------------------------------------------ */

let config = {}, state = new Map(), tag = "";
let hasConfig = false;

/* True if the configuration has another ETag than before. */
async function look() {
	if (!hasConfig)
		return false;
	const answer = await root.send("GET", "/api/v1/config", {headers: tag ? {"if-none-match": tag} : {}});
	if (answer.status === 304)
		return false;
	config = {...answer.json};
	tag = answer.headers.etag;
	config.exports = await root.list("/api/v1/exports"); // with their ids
	state = stateOf(config);
	for (const kind of KINDS)
		g.pool[kind] = (config[`${kind}s`] ?? []).map((object) => idOf(kind, object));
	g.pool.config = {...answer.json};
	return true;
}

/* Operations that the daemon has. */
async function servedOperations() {
	const served = [];
	for (const operation of contract.operations) {
		const methods = await methodsAt(asks, operation.path);
		if (methods.includes(operation.method.toUpperCase()))
			served.push(operation);
		else
			recorder.faults.push(`${operation.id} is not served`);
	}
	return served;
}

/* -- a request ---------------------------------------------------------------- */

const PLACES = {volumes: "volume", hosts: "host", targets: "target", portals: "portal", exports: "export", schedules: "schedule",
	users: "user", sessions: "session", jobs: "job", tokens: "token", history: "history"};

function pathParameter(operation, name) {
	if (g.chance(3))
		return g.pick(["", "a/b", "..", "\u00fc", "%", "x".repeat(300), "\u0000", "0", "-1"]) || "-";
	const [, collection] = /^\/(?:api\/v1\/)?([a-z]+)/.exec(operation.path) ?? [];
	const first = operation.path.indexOf("{") === operation.path.indexOf(`{${name}}`);
	if (first && operation.path.includes("/snapshots") && g.chance(70))
		return "kept"; // the others have no image that could keep one
	if (name === "snapshot")
		return g.name("snapshot", 90);
	if (first && PLACES[collection])
		return g.name(PLACES[collection], 90);
	if (name === "id" && /faults/.test(operation.path))
		return g.name("fault", 90);
	if (collection === "problems")
		return g.pick(["invalid", "stale", "busy", "none"]);
	if (name === "listener") {
		const volume = config.volumes?.find((v) => v.name === operation.volume);
		const names = (volume?.source?.listeners ?? []).map((l) => l.name ?? l.type);
		return names.length && g.chance(85) ? g.pick(names) : "limit";
	}
	const p = operation.parameters.find((q) => q.in === "path" && q.name === name);
	return g.value(p.schema, name);
}

function makeUrl(operation) {
	const parameters = {};
	let url = operation.path.replace(/\{([^}]*)\}/g, (_, name) => {
		parameters[name] = pathParameter(operation, name);
		operation.volume = parameters.name;
		return encodeURIComponent(parameters[name]);
	});
	const query = new URLSearchParams();
	for (const p of operation.parameters.filter((q) => q.in === "query")) {
		if (p.name === "dryRun" || (!p.required && !g.chance(p.name === "cascade" ? 60 : 15)))
			continue;
		const value = g.chance(6) ? g.junk() : g.value(p.schema, p.name);
		query.set(p.name, String(value).toWellFormed());
	}
	if (g.chance(1))
		query.set("dryrun", "true");
	url += query.size ? `?${query}` : "";
	return {url, parameters};
}

function makeBody(operation, headers, parameters) {
	const spec = operation.spec.requestBody;
	if (!spec)
		return {text: g.chance(1) ? "{}" : "", json: undefined};
	headers["content-type"] = "application/json";
	let json = fillLists(g, g.value(spec.content["application/json"].schema));
	if (g.chance(80))
		json = sameObject(operation, json, parameters);
	if (g.chance(20))
		json = g.spoil(json);
	let text = JSON.stringify(tame(json));
	if (g.chance(3))
		text = g.tear(text);
	if (g.chance(2))
		headers["content-type"] = g.pick(["text/plain", "application/xml", "application/jsonx", ""]);
	return {text, json: tame(json)};
}

/* For PUT: mostly what stands in the path. */
function sameObject(operation, json, parameters) {
	if (operation.method !== "put" || !json || typeof json !== "object" || Array.isArray(json))
		return json;
	const old = config.exports?.find((x) => x.id === String(Object.values(parameters)[0]));
	const names = named(operation, parameters, old);
	const known = operation.spec.requestBody.content["application/json"].schema.$ref?.split("/").at(-1);
	const properties = contract.document.components.schemas[known]?.properties ?? {};
	const fitting = Object.entries(names).filter(([name]) => properties[name]);
	const {name, ...rest} = json;
	return {...(operation.id === "replaceTarget" ? rest : json), ...Object.fromEntries(fitting)};
}

/* Nothing that takes the machine's memory or disk; no fault that ends by itself while
 * others are watched for what they change. */
function tame(json) {
	return JSON.parse(JSON.stringify(json), (key, value) => {
		if (["size", "max_size", "length"].includes(key) && value > 2 ** 26 && value < 2 ** 52)
			return 2 ** 24;
		if (key === "duration_seconds" && value >= 1 && value < 86400)
			return 86400;
		if (key === "path" && String(value).startsWith("/"))
			return "a.raw";
		return value;
	});
}

async function ifMatch(operation, url) {
	if (g.chance(75))
		return "*";
	const object = contract.find("GET", url.split("?")[0]);
	if (object && g.chance(70)) {
		const {headers} = await root.send("GET", url.split("?")[0]);
		if (headers.etag)
			return headers.etag;
	}
	return g.pick(["\"0\"", "\"nonsense\"", "W/\"1\"", "x", ""]) || undefined;
}

/* -- jobs --------------------------------------------------------------------- */

/* Number -> volume: jobs of which we do not know that they have ended. One that
 * swaps a bottom changes its volume when it is done, whatever is asked then. */
const working = new Map();

async function lookAtJobs() {
	for (const id of working.keys()) {
		const {json} = await asks.send("GET", `/api/v1/jobs/${id}`);
		if (json?.ended === null)
			continue;
		await look();
		working.delete(id);
	}
}

const byJob = ({what}) => [...working.values()].some((volume) => what === `volume ${volume}`);

/* -- one round ---------------------------------------------------------------- */

const faults = [];
const blame = (request, text) => faults.push(`${request.operation.id} ${request.url}: ${text}\n` +
	`${request.text.slice(0, 300)}\n-> ${request.answer?.status} ${request.answer?.body.slice(0, 300)}`);

async function make(operation) {
	const headers = {};
	const {url, parameters} = makeUrl(operation);
	const {text, json} = makeBody(operation, headers, parameters);
	if (operation.takes("If-Match") && g.chance(95)) {
		const match = await ifMatch(operation, url);
		if (match)
			headers["if-match"] = match;
	}
	if (operation.takes("Idempotency-Key") && g.chance(10))
		headers["idempotency-key"] = `key-${SEED}-${recorder.count}`;
	return {operation, url, parameters, text, json, headers};
}

const sendTo = (client, {operation, url, text, headers}, more = "") => client.send(
	operation.method.toUpperCase(), more ? `${url}${url.includes("?") ? "&" : "?"}${more}` : url,
	{body: text, headers});

/* Said in another way, it may be the same. */
const isSame = ({kind, before, after}) => before && after &&
	JSON.stringify(canonical(kind, before)) === JSON.stringify(canonical(kind, after));

/* What a dry run says, as difference() says it; null if it was refused. */
async function foretell(request) {
	await lookAtJobs();
	const {status, json} = await sendTo(root, {...request,
		headers: {...request.headers, "idempotency-key": undefined}}, "dryRun=true");
	if (await look() && !working.size)
		blame(request, "a dry run has changed something");
	if (status !== 200)
		return null;
	return (json.changes ?? []).filter((c) => KINDS.includes(c.kind) && !isSame(c))
		.map((c) => ({what: `${c.kind} ${wholeId(c.kind, c.id)}`,
			operation: c.operation}))
		.filter((c, i, all) => all.findIndex((d) => d.what === c.what) === i)
		.sort((a, b) => (a.what < b.what ? -1 : 1));
}

const entryOf = (operation, parameters, body, made) => {
	const [, collection] = /^\/api\/v1\/([a-z]+)/.exec(operation.path) ?? [];
	const kind = PLACES[collection];
	const list = config[collection] ?? [];
	if (kind === "export" && operation.method === "post")
		return list.find((x) => idOf(kind, x) === made?.id);
	const id = String(Object.values(parameters)[0] ?? (body && idOf(kind, body)));
	const same = kind === "target" ? (x) => x.toLowerCase() === id.toLowerCase() : (x) => x === id;
	const named = list.find((x) => same(idOf(kind, x)));
	// an export has two names
	return named ?? (kind === "export"
		? list.find((x) => `${x.target},${x.lun}`.toLowerCase() === id.toLowerCase()) : undefined);
};

async function round(operation) {
	const request = await make(operation);
	const changing = CHANGING.includes(operation.method);
	if (changing && g.chance(3)) {
		request.answer = await sendTo(nobody, request);
		if (operation.role !== "public" && request.answer.status !== 401 && request.answer.status !== 400)
			blame(request, "nobody was let in");
	}
	const foretold = operation.takes("dryRun") && g.chance(15) ? await foretell(request) : null;
	await lookAtJobs();
	const before = state, oldTag = tag;
	const old = changing ? entryOf(operation, request.parameters, request.json) : null;
	request.answer = await sendTo(root, request);
	if (!changing)
		return;
	const changed = await look();
	if (request.answer.status >= 300)
		return changed && !working.size && blame(request, `it was refused, and yet something has changed: ${JSON.stringify(difference(before, state))}`);
	await accepted(request, {before, old, oldTag, changed, foretold});
}

async function accepted(request, {before, old, oldTag, changed, foretold}) {
	const {operation, parameters, json: body, headers} = request;
	if (request.answer.status === 202 && request.answer.json?.volume)
		working.set(request.answer.json.id, request.answer.json.volume);
	const steps = difference(before, state).filter((step) => !byJob(step));
	for (const fault of judgeStep({operation, parameters, body, before, after: state, old,
		entry: entryOf(operation, parameters, body, request.answer.json), byJob}))
		blame(request, fault);
	if (changed && tag === oldTag)
		blame(request, "the configuration has changed, but not its ETag");
	if (foretold && !foretold.some(byJob) && JSON.stringify(foretold) !== JSON.stringify(steps))
		blame(request, `the dry run said ${JSON.stringify(foretold)}, it was ${JSON.stringify(steps)}`);
	if (operation.takes("If-Match") && headers["if-match"]?.includes("nonsense"))
		blame(request, "a stale If-Match was accepted");
	if (headers["idempotency-key"])
		await again(request);
	remember(request);
}

/* A secret that an answer shows once is not kept for a second one. */
const kept = (json) => json && "token" in json ? {...json, token: null} : json;

async function again(request) {
	const second = await sendTo(root, request);
	const told = ({status, json, headers: {etag, location}}) => JSON.stringify([status, json, etag, location]);
	if (told(second) !== told({...request.answer, json: kept(request.answer.json)}))
		blame(request, `the same key was answered ${second.status} ${second.body.slice(0, 200)}`);
	if (await look() && !working.size)
		blame(request, "the same key has changed something again");
	if (request.text) {
		const other = await sendTo(root, {...request, text: `${request.text} `});
		if (![422, 200, 201, 202, 204].includes(other.status))
			blame(request, `the same key with another body: ${other.status}`);
		await look();
	}
}

/* Names that the configuration does not have. */
function remember({operation, answer}) {
	const kind = {createUser: "user", createToken: "token", startJob: "job", addFault: "fault", createSnapshot: "snapshot", revertSnapshot: "snapshot"}[operation.id];
	if (!kind)
		return;
	if (answer.json?.token)
		recorder.secrets.set(answer.json.token, "a token");
	const list = g.pool[kind] ??= [];
	list.push(kind === "snapshot" ? answer.json?.name : answer.json?.id ?? answer.json?.name);
	if (list.length > 20)
		list.shift();
}

/* -- all ---------------------------------------------------------------------- */

console.log(`# API_FUZZ_SEED=${SEED}`);
const served = await servedOperations();
hasConfig = served.some((o) => o.id === "getConfig");
await look();
if (served.some((o) => o.id === "createUser")) {
	await root.send("POST", "/api/v1/users", {json: {name: "alice", role: "operator"}});
	g.pool.user = ["alice"];
}
const total = served.reduce((sum, o) => sum + (WEIGHTS[o.id] ?? 10), 0);
function choose() {
	let at = g.number(2 ** 20) / 2 ** 20 * total;
	return served.find((o) => (at -= WEIGHTS[o.id] ?? 10) < 0) ?? served[0];
}

/* A long run says how far it is, and what it has found so far. */
const STEP = 20000;
let failure = "", shown = STEP, told = 0;
function tellProgress() {
	const found = [...faults, ...recorder.faults];
	console.log(`# ${recorder.count} of ${RUNS} requests, ${found.length} faults`);
	if (found.length > told)
		console.log(found.join("\n").replace(/^/gm, "#   "));
	told = found.length;
	shown += STEP;
}

try {
	while (recorder.count < RUNS && faults.length + recorder.faults.length < 200) {
		await round(choose());
		if (recorder.count >= shown)
			tellProgress();
	}
} catch (error) {
	failure = error.stack;
}
ok(failure === "" && recorder.count >= RUNS, `${recorder.count} requests were answered`, failure);
none(recorder.faults, "every answer is as the contract says, without secrets");
none(faults, "what was accepted changed what it said, and nothing else did");
const never = served.filter((o) => ![...recorder.seen.keys()].some((key) => new RegExp(`^${o.id} 2`).test(key)));
console.log(`# ${served.length} operations; never with success: ${never.map((o) => o.id).join(" ") || "none"}`);

async function bundleText() {
	if (!served.some((o) => o.id === "getBundle"))
		return "";
	const answer = await root.raw("/api/v1/system/bundle");
	return gunzipSync(answer).toString("latin1");
}
if (!failure) {
	const places = {log: readFileSync(daemon.log, "utf8"), bundle: await bundleText()};
	none(Object.entries(places).flatMap(([place, text]) => [...recorder.secrets].filter(
		([secret]) => text.includes(secret)).map(([, name]) => `${place}: ${name}`)), "neither log nor bundle has a secret");
}
root.close();
asks.close();
nobody.close();
ok(daemon.alive, "the daemon is alive");
const end = await daemon.stop();
ok(end === "", "it ends in good order", end);
finish();
