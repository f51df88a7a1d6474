// SPDX-License-Identifier: Apache-2.0
/*
 * What a change is refused for, its dry run is refused for: with the same status,
 * problem and pointers. Each row is a request that is well made and cannot be; it is sent as a dry
 * run, then as it is.
 */
import {createServer} from "node:net";
import {once} from "node:events";
import {Daemon, open} from "./daemon.mjs";
import {finish, none, ok} from "./tap.mjs";

const file = (name, size) => `{type: file, path: ${name}${size ? `, size: ${size}` : ""}}`;
const image = (name) => `{type: qcow2, size: 4MiB, file: {protocol: ${file(`${name}.qcow2`, "64KiB")}}}`;
const daemon = new Daemon();
await daemon.start(`
volumes:
  - {name: lower, source: {protocol: ${file("lower.raw", "4MiB")}}}
  - {name: upper, source: {source: lower}}
  - {name: plain, source: {protocol: {type: mem, size: 4MiB}}}
  - {name: little, source: {protocol: {type: mem, size: 1MiB}}}
  - {name: image, source: {format: ${image("image")}}}
  - {name: below, source: {format: ${image("below")}}}
  - {name: clone, source: {format: {type: qcow2, size: 4MiB, file: {protocol: ${file("clone.qcow2", "64KiB")}}, backing: {source: below}}}}
  - {name: moved, source: {listeners: [{type: stats, name: s1}, {type: stats, name: s2}], protocol: ${file("moved.raw", "4MiB")}}}
  - {name: one, source: {protocol: ${file("one.raw", "1MiB")}}}
  - {name: two, source: {protocol: ${file("two.raw", "1MiB")}}}
hosts: [{name: web1, iscsi: {iqn: ["*"]}}]
targets: [{name: db01}]
exports: [{volume: plain, target: db01, lun: 0, hosts: [web1]}]
`);
const {recorder, root} = await open(daemon);
const api = "/api/v1";

async function must(status, promise) {
	const answer = await promise;
	if (answer.status !== status)
		throw new Error(`${answer.method} ${answer.url}: ${answer.status} ${answer.body}`);
	return answer.json;
}
const config = async () => must(200, root.send("GET", `${api}/config`));

/* -- rows -------------------------------------------------------------------------- */

const attach = (volume, listener) => ({title: `attach ${listener.type} to ${volume}`, method: "POST",
	path: `/volumes/${volume}/listeners`, json: listener});
const source = (volume, json, title) => ({title: title ?? `another stack of ${volume}`, method: "PUT",
	path: `/volumes/${volume}/source`, json, match: true});
const create = (title, json) => ({title, method: "POST", path: "/volumes", json: {name: "new", ...json}});
const leg = (path, size) => ({protocol: {type: "file", path, ...(size && {size})}});

async function whole(title, edit) {
	const json = await config();
	edit(json);
	return {title, method: "PUT", path: "/config", json, match: true};
}

async function rows(port) {
	const db01 = await config();
	const volume = (name) => db01.volumes.find((v) => v.name === name);
	return [
		attach("upper", {type: "mirror", name: "m", leg: leg("leg.raw", "4MiB")}),
		attach("upper", {type: "backup", name: "m", target: leg("leg.raw", "4MiB")}),
		attach("upper", {type: "dirty", name: "m"}),
		attach("upper", {type: "cache", name: "m"}),
		attach("upper", {type: "verify", name: "m", sources: [{source: "plain"}]}),
		attach("plain", {type: "mirror", name: "m", leg: {source: "little"}}),
		attach("plain", {type: "mirror", name: "m", leg: "nobody"}),
		attach("lower", {type: "mirror", name: "m", leg: {source: "upper"}}),
		attach("plain", {type: "mirror", name: "m", leg: leg("nowhere.raw")}),
		attach("plain", {type: "mirror", name: "m", leg: leg("no/where.raw", "4MiB")}),
		attach("plain", {type: "mirror", name: "m", leg: leg("one.raw")}),
		{title: "a size that is no multiple", method: "POST", path: "/volumes/lower/resize", json: {size: 5000001}},
		{title: "a size while a job moves it", method: "POST", path: "/volumes/moved/resize", json: {size: "8MiB"}},
		source("moved", {protocol: {type: "mem", size: "4MiB"}}, "another bottom while a job moves it"),
		source("moved", {...volume("moved").source, listeners: [...volume("moved").source.listeners].reverse()},
			"another order while a job moves it"),
		source("plain", leg("nowhere.raw"), "a file that is not there"),
		source("plain", leg("one.raw"), "a file that another has"),
		source("plain", {source: "nobody"}, "a source that there is not"),
		source("lower", {source: "upper"}, "what stands on it"),
		create("a file that is not there", {source: leg("nowhere.raw")}),
		create("a folder that is not there", {source: leg("no/where.raw", "1MiB")}),
		create("a file that another volume has", {source: leg("one.raw")}),
		create("an image over a file that is not there", {source: {format: {type: "qcow2", size: "1MiB",
			file: leg("new.qcow2", "64KiB"), backing: leg("nowhere.raw")}}}),
		{title: "settings of what another stands on", method: "PATCH", path: "/volumes/lower", json: {read_only: true}, match: true},
		{title: "the end of what another stands on", method: "DELETE", path: "/volumes/lower", match: true},
		await whole("two volumes with other content", (json) => json.volumes.filter((v) => ["one", "two"].includes(v.name))
			.forEach((v) => { v.source = {protocol: {type: "mem", size: "1MiB"}}; })),
		await whole("a port that somebody has", (json) => json.portals.push({name: "busy", address: "127.0.0.1", port})),
		{title: "a snapshot of what keeps none", method: "POST", path: "/volumes/lower/snapshots", json: {name: "a"}},
		{title: "a snapshot of that name again", method: "POST", path: "/volumes/image/snapshots", json: {name: "monday"}},
		{title: "an external one in memory", method: "POST", path: "/volumes/plain/snapshots", json: {name: "a", external: true}},
		{title: "an external one while a job moves it", method: "POST", path: "/volumes/moved/snapshots", json: {name: "a", external: true}},
		{title: "one of several that keep none", method: "POST", path: "/snapshot-groups", json: {name: "g", volumes: ["image", "lower"]}},
		{title: "the end of a snapshot that is locked", method: "DELETE", path: "/volumes/image/snapshots/locked"},
		{title: "the end of a snapshot that is shown", method: "DELETE", path: "/volumes/image/snapshots/monday"},
		{title: "a job on what moves", method: "POST", path: "/jobs", json: {volume: "moved", kind: "migrate", options: {to: leg("m2.raw", "4MiB")}}},
		{title: "a commit without a backing file", method: "POST", path: "/jobs", json: {volume: "image", kind: "commit"}},
		{title: "a flatten without a backing file", method: "POST", path: "/jobs", json: {volume: "image", kind: "flatten"}},
		{title: "a migration to what another has", method: "POST", path: "/jobs", json: {volume: "plain", kind: "migrate", options: {to: leg("one.raw", "4MiB")}}},
	];
}

/* -- each, twice -------------------------------------------------------------------- */

const faults = [];
let count = 0;

/* What is opened has another name than what is only named, so details may differ. */
const words = (answer) => JSON.stringify([answer.status, answer.json?.type, answer.json?.errors?.map((e) => e.pointer)]);

async function judge({title, method, path, json, match}) {
	const send = (query) => root.send(method, `${api}${path}${query}`,
		{...(json !== undefined && {json}), ...(match && {headers: {"if-match": "*"}})});
	const dry = await send("?dryRun=true");
	const real = await send("");
	count++;
	if (real.status < 400 || real.status >= 500)
		faults.push(`${title}: it was to be refused: ${real.status} ${real.body}`);
	else if (words(dry) !== words(real))
		faults.push(`${title}: as a dry run ${dry.status} ${dry.body}, as it is ${real.status} ${real.body}`);
}

const server = createServer().listen(0, "127.0.0.1");
let failure = "";
try {
	await once(server, "listening");
	const make = (path, json, status = 201) => must(status, root.send("POST", `${api}${path}`, {json}));
	await make("/volumes/image/snapshots", {name: "monday"});
	await make("/volumes/image/snapshots", {name: "locked"});
	await make("/volumes/below/snapshots", {name: "first"});
	await must(200, root.send("PUT", `${api}/volumes/image/snapshots/locked/lock`,
		{json: {until: "2100-01-01T00:00:00Z"}, headers: {"if-match": "*"}}));
	await make("/volumes", {name: "monday", read_only: true, source: {source: "image", view: {snapshot: "monday"}}});
	await make("/jobs", {volume: "moved", kind: "migrate", rate_bytes: 4096, options: {to: leg("m.raw", "4MiB")}}, 202);
	for (const row of await rows(server.address().port))
		await judge(row);
} catch (error) {
	failure = error.stack;
}
server.close();
ok(failure === "" && count > 35, `${count} changes were refused`, failure);
none(faults, "each as its dry run was");
none(recorder.faults, "every answer is as the contract says");
root.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
