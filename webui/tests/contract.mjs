// SPDX-License-Identifier: Apache-2.0
/*
 * The contract by itself: its examples are valid, it says what its extensions
 * promise, the daemon's routes are its operations, and the judge of answers sees
 * what it is there to see.
 */
import {builtContract} from "./daemon.mjs";
import {differences, routes} from "./routes.mjs";
import {finish, none, ok} from "./tap.mjs";

const contract = builtContract();
const document = contract.document;

/* -- examples ---------------------------------------------------------------- */

function exampleFaults() {
	const faults = [];
	for (const [name, schema] of Object.entries(document.components.schemas)) {
		const validate = contract.validator("requests", `#/components/schemas/${name}`);
		for (const example of schema.examples ?? [])
			if (!validate(example))
				faults.push(`${name}: ${JSON.stringify(validate.errors[0])}`);
	}
	for (const [name, parameter] of Object.entries(document.components.parameters))
		if (parameter.example !== undefined &&
			!contract.requests.compile(contract.resolve(parameter.schema))(parameter.example))
			faults.push(`parameter ${name}`);
	return faults;
}

/* -- rules of ours that redocly does not know -------------------------------- */

const SHARED = {
	"If-Match": [412, 428],
	"Idempotency-Key": [409, 422],
};

/* Signing in and out opens and closes a session of the caller: nothing of the
 * appliance changes. (info.description says so.) */
const OF_SESSIONS = ["signIn", "signOut"];
/* Nothing of what has a password in it is kept for a second time. */
const OF_PASSWORDS = ["setup", "signIn", "changeOwnPassword", "setPassword"];

function changeFaults(o) {
	const faults = [];
	const wants = (good, text) => good || faults.push(`${o.id}: ${text}`);
	wants(o.method === "get" || o.takes("dryRun") !== OF_SESSIONS.includes(o.id), "dryRun");
	wants(["get", "post"].includes(o.method) || o.takes("If-Match") !== OF_SESSIONS.includes(o.id), "If-Match");
	wants(o.method !== "post" || o.takes("Idempotency-Key") !== OF_PASSWORDS.includes(o.id), "Idempotency-Key");
	return faults;
}

function ruleFaults(o) {
	const faults = changeFaults(o);
	const answers = Object.keys(o.spec.responses).map(Number);
	const wants = (good, text) => good || faults.push(`${o.id}: ${text}`);
	wants(["public", "viewer", "operator", "admin"].includes(o.role), "x-cairn-role");
	wants((o.role === "public") === (o.spec.security?.length === 0), "security and role differ");
	wants(o.role === "public" || [401, 403].every((s) => answers.includes(s)), "401, 403");
	wants([400, 503].every((s) => answers.includes(s)), "400, 503");
	wants(o.method !== "get" || !o.spec.requestBody, "GET with a body");
	wants(!o.spec.requestBody || [413, 415, 422].every((s) => answers.includes(s)), "413, 415, 422");
	wants(!o.path.includes("{") || answers.includes(404), "404");
	for (const [name, statuses] of Object.entries(SHARED))
		wants(!o.takes(name) || statuses.every((s) => answers.includes(s)), `${name}: ${statuses}`);
	wants(!o.takes("dryRun") || answers.includes(200), "dryRun without 200");
	for (const [status, ref] of Object.entries(o.spec.responses))
		if (Number(status) >= 400)
			wants(Object.keys(contract.resolve(ref).content).join() === "application/problem+json",
				`${status} is no problem`);
	return faults;
}

/* -- the judge --------------------------------------------------------------- */

const problem = (status, more = {}) => ({
	type: "/problems/not-found", title: "t", status, detail: "d", instance: "r-1", ...more});
const exchange = (more) => ({method: "GET", url: "/api/v1/hosts/web1", status: 200,
	sent: {headers: {}, body: ""},
	headers: {"content-type": "application/json", "x-request-id": "r-1", etag: "\"7\""},
	body: JSON.stringify({name: "web1", iscsi: {iqn: ["*"]}, generation: 7}), ...more});
const answer = (json, more = {}) => exchange({body: JSON.stringify(json), ...more});
const refused = (status, json) => exchange({status, body: JSON.stringify(json), headers:
	{"content-type": "application/problem+json", "x-request-id": "r-1"}});
const created = (json, more = {}) => exchange({method: "POST", url: "/api/v1/hosts", status: 201,
	sent: {headers: {"content-type": "application/json"}, body: JSON.stringify(json)},
	headers: {...exchange({}).headers, location: "/api/v1/hosts/web1"}, ...more});
const host = {name: "web1", iscsi: {iqn: ["*"]}};
const chap = (more) => ({...host, iscsi: {iqn: ["*"], chap: {user: "u", ...more}}});

const GOOD = {
	"an object": exchange({}),
	"a problem": refused(404, problem(404)),
	"HEAD": exchange({method: "HEAD", body: ""}),
	"a path that is not there": {...refused(404, problem(404)), url: "/api/v1/none"},
	"a secret that is kept": answer(chap({secret: null})),
	"an object made": created(host),
	"an object made, with what is ignored": created({...host, generation: "x"}),
};
const BAD = {
	"a member that is not stated": answer({...host, more: 1}),
	"a member that is missing": answer({name: "web1"}),
	"a wrong type": answer({...host, name: 1}),
	"a secret": answer(chap({secret: "correct horse battery"})),
	"no ETag": exchange({headers: {"content-type": "application/json", "x-request-id": "r-1"}}),
	"no number of the request": exchange({headers: {"content-type": "application/json"}}),
	"another content type": exchange({headers: {...exchange({}).headers, "content-type": "text/html"}}),
	"what is no JSON": exchange({body: "{"}),
	"a status that is not stated": exchange({status: 202}),
	"500": refused(500, problem(500)),
	"a problem of another status": refused(404, problem(409)),
	"a problem of another request": refused(404, problem(404, {instance: "r-2"})),
	"a problem that is none": refused(404, {error: "no"}),
	"a problem as plain JSON": answer(problem(404), {status: 404}),
	"200 for a path that is not there": exchange({url: "/api/v1/none"}),
	"405 without Allow": {...refused(405, problem(405)), method: "POST"},
	"HEAD with a body": exchange({method: "HEAD"}),
	"a member taken that is not stated": created({...host, more: 1}),
	"a body taken that is no JSON": created(host, {sent: {headers: {"content-type": "application/json"}, body: "{"}}),
	"a query parameter taken": exchange({url: "/api/v1/hosts/web1?x=1"}),
	"a number taken out of range": answer({items: [], next: null}, {url: "/api/v1/hosts?limit=0"}),
};

/* -- all of it --------------------------------------------------------------- */

none(exampleFaults(), "examples are valid");
none(contract.operations.flatMap(ruleFaults), "every operation keeps the rules");
const ids = contract.operations.map((o) => o.id);
ok(new Set(ids).size === ids.length, "no operationId stands there twice");

const rows = routes("webui/api");
const byId = new Map(contract.operations.map((o) => [o.id, o]));
none(rows.filter((row) => !byId.has(row.operation)).map((row) => `${row.operation} in ${row.file}`),
	"every route is in the contract");
none(rows.flatMap((row) => byId.has(row.operation) ? differences(row, byId.get(row.operation)) : []),
	"routes and contract say the same");
const served = new Set(rows.map((row) => row.operation));
none(ids.filter((id) => !served.has(id)), "every operation is served");

for (const [name, it] of Object.entries(GOOD))
	none(contract.judge(it), `right: ${name}`);
for (const [name, it] of Object.entries(BAD))
	ok(contract.judge(it).length > 0, `seen: ${name}`);
finish();
