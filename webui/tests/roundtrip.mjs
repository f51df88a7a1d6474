// SPDX-License-Identifier: Apache-2.0
/*
 * What is exported can be imported, and the way back through the history is one: random
 * documents (documents.mjs) are applied one after the other, as JSON and as YAML;
 *
 *	what is exported is what was applied, without its secrets
 *	the export, in either language, applied elsewhere is exported the same, and
 *	applied here changes nothing
 *	what is refused changes nothing
 *	going back to any change that is kept gives what was exported after it; the
 *	history keeps 100
 *
 * ROUNDTRIP_SEEDS documents (30); ROUNDTRIP_SEED is one that is to be seen again.
 */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {Daemon, open} from "./daemon.mjs";
import {Documents} from "./documents.mjs";
import {finish, none, ok} from "./tap.mjs";

const COUNT = Number(process.env.ROUNDTRIP_SEEDS ?? 30);
const ONE = process.env.ROUNDTRIP_SEED;
const SEEDS = ONE ? [Number(ONE)] : Array.from({length: COUNT}, (_, i) => i + 1);
const KEPT = 100;
const EMPTY = Object.fromEntries(["volumes", "hosts", "targets", "exports", "schedules"].map((list) => [list, []]));

async function appliance(document) {
	const daemon = new Daemon();
	const folder = join(daemon.directory, "state/secrets");
	mkdirSync(folder, {recursive: true, mode: 0o700});
	for (const name of ["chap", "mutual"])
		writeFileSync(join(folder, `${name}.secret`), `in-a-file-${name}\n`, {mode: 0o600});
	await daemon.start(document);
	return {daemon, ...await open(daemon)};
}
async function stop({daemon, root, asks}) {
	root.close();
	asks.close();
	return daemon.stop();
}

const get = async (at, accept = "application/json") => (await at.root.send("GET", "/api/v1/config", {headers: {accept}}));
const put = (at, json, url = "/api/v1/config") => at.root.send("PUT", url, {json, headers: {"if-match": "*"}});
const putYaml = (at, body) => at.root.send("PUT", "/api/v1/config", {body, headers: {"if-match": "*", "content-type": "application/yaml"}});

const faults = [];
const text = (json) => JSON.stringify(json);
function same(seed, what, one, other) {
	if (text(one) === text(other))
		return true;
	const key = Object.keys({...one, ...other}).find((name) => text(one[name]) !== text(other[name]));
	faults.push(`seed ${seed}: ${what}: ${key}:\n${text(one[key])}\n${text(other[key])}`);
	return false;
}

/* A document as it is to be exported: no secrets, what was made for it put in. */
function expected(document, exported) {
	const wanted = structuredClone(document);
	for (const {iscsi} of wanted.hosts)
		for (const chap of [iscsi.chap, iscsi.chap?.mutual])
			if (chap?.secret)
				chap.secret = null;
	wanted.volumes.forEach((volume, i) => {
		const {uuid} = exported.volumes[i] ?? {};
		if (!volume.uuid && uuid)
			Object.assign(volume, {uuid});
	});
	return Object.fromEntries(Object.entries(wanted).map(([key, list]) => [key, list.map(sorted)]));
}
/* The order of members says nothing. */
function sorted(value) {
	if (Array.isArray(value))
		return value.map(sorted);
	if (value === null || typeof value !== "object")
		return value;
	return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
const lists = (document) => Object.fromEntries(["volumes", "hosts", "targets", "portals", "exports", "schedules"].map(
	(list) => [list, sorted(document[list] ?? [])]));

/* What came back stands where it can, which need not be where it was. */
const unordered = (document) => Object.fromEntries(Object.entries(lists(document)).map(
	([key, list]) => [key, list.map(text).sort()]));

/* -- documents ------------------------------------------------------------------ */

const used = new Set();
const here = await appliance(), there = await appliance();
const moments = new Map(); // number in the history -> what was exported
const newest = async (at) => (await at.root.send("GET", "/api/v1/history?limit=1")).json.items[0]?.number ?? 0;

async function apply(seed, document) {
	const before = await get(here);
	const answer = await put(here, document);
	if (answer.status === 200)
		return true;
	const after = await get(here);
	if (before.body !== after.body || before.headers.etag !== after.headers.etag)
		faults.push(`seed ${seed}: refused, and yet something has changed`);
	/* What is there may not become that while it runs: from nothing it can. */
	const emptied = await put(here, EMPTY);
	const again = emptied.status === 200 ? await put(here, document) : emptied;
	if (again.status === 200)
		return true;
	faults.push(`seed ${seed}: not taken: ${again.body}\n${text(document)}`);
	return false;
}

async function roundTrip(seed) {
	const documents = new Documents(seed);
	const document = documents.make();
	documents.used.forEach((what) => used.add(what));
	if (!await apply(seed, document))
		return;
	const exported = (await get(here)).json, yaml = (await get(here, "application/yaml")).body;
	moments.set(await newest(here), exported);
	same(seed, "exported is not what was applied", lists(expected(document, exported)), lists(exported));
	const {json: plan} = await put(here, exported, "/api/v1/config?dryRun=true");
	if (plan.changes?.length !== 0)
		faults.push(`seed ${seed}: applied where it came from, it would change ${text(plan).slice(0, 300)}`);
	/* Secrets are not exported: hosts have them first. */
	await put(there, {...EMPTY, hosts: document.hosts});
	const imported = seed % 2 ? await put(there, exported) : await putYaml(there, yaml);
	if (imported.status !== 200) {
		faults.push(`seed ${seed}: not imported: ${imported.body}\n${yaml}`);
		return;
	}
	same(seed, `imported as ${seed % 2 ? "JSON" : "YAML"} it is not what was exported`, exported, (await get(there)).json);
	if ((await get(there, "application/yaml")).body !== yaml)
		faults.push(`seed ${seed}: its YAML is another one`);
	if (seed % 10 === 1)
		await atAStart(seed, exported, yaml);
}

/* An appliance that nothing was ever kept of. */
async function atAStart(seed, exported, yaml) {
	let secrets = 0;
	const fresh = await appliance(yaml.replace(/secret: null/g, () => `secret: given-by-hand-${secrets++}`));
	same(seed, "applied at a start it is not what was exported", exported, (await get(fresh)).json);
	faults.push(...fresh.recorder.faults);
	const end = await stop(fresh);
	if (end)
		faults.push(`seed ${seed}: ${end}`);
}

/* -- back ------------------------------------------------------------------------- */

/* Hosts that are gone have lost their secrets: that is said, and what to do is done. */
async function restore(number) {
	const answer = await here.root.send("POST", `/api/v1/history/${number}/restore`, {headers: {"if-match": "*"}});
	const [, host] = /: no secret is kept for host "(.*)": give it, or make the host with one first$/.exec(answer.json.detail) ?? [];
	if (answer.status !== 422 || !host)
		return answer;
	refusals++;
	const present = await here.root.send("PUT", `/api/v1/hosts/${host}`, {json: {name: host, iscsi: {iqn: ["*"],
		chap: {user: "u", secret: "given-by-hand-1", mutual: {user: "c", secret: "given-by-hand-2"}}}}, headers: {"if-match": "*"}});
	return present.status === 200 ? restore(number) : here.root.send("POST", "/api/v1/hosts", {json: present.sent.body && JSON.parse(present.sent.body)})
		.then((made) => (made.status === 201 ? restore(number) : made));
}

let refusals = 0;
async function goBack(number) {
	const before = await get(here);
	const answer = await restore(number);
	const after = await get(here);
	if (answer.status === 200) {
		same(number, "back, it is not what was there", unordered(moments.get(number)), unordered(after.json));
		return true;
	}
	if (before.body !== after.body || before.headers.etag !== after.headers.etag)
		faults.push(`back to ${number}: refused, and yet something has changed`);
	faults.push(`back to ${number}: ${answer.body}`);
	return false;
}

async function historyKeeps() {
	await here.root.send("POST", "/api/v1/hosts", {json: {name: "counts", iscsi: {iqn: ["*"]}}});
	for (let i = 0; i < KEPT + 10; i++)
		await here.root.send("PUT", "/api/v1/hosts/counts", {json: {name: "counts", iscsi: {iqn: [`iqn.2004-01.org.example:${i}`]}}, headers: {"if-match": "*"}});
	const list = await here.root.list("/api/v1/history?limit=40");
	const last = await newest(here);
	const gone = await here.root.send("POST", `/api/v1/history/${last - KEPT}/restore`, {headers: {"if-match": "*"}});
	return list.length === KEPT && list[0].number === last && list.at(-1).number === last - KEPT + 1 &&
		gone.status === 404 && gone.json.detail.includes("keeps the latest 100");
}

/* -- all -------------------------------------------------------------------------- */

for (const seed of SEEDS)
	await roundTrip(seed);
none(faults.splice(0), `${SEEDS.length} documents: exported, imported, equal`);
const kinds = Object.entries(here.contract.requests.getSchema("https://cairn.invalid/api/v1/schemas/source").schema.$defs)
	.flatMap(([kind, {oneOf}]) => ["listener", "protocol", "format"].includes(kind) ? oneOf.map(({title}) => `${kind} ${title}`) : []);
if (!ONE && COUNT >= 30)
	none(kinds.filter((kind) => !used.has(kind)), `they had every kind: ${[...used].sort().join(", ")}`);

/* Each of them a change, after which the oldest is forgotten. */
const numbers = [...moments.keys()].slice(-30);
let back = 0;
for (let i = 0; i < numbers.length; i++) {
	const number = numbers[(i * 7 + 3) % numbers.length];
	back += await goBack(number);
	moments.set(await newest(here), (await get(here)).json);
}
none(faults.splice(0), `${back} times back to a change, whatever came and went since`);
ok(await historyKeeps(), `the history keeps ${KEPT}, and says so of what it has no more`);
none([...here.recorder.faults, ...there.recorder.faults], "every answer is as the contract says");
for (const at of [here, there]) {
	const end = await stop(at);
	ok(end === "", "it ends in good order", end);
}
finish();
