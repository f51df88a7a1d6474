// SPDX-License-Identifier: Apache-2.0
/*
 * A daemon of a test's own: on free ports, in a folder of its own, ended by its
 * process id. A report of a sanitizer or another exit status than 0 is a fault.
 */
import {execFileSync, spawn} from "node:child_process";
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
	openSync, closeSync, watch} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {Client, Recorder} from "./http.mjs";
import {Contract} from "./judge.mjs";

const BUILD = process.env.BUILD ?? "build/asan";

export class Daemon {
	constructor({log = "warning"} = {}) {
		this.directory = mkdtempSync(join(tmpdir(), "cairn-api."));
		for (const name of ["data", "state", "run"])
			mkdirSync(join(this.directory, name));
		this.socket = join(this.directory, "run/cairn.sock");
		this.log = join(this.directory, "daemon.log");
		writeFileSync(join(this.directory, "cairn.yaml"), `
data_directory: ${this.directory}/data
state_directory: ${this.directory}/state
run_directory: ${this.directory}/run
log_level: ${log}
reactors: 1
api: {port: 0}
portals:
  - {name: main, address: 127.0.0.1, port: 0}
`);
	}

	/* `document`: text of an appliance document to apply, or none. */
	async start(document) {
		const ports = join(this.directory, "ports");
		rmSync(ports, {force: true});
		const args = ["--config", join(this.directory, "cairn.yaml"), "--port-file", ports];
		if (document !== undefined) {
			writeFileSync(join(this.directory, "document.yaml"), document);
			args.push("--apply", join(this.directory, "document.yaml"));
		}
		const log = openSync(this.log, "a");
		this.process = spawn(join(BUILD, "cairnd"), args, {stdio: ["ignore", log, log],
			env: {ASAN_OPTIONS: "detect_leaks=1", ...process.env}});
		closeSync(log);
		process.once("exit", () => this.process.kill("SIGKILL"));
		this.ended = new Promise((resolve) => this.process.once("exit",
			(status, signal) => resolve(signal ?? status)));
		await this.#ready(ports);
		this.ports = Object.fromEntries(readFileSync(ports, "utf8").trim().split("\n")
			.map((line) => [line.split("=")[0], Number(line.split(":").at(-1))]));
	}

	/* The port file is there, whole, or the daemon has ended. */
	async #ready(ports) {
		let looked;
		const there = new Promise((resolve) => {
			looked = watch(this.directory, () => existsSync(ports) &&
				readFileSync(ports, "utf8").includes("main=") && resolve());
		});
		const end = await Promise.race([there, this.ended]);
		looked.close();
		if (end !== undefined)
			throw new Error(`cairnd ended with ${end}:\n${this.tail()}`);
	}

	get alive() {
		return this.process.exitCode === null && this.process.signalCode === null;
	}

	tail() {
		return readFileSync(this.log, "utf8").split("\n").slice(-40).join("\n");
	}

	/* What is wrong with how it ended, "" for nothing. */
	async stop() {
		if (this.alive)
			this.process.kill("SIGTERM");
		const end = await this.ended;
		const text = readFileSync(this.log, "utf8");
		const report = /ERROR: \w+Sanitizer|runtime error: |Assertion/.test(text);
		const fault = end !== 0 || report ? `it ended with ${end}:\n${this.tail()}` : "";
		if (!process.env.KEEP)
			rmSync(this.directory, {recursive: true, force: true});
		return fault;
	}
}

/* The contract of the build, without a daemon: the document is any. */
export function builtContract() {
	const json = (text) => JSON.parse(text);
	return new Contract(json(readFileSync(join(BUILD, "assets/openapi.json"), "utf8")), {
		source: json(execFileSync(join(BUILD, "cairn-stack"), ["schema"])), appliance: {}});
}

/* The contract as a daemon serves it, a recorder and the socket's client; `asks`
 * is one whose answers are not judged. */
export async function open(daemon) {
	const asks = new Client({record: () => []}, {socket: daemon.socket});
	const get = async (path) => JSON.parse((await asks.send("GET", path)).body);
	const contract = new Contract(await get("/api/v1/openapi.json"), {
		source: await get("/api/v1/schemas/source"),
		appliance: await get("/api/v1/schemas/appliance")});
	const recorder = new Recorder(contract);
	return {contract, recorder, asks, root: new Client(recorder, {socket: daemon.socket})};
}

/* Methods that the daemon has at a path, as OPTIONS says. */
export async function methodsAt(asks, path) {
	const url = path.replace("/exports/{id}", "/exports/a%2C0").replace(/\{[^}]*\}/g, "1");
	const {status, headers} = await asks.send("OPTIONS", url);
	return status === 204 ? headers.allow.split(", ") : [];
}
