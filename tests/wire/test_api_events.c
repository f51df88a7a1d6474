/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as clients see them: pages, streams that go on where they ended, what is
 * too old, and readers that do not read.
 */
#include "tests/lib/api_rig.h"
#include "webui/api/server/events.h"
#include "webui/api/server/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEAF 20
#define DEAF_LIMIT_BYTES (2u << 20)

static struct api_rig rig;

static int start(void **state)
{
	(void)state;
	api_rig_start(&rig);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	api_rig_stop(&rig);
	return 0;
}

/* -- on the control thread -------------------------------------------------- */

struct burst {
	const char *topic;
	unsigned count, bytes;
};

static void emit_co(void *argument)
{
	const struct burst *burst = argument;
	char *text = malloc(burst->bytes + 1);
	memset(text, 'x', burst->bytes);
	text[burst->bytes] = '\0';
	for (unsigned i = 0; i < burst->count; i++)
		api_emit(rig.api, burst->topic, "tested",
			json_pack("{si, ss}", "number", (int)i, "text", text));
	free(text);
}

static void emit(const char *topic, unsigned count, unsigned bytes)
{
	struct burst burst = {topic, count, bytes};
	api_rig_run(&rig, emit_co, &burst);
}

static void newest_co(void *argument)
{
	*(uint64_t *)argument = api_events_newest(rig.api->events);
}

static uint64_t newest(void)
{
	uint64_t id;
	api_rig_run(&rig, newest_co, &id);
	return id;
}

static void open_co(void *argument)
{
	*(unsigned *)argument = api_streams_open(rig.api->streams);
}

static unsigned streams_open(void)
{
	unsigned open;
	api_rig_run(&rig, open_co, &open);
	return open;
}

/* -- clients ---------------------------------------------------------------- */

static int listen_to(const char *topics, uint64_t last)
{
	char request[512], id[64] = "";
	int fd = api_rig_local(&rig);
	if (last)
		snprintf(id, sizeof id, "Last-Event-ID: %" PRIu64 "\r\n", last);
	snprintf(request, sizeof request,
		"GET /api/v1/events?topics=%s HTTP/1.1\r\nHost: c\r\n"
		"Accept: text/event-stream\r\n%s\r\n",
		topics, id);
	api_rig_send(fd, request);
	return fd;
}

/* The server has let go of it, too. */
static void wait_for_end(int fd)
{
	char byte[4096];
	ssize_t got;
	while ((got = read(fd, byte, sizeof byte)) > 0)
		;
	assert_true(got == 0 || errno == ECONNRESET);
	close(fd);
}

static void leave(int fd)
{
	shutdown(fd, SHUT_WR);
	wait_for_end(fd);
}

static void expect(int fd, const char *text)
{
	char *got = api_rig_read_until(fd, text);
	if (!strstr(got, text))
		fail_msg("no \"%s\" in: %s", text, got);
	free(got);
}

static void a_page_has_what_happened(void **state)
{
	char *answer, request[256];
	(void)state;
	uint64_t before = newest();
	emit("volumes", 3, 1);
	emit("jobs", 2, 1);
	snprintf(request, sizeof request,
		"GET /api/v1/events?topics=volumes&limit=2&after=%" PRIu64
		" HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n",
		before);
	assert_int_equal(api_rig_ask(&rig, request, &answer), 200);
	assert_non_null(strstr(answer, "\"number\":0"));
	assert_non_null(strstr(answer, "\"number\":1"));
	assert_null(strstr(answer, "\"number\":2"));
	assert_null(strstr(answer, "jobs"));
	snprintf(request, sizeof request, "\"next\":\"%" PRIu64 "\"",
		before + 2);
	assert_non_null(strstr(answer, request));
	free(answer);
}

static void a_stream_has_what_happens(void **state)
{
	(void)state;
	int fd = listen_to("volumes", 0);
	expect(fd, "retry: 2000");
	emit("jobs", 1, 1);
	emit("volumes", 1, 1);
	char *got = api_rig_read_until(fd, "\n\n\r\n");
	assert_non_null(strstr(got, "event: volumes\ndata: {\"id\":\""));
	assert_null(strstr(got, "jobs"));
	free(got);
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

static void a_stream_goes_on_where_it_ended(void **state)
{
	char last[64];
	(void)state;
	uint64_t before = newest();
	emit("volumes", 3, 1);
	int fd = listen_to("volumes", before + 1);
	snprintf(last, sizeof last, "id: %" PRIu64, before + 3);
	char *got = api_rig_read_until(fd, last);
	assert_null(strstr(got, "\"number\":0"));
	assert_non_null(strstr(got, "\"number\":1"));
	assert_null(strstr(got, "reset"));
	free(got);
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

static void what_is_too_old_is_told(void **state)
{
	(void)state;
	uint64_t before = newest();
	emit("volumes", EVENTS_KEPT + 10, 1);
	int fd = listen_to("volumes", before + 1);
	expect(fd, "event: reset");
	emit("volumes", 1, 1);
	expect(fd, "event: volumes");
	leave(fd);
	fd = listen_to("volumes", newest() + 1000);
	expect(fd, "event: reset");
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

static void much_at_once_comes_whole(void **state)
{
	char last[64];
	(void)state;
	int fd = listen_to("volumes", 0);
	expect(fd, "retry: 2000");
	uint64_t before = newest();
	emit("volumes", 1000, 1000);
	snprintf(last, sizeof last, "id: %" PRIu64 "\n", before + 1000);
	char *got = api_rig_read_until(fd, last);
	assert_non_null(strstr(got, last));
	assert_non_null(strstr(got, "\"number\":500,"));
	assert_null(strstr(got, "reset"));
	free(got);
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

/* A large event is kept without its data. */
static void large_events_are_cut(void **state)
{
	(void)state;
	int fd = listen_to("volumes", 0);
	expect(fd, "retry: 2000");
	emit("volumes", 1, EVENTS_MAX_BYTES);
	expect(fd, "\"data\":null");
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

static void who_does_not_read_costs_little(void **state)
{
	int fd[DEAF];
	(void)state;
	emit("volumes", EVENTS_KEPT, 900); /* the ring itself is full */
	size_t before = api_rig_allocated(), most = 0;
	for (int i = 0; i < DEAF; i++) {
		fd[i] = listen_to("volumes", 0);
		expect(fd[i], "retry: 2000");
	}
	for (int i = 0; i < 100000 && streams_open(); i++) {
		emit("volumes", 100, 900);
		size_t now = api_rig_allocated();
		if (now > before && now - before > most)
			most = now - before;
	}
	assert_int_equal(streams_open(), 0); /* all were dropped */
	print_message(
		"# %d deaf readers: at most %zu KiB more\n", DEAF, most >> 10);
	assert_true(most < DEAF_LIMIT_BYTES);
	for (int i = 0; i < DEAF; i++)
		wait_for_end(fd[i]);
}

static void there_is_room_for_so_many(void **state)
{
	int fd[STREAMS_MAX];
	char *answer;
	(void)state;
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		fd[i] = listen_to("volumes", 0);
		expect(fd[i], "retry: 2000");
	}
	assert_int_equal(api_rig_ask(&rig,
				 "GET /api/v1/events HTTP/1.1\r\nHost: "
				 "c\r\nConnection: close\r\n"
				 "Accept: text/event-stream\r\n\r\n",
				 &answer),
		503);
	assert_non_null(strstr(answer, "Retry-After: 5"));
	free(answer);
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		leave(fd[i]);
	assert_int_equal(streams_open(), 0);
}

static void stats_come_each_second(void **state)
{
	(void)state;
	int fd = listen_to("stats", 0);
	expect(fd, "event: stats");
	expect(fd, "event: stats");
	leave(fd);
	assert_int_equal(streams_open(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_has_what_happened),
		cmocka_unit_test(a_stream_has_what_happens),
		cmocka_unit_test(a_stream_goes_on_where_it_ended),
		cmocka_unit_test(what_is_too_old_is_told),
		cmocka_unit_test(much_at_once_comes_whole),
		cmocka_unit_test(large_events_are_cut),
		cmocka_unit_test(who_does_not_read_costs_little),
		cmocka_unit_test(there_is_room_for_so_many),
		cmocka_unit_test(stats_come_each_second),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
