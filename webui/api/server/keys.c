/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/keys.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

struct api_key {
	char user[64], name[KEYS_MAX_LENGTH + 1];
	uint8_t digest[32]; /* of method, target and body */
	uint64_t made_ns;
	bool running;
	int status;
	const char *type;
	char *text; /* of the answer */
	char *location;
	char etag[72];
	TAILQ_ENTRY(api_key) link; /* oldest first */
};

struct api_keys {
	TAILQ_HEAD(, api_key) list;
	unsigned count;
	size_t bytes;
};

struct api_keys *api_keys_new(void)
{
	struct api_keys *self = calloc(1, sizeof *self);
	if (self)
		TAILQ_INIT(&self->list);
	return self;
}

static void remove_key(struct api_keys *self, struct api_key *key)
{
	TAILQ_REMOVE(&self->list, key, link);
	self->count--;
	self->bytes -= key->text ? strlen(key->text) : 0;
	free(key->text);
	free(key->location);
	free(key);
}

void api_keys_free(struct api_keys *self)
{
	struct api_key *key;
	while (self && (key = TAILQ_FIRST(&self->list)))
		remove_key(self, key);
	free(self);
}

/* Those that are too old, and as many as are too many. */
static void make_room(struct api_keys *self, uint64_t now_ns)
{
	struct api_key *key = TAILQ_FIRST(&self->list), *next;
	for (; key; key = next) {
		next = TAILQ_NEXT(key, link);
		bool old = now_ns - key->made_ns > KEYS_KEPT_S * NS_PER_S;
		bool many =
			self->count >= KEYS_MAX || self->bytes > KEYS_MAX_BYTES;
		if (!old && !many)
			return;
		if (!key->running)
			remove_key(self, key);
	}
}

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
		if (!strcmp(key->name, name) && !strcmp(key->user, user))
			return key;
	}
	return NULL;
}

static void replay(struct api_request *request, const struct api_key *key)
{
	api_set_header(request, "Idempotency-Replayed", "true");
	if (key->location)
		api_set_header(request, "Location", key->location);
	if (*key->etag)
		api_set_etag(request, key->etag);
	if (!key->text) {
		api_answer_empty(request);
		return;
	}
	char *copy = strdup(key->text);
	api_answer_text(
		request, key->status, key->type, copy, copy ? strlen(copy) : 0);
}

/* The key is known. */
static void answer_again(struct api_call *call, const struct api_key *key,
	const uint8_t digest[32])
{
	struct api_request *request = &call->request;
	if (memcmp(digest, key->digest, sizeof key->digest) != 0)
		api_problem(request, "key-reused",
			"the key %s was sent with another request", key->name);
	else if (key->running)
		api_problem(request, "conflict",
			"the first request with the key %s is still running",
			key->name);
	else
		replay(request, key);
}

static struct api_key *add(struct api_call *call, const char *name,
	const uint8_t digest[32], uint64_t now_ns)
{
	struct api_keys *self = call->request.api->keys;
	struct api_key *key = calloc(1, sizeof *key);
	if (!key)
		return NULL;
	snprintf(key->user, sizeof key->user, "%s", call->request.who.name);
	snprintf(key->name, sizeof key->name, "%s", name);
	memcpy(key->digest, digest, sizeof key->digest);
	key->made_ns = now_ns;
	key->running = true;
	TAILQ_INSERT_TAIL(&self->list, key, link);
	self->count++;
	return key;
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
	uint64_t now_ns = loop_now_ns(request->api->loop);
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
	make_room(self, now_ns);
	const struct api_key *known = find(self, request->who.name, name);
	if (known) {
		answer_again(call, known, digest);
		return false;
	}
	call->key = add(call, name, digest, now_ns);
	if (call->key)
		return true;
	api_problem(request, "busy", "out of memory");
	return false;
}

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

void api_keys_end(struct api_call *call)
{
	struct api_keys *self = call->request.api->keys;
	struct api_answer *answer = &call->answer;
	struct api_key *key = call->key;
	if (!key)
		return;
	call->key = NULL;
	key->running = false;
	key->status = answer->status;
	key->type = answer->type ? answer->type : "application/json";
	memcpy(key->etag, answer->etag, sizeof key->etag);
	for (unsigned i = 0; i < answer->headers; i++) {
		if (!strcmp(answer->header[i].name, "Location"))
			key->location = strdup(answer->header[i].value);
	}
	if (answer->json)
		key->text = text_to_keep(answer);
	if (key->text)
		self->bytes += strlen(key->text);
	if (answer->status >= 500 || (answer->json && !key->text))
		remove_key(self, key);
}
