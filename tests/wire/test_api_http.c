/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers may send: garbage, too much, too slowly, too many; and requests
 * one behind the other.
 */
#include "tests/lib/api_rig.h"
#include "webui/api/server/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define IDLE 5000
#define IDLE_LIMIT_BYTES (32u << 20)
#define NS_PER_MS 1000000ull

static struct api_rig rig;

static int start(void **state)
{
	struct rlimit limit;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	api_rig_start(&rig);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	api_rig_stop(&rig);
	return 0;
}

static bool is_alive(void)
{
	return api_rig_ask(&rig,
		       "GET /healthz HTTP/1.1\r\nHost: c\r\nConnection: "
		       "close\r\n\r\n",
		       NULL) == 200;
}

static const struct {
	const char *text;
	int status; /* 0: closed without an answer */
} garbage[] = {
	{"\r\n\r\n", 400},
	{"x\r\n\r\n", 400},
	{"GET\r\n\r\n", 400},
	{"GET /healthz\r\n\r\n", 400},
	{"GET /healthz HTTP/9.9\r\n\r\n", 400},
	{"GET /healthz FTP/1.1\r\n\r\n", 400},
	{"GET  HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", 400},
	{"GET * HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", 400},
	{"GET /%ff%fe HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", 404},
	{"GET /\xff HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", 404},
	{"GET /healthz HTTP/1.1\r\nHost: c\r\nno colon\r\n\r\n", 400},
	{"POST /healthz HTTP/1.1\r\nHost: c\r\nContent-Length: -1\r\n\r\n",
		400},
	{"POST /healthz HTTP/1.1\r\nHost: c\r\nContent-Length: x\r\n\r\n", 400},
	{"POST /healthz HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: "
	 "chunked\r\n\r\nzz\r\n",
		413},
	{"POST /healthz HTTP/1.1\r\nHost: c\r\nContent-Length: "
	 "99999999999\r\n\r\n",
		413},
	{"TRACE /healthz HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n",
		405},
	{"CONNECT x:1 HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", 400},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0},
};

/* Also what libevent refuses before we see it: RFC 9457, closed afterwards. */
static void check_problem(const char *got, int status)
{
	const char *body = strstr(got, "\r\n\r\n");
	const char *id = strstr(got, "\r\nX-Request-Id: ");
	json_t *problem = body ? json_loads(body + 4, 0, NULL) : NULL;
	if (!strstr(got, "\r\nContent-Type: application/problem+json\r\n") ||
		!problem || !id)
		fail_msg("no problem: %s", got);
	const char *instance =
		json_string_value(json_object_get(problem, "instance"));
	assert_int_equal(
		json_integer_value(json_object_get(problem, "status")), status);
	assert_non_null(json_object_get(problem, "type"));
	assert_non_null(json_object_get(problem, "detail"));
	assert_memory_equal(instance, id + 16, strlen(instance));
	json_decref(problem);
}

static void garbage_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
		int fd = api_rig_local(&rig), status = 0;
		api_rig_send(fd, garbage[i].text);
		if (!garbage[i].status) {
			close(fd);
			continue;
		}
		char *got = api_rig_read_until(fd, "}\n");
		sscanf(got, "HTTP/1.1 %d", &status);
		close(fd);
		check_problem(got, status);
		if (status != garbage[i].status)
			fail_msg("%zu: %d, not %d: %s", i, status,
				garbage[i].status, got);
		free(got);
	}
	assert_true(is_alive());
}

static void long_headers_are_refused(void **state)
{
	char *line = malloc(API_MAX_HEADERS_BYTES + 256);
	int status = 0;
	(void)state;
	strcpy(line, "GET /healthz HTTP/1.1\r\nHost: c\r\nX: ");
	memset(line + strlen(line), 'x', API_MAX_HEADERS_BYTES);
	strcpy(line + 35 + API_MAX_HEADERS_BYTES - 1, "\r\n\r\n");
	int fd = api_rig_local(&rig);
	api_rig_send(fd, line);
	char *got = api_rig_read_until(fd, "}\n");
	sscanf(got, "HTTP/1.1 %d", &status);
	assert_in_range(status, 400, 431);
	check_problem(got, status);
	close(fd);
	free(got);
	free(line);
	assert_true(is_alive());
}

static void requests_may_follow_each_other(void **state)
{
	(void)state;
	int fd = api_rig_local(&rig);
	api_rig_send(fd,
		"GET /healthz HTTP/1.1\r\nHost: c\r\n\r\nGET /api "
		"HTTP/1.1\r\nHost: c\r\n\r\n"
		"GET /nope HTTP/1.1\r\nHost: c\r\n\r\nHEAD /api "
		"HTTP/1.1\r\nHost: c\r\n\r\n"
		"GET /readyz HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n");
	char *got = api_rig_read_until(fd, NULL);
	const char *ok = strstr(got, "\"ok\""), *versions = strstr(got, "v1"),
		   *none = strstr(got, "404 Not Found"),
		   *ready = strstr(got, "\"ready\"");
	assert_true(ok && versions > ok && none > versions && ready > none);
	assert_null(strstr(none, "\"versions\"")); /* HEAD has no body */
	close(fd);
	free(got);
}

/* -- over TLS --------------------------------------------------------------- */

static bool is_closed_within(int fd, int ms)
{
	char byte;
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	while (poll(&poller, 1, ms) == 1) {
		ssize_t got = recv(fd, &byte, 1, 0);
		if (got <= 0)
			return true;
	}
	return false;
}

static void hurry_co(void *argument)
{
	(void)argument;
	api_connections_set_patience(
		rig.api->connections, 200 * NS_PER_MS, 200 * NS_PER_MS);
}

static void patience_co(void *argument)
{
	(void)argument;
	api_connections_set_patience(
		rig.api->connections, 60000 * NS_PER_MS, 60000 * NS_PER_MS);
}

static void who_is_slow_is_closed(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: c\r\n";
	(void)state;
	api_rig_run(&rig, hurry_co, NULL);
	int silent = api_rig_tcp(&rig);
	assert_true(is_closed_within(silent, 20000));
	close(silent);
	/* A byte now and then, for as long as it is let. */
	SSL *ssl = api_rig_tls(&rig);
	size_t sent = 0;
	while (SSL_write(ssl, request + sent++ % (sizeof request - 1), 1) ==
			1 &&
		!is_closed_within(SSL_get_fd(ssl), 20))
		;
	assert_true(sent < 2000);
	api_rig_tls_close(ssl);
	api_rig_run(&rig, patience_co, NULL);
	assert_true(is_alive());
}

static void open_co(void *argument)
{
	*(unsigned *)argument = api_connections_open(rig.api->connections);
}

static unsigned connections_open(void)
{
	unsigned open;
	api_rig_run(&rig, open_co, &open);
	return open;
}

static bool answers(SSL *ssl)
{
	static const char request[] =
		"GET /healthz HTTP/1.1\r\nHost: c\r\n\r\n";
	char answer[4096];
	return SSL_write(ssl, request, sizeof request - 1) > 0 &&
		SSL_read(ssl, answer, sizeof answer) > 0 &&
		!strncmp(answer, "HTTP/1.1 200", 12);
}

/* Our own end costs as much as the server's, so the allocations of both are
 * counted: the clients' are let go of at once, their sockets stay open. */
static void many_idle_connections_are_survived(void **state)
{
	int *fd = calloc(IDLE, sizeof *fd);
	(void)state;
	api_rig_tls_close(api_rig_tls(&rig));
	size_t before = api_rig_allocated();
	for (int i = 0; i < IDLE; i++) {
		SSL *ssl = api_rig_tls(&rig);
		fd[i] = ssl ? dup(SSL_get_fd(ssl)) : -1;
		if (ssl)
			api_rig_tls_close(ssl);
	}
	unsigned open = connections_open();
	size_t after = api_rig_allocated();
	print_message("# %d idle connections: %u open, %zd KiB more\n", IDLE,
		open, ((ssize_t)after - (ssize_t)before) / 1024);
	assert_in_range(open, 1, CONNECTION_MAX_OF_ADDRESS);
	assert_true(after < before + IDLE_LIMIT_BYTES);
	SSL *ssl = api_rig_tls(&rig);
	assert_non_null(ssl);
	assert_true(answers(ssl));
	api_rig_tls_close(ssl);
	for (int i = 0; i < IDLE; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	free(fd);
	assert_true(is_alive());
}

static void plain_text_on_the_tls_port_is_refused(void **state)
{
	(void)state;
	int fd = api_rig_tcp(&rig);
	api_rig_send(fd, "GET /healthz HTTP/1.1\r\nHost: c\r\n\r\n");
	char *got = api_rig_read_until(fd, NULL);
	assert_null(strstr(got, "HTTP/1.1 200"));
	free(got);
	close(fd);
	assert_true(is_alive());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(long_headers_are_refused),
		cmocka_unit_test(requests_may_follow_each_other),
		cmocka_unit_test(who_is_slow_is_closed),
		cmocka_unit_test(plain_text_on_the_tls_port_is_refused),
		cmocka_unit_test(many_idle_connections_are_survived),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
