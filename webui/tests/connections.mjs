// SPDX-License-Identifier: Apache-2.0
/*
 * Connections that are asked on more than once: the daemon says how long it keeps an
 * idle one, so that clients let go of it first and lose no request; and what is left of
 * one request is never taken for the next. And more requests than are taken, and those
 * that come while the daemon stops: each has its answer.
 */
import http from "node:http";
import https from "node:https";
import net from "node:net";
import {Daemon} from "./daemon.mjs";
import {Client} from "./http.mjs";
import {finish, ok} from "./tap.mjs";

const daemon = new Daemon();
await daemon.start("volumes: []\n");

/* -- how long ------------------------------------------------------------------ */

/* The socket that the agent keeps after an answer, which it closes by itself in time. */
function keptBy(library, where) {
	const agent = new library.Agent({keepAlive: true, timeout: 3600000});
	return new Promise((resolve, reject) => {
		library.get({...where, agent, path: "/healthz"}, (answer) => {
			const {headers} = answer;
			agent.once("free", (socket) => setImmediate(() =>
				resolve({agent, headers, timeout: socket.timeout})));
			answer.resume();
		}).on("error", reject);
	});
}

const places = {
	"the unix socket": [http, {socketPath: daemon.socket}],
	https: [https, {host: "127.0.0.1", port: daemon.ports.api, rejectUnauthorized: false}],
};
for (const [name, [library, where]] of Object.entries(places)) {
	const {agent, headers, timeout} = await keptBy(library, where);
	const seconds = Number(/^timeout=(\d+)$/.exec(headers["keep-alive"])?.[1]);
	ok(headers.connection === "keep-alive" && seconds > 1, `${name}: an answer says how long it is kept`, headers);
	ok(timeout > 0 && timeout <= seconds * 1000, `${name}: a client closes it before that`, timeout);
	agent.destroy();
}

/* -- what is left ---------------------------------------------------------------- */

/* All that is answered to these bytes until the daemon closes, or is silent for long. */
function tell(text) {
	return new Promise((resolve, reject) => {
		let answer = "";
		const socket = net.connect(daemon.socket, () => socket.write(text));
		socket.setEncoding("latin1").on("data", (data) => (answer += data));
		socket.setTimeout(5000, () => socket.destroy());
		socket.on("end", () => socket.end()).on("error", reject).on("close", () => resolve(answer));
	});
}

const statuses = (answer) => [...answer.matchAll(/HTTP\/1\.[01] (\d+) /g)].map(([, status]) => status).join();
const last = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const framings = {"Content-Length: 4": "GET ", "Transfer-Encoding: chunked": "4\r\nGET \r\n0\r\n\r\n"};
for (const [framing, body] of Object.entries(framings)) {
	for (const method of ["HEAD", "TRACE"]) {
		const answer = await tell(`${method} /healthz HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${body}${last}`);
		ok(/^\d+$/.test(statuses(answer)) && /connection: close/i.test(answer),
			`${method} with a body, ${framing}: one answer, and the connection ends`, answer);
	}
	for (const method of ["GET", "DELETE", "OPTIONS", "PUT"]) {
		const answer = await tell(`${method} /healthz HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${body}${last}`);
		ok(/^\d+,200$/.test(statuses(answer)), `${method} with a body, ${framing}: the next is answered, too`, answer);
	}
}

/* What others on the way could read as another request: refused, and the connection ends,
 * so that nothing of it is taken for the next one (RFC 9112 2.2, 3.2, 5.1, 6, 11.2). */
const change = (headers, body = "{}") => `PATCH /api/v1/volumes/none HTTP/1.1\r\nIf-Match: *\r\n` +
	`Content-Type: application/json\r\n${headers}\r\n${body}${last}`;
const chunked = "2\r\n{}\r\n0\r\n\r\n";
const doubtful = {
	"two lengths": change("Host: x\r\nContent-Length: 2\r\nContent-Length: 1\r\n"),
	"a length and chunks": change("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", chunked),
	"a signed length": change("Host: x\r\nContent-Length: +2\r\n"),
	"a space before the colon": change("Host: x\r\nContent-Length : 2\r\n"),
	"an unknown coding": change("Host: x\r\nTransfer-Encoding: xchunked\r\n", chunked),
	"two codings": change("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", chunked),
	"no host": change("Content-Length: 2\r\n"),
	"two hosts": change("Host: x\r\nHost: y\r\nContent-Length: 2\r\n"),
	"two credentials": change("Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 2\r\n"),
};
for (const [name, text] of Object.entries(doubtful)) {
	const answer = await tell(text);
	ok(statuses(answer) === "400" && /\r\nconnection: close\r\n/i.test(answer) && answer.includes("/problems/syntax"),
		`${name}: refused, and the connection ends`, answer);
}

/* What is unusual, and well. */
const body = `{"name": "n", "source": {"protocol": {"type": "mem", "size": "1MiB"}}}`;
const made = (line, headers, text) => `POST ${line}\r\nContent-Type: application/json\r\n${headers}\r\n${text}`;
const target = "/api/v1/volumes?dryRun=true";
const length = `Content-Length: ${body.length}\r\n`;
const unusual = {
	"an absolute target": made(`http://x:80${target} HTTP/1.1`, `Host: x\r\n${length}`, body),
	"one of https": made(`HTTPS://x${target} HTTP/1.1`, `Host: x\r\n${length}`, body),
	"an escaped path": made("/api/v1/volum%65s?dry%52un=true HTTP/1.1", `Host: x\r\n${length}`, body),
	"chunks, and a trailer": made(`${target} HTTP/1.1`, "Host: x\r\nTransfer-Encoding: Chunked\r\n",
		`1\r\n{\r\n${(body.length - 1).toString(16)}\r\n${body.slice(1)}\r\n0\r\nX: y\r\n\r\n`),
	"Expect: 100-continue": made(`${target} HTTP/1.1`, `Host: x\r\nExpect: 100-continue\r\n${length}`, body),
	"HTTP/1.0 without a host": made(`${target} HTTP/1.0`, `Connection: keep-alive\r\n${length}`, body),
};
for (const [name, text] of Object.entries(unusual)) {
	const answer = await tell(text + last);
	ok(/^(100,)?200,200$/.test(statuses(answer)) && answer.includes(`"dry_run":true`), `${name}: served, and the next one`, answer);
}

/* Who wants the connection to end is told that it does. */
const ending = {"HTTP/1.0": "HTTP/1.0\r\n\r\n", "Connection: close, TE": "HTTP/1.1\r\nHost: x\r\nConnection: close, TE\r\n\r\n",
	"Connection: upgrade, Close": "HTTP/1.1\r\nHost: x\r\nConnection: upgrade, Close\r\nUpgrade: h2c\r\n\r\n"};
for (const [name, text] of Object.entries(ending)) {
	const answer = await tell(`GET /healthz ${text}`);
	ok(statuses(answer) === "200" && /\r\nconnection: close\r\n/i.test(answer) && !/keep-alive/i.test(answer),
		`${name}: one answer, which says that it is the last`, answer);
}

/* -- too many, too late ------------------------------------------------------------ */

const CALLS = 128; // API_MAX_CALLS; root may have some more at the socket
const recorder = {record: () => []};
const root = new Client(recorder, {socket: daemon.socket});
async function must(status, method, url, json) {
	const answer = await root.send(method, url, {json});
	if (answer.status !== status)
		throw new Error(`${method} ${url}: ${answer.status}, not ${status}: ${answer.body}`);
	return answer.json;
}
await must(201, "POST", "/api/v1/users", {name: "eve", role: "viewer", password: "long enough for anybody"});
const {token} = await must(201, "POST", "/api/v1/tokens", {user: "eve", role: "viewer"});
/* One connection each, as they are all out at the same time. */
const ask = (url) => new Client(recorder, {port: daemon.ports.api}, {authorization: `Bearer ${token}`, connection: "close"})
	.send("GET", url);

const stack = {listeners: [{type: "fault", name: "f"}], protocol: {type: "mem", size: "1MiB"}};
await must(201, "POST", "/api/v1/volumes", {name: "held", source: stack});
await must(200, "POST", "/api/v1/volumes/held/listeners/f/commands", {verb: "hold"});
const job = await must(202, "POST", "/api/v1/jobs", {kind: "scrub", volume: "held"});
const many = Array.from({length: CALLS + 20}, () => ask(`/api/v1/jobs/${job.id}?wait=60`));
/* The job does not end while its volume is held: who is answered was too many. */
const first = [];
await new Promise((resolve) => many.forEach((asked) => asked.then(({status, json}) => {
	first.push(`${status} ${json?.detail}`);
	if (first.length === 20)
		resolve();
})));
ok(new Set(first).size === 1 && first[0] === "503 too many requests at once",
	`${CALLS + 20} requests that wait: those that are too many are told so`, first);
const measure = root.send("GET", "/api/v1/volumes/held/measure");
ok((await must(200, "GET", "/api/v1/volumes/held")).name === "held", "root is heard nevertheless");

const stopping = daemon.stop();
const answers = await Promise.all(many);
ok(answers.filter(({status}) => status === 200).length === CALLS, "the others are answered when the daemon stops",
	answers.map(({status}) => status));
ok([200, 503].includes((await measure).status), "and who asked a volume whose I/O was held", (await measure).body);
const end = await stopping;
ok(end === "", "the daemon ends in good order", end);
finish();
