// SPDX-License-Identifier: Apache-2.0
/*
 * What the configuration must be after a change, given what it was: only what the
 * request names may differ, and it must be what the request says.
 *
 * Invariant: the model knows the contract and the document, not how the daemon
 * works; what it cannot predict (a LUN that was chosen, a UUID that was made) it
 * takes from the daemon once and holds it to from then on.
 */

const AUTHORITY = "iqn.2026-11.example.cairn";
const KINDS = {volumes: "volume", hosts: "host", targets: "target", portals: "portal", exports: "export", schedules: "schedule"};
const UNITS = {K: 1, M: 2, G: 3, T: 4, P: 5};

export function bytes(size) {
	const match = /^([0-9]+)(?:([KMGTP])(?:iB)?)?$/.exec(String(size));
	return match ? Number(match[1]) * 1024 ** (UNITS[match[2]] ?? 0) : size;
}

const targetName = (text) => (/^(iqn|eui|naa)\./i.test(text) ? String(text) : `${AUTHORITY}:${text}`).toLowerCase();

export function idOf(kind, object) {
	if (kind === "target")
		return targetName(object.iqn ?? object.name);
	if (kind === "export")
		return object.id ?? `${targetName(object.target)},${object.lun}`; // by another name
	return String(object.name);
}

/* What a volume that is made by its size stands on; the file of an image grows. */
function newFile(name, format, size) {
	const file = (size) => ({protocol: {type: "file", path: `${name}.${format}`, size}});
	return format === "raw" ? file(size) : {format: {type: format, size, file: file("64KiB")}};
}

const DEFAULTS = {block_size: 512, read_only: false, removable: false, thin: false,
	vendor: "CAIRN", product: "VOLUME", group: 1, weak_hashes: "allowed", cache: "direct", locking: true};
/* Secrets are kept apart: null in what is answered, whatever was sent. */
const IGNORED = new Set(["status", "generation", "id", "created", "modified", "secret"]);

/* One form for all ways to say the same. */
export function normal(value, key = "") {
	if (Array.isArray(value))
		return value.map((item) => normal(item, key));
	if (key === "size" || key === "physical_block_size" || key.startsWith("bytes"))
		return bytes(value);
	if (key === "iqn" || key === "target" || key === "uuid")
		return String(value).toLowerCase();
	if (value === null || typeof value !== "object")
		return value;
	const copy = {};
	for (const name of Object.keys(value).sort()) {
		const inner = normal(value[name], name);
		if (inner === null || inner === undefined || IGNORED.has(name) || inner === DEFAULTS[name])
			continue;
		copy[name] = inner;
	}
	return copy;
}

export function canonical(kind, object) {
	const copy = {...object};
	if (kind === "target") {
		copy.iqn = idOf(kind, object);
		delete copy.name;
	}
	if (kind === "export")
		copy.target = targetName(object.target);
	return normal(copy);
}

export const wholeId = (kind, id) => (kind === "target" ? String(id).toLowerCase() : String(id));

/* config document -> Map "kind id" -> canonical texts, one a line */
export function stateOf(config) {
	const state = new Map();
	for (const [list, kind] of Object.entries(KINDS)) {
		for (const object of config[list] ?? []) {
			const what = `${kind} ${wholeId(kind, idOf(kind, object))}`;
			const text = JSON.stringify(canonical(kind, object));
			state.set(what, [text, ...state.get(what)?.split("\n") ?? []].sort().join("\n"));
		}
	}
	return state;
}

/* [{what: "kind id", operation}], in order of names. */
export function difference(before, after) {
	const list = [];
	for (const [what, text] of after)
		if (before.get(what) !== text)
			list.push({what, operation: before.has(what) ? "update" : "create"});
	for (const what of before.keys())
		if (!after.has(what))
			list.push({what, operation: "delete"});
	return list.sort((a, b) => (a.what < b.what ? -1 : 1));
}

/* RFC 7396. */
export function merge(target, patch) {
	if (patch === null || typeof patch !== "object" || Array.isArray(patch))
		return patch;
	const result = target !== null && typeof target === "object" && !Array.isArray(target)
		? {...target} : {};
	for (const [name, value] of Object.entries(patch)) {
		if (value === null)
			delete result[name];
		else
			result[name] = merge(result[name], value);
	}
	return result;
}

/* What a change by this operation may touch: names, or functions of them. */
function mayTouch(operation, parameters, body, before) {
	const [, collection] = /^\/api\/v1\/([a-z]+)/.exec(operation.path) ?? [];
	const kind = KINDS[collection];
	if (["replaceConfig", "restoreHistory"].includes(operation.id))
		return () => true;
	if (operation.id === "createSnapshotGroup")
		return (what) => (body?.external ?? false) && (body?.volumes ?? []).some((name) => what === `volume ${name}`);
	if (!kind)
		return () => false;
	const id = Object.values(parameters)[0] ?? (body && idOf(kind, body));
	if (operation.id === "cloneSnapshot")
		return (what) => what === `volume ${body?.name}`;
	const own = `${kind} ${wholeId(kind, id)}`;
	return (what) => what === own || cascades(what, kind, id, body, before) ||
		(kind === "export" && what.startsWith("export ") && !before.has(what) && operation.method === "post") ||
		// LUNs are another name of exports: the one that is there
		(kind === "export" && String(id).includes(",") && what.startsWith("export ") &&
			JSON.parse(before.get(what) ?? "{}").target === targetName(String(id).split(",")[0]));
}

/* Others that go along: exports of what is removed, the target and the export of a
 * volume that is made with them. */
function cascades(what, kind, id, body, before) {
	if (!what.startsWith("export ") && !(body?.export && what.startsWith("target ")))
		return false;
	if (body?.export)
		return true;
	const it = JSON.parse(before.get(what) ?? "{}");
	return ((kind === "volume" && (it.volume === id || it.through === id)) || (kind === "host" && it.hosts?.includes(id)) ||
		(kind === "target" && it.target === String(id).toLowerCase()));
}

const WHOLE = /^(create|replace)(Volume|Host|Target|Portal|Export|Schedule)$/;
const PART = /^change(Volume|Host|Target|Portal|Export|Schedule)$/;

/* An object keeps its name, also if the patch takes it away. */
function patched(old, body) {
	const result = merge(old, body);
	if (result?.name === undefined && old?.name !== undefined)
		result.name = old.name;
	return result;
}

/* Schedules make external snapshots of these, by hand or by the clock, and merge them. */
const bySchedule = (what, before) => [...before].some(([other, text]) => {
	const it = other.startsWith("schedule ") ? JSON.parse(text) : {};
	return it.kind === "external" && it.volumes?.some((name) => what === `volume ${name}`);
});

/* What is wrong with the step from `before` to `after`. `old`: the object's entry in
 * the configuration before, for a patch. */
export function judgeStep({operation, parameters, body, before, after, old, entry, byJob}) {
	const faults = [];
	const may = mayTouch(operation, parameters, body, before);
	for (const {what, operation: how} of difference(before, after))
		if (!may(what) && !byJob({what}) && !bySchedule(what, before))
			faults.push(`${operation.id} has touched ${what} (${how}): ${before.get(what)} -> ${after.get(what)}`);
	if (/^delete(?!Export|Snapshot)/.test(operation.id) && entry)
		faults.push(`${operation.id}: it is still there`);
	const wanted = WHOLE.test(operation.id) ? {...named(operation, parameters, old ?? entry), ...body} : PART.test(operation.id) ? patched(old, body) : null;
	if (wanted)
		faults.push(...judgeContent(operation, wanted, entry));
	return faults;
}

/* What the path of a PUT says, so that its body need not; of an export, `old` says it; a
 * volume keeps the names of its snapshots. */
export function named(operation, parameters, old) {
	const id = Object.values(parameters)[0]?.toString();
	if (operation.id === "replaceTarget")
		return {iqn: id};
	if (operation.id === "replaceExport")
		return old ? {target: old.target, lun: old.lun} : {};
	if (operation.id === "replaceVolume" && old?.snapshots)
		return {name: id, snapshots: old.snapshots};
	return id === undefined ? {} : {name: id};
}

function judgeContent(operation, wanted, entry) {
	if (!entry)
		return [`${operation.id}: it is not there`];
	const kind = WHOLE.exec(operation.id)?.[2] ?? PART.exec(operation.id)[1];
	const lower = kind.toLowerCase();
	const expected = canonical(lower, strip(lower, {lun: entry.lun, ...wanted}));
	const found = canonical(lower, strip(lower, entry));
	if (wanted.uuid === undefined)
		delete found.uuid;
	else if (expected.uuid)
		expected.uuid = expected.uuid.toLowerCase();
	return JSON.stringify(sorted(expected)) === JSON.stringify(sorted(found)) ? []
		: [`${operation.id}: wanted ${JSON.stringify(expected)}\nfound  ${JSON.stringify(found)}`];
}

const sorted = (value) => (value === null || typeof value !== "object" || Array.isArray(value)
	? Array.isArray(value) ? value.map(sorted) : value
	: Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])])));

/* Leaves out what a request may say in another way than the document. */
function strip(kind, object) {
	const copy = {...object};
	delete copy.export;
	if (kind === "volume") {
		if (copy.size !== undefined)
			copy.source = newFile(copy.name, copy.format ?? "raw", copy.size);
		delete copy.size;
		delete copy.format;
	}
	return copy;
}
