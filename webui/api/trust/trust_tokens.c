/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens: everybody has his own, administrators have all. Of a token that
 * is another's, others learn nothing, not even that it is there.
 */
#include "target/control/database.h"
#include "target/control/state.h"
#include "webui/api/server/body.h"
#include "webui/api/server/parse.h"
#include "webui/api/server/private.h"
#include "webui/api/trust/trust_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAYS_90_S (90ll * 86400)
#define MOST_S 157680000

static json_t *names_json(const char (*names)[64], unsigned count)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(names[i]));
	return list;
}

static json_t *token_json(const struct trust_token *token)
{
	return json_pack("{ss, ss, ss, ss, so, so, so, so, so, so}", "id",
		token->id, "user", token->user, "comment", token->comment,
		"role", trust_role_name(token->role), "created",
		api_time(token->created_ms), "expires",
		api_time(token->expires_ms), "used",
		token->used_ms ? api_time(token->used_ms) : json_null(),
		"used_from",
		token->used_ms ? json_string(token->used_from) : json_null(),
		"networks", names_json(token->network, token->networks),
		"volumes", names_json(token->scope, token->scopes));
}

/* -- reading ---------------------------------------------------------------- */

static void answer_tokens(struct api_request *request, const char *user)
{
	struct trust_token *tokens = calloc(TRUST_MAX_TOKENS, sizeof *tokens);
	struct err err = {0};
	int count = tokens ? trust_token_list(request->parts->trust, user, NULL,
				     tokens, TRUST_MAX_TOKENS, &err)
			   : err_set(&err, ENOMEM, "out of memory");
	json_t *list = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(list, token_json(&tokens[i]));
	free(tokens);
	if (count >= 0) {
		api_answer_list(request, list, "id");
		return;
	}
	json_decref(list);
	api_fail(request, &err);
}

static void list_tokens_co(struct api_request *request)
{
	const char *user = api_query(request, "user");
	if (request->who.role != API_ADMIN) {
		if (user && strcmp(user, request->who.name)) {
			api_problem(request, "forbidden",
				"tokens of others are for administrators");
			return;
		}
		user = request->who.name;
	}
	answer_tokens(request, user);
}

static bool find(struct api_request *request, struct trust_token *token)
{
	struct err err = {0};
	int failed = trust_token_find(request->parts->trust,
		api_parameter(request, "id"), token, &err);
	if (!failed && request->who.role != API_ADMIN &&
		strcmp(token->user, request->who.name))
		failed = err_set(&err, ENOENT, "there is no token \"%.15s\"",
			api_parameter(request, "id"));
	if (failed)
		api_fail(request, &err);
	return !failed;
}

/* What a token may never changes; it is made, and revoked. */
static void get_token_co(struct api_request *request)
{
	struct trust_token token;
	if (!find(request, &token))
		return;
	api_set_etag(request, token.id);
	api_answer(request, 200, token_json(&token));
}

/* -- making ----------------------------------------------------------------- */

static bool read_list(struct api_request *request, const char *name,
	char (*out)[64], unsigned max, unsigned *count)
{
	const json_t *list = json_object_get(request->body, name);
	const json_t *item;
	size_t i;
	char pointer[40];
	if (!list)
		return true;
	snprintf(pointer, sizeof pointer, "/%s", name);
	if (!json_is_array(list) || json_array_size(list) > max) {
		api_problem_at(request, pointer, NULL,
			"a list of at most %u texts is expected here", max);
		return false;
	}
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		if (!text || !*text || strlen(text) > 63 || strchr(text, ' ')) {
			snprintf(pointer, sizeof pointer, "/%s/%zu", name, i);
			api_problem_at(request, pointer, NULL,
				"a text of at most 63 characters is expected "
				"here");
			return false;
		}
		snprintf(out[(*count)++], 64, "%s", text);
	}
	return true;
}

static bool read_expiry(struct api_request *request, struct trust_token *token)
{
	const json_t *seconds =
		json_object_get(request->body, "expires_seconds");
	const char *expires = NULL;
	int64_t now_ms = trust_now_ms(request->parts->trust);
	token->expires_ms = now_ms + DAYS_90_S * 1000;
	if (!body_may_text(request, "expires", &expires))
		return false;
	if (expires && !parse_time(expires, &token->expires_ms)) {
		api_problem_at(request, "/expires", NULL,
			"a time such as 2027-01-31T00:00:00Z is expected here");
		return false;
	}
	json_int_t value = json_integer_value(seconds);
	if (seconds && (expires || value < 1 || value > MOST_S)) {
		api_problem_at(request, "/expires_seconds", NULL,
			"a whole number from 1 to %d is expected here, and no "
			"`expires` beside it",
			MOST_S);
		return false;
	}
	if (seconds)
		token->expires_ms = now_ms + (int64_t)value * 1000;
	return true;
}

/* Whose, and with which role. */
static bool read_owner(struct api_request *request, struct trust_token *token)
{
	const char *user = request->who.name, *role = NULL;
	struct trust_user found;
	struct err err = {0};
	if (!body_may_text(request, "user", &user) ||
		!body_may_text(request, "role", &role))
		return false;
	if (strcmp(user, request->who.name) && request->who.role != API_ADMIN) {
		api_problem(request, "forbidden",
			"tokens of others are for administrators");
		return false;
	}
	if (trust_user_find(request->parts->trust, user, &found, &err)) {
		if (api_identity(request)->how == TRUST_UNIX &&
			!strcmp(user, request->who.name))
			err_set(&err, EINVAL,
				"%s at the socket is no user: say whose token "
				"it shall be",
				user);
		api_fail(request, &err);
		return false;
	}
	snprintf(token->user, sizeof token->user, "%s", found.name);
	token->role = found.role;
	if (!role || trust_role_from_name(role, &token->role))
		return true;
	api_problem_at(request, "/role",
		json_pack("[sss]", "viewer", "operator", "admin"),
		"\"%.40s\" is no role", role);
	return false;
}

/* A token never makes one that may more than itself. */
static bool check_less(
	struct api_request *request, const struct trust_token *token)
{
	const struct trust_identity *who = api_identity(request);
	if (token->role <= who->role && !who->scopes)
		return true;
	api_problem(request, "forbidden",
		"you are %s here: a token that you make cannot be %s",
		trust_role_name(who->role), trust_role_name(token->role));
	return false;
}

static bool read_token(struct api_request *request, struct trust_token *token)
{
	const char *comment = "";
	*token = (struct trust_token){.comment = ""};
	if (!body_has_only(request,
		    "user comment role expires expires_seconds networks "
		    "volumes") ||
		!read_owner(request, token) || !check_less(request, token) ||
		!read_expiry(request, token) ||
		!read_list(request, "networks", token->network,
			TRUST_MAX_NETWORKS, &token->networks) ||
		!read_list(request, "volumes", token->scope, TRUST_MAX_SCOPE,
			&token->scopes) ||
		!body_may_text(request, "comment", &comment))
		return false;
	if (strlen(comment) < sizeof token->comment) {
		snprintf(token->comment, sizeof token->comment, "%s", comment);
		return true;
	}
	api_problem_at(request, "/comment", NULL,
		"at most 127 bytes are expected here");
	return false;
}

#define PLACE_BYTES 80u

static void print_place(const struct trust_token *token, const char *more,
	char place[PLACE_BYTES])
{
	snprintf(place, PLACE_BYTES, "/api/v1/tokens/%s%s", token->id, more);
}

/* The request's key says so in the same transaction, or there is none. */
static int make_token(struct api_request *request, struct trust_token *token,
	char text[TRUST_TOKEN_BYTES], struct err *err)
{
	sqlite3 *db = state_database(request->parts->state);
	char place[PLACE_BYTES];
	int failed = database_savepoint(db, err);
	if (failed)
		return failed;
	failed = trust_token_create(request->parts->trust, token, text, err);
	if (!failed) {
		print_place(token, "#token", place);
		failed = api_key_done(request, 201, place, err);
	}
	return database_savepoint_end(db, failed, err);
}

static void create_token_co(struct api_request *request)
{
	struct trust *trust = request->parts->trust;
	struct trust_token token;
	struct err err = {0};
	char text[TRUST_TOKEN_BYTES], location[PLACE_BYTES];
	if (!read_token(request, &token))
		return;
	int failed = request->dry_run ? trust_token_check(trust, &token, &err)
				      : make_token(request, &token, text, &err);
	if (failed) {
		api_fail(request, &err);
		return;
	}
	if (request->dry_run) {
		trust_plan_answer(
			request, "token", "new", NULL, token_json(&token));
		return;
	}
	print_place(&token, "", location);
	api_audit(
		request, location + sizeof "/api/v1", NULL, token_json(&token));
	json_t *answer = token_json(&token);
	json_object_set_new(answer, "token", json_string(text));
	explicit_bzero(text, sizeof text);
	api_answer_created_once(request, location, answer, "token");
}

static void revoke_token_co(struct api_request *request)
{
	struct trust_token token;
	struct err err = {0};
	char object[40];
	if (!find(request, &token) || !api_match(request, token.id))
		return;
	if (request->dry_run) {
		trust_plan_answer(
			request, "token", token.id, token_json(&token), NULL);
		return;
	}
	if (trust_token_delete(request->parts->trust, token.id, &err)) {
		api_fail(request, &err);
		return;
	}
	snprintf(object, sizeof object, "tokens/%s", token.id);
	api_audit(request, object, token_json(&token), NULL);
	api_answer_empty(request);
}

const struct api_route api_tokens_routes[] = {
	{"listTokens", "GET", "/api/v1/tokens", API_VIEWER, API_PAGED, "user",
		list_tokens_co},
	{"createToken", "POST", "/api/v1/tokens", API_VIEWER,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT,
		.handle_co = create_token_co},
	{"getToken", "GET", "/api/v1/tokens/{id}", API_VIEWER,
		.handle_co = get_token_co},
	{"revokeToken", "DELETE", "/api/v1/tokens/{id}", API_VIEWER,
		API_DRY_RUN | API_NEEDS_MATCH, .handle_co = revoke_token_co},
	{0},
};
