/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client of the command line: its parser fed in pieces of any size, and
 * whole calls against servers that send what a script says: garbage, halves, too
 * much, nothing.
 *
 * TSAN: yes
 */
#include "webui/cli/client.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* -- the parser ---------------------------------------------------------------- */

static char body[4096];

static int keep(void *argument, const void *data, size_t bytes, struct err *err)
{
	size_t used = strlen(body);
	(void)argument;
	(void)err;
	assert_true(used + bytes < sizeof body);
	memcpy(body + used, data, bytes);
	body[used + bytes] = '\0';
	return 0;
}

/* Feeds `text` in pieces of `step`. Returns bytes used, or -errno. */
static ssize_t feed(
	struct reply *reply, const char *text, size_t bytes, size_t step)
{
	size_t at = 0;
	body[0] = '\0';
	reply_begin(reply, keep, NULL);
	while (at < bytes && reply->state != REPLY_DONE) {
		size_t n = bytes - at < step ? bytes - at : step;
		ssize_t used = reply_feed(reply, text + at, n, NULL);
		if (used < 0)
			return used;
		at += (size_t)used;
	}
	return (ssize_t)at;
}

static void good_answers(void **state)
{
	static const struct {
		const char *text, *body;
		int status;
	} answers[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello",
			200},
		{"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", "", 200},
		{"HTTP/1.1 204 No Content\r\nETag: \"a\"\r\n\r\n", "", 204},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
			"abc0123456789", 200},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"
		 "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
			"ok", 201},
	};
	struct reply *reply = malloc(sizeof *reply);
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		size_t bytes = strlen(answers[i].text);
		for (size_t step = 1; step <= bytes; step++) {
			assert_int_equal(
				feed(reply, answers[i].text, bytes, step),
				bytes);
			assert_int_equal(reply->state, REPLY_DONE);
			assert_int_equal(reply->status, answers[i].status);
			assert_string_equal(body, answers[i].body);
		}
	}
	free(reply);
}

#define OK "HTTP/1.1 200 OK\r\n"

static void bad_answers(void **state)
{
	static const char *const answers[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/2 200\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 999 OK\r\n",
		"HTTP/1.1 099 OK\r\n",
		"HTTP/1.1 101 Switching\r\n\r\n",
		OK "\r\nbody until the end",
		OK "Content-Length: 5\nX: y\r\n\r\n",
		OK "Content-Length: -5\r\n\r\n",
		OK "Content-Length: 5x\r\n\r\n",
		OK "Content-Length: 99999999999999999999\r\n\r\n",
		OK "Content-Length: \r\n\r\n",
		OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
		OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK "Transfer-Encoding: gzip\r\n\r\n",
		OK
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		OK " folded: x\r\n",
		OK "no colon\r\n",
		OK ": no name\r\n",
		OK "bad name: x\r\n",
		OK "X: a\rb\r\n",
		OK "X: a\x01\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\nx\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		OK "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
	};
	struct reply *reply = malloc(sizeof *reply);
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		for (size_t step = 1; step < 40; step++)
			if (feed(reply, answers[i], strlen(answers[i]), step) !=
				-EPROTO)
				fail_msg("%s", answers[i]);
	/* It stays broken. */
	assert_int_equal(reply_feed(reply, "x", 1, NULL), -EPROTO);
	free(reply);
}

static void too_much_before_the_body(void **state)
{
	struct reply *reply = malloc(sizeof *reply);
	size_t bytes = 200000, at;
	char *text = malloc(bytes + 16);
	(void)state;
	memset(text, 'a', bytes);
	memcpy(text, OK "X: ", 20);
	assert_int_equal(feed(reply, text, bytes, 4096), -EPROTO);
	for (at = 17; at + 8 < bytes; at += 6)
		memcpy(text + at, "X: a\r\n", 6);
	assert_int_equal(feed(reply, text, at, 4096), -EPROTO);
	free(text);
	free(reply);
}

/* -- scripted servers ------------------------------------------------------------ */

#define REQUEST_BYTES 2048u

struct server {
	int fd;
	char path[108];
	const char *const *answers; /* to one request after the other */
	unsigned requests, connections;
	bool close_each, never_answers;
	size_t flood; /* so many bytes of body after the answer */
	char request[REQUEST_BYTES]; /* the last one */
	pthread_t thread;
};

/* Reads one request with its body; false at the end. */
static bool read_request(struct server *server, int fd)
{
	size_t used = 0, wanted = 0;
	while (!wanted || used < wanted) {
		ssize_t n = read(
			fd, server->request + used, REQUEST_BYTES - 1 - used);
		if (n <= 0)
			return false;
		used += (size_t)n;
		server->request[used] = '\0';
		const char *end = strstr(server->request, "\r\n\r\n");
		const char *length =
			strstr(server->request, "Content-Length: ");
		if (end)
			wanted = (size_t)(end + 4 - server->request) +
				(length ? strtoul(length + 16, NULL, 10) : 0);
	}
	return true;
}

static void flood(int fd, size_t bytes)
{
	char *block = calloc(1, 65536);
	while (bytes) {
		size_t n = bytes < 65536 ? bytes : 65536;
		ssize_t sent = send(fd, block, n, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		bytes -= (size_t)sent;
	}
	free(block);
}

static void serve(struct server *server, int fd)
{
	while (server->answers[server->requests] && read_request(server, fd)) {
		const char *text = server->answers[server->requests++];
		if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
			return;
		flood(fd, server->flood);
		if (server->close_each)
			return;
	}
	if (server->never_answers)
		while (read_request(server, fd))
			;
}

static void *server_thread(void *argument)
{
	struct server *server = argument;
	do {
		int fd = accept(server->fd, NULL, NULL);
		server->connections++;
		serve(server, fd);
		close(fd);
	} while (server->answers[server->requests]);
	return NULL;
}

static void server_start(struct server *server, struct client *client,
	const char *const *answers)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/cairn-client-XXXXXX";
	assert_non_null(mkdtemp(folder));
	snprintf(server->path, sizeof server->path, "%s/s", folder);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", server->path);
	server->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	server->answers = answers;
	assert_int_equal(
		bind(server->fd, (struct sockaddr *)&address, sizeof address),
		0);
	assert_int_equal(listen(server->fd, 8), 0);
	assert_int_equal(
		pthread_create(&server->thread, NULL, server_thread, server),
		0);
	*client = (struct client){
		.place.socket = server->path, .timeout_ms = 20000};
}

static void server_end(struct server *server, struct client *client)
{
	client_close(client);
	pthread_join(server->thread, NULL);
	close(server->fd);
	unlink(server->path);
	*strrchr(server->path, '/') = '\0';
	rmdir(server->path);
}

#define JSON_ANSWER(status, text, length) \
	"HTTP/1.1 " status "\r\nContent-Type: application/json\r\n" \
	"ETag: \"7\"\r\nContent-Length: " length "\r\n\r\n" text

static const struct client_request get = {.method = "GET", .path = "/x"};

static void calls_on_one_connection(void **state)
{
	static const char *const answers[] = {
		JSON_ANSWER("200 OK", "{\"a\": 1}", "8"),
		JSON_ANSWER("404 Not Found", "{\"title\": \"no\"}", "15"),
		NULL};
	struct server server = {0};
	struct client client;
	struct client_answer answer;
	struct err err = {0};
	(void)state;
	server_start(&server, &client, answers);
	client.token = "secret";
	json_t *sent = json_pack("{ss}", "k", "v");
	struct client_request post = {.method = "POST",
		.path = "/y?dryRun=true",
		.body = sent,
		.if_match = "\"7\"",
		.keyed = true};
	assert_int_equal(client_call(&client, &get, &answer, &err), 0);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.etag, "\"7\"");
	assert_int_equal(
		json_integer_value(json_object_get(answer.json, "a")), 1);
	client_answer_free(&answer);
	assert_int_equal(client_call(&client, &post, &answer, &err), 0);
	assert_int_equal(answer.status, 404);
	client_answer_free(&answer);
	json_decref(sent);
	server_end(&server, &client);
	assert_int_equal(server.connections, 1);
	assert_non_null(strstr(
		server.request, "POST /api/v1/y?dryRun=true HTTP/1.1\r\n"));
	assert_non_null(
		strstr(server.request, "Authorization: Bearer secret\r\n"));
	assert_non_null(strstr(server.request, "If-Match: \"7\"\r\n"));
	assert_non_null(strstr(server.request, "Idempotency-Key: "));
	assert_non_null(strstr(server.request, "\r\n\r\n{\"k\":\"v\"}"));
}

/* A server that closes what was kept: safe calls are sent again, others not. */
static void repeats_only_what_is_safe(void **state)
{
	static const char *const answers[] = {JSON_ANSWER("200 OK", "1", "1"),
		JSON_ANSWER("200 OK", "2", "1"),
		JSON_ANSWER("200 OK", "3", "1"), NULL};
	struct server server = {.close_each = true};
	struct client client;
	struct client_answer answer;
	struct err err = {0};
	struct client_request delete = {.method = "DELETE", .path = "/x"};
	(void)state;
	server_start(&server, &client, answers);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(client_call(&client, &get, &answer, &err), 0);
		assert_int_equal(json_integer_value(answer.json), i);
		client_answer_free(&answer);
	}
	assert_int_not_equal(client_call(&client, &delete, &answer, &err), 0);
	assert_null(client.link);
	assert_int_equal(client_call(&client, &delete, &answer, &err), 0);
	client_answer_free(&answer);
	server_end(&server, &client);
	assert_int_equal(server.connections, 3);
}

/* One call that fails, and its connection with it. */
static void assert_fails(
	struct server how, const char *answer_text, const char *why)
{
	static struct server server;
	const char *const answers[] = {answer_text, NULL};
	struct client client;
	struct client_answer answer;
	struct err err = {0};
	server = how;
	server_start(&server, &client, answers);
	if (server.never_answers)
		client.timeout_ms = 50;
	assert_int_not_equal(client_call(&client, &get, &answer, &err), 0);
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
	assert_null(answer.text);
	assert_null(answer.json);
	assert_null(client.link);
	server_end(&server, &client);
}

#define CLOSING ((struct server){.close_each = true})
#define SILENT ((struct server){.never_answers = true})
#define FLOODING ((struct server){.close_each = true, .flood = 200000000})

static void garbage(void **state)
{
	(void)state;
	assert_fails(CLOSING, "\x16\x03\x01 hello\r\n", "HTTP/1.1");
}

static void halves(void **state)
{
	(void)state;
	assert_fails(CLOSING,
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"in the middle of an answer");
	assert_fails(CLOSING, "", "in the middle of an answer");
}

static void too_much(void **state)
{
	(void)state;
	assert_fails(
		CLOSING, JSON_ANSWER("200 OK", "11HTTP/1.1", "2"), "more came");
	assert_fails(FLOODING,
		"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n",
		"larger than 64 MiB");
}

static void nothing(void **state)
{
	(void)state;
	assert_fails(SILENT, NULL, "does not answer");
}

/* Here the connection is good, the content is not. */
static void assert_no_json(const char *answer_text)
{
	static struct server server;
	const char *const answers[] = {answer_text, NULL};
	struct client client;
	struct client_answer answer;
	struct err err = {0};
	memset(&server, 0, sizeof server);
	server_start(&server, &client, answers);
	assert_int_equal(client_call(&client, &get, &answer, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no JSON"));
	server_end(&server, &client);
}

static void no_json(void **state)
{
	(void)state;
	assert_no_json(JSON_ANSWER("200 OK", "{\"a\":", "5"));
	assert_no_json(JSON_ANSWER("200 OK", "{\"a\":1,\"a\":2}", "13"));
}

static int refuse(
	void *argument, const void *data, size_t bytes, struct err *err)
{
	(void)argument;
	(void)data;
	(void)bytes;
	return err_set(err, ECANCELED, "enough");
}

static void sinks(void **state)
{
	static const char *const answers[] = {
		JSON_ANSWER("200 OK", "abcdef", "6"),
		JSON_ANSWER("403 Forbidden", "{\"detail\": \"no\"}", "16"),
		JSON_ANSWER("200 OK", "abcdef", "6"), NULL};
	struct server server = {0};
	struct client client;
	struct client_answer answer;
	struct err err = {0};
	struct client_request request = {
		.method = "GET", .path = "/b", .sink = keep};
	(void)state;
	server_start(&server, &client, answers);
	body[0] = '\0';
	assert_int_equal(client_call(&client, &request, &answer, &err), 0);
	assert_string_equal(body, "abcdef");
	assert_null(answer.text);
	client_answer_free(&answer);
	/* A problem does not go into the file. */
	assert_int_equal(client_call(&client, &request, &answer, &err), 0);
	assert_string_equal(body, "abcdef");
	assert_non_null(answer.json);
	client_answer_free(&answer);
	request.sink = refuse;
	assert_int_equal(
		client_call(&client, &request, &answer, &err), -ECANCELED);
	server_end(&server, &client);
}

static void nobody_there(void **state)
{
	struct client client = {
		.place.socket = "/nonexistent/cairn.sock", .timeout_ms = 1000};
	struct client_answer answer;
	struct err err = {0};
	(void)state;
	assert_int_equal(client_call(&client, &get, &answer, &err), -ENOENT);
	char longest[300];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	client.place.socket = longest;
	assert_int_equal(
		client_call(&client, &get, &answer, &err), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_answers),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(too_much_before_the_body),
		cmocka_unit_test(calls_on_one_connection),
		cmocka_unit_test(repeats_only_what_is_safe),
		cmocka_unit_test(garbage),
		cmocka_unit_test(halves),
		cmocka_unit_test(too_much),
		cmocka_unit_test(nothing),
		cmocka_unit_test(no_json),
		cmocka_unit_test(sinks),
		cmocka_unit_test(nobody_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
