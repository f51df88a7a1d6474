/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/reply.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MAX_LENGTH (UINT64_C(1) << 50)

void reply_begin(struct reply *reply, reply_sink sink, void *argument)
{
	memset(reply, 0, offsetof(struct reply, line));
	reply->sink = sink;
	reply->argument = argument;
}

static int broken(struct reply *reply, struct err *err, const char *why)
{
	reply->state = REPLY_BROKEN;
	return err_set(err, EPROTO,
		"the other side does not answer as HTTP/1.1 does: %s", why);
}

/* Digits only, all of the text. */
static bool read_number(const char *text, unsigned base, uint64_t *out)
{
	uint64_t value = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		unsigned digit = (unsigned)(isdigit(c) ? c - '0'
				: isxdigit(c)	       ? tolower(c) - 'a' + 10
						       : 99);
		if (digit >= base)
			return false;
		value = value * base + digit;
		if (value > MAX_LENGTH)
			return false;
	}
	*out = value;
	return true;
}

/* "HTTP/1.1 200 OK" */
static int take_status(struct reply *reply, const char *line, struct err *err)
{
	if (strncmp(line, "HTTP/1.1 ", 9) && strncmp(line, "HTTP/1.0 ", 9))
		return broken(reply, err, "no status line");
	const char *digit = line + 9;
	for (int i = 0; i < 3; i++)
		if (!isdigit((unsigned char)digit[i]))
			return broken(reply, err, "no status");
	if (digit[3] && digit[3] != ' ')
		return broken(reply, err, "no status");
	reply->status = (digit[0] - '0') * 100 + (digit[1] - '0') * 10 +
		(digit[2] - '0');
	if (reply->status < 100 || reply->status > 599)
		return broken(reply, err, "a status that does not exist");
	reply->closes = line[7] == '0';
	reply->state = REPLY_HEADER;
	return 0;
}

static int take_length(struct reply *reply, const char *value, struct err *err)
{
	uint64_t length;
	if (!read_number(value, 10, &length))
		return broken(reply, err, "Content-Length is no number");
	if (reply->has_length && length != reply->length)
		return broken(reply, err, "two lengths");
	reply->has_length = true;
	reply->length = length;
	return 0;
}

static int take_encoding(
	struct reply *reply, const char *value, struct err *err)
{
	if (strcasecmp(value, "chunked") || reply->chunked)
		return broken(reply, err, "an unknown Transfer-Encoding");
	reply->chunked = true;
	return 0;
}

static void keep(char *out, size_t bytes, const char *value)
{
	size_t length = strlen(value);
	if (length < bytes)
		memcpy(out, value, length + 1);
}

static bool is_token(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!isalnum((unsigned char)text[i]) &&
			!strchr("!#$%&'*+-.^_`|~", text[i]))
			return false;
	return bytes > 0;
}

/* The value without white space around; in place. */
static char *trim(char *value)
{
	value += strspn(value, " \t");
	size_t bytes = strlen(value);
	while (bytes && strchr(" \t", value[bytes - 1]))
		value[--bytes] = '\0';
	return value;
}

static int take_field(struct reply *reply, const char *name, const char *value,
	struct err *err)
{
	if (!strcasecmp(name, "Content-Length"))
		return take_length(reply, value, err);
	if (!strcasecmp(name, "Transfer-Encoding"))
		return take_encoding(reply, value, err);
	if (!strcasecmp(name, "Connection"))
		reply->closes |= !strcasecmp(value, "close");
	else if (!strcasecmp(name, "ETag"))
		keep(reply->etag, sizeof reply->etag, value);
	else if (!strcasecmp(name, "Content-Type"))
		keep(reply->type, sizeof reply->type, value);
	else if (!strcasecmp(name, "Location"))
		keep(reply->location, sizeof reply->location, value);
	else if (!strcasecmp(name, "Set-Cookie"))
		keep(reply->cookie, sizeof reply->cookie, value);
	else if (!strcasecmp(name, "Retry-After"))
		(void)read_number(value, 10, &reply->retry_after_s);
	return 0;
}

static int take_header(struct reply *reply, char *line, struct err *err)
{
	char *colon = strchr(line, ':');
	if (!colon || !is_token(line, (size_t)(colon - line)))
		return broken(reply, err, "a header without a name");
	*colon = '\0';
	return take_field(reply, line, trim(colon + 1), err);
}

/* The empty line: what comes now? */
static int end_head(struct reply *reply, struct err *err)
{
	int status = reply->status;
	if (reply->has_length && reply->chunked)
		return broken(reply, err, "a length and chunks");
	if (status == 101)
		return broken(reply, err, "another protocol");
	if (status < 200) { /* 100 Continue: the true answer follows */
		reply->state = REPLY_STATUS;
		reply->has_length = reply->chunked = false;
	} else if (status == 204 || status == 304 || reply->bodiless) {
		reply->state = REPLY_DONE;
	} else if (reply->chunked) {
		reply->state = REPLY_CHUNK_SIZE;
	} else if (!reply->has_length) {
		return broken(reply, err, "a body without a length");
	} else {
		reply->state = reply->length ? REPLY_BODY : REPLY_DONE;
	}
	return 0;
}

static int take_chunk_size(
	struct reply *reply, const char *line, struct err *err)
{
	if (!read_number(line, 16, &reply->length))
		return broken(reply, err, "a chunk without a size");
	reply->state = reply->length ? REPLY_CHUNK : REPLY_TRAILER;
	reply->head_bytes = 0; /* now counts the trailer */
	return 0;
}

static int take_line(struct reply *reply, char *line, struct err *err)
{
	switch (reply->state) {
	case REPLY_STATUS: return take_status(reply, line, err);
	case REPLY_HEADER:
		return *line ? take_header(reply, line, err)
			     : end_head(reply, err);
	case REPLY_CHUNK_SIZE: return take_chunk_size(reply, line, err);
	case REPLY_CHUNK_END:
		if (*line)
			return broken(reply, err, "a chunk that is too long");
		reply->state = REPLY_CHUNK_SIZE;
		return 0;
	default: /* REPLY_TRAILER: not of interest */
		if (!*line)
			reply->state = REPLY_DONE;
		return 0;
	}
}

/* Collects one line. Returns bytes used, or -errno. */
static ssize_t feed_line(
	struct reply *reply, const char *data, size_t bytes, struct err *err)
{
	for (size_t i = 0; i < bytes; i++) {
		char c = data[i];
		if (++reply->head_bytes > REPLY_MAX_HEAD ||
			reply->line_bytes == sizeof reply->line)
			return broken(reply, err, "too much before the body");
		if (c == '\n') {
			size_t length = reply->line_bytes;
			if (!length || reply->line[length - 1] != '\r')
				return broken(reply, err, "a line without CR");
			reply->line[length - 1] = '\0';
			reply->line_bytes = 0;
			int error = take_line(reply, reply->line, err);
			return error ? error : (ssize_t)i + 1;
		}
		if (reply->line_bytes &&
			reply->line[reply->line_bytes - 1] == '\r')
			return broken(reply, err, "a CR within a line");
		if (((unsigned char)c < ' ' && c != '\r' && c != '\t') ||
			c == 0x7f)
			return broken(reply, err, "a control character");
		reply->line[reply->line_bytes++] = c;
	}
	return (ssize_t)bytes;
}

static ssize_t feed_body(
	struct reply *reply, const char *data, size_t bytes, struct err *err)
{
	size_t take = bytes < reply->length ? bytes : (size_t)reply->length;
	int error = reply->sink(reply->argument, data, take, err);
	if (error) {
		reply->state = REPLY_BROKEN;
		return error;
	}
	reply->length -= take;
	if (!reply->length)
		reply->state = reply->state == REPLY_CHUNK ? REPLY_CHUNK_END
							   : REPLY_DONE;
	return (ssize_t)take;
}

ssize_t reply_feed(
	struct reply *reply, const void *data, size_t bytes, struct err *err)
{
	const char *at = data;
	size_t used = 0;
	if (reply->state == REPLY_BROKEN)
		return err_set(err, EPROTO, "the answer is broken");
	while (used < bytes && reply->state != REPLY_DONE) {
		bool body = reply->state == REPLY_BODY ||
			reply->state == REPLY_CHUNK;
		ssize_t n = (body ? feed_body : feed_line)(
			reply, at + used, bytes - used, err);
		if (n < 0)
			return n;
		used += (size_t)n;
	}
	return (ssize_t)used;
}
