/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an answer to the command line, whole and byte by byte: both must
 * come to the same end. And any text as size, duration, address, fingerprint, and
 * as a stream of events.
 */
#include "webui/cli/link.h"
#include "webui/cli/reply.h"
#include "webui/cli/sse.h"
#include "webui/cli/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
	size_t bytes;
	uint32_t sum;
};

static int add(void *argument, const void *data, size_t bytes, struct err *err)
{
	struct body *body = argument;
	const uint8_t *at = data;
	(void)err;
	assert(bytes > 0);
	body->bytes += bytes;
	for (size_t i = 0; i < bytes; i++)
		body->sum = body->sum * 31 + at[i];
	return 0;
}

/* Returns bytes used, or -errno. */
static ssize_t feed(struct reply *reply, struct body *body, const uint8_t *data,
	size_t size, size_t step)
{
	size_t used = 0;
	memset(body, 0, sizeof *body);
	reply_begin(reply, add, body);
	while (used < size && reply->state != REPLY_DONE) {
		size_t n = size - used < step ? size - used : step;
		ssize_t took = reply_feed(reply, data + used, n, NULL);
		if (took < 0)
			return took;
		used += (size_t)took;
	}
	return (ssize_t)used;
}

static void as_answer(const uint8_t *data, size_t size)
{
	static struct reply whole, pieces;
	struct body one, many;
	ssize_t a = feed(&whole, &one, data, size, size ? size : 1);
	ssize_t b = feed(&pieces, &many, data, size, 1);
	assert(a == b);
	assert(whole.state == pieces.state);
	assert(one.bytes == many.bytes && one.sum == many.sum);
	if (whole.state == REPLY_DONE)
		assert(whole.status >= 200 && whole.status <= 599);
}

static void as_texts(const uint8_t *data, size_t size)
{
	char text[256], host[TEXT_HOST_BYTES];
	uint8_t digest[32];
	uint64_t number;
	uint16_t port;
	size_t n = size < sizeof text - 1 ? size : sizeof text - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	if (text_read_size(text, &number))
		assert(number < UINT64_C(1) << 63);
	if (text_read_duration(text, &number))
		assert(number <= UINT64_C(10) * 366 * 86400);
	if (text_read_url(text, host, &port))
		assert(*host && strlen(host) < sizeof host && port);
	link_read_fingerprint(text, digest);
	assert(text_distance(text, text) == 0 || strlen(text) > 40);
	char *encoded = text_url_encode(text);
	assert(strlen(encoded) <= 3 * strlen(text));
	free(encoded);
}

static void event(
	void *argument, const char *id, const char *type, const char *data)
{
	(void)argument;
	assert(strlen(id) < 128 && strlen(type) < 64 && strlen(type) > 0);
	assert(strlen(data) < SSE_MAX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sse sse;
	as_answer(data, size);
	as_texts(data, size);
	memset(&sse, 0, offsetof(struct sse, line));
	sse.event = event;
	sse_feed(&sse, (const char *)data, size);
	return 0;
}
