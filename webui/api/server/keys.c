/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/keys.h"

#include "blockcore/base/log.h"
#include "target/control/state.h"
#include "webui/api/server/keys_store.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct api_key {
	struct api_key_record record;
	bool running;
	bool kept; /* the store may have it */
	bool lost; /* its answer is being made again */
	TAILQ_ENTRY(api_key) link; /* oldest first */
};

struct api_keys {
	struct state *state;
	TAILQ_HEAD(, api_key) list;
	unsigned count;
	size_t bytes;
};

static size_t text_bytes(const struct api_key *key)
{
	return key->record.text ? strlen(key->record.text) : 0;
}

static void free_key(struct api_keys *self, struct api_key *key)
{
	TAILQ_REMOVE(&self->list, key, link);
	self->count--;
	self->bytes -= text_bytes(key);
	free(key->record.text);
	free(key->record.location);
	free(key);
}

static void remove_key(struct api_keys *self, struct api_key *key)
{
	if (key->kept)
		api_key_store_remove(self->state, &key->record);
	free_key(self, key);
}

static bool is_old(const struct api_key *key, int64_t now_ms)
{
	return now_ms - key->record.made_ms > KEYS_KEPT_S * 1000ll;
}

/* Those that are too old, and as many as are too many. */
static void make_room(struct api_keys *self, int64_t now_ms)
{
	struct api_key *key = TAILQ_FIRST(&self->list), *next;
	for (; key; key = next) {
		next = TAILQ_NEXT(key, link);
		bool many =
			self->count >= KEYS_MAX || self->bytes > KEYS_MAX_BYTES;
		if (!is_old(key, now_ms) && !many)
			return;
		if (!key->running)
			remove_key(self, key);
	}
}

static struct api_key *new_key(
	struct api_keys *self, const struct api_key_record *record)
{
	struct api_key *key = calloc(1, sizeof *key);
	if (!key)
		return NULL;
	key->record = *record;
	TAILQ_INSERT_TAIL(&self->list, key, link);
	self->count++;
	self->bytes += text_bytes(key);
	return key;
}

/* -- life --------------------------------------------------------------------- */

static int load_one(const struct api_key_record *record, void *argument)
{
	struct api_key *key = new_key(argument, record);
	if (!key)
		return -ENOMEM;
	key->kept = true;
	return 0;
}

struct api_keys *api_keys_new(struct state *state, struct err *err)
{
	struct api_keys *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&self->list);
	self->state = state;
	int failed = api_key_store_load(state, load_one, self, err);
	if (!failed) {
		make_room(self, api_now_ms());
		return self;
	}
	api_keys_free(self);
	return NULL;
}

void api_keys_free(struct api_keys *self)
{
	struct api_key *key;
	while (self && (key = TAILQ_FIRST(&self->list)))
		free_key(self, key);
	free(self);
}

/* -- a request begins ----------------------------------------------------------- */

static bool digest_request(const struct api_call *call, uint8_t digest[32])
{
	const struct api_request *request = &call->request;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool well = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		EVP_DigestUpdate(ctx, call->method, strlen(call->method) + 1) &&
		EVP_DigestUpdate(ctx, call->uri, strlen(call->uri) + 1) &&
		EVP_DigestUpdate(ctx, request->text ? request->text : "",
			request->text_bytes) &&
		EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	return well;
}

static struct api_key *find(
	const struct api_keys *self, const char *user, const char *name)
{
	struct api_key *key;
	TAILQ_FOREACH (key, &self->list, link) {
		if (!strcmp(key->record.name, name) &&
			!strcmp(key->record.user, user))
			return key;
	}
	return NULL;
}

static void replay(
	struct api_request *request, const struct api_key_record *record)
{
	if (record->location)
		api_set_header(request, "Location", record->location);
	if (*record->etag)
		api_set_etag(request, record->etag);
	if (!record->text) {
		api_answer_empty(request);
		return;
	}
	char *copy = strdup(record->text);
	api_answer_text(request, record->status, record->type, copy,
		copy ? strlen(copy) : 0);
}

/* It was done, and the daemon ended before the answer was kept: what it would have
 * shown is asked for. False: answered. */
static bool look_again(struct api_call *call, struct api_key *key)
{
	struct api_request *request = &call->request;
	char allowed[80];
	const struct api_route *route = NULL;
	char path[API_KEY_PLACE_BYTES];
	snprintf(path, sizeof path, "%.*s",
		(int)strcspn(key->record.place, "#"), key->record.place);
	if (*path && parse_target(path, &call->target) == PARSE_OK)
		route = api_find_route(
			"GET", &call->target, allowed, sizeof allowed);
	if (!route) {
		api_problem(request, "conflict",
			"the first request with the key %s was done, but the "
			"daemon ended before it was answered: look at what it "
			"made",
			key->record.name);
		return false;
	}
	request->route = route;
	memcpy(request->parameter, call->target.parameter,
		sizeof request->parameter);
	request->parameters = call->target.parameters;
	request->queries = 0;
	call->method = "GET"; /* nothing is changed: no audit */
	key->lost = key->running = true;
	call->key = key;
	return true;
}

/* What became of it is not known, unless all of it would be in our database. */
static bool begin_again(struct api_call *call, struct api_key *key)
{
	struct api_request *request = &call->request;
	if (request->route->flags & API_BY_CONFIG) {
		key->running = true;
		call->key = key;
		return true;
	}
	api_problem(request, "conflict",
		"the daemon ended while the first request with the key %s ran: "
		"whether it was done is not known; look, and send it with "
		"another key if it was not",
		key->record.name);
	return false;
}

/* The key is known. False: answered. */
static bool meet_again(
	struct api_call *call, struct api_key *key, const uint8_t digest[32])
{
	struct api_request *request = &call->request;
	struct api_key_record *record = &key->record;
	if (memcmp(digest, record->digest, sizeof record->digest) != 0) {
		api_problem(request, "key-reused",
			"the key %s was sent with another request",
			record->name);
		return false;
	}
	if (key->running) {
		api_problem(request, "conflict",
			"the first request with the key %s is still running",
			record->name);
		return false;
	}
	if (record->state == API_KEY_BEGUN)
		return begin_again(call, key);
	api_set_header(request, "Idempotency-Replayed", "true");
	if (record->state == API_KEY_DONE)
		return look_again(call, key);
	replay(request, record);
	return false;
}

/* Where passwords are sent nothing is written down of the request. */
static bool outlives(const struct api_call *call)
{
	return !(call->request.route->flags & API_PASSWORD);
}

/* False: answered. */
static bool meet(struct api_call *call, const char *name,
	const uint8_t digest[32], int64_t now_ms)
{
	struct api_request *request = &call->request;
	struct api_keys *self = request->api->keys;
	struct api_key_record record = {.made_ms = now_ms};
	struct err err = {0};
	snprintf(record.user, sizeof record.user, "%s", request->who.name);
	snprintf(record.name, sizeof record.name, "%s", name);
	memcpy(record.digest, digest, sizeof record.digest);
	bool keeps = outlives(call) && !(request->route->flags & API_BY_CONFIG);
	if (keeps && api_key_store_save(self->state, &record, &err)) {
		api_fail(request, &err);
		return false;
	}
	call->key = new_key(self, &record);
	if (!call->key) {
		api_problem(request, "busy", "out of memory");
		return false;
	}
	call->key->kept = keeps;
	call->key->running = true;
	return true;
}

static bool is_key(const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < length; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return length && length <= KEYS_MAX_LENGTH;
}

bool api_keys_begin(struct api_call *call)
{
	struct api_request *request = &call->request;
	struct api_keys *self = request->api->keys;
	const char *name = api_header(request, "Idempotency-Key");
	int64_t now_ms = api_now_ms();
	uint8_t digest[32];
	if (!name || request->dry_run ||
		!(request->route->flags & API_IDEMPOTENT))
		return true;
	if (!is_key(name)) {
		api_problem(request, "syntax",
			"Idempotency-Key has 1 to %u printable characters",
			KEYS_MAX_LENGTH);
		return false;
	}
	if (!digest_request(call, digest)) {
		api_problem(request, "busy", "out of memory");
		return false;
	}
	make_room(self, now_ms);
	struct api_key *known = find(self, request->who.name, name);
	return known ? meet_again(call, known, digest)
		     : meet(call, name, digest, now_ms);
}

/* -- it is done ------------------------------------------------------------------- */

int api_key_done(struct api_request *request, int status, const char *place,
	struct err *err)
{
	struct api_call *call = api_call_of(request);
	struct api_key *key = call->key;
	if (!key || !outlives(call))
		return 0;
	key->kept = true;
	if (!status)
		return api_key_store_save(
			request->api->keys->state, &key->record, err);
	return api_key_store_done(request->api->keys->state, &key->record,
		call->answers_as ? call->answers_as : status,
		call->answers_as ? call->answers_at : place, err);
}

/* -- it has answered ------------------------------------------------------------- */

/* The text of an answer's JSON, NULL without memory. */
static char *text_to_keep(const struct api_answer *answer)
{
	json_t *copy = json_copy(answer->json);
	char *text = NULL;
	if (copy &&
		(!answer->secret ||
			!json_object_set_new(
				copy, answer->secret, json_null())))
		text = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	return text;
}

/* False: without memory. */
static bool take_answer(
	struct api_key_record *record, const struct api_answer *answer)
{
	record->text = answer->json ? text_to_keep(answer) : NULL;
	if (answer->json && !record->text)
		return false;
	record->state = API_KEY_ANSWERED;
	record->status = answer->status;
	record->type = answer->type ? answer->type : "application/json";
	memcpy(record->etag, answer->etag, sizeof record->etag);
	for (unsigned i = 0; i < answer->headers && !record->location; i++) {
		if (!strcmp(answer->header[i].name, "Location"))
			record->location = strdup(answer->header[i].value);
	}
	return true;
}

/* What was asked for in place of an answer that was lost becomes that. */
static void answer_as_first(struct api_call *call, const struct api_key *key)
{
	const struct api_key_record *record = &key->record;
	char place[API_KEY_PLACE_BYTES];
	size_t bytes = strcspn(record->place, "#");
	snprintf(place, sizeof place, "%.*s", (int)bytes, record->place);
	call->answer.status = record->status;
	if (record->status == 201 || record->status == 202)
		api_set_header(&call->request, "Location", place);
	if (record->place[bytes] && call->answer.json)
		json_object_set_new(call->answer.json,
			record->place + bytes + 1, json_null());
}

/* No answer is kept. It is forgotten, to be tried again, unless it was done. */
static void end_unanswered(struct api_keys *self, struct api_key *key)
{
	struct api_key_record kept = key->record;
	if (!key->lost && key->kept &&
		!api_key_store_look(self->state, &kept) &&
		kept.state == API_KEY_DONE) {
		key->record.state = kept.state;
		key->record.status = kept.status;
		memcpy(key->record.place, kept.place, sizeof kept.place);
	}
	key->lost = false;
	if (key->record.state != API_KEY_DONE)
		remove_key(self, key);
}

void api_keys_end(struct api_call *call)
{
	struct api_keys *self = call->request.api->keys;
	struct api_answer *answer = &call->answer;
	struct api_key *key = call->key;
	struct err err = {0};
	if (!key)
		return;
	call->key = NULL;
	key->running = false;
	bool keeps = key->lost ? answer->status == 200 : answer->status < 500;
	if (keeps && key->lost)
		answer_as_first(call, key);
	if (!keeps || !take_answer(&key->record, answer)) {
		end_unanswered(self, key);
		return;
	}
	key->lost = false;
	self->bytes += text_bytes(key);
	if (!outlives(call))
		return;
	key->kept = true;
	if (api_key_store_save(self->state, &key->record, &err))
		log_warning("api", "key",
			"the answer to the key %s is not kept over a restart: "
			"%s",
			key->record.name, err.text);
}
