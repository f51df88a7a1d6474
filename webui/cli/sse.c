/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/sse.h"

#include <string.h>

static void copy(char *out, size_t room, const char *text)
{
	size_t n = strlen(text);
	if (n < room)
		memcpy(out, text, n + 1);
}

static void add_data(struct sse *sse, const char *text)
{
	size_t n = strlen(text);
	if (sse->data_bytes + n + 2 > sizeof sse->data) {
		sse->too_long = true;
		return;
	}
	memcpy(sse->data + sse->data_bytes, text, n);
	sse->data_bytes += n;
	sse->data[sse->data_bytes++] = '\n';
}

static void dispatch(struct sse *sse)
{
	if (sse->too_long) {
		sse->left_out++;
	} else if (sse->data_bytes) {
		sse->data[sse->data_bytes - 1] = '\0';
		sse->event(sse->argument, sse->id,
			*sse->type ? sse->type : "message", sse->data);
	}
	sse->data_bytes = 0;
	sse->too_long = false;
	sse->type[0] = '\0';
}

static void take_line(struct sse *sse, char *line)
{
	if (!*line) {
		dispatch(sse);
		return;
	}
	char *value = strchr(line, ':');
	if (value == line) /* a comment: keeps the connection alive */
		return;
	if (value) {
		*value++ = '\0';
		value += *value == ' ';
	}
	if (!strcmp(line, "data"))
		add_data(sse, value ? value : "");
	else if (!strcmp(line, "event"))
		copy(sse->type, sizeof sse->type, value ? value : "");
	else if (!strcmp(line, "id"))
		copy(sse->id, sizeof sse->id, value ? value : "");
}

static void end_line(struct sse *sse)
{
	sse->line[sse->line_bytes] = '\0';
	sse->line_bytes = 0;
	take_line(sse, sse->line);
}

void sse_feed(struct sse *sse, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char c = bytes[i];
		bool after_cr = sse->cr;
		sse->cr = c == '\r';
		if (c == '\n' && after_cr)
			continue;
		if (c == '\n' || c == '\r')
			end_line(sse);
		else if (sse->line_bytes + 1 < sizeof sse->line)
			sse->line[sse->line_bytes++] = c;
		else
			sse->too_long = true;
	}
}
