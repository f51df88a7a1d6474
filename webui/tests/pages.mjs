// SPDX-License-Identifier: Apache-2.0
/*
 * Every collection of the contract comes in pages: one item at a time, it is what it is
 * as a whole, in the same order; a cursor stays good when the item that it names has gone.
 */
import {connect, contract, daemon, must, prepare, recorder, root} from "./rehearsal.mjs";
import {finish, none, ok} from "./tap.mjs";

const IQN = "iqn.2026-11.example.cairn:db01";
const AT = {name: "kept", iqn: IQN};
const make = (path, json, status = 201) => must(status, root.send("POST", `/api/v1${path}`, {json}));

/* -- two of everything ---------------------------------------------------------- */

const hosts = [await connect("db01"), await connect("kept")];
await prepare();
await make("/volumes/kept/faults", {op: "write", error: "EIO", duration_seconds: 3600, name: "f2", after: 1000000});
await make("/volumes/kept/listeners", {type: "stats", name: "counts"});
await make("/schedules", {name: "weekly", volumes: ["kept"], every: "week", keep: {weekly: 1}});
await make("/users", {name: "bob", role: "viewer"});
await make("/users", {name: "carol", role: "viewer"});
await make("/tokens", {user: "bob", role: "viewer"});
await make("/jobs", {volume: "kept", kind: "check"}, 202);
/* Their numbers get another digit, which does not come last by the alphabet. */
for (let lun = 7; lun < 17; lun++)
	await make("/exports", {volume: "spare", target: IQN, lun, hosts: ["web1"]});

/* -- pages ------------------------------------------------------------------------ */

const isList = (operation) => {
	const schema = contract.resolve(operation.spec.responses["200"]?.content?.["application/json"]?.schema);
	return operation.method === "get" && schema?.properties?.items && schema.properties.next;
};
/* These are no collections: what the daemon can do and looks at, always as much; extents,
 * which a page may end within (tests/interop/test_snapshot_differ.sh). */
const FIXED = ["listRoles", "getChecks", "listDifferences"];
const lists = contract.operations.filter((operation) => isList(operation) && !FIXED.includes(operation.id));
const faults = [];
/* What goes on while we look. */
const still = (item) => JSON.stringify(item.id ?? item.number ?? item.name ?? item.iqn ?? item.lun ?? item.time);

async function walk(operation) {
	const url = operation.path.replace(operation.path.includes("/hosts/") ? "{name}" : "\u0000", "web1")
		.replace(/\{([^}]*)\}/g, (_, name) => encodeURIComponent(AT[name]));
	if (!operation.takes("limit") || !operation.takes("after"))
		return faults.push(`${operation.id}: it takes no limit and after`);
	const whole = (await must(200, root.send("GET", `${url}?limit=1000`))).items.map(still);
	const paged = [];
	let after = "";
	do {
		const page = await must(200, root.send("GET", `${url}?limit=1${after && `&after=${after}`}`));
		if (page.items.length > 1)
			faults.push(`${operation.id}: more than was asked for`);
		paged.push(...page.items.map(still));
		after = page.next && encodeURIComponent(page.next);
	} while (after && paged.length <= whole.length);
	if (whole.join() !== paged.join())
		faults.push(`${operation.id}: ${whole} is ${paged}, one by one`);
	if (whole.length < 2 && operation.id !== "listRefusedLogins")
		faults.push(`${operation.id}: this test has only ${whole.length}`);
	return 0;
}
for (const operation of lists)
	await walk(operation);
ok(lists.length >= 15, `${lists.length} collections: ${lists.map((o) => o.id).join(" ")}`);
none(faults, "each comes in pages, and they are the whole");

/* -- what has gone ---------------------------------------------------------------- */

const users = (await must(200, root.send("GET", "/api/v1/users?limit=2"))).next;
const before = (await root.list("/api/v1/users")).map((user) => user.name);
await must(204, root.send("DELETE", `/api/v1/users/${before[1]}`, {headers: {"if-match": "*"}}));
const rest = (await must(200, root.send("GET", `/api/v1/users?after=${users}`))).items.map((user) => user.name);
ok(rest.join() === before.slice(2).join() && rest.length > 0, "a cursor is good when what it names has gone", before, rest);
none(recorder.faults, "every answer is as the contract says");
await Promise.all(hosts.map((host) => host.end()));
root.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
