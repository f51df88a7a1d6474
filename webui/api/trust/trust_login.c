/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing in and out, the first administrator, one's own password, the roles.
 */
#include "webui/api/server/body.h"
#include "webui/api/server/private.h"
#include "webui/api/trust/trust_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COOKIE "__Host-cairn=%s; Path=/; Secure; HttpOnly; SameSite=Strict"

/* -- answers ---------------------------------------------------------------- */

static json_t *scope_json(const struct trust_identity *who)
{
	json_t *list = who->scopes ? json_array() : NULL;
	for (unsigned i = 0; i < who->scopes; i++)
		json_array_append_new(list, json_string(who->scope[i]));
	return list;
}

static json_t *login_json(const struct trust_identity *who, const char *csrf)
{
	static const char *const via[] = {
		"socket", "session", "token", "certificate"};
	return json_pack("{ss, ss, ss, so, ss*, so*}", "user", who->name,
		"role", trust_role_name(who->role), "via", via[who->how],
		"expires",
		who->expires_s ? api_time(who->expires_s * 1000) : json_null(),
		"csrf_token", csrf, "volumes", scope_json(who));
}

/* What rules of users call so is called otherwise here. */
static void rename_pointer(struct err *err, const char *there, const char *here)
{
	if (!strcmp(err->pointer, there))
		err_point(err, here);
}

/* Credentials that are wrong are 401, whatever they were for. */
static void fail(
	struct api_request *request, const struct err *err, uint32_t wait_s)
{
	char text[16];
	if (wait_s) {
		snprintf(text, sizeof text, "%u", wait_s);
		api_set_header(request, "Retry-After", text);
	}
	if (err->code == EACCES)
		api_problem(request, "unauthenticated", "%s", err->text);
	else
		api_fail(request, err);
}

static void answer_signed_in(
	struct api_request *request, int status, struct trust_signed_in *in)
{
	char cookie[sizeof COOKIE + TRUST_SECRET_BYTES];
	snprintf(cookie, sizeof cookie, COOKIE, in->cookie);
	api_set_header(request, "Set-Cookie", cookie);
	api_answer(request, status, login_json(&in->who, in->csrf));
	explicit_bzero(cookie, sizeof cookie);
	explicit_bzero(in, sizeof *in);
}

/* -- operations ------------------------------------------------------------- */

static void setup_co(struct api_request *request)
{
	struct trust_attempt attempt = {.address = request->who.address,
		.request_id = request->id,
		.rehearsal = request->dry_run};
	struct trust_signed_in in;
	struct err err = {0};
	uint32_t wait_s;
	const char *token;
	if (!body_has_only(request, "token user password") ||
		!(token = body_need_text(request, "token")) ||
		!(attempt.user = body_need_text(request, "user")) ||
		!(attempt.password = body_need_text(request, "password")))
		return;
	if (trust_setup_co(request->parts->trust, token, &attempt, &in, &wait_s,
		    &err)) {
		rename_pointer(&err, "/name", "/user");
		fail(request, &err, wait_s);
	} else if (request->dry_run) {
		trust_plan_answer(request, "user", attempt.user, NULL,
			json_pack("{ss, ss, sb}", "name", attempt.user, "role",
				"admin", "enabled", 1));
	} else {
		answer_signed_in(request, 201, &in);
	}
}

static void sign_in_co(struct api_request *request)
{
	struct trust_attempt attempt = {
		.address = request->who.address, .request_id = request->id};
	struct trust_signed_in in;
	struct err err = {0};
	uint32_t wait_s;
	if (!body_has_only(request, "user password") ||
		!(attempt.user = body_need_text(request, "user")) ||
		!(attempt.password = body_need_text(request, "password")))
		return;
	if (trust_sign_in_co(
		    request->parts->trust, &attempt, &in, &wait_s, &err))
		fail(request, &err, wait_s);
	else
		answer_signed_in(request, 200, &in);
}

static void get_login_co(struct api_request *request)
{
	const struct trust_identity *who = api_identity(request);
	char csrf[TRUST_SECRET_BYTES];
	bool session = who->how == TRUST_COOKIE;
	if (session)
		trust_csrf_token(api_call_of(request)->cookie, csrf);
	api_answer(request, 200, login_json(who, session ? csrf : NULL));
}

static void sign_out_co(struct api_request *request)
{
	struct err err = {0};
	if (api_identity(request)->how == TRUST_COOKIE &&
		trust_sign_out(request->parts->trust,
			api_call_of(request)->cookie, &err)) {
		api_fail(request, &err);
		return;
	}
	api_set_header(request, "Set-Cookie",
		"__Host-cairn=; Path=/; Secure; HttpOnly; SameSite=Strict; "
		"Max-Age=0");
	api_answer_empty(request);
}

static void change_own_password_co(struct api_request *request)
{
	struct api_call *call = api_call_of(request);
	struct trust_attempt attempt = {.user = call->identity.name,
		.address = request->who.address,
		.request_id = request->id,
		.rehearsal = request->dry_run};
	struct err err = {0};
	uint32_t wait_s;
	const char *wanted;
	if (!body_has_only(request, "old new") ||
		!(attempt.password = body_need_text(request, "old")) ||
		!(wanted = body_need_text(request, "new")))
		return;
	if (call->identity.how == TRUST_UNIX) {
		api_problem(request, "conflict",
			"root at the socket has no password: set a user's with "
			"POST /api/v1/users/NAME/password");
	} else if (trust_change_password_co(request->parts->trust, &attempt,
			   wanted, call->cookie[0] ? call->cookie : NULL,
			   &wait_s, &err)) {
		rename_pointer(&err, "/password", "/new");
		fail(request, &err, wait_s);
	} else if (request->dry_run) {
		trust_plan_password(request, attempt.user, true);
	} else {
		api_answer_empty(request);
	}
}

static void list_roles_co(struct api_request *request)
{
	json_t *list = json_array();
	for (enum trust_role role = TRUST_VIEWER; role <= TRUST_ADMIN; role++)
		json_array_append_new(list,
			json_pack("{ss, ss}", "role", trust_role_name(role),
				"description", trust_role_text(role)));
	api_answer(request, 200, json_pack("{so, sn}", "items", list, "next"));
}

const struct api_route api_login_routes[] = {
	{"setup", "POST", "/api/v1/setup", API_PUBLIC,
		API_BODY | API_DRY_RUN | API_UNAUDITED, .handle_co = setup_co},
	{"signIn", "POST", "/api/v1/login", API_PUBLIC,
		API_BODY | API_UNAUDITED, .handle_co = sign_in_co},
	{"getLogin", "GET", "/api/v1/login", API_VIEWER,
		.handle_co = get_login_co},
	{"signOut", "DELETE", "/api/v1/login", API_VIEWER,
		.handle_co = sign_out_co},
	{"changeOwnPassword", "POST", "/api/v1/login/password", API_VIEWER,
		API_BODY | API_DRY_RUN | API_UNAUDITED,
		.handle_co = change_own_password_co},
	{"listRoles", "GET", "/api/v1/roles", API_VIEWER,
		.handle_co = list_roles_co},
	{0},
};
