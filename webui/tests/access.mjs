// SPDX-License-Identifier: Apache-2.0
/*
 * Who may do what: every path x every method x everybody, as the contract states it.
 *
 *	who		nobody, root at the socket, each role by token and by cookie,
 *			and credentials that are no good (any more)
 *	expected	a method that the path has not	405
 *			nobody, or no good		401
 *			a role below the operation's	403
 *			a cookie without its token or from another site, changing	403
 *			else				anything but these
 *
 * What is asked for is not there or is incomplete, and dryRun is set where it can
 * be: however wide a door stands open, nothing is changed by walking through it.
 */
import {Client} from "./http.mjs";
import {Daemon, methodsAt, open} from "./daemon.mjs";
import {finish, none, ok} from "./tap.mjs";

const ROLES = ["public", "viewer", "operator", "admin"];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const PASSWORD = "Rather-long-and-not-guessed-7";

const daemon = new Daemon();
await daemon.start();
const {contract, recorder, asks, root} = await open(daemon);
const tls = new Client(recorder, {port: daemon.ports.api});
recorder.secrets.set(PASSWORD, "a password");

/* -- everybody --------------------------------------------------------------- */

const must = async (status, promise) => {
	const answer = await promise;
	if (answer.status !== status)
		throw new Error(`${answer.method} ${answer.url}: ${answer.status} ${answer.body}`);
	return answer;
};

async function token(user, role, seconds = 3600) {
	const {json} = await must(201, root.send("POST", "/api/v1/tokens",
		{json: {user, role, expires_seconds: seconds}}));
	return {id: json.id, headers: {authorization: `Bearer ${json.token}`}};
}

async function signIn(user) {
	const {json, headers} = await must(200, tls.send("POST", "/api/v1/login",
		{json: {user, password: PASSWORD}}));
	return {cookie: headers["set-cookie"].split(";")[0], "x-csrf-token": json.csrf_token};
}

/* {name, client, role, reads, changes}: what a sufficient role is then answered. */
const everybody = [];
const add = (name, role, client, more = {}) => everybody.push({name, role, client, ...more});

async function addUser(role) {
	const name = `the-${role}`;
	await must(201, root.send("POST", "/api/v1/users",
		{json: {name, role, password: PASSWORD}}));
	const by = await token(name, role);
	const cookie = await signIn(name);
	add(`${role}, by token`, role, tls.as(by.headers));
	add(`${role}, by cookie`, role, tls.as(cookie), {cookie: true});
	return cookie;
}

async function addBad(cookie) {
	const bare = {cookie: cookie.cookie};
	const gone = await signIn("the-admin");
	await must(204, tls.as(gone).send("DELETE", "/api/v1/login"));
	add("admin, without CSRF token", "admin", tls.as(bare), {changes: 403});
	add("admin, with another CSRF token", "admin",
		tls.as({...bare, "x-csrf-token": "A".repeat(43)}), {changes: 403});
	add("admin, from another site", "admin",
		tls.as({...cookie, origin: "https://evil.example"}), {changes: 403});
	add("admin, another site by Fetch Metadata", "admin",
		tls.as({...cookie, "sec-fetch-site": "cross-site"}), {changes: 403});
	add("signed out", "public", tls.as(gone));
	add("a cookie of nobody", "public", tls.as({cookie: `__Host-cairn=${"A".repeat(43)}`}));
	add("a token of nobody", "public", tls.as({authorization: `Bearer cairn_abcdefgh_${"A".repeat(43)}`}));
	add("another scheme", "public", tls.as({authorization: "Basic cm9vdDpyb290"}));
}

async function addEnded() {
	const revoked = await token("the-admin", "admin");
	await must(204, root.send("DELETE", `/api/v1/tokens/${revoked.id}`,
		{headers: {"if-match": "*"}}));
	add("a token that was revoked", "public", tls.as(revoked.headers));
	const resting = await addDisabled();
	add("a token of a disabled user", "public", tls.as(resting.headers));
	const expired = await token("the-admin", "admin", 1);
	const client = tls.as(expired.headers);
	while ((await client.send("GET", "/api/v1/login")).status !== 401)
		await new Promise((resolve) => setTimeout(resolve, 50));
	add("a token that expired", "public", client);
}

async function addDisabled() {
	await must(201, root.send("POST", "/api/v1/users", {json: {name: "rests", role: "admin"}}));
	const by = await token("rests", "admin");
	await must(200, root.send("PATCH", "/api/v1/users/rests",
		{json: {enabled: false}, headers: {"if-match": "*"}}));
	return by;
}

/* -- the walk ---------------------------------------------------------------- */

const NOT_THERE = {number: "999999999", id: "999999999", os: "linux", iqn: "iqn.2026-11.example.none:x"};

function urlOf(path, operation) {
	const url = path.replace(/\{([^}]*)\}/g, (_, name) => path === "/api/v1/exports/{id}"
		? encodeURIComponent("iqn.2026-11.example.none:x,0") : NOT_THERE[name] ?? "not-there");
	const query = [];
	if (operation?.takes("dryRun"))
		query.push("dryRun=true");
	if (operation?.takes("os"))
		query.push("os=linux");
	return query.length ? `${url}?${query.join("&")}` : url;
}

const CHANGING = ["POST", "PUT", "PATCH", "DELETE"];
/* Those that end what the walk still needs. */
const skips = (who, operation, method) =>
	who.cookie && operation?.id === "signOut" && method === "DELETE";

function fault(who, operation, method, status) {
	if (!operation)
		return method === "OPTIONS" ? status !== 204 : status !== 405;
	const least = ROLES.indexOf(operation.role);
	if (least === 0)
		return false; // its own credentials: 401 and 403 are about these
	if (who.role === "public")
		return status !== 401;
	if (who.changes && CHANGING.includes(method))
		return status !== who.changes;
	if (ROLES.indexOf(who.role) < least)
		return status !== 403;
	return [401, 403].includes(status);
}

async function walk(who, paths) {
	const faults = [];
	let count = 0;
	for (const path of paths) {
		for (const method of METHODS) {
			const operation = contract.find(method, path);
			if (skips(who, operation, method))
				continue;
			const answer = await who.client.send(method, urlOf(path, operation));
			count++;
			if (fault(who, operation, method, answer.status))
				faults.push(`${method} ${path}: ${answer.status} ${answer.body.slice(0, 200)}`);
		}
	}
	none(faults, `${who.name}: ${count} requests are answered as the contract says`);
}

const paths = [];
for (const path of Object.keys(contract.document.paths))
	if ((await methodsAt(asks, path)).length)
		paths.push(path);
const missing = Object.keys(contract.document.paths).filter((path) => !paths.includes(path));
none(missing, `all ${paths.length + missing.length} paths of the contract are served`);
const before = await asks.send("GET", "/api/v1/config");

add("nobody", "public", tls);
add("root, at the socket", "admin", root);
await addUser("viewer");
await addUser("operator");
await addBad(await addUser("admin"));
await addEnded();
await Promise.all(everybody.map((who) => walk(who, paths)));

const after = await asks.send("GET", "/api/v1/config");
ok(before.body === after.body && before.headers.etag === after.headers.etag,
	"nothing has changed", before.body, after.body);
none(recorder.faults, `all ${recorder.count} answers are as the contract says`);
for (const client of [root, asks, tls])
	client.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
