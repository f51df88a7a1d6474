// SPDX-License-Identifier: Apache-2.0
/*
 * Random appliance documents, each valid and each of another make: every kind of
 * object, protocol, format and listener, with names and texts that YAML could take for
 * something else.
 *
 * Invariants
 *  1. The same seed makes the same document.
 *  2. What is made can be opened anywhere: small, on loopback, ports chosen by the
 *     system, files below the data folder that no other document has.
 */
const NAMES = ["true", "null", "no", "1.5", "0x1f", "1e5", "007", "a", "Z-9_x.y", "on", "12", "inf", "x".repeat(63)];
const TEXTS = ["plain", "with: colon", "# no comment", "it's \"quoted\"", "~", "- dash", "{brace}", "[1, 2]", "&x *y", "é ü ß 中 😀", "yes", "1.0", "%", "@at", "`", "!tag", "a\\b"];
const LISTENERS = {
	stats: () => ({}),
	trace: (g) => g.some({records: 16 + g.below(1000)}),
	readonly: () => ({}),
	throttle: (g) => g.some({iops: 1000 + g.below(9000), bytes_s: g.pick(["64M", "1GiB", 1 << 20]), burst: 1 + g.below(9)}),
	delay: (g) => g.some({read_us: g.below(100), jitter_us: g.below(9), seed: g.below(2 ** 31)}),
	backup: (g, size) => ({target: {protocol: {type: "mem", size}}, ...g.some({copies: 1 + g.below(64), on_error: g.pick(["break", "fail", "wait"])})}),
	mirror: (g, size) => ({leg: {protocol: {type: "mem", size}}, ...g.some({granularity: "64K", failover: false, resync: "manual", retry: 5})}),
	dirty: (g) => g.some({granularity: g.pick(["64K", "1M", 4096])}),
	cache: (g) => ({size: "1M", ...g.some({block: g.pick(["4K", "64K", 512]), largest: "64K"})}),
	verify: (g, size) => ({others: [{protocol: {type: "null", size}}], ...g.some({action: g.pick(["log", "fail", "stop"])})}),
	fault: (g) => g.some({seed: g.below(99), rules: [{op: "write", offset: "1M", error: "EIO", ...g.some({count: 1 + g.below(9), name: "r1"})}]}),
};

export class Documents {
	constructor(seed) {
		this.seed = seed;
		this.random = BigInt(seed);
		this.used = new Set(); // "listener fault": what was made
		this.files = 0;
	}

	below(limit) {
		this.random = (this.random * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
		return Number(this.random >> 33n) % limit;
	}

	chance(percent) {
		return this.below(100) < percent;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	/* Some of its members. */
	some(members) {
		return Object.fromEntries(Object.entries(members).filter(() => this.chance(50)));
	}

	/* `count` of a list, in an order of its own. */
	choose(list, count) {
		const rest = [...list];
		return Array.from({length: Math.min(count, rest.length)}, () => rest.splice(this.below(rest.length), 1)[0]);
	}

	names(count) {
		return this.choose(NAMES, count);
	}

	use(kind, what) {
		this.used.add(`${kind} ${what}`);
		return what;
	}

	/* -- sources --------------------------------------------------------------- */

	/* One that must see every write stands on no alias, past which others write. */
	listeners(size, alias = false) {
		const kinds = this.choose(Object.keys(LISTENERS).filter((kind) => !alias || !["backup", "mirror", "dirty", "cache", "verify"].includes(kind)), this.below(4));
		const order = Object.keys(LISTENERS); // as they may stand above each other
		const list = kinds.sort((a, b) => order.indexOf(a) - order.indexOf(b)).map((type) => ({type: this.use("listener", type), ...this.some({name: `l-${type}`}),
			...LISTENERS[type](this, size)}));
		return list.length ? {listeners: list} : {};
	}

	path(end) {
		return `d${this.seed}-${this.files++}.${end}`;
	}

	protocol(size) {
		const type = this.use("protocol", this.pick(["file", "mem", "null"]));
		if (type === "file")
			return {type, path: this.path("raw"), size, ...this.some({cache: this.pick(["direct", "writeback", "writethrough"]), preallocate: false})};
		return {type, size};
	}

	format(size) {
		const type = this.use("format", this.pick(["raw", "qcow2"]));
		if (type === "raw")
			return {type, file: {protocol: this.protocol(size)}, ...this.some({offset: 0})};
		const backing = this.chance(40) ? {backing: {protocol: this.protocol(size)}} : {};
		return {type, size, pool: "64K", ...this.some({cluster_size: "64K", cache: "1M"}),
			file: {protocol: {type: "file", path: this.path("qcow2"), size: "64K"}}, ...backing};
	}

	source(size, above) {
		if (above.length && this.chance(20))
			return {...this.listeners(above[0].size, true), source: this.use("source", "alias") && above[0].name};
		return {...this.listeners(size), ...(this.chance(55) ? {protocol: this.protocol(size)} : {format: this.format(size)})};
	}

	/* -- objects ----------------------------------------------------------------- */

	volumes() {
		const above = [], list = [];
		for (const name of this.names(1 + this.below(5))) {
			const size = this.pick(["1M", "2MiB", 4194304]);
			const source = this.source(size, above);
			list.push({name, ...this.some({removable: this.chance(50), thin: this.chance(50), read_only: this.chance(50),
				vendor: "CAIRN", product: this.pick(["VOLUME", "A B", "1"]), space_wait: this.below(60),
				uuid: Array.from({length: 4}, () => this.below(2 ** 31).toString(16).padStart(8, "0")).join("")
					.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")}), source});
			if (!source.source)
				above.push({name, size});
		}
		return list;
	}

	secret(what) {
		return this.chance(70) ? {secret: this.use("host", `${what} with a secret`) && `secret-of-${this.below(2 ** 31)}-${what}`}
			: {secret_file: this.use("host", `${what} in a file`) && `${what}.secret`};
	}

	hosts() {
		return this.names(1 + this.below(4)).map((name, i) => {
			const iscsi = {iqn: this.pick([["*"], [`iqn.1993-08.org.debian:01:${i}`], [`iqn.1993-08.org.debian:${i}*`, "eui.02004567a425678d"]])};
			if (this.chance(50))
				iscsi.chap = this.chance(20) ? null : {user: this.pick(["u", "with space", "ü"]), ...this.secret("chap"),
					...this.some({weak_hashes: this.pick(["allowed", "forbidden"])}),
					...(this.chance(40) ? {mutual: {user: "cairn", ...this.secret("mutual")}} : {})};
			return {name, ...this.some({addresses: this.pick([["127.0.0.0/8"], ["::1", "192.0.2.0/24"], ["10.0.0.1"]])}), iscsi};
		});
	}

	portals() {
		const names = ["main", ...this.choose(["null", "p-2", "1"], this.below(3))];
		return names.map((name) => ({name, address: "127.0.0.1", port: 0}));
	}

	targets(portals) {
		return Array.from({length: 1 + this.below(3)}, (_, i) => ({
			...(this.chance(50) ? {name: this.use("target", "by name") && `t${i}`} : {iqn: this.use("target", "by IQN") && `iqn.2026-11.example.cairn:i${i}`}),
			...this.some({alias: this.pick(TEXTS), portals: this.choose(portals.map(({name}) => name), 1 + this.below(portals.length))})}));
	}

	/* That lead to the volume alone, as its export may. */
	aliases(volumes, volume) {
		return volumes.filter((v) => v.source.source === volume.name && (v.block_size ?? 512) === (volume.block_size ?? 512));
	}

	exports(volumes, targets, hosts) {
		const list = [];
		for (const target of targets)
			for (const [lun, volume] of this.choose(volumes, this.below(volumes.length + 1)).entries())
				list.push({volume: volume.name, target: target.name ?? target.iqn, lun: lun * this.pick([1, 300]),
					hosts: this.choose(hosts.map(({name}) => name), 1 + this.below(hosts.length)), ...this.some({read_only: this.chance(50),
						...(this.aliases(volumes, volume).length ? {through: this.use("export", "through an alias") && this.pick(this.aliases(volumes, volume)).name} : {})})});
		return list;
	}

	schedules(volumes) {
		return this.names(this.below(3)).map((name) => {
			const every = this.use("schedule", this.pick(["hour", "day", "week", "month", "15m"]));
			return {name: name.slice(0, 40), volumes: this.choose(volumes.map((v) => v.name), 1 + this.below(2)), every, enabled: false,
				...(["day", "week", "month"].includes(every) ? this.some({at: "02:30", zone: this.pick(["UTC", "Europe/Berlin"])}) : {}),
				...(every === "week" ? {weekday: this.pick(["monday", "sunday"])} : {}),
				...(this.chance(40) ? {kind: this.use("schedule", "external"), ...this.some({directory: "some/where", file: "{volume}.{time}-{schedule}.qcow2",
					placement: {"l-throttle": this.pick(["head", "image", "both", "drop"])}})} : {}),
				keep: {latest: 1 + this.below(7), ...this.some({daily: 7, weekly: 4, yearly: 2})}};
		});
	}

	make() {
		const portals = this.portals();
		const volumes = this.volumes(), hosts = this.hosts(), targets = this.targets(portals);
		return {volumes, hosts, targets, portals, exports: this.exports(volumes, targets, hosts), schedules: this.schedules(volumes)};
	}
}
