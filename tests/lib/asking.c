/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text Requests to the text machine: see asking.h.
 */
#include "tests/lib/asking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct tables_host asking_hosts[] = {
	{.name = "web1", .iqns = TALK_HOST, .networks = "192.0.2.0/24"},
	{.name = "locked",
		.iqns = "iqn.1994-05.com.redhat:locked",
		.user = "locked",
		.secret = "a secret of sixteen"},
	{.name = "any", .iqns = "*"},
	{.name = "any-locked", .iqns = "*", .user = "any", .secret = "s"},
	{.name = NULL},
};
const struct tables_portal asking_portals[] = {
	{.name = "main", .address = "0.0.0.0", .port = 3260, .group = 1},
	{.name = "six", .address = "2001:db8::7", .port = 3260, .group = 1},
	{.name = "nat",
		.address = "10.0.0.1",
		.port = 3260,
		.group = 2,
		.advertised = "san.example:860"},
	{.name = "second", .address = "0.0.0.0", .port = 3261, .group = 3},
	{.name = "second6", .address = "::", .port = 3262, .group = 3},
	{.name = NULL},
};
const struct tables_target asking_targets[] = {
	{.iqn = ASKING_A, .hosts = "web1 locked"},
	{.iqn = ASKING_B, .hosts = "web1", .portals = "main nat"},
	{.iqn = "iqn.2026-11.example.cairn:locked", .hosts = "locked"},
	{.iqn = "iqn.2026-11.example.cairn:public",
		.hosts = "any",
		.portals = "main"},
	{.iqn = "iqn.2026-11.example.cairn:members", .hosts = "any-locked"},
	{.iqn = "iqn.2026-11.example.cairn:nobody", .hosts = ""},
	{.iqn = NULL},
};

void asking_begin(struct asking *q, struct access_table *table)
{
	memset(q, 0, sizeof *q);
	talk_begin(&q->talk, table);
	q->limit = 8192;
	q->header[0] = 0x44;
	pdu_put_transfer_tag(q->header, PDU_NO_TAG);
}

void asking_log_in(struct asking *q, const char *text)
{
	talk_again(&q->talk);
	assert_int_equal(
		talk_say(&q->talk, TALK_TO_FULL, text), ISCSI_LOGIN_READY);
	q->params = q->talk.result.params;
	iscsi_text_free(q->text);
	q->text = iscsi_text_new(&q->talk.world, &q->talk.result);
}

void asking_end(struct asking *q)
{
	iscsi_text_free(q->text);
	talk_end(&q->talk);
}

int asking_setup(void **state)
{
	struct asking *q = calloc(1, sizeof *q);

	asking_begin(
		q, tables_build(asking_hosts, asking_portals, asking_targets));
	*state = q;
	return 0;
}

int asking_teardown(void **state)
{
	struct asking *q = *state;

	asking_end(q);
	free(q);
	return 0;
}

static void collect(struct asking *q)
{
	size_t at = strlen(q->said);

	assert_true(at + q->answer.text_bytes < sizeof q->said);
	for (uint32_t i = 0; i < q->answer.text_bytes; i++)
		q->said[at + i] =
			q->answer.text[i] ? (char)q->answer.text[i] : '\n';
	q->said[at + q->answer.text_bytes] = 0;
}

/* One request; `flags` F and C. The answer is added to `said`. */
void asking_step(struct asking *q, uint8_t flags, const char *text)
{
	uint32_t bytes = (uint32_t)strlen(text);
	uint8_t *data = bytes ? malloc(bytes) : NULL;

	for (uint32_t i = 0; i < bytes; i++)
		data[i] = text[i] == '\n' ? 0 : (uint8_t)text[i];
	q->header[1] = flags;
	iscsi_text_step(q->text, q->header, data, bytes, q->limit, &q->params,
		&q->answer);
	free(data);
	for (q->turns = 1; q->answer.unfinished; q->turns++)
		iscsi_text_resume(q->text, q->limit, &q->params, &q->answer);
	assert_true(q->answer.reject || q->answer.text_bytes <= q->limit);
	assert_true(q->answer.final == (q->answer.transfer_tag == PDU_NO_TAG) ||
		q->answer.reject);
	assert_false(q->answer.final && q->answer.continued);
	if (!q->answer.reject)
		collect(q);
	pdu_put_transfer_tag(q->header,
		q->answer.final || q->answer.reject ? PDU_NO_TAG
						    : q->answer.transfer_tag);
}

/* Asks, and asks on until the answer is final. Returns the number of pieces. */
unsigned asking_ask(struct asking *q, const char *text)
{
	unsigned pieces = 1;

	q->said[0] = 0;
	asking_step(q, PDU_FINAL, text);
	while (!q->answer.final) {
		assert_int_equal(q->answer.reject, 0);
		assert_true(q->answer.text_bytes > 0 && pieces++ < 1000);
		asking_step(q, PDU_FINAL, "");
	}
	return pieces;
}

void asking_discover(struct asking *q)
{
	asking_log_in(
		q, "InitiatorName=" TALK_HOST "\nSessionType=Discovery\n");
}

void asking_expect_rejected(struct asking *q, uint8_t reason)
{
	assert_int_equal(q->answer.reject, reason);
}
