// SPDX-License-Identifier: Apache-2.0
/*
 * Bodies that are too large, over TLS and at the unix socket: who sends all of one
 * before he reads still reads why it was refused; who sends without end is cut off.
 */
import tls from "node:tls";
import {Daemon, open} from "./daemon.mjs";
import {finish, ok} from "./tap.mjs";

const MIB = 2 ** 20;

const daemon = new Daemon();
await daemon.start("volumes: []\n");

/* Sends `sent` of `promised` bytes, in pieces, and only then reads: the answer, or
 * what became of it. */
function put(promised, sent) {
	return new Promise((resolve) => {
		let text = "", left = sent;
		const ends = () => resolve({text, sent: sent - left});
		const socket = tls.connect({host: "127.0.0.1", port: daemon.ports.api, rejectUnauthorized: false}, () => {
			socket.pause();
			socket.write("PUT /api/v1/config HTTP/1.1\r\nHost: x\r\n" +
				`Content-Type: application/json\r\nContent-Length: ${promised}\r\n\r\n`);
			more();
		});
		socket.on("data", (data) => (text += data));
		socket.on("end", ends);
		socket.on("error", ends);
		const more = (error) => {
			if (error)
				return;
			if (left <= 0)
				return socket.resume();
			left -= MIB;
			socket.write(Buffer.alloc(MIB, " "), more);
		};
	});
}

const whole = await put(20 * MIB, 20 * MIB);
ok(whole.text.startsWith("HTTP/1.1 413 ") && whole.text.includes("/problems/too-large"),
	"sent whole, then read", whole.text);
const endless = await put(2 ** 50, 4096 * MIB);
ok(endless.sent < 1024 * MIB, `without end: cut off after ${endless.sent / MIB} MiB`);
const {root, recorder} = await open(daemon);
const local = await root.send("PUT", "/api/v1/config", {body: " ".repeat(20 * MIB),
	headers: {"content-type": "application/json", "if-match": "*"}});
ok(local.status === 413 && local.json.detail.includes(String(16 * MIB)), "at the unix socket, with what is allowed", local.body);
ok((await root.send("GET", "/api/v1/config")).status === 200 && recorder.faults.length === 0,
	"and the connection goes on", recorder.faults);
root.close();
const end = await daemon.stop();
ok(end === "", "the daemon ends in good order", end);
finish();
