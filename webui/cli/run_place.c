/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which daemon, and with which token: what the line says, then the environment,
 * then what login kept, then the socket that is there.
 */
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_S 30

const char *run_own(struct cli_run *run, char *text)
{
	if (!text || run->owns == sizeof run->owned / sizeof *run->owned)
		abort();
	run->owned[run->owns++] = text;
	return text;
}

static const char *choose(
	const struct cli_run *run, const char *option, const char *variable)
{
	const char *value = cli_line_value(&run->line, option);
	if (!value)
		value = getenv(variable);
	return value && *value ? value : NULL;
}

bool run_place_told(const struct cli_run *run)
{
	return choose(run, "socket", "CAIRN_SOCKET");
}

char *run_login_file(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path = NULL;
	if (config && *config == '/') {
		if (asprintf(&path, "%s/cairn/login.json", config) < 0)
			abort();
	} else if (home && *home) {
		if (asprintf(&path, "%s/.config/cairn/login.json", home) < 0)
			abort();
	}
	return path;
}

static int use_url(struct cli_run *run, const char *url)
{
	char host[TEXT_HOST_BYTES];
	if (!text_read_url(url, host, &run->client.place.port))
		return run_fail(EXIT_USAGE,
			"\"%s\": an address such as https://HOST:8443 is "
			"expected",
			url);
	char *copy = strdup(host);
	run->client.place.host = run_own(run, copy);
	return 0;
}

/* From login.json; 1 if there is none. */
static int use_login(struct cli_run *run)
{
	struct err err = {0};
	char *path = run_login_file();
	json_t *login = path && !access(path, R_OK)
		? run_read_document(path, &err)
		: NULL;
	const char *url = NULL, *token = NULL, *pin = NULL, *ca = NULL;
	free(path);
	if (!login)
		return 1;
	json_unpack(login, "{s?s, s?s, s?s, s?s}", "url", &url, "token", &token,
		"fingerprint", &pin, "ca", &ca);
	int status = url && token ? use_url(run, url) : 1;
	if (!status && !run->client.token)
		run->client.token = run_own(run, strdup(token));
	if (!status && pin && !run->client.place.fingerprint)
		run->client.place.fingerprint = run_own(run, strdup(pin));
	if (!status && ca && !run->client.place.ca)
		run->client.place.ca = run_own(run, strdup(ca));
	json_decref(login);
	return status;
}

static int use_socket(struct cli_run *run)
{
	static const char *const places[] = {
		RUN_SOCKET_HERE, RUN_SOCKET_OF_SYSTEM};
	run->client.place.socket = places[1];
	for (size_t i = 0; i < 2; i++)
		if (!access(places[i], F_OK)) {
			run->client.place.socket = places[i];
			break;
		}
	return 0;
}

static int take_token(struct cli_run *run)
{
	struct err err = {0};
	const char *file = cli_line_value(&run->line, "token-file");
	const char *token = getenv("CAIRN_TOKEN");
	char *text = file	  ? secret_read(file, "token", false, &err)
		: token && *token ? strdup(token)
				  : NULL;
	if (file && !text)
		return run_fail(EXIT_USAGE, "%s", err.text);
	if (!text)
		return 0;
	run->client.token = run_own(run, text);
	if (text[strcspn(text, " \r\n\t")])
		return run_fail(EXIT_USAGE, "the token has white space in it");
	return 0;
}

int run_place(struct cli_run *run)
{
	uint64_t seconds = DEFAULT_TIMEOUT_S;
	const char *timeout = cli_line_value(&run->line, "timeout");
	const char *url = choose(run, "url", "CAIRN_URL");
	const char *socket = choose(run, "socket", "CAIRN_SOCKET");
	if (timeout)
		text_read_duration(timeout, &seconds);
	run->client.timeout_ms =
		(int)(seconds > 86400 ? 86400 : seconds) * 1000;
	run->client.place.ca = choose(run, "ca", "CAIRN_CA");
	run->client.place.fingerprint =
		choose(run, "fingerprint", "CAIRN_FINGERPRINT");
	int status = take_token(run);
	if (status)
		return status;
	if (cli_line_value(&run->line, "socket"))
		url = NULL; /* the line before the environment */
	if (url)
		return use_url(run, url);
	if (socket) {
		run->client.place.socket = socket;
		return 0;
	}
	status = use_login(run);
	return status == 1 ? use_socket(run) : status;
}
