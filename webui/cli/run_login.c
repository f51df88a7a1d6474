/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setup, login, logout. login.json (mode 600) holds address, how the certificate
 * is trusted, and a token that ends by itself.
 */
#include "webui/cli/commands.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_EXPIRES_S (12 * 3600)

/* -- setup ------------------------------------------------------------------ */

/* RUN/bootstrap-token beside RUN/cairn.sock. */
static json_t *bootstrap_token(struct cli_run *run, struct err *err)
{
	const char *socket = run->client.place.socket;
	const char *slash = socket ? strrchr(socket, '/') : NULL;
	char *path = NULL;
	if (!socket) {
		err_set(err, EINVAL,
			"--bootstrap-file FILE is missing: the token that "
			"cairnd printed, or RUN_DIRECTORY/bootstrap-token");
		return NULL;
	}
	if (asprintf(&path, "%.*sbootstrap-token",
		    slash ? (int)(slash - socket + 1) : 0, socket) < 0)
		abort();
	char *token = secret_read(path, "bootstrap token", false, err);
	if (!token && err->code == ENOENT)
		err_set(err, ENOENT,
			"%s is not there: there is an admin already, or its "
			"hour is over and cairnd must be started again",
			path);
	json_t *json = token ? json_string(token) : NULL;
	secret_free(token);
	free(path);
	return json;
}

int run_setup(struct cli_run *run)
{
	struct err err = {0};
	int status = 0;
	/* Before the password is asked for: it may be too late for setup. */
	json_t *token = cli_line_flag(&run->line, "bootstrap-file")
		? NULL
		: bootstrap_token(run, &err);
	if (err.code) {
		/* It may be missing as no daemon runs: that is said then. */
		json_t *system = NULL;
		if (run->client.place.socket)
			status = run_get(run, "/system", &system);
		json_decref(system);
		return status ? status : run_fail(EXIT_FAILED, "%s", err.text);
	}
	json_t *body = run_body(&run->line, &err);
	if (!body) {
		json_decref(token);
		return run_fail(EXIT_USAGE, "%s", err.text);
	}
	if (token)
		json_object_set_new(body, "token", token);
	if (!json_object_get(body, "user"))
		json_object_set_new(body, "user", json_string("admin"));
	status = run_send(run, "/setup", body);
	json_decref(body);
	return status;
}

/* -- login ------------------------------------------------------------------ */

static int save(const char *path, json_t *login)
{
	char *folder = strdup(path), *part = NULL;
	if (!folder || asprintf(&part, "%s.part", path) < 0)
		abort();
	*strrchr(folder, '/') = '\0';
	char *above = strdup(folder);
	*strrchr(above, '/') = '\0';
	mkdir(above, 0700);
	mkdir(folder, 0700);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error = fd < 0 || json_dumpfd(login, fd, JSON_INDENT(2)) ||
		fchmod(fd, 0600);
	if (fd >= 0 && close(fd))
		error = 1;
	if (!error && rename(part, path))
		error = 1;
	int status = error
		? run_fail(EXIT_FAILED, "%s: %s", path, strerror(errno))
		: 0;
	free(above);
	free(folder);
	free(part);
	return status;
}

static json_t *absolute(const char *path)
{
	char *real = path ? realpath(path, NULL) : NULL;
	json_t *json = real ? json_string(real) : NULL;
	free(real);
	return json;
}

/* What later commands need, with the answer of createToken. */
static int keep(struct cli_run *run, const json_t *token)
{
	const struct link_place *place = &run->client.place;
	char url[TEXT_HOST_BYTES + 32], *path = run_login_file();
	bool bare = strchr(place->host, ':') != NULL;
	if (!json_is_string(json_object_get(token, "token"))) {
		free(path);
		return run_fail(EXIT_FAILED,
			"the answer with the new token was lost: try again");
	}
	if (!path)
		return run_fail(EXIT_FAILED,
			"$HOME is not set: there is no place to keep it");
	snprintf(url, sizeof url, "https://%s%s%s:%u", bare ? "[" : "",
		place->host, bare ? "]" : "", place->port);
	json_t *login = json_pack("{ss, sO?, sO?, ss*, so*}", "url", url,
		"token", json_object_get(token, "token"), "id",
		json_object_get(token, "id"), "fingerprint", place->fingerprint,
		"ca", absolute(place->ca));
	int status = login ? save(path, login) : EXIT_FAILED;
	if (!status)
		fprintf(run->output.out, "signed in to %s until %s\n", url,
			json_string_value(json_object_get(token, "expires")));
	json_decref(login);
	free(path);
	return status;
}

static int make_token(struct cli_run *run)
{
	uint64_t seconds = DEFAULT_EXPIRES_S;
	const char *given = cli_line_value(&run->line, "expires");
	char host[65] = "";
	if (given)
		text_read_duration(given, &seconds);
	gethostname(host, sizeof host - 1);
	json_t *body = json_pack("{sI, ss+}", "expires_seconds",
		(json_int_t)seconds, "comment", "cairn login at ", host);
	struct client_request request = {.method = "POST",
		.path = "/tokens",
		.body = body,
		.keyed = true};
	struct client_answer answer;
	int status = run_call(run, &request, &answer);
	json_decref(body);
	if (status)
		return status;
	status = keep(run, answer.json);
	client_answer_free(&answer);
	return status;
}

static void sign_out(struct cli_run *run)
{
	struct client_request request = {.method = "DELETE", .path = "/login"};
	struct client_answer answer;
	struct err err;
	if (!client_call(&run->client, &request, &answer, &err))
		client_answer_free(&answer);
}

/* The cookie of the session without its attributes. */
static void use_session(struct cli_run *run, const struct client_answer *answer)
{
	const char *csrf =
		json_string_value(json_object_get(answer->json, "csrf_token"));
	char *cookie = strndup(answer->cookie, strcspn(answer->cookie, ";"));
	run->client.cookie = run_own(run, cookie);
	run->client.csrf = run_own(run, strdup(csrf ? csrf : ""));
}

int run_login(struct cli_run *run)
{
	struct err err = {0};
	struct client_answer answer;
	const char *user = getenv("USER");
	if (run->client.place.socket)
		return run_fail(EXIT_USAGE,
			"--url https://HOST is missing; at the socket nobody "
			"needs to sign in");
	json_t *body = run_body(&run->line, &err);
	if (!body)
		return run_fail(EXIT_USAGE, "%s", err.text);
	if (!json_object_get(body, "user"))
		json_object_set_new(
			body, "user", json_string(user ? user : "admin"));
	run->client.token = NULL;
	struct client_request request = {
		.method = "POST", .path = "/login", .body = body};
	int status = run_call(run, &request, &answer);
	json_decref(body);
	if (status)
		return status;
	use_session(run, &answer);
	client_answer_free(&answer);
	status = make_token(run);
	sign_out(run);
	return status;
}

int run_logout(struct cli_run *run)
{
	struct err err = {0};
	struct client_answer answer;
	char *file = run_login_file(), *path = NULL, *id = NULL;
	json_t *login = file && !access(file, R_OK)
		? run_read_document(file, &err)
		: NULL;
	const char *token = json_string_value(json_object_get(login, "id"));
	int status = login
		? 0
		: run_fail(EXIT_NOT_FOUND, "nobody is signed in here");
	if (!status && token) {
		id = text_url_encode(token);
		if (asprintf(&path, "/tokens/%s", id) < 0)
			abort();
		struct client_request request = {
			.method = "DELETE", .path = path, .if_match = "*"};
		status = run_call(run, &request, &answer);
		if (!status)
			client_answer_free(&answer);
	}
	if (login && unlink(file))
		status = run_fail(EXIT_FAILED, "%s: %s", file, strerror(errno));
	json_decref(login);
	free(path);
	free(id);
	free(file);
	return status;
}
