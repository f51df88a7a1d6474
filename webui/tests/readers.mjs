// SPDX-License-Identifier: Apache-2.0
/*
 * Server-sent events: a reader that comes back misses nothing, or is told that it did;
 * twenty that never read are dropped, while one that does hears everything, and take
 * less than 2 MB of the daemon's memory meanwhile.
 */
import http from "node:http";
import {readFileSync} from "node:fs";
import {Client} from "./http.mjs";
import {Daemon, open} from "./daemon.mjs";
import {finish, ok} from "./tap.mjs";

const READERS = 20;
const KEPT = 4096; // events in the ring
const CHANGES = 1500;

/* What ASan keeps of freed memory would hide what the daemon holds. */
process.env.ASAN_OPTIONS = `${process.env.ASAN_OPTIONS ?? "detect_leaks=1"}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0`;
const daemon = new Daemon();
await daemon.start("hosts: [{name: web1, iscsi: {iqn: [\"iqn.1993-08.org.debian:01:ab\"]}}]\n");
const {recorder} = await open(daemon);
const root = new Client(recorder, {socket: daemon.socket});

/* -- readers --------------------------------------------------------------------- */

/* A stream of events; read only once read() is called. */
function listen(headers = {}) {
	return new Promise((resolve, reject) => {
		const request = http.request({socketPath: daemon.socket, path: "/api/v1/events?topics=hosts",
			headers: {accept: "text/event-stream", ...headers}}, (answer) => {
			const ended = new Promise((done) => answer.once("close", done));
			answer.on("error", () => {});
			resolve({ended, request, read: () => read(answer)});
		});
		request.on("error", reject);
		request.end();
	});
}

/* {events: [{id, event, data}], until(count)}: waits for as many. */
function read(answer) {
	const events = [], waiting = [];
	let rest = "";
	answer.setEncoding("utf8").on("data", (text) => {
		const blocks = (rest + text).split("\n\n");
		rest = blocks.pop();
		for (const block of blocks) {
			const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
			if (fields.id)
				events.push({...fields, data: JSON.parse(fields.data)});
		}
		waiting.filter(([count]) => events.length >= count).forEach(([, done]) => done(events));
	});
	return {events, until: (count) => (events.length >= count ? Promise.resolve(events)
		: new Promise((done) => waiting.push([count, done])))};
}

async function change(count) {
	for (let i = 0; i < count; i++) {
		const {status} = await root.send("PATCH", "/api/v1/hosts/web1",
			{json: {addresses: [`192.0.2.${i % 250}/32`]}, headers: {"if-match": "*"}});
		if (status !== 200)
			throw new Error(`a change: ${status}`);
	}
}

const figure = async (name) => Number(new RegExp(`^${name} (.*)$`, "m").exec(
	(await root.raw("/metrics")).toString())[1]);
const memory = () => Number(/VmRSS:\s+(\d+) kB/.exec(
	readFileSync(`/proc/${daemon.process.pid}/status`, "utf8"))[1]) * 1024;
const rises = (events) => events.every((e, i) => i === 0 || BigInt(e.id) > BigInt(events[i - 1].id));

/* -- coming back ------------------------------------------------------------------- */

const first = await listen();
const heard = first.read();
await change(10);
const ten = (await heard.until(10)).slice();
first.request.destroy();
ok(ten.length === 10 && rises(ten) && ten.every((e) => e.event === "hosts" && e.data.type === "host_updated"),
	"ten changes are ten events, with rising ids", JSON.stringify(ten[0]));
await change(5);
const back = await (await listen({"last-event-id": ten[3].id})).read().until(11);
ok(JSON.stringify(back.slice(0, 6).map((e) => e.id)) === JSON.stringify(ten.slice(4).map((e) => e.id)) &&
	back.length === 11, "who comes back with Last-Event-ID gets what he has missed, once each");
const wrong = await root.send("GET", "/api/v1/events", {headers: {accept: "text/event-stream", "last-event-id": "x"}});
ok(wrong.status === 400, "Last-Event-ID is a number");

/* -- never reading ------------------------------------------------------------------- */

await change(CHANGES); // what the history and the ring take is taken
const before = memory();
const dropped = await figure("cairn_event_streams_dropped_total");
const honest = (await listen()).read();
const lazy = [];
for (let i = 0; i < READERS; i++)
	lazy.push(await listen());
let most = 0, changes = 0;
while (await figure("cairn_event_streams_dropped_total") < dropped + READERS && changes < 20 * CHANGES) {
	await change(100);
	changes += 100;
	most = Math.max(most, memory());
}
ok(await figure("cairn_event_streams_dropped_total") === dropped + READERS,
	`${READERS} that never read are dropped within ${changes} changes`);
ok(most - before < 2e6, `they take less than 2 MB: ${most - before} bytes`);
const all = await honest.until(changes);
ok(all.length === changes && rises(all), "who reads hears everything");
await change(Math.max(0, KEPT - changes) + 100);
const late = await (await listen({"last-event-id": ten[0].id})).read().until(1);
ok(late[0].event === "reset", "who comes back too late is told so", JSON.stringify(late[0]));
ok(recorder.faults.length === 0, "every answer is as the contract says", recorder.faults);

lazy.forEach((reader) => reader.request.destroy());
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
root.close();
finish();
process.exit();
