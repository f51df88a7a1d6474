// SPDX-License-Identifier: Apache-2.0
/*
 * Every change of the contract, as a dry run: it is answered with a plan, which names
 * whom it touches, and nothing is another than before: neither the document and its
 * history nor users, tokens, jobs, sessions, snapshots, the certificate, the audit.
 *
 * An operation that is new needs a row in rehearsal.mjs.
 */
import {connect, contract, daemon, first, must, prepare, recorder, root, rowsOf, send, tls} from "./rehearsal.mjs";
import {finish, none, ok} from "./tap.mjs";

/* -- what there is ----------------------------------------------------------------- */

/* Everything that a change could leave behind. Figures and times of use go on. */
async function everything() {
	const get = async (path) => (await root.send("GET", `/api/v1${path}`)).json;
	const list = (path) => root.list(`/api/v1${path}`);
	const all = {config: await get("/config"), history: await list("/history"),
		users: (await list("/users")), tokens: (await list("/tokens")).map(({used, used_from, ...rest}) => rest),
		jobs: await list("/jobs"), sessions: (await list("/sessions")).map((s) => s.id),
		snapshots: (await list("/volumes/kept/snapshots")).map((one) => ({...one, counted: null})), certificate: await get("/certificate"),
		listeners: (await list("/volumes/db01/listeners")).map(({status, ...rest}) => [rest, status.rules]),
		portals: (await list("/portals")).map(({name, status}) => [name, status.state]),
		schedules: await list("/schedules"), audit: (await list("/audit?limit=1000")).length};
	return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, JSON.stringify(value)]));
}

function changed(before, after) {
	return Object.keys(before).filter((name) => before[name] !== after[name])
		.map((name) => `${name}: ${before[name].slice(0, 200)} -> ${after[name].slice(0, 200)}`);
}

/* -- the walk ------------------------------------------------------------------------- */

const faults = [];

function judge(operation, row, answer) {
	const blame = (text) => faults.push(`${operation.id}: ${text}: ${answer.status} ${answer.body.slice(0, 300)}`);
	const wanted = row.status ?? 200;
	if (answer.status !== wanted)
		return blame(`${wanted} was expected`);
	if (wanted !== 200)
		return;
	const {dry_run: dry, changes, impact} = answer.json;
	if (dry !== true || changes.length + impact.length === 0)
		blame("no plan");
	if (row.hosts && !row.hosts.every((host) => impact.some((one) =>
		one.hosts?.includes(host) && one.sessions.length > 0)))
		blame(`${row.hosts} is not named, which has a session`);
	if (impact.some((one) => one.effect === "parked" && !(one.parked_ms_max > 0)))
		blame("for how long I/O is parked is not said");
}

async function walk(operation, row) {
	const before = await everything();
	const match = operation.takes("If-Match");
	judge(operation, row, await send(operation, row, match ? {"if-match": "*"} : {}, "dryRun=true"));
	if (match) {
		for (const [headers, status] of [[{}, 428], [{"if-match": "\"nonsense\""}, 412]])
			judge(operation, {...row, status}, await send(operation, row, headers, "dryRun=true"));
	}
	for (const text of changed(before, await everything()))
		faults.push(`${operation.id} has changed ${text}`);
	if (!match) {
		/* Nobody may believe that it was looked at. */
		for (const extra of ["dryRun=true", ""])
			judge(operation, {...row, status: 400}, await send(operation, row, {"if-match": "\"1\""}, extra));
	}
	if (match && row.status !== 409) // that is refused for what it is
		judge(operation, {...row, status: 412}, await send(operation, row, {"if-match": "\"nonsense\""}));
}

const operations = contract.operations.filter((o) => o.takes("dryRun"));
let failure = "", count = 0;
const hosts = [];
try {
	const setup = operations.find((o) => o.id === "setup");
	const row = {at: {}, json: first, client: tls};
	judge(setup, row, await send(setup, row, {}, "dryRun=true"));
	judge(setup, {...row, json: {...first, token: "0".repeat(32)}, status: 401},
		await send(setup, {...row, json: {...first, token: "0".repeat(32)}}, {}, "dryRun=true"));
	ok((await root.list("/api/v1/users")).length === 0, "setup as a dry run makes nobody");
	hosts.push(await connect("db01"), await connect("kept"));
	const made = await prepare();
	const sessions = await root.list("/api/v1/sessions");
	const exports = await root.list("/api/v1/exports");
	const rows = rowsOf({...made, session: sessions[0].id, exported: exports.find((e) => e.volume === "db01").id,
		config: await must(200, root.send("GET", "/api/v1/config"))});
	none(operations.filter((o) => o.id !== "setup" && !rows[o.id]).map((o) => o.id), "every change has a row here");
	for (const operation of operations.filter((o) => rows[o.id])) {
		await walk(operation, rows[operation.id]);
		count++;
	}
} catch (error) {
	failure = error.stack;
}
ok(failure === "" && count > 50, `${count} changes were rehearsed`, failure);
none(faults, "each says what it would do and whom it touches, and does nothing");
none(recorder.faults, "every answer is as the contract says");
await Promise.all(hosts.map((host) => host.end()));
root.close();
tls.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
