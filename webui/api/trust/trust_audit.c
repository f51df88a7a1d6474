/* SPDX-License-Identifier: Apache-2.0 */
/* The audit, newest first, and whether it is whole. */
#include "target/control/trust/audit.h"
#include "target/control/trust/secret_text.h"
#include "webui/api/server/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number that is larger for what is older: pages go in that order. */
#define NEWEST 999999999999999ll

struct page_of {
	struct api_page page;
	const char *user;
	int64_t before;
};

/* How it ended, by the status of HTTP. */
static const char *result_of(const json_t *record)
{
	json_int_t status =
		json_integer_value(json_object_get(record, "status"));
	return status < 400 ? "ok" : status < 500 ? "refused" : "failed";
}

/* As it is stored, with the contract's names and its own hash. `line` is what the
 * hash is over, to be checked by whoever keeps a copy. */
static json_t *record_json(int64_t seq, const char *line)
{
	uint8_t digest[SECRET_DIGEST_BYTES];
	char hash[2 * SECRET_DIGEST_BYTES + 1];
	json_t *record = json_loads(line, 0, NULL);
	if (!record)
		record = json_pack("{ss, ss, ss}", "time",
			"1970-01-01T00:00:00Z", "user", "", "operation", "");
	secret_digest(line, digest);
	secret_print_hex(digest, sizeof digest, hash);
	json_t *note = json_object_get(record, "note");
	json_object_set_new(record, "number", json_integer(seq));
	json_object_set_new(record, "result",
		note ? json_incref(note) : json_string(result_of(record)));
	json_object_set_new(record, "hash", json_string(hash));
	json_object_set_new(record, "line", json_string(line));
	json_object_del(record, "seq");
	json_object_del(record, "note");
	return record;
}

static void take(void *arg, int64_t seq, const char *line)
{
	struct page_of *of = arg;
	char key[32];
	of->before = seq;
	snprintf(key, sizeof key, "%015" PRId64, (int64_t)NEWEST - seq);
	if (!api_page_wants(&of->page, key))
		return;
	json_t *record = record_json(seq, line);
	const char *user = json_string_value(json_object_get(record, "user"));
	if (!of->user || (user && !strcmp(user, of->user)))
		api_page_add(&of->page, key, json_incref(record));
	json_decref(record);
}

static void list_audit_co(struct api_request *request)
{
	struct audit *audit = trust_audit(request->parts->trust);
	struct page_of *of = calloc(1, sizeof *of);
	struct err err = {0};
	int count = 1;
	if (!of) {
		api_problem(request, "busy", "out of memory");
		return;
	}
	if (!api_page_begin(request, &of->page)) {
		free(of);
		return;
	}
	of->user = api_query(request, "user");
	of->before = *of->page.after
		? NEWEST - strtoll(of->page.after, NULL, 10)
		: INT64_MAX;
	while (count > 0 && !of->page.more) {
		count = audit_read_back(audit, of->before, 100, take, of, &err);
		loop_sleep_co(request->api->loop, 0); /* others' turn */
	}
	if (count < 0) {
		json_decref(of->page.items);
		api_fail(request, &err);
	} else {
		api_page_answer(request, &of->page);
	}
	free(of);
}

static void verify_audit_co(struct api_request *request)
{
	struct audit_verdict v;
	struct err err = {0};
	if (audit_verify_co(trust_audit(request->parts->trust),
		    request->api->loop, &v, &err)) {
		api_fail(request, &err);
		return;
	}
	api_answer(request, 200,
		json_pack("{sb, sI, so, ss}", "valid", v.whole, "records",
			(json_int_t)v.records, "first_wrong",
			v.whole ? json_null()
				: json_integer((json_int_t)v.wrong),
			"text",
			v.whole ? "every record is as it was written"
				: v.reason));
}

const struct api_route api_audit_routes[] = {
	{"listAudit", "GET", "/api/v1/audit", API_ADMIN, API_PAGED, "user",
		list_audit_co},
	{"verifyAudit", "GET", "/api/v1/audit/verify", API_ADMIN,
		.handle_co = verify_audit_co},
	{0},
};
