// SPDX-License-Identifier: Apache-2.0
/*
 * Requests made from the contract: values by schema, then perhaps spoilt.
 *
 * Invariants
 *  1. The same seed makes the same request for the same pool of names.
 *  2. Nothing that is made can hurt the machine: sizes are small where memory or
 *     disk would be used, addresses are loopback, no path leaves the data folder.
 *  3. Every password and secret that is sent is planted: known, and searched for in
 *     every answer.
 */
import fc from "fast-check";

const NAMES = ["a", "b1", "db01", "web1", "web2", "Long-name_with.all", "main", "z"];
const AUTHORITY = "iqn.2026-11.example.cairn";

export class Generator {
	constructor(contract, seed, plant) {
		this.contract = contract;
		this.seed = seed;
		this.plant = plant; // makes a new secret, and knows it from then on
		this.pool = {};
	}

	/* One value of an arbitrary; each call goes on from the seed. */
	draw(arbitrary) {
		this.seed = (Math.imul(this.seed, 1664525) + 1013904223) | 0;
		return fc.sample(arbitrary, {numRuns: 1, seed: this.seed})[0];
	}

	number(below) {
		this.seed = (Math.imul(this.seed, 1664525) + 1013904223) | 0;
		return (this.seed >>> 8) % below;
	}

	chance(percent) {
		return this.number(1000) < percent * 10;
	}

	pick(list) {
		return list[this.number(list.length)];
	}

	/* -- names ------------------------------------------------------------ */

	/* A name of `kind` ("volume", ...): mostly one that is there. */
	name(kind, there = 70) {
		const known = this.pool[kind] ?? [];
		if (known.length && this.chance(there))
			return this.pick(known);
		if (kind === "target")
			return `${AUTHORITY}:${this.pick(NAMES).toLowerCase().replaceAll("_", "-")}`;
		if (kind === "export")
			return `${this.name("target")},${this.number(4)}`;
		if (["session", "job", "history"].includes(kind))
			return 1 + this.number(5);
		return this.chance(95) ? this.pick(NAMES)
			: this.draw(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/));
	}

	/* -- values by schema -------------------------------------------------- */

	value(schema, key = "") {
		schema = this.#whole(schema);
		const special = this.#special(schema, key);
		if (special !== undefined)
			return special;
		if (schema.const !== undefined)
			return schema.const;
		if (schema.enum)
			return this.pick(schema.enum);
		const choice = schema.oneOf && !schema.properties
			? this.value(this.pick(schema.oneOf), key) : undefined;
		if (choice !== undefined)
			return choice;
		return this.#typed(schema, key);
	}

	#whole(schema) {
		if (!schema.$ref?.startsWith("#/"))
			return schema;
		const {$ref, ...more} = schema;
		return this.#whole({...this.contract.resolve({$ref}), ...more});
	}

	#typed(schema, key) {
		const type = this.pick([schema.type ?? "object"].flat());
		switch (type) {
		case "object":
			return this.#object(schema);
		case "array":
			return this.#array(schema, key);
		case "integer":
			return this.#integer(schema);
		case "boolean":
			return this.chance(50);
		case "null":
			return null;
		default:
			return this.#string(schema);
		}
	}

	#object(schema) {
		const made = {};
		const must = new Set([...schema.required ?? [],
			...(schema.oneOf ? this.pick(schema.oneOf).required ?? [] : [])]);
		const either = new Set((schema.oneOf ?? []).flatMap((one) => one.required ?? []));
		for (const [name, inner] of Object.entries(schema.properties ?? {})) {
			if (!must.has(name) && (either.has(name) || !this.chance(20)))
				continue;
			if (this.#whole(inner).readOnly && !this.chance(10))
				continue;
			made[name] = this.value(inner, name);
		}
		return made;
	}

	#array(schema, key) {
		const count = Math.max(schema.minItems ?? 0, this.number(3));
		const items = Array.from({length: count}, () => this.value(schema.items ?? {}, key));
		return schema.uniqueItems ? [...new Set(items)] : items;
	}

	#integer({minimum = 0, maximum = 1000}) {
		const few = [minimum, maximum, minimum + 1, Math.min(maximum, 512), Math.min(maximum, 1000)];
		return this.chance(50) ? this.pick(few)
			: this.draw(fc.integer({min: Math.max(minimum, -(2 ** 31)), max: Math.min(maximum, 2 ** 31 - 1)}));
	}

	#string({pattern, minLength = 0, maxLength = 40, format}) {
		if (format === "date-time")
			return new Date(Date.now() + this.number(10 ** 8)).toISOString();
		if (pattern)
			return this.draw(fc.stringMatching(new RegExp(pattern))).slice(0, maxLength);
		return this.draw(fc.string({minLength, maxLength: Math.min(maxLength, 40), unit: "binary"})
			.map((text) => text.toWellFormed().replaceAll("\0", "0")));
	}

	/* What is known of members by name, so that most requests make sense. */
	#special(schema, key) {
		const text = [schema.type].flat().includes("string");
		if (schema.$ref?.endsWith("/source"))
			return this.source();
		if (schema.$ref?.endsWith("/$defs/listener"))
			return this.listener();
		if (schema.$ref?.endsWith("/appliance"))
			return this.pool.config;
		if (["secret", "password", "old", "new", "token"].includes(key) && schema.writeOnly)
			return text && this.chance(90) ? this.plant() : undefined;
		if (["size", "physical_block_size", "rate_bytes"].includes(key) && this.chance(90))
			return this.size();
		const known = SPECIAL[key];
		return known && this.chance(92) ? known(this) : undefined;
	}

	size() {
		return this.pick([512, 4096, 65536, "1MiB", "2M", 1048576, "16MiB", 12582912]);
	}

	listener() {
		const name = this.chance(70) ? {name: this.pick(["limit", "watch", "l1", "qos"])} : {};
		return {...this.pick([{type: "stats"}, {type: "throttle", iops: 1000 + this.number(9000)},
			{type: "throttle", bytes_s: "64MiB", burst: 2}, {type: "delay", read_us: this.number(100)},
			{type: "readonly"}, {type: "fault"}]), ...name};
	}

	protocol() {
		return this.pick([() => ({type: "mem", size: this.size()}), () => ({type: "null", size: "1G"}),
			() => ({type: "file", path: `${this.pick(NAMES)}.raw`, size: this.size()})])();
	}

	source() {
		const listeners = Array.from({length: this.number(3)}, () => this.listener());
		const bottom = this.chance(85) ? {protocol: this.protocol()}
			: this.chance(50) ? {source: this.name("volume")}
			: {format: {type: "raw", file: {protocol: this.protocol()}}};
		return {...(listeners.length ? {listeners} : {}), ...bottom};
	}

	/* -- spoiling ----------------------------------------------------------- */

	/* A value that is probably not valid any more. */
	spoil(value, depth = 0) {
		if (value !== null && typeof value === "object" && this.chance(depth ? 75 : 92)) {
			const copy = structuredClone(value);
			const keys = Object.keys(copy);
			if (keys.length && this.chance(80)) {
				const key = this.pick(keys);
				if (this.chance(20) && !Array.isArray(copy))
					delete copy[key];
				else
					copy[key] = this.spoil(copy[key], depth + 1);
				return copy;
			}
			if (Array.isArray(copy))
				copy.push(this.junk());
			else
				copy[this.pick(["x", "Name", "dryRun", "", "__proto__x", "size_bytes"])] = this.junk();
			return copy;
		}
		return this.junk();
	}

	junk() {
		return this.pick([null, true, false, 0, -1, 1.5, 4294967296, 1e308, 2 ** 53, "", "0",
			"\u0001", "a\u0000b", "x".repeat(5000), "../../etc/passwd", "%00", "<script>", [], {}, [[]],
			"iqn.2026-11.example.cairn:" + "y".repeat(300), "10GiBB", {"": {}}, "\ud83d\ude00"]);
	}

	/* A text that is no good JSON, or not the one that was meant. */
	tear(text) {
		const at = this.number(text.length + 1);
		return this.pick([text.slice(0, at), `${text}}`, `[${text}`, "", "nul", text.replace(":", ""),
			text.replace(/^\{/, "{\"name\":\"a\",\"name\":\"b\","), `${"[".repeat(200)}1${"]".repeat(200)}`,
			`${text.slice(0, at)}\u0007${text.slice(at)}`]);
	}
}

const SPECIAL = {
	name: (g) => g.pick(NAMES),
	uuid: (g) => `2b1f3ad6-8a77-4a1f-9d3e-${String(g.number(10 ** 6)).padStart(12, "0")}`,
	vendor: (g) => g.pick(["CAIRN", "A", "EIGHTBYT"]),
	product: (g) => g.pick(["VOLUME", "B", "SIXTEEN BYTES 16"]),
	volume: (g) => g.name("volume", 90),
	through: (g) => g.name("volume", 50),
	volumes: (g) => [g.name("volume", 90)],
	target: (g) => g.name("target", 80),
	iqn: (g) => g.name("target", 50),
	portals: (g) => [g.name("portal", 95)],
	host: (g) => g.name("host", 90),
	addresses: (g) => [g.pick(["127.0.0.0/8", "::1", "192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])],
	networks: (g) => [g.pick(["127.0.0.0/8", "::1/128"])],
	address: (g) => g.pick(["127.0.0.1", "::1", "127.0.0.2"]),
	port: () => 0,
	lun: (g) => g.number(4),
	below: (g) => g.pick(["limit", "watch", "l1"]),
	secret_file: () => "not-there.chap",
	user: (g) => g.pick(["web1", "cairn", g.name("user", 90), g.name("user", 90)]),
	group: (g) => g.pick([1, 2, "g1"]),
	duration_seconds: (g) => 40000 + g.number(40000), // one that ends changes a volume
	hold: () => false,
	delay_us: (g) => g.number(1000),
	verb: (g) => g.pick(["release", "add", "remove", "list", "x"]),
	wait: (g) => g.number(2),
	topics: (g) => g.pick(["volumes", "jobs", "volumes,hosts"]),
	expires_seconds: (g) => 60 + g.number(1000),
	certificate: (g) => g.pick(["alice", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]),
};

/* Lists whose items are names: the schema says only Name. */
export function fillLists(generator, body) {
	if (body && typeof body === "object" && !Array.isArray(body)) {
		if (Array.isArray(body.hosts) && body.hosts.every((host) => typeof host === "string"))
			body.hosts = [...new Set(body.hosts.map(() => generator.name("host", 92)))];
		if (Array.isArray(body.iscsi?.iqn))
			body.iscsi.iqn = body.iscsi.iqn.map(() => generator.pick(
				["iqn.1993-08.org.debian:01:ab", "iqn.2026-11.example.host:*", "eui.02004567a425678d", "*"]));
	}
	return body;
}
