// SPDX-License-Identifier: Apache-2.0
/*
 * A client whose every answer is judged by the contract and searched for secrets.
 *
 * Invariant: what went wrong is in `faults` with the request that caused it; a
 * test ends by looking there, however well its own checks went.
 */
import http from "node:http";
import https from "node:https";

export class Recorder {
	constructor(contract) {
		this.contract = contract;
		this.faults = [];
		this.kinds = new Map();
		this.secrets = new Map(); // text -> what it is
		this.count = 0;
		this.seen = new Map(); // "operation status" -> how often
	}

	record(exchange) {
		this.count++;
		const operation = this.contract.find(exchange.method, exchange.url);
		const key = `${operation?.id ?? "-"} ${exchange.status}`;
		this.seen.set(key, (this.seen.get(key) ?? 0) + 1);
		const faults = this.contract.judge(exchange);
		const whole = JSON.stringify(exchange.headers) + exchange.body;
		for (const [secret, name] of this.secrets)
			if (whole.includes(secret))
				faults.push(`the answer has a secret: ${name}`);
		for (const fault of faults)
			this.#keep(`${operation?.id} ${fault.slice(0, 60)}`, `${exchange.method} ${exchange.url.slice(0, 120)}: ${fault}` +
				`\n${(exchange.sent.body ?? "").slice(0, 200)}\n-> ${exchange.body.slice(0, 300)}`);
		return faults;
	}

	/* Three of a kind tell enough. */
	#keep(kind, text) {
		const times = (this.kinds.get(kind) ?? 0) + 1;
		this.kinds.set(kind, times);
		if (times <= 3)
			this.faults.push(text);
	}
}

export class Client {
	/* `where`: {socket} or {port}; `headers` go with every request. */
	constructor(recorder, where, headers = {}) {
		this.recorder = recorder;
		this.headers = headers;
		this.where = where.socket ? {socketPath: where.socket}
			: {host: "127.0.0.1", port: where.port, rejectUnauthorized: false};
		this.http = where.socket ? http : https;
		/* Its timeout is more than the daemon's, which then counts. */
		this.agent = new this.http.Agent({keepAlive: true, maxSockets: 8, timeout: 3600000});
	}

	/* The same place, somebody else. */
	as(headers) {
		const other = Object.create(this);
		other.headers = headers;
		return other;
	}

	close() {
		this.agent.destroy();
	}

	/* `json` or `body` (text), `headers`; {status, headers, body, json}. */
	async send(method, url, {json, body, headers = {}} = {}) {
		const sent = {headers: {...this.headers}, body: body ?? ""};
		if (json !== undefined) {
			sent.body = JSON.stringify(json);
			sent.headers["content-type"] = "application/json";
		}
		Object.assign(sent.headers, headers);
		const answer = await this.exchange(method, url, sent);
		const exchange = {method, url, sent, ...answer};
		exchange.faults = this.recorder.record(exchange);
		try {
			exchange.json = JSON.parse(answer.body);
		} catch {
			exchange.json = undefined;
		}
		return exchange;
	}

	/* A request may meet an idle connection that is just being closed. That says nothing
	 * of the request, and who only reads asks again (RFC 9110 9.2.2). */
	async exchange(method, url, sent) {
		try {
			return await this.once(method, url, sent);
		} catch (error) {
			if (method !== "GET" || !error.wasIdle)
				throw error;
			return this.once(method, url, sent);
		}
	}

	once(method, url, sent) {
		return new Promise((resolve, reject) => {
			const headers = Object.fromEntries(Object.entries(sent.headers).filter(
				([, value]) => value !== undefined));
			if (sent.body)
				headers["content-length"] = Buffer.byteLength(sent.body);
			const request = this.http.request({...this.where, agent: this.agent,
				method, path: url, headers, timeout: 60000}, (answer) => {
				const parts = [];
				answer.on("data", (part) => parts.push(part));
				answer.on("error", reject);
				answer.on("end", () => resolve({status: answer.statusCode,
					headers: flat(answer.headers), bytes: Buffer.concat(parts),
					body: Buffer.concat(parts).toString()}));
			});
			request.on("timeout", () => request.destroy(new Error("no answer in 60 s")));
			request.on("error", (error) => reject(Object.assign(
				new Error(`${method} ${url}: ${error.message}`),
				{wasIdle: request.reusedSocket && ["EPIPE", "ECONNRESET"].includes(error.code)})));
			request.end(sent.body || undefined);
		});
	}

	/* What a GET answers, as bytes. */
	async raw(url) {
		return (await this.exchange("GET", url, {headers: this.headers})).bytes;
	}

	/* Every page of a list. */
	async list(url) {
		const items = [];
		let after = "";
		do {
			const joint = url.includes("?") ? "&" : "?";
			const page = await this.send("GET", url + (after &&
				`${joint}after=${encodeURIComponent(after)}`));
			if (page.status !== 200)
				throw new Error(`GET ${url}: ${page.status} ${page.body}`);
			items.push(...page.json.items);
			after = page.json.next;
		} while (after);
		return items;
	}
}

const flat = (headers) => Object.fromEntries(Object.entries(headers).map(
	([name, value]) => [name, [value].flat().join(", ")]));
