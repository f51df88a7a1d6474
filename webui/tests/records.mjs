// SPDX-License-Identifier: Apache-2.0
/*
 * Exchanges that tests in other languages left behind, in the folder that
 * API_RECORD names:
 *
 *	*.trace		what curl --trace writes (tests/interop/lib.sh)
 *	*.sent, *.got	the bytes of one connection, both ways (tests/tools/tee_socket)
 *
 * What was cut off (a client killed, a daemon gone) is left out, not guessed.
 */
import {readFileSync, readdirSync} from "node:fs";
import {join} from "node:path";

/* -- HTTP/1.1 as bytes -------------------------------------------------------- */

class Bytes {
	constructor(buffer) {
		this.buffer = buffer;
		this.at = 0;
	}
	get left() {
		return this.buffer.length - this.at;
	}
	/* Up to and without `end`; null if it is not there. */
	until(end) {
		const found = this.buffer.indexOf(end, this.at);
		if (found < 0)
			return null;
		const text = this.buffer.toString("latin1", this.at, found);
		this.at = found + end.length;
		return text;
	}
	take(bytes) {
		if (bytes > this.left)
			return null;
		this.at += bytes;
		return this.buffer.subarray(this.at - bytes, this.at);
	}
}

function headersOf(lines) {
	const headers = {};
	for (const line of lines) {
		const colon = line.indexOf(":");
		const name = line.slice(0, colon).trim().toLowerCase();
		const value = line.slice(colon + 1).trim();
		headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
	}
	return headers;
}

function chunked(bytes) {
	const parts = [];
	for (;;) {
		const line = bytes.until("\r\n");
		if (line === null)
			return null;
		const size = Number.parseInt(line, 16);
		if (Number.isNaN(size))
			return null;
		const part = bytes.take(size);
		if (part === null || bytes.until("\r\n") === null)
			return null;
		if (size === 0)
			return Buffer.concat(parts);
		parts.push(part);
	}
}

/* One message; null if it is not whole. `bodiless`: whatever the headers say. */
function message(bytes, bodiless) {
	const head = bytes.until("\r\n\r\n");
	if (head === null)
		return null;
	const [start, ...lines] = head.split("\r\n");
	const headers = headersOf(lines);
	let body = Buffer.alloc(0);
	if (!bodiless(start)) {
		if (/chunked/i.test(headers["transfer-encoding"] ?? ""))
			body = chunked(bytes);
		else if (headers["content-length"] !== undefined)
			body = bytes.take(Number(headers["content-length"]));
		else if (start.startsWith("HTTP/"))
			body = bytes.take(bytes.left);
	}
	return body === null ? null : {start, headers, body: body.toString()};
}

/* Exchanges of one connection. */
export function exchanges(sent, got) {
	const list = [];
	const requests = new Bytes(sent);
	const answers = new Bytes(got);
	for (;;) {
		const request = message(requests, () => false);
		if (request === null)
			return list;
		const [method, url] = request.start.split(" ");
		let answer;
		do
			answer = message(answers, (start) => method === "HEAD" ||
				/^HTTP\/1.[01] (1..|204|304)/.test(start));
		while (answer !== null && /^HTTP\/1.[01] 1/.test(answer.start));
		if (answer === null || url === undefined)
			return list;
		list.push({method, url, sent: {headers: request.headers, body: request.body},
			status: Number(answer.start.split(" ")[1]),
			headers: answer.headers, body: answer.body});
	}
}

/* -- what curl --trace writes -------------------------------------------------- */

const SECTION = /^(=>|<=) (Send|Recv) (header|data), \d+ bytes/;
const HEX = /^[0-9a-f]{4,}: ((?:[0-9a-f]{2} ){1,16})/;

export function fromTrace(text) {
	const parts = {"=>": [], "<=": []};
	let to = null;
	for (const line of text.split("\n")) {
		const section = SECTION.exec(line);
		if (section) {
			to = parts[section[1]];
			continue;
		}
		const hex = HEX.exec(line);
		if (!hex)
			to = null;
		else if (to)
			to.push(Buffer.from(hex[1].replaceAll(" ", ""), "hex"));
	}
	return exchanges(Buffer.concat(parts["=>"]), Buffer.concat(parts["<="]));
}

/* -- a folder ------------------------------------------------------------------ */

export function* recorded(directory) {
	for (const name of readdirSync(directory).sort()) {
		const path = join(directory, name);
		if (name.endsWith(".trace"))
			yield [name, fromTrace(readFileSync(path, "latin1"))];
		else if (name.endsWith(".sent"))
			yield [name, exchanges(readFileSync(path),
				readFileSync(path.replace(/sent$/, "got")))];
	}
}
