/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/client.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 16384u

/* -- what is sent ----------------------------------------------------------- */

static void print_header(FILE *out, const char *name, const char *value)
{
	if (value)
		fprintf(out, "%s: %s\r\n", name, value);
}

static void print_origin(const struct client *client, FILE *out)
{
	const struct link_place *place = &client->place;
	if (place->socket) {
		fputs("Host: localhost\r\n", out);
		return;
	}
	bool bare = strchr(place->host, ':') != NULL;
	const char *open = bare ? "[" : "", *end = bare ? "]" : "";
	fprintf(out, "Host: %s%s%s:%u\r\n", open, place->host, end,
		place->port);
	if (client->cookie)
		fprintf(out, "Origin: https://%s%s%s:%u\r\n", open, place->host,
			end, place->port);
}

static void print_head(const struct client *client,
	const struct client_request *request, const char *type, size_t bytes,
	const char *key, FILE *out)
{
	bool whole = !strncmp(request->path, "//", 2);
	fprintf(out, "%s %s%s HTTP/1.1\r\n", request->method,
		whole ? "" : "/api/v1", request->path + whole);
	print_origin(client, out);
	print_header(out, "Accept",
		request->accept ? request->accept : "application/json");
	print_header(out, "User-Agent", "cairn/" CAIRN_VERSION);
	if (client->token)
		fprintf(out, "Authorization: Bearer %s\r\n", client->token);
	print_header(out, "Cookie", client->cookie);
	print_header(out, "X-CSRF-Token", client->csrf);
	print_header(out, "If-Match", request->if_match);
	print_header(out, "Last-Event-ID", request->last_event_id);
	if (*key)
		print_header(out, "Idempotency-Key", key);
	print_header(out, "Content-Type", type);
	if (type || strcmp(request->method, "GET"))
		fprintf(out, "Content-Length: %zu\r\n", bytes);
	fputs("\r\n", out);
}

struct message {
	char *text;
	size_t bytes;
};

static void message_wipe(char *text, size_t bytes)
{
	if (text)
		OPENSSL_cleanse(text, bytes);
	free(text);
}

static int message_make(const struct client *client,
	const struct client_request *request, const char *key,
	struct message *message, struct err *err)
{
	char *json = request->body
		? json_dumps(request->body, JSON_COMPACT | JSON_ENCODE_ANY)
		: NULL;
	const char *body = json ? json : request->text;
	const char *type = json ? "application/json" : request->text_type;
	size_t bytes = body ? strlen(body) : 0;
	FILE *out = open_memstream(&message->text, &message->bytes);
	if (!out || (request->body && !json)) {
		if (out)
			fclose(out);
		free(json);
		return err_set(err, ENOMEM, "no memory for the request");
	}
	print_head(client, request, body ? type : NULL, bytes, key, out);
	if (body)
		fwrite(body, 1, bytes, out);
	fclose(out);
	message_wipe(json, json ? bytes : 0);
	return 0;
}

/* -- what comes ------------------------------------------------------------- */

struct reading {
	const struct client_request *request;
	struct client_answer *answer;
	struct reply reply;
	size_t room;
	bool begun; /* something came */
	char data[READ_BYTES];
};

static int keep_body(struct client_answer *answer, size_t *room,
	const void *data, size_t bytes, struct err *err)
{
	size_t needed = answer->bytes + bytes + 1;
	if (needed > CLIENT_MAX_BODY)
		return err_set(err, EFBIG, "the answer is larger than %u MiB",
			CLIENT_MAX_BODY >> 20);
	if (needed > *room) {
		size_t larger = needed * 2;
		char *text = realloc(answer->text, larger);
		if (!text)
			return err_set(err, ENOMEM, "no memory for the answer");
		answer->text = text;
		*room = larger;
	}
	memcpy(answer->text + answer->bytes, data, bytes);
	answer->bytes += bytes;
	answer->text[answer->bytes] = '\0';
	return 0;
}

static int take_body(
	void *argument, const void *data, size_t bytes, struct err *err)
{
	struct reading *reading = argument;
	const struct client_request *request = reading->request;
	if (request->sink && reading->reply.status == 200)
		return request->sink(request->argument, data, bytes, err);
	return keep_body(reading->answer, &reading->room, data, bytes, err);
}

static int read_answer(
	struct client *client, struct reading *reading, struct err *err)
{
	while (reading->reply.state != REPLY_DONE) {
		bool endless = reading->request->endless;
		ssize_t n = link_read(client->link, reading->data, READ_BYTES,
			endless ? -1 : client->timeout_ms, err);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return err_set(err, ECONNRESET,
				"the daemon closed the connection in the "
				"middle of an answer");
		reading->begun = true;
		ssize_t used = reply_feed(
			&reading->reply, reading->data, (size_t)n, err);
		if (used < 0)
			return (int)used;
		if (used < n)
			return err_set(
				err, EPROTO, "more came than was asked for");
	}
	return 0;
}

static int parse_json(struct client_answer *answer, struct err *err)
{
	json_error_t where;
	const char *json = strstr(answer->type, "json");
	if (!answer->bytes || !json)
		return 0;
	answer->json = json_loadb(answer->text, answer->bytes,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
	if (!answer->json)
		return err_set(err, EPROTO,
			"the answer (status %d) is no JSON: line %d: %s",
			answer->status, where.line, where.text);
	return 0;
}

static void copy_head(struct client_answer *answer, const struct reply *reply)
{
	answer->status = reply->status;
	answer->retry_after_s = reply->retry_after_s;
	memcpy(answer->etag, reply->etag, sizeof answer->etag);
	memcpy(answer->type, reply->type, sizeof answer->type);
	memcpy(answer->location, reply->location, sizeof answer->location);
	memcpy(answer->cookie, reply->cookie, sizeof answer->cookie);
}

/* -- one call --------------------------------------------------------------- */

static int exchange(struct client *client, const struct message *message,
	struct reading *reading, struct err *err)
{
	if (!client->link)
		client->link =
			link_open(&client->place, client->timeout_ms, err);
	if (!client->link)
		return -err->code;
	/* A server may refuse a large body before it has all of it; so its
	 * answer is looked for even when writing fails. */
	int sent = link_write(client->link, message->text, message->bytes,
		client->timeout_ms, err);
	if (sent && sent != -EPIPE && sent != -ECONNRESET)
		return sent;
	struct err reading_err = {0};
	int error = read_answer(client, reading, &reading_err);
	if (error && !sent && err)
		*err = reading_err;
	return error;
}

static bool may_repeat(const struct client_request *request)
{
	return request->keyed || !strcmp(request->method, "GET");
}

static void make_key(char key[33])
{
	unsigned char random[16];
	if (RAND_bytes(random, sizeof random) != 1)
		abort();
	for (int i = 0; i < 16; i++)
		sprintf(key + 2 * i, "%02x", random[i]);
}

static int call_once(struct client *client, const struct message *message,
	struct reading *reading, struct err *err)
{
	reply_begin(&reading->reply, take_body, reading);
	int error = exchange(client, message, reading, err);
	if (error || reading->reply.closes)
		client_close(client);
	return error;
}

int client_call(struct client *client, const struct client_request *request,
	struct client_answer *answer, struct err *err)
{
	struct reading *reading = calloc(1, sizeof *reading);
	struct message message = {0};
	char key[33] = "";
	bool kept = client->link != NULL;
	*answer = (struct client_answer){0};
	if (!reading)
		return err_set(err, ENOMEM, "no memory for the answer");
	reading->request = request;
	reading->answer = answer;
	if (request->keyed)
		make_key(key);
	int error = message_make(client, request, key, &message, err);
	if (!error)
		error = call_once(client, &message, reading, err);
	if (error && kept && !reading->begun && may_repeat(request))
		error = call_once(client, &message, reading, err);
	message_wipe(message.text, message.bytes);
	if (!error) {
		copy_head(answer, &reading->reply);
		error = parse_json(answer, err);
	}
	free(reading);
	if (error)
		client_answer_free(answer);
	return error;
}

void client_answer_free(struct client_answer *answer)
{
	message_wipe(answer->text, answer->bytes); /* a new token, maybe */
	json_decref(answer->json);
	answer->text = NULL;
	answer->json = NULL;
	answer->bytes = 0;
}

void client_close(struct client *client)
{
	link_close(client->link);
	client->link = NULL;
}
