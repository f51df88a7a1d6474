// SPDX-License-Identifier: Apache-2.0
/*
 * The contract (../api/openapi.yaml, as the build made it JSON) as a judge of
 * exchanges: which operation a request is, and what is wrong with its answer.
 *
 * Invariants
 *  1. Stricter than the contract is for clients: an answer must not have a member
 *     that the contract does not state, nor anything that is only for requests
 *     (writeOnly: passwords, secrets).
 *  2. What was accepted (2xx) must have been valid: a daemon that takes more than
 *     the contract says is found, too.
 *  3. Nothing is looked up in the network: schemas that the daemon makes are given.
 */
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const BASE = "https://cairn.invalid";
const DOCUMENT = `${BASE}/api/v1/openapi.json`;
const METHODS = ["get", "put", "post", "delete", "patch"];

/* A copy for answers: closed, and without what is only for requests. */
function closed(schema) {
	if (Array.isArray(schema))
		return schema.map(closed);
	if (schema === null || typeof schema !== "object")
		return schema;
	if (schema.writeOnly)
		return [schema.type].flat().includes("null") ? {type: "null"} : false;
	const copy = {};
	for (const [key, value] of Object.entries(schema)) {
		if (key === "properties") {
			copy.properties = {};
			for (const [name, inner] of Object.entries(value))
				copy.properties[name] = closed(inner);
		} else if (!["examples", "example", "enum", "const", "required"].includes(key)) {
			copy[key] = closed(value);
		} else if (key !== "examples" && key !== "example") {
			copy[key] = value;
		}
	}
	if (copy.properties && copy.additionalProperties === undefined)
		copy.additionalProperties = false;
	return copy;
}

/* JSON Pointer to a node of a document. */
const pointer = (...parts) => "#/" + parts.map((part) =>
	encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");

function makeAjv(document, schemas) {
	const ajv = new Ajv2020({strict: false, allErrors: false, validateFormats: true,
		logger: false});
	addFormats(ajv);
	for (const [name, schema] of Object.entries(schemas))
		ajv.addSchema({...schema, $id: `${BASE}/api/v1/schemas/${name}`});
	ajv.addSchema({...document, $id: DOCUMENT});
	return ajv;
}

/* The text of the first error. */
function explain(validate) {
	const error = validate.errors[0];
	const more = error.params.additionalProperty ?? error.params.unevaluatedProperty ?? "";
	return `${error.instancePath || "/"} ${error.message} ${more}`.trim();
}

const isProblem = (type) => type === "application/problem+json";
const isJson = (type) => /^application\/([a-z-]+\+)?json$/.test(type);
const mediaType = (header) => (header ?? "").split(";")[0].trim().toLowerCase();

export class Contract {
	/* `document`: openapi.json; `schemas`: {source, appliance}. */
	constructor(document, schemas) {
		this.document = document;
		const answers = structuredClone(document);
		answers.components.schemas = closed(document.components.schemas);
		for (const [path, item] of Object.entries(answers.paths))
			for (const method of METHODS)
				if (item[method])
					item[method].responses = closed(document.paths[path][method].responses);
		this.answers = makeAjv(answers, schemas);
		this.requests = makeAjv(document, schemas);
		this.compiled = new Map();
		this.operations = [];
		for (const [path, item] of Object.entries(document.paths))
			for (const method of METHODS)
				if (item[method])
					this.operations.push(this.#operation(path, method, item[method]));
	}

	#operation(path, method, spec) {
		const parameters = (spec.parameters ?? []).map((p) => this.resolve(p));
		const pattern = path.replace(/[.]/g, "\\.").replace(/\{[^}]*\}/g, "([^/]+)");
		return {path, method, spec, id: spec.operationId, role: spec["x-cairn-role"],
			parameters, regexp: new RegExp(`^${pattern}$`),
			takes: (name) => parameters.some((p) => p.name === name)};
	}

	resolve(node) {
		while (node && node.$ref?.startsWith("#/")) {
			let at = this.document;
			for (const part of node.$ref.slice(2).split("/"))
				at = at[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")];
			node = at;
		}
		return node;
	}

	/* All operations of a path as it stands in a request line; without parameters
	 * before those with. */
	at(url) {
		const path = url.split("?")[0];
		const found = this.operations.filter((o) => o.regexp.test(path));
		const plain = found.filter((o) => !o.path.includes("{"));
		return plain.length ? plain : found;
	}

	find(method, url) {
		const wanted = method === "HEAD" ? "get" : method.toLowerCase();
		return this.at(url).find((o) => o.method === wanted);
	}

	validator(which, ref) {
		const key = which + ref;
		if (!this.compiled.has(key))
			this.compiled.set(key, this[which].compile({$ref: DOCUMENT + ref}));
		return this.compiled.get(key);
	}

	/* -- one exchange -------------------------------------------------------- */

	/* {method, url, sent: {headers, body}, status, headers, body}: headers with
	 * lower-case names, bodies as text ("" for none). What is wrong, as texts. */
	judge(exchange) {
		const faults = [];
		const {method, url, status, headers} = exchange;
		const operation = this.find(method, url);
		if (!headers["x-request-id"])
			faults.push("X-Request-Id is missing");
		if (status >= 500 && ![503, 507].includes(status))
			faults.push(`status ${status} is always a bug`);
		if (!operation)
			faults.push(...this.#judgeStray(exchange));
		else if (!operation.spec.responses[status])
			faults.push(`${operation.id} does not answer ${status}`);
		else
			faults.push(...this.#judgeAnswer(operation, exchange));
		if (status >= 200 && status < 300 && operation)
			faults.push(...this.judgeRequest(operation, exchange));
		return faults;
	}

	/* A path or a method that the contract does not have. */
	#judgeStray(exchange) {
		const {method, url, status, headers} = exchange;
		const there = this.at(url).length > 0;
		if (method === "OPTIONS" && there)
			return status === 204 && headers.allow ? []
				: [`OPTIONS: ${status} without a list of methods`];
		const wanted = there ? [405, 400] : [404, 400, 405];
		if (!wanted.includes(status))
			return [`${status} for what is not in the contract: ${wanted} is expected`];
		if (status === 405 && !headers.allow)
			return ["405 without Allow"];
		return method === "HEAD" ? [] : this.#judgeProblem(exchange);
	}

	#judgeProblem({status, headers, body}) {
		if (!isProblem(mediaType(headers["content-type"])))
			return [`${status} is no problem+json but ${headers["content-type"]}`];
		let json;
		try {
			json = JSON.parse(body);
		} catch (error) {
			return [`the problem is no JSON: ${error.message}`];
		}
		const validate = this.validator("answers", "#/components/schemas/Problem");
		if (!validate(json))
			return [`problem: ${explain(validate)}`];
		if (json.status !== status)
			return [`the problem says ${json.status}, the status line ${status}`];
		if (json.instance !== headers["x-request-id"])
			return ["the problem is not of this request"];
		return [];
	}

	#judgeHeaders(answer, headers) {
		const faults = [];
		for (const [name, ref] of Object.entries(answer.headers ?? {})) {
			const header = this.resolve(ref);
			const text = headers[name.toLowerCase()];
			if (text === undefined) {
				if (header.required)
					faults.push(`${name} is missing`);
				continue;
			}
			const {type, pattern} = header.schema;
			if (type === "integer" && !/^[0-9]+$/.test(text))
				faults.push(`${name} is no number: ${text}`);
			if (pattern && !new RegExp(pattern).test(text))
				faults.push(`${name} is ${text}`);
		}
		return faults;
	}

	#judgeAnswer(operation, exchange) {
		const {method, status, headers, body} = exchange;
		const answer = this.resolve(operation.spec.responses[status]);
		const faults = status === 200 && operation.takes("dryRun") &&
			/[?&]dryRun=true/.test(exchange.url)
			? [] : this.#judgeHeaders(answer, headers);
		const type = mediaType(headers["content-type"]);
		if (method === "HEAD")
			return body ? ["HEAD has a body", ...faults] : faults;
		if (!answer.content)
			return body ? [`${status} has a body`, ...faults] : faults;
		if (!answer.content[type])
			return [`${operation.id} ${status}: Content-Type ${type || "is missing"}`, ...faults];
		if (isProblem(type))
			return [...faults, ...this.#judgeProblem(exchange)];
		if (isJson(type))
			faults.push(...this.#judgeJson(operation, exchange, type));
		if (type === "application/openmetrics-text" && !body.endsWith("# EOF\n"))
			faults.push("the metrics do not end with # EOF");
		return faults;
	}

	#judgeJson(operation, {status, body, truncated}, type) {
		let json;
		if (truncated)
			return [];
		try {
			json = JSON.parse(body);
		} catch (error) {
			return [`the body is no JSON: ${error.message}`];
		}
		const {spec, path, method} = operation;
		const where = spec.responses[status].$ref ??
			pointer("paths", path, method, "responses", String(status));
		const validate = this.validator("answers",
			`${where}/content/${encodeURIComponent(type.replaceAll("/", "~1"))}/schema`);
		return validate(json) ? [] : [`${operation.id} ${status}: ${explain(validate)}`];
	}

	/* What is wrong with a request, by the contract alone. */
	judgeRequest(operation, exchange) {
		return [...this.#judgeQuery(operation, exchange.url),
			...this.#judgeBody(operation, exchange)];
	}

	#judgeQuery(operation, url) {
		const query = new URLSearchParams(url.split("?").slice(1).join("?"));
		for (const [name, text] of query) {
			const p = operation.parameters.find((q) => q.in === "query" && q.name === name);
			if (!p)
				return [`${operation.id} took the query parameter ${name}`];
			const schema = this.resolve(p.schema);
			let value = text;
			if (["integer", "boolean"].includes(schema.type)) {
				try {
					value = JSON.parse(text);
				} catch {
					return [`${operation.id} took ${name}=${text}`];
				}
			}
			const validate = this.requests.compile(schema);
			if (!validate(value))
				return [`${operation.id} took ${name}=${text}: ${explain(validate)}`];
		}
		return [];
	}

	/* The name that the path of a PUT says need not stand in its body. */
	#named(operation, {url}, json) {
		if (operation.method !== "put" || !operation.path.endsWith("{name}") ||
			!json || json.name !== undefined)
			return json;
		return {...json, name: decodeURIComponent(url.split("?")[0].split("/").at(-1))};
	}

	#judgeBody(operation, exchange) {
		const {headers, body} = exchange.sent ?? {};
		const spec = operation.spec.requestBody;
		if (!spec)
			return body ? [`${operation.id} took a body`] : [];
		const type = mediaType(headers?.["content-type"]);
		if (!spec.content[type])
			return [`${operation.id} took a body of type ${type}`];
		if (!isJson(type))
			return [];
		let json;
		try {
			json = JSON.parse(body);
		} catch {
			return [`${operation.id} took what is no JSON`];
		}
		if (operation.method === "patch" && json && typeof json === "object")
			json = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
		json = this.#named(operation, exchange, json);
		const validate = this.validator("requests", pointer("paths", operation.path,
			operation.method, "requestBody", "content", type, "schema"));
		if (validate(this.#withoutReadOnly(spec.content[type].schema, json)))
			return [];
		return [`${operation.id} took a body that is not valid: ${explain(validate)}`];
	}

	/* Members that are ignored in requests may be anything. */
	#withoutReadOnly(schema, json) {
		const properties = this.resolve(schema)?.properties;
		if (!properties || json === null || typeof json !== "object" || Array.isArray(json))
			return json;
		return Object.fromEntries(Object.entries(json).filter(([name]) =>
			!(properties[name]?.readOnly ?? this.resolve(properties[name])?.readOnly)));
	}
}
