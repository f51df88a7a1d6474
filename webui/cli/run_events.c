/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: a list, or as they come. A connection that breaks is opened again where
 * it ended (Last-Event-ID), at most every second.
 */
#include "webui/cli/commands.h"
#include "webui/cli/rates.h"
#include "webui/cli/run.h"
#include "webui/cli/sse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TRIES 30u

struct follow {
	struct cli_run *run;
	struct sse sse;
	unsigned events;
};

static void print_event(const struct cli_run *run, const json_t *event)
{
	FILE *out = run->output.out;
	const struct cli_column *column = run->columns;
	if (run->output.format != OUTPUT_TABLE) {
		char *text = json_dumps(event, JSON_COMPACT);
		fprintf(out, "%s\n", text ? text : "{}");
		free(text);
		return;
	}
	for (; column->title; column++) {
		char *cell = output_cell(&run->output, event, column);
		fprintf(out, "%s%s", cell,
			column[1].title ? run->output.bare ? "\t" : "  "
					: "\n");
		free(cell);
	}
}

/* The data of an event is an Event of the contract. */
static void take_event(
	void *argument, const char *id, const char *type, const char *data)
{
	struct follow *follow = argument;
	json_t *event = json_loads(data, JSON_REJECT_DUPLICATES, NULL);
	follow->events++;
	if (json_is_object(event)) {
		if (!json_object_get(event, "id"))
			json_object_set_new(event, "id", json_string(id));
		if (!json_object_get(event, "type"))
			json_object_set_new(event, "type", json_string(type));
		print_event(follow->run, event);
		fflush(follow->run->output.out);
	}
	json_decref(event);
}

static int take_bytes(
	void *argument, const void *data, size_t bytes, struct err *err)
{
	struct follow *follow = argument;
	sse_feed(&follow->sse, data, bytes);
	if (ferror(follow->run->output.out))
		return err_set(err, ECANCELED, "nobody reads the output");
	return 0;
}

/* 0: the stream ended and may be opened again; else an exit status. */
static int follow_once(struct follow *follow, const char *path, unsigned tries)
{
	struct cli_run *run = follow->run;
	struct client_answer answer;
	struct err err = {0};
	const char *last = *follow->sse.id ? follow->sse.id : NULL;
	struct client_request request = {.method = "GET",
		.path = path,
		.accept = "text/event-stream",
		.last_event_id = last,
		.endless = true,
		.sink = take_bytes,
		.argument = follow};
	int error = client_call(&run->client, &request, &answer, &err);
	if (err.code == ECANCELED)
		return EXIT_FAILED;
	if (error)
		return tries < MAX_TRIES && (last || follow->events)
			? 0
			: run_fail(EXIT_UNREACHABLE, "%s", err.text);
	int status = answer.status == 200 || answer.status == 503
		? 0
		: problem_show(&answer, run->line.command, NULL, stderr);
	client_answer_free(&answer);
	return status;
}

static int follow_events(struct cli_run *run, const char *path)
{
	struct follow *follow = calloc(1, sizeof *follow);
	unsigned tries = 0;
	int status;
	if (!follow)
		abort();
	follow->run = run;
	follow->sse.event = take_event;
	follow->sse.argument = follow;
	do {
		unsigned before = follow->events;
		status = follow_once(follow, path, tries);
		tries = follow->events > before ? 0 : tries + 1;
		follow->sse.line_bytes = follow->sse.data_bytes = 0;
	} while (!status && rates_wait(1));
	free(follow);
	return status;
}

int run_events(struct cli_run *run)
{
	char *path = run_path(&run->line);
	json_t *items = NULL;
	int status;
	run->columns = run->chosen ? run->chosen : cli_event.columns;
	if (cli_line_flag(&run->line, "follow")) {
		status = follow_events(run, path);
	} else {
		status = run_get_list(run, path, &items);
		if (!status)
			output_list(&run->output, run->columns, items);
	}
	json_decref(items);
	free(path);
	return status;
}
