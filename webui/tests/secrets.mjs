// SPDX-License-Identifier: Apache-2.0
/*
 * Secrets stay where they belong. Each place that takes one is given one of its own,
 * in requests that are accepted and in requests that are refused for every reason we
 * know; then all are looked for, as text, in base64 and in hexadecimal, in everything
 * that comes out: answers, problems, events, audit, history, exports, metrics, connect
 * texts, the support bundle, the log at its wordiest, the daemon's arguments and
 * environment, and in its files.
 *
 * Invariant: what the contract marks writeOnly is in the table below, so that a new
 * place is not forgotten.
 */
import {execFile, execFileSync} from "node:child_process";
import {existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync} from "node:fs";
import http from "node:http";
import {join} from "node:path";
import {promisify} from "node:util";
import {gunzipSync} from "node:zlib";
import {Client} from "./http.mjs";
import {Daemon, open} from "./daemon.mjs";
import {finish, none, ok} from "./tap.mjs";

const IQN = "iqn.2026-11.example.cairn:db01";
const HOST = "iqn.1993-08.org.debian:01:ab";

/* -- planting ------------------------------------------------------------------ */

/* What it is -> its text. Whoever sees one sees what it is. */
const secrets = new Map();
let planted = 0;
function plant(what, text = `Planted-${String(planted++).padStart(3, "0")}-${what.replace(/\W/g, "").slice(0, 20)}`) {
	secrets.set(what, text);
	return text;
}

/* Base64 has three ways to say a text amid others: what all of one way share. */
function inBase64(text) {
	return [0, 1, 2].flatMap((before) => {
		const whole = Buffer.from("x".repeat(before) + text).toString("base64").replace(/=+$/, "");
		const core = whole.slice(before ? before + 1 : 0, -2);
		return [core, core.replaceAll("+", "-").replaceAll("/", "_")];
	});
}
const forms = (text) => {
	const hex = Buffer.from(text).toString("hex");
	return [...new Set([text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text), hex, hex.toUpperCase(), ...inBase64(text)])];
};
/* What of all that is in there, but for what may be. */
function found(place, content, allowed = []) {
	const text = Buffer.isBuffer(content) ? content.toString("latin1") : content;
	const faults = [];
	for (const [what, secret] of secrets)
		if (!allowed.some((some) => what.startsWith(some)) && forms(secret).some((form) => text.includes(form)))
			faults.push(`${place}: ${what}`);
	return faults;
}

const hidden = plant("one that is hidden for a trial");
none(["", "a", "ab"].flatMap((before) => [`${before}${hidden}`, Buffer.from(`${before}${hidden}:x`).toString("base64"),
	Buffer.from(`${before}${hidden}`).toString("hex")]).filter((text) => !found("", `{"${text}"}`).length),
	"a secret is found as it is, in base64 wherever it begins, in hexadecimal");

/* -- the daemon ----------------------------------------------------------------- */

const daemon = new Daemon({log: "debug"});
const stored = join(daemon.directory, "state/secrets");
mkdirSync(stored, {recursive: true, mode: 0o700});
writeFileSync(join(stored, "filed.chap"), plant("a secret in a file"), {mode: 0o600});
writeFileSync(join(stored, "filed.mutual"), plant("a mutual secret in a file"), {mode: 0o600});
await daemon.start(`
volumes: [{name: db01, source: {protocol: {type: mem, size: 4MiB}}}]
hosts:
  - name: web1
    iscsi: {iqn: ["${HOST}"], chap: {user: web1, weak_hashes: allowed, secret: ${plant("CHAP, of a document at the start")},
      mutual: {user: cairn, secret: ${plant("mutual CHAP, of a document at the start")}}}}
  - name: filed
    iscsi: {iqn: ["iqn.2004-01.org.example:filed"], chap: {user: filed, secret_file: filed.chap, mutual: {user: cairn, secret_file: filed.mutual}}}
targets: [{name: db01}]
exports: [{volume: db01, target: db01, lun: 0, hosts: [web1, filed]}]
`);
const {contract, recorder, root} = await open(daemon);
const tls = new Client(recorder, {port: daemon.ports.api});
const leaks = [];

/* Every answer is looked through when it comes; `shown`: secrets it is there to show. */
async function ask(client, method, url, options = {}, shown = []) {
	const answer = await client.send(method, url, {...options, headers: {"if-match": "*", ...options.headers}});
	leaks.push(...found(`${method} ${url} ${answer.status}`, JSON.stringify(answer.headers) + answer.body, shown));
	return answer;
}
async function must(status, ...rest) {
	const answer = await ask(...rest);
	if (answer.status !== status)
		throw new Error(`${answer.method} ${answer.url}: ${answer.status} ${answer.body}`);
	return answer;
}

/* -- events, from the first to the last ------------------------------------------ */

const events = await new Promise((resolve, reject) => {
	const request = http.get({socketPath: daemon.socket, path: "/api/v1/events",
		headers: {accept: "text/event-stream"}}, (answer) => {
		const stream = {text: ""};
		answer.setEncoding("utf8").on("data", (text) => {
			stream.text += text;
			stream.wanted && stream.text.includes(stream.wanted) && stream.done();
		});
		answer.on("error", () => {});
		stream.until = (wanted) => new Promise((done) => {
			Object.assign(stream, {wanted, done});
			stream.text.includes(wanted) && done();
		});
		stream.end = () => request.destroy();
		resolve(stream);
	});
	request.on("error", reject);
});

/* -- each place that takes one ---------------------------------------------------- */

const chap = (what, more = {}) => ({user: "u", weak_hashes: "allowed", secret: plant(`CHAP, ${what}`),
	mutual: {user: "cairn", secret: plant(`mutual CHAP, ${what}`)}, ...more});
const host = (name, what) => ({name, iscsi: {iqn: [`iqn.2004-01.org.example:${name}`], chap: chap(what)}});
const pem = (...parts) => execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
	"-nodes", "-days", "30", "-subj", "/CN=mine", "-keyout", ...parts], {stdio: ["ignore", "pipe", "ignore"]});

function makePair(name) {
	const [key, certificate] = ["key", "crt"].map((end) => join(daemon.directory, `${name}.${end}`));
	pem(key, "-out", certificate);
	const pair = {certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8")};
	plant(`the key of a certificate, ${name}`, numberOf(pair.key));
	return pair;
}
/* The line of a PEM that has the secret number. */
const numberOf = (text) => /PRIVATE KEY-----\n.*\n(.*)\n/.exec(text)[1];

const password = plant("a password, first");
const next = plant("a password, changed by himself");
let session, token;
/* Place (a pointer of the contract) -> what gives one. */
const PLACES = {
	"/components/schemas/SetupRequest/properties/token": async () => {
		const file = join(daemon.directory, "run/bootstrap-token");
		const bootstrap = plant("the bootstrap token", readFileSync(file, "utf8").trim());
		await must(401, tls, "POST", "/api/v1/setup", {json: {token: plant("a wrong bootstrap token"), user: "admin", password}});
		await must(201, tls, "POST", "/api/v1/setup", {json: {token: bootstrap, user: "admin", password}});
		ok(!existsSync(file), "the bootstrap token is gone when it was used");
	},
	"/components/schemas/Password": async () => {
		const {headers, json} = await must(200, tls, "POST", "/api/v1/login", {json: {user: "admin", password}});
		const cookie = headers["set-cookie"].split(";")[0];
		plant("a session's cookie", cookie.split("=")[1]);
		plant("a session's CSRF token", json.csrf_token);
		session = tls.as({cookie, "x-csrf-token": json.csrf_token});
		await must(401, tls, "POST", "/api/v1/login", {json: {user: "admin", password: plant("a wrong password")}});
		await must(201, root, "POST", "/api/v1/users", {json: {name: "ann", role: "operator", password: plant("a password, of a new user")}});
	},
	"/components/schemas/NewPassword/properties/password": async () => {
		await must(204, root, "POST", "/api/v1/users/ann/password", {json: {password: plant("a password, set by an administrator")}});
		const put = contract.operations.find((o) => o.id === "changeOwnPassword");
		await must(204, session, put.method.toUpperCase(), put.path, {json: {old: password, new: next}});
	},
	"/components/schemas/Secret": async () => {
		await must(201, root, "POST", "/api/v1/hosts", {json: host("web2", "of a new host")});
		await must(200, root, "PUT", "/api/v1/hosts/web2", {json: host("web2", "of a host replaced")});
		const {json} = await must(200, root, "GET", "/api/v1/config");
		json.hosts.push(host("web3", "of a whole document"));
		await must(200, root, "PUT", "/api/v1/config?dryRun=true", {json});
		await must(200, root, "PUT", "/api/v1/config", {json});
		const yaml = `hosts: [{name: web4, iscsi: {iqn: ["*"], chap: {user: u, secret: ${plant("CHAP, in YAML")}}}}]`;
		await must(200, root, "PUT", "/api/v1/config?dryRun=true", {body: yaml, headers: {"content-type": "application/yaml"}});
	},
	"/components/schemas/HostSecret/properties/secret": async () => {
		await must(200, root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant("CHAP, that is replaced")}});
		await must(200, root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant("CHAP, by itself")}});
	},
	"/components/schemas/HostSecret/properties/mutual/oneOf/1/properties/secret": async () => {
		await must(200, root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant("CHAP, with mutual"),
			mutual: {user: "cairn", secret: plant("mutual CHAP, by itself")}}});
	},
	"/components/schemas/CertificateRequest/properties/key": async () => {
		await must(200, root, "PUT", "/api/v1/certificate?dryRun=true", {json: makePair("tried")});
		await must(200, root, "PUT", "/api/v1/certificate", {json: makePair("put in")});
		await must(200, root, "POST", "/api/v1/certificate/renew");
		plant("the key of a certificate, our own", numberOf(readFileSync(join(daemon.directory, "state/api.pem"), "utf8")));
	},
};

async function makeTokens() {
	const {json} = await must(201, root, "POST", "/api/v1/tokens", {json: {user: "ann"}, headers: {"idempotency-key": "k"}});
	token = {id: json.id, text: plant("a token", json.token)};
	await must(201, root, "POST", "/api/v1/tokens", {json: {user: "ann"}, headers: {"idempotency-key": "k"}});
	await must(200, tls.as({authorization: `Bearer ${token.text}`}), "GET", "/api/v1/login");
}

/* -- in wrong places ---------------------------------------------------------------- */

const BAD = "not where it belongs";
const badHost = (chapOf) => ({name: "bad", iscsi: {iqn: ["*"], chap: chapOf}});
/* [client, method, path, {json or body}]: each is refused. */
const wrong = () => [
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: plant(`too short, ${BAD}`, "Planted-sh")})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: plant(`too long, ${BAD}`, `Planted-long-${"x".repeat(300)}`)})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({secret: plant(`no user, ${BAD}`)})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: [plant(`in a list, ${BAD}`)]})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: {text: plant(`in a map, ${BAD}`)}})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: plant(`the same both ways, ${BAD}`),
		mutual: {user: "c", secret: secrets.get(`the same both ways, ${BAD}`)}})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", secret: plant(`beside a file, ${BAD}`), secret_file: "x"})}],
	[root, "POST", "/api/v1/hosts", {json: badHost({user: "u", passphrase: plant(`in a member that is none, ${BAD}`)})}],
	[root, "POST", "/api/v1/hosts", {json: {...badHost(null), secret: plant(`a floor too high, ${BAD}`)}}],
	[root, "POST", "/api/v1/hosts", {body: `{"name": "bad", "iscsi": {"iqn": ["*"], "chap": {"user": "u", "secret": "${plant(`torn JSON, ${BAD}`)}`}],
	[root, "POST", "/api/v1/hosts", {body: `{"secret": "${plant(`twice, ${BAD}`)}", "secret": "${secrets.get(`twice, ${BAD}`)}"}`}],
	[root, "POST", "/api/v1/hosts", {body: `{"name": "x" "${plant(`no comma, ${BAD}`)}": 1}`}],
	[root, "POST", "/api/v1/hosts", {body: plant(`a bare text, ${BAD}`)}],
	[root, "POST", "/api/v1/hosts", {json: {...host("web2", `of a host that is there, ${BAD}`)}}],
	[root, "PUT", "/api/v1/hosts/none/secret", {json: {user: "u", secret: plant(`of no host, ${BAD}`)}}],
	[root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant(`a member too many, ${BAD}`), more: 1}}],
	[root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant(`too short again, ${BAD}`, "Planted-se")}}],
	[root, "PUT", "/api/v1/hosts/web3/secret", {body: `{"secret": "${plant(`short, before a bell, ${BAD}`, "Planted-be")}\u0007"}`}],
	[root, "PUT", "/api/v1/hosts/web3/secret", {json: {user: "u", secret: plant(`a stale version, ${BAD}`)}, headers: {"if-match": "\"0\""}}],
	[root, "PUT", "/api/v1/config", {json: {hosts: [badHost({user: "u", secret: plant(`in a document, ${BAD}`, "Planted-do")})]}}],
	[root, "PUT", "/api/v1/config", {json: {hosts: [badHost({user: "u", secret: plant(`in a document with a mistake, ${BAD}`)}), {name: "bad"}]}}],
	[root, "PUT", "/api/v1/config", {body: `hosts: [{name: bad, iscsi: {iqn: ['*'], chap: {user: u, secret: ${plant(`torn YAML, ${BAD}`)}`, headers: {"content-type": "application/yaml"}}],
	[root, "PUT", "/api/v1/config", {body: `hosts: [{name: bad, iscsi: {iqn: ['*'], chap: {user: u, secret: {${plant(`a map in YAML, ${BAD}`)}: 1}}}}]`, headers: {"content-type": "application/yaml"}}],
	[root, "POST", "/api/v1/users", {json: {name: "bad", role: "god", password: plant(`a role that is none, ${BAD}`)}}],
	[root, "POST", "/api/v1/users", {json: {name: "bad", role: "viewer", password: plant(`too simple, ${BAD}`, "Planted-pw")}}],
	[root, "POST", "/api/v1/users", {json: {name: "bad", role: "viewer", password: [plant(`a password in a list, ${BAD}`)]}}],
	[root, "POST", "/api/v1/users", {json: {name: "bad", role: "viewer", passwort: plant(`a password misspelt, ${BAD}`)}}],
	[root, "POST", "/api/v1/users", {json: {name: "ann", role: "viewer", password: plant(`of a user that is there, ${BAD}`)}}],
	[root, "POST", "/api/v1/users/none/password", {json: {password: plant(`of no user, ${BAD}`)}}],
	[root, "POST", "/api/v1/tokens", {json: {user: "ann", token: plant(`a token of his own, ${BAD}`)}}],
	[tls, "POST", "/api/v1/login", {json: {user: "admin", password: plant(`too much, ${BAD}`), more: 1}}],
	[tls, "POST", "/api/v1/login", {json: {user: "nobody", password: plant(`of nobody, ${BAD}`)}}],
	[tls, "POST", "/api/v1/login", {body: `{"user": "admin", "password": "${plant(`torn login, ${BAD}`)}`}],
	[tls, "POST", "/api/v1/setup", {json: {token: plant(`no setup any more, ${BAD}`), user: "a", password: plant(`its password, ${BAD}`)}}],
	[tls.as({authorization: `Bearer ${plant(`a token of nobody, ${BAD}`)}`}), "GET", "/api/v1/login", {}],
	[tls.as({authorization: `Basic ${Buffer.from(`admin:${plant(`by another scheme, ${BAD}`)}`).toString("base64")}`}), "GET", "/api/v1/login", {}],
	[tls.as({authorization: `Bearer ${token.text}x`}), "GET", "/api/v1/login", {}],
	[tls.as({cookie: `__Host-cairn=${plant(`a cookie of nobody, ${BAD}`)}`}), "GET", "/api/v1/login", {}],
	[session.as({cookie: session.headers.cookie, "x-csrf-token": plant(`another CSRF token, ${BAD}`)}), "POST", "/api/v1/hosts", {json: host("x", `without CSRF token, ${BAD}`)}],
	[root, "PUT", "/api/v1/certificate", {json: {...makePair("other"), certificate: makePair("another").certificate}}],
	[root, "PUT", "/api/v1/certificate", {json: {certificate: makePair("in the wrong place").key, key: "-"}}],
	[root, "PUT", "/api/v1/certificate", {json: {...makePair("torn"), key: makePair("half").key.slice(0, 120)}}],
];

async function sendWrong() {
	const taken = [];
	for (const [client, method, url, options] of wrong()) {
		const body = options.body === undefined ? options
			: {...options, headers: {"content-type": "application/json", ...options.headers}};
		const {status} = await ask(client, method, url, body);
		if (status < 400)
			taken.push(`${method} ${url}: ${status} ${options.body ?? JSON.stringify(options.json)}`);
	}
	return taken;
}

/* A host that signs in with a secret, and one that does so with a wrong one. */
async function signIn() {
	const url = (secret) => `iscsi://web1%25${secret}@127.0.0.1:${daemon.ports.main}/${IQN}/0?target_user=cairn&target_password=${secrets.get("mutual CHAP, of a document at the start")}`
		.replace("%25", "%");
	const run = promisify(execFile);
	const read = (secret) => run("iscsi-inq", ["-i", HOST, url(secret)]).then(() => true, () => false);
	return [await read(secrets.get("CHAP, of a document at the start")), await read(plant(`by a host, ${BAD}`))];
}

/* -- everything that can be read ------------------------------------------------- */

const PARAMETERS = {"/api/v1/hosts/{name}": {name: "web1"}, "/api/v1/hosts/{name}/luns": {name: "web1"},
	"/problems/{name}": {name: "invalid"}, "/api/v1/schemas/{name}": {name: "appliance"}, "/api/v1/portals/{name}": {name: "main"},
	"/api/v1/users/{name}": {name: "ann"}, "/api/v1/schedules/{name}": {name: "nightly"}, "/api/v1/volumes/{name}/listeners/{listener}": {listener: "limit"}};

const SYSTEMS = contract.resolve(contract.operations.find((o) => o.id === "getConnect").parameters.find((p) => p.name === "os").schema).enum;

async function urls(operation) {
	const {json: exports} = await root.send("GET", "/api/v1/exports");
	const known = {name: "db01", iqn: IQN, id: operation.path.includes("tokens") ? token.id : operation.path.includes("exports") ? exports.items[0].id : 1, snapshot: "none", ...PARAMETERS[operation.path]};
	const path = operation.path.replace(/\{([^}]*)\}/g, (_, name) => encodeURIComponent(known[name]));
	if (operation.id === "getConnect")
		return SYSTEMS.flatMap((os) => ["web1", "filed"].map((name) => `${path}?os=${os}&host=${name}`));
	if (operation.id === "getHistory")
		return (await root.list("/api/v1/history")).map(({number}) => `/api/v1/history/${number}`);
	return operation.takes("limit") ? [`${path}?limit=1000`] : [path];
}

async function readAll() {
	for (const operation of contract.operations.filter((o) => o.method === "get")) {
		for (const url of await urls(operation)) {
			const types = Object.keys(operation.spec.responses[200].content).filter((type) => type !== "text/event-stream");
			for (const accept of types) {
				const {bytes} = await ask(root, "GET", url, {headers: {accept}});
				if (operation.id === "getBundle")
					leaks.push(...found("the support bundle", gunzipSync(bytes)));
			}
		}
	}
}

/* -- files ------------------------------------------------------------------------ */

/* Where a secret must be: what is there has to be known to the daemon as it is. */
const BELONGS = [
	[/^state\/secrets\//, ["a secret in a file", "a mutual secret in a file"]],
	[/^state\/api\.pem$/, ["the key of a certificate, our own"]],
];
const MAY_BE = ["CHAP, of a document at the start", "mutual CHAP, of a document at the start", "CHAP, of a host replaced",
	"mutual CHAP, of a host replaced", "CHAP, with mutual", "mutual CHAP, by itself"];

function filesBelow(directory, prefix = "") {
	return readdirSync(directory).flatMap((name) => {
		const path = join(directory, name), inside = join(prefix, name);
		const stat = statSync(path);
		return stat.isDirectory() ? filesBelow(path, inside) : stat.isFile() ? [[inside, path]] : [];
	});
}
function foundInFiles(database) {
	return filesBelow(daemon.directory).flatMap(([inside, path]) => {
		if (/^(document\.yaml|daemon\.log|.*\.(key|crt))$/.test(inside))
			return []; // ours, or looked at by itself
		const allowed = /^state\/cairn\.db/.test(inside) ? database
			: BELONGS.find(([pattern]) => pattern.test(inside))?.[1] ?? [];
		return found(inside, readFileSync(path), allowed);
	});
}

/* -- all ---------------------------------------------------------------------------- */

const marked = [];
(function walk(node, path) {
	if (node?.writeOnly)
		marked.push(path);
	else if (node && typeof node === "object")
		Object.entries(node).forEach(([key, value]) => walk(value, `${path}/${key}`));
})(contract.document, "");
none([...marked.filter((path) => !PLACES[path]), ...Object.keys(PLACES).filter((path) => !marked.includes(path))],
	"every place that takes a secret is known here");
await must(200, root, "POST", "/api/v1/volumes/db01/listeners?dryRun=true", {json: {type: "throttle", name: "limit", iops: 1000}});
await must(201, root, "POST", "/api/v1/volumes/db01/listeners", {json: {type: "throttle", name: "limit", iops: 1000}});
await must(201, root, "POST", "/api/v1/schedules", {json: {name: "nightly", volumes: ["db01"], enabled: false, every: "day", keep: {latest: 1}}});
for (const [place, give] of Object.entries(PLACES)) {
	await give();
	ok(true, `given: ${place}`);
}
await makeTokens();
const [well, badly] = await signIn();
ok(well && !badly, "a host signs in with its secret, and not with another");
none(await sendWrong(), "what is in the wrong place is refused");
await readAll();
const seen = new Set([...recorder.seen.keys()]);
none(contract.operations.filter((o) => o.method === "get" && !["listSnapshots", "getSnapshot", "listDifferences", "getSession", "getJob"].includes(o.id) && !seen.has(`${o.id} 200`)).map((o) => o.id),
	"everything that can be read was read");
await must(201, root, "POST", "/api/v1/users", {json: {name: "the-last-one", role: "viewer"}});
await events.until("the-last-one");
none(leaks, `no answer of ${recorder.count} has any of ${secrets.size} secrets`);
none(found("events", events.text), "no event has one");
const process = (name) => readFileSync(`/proc/${daemon.process.pid}/${name}`);
none([...found("arguments", process("cmdline")), ...found("environment", process("environ"))], "neither arguments nor environment have one");
/* Of CHAP the daemon needs the text: it stands in the database, which only it can read. */
const inLog = () => found("the log", readFileSync(daemon.log), ["the bootstrap token"]);
none(inLog(), "the log has none");
none(foundInFiles([...MAY_BE, ...[...secrets.keys()].filter((what) => /CHAP/.test(what) && !what.includes(BAD))]), "nor any file where it does not belong");
none(filesBelow(join(daemon.directory, "state")).filter(([, path]) => statSync(path).mode & 0o077).map(([inside]) => inside), "what has them is private");
none(recorder.faults, "every answer is as the contract says");
events.end();
root.close();
tls.close();
daemon.process.kill("SIGTERM");
await daemon.ended;
none(foundInFiles(MAY_BE), "a secret that was replaced is in no file any more");
none(inLog(), "nor does the end of the log have one");
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
