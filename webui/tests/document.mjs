// SPDX-License-Identifier: Apache-2.0
/*
 * The published JSON Schema of the appliance document against the daemon: what the
 * daemon takes is valid, what it answers is valid, and of mistakes that people make
 * both say that they are some.
 */
import {execFileSync} from "node:child_process";
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {Daemon, open} from "./daemon.mjs";
import {finish, none, ok} from "./tap.mjs";

const BUILD = process.env.BUILD ?? "build/asan";
const read = (path) => JSON.parse(execFileSync(join(BUILD, "yaml-to-json"), [path]));
const demo = read("etc/demo.yaml");

const daemon = new Daemon();
/* The daemon of tests has one portal. */
await daemon.start(readFileSync("etc/demo.yaml", "utf8").replace("main, main6", "main"));
const {contract, recorder, root} = await open(daemon);
const validate = contract.requests.getSchema("https://cairn.invalid/api/v1/schemas/appliance");

const why = () => JSON.stringify(validate.errors?.[0]);
const accepts = async (json) => {
	const answer = await root.send("PUT", "/api/v1/config?dryRun=true",
		{json, headers: {"if-match": "*"}});
	return [answer.status === 200, answer.body, answer.status === 422 ? answer.json.errors[0].pointer : ""];
};

/* -- a document that has everything ------------------------------------------- */

const whole = () => ({
	volumes: [
		{name: "base", source: {protocol: {type: "mem", size: "4MiB"}}},
		{name: "db01", uuid: "2b1f3ad6-8a77-4a1f-9d3e-6f0d0f2f6a11", block_size: 4096,
			physical_block_size: "4K", read_only: false, removable: true, thin: true,
			vendor: "CAIRN", product: "VOLUME",
			source: {listeners: [{type: "throttle", name: "limit", iops: 20000}],
				format: {type: "raw", file: {protocol: {type: "mem", size: 4194304}}}, view: "current"}},
		{name: "alias", source: {source: "base", listeners: [{type: "stats"}]}},
		{name: "twice", source: {listeners: [{type: "mirror", leg: {protocol: {type: "mem", size: "4MiB"}}},
			{type: "fault", rules: [{op: "write", error: "EIO", offset: "1MiB", count: 3, name: "one"}]}],
			protocol: {type: "mem", size: "4MiB"}}},
	],
	hosts: [
		{name: "any", iscsi: {iqn: ["*"]}},
		{name: "web1", addresses: ["127.0.0.0/8", "::1"], iscsi: {iqn: ["iqn.1993-08.org.debian:01:ab", "eui.02004567a425678d"],
			chap: {user: "web1", secret: "open-sesame-17", weak_hashes: "forbidden",
				mutual: {user: "cairn", secret: "open-sesame-18"}}}},
		{name: "web2", iscsi: {iqn: ["iqn.1993-08.org.debian:01:cd*"], chap: null}},
	],
	targets: [{iqn: "iqn.2026-11.example.cairn:db01", alias: "database", portals: ["main"]}, {name: "base"}],
	exports: [
		{volume: "db01", target: "iqn.2026-11.example.cairn:db01", lun: 0, hosts: ["web1", "any"]},
		{volume: "base", target: "base", lun: 16383, hosts: ["web2"], read_only: true},
	],
	schedules: [
		{name: "nightly", volumes: ["db01", "base"], group: true, enabled: false, every: "week", at: "02:30",
			weekday: "monday", zone: "Europe/Berlin", keep: {latest: 1, hourly: 2, daily: 7, weekly: 4, monthly: 12, yearly: 3}},
		{name: "often", volumes: ["base"], every: "15m", keep: {latest: 8}},
		{name: "outside", volumes: ["db01"], every: "hour", kind: "external", directory: "a/b", file: "{volume}.{time}.qcow2",
			placement: {limit: "both"}, keep: {hourly: 12}},
	],
});

/* A change of it, by a path of keys; undefined takes away. */
function altered(path, value) {
	const document = whole();
	const keys = path.split(".");
	const last = keys.pop();
	const at = keys.reduce((node, key) => node[key], document);
	if (value === undefined)
		delete at[last];
	else
		at[last] = value;
	return document;
}

const MISTAKES = {
	"a list that is a map": ["volumes", {}],
	"an unknown list": ["volume", []],
	"an unknown member": ["volumes.0.comment", "x"],
	"no name": ["volumes.0.name", undefined],
	"a name with a blank": ["volumes.0.name", "my disk"],
	"a name that is a number": ["volumes.0.name", 7],
	"no source": ["volumes.0.source", undefined],
	"an empty source": ["volumes.0.source", {}],
	"a source with two bottoms": ["volumes.0.source.source", "base"],
	"an unknown driver": ["volumes.0.source.protocol.type", "floppy"],
	"an option that the driver has not": ["volumes.0.source.protocol.colour", "red"],
	"an option of the wrong type": ["volumes.0.source.protocol.size", true],
	"a size that is none": ["volumes.0.source.protocol.size", "4 megabytes"],
	"a listener without a type": ["volumes.1.source.listeners", [{name: "x"}]],
	"a block size that there is not": ["volumes.1.block_size", 1024],
	"a block size as a text": ["volumes.1.block_size", "4096"],
	"a UUID that is none": ["volumes.1.uuid", "2b1f3ad6"],
	"a vendor that is too long": ["volumes.1.vendor", "CAIRN LIMITED"],
	"a truth that is a text": ["volumes.1.thin", "yes"],
	"a host without iscsi": ["hosts.0.iscsi", undefined],
	"a host without names": ["hosts.0.iscsi.iqn", []],
	"a name that is no list": ["hosts.0.iscsi.iqn", "*"],
	"an empty list of addresses": ["hosts.0.addresses", []],
	"CHAP without a secret": ["hosts.1.iscsi.chap.secret", undefined],
	"CHAP without a user": ["hosts.1.iscsi.chap.user", undefined],
	"a secret that is too short": ["hosts.1.iscsi.chap.secret", "sesame"],
	"two secrets": ["hosts.1.iscsi.chap.secret_file", "x"],
	"hashes that there are not": ["hosts.1.iscsi.chap.weak_hashes", "maybe"],
	"mutual CHAP without a secret": ["hosts.1.iscsi.chap.mutual.secret", undefined],
	"a target with two names": ["targets.0.name", "db01"],
	"a target without a name": ["targets.1.name", undefined],
	"a target at no portal": ["targets.0.portals", []],
	"an export without a volume": ["exports.0.volume", undefined],
	"an export without a LUN": ["exports.0.lun", undefined],
	"a LUN that is too large": ["exports.0.lun", 16384],
	"a LUN below zero": ["exports.0.lun", -1],
	"an export to nobody": ["exports.0.hosts", []],
	"an export to one that is no list": ["exports.0.hosts", "web1"],
	"an export without hosts": ["exports.0.hosts", undefined],
	"a schedule of no volume": ["schedules.0.volumes", []],
	"a schedule of one volume twice": ["schedules.0.volumes", ["base", "base"]],
	"a schedule without a period": ["schedules.0.every", undefined],
	"a period that there is not": ["schedules.1.every", "fortnight"],
	"a time of a day that there is not": ["schedules.0.at", "24:00"],
	"a day that there is not": ["schedules.0.weekday", "someday"],
	"a schedule that says not what stays": ["schedules.0.keep", undefined],
	"a kind of snapshots that there is not": ["schedules.2.kind", "remote"],
	"a directory elsewhere": ["schedules.2.directory", "../b"],
	"a file with a blank": ["schedules.2.file", "{volume} {time}"],
	"a place that there is not": ["schedules.2.placement", {limit: "up"}],
	"a name too long for a schedule": ["schedules.0.name", "n".repeat(41)],
};

/* What stands in the place of another value: the answer says what may. */
const ALLOWED = {
	"volumes.1.block_size": [1024, "none of: 512, 4096"],
	"volumes.0.source.protocol.type": ["floppy", "there are: file, mem, null"],
	"volumes.0.comment": ["x", "allowed are: name, source, "],
	"hosts.1.iscsi.chap.weak_hashes": ["maybe", "none of: allowed, forbidden"],
	"exports.0.lun": [-1, "0 to 16383 is allowed"],
	"exports.1.lun": [16384, "0 to 16383 is allowed"],
	"schedules.2.kind": ["remote", "none of: internal, external"],
	"schedules.2.placement.limit": ["up", "head, image, both, drop"],
	"schedules.0.weekday": ["someday", "none of: sunday, monday"],
	"schedules.1.every": ["fortnight", "hour, day, week, month"],
	"schedules.0.at": ["half past two", "00:00 to 23:59"],
	"volumes.1.source.listeners.0.type": ["trottle", "there are: "],
	"volumes.1.source.format.type": ["vmdk", "there are: "],
};

/* -- all ---------------------------------------------------------------------- */

ok(validate(demo), "the document of the demo is valid", why());
const kept = (await root.send("GET", "/api/v1/config")).json;
ok(validate(kept), "so is what the daemon says that it has", why());

ok(validate(whole()), "a document that has everything is valid", why());
const [taken, body] = await accepts(whole());
ok(taken, "the daemon takes it", body);
for (const [name, [path, value]] of Object.entries(MISTAKES)) {
	const document = altered(path, value);
	ok(!validate(document), `the schema sees: ${name}`);
	const [accepted, answer, pointer] = await accepts(document);
	/* It, something in it, or what lacks it. */
	const place = `/${path.replaceAll(".", "/")}`;
	ok(!accepted && (pointer.startsWith(place) || (pointer && pointer === place.replace(/\/[^/]*$/, ""))),
		`the daemon sees, and says where: ${name}`, answer);
}

for (const [path, [value, allowed]] of Object.entries(ALLOWED)) {
	const [, answer] = await accepts(altered(path, value));
	ok(answer.includes(allowed), `it says what is allowed: ${path}`, answer);
}

const put = await root.send("PUT", "/api/v1/config", {json: whole(), headers: {"if-match": "*"}});
ok(put.status === 200, "it comes into force", put.body);
const now = (await root.send("GET", "/api/v1/config")).json;
ok(validate(now), "what is in force is valid", why());
ok(now.hosts[1].iscsi.chap.secret === null, "and has no secret");

/* -- order ----------------------------------------------------------------------- */

/* The same, each map written from its end. */
const reversed = (node) => Array.isArray(node) ? node.map(reversed)
	: node === null || typeof node !== "object" ? node
		: Object.fromEntries(Object.entries(node).reverse().map(([key, value]) => [key, reversed(value)]));
const published = (await root.send("GET", "/api/v1/schemas/appliance")).json.$defs;
const drivers = (await root.send("GET", "/api/v1/schemas/source")).json.$defs;

async function exported(document) {
	await root.send("PUT", "/api/v1/config", {json: {volumes: [], hosts: [], targets: [], exports: [], schedules: []},
		headers: {"if-match": "*"}});
	await root.send("PUT", "/api/v1/config", {json: document, headers: {"if-match": "*"}});
	const {body, json} = await root.send("GET", "/api/v1/config");
	const yaml = await root.send("GET", "/api/v1/config", {headers: {accept: "application/yaml"}});
	return {body, json, yaml: yaml.body};
}
const one = await exported(whole()), other = await exported(reversed(whole()));
ok(one.body === other.body && one.yaml === other.yaml, "it is exported the same, however it was written", one.body, other.body);
const listener = (type) => drivers.listener.oneOf.find((kind) => kind.title === type);
const stands = {
	"the whole": [one.json, published.appliance.properties],
	"a volume": [one.json.volumes[1], published.volume.properties],
	"a source": [one.json.volumes[1].source, drivers.source.properties],
	"a listener": [one.json.volumes[1].source.listeners[0],
		{...listener("throttle").properties, ...listener("throttle").allOf[0].properties}],
	"a source below": [one.json.volumes[3].source.listeners[0].leg.protocol, {type: 1, size: 2}],
	"a rule": [one.json.volumes[3].source.listeners[1].rules[0], drivers.rule.properties],
	"how a host proves itself": [one.json.hosts[1].iscsi.chap, published.chap.properties],
	"a schedule": [one.json.schedules[0], published.schedule.properties],
};
for (const [name, [map, properties]] of Object.entries(stands))
	ok(Object.keys(map).join() === Object.keys(properties).filter((key) => key in map).join(),
		`${name} is exported in the order of the schema`, Object.keys(map));
none(recorder.faults, "every answer is as the contract says");
root.close();
const end = await daemon.stop();
ok(end === "", "it ends in good order", end);
finish();
