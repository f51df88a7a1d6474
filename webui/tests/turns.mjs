// SPDX-License-Identifier: Apache-2.0
/*
 * Many who change one object at the same time: what each of them asked for is there
 * afterwards. Who names the version that he saw changes that one or nothing: of several
 * who name the same one is served, and the others are told (412).
 */
import net from "node:net";
import {isDeepStrictEqual} from "node:util";
import {Daemon, open} from "./daemon.mjs";
import {finish, none, ok} from "./tap.mjs";

const daemon = new Daemon();
await daemon.start(`
volumes:
  - name: db01
    source:
      listeners: [{type: throttle, name: known}]
      protocol: {type: file, path: db01.raw, size: 4MiB}
  - {name: image, source: {format: {type: qcow2, size: 4MiB, file: {protocol: {type: file, path: i.qcow2, size: 64KiB}}}}}
hosts:
  - {name: web1, iscsi: {iqn: ["iqn.1993-08.org.debian:01:ab"]}}
  - {name: web2, iscsi: {iqn: ["iqn.1993-08.org.debian:01:cd"]}}
targets: [{name: db01}, {name: many}]
exports: [{volume: db01, target: db01, lun: 0, hosts: [web1]}]
schedules: [{name: nightly, volumes: [image], every: day, at: "02:30", keep: {daily: 7}}]
`);
const {recorder, root} = await open(daemon);
root.agent.maxSockets = 64;
const exported = (await root.list("/api/v1/exports"))[0].id;
const made = await root.send("POST", "/api/v1/users", {json: {name: "eve", role: "viewer"}});
ok(made.status === 201, "a user is made", made.body);

const get = async (path) => (await root.send("GET", `/api/v1${path}`)).json;
const any = {"if-match": "*"};
const patch = (path, json) => ["PATCH", path, json, any];
const post = (path, json) => ["POST", path, json, {}];
const range = (count) => Array.from({length: count}, (_, i) => i);

/* All of them at once; what each was answered, in their order. */
const atOnce = (asked) => Promise.all(asked.map(([method, path, json, headers]) =>
	root.send(method, `/api/v1${path}`, {json, headers})));

/* -- nothing is lost --------------------------------------------------------------- */

const IQN = "iqn.2026-11.example.cairn";
const RULE = {op: "read", offset: 0, length: 512, count: 0, delay_us: 1, duration_seconds: 3600};
const named = (list) => Object.fromEntries((list ?? []).map((one) => [one.name, one]));

async function volumeSeen() {
	const volume = await get("/volumes/db01");
	const stack = named(volume.source.listeners);
	return {...volume, size: volume.source.protocol.size, known: stack.known,
		stats: range(8).map((i) => `s${i}` in stack),
		iops: (await get("/volumes/db01/qos")).iops,
		faults: new Set((await get("/volumes/db01/faults")).items.map((one) => one.id)).size};
}

/* What is asked for at once, and what is to be seen afterwards. */
const cases = {
	"a volume": {
		asked: [patch("/volumes/db01", {thin: true}), patch("/volumes/db01", {vendor: "ACME"}),
			patch("/volumes/db01", {product: "DISK"}), patch("/volumes/db01", {space_wait: 5}),
			patch("/volumes/db01", {removable: true}),
			...range(8).map((i) => post("/volumes/db01/listeners", {type: "stats", name: `s${i}`})),
			patch("/volumes/db01/listeners/known", {iops: 1000001}),
			patch("/volumes/db01/listeners/known", {burst: 7}),
			["PUT", "/volumes/db01/qos", {iops: 1000000}, any],
			...range(6).map(() => post("/volumes/db01/faults", RULE)),
			post("/volumes/db01/resize", {size: "8MiB"})],
		seen: volumeSeen,
		wanted: {thin: true, vendor: "ACME", product: "DISK", space_wait: 5, removable: true, size: "8MiB",
			known: {type: "throttle", name: "known", iops: 1000001, burst: 7},
			stats: range(8).map(() => true), iops: 1000000, faults: 6},
	},
	"what a volume has, taken away": {
		asked: [...range(8).map((i) => ["DELETE", `/volumes/db01/listeners/s${i}`, undefined, any]),
			...range(6).map((i) => ["DELETE", `/volumes/db01/faults/f${i + 1}`, undefined, any]),
			["DELETE", "/volumes/db01/qos", undefined, any],
			patch("/volumes/db01", {vendor: "OTHER"})],
		seen: volumeSeen,
		wanted: {vendor: "OTHER", stats: range(8).map(() => false), iops: 0, faults: 0},
	},
	"a host": {
		asked: [patch("/hosts/web1", {addresses: ["192.0.2.0/24"]}),
			patch("/hosts/web1", {iscsi: {iqn: ["iqn.1993-08.org.debian:01:ef"]}}),
			["PUT", "/hosts/web1/secret", {user: "web1", secret: "a-secret-of-16-bytes"}, any]],
		async seen() {
			const {addresses, iscsi: {iqn, chap}} = await get("/hosts/web1");
			return {addresses, iqn, user: chap?.user};
		},
		wanted: {addresses: ["192.0.2.0/24"], iqn: ["iqn.1993-08.org.debian:01:ef"], user: "web1"},
	},
	"a target": {
		asked: [patch(`/targets/${IQN}:db01`, {alias: "data"}), patch(`/targets/${IQN}:db01`, {portals: ["main"]})],
		seen: () => get(`/targets/${IQN}:db01`),
		wanted: {alias: "data", portals: ["main"]},
	},
	"an export": {
		asked: [patch(`/exports/${exported}`, {hosts: ["web1", "web2"]}), patch(`/exports/${exported}`, {read_only: true})],
		seen: () => get(`/exports/${exported}`),
		wanted: {hosts: ["web1", "web2"], read_only: true},
	},
	"a portal": {
		asked: [patch("/portals/main", {advertised: "192.0.2.1:3260"}), patch("/portals/main", {group: 7})],
		seen: () => get("/portals/main"),
		wanted: {advertised: "192.0.2.1:3260", group: 7},
	},
	"a schedule": {
		asked: [...["latest", "hourly", "weekly", "monthly", "yearly"].map((kind) => patch("/schedules/nightly", {keep: {[kind]: 3}})),
			patch("/schedules/nightly", {enabled: false}), patch("/schedules/nightly", {at: "03:00"})],
		seen: () => get("/schedules/nightly"),
		wanted: {keep: {latest: 3, hourly: 3, daily: 7, weekly: 3, monthly: 3, yearly: 3}, enabled: false, at: "03:00"},
	},
	"a user": {
		asked: [patch("/users/eve", {role: "operator"}), patch("/users/eve", {certificate: "eve.example"}),
			patch("/users/eve", {enabled: false})],
		seen: () => get("/users/eve"),
		wanted: {role: "operator", certificate: "eve.example", enabled: false},
	},
	"exports that leave their number open": {
		asked: range(20).map((i) => post("/exports", {volume: i % 2 ? "db01" : "image", target: "many", hosts: ["web1"]})),
		async seen() {
			const {items} = await get("/exports?target=many");
			return {luns: items.map((one) => one.lun).sort((a, b) => a - b)};
		},
		wanted: {luns: range(20)},
	},
	"a host that goes, and exports that get another": {
		asked: [["DELETE", "/hosts/web1?cascade=true", undefined, any], patch(`/exports/${exported}`, {read_only: false})],
		seen: () => get(`/exports/${exported}`),
		wanted: {hosts: ["web2"], read_only: false},
	},
};

for (const [name, {asked, seen, wanted}] of Object.entries(cases)) {
	const refused = (await atOnce(asked)).filter(({status}) => status >= 300)
		.map(({method, url, status, body}) => `${method} ${url}: ${status} ${body}`);
	const there = await seen();
	const lost = Object.keys(wanted).filter((key) => !isDeepStrictEqual(wanted[key], there[key]))
		.map((key) => `${key} is ${JSON.stringify(there[key])}, not ${JSON.stringify(wanted[key])}`);
	none([...refused, ...lost], `${name}: ${asked.length} changes at once, and none is lost`);
}

/* -- one version, one change --------------------------------------------------------- */

const versions = {
	"/volumes/db01": ["PATCH", (i) => ({product: `P${i}`})],
	"/volumes/db01/listeners/known": ["PATCH", (i) => ({burst: i + 10})],
	"/volumes/db01/source": ["PUT", (i) => ({protocol: {type: "file", path: "db01.raw", size: `${i + 9}MiB`}})],
	"/volumes/db01/qos": ["PUT", (i) => ({iops: 1000 + i})],
	"/hosts/web2": ["PATCH", (i) => ({addresses: [`192.0.2.${i + 1}`]})],
	[`/targets/${IQN}:db01`]: ["PATCH", (i) => ({alias: `a${i}`})],
	[`/exports/${exported}`]: ["PUT", (i) => ({volume: "db01", target: "db01", lun: 0, hosts: ["web2"], read_only: i % 2 === 0})],
	"/portals/main": ["PATCH", (i) => ({group: i + 20})],
	"/schedules/nightly": ["PATCH", (i) => ({keep: {daily: i + 20}})],
	"/users/eve": ["PATCH", (i) => ({certificate: `eve${i}.example`})],
	"/config": ["PUT", (i, config) => ({...config, targets: config.targets.map((one) => ({...one, alias: `b${i}`}))})],
};
const wrong = [];
for (const [path, [method, value]] of Object.entries(versions)) {
	const before = await root.send("GET", `/api/v1${path}`);
	const answers = await atOnce(range(8).map((i) =>
		[method, path, value(i, before.json), {"if-match": before.headers.etag}]));
	const statuses = answers.map(({status}) => status).sort().join();
	if (statuses !== `200${",412".repeat(7)}`)
		wrong.push(`${method} ${path}: ${statuses}: ${answers.find(({status}) => ![200, 412].includes(status))?.body}`);
}
none(wrong, `${Object.keys(versions).length} kinds of objects: of eight who name one version one is served`);

/* -- who goes while he waits --------------------------------------------------------- */

/* One that goes once the daemon has it: what comes after it in another connection has been
 * answered, and that it has gone is known when the next are. */
const heard = async () => {
	for (let i = 0; i < 2; i++)
		await get("/roles");
};
function leave(path, json) {
	return new Promise((resolve) => {
		const body = JSON.stringify(json);
		const socket = net.connect(daemon.socket, () => socket.write(`PATCH /api/v1${path} HTTP/1.1\r\nHost: x\r\n` +
			`If-Match: *\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`, async () => {
			await heard();
			socket.destroy();
			await heard();
			resolve();
		}));
	});
}

/* So many before them that they have to wait. */
const before = atOnce(range(12).map((i) => post("/volumes/db01/listeners", {type: "dirty", name: `d${i}`})));
await heard();
await Promise.all(range(6).map((i) => leave("/volumes/db01", {vendor: `GONE${i}`})));
none((await before).filter(({status}) => status !== 201).map(({body}) => body), "those before them are served");
const last = await root.send("PATCH", "/api/v1/volumes/db01", {json: {product: "LAST"}, headers: any});
ok(/GONE/.test(last.json?.vendor), "who goes while he waits for his turn is served nevertheless", last.body);

none(recorder.faults, "every answer is as the contract says");
root.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
