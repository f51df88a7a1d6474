/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/rest_asker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (8u << 20)

void rest_asker_die(const char *text, const char *more)
{
	fprintf(stderr, "%s: %s %s\n", program_invocation_short_name, text,
		more);
	exit(1);
}

uint64_t rest_asker_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int rest_asker_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof to.sun_path)
		rest_asker_die("too long:", path);
	strcpy(to.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		rest_asker_die(path, strerror(errno));
	return fd;
}

/* Bytes of the answer that begins with `text`; 0: its head is not there yet. */
static size_t answer_bytes(const char *text, const char *url)
{
	const char *end = strstr(text, "\r\n\r\n");
	if (!end)
		return 0;
	if (strncmp(text, "HTTP/1.1 20", 11) != 0)
		rest_asker_die(url, text);
	const char *length = strcasestr(text, "\r\nContent-Length:");
	return (size_t)(end + 4 - text) +
		(length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static char text[ANSWER_MAX_BYTES]; /* the last answer */

static void read_answer(int fd, const char *url)
{
	size_t used = 0, whole = 0;
	while (!whole || used < whole) {
		ssize_t got = read(fd, text + used, sizeof text - 1 - used);
		if (got < 0 && errno == EINTR)
			continue; /* who is told to end has its answer first */
		if (got <= 0)
			rest_asker_die(url,
				got ? strerror(errno) : "connection closed");
		used += (size_t)got;
		text[used] = '\0';
		if (!whole)
			whole = answer_bytes(text, url);
	}
}

uint64_t rest_asker_ask(
	int fd, const char *method, const char *url, const char *body)
{
	char request[1024];
	uint64_t begun = rest_asker_now_ns();
	int bytes = snprintf(request, sizeof request,
		"%s %s HTTP/1.1\r\nHost: cairn\r\nIf-Match: *\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
		"%s",
		method, url, body ? strlen(body) : 0, body ? body : "");
	if (bytes >= (int)sizeof request)
		rest_asker_die("too long:", url);
	if (write(fd, request, (size_t)bytes) != bytes)
		rest_asker_die(url, strerror(errno));
	read_answer(fd, url);
	return rest_asker_now_ns() - begun;
}

void rest_asker_answer(const char *key, char *value, size_t bytes)
{
	char start[64];
	snprintf(start, sizeof start, "\"%s\":", key);
	const char *at = strstr(text, start);
	if (!at)
		rest_asker_die("no such key:", key);
	at += strlen(start);
	at += strspn(at, " \"");
	snprintf(value, bytes, "%.*s", (int)strcspn(at, "\",}"), at);
}
