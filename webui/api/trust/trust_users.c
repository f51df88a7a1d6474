/* SPDX-License-Identifier: Apache-2.0 */
/* Users, for administrators. */
#include "webui/api/server/body.h"
#include "webui/api/server/private.h"
#include "webui/api/trust/trust_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Readable members are accepted, so that what was read can be sent back. */
#define MEMBERS \
	"name role enabled certificate has_password created password_changed " \
	"signed_in generation"

static json_t *time_or_null(int64_t ms)
{
	return ms ? api_time(ms) : json_null();
}

static json_t *user_json(const struct trust_user *user)
{
	return json_pack("{ss, ss, sb, so, sb, so, so, so, sI}", "name",
		user->name, "role", trust_role_name(user->role), "enabled",
		user->enabled, "certificate",
		user->certificate[0] ? json_string(user->certificate)
				     : json_null(),
		"has_password", user->has_password, "created",
		api_time(user->created_ms), "password_changed",
		time_or_null(user->password_ms), "signed_in",
		time_or_null(user->signed_in_ms), "generation",
		(json_int_t)user->generation);
}

static void set_tag(struct api_request *request, const struct trust_user *user,
	bool check, bool *well)
{
	char tag[32];
	snprintf(tag, sizeof tag, "%" PRId64, user->generation);
	*well = !check || api_match(request, tag);
	if (*well)
		api_set_etag(request, tag);
}

/* The user of the path. NULL: answered. */
static bool find(struct api_request *request, struct trust_user *user)
{
	struct err err = {0};
	if (!trust_user_find(request->parts->trust,
		    api_parameter(request, "name"), user, &err))
		return true;
	api_fail(request, &err);
	return false;
}

/* -- reading ---------------------------------------------------------------- */

static void list_users_co(struct api_request *request)
{
	struct trust_user *users = calloc(TRUST_MAX_USERS, sizeof *users);
	struct err err = {0};
	int count = users ? trust_user_list(request->parts->trust, NULL, users,
				    TRUST_MAX_USERS, &err)
			  : err_set(&err, ENOMEM, "out of memory");
	json_t *list = json_array();
	for (int i = 0; i < count; i++)
		json_array_append_new(list, user_json(&users[i]));
	free(users);
	if (count >= 0) {
		api_answer_list(request, list, "name");
		return;
	}
	json_decref(list);
	api_fail(request, &err);
}

static void get_user_co(struct api_request *request)
{
	struct trust_user user;
	bool well;
	if (!find(request, &user))
		return;
	set_tag(request, &user, false, &well);
	api_answer(request, 200, user_json(&user));
}

/* -- bodies ----------------------------------------------------------------- */

/* What the body says of role, enabled, certificate. */
static bool read_user(
	struct api_request *request, struct trust_user *user, bool need_role)
{
	const char *role = NULL, *certificate = NULL;
	if ((need_role && !body_need_text(request, "role")) ||
		!body_may_text(request, "role", &role) ||
		!body_may_bool(request, "enabled", &user->enabled) ||
		!body_may_text(request, "certificate", &certificate))
		return false;
	if (role && !trust_role_from_name(role, &user->role)) {
		api_problem_at(request, "/role",
			json_pack("[sss]", "viewer", "operator", "admin"),
			"\"%.40s\" is no role", role);
		return false;
	}
	if (certificate && strlen(certificate) >= sizeof user->certificate) {
		api_problem_at(request, "/certificate", NULL,
			"at most 255 bytes are expected here");
		return false;
	}
	if (certificate)
		snprintf(user->certificate, sizeof user->certificate, "%s",
			certificate);
	return true;
}

static bool read_name(
	struct api_request *request, const char **name, const char *must_be)
{
	if (!body_may_text(request, "name", name))
		return false;
	if (!*name || !must_be || !strcmp(*name, must_be))
		return true;
	api_problem_at(request, "/name", NULL,
		"a name cannot be changed: it is \"%s\"", must_be);
	return false;
}

/* -- making ----------------------------------------------------------------- */

static bool read_new(struct api_request *request, struct trust_user *user,
	const char **password)
{
	const char *name;
	*user = (struct trust_user){.enabled = true};
	if (!body_has_only(request, "name role enabled certificate password") ||
		!(name = body_need_text(request, "name")) ||
		!read_user(request, user, true) ||
		!body_may_text(request, "password", password))
		return false;
	if (*password && !**password)
		*password = NULL;
	if (strlen(name) < sizeof user->name) {
		snprintf(user->name, sizeof user->name, "%s", name);
		return true;
	}
	api_problem_at(
		request, "/name", NULL, "a name has at most 63 characters");
	return false;
}

static void answer_created(struct api_request *request, const char *name)
{
	char location[96];
	struct trust_user user;
	struct err err = {0};
	bool well;
	if (trust_user_find(request->parts->trust, name, &user, &err)) {
		api_fail(request, &err);
		return;
	}
	snprintf(location, sizeof location, "/api/v1/users/%s", name);
	set_tag(request, &user, false, &well);
	api_audit(request, location + sizeof "/api/v1", NULL, user_json(&user));
	api_answer_created(request, location, user_json(&user));
}

static void create_user_co(struct api_request *request)
{
	struct trust *trust = request->parts->trust;
	struct trust_user user;
	const char *password = NULL;
	struct err err = {0};
	if (!read_new(request, &user, &password))
		return;
	int failed = request->dry_run
		? trust_user_check(trust, &user, password, &err)
		: trust_user_create_co(trust, &user, password, &err);
	if (failed)
		api_fail(request, &err);
	else if (request->dry_run)
		trust_plan_answer(request, "user", user.name, NULL,
			json_pack("{ss, ss, sb}", "name", user.name, "role",
				trust_role_name(user.role), "enabled",
				user.enabled));
	else
		answer_created(request, user.name);
}

/* -- changing --------------------------------------------------------------- */

static void change(struct api_request *request, struct trust_user *before,
	struct trust_user *after)
{
	struct err err = {0};
	bool well;
	if (request->dry_run) {
		if (trust_user_check_change(request->parts->trust, after, &err))
			api_fail(request, &err);
		else
			trust_plan_answer(request, "user", after->name,
				user_json(before), user_json(after));
		return;
	}
	if (trust_user_change(request->parts->trust, after, &err) ||
		trust_user_find(
			request->parts->trust, before->name, after, &err)) {
		api_fail(request, &err);
		return;
	}
	char object[80];
	snprintf(object, sizeof object, "users/%s", after->name);
	api_audit(request, object, user_json(before), user_json(after));
	set_tag(request, after, false, &well);
	api_answer(request, 200, user_json(after));
}

static void write_user(struct api_request *request, bool whole)
{
	struct trust_user before, after;
	const char *name = NULL;
	bool well;
	if (!find(request, &before))
		return;
	set_tag(request, &before, true, &well);
	if (!well || !body_has_only(request, MEMBERS) ||
		!read_name(request, &name, before.name))
		return;
	after = before;
	if (whole) {
		after.enabled = true;
		after.certificate[0] = '\0';
	}
	if (read_user(request, &after, whole))
		change(request, &before, &after);
}

static void replace_user_co(struct api_request *request)
{
	write_user(request, true);
}

static void change_user_co(struct api_request *request)
{
	write_user(request, false);
}

static void delete_user_co(struct api_request *request)
{
	struct trust_user user;
	struct err err = {0};
	char object[80];
	bool well;
	if (!find(request, &user))
		return;
	set_tag(request, &user, true, &well);
	if (!well)
		return;
	if (request->dry_run) {
		if (trust_user_check_delete(
			    request->parts->trust, user.name, &err))
			api_fail(request, &err);
		else
			trust_plan_answer(request, "user", user.name,
				user_json(&user), NULL);
		return;
	}
	if (trust_user_delete(request->parts->trust, user.name, &err)) {
		api_fail(request, &err);
		return;
	}
	snprintf(object, sizeof object, "users/%s", user.name);
	api_audit(request, object, user_json(&user), NULL);
	api_answer_empty(request);
}

static void set_password_co(struct api_request *request)
{
	struct trust *trust = request->parts->trust;
	const char *password = NULL;
	struct trust_user user;
	struct err err = {0};
	if (!body_has_only(request, "password") ||
		!body_may_text(request, "password", &password) ||
		!find(request, &user))
		return;
	if (!password) {
		api_problem_at(request, "/password", NULL,
			"a text, or null to take it away, is expected here");
		return;
	}
	if (!*password)
		password = NULL;
	int failed = request->dry_run
		? trust_user_check_password(trust, user.name, password, &err)
		: trust_user_set_password_co(trust, user.name, password, &err);
	if (failed)
		api_fail(request, &err);
	else if (request->dry_run)
		trust_plan_password(request, user.name, password != NULL);
	else
		api_answer_empty(request);
}

const struct api_route api_users_routes[] = {
	{"listUsers", "GET", "/api/v1/users", API_ADMIN, API_PAGED,
		.handle_co = list_users_co},
	{"createUser", "POST", "/api/v1/users", API_ADMIN,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_PASSWORD,
		.handle_co = create_user_co},
	{"getUser", "GET", "/api/v1/users/{name}", API_ADMIN,
		.handle_co = get_user_co},
	{"replaceUser", "PUT", "/api/v1/users/{name}", API_ADMIN,
		API_BODY | API_NEEDS_MATCH | API_DRY_RUN,
		.handle_co = replace_user_co},
	{"changeUser", "PATCH", "/api/v1/users/{name}", API_ADMIN,
		API_BODY | API_NEEDS_MATCH | API_DRY_RUN,
		.handle_co = change_user_co},
	{"deleteUser", "DELETE", "/api/v1/users/{name}", API_ADMIN,
		API_NEEDS_MATCH | API_DRY_RUN, .handle_co = delete_user_co},
	{"setPassword", "POST", "/api/v1/users/{name}/password", API_ADMIN,
		API_BODY | API_DRY_RUN, .handle_co = set_password_co},
	{0},
};
