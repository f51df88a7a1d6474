/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations with the login machine: see talk.h.
 */
#include "tests/lib/talk.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t isid[6] = {0x00, 0x02, 0x3d, 0x00, 0x00, 0x01};

void talk_again(struct talk *talk)
{
	iscsi_login_free(talk->login);
	talk->login = iscsi_login_new(&talk->world);
	memset(talk->header, 0, sizeof talk->header);
	talk->header[0] = 0x43; /* Login Request, immediate */
	memcpy(talk->header + 8, isid, sizeof isid);
}

void talk_begin(struct talk *talk, struct access_table *table)
{
	struct sockaddr_in *in = (void *)&talk->peer;

	memset(talk, 0, sizeof *talk);
	talk->settings = (struct iscsi_settings){.max_burst_bytes = 1 << 20,
		.first_burst_bytes = 256 << 10,
		.max_receive_bytes = 256 << 10,
		.max_r2t = 16,
		.immediate_data = true};
	talk->table = table;
	in->sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.9", &in->sin_addr);
	talk->world = (struct iscsi_login_world){.settings = &talk->settings,
		.table = table,
		.portal = table->portal[0],
		.peer = (struct sockaddr *)&talk->peer,
		.peer_text = "192.0.2.9:50000",
		.portal_text = "192.0.2.1:3260"};
	talk_again(talk);
}

void talk_end(struct talk *talk)
{
	iscsi_login_free(talk->login);
	access_put(talk->table);
}

enum iscsi_verdict talk_say_bytes(
	struct talk *talk, uint8_t flags, const void *text, uint32_t bytes)
{
	/* exactly as long as it is, so that reading beyond it is seen */
	uint8_t *data = bytes ? malloc(bytes) : NULL;

	if (bytes)
		memcpy(data, text, bytes);
	talk->header[1] = flags;
	talk->verdict = iscsi_login_step(
		talk->login, talk->header, data, bytes, &talk->answer);
	free(data);
	if (talk->verdict == ISCSI_LOGIN_READY)
		iscsi_login_result(talk->login, &talk->result);
	return talk->verdict;
}

enum iscsi_verdict talk_say(struct talk *talk, uint8_t flags, const char *text)
{
	size_t bytes = strlen(text);
	char *copy = strdup(text);
	enum iscsi_verdict verdict;

	for (size_t i = 0; i < bytes; i++)
		if (copy[i] == '\n')
			copy[i] = 0;
	verdict = talk_say_bytes(talk, flags, copy, (uint32_t)bytes);
	free(copy);
	return verdict;
}

static const struct tables_host hosts[] = {
	{.name = "web1", .iqns = TALK_HOST, .networks = "192.0.2.0/24"},
	{.name = "locked",
		.iqns = "iqn.1994-05.com.redhat:locked",
		.user = "locked",
		.secret = "a secret of sixteen"},
	{.name = "other", .iqns = "iqn.1994-05.com.redhat:other"},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "0.0.0.0", .port = 3260, .group = 7},
	{.name = "back", .address = "198.51.100.1", .port = 3260, .group = 8},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = TALK_TARGET, .alias = "the database", .hosts = "web1 locked"},
	{.iqn = "iqn.2026-11.example.cairn:back",
		.hosts = "web1",
		.portals = "back"},
	{.iqn = "iqn.2026-11.example.cairn:others", .hosts = "other"},
	{.iqn = NULL},
};

int talk_setup(void **state)
{
	struct talk *talk = calloc(1, sizeof *talk);

	talk_begin(talk, tables_build(hosts, portals, targets));
	*state = talk;
	return 0;
}

int talk_teardown(void **state)
{
	talk_end(*state);
	free(*state);
	return 0;
}

const char *talk_value(const struct talk *talk, const char *key)
{
	const char *at = (const char *)talk->answer.text;
	const char *end = at + talk->answer.text_bytes;
	size_t length = strlen(key);

	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	return NULL;
}

unsigned talk_status(const struct talk *talk)
{
	return (unsigned)talk->answer.status_class << 8 |
		talk->answer.status_detail;
}

unsigned talk_pairs(const struct talk *talk)
{
	unsigned pairs = 0;

	for (uint32_t i = 0; i < talk->answer.text_bytes; i++)
		pairs += talk->answer.text[i] == 0;
	return pairs;
}

void talk_expect_(const struct talk *talk, const char *key, const char *value,
	const char *file, int line)
{
	const char *found = talk_value(talk, key);

	if ((!found && !value) || (found && value && !strcmp(found, value)))
		return;
	print_error("%s is %s, expected %s (verdict %d, %s)\n", key,
		found ? found : "absent", value ? value : "absent",
		(int)talk->verdict, talk->answer.reason);
	_fail(file, line);
}

void talk_expect_failure_(const struct talk *talk, unsigned status,
	const char *reason, const char *file, int line)
{
	if (talk->verdict == ISCSI_LOGIN_FAILED &&
		talk_status(talk) == status && talk->answer.text_bytes == 0 &&
		strstr(talk->answer.reason, reason))
		return;
	print_error("verdict %d, status %04x, \"%s\"; expected %04x, \"%s\"\n",
		(int)talk->verdict, talk_status(talk), talk->answer.reason,
		status, reason);
	_fail(file, line);
}

void talk_expect_refusals(
	struct talk *talk, const struct talk_refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		talk_again(talk);
		talk_say(talk, TALK_TO_OPERATIONAL, cases[i].text);
		talk_expect_failure(talk, cases[i].status, cases[i].reason);
	}
}

size_t talk_unhex(const char *value, uint8_t *out, size_t size)
{
	size_t bytes = (strlen(value) - 2) / 2;

	assert_memory_equal(value, "0x", 2);
	assert_true(bytes <= size);
	for (size_t i = 0; i < bytes; i++) {
		unsigned byte;

		assert_int_equal(sscanf(value + 2 + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return bytes;
}
