// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon that has something of everything, and a request for every change of the
 * contract that it would take: rows, by operationId.
 *
 *	at	what stands in the path
 *	json	the body
 *	client	who asks, if not root at the socket
 *	query	more than dryRun
 *	status	what a dry run is answered, if not 200
 *	hosts	who is named by its plan
 *
 * An operation that is new needs a row in `rowsOf`.
 */
import {execFileSync, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {Client} from "./http.mjs";
import {Daemon, open} from "./daemon.mjs";

const PASSWORD = "Rather-long-and-not-guessed-7";
const OTHER = "Another-one-that-is-long-8";
const IQN = "iqn.2026-11.example.cairn:db01";

export const daemon = new Daemon();
await daemon.start(`
volumes:
  - name: db01
    source: {listeners: [{type: fault, name: bad}], protocol: {type: mem, size: 4MiB}}
  - {name: kept, source: {format: {type: qcow2, size: 4MiB, file: {protocol: {type: file, path: kept.qcow2, size: 64KiB}}}}}
  - {name: spare, source: {protocol: {type: mem, size: 4MiB}}}
hosts:
  - {name: web1, iscsi: {iqn: ["*"]}}
  - {name: web9, iscsi: {iqn: ["iqn.1993-08.org.debian:01:ef"]}}
targets: [{name: db01}, {name: kept}]
exports:
  - {volume: db01, target: db01, lun: 0, hosts: [web1]}
  - {volume: kept, target: kept, lun: 0, hosts: [web1]}
`);
export const {contract, recorder, root} = await open(daemon);
export const tls = new Client(recorder, {port: daemon.ports.api});

export async function must(status, promise) {
	const answer = await promise;
	if (answer.status !== status)
		throw new Error(`${answer.method} ${answer.url}: ${answer.status} ${answer.body}`);
	return answer.json;
}
const make = (path, json) => root.send("POST", `/api/v1${path}`, {json});

/* -- hosts --------------------------------------------------------------------- */

/* A session that lasts until its input ends. */
export async function connect(volume) {
	const host = spawn("qemu-io", ["-f", "raw",
		`iscsi://127.0.0.1:${daemon.ports.main}/iqn.2026-11.example.cairn:${volume}/0`]);
	const there = new Promise((resolve, reject) => {
		host.stdout.on("data", (text) => /read 512\/512/.test(text) && resolve());
		host.once("exit", () => reject(new Error(`qemu-io: no session with ${volume}`)));
	});
	host.stdin.write("read 0 512\n");
	await there;
	return {host, end: () => new Promise((resolve) => {
		host.removeAllListeners("exit");
		host.once("exit", resolve);
		host.stdin.end();
	})};
}

async function freePort() {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const {port} = server.address();
	server.close();
	await once(server, "close");
	return port;
}

/* -- what there is ----------------------------------------------------------------- */

function pemPair() {
	const folder = mkdtempSync(join(tmpdir(), "cairn-pem."));
	const [key, certificate] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
	execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "30", "-subj", "/CN=cairn.example", "-addext", "subjectAltName=DNS:cairn.example",
		"-keyout", key, "-out", certificate], {stdio: "ignore"});
	const pair = {certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8")};
	rmSync(folder, {recursive: true});
	return pair;
}

const bootstrap = readFileSync(join(daemon.directory, "run/bootstrap-token"), "utf8").trim();
export const first = {token: bootstrap, user: "alice", password: PASSWORD};

export async function prepare() {
	await must(201, make("/users", {name: "alice", role: "admin", password: PASSWORD}));
	const token = await must(201, make("/tokens", {user: "alice", role: "admin"}));
	await must(201, make("/portals", {name: "second", address: "127.0.0.1", port: await freePort()}));
	await must(201, make("/volumes/kept/snapshots", {name: "monday"}));
	await must(200, root.send("PUT", "/api/v1/volumes/kept/snapshots/monday/lock",
		{json: {until: "2100-01-01T00:00:00Z"}, headers: {"if-match": "*"}}));
	await must(201, make("/volumes/kept/snapshots", {name: "tuesday"}));
	await must(201, make("/schedules", {name: "nightly", volumes: ["kept"], every: "day", at: "02:30", keep: {daily: 7}}));
	await must(201, make("/volumes/kept/faults", {op: "read", offset: 0, length: 512, count: 0,
		duration_seconds: 3600, name: "f1", delay_us: 1}));
	await must(200, root.send("PUT", "/api/v1/volumes/kept/qos", {json: {iops: 100000}, headers: {"if-match": "*"}}));
	await must(200, root.send("PUT", "/api/v1/hosts/web1/secret", {json: {user: "web1", secret: "a-secret-of-16-bytes"}, headers: {"if-match": "*"}}));
	const job = await must(202, make("/jobs", {volume: "spare", kind: "fill", options: {seed: 1},
		rate_bytes: 4096, destroy: true}));
	await must(200, root.send("PATCH", `/api/v1/jobs/${job.id}`, {json: {paused: true}, headers: {"if-match": "*"}}));
	return {token, job};
}

/* -- a request for each -------------------------------------------------------------- */

/* Parts of paths; `json`; `client`; whose host must be named. */
export function rowsOf({token, job, session, exported, config}) {
	const listener = {name: "kept", listener: "limit"}, bad = {name: "db01", listener: "bad"};
	const monday = {name: "kept", snapshot: "monday"}, tuesday = {name: "kept", snapshot: "tuesday"};
	const throttle = {type: "throttle", name: "limit", iops: 5};
	const db01 = config.volumes.find((v) => v.name === "db01");
	const alice = tls.as({authorization: `Bearer ${token.token}`});
	const row = (at, json, more = {}) => ({at: typeof at === "string" ? {name: at} : at, json, ...more});
	const seen = {hosts: ["web1"]};
	return {
		changeOwnPassword: row({}, {old: PASSWORD, new: OTHER}, {client: alice}),
		setPassword: row("alice", {password: OTHER}),
		createUser: row({}, {name: "bob", role: "viewer", password: OTHER}),
		replaceUser: row("alice", {role: "admin", enabled: true}),
		changeUser: row("alice", {certificate: "alice.example"}),
		deleteUser: row("alice", undefined, {status: 409}), // the last administrator
		createToken: row({}, {user: "alice", role: "viewer"}),
		revokeToken: row({id: token.id}),
		replaceCertificate: row({}, pemPair()),
		renewCertificate: row({}),
		createVolume: row({}, {name: "new", size: "1MiB", export: {hosts: ["web1"]}}),
		replaceVolume: row("db01", {...db01, read_only: true}, seen),
		changeVolume: row("db01", {read_only: true}, seen),
		deleteVolume: row("spare"),
		replaceSource: row("db01", {...db01.source, listeners: []}, seen),
		resizeVolume: row("kept", {size: "8MiB"}, seen),
		repairVolume: row("db01", undefined, {status: 409}), // nothing has failed
		createSnapshot: row("kept", {name: "wednesday"}, seen),
		deleteSnapshot: row(tuesday),
		revertSnapshot: row(tuesday, {}, seen),
		lockSnapshot: row(tuesday, {until: "2100-01-01T00:00:00Z"}),
		unlockSnapshot: row(monday),
		cloneSnapshot: row(tuesday, {name: "cloned"}),
		createSnapshotGroup: row({}, {name: "all", volumes: ["kept"]}, seen),
		attachListener: row("db01", throttle, seen),
		configureListener: row(bad, {rules: [{op: "write"}]}, seen),
		detachListener: row(bad, undefined, seen),
		commandListener: row(bad, {verb: "hold", arguments: {op: "write", name: "held"}}, seen),
		setQos: row("kept", {iops: 50}, seen),
		removeQos: row("kept", undefined, seen),
		addFault: row("db01", {op: "write", error: "EIO", duration_seconds: 3600}, seen),
		removeFaults: row("kept", undefined, seen),
		removeFault: row({name: "kept", id: "f1"}, undefined, seen),
		createHost: row({}, {name: "web2", iscsi: {iqn: ["iqn.1993-08.org.debian:01:cd"]}}),
		replaceHost: row("web1", {iscsi: {iqn: ["iqn.1993-08.org.debian:01:ab"]}}, seen),
		changeHost: row("web1", {iscsi: {iqn: ["iqn.1993-08.org.debian:01:ab"]}}, seen),
		deleteHost: row("web1", undefined, {query: "cascade=true", ...seen}),
		setSecret: row("web1", {user: "web1", secret: "another-of-16-byte"}, seen),
		removeSecret: row("web1", undefined, seen),
		createTarget: row({}, {name: "other"}),
		replaceTarget: row({iqn: IQN}, {portals: ["main"]}, seen),
		changeTarget: row({iqn: IQN}, {portals: ["main"]}, seen),
		deleteTarget: row({iqn: IQN}, undefined, {query: "cascade=true", ...seen}),
		createPortal: row({}, {name: "other", address: "127.0.0.1", port: 3999}),
		replacePortal: row("main", {address: "127.0.0.1", port: 3998}, seen),
		changePortal: row("main", {port: 3998}, seen),
		deletePortal: row("second"),
		openPortal: row("main"),
		createSchedule: row({}, {name: "hourly", volumes: ["kept"], every: "1h", kind: "external", directory: "hourly",
			file: "{volume}.{time}.qcow2", placement: {qos: "head"}, keep: {latest: 3}}),
		replaceSchedule: row("nightly", {name: "nightly", volumes: ["kept"], every: "week", weekday: "monday", keep: {weekly: 4}}),
		changeSchedule: row("nightly", {enabled: false}),
		deleteSchedule: row("nightly"),
		runSchedule: row("nightly", undefined, seen),
		createExport: row({}, {volume: "spare", target: "db01", lun: 5, hosts: ["web1"]}, seen),
		replaceExport: row({id: exported}, {volume: "db01", target: "db01", lun: 0, hosts: ["web9"]}, seen),
		changeExport: row({id: exported}, {hosts: ["web9"]}, seen),
		deleteExport: row({id: exported}, undefined, seen),
		endSession: row({id: session}, undefined, seen),
		startJob: row({}, {volume: "kept", kind: "check"}, seen),
		changeJob: row({id: job.id}, {paused: false, rate_bytes: 8192}),
		cancelJob: row({id: job.id}),
		restoreHistory: row({number: 1}),
		replaceConfig: row({}, {volumes: [], hosts: [], targets: [], exports: []}, seen),
	};
}

export const send = (operation, row, headers, extra) => (row.client ?? root).send(operation.method.toUpperCase(),
	operation.path.replace(/\{([^}]*)\}/g, (_, name) => encodeURIComponent(row.at[name])) +
	`?${[row.query, extra].filter(Boolean).join("&")}`,
	{...(row.json !== undefined && {json: row.json}), headers});
