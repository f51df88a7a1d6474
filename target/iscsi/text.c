/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text negotiation in full feature phase (RFC 7143 6.4, 11.10, 11.11).
 *
 *	the host's text, over PDUs with C  ->  answers to keys, kept in `answers`
 *	                                   ->  a list of targets, made on the way
 *	both leave in pieces of at most what the host can receive; between pieces
 *	the host asks on with the Target Transfer Tag
 *
 * Invariants
 *  1. One negotiation at a time. A request without a tag begins a new one and
 *     forgets the old (11.10.4); one with another tag than ours is rejected.
 *  2. A rejected negotiation has changed nothing: what was declared counts from
 *     the final answer on.
 */
#include "target/iscsi/keys.h"
#include "target/iscsi/login.h"
#include "target/iscsi/pdu.h"
#include "target/iscsi/send_targets.h"

#include <errno.h>
#include <stdlib.h>

struct iscsi_text {
	const struct iscsi_login_world *world;
	const struct iscsi_login_result *session;
	uint32_t tag; /* of the negotiation under way; 0: none */
	uint32_t last_tag;
	bool final; /* the request that is being answered has F */
	struct keys_state keys;
	struct send_targets list;
	uint32_t answer_bytes, answer_sent;
	uint8_t answers[ISCSI_LOGIN_ANSWER_BYTES];
	uint32_t text_bytes;
	char text[ISCSI_TEXT_BYTES];
};

struct iscsi_text *iscsi_text_new(const struct iscsi_login_world *world,
	const struct iscsi_login_result *session)
{
	struct iscsi_text *text = calloc(1, sizeof *text);

	if (!text)
		return NULL;
	text->world = world;
	text->session = session;
	return text;
}

static void reset(struct iscsi_text *text)
{
	send_targets_end(&text->list);
	text->tag = 0;
	text->keys.seen = 0;
	text->text_bytes = text->answer_bytes = text->answer_sent = 0;
}

void iscsi_text_free(struct iscsi_text *text)
{
	if (text)
		reset(text);
	free(text);
}

/* -- requests -------------------------------------------------------------- */

static bool has_more_to_say(const struct iscsi_text *text)
{
	return text->list.table || text->answer_sent < text->answer_bytes;
}

static void begin(struct iscsi_text *text, const struct iscsi_params *params)
{
	reset(text);
	if (++text->last_tag >= PDU_NO_TAG)
		text->last_tag = 1;
	text->tag = text->last_tag;
	text->keys.agreed = *params;
}

/* Begins or goes on. 0 or the reason of a Reject. */
static uint8_t take_header(struct iscsi_text *text, const uint8_t *header,
	uint32_t bytes, const struct iscsi_params *params)
{
	uint32_t tag = pdu_get_transfer_tag(header);

	if (pdu_is_final(header) && (pdu_get_flags(header) & PDU_CONTINUE))
		return PDU_REJECT_PROTOCOL; /* 11.10.2 */
	if (tag == PDU_NO_TAG)
		begin(text, params);
	else if (text->tag == 0 || tag != text->tag)
		return PDU_REJECT_FIELD;
	if (bytes > ISCSI_TEXT_BYTES - text->text_bytes)
		return PDU_REJECT_PROTOCOL;
	if (has_more_to_say(text) && bytes > 0)
		return PDU_REJECT_PROTOCOL; /* 11.11.2: ask on, say nothing */
	return 0;
}

static uint8_t take_text(struct iscsi_text *text)
{
	struct keytext_out out = {
		text->answers, 0, sizeof text->answers, false};
	struct keytext at = {text->text, text->text + text->text_bytes};
	char reason[KEYS_REASON_BYTES];
	struct keys_offer offer;
	const char *targets;
	int begun;

	text->text_bytes = text->answer_sent = 0;
	if (keys_collect(&text->keys, KEYS_FULL, &at, &offer, &out, reason) ||
		keys_answer(&text->keys, &offer, &out, reason))
		return PDU_REJECT_PROTOCOL;
	targets = offer.value[KEYS_SEND_TARGETS];
	begun = targets ? send_targets_begin(&text->list, text->world,
				  text->session, targets)
			: 0;
	if (begun == -ENOMEM)
		return PDU_REJECT_RESOURCES;
	if (begun)
		keytext_add(&out, "SendTargets", "Reject");
	text->answer_bytes = out.bytes;
	return out.overflow ? PDU_REJECT_RESOURCES : 0;
}

/* -- answers --------------------------------------------------------------- */

/* Whole pairs of the answers to keys, as many as fit. */
static void send_answers(struct iscsi_text *text, struct keytext_out *out)
{
	while (text->answer_sent < text->answer_bytes) {
		const uint8_t *pair = text->answers + text->answer_sent;
		uint32_t bytes = (uint32_t)strlen((const char *)pair) + 1;

		if (bytes > out->limit - out->bytes)
			return;
		memcpy(out->text + out->bytes, pair, bytes);
		out->bytes += bytes;
		text->answer_sent += bytes;
	}
}

static void finish(struct iscsi_text *text, struct iscsi_params *params,
	struct iscsi_text_answer *answer)
{
	answer->final = true;
	answer->transfer_tag = PDU_NO_TAG;
	answer->params_changed =
		text->keys.seen & 1ull << KEYS_MAX_RECV_DATA_SEGMENT_LENGTH;
	if (answer->params_changed)
		params->max_send_bytes = text->keys.agreed.max_send_bytes;
	reset(text);
}

void iscsi_text_resume(struct iscsi_text *text, uint32_t limit,
	struct iscsi_params *params, struct iscsi_text_answer *answer)
{
	struct keytext_out out = {
		answer->text, answer->text_bytes, sizeof answer->text, false};

	if (limit < out.limit)
		out.limit = limit;
	send_answers(text, &out);
	answer->unfinished = text->list.table &&
		text->answer_sent == text->answer_bytes &&
		send_targets_fill(&text->list, &out) == SEND_TARGETS_LATER;
	answer->text_bytes = out.bytes;
	if (answer->unfinished)
		return;
	answer->continued = has_more_to_say(text);
	if (!answer->continued && text->final)
		finish(text, params, answer);
}

/* What an accepted request holds. 0 or the reason of a Reject. */
static uint8_t take_data(struct iscsi_text *text, const uint8_t *header,
	const uint8_t *data, uint32_t bytes)
{
	bool asks_on = has_more_to_say(text);

	if (bytes)
		memcpy(text->text + text->text_bytes, data, bytes);
	text->text_bytes += bytes;
	/* with the C bit the rest of the text comes first */
	if (asks_on || (pdu_get_flags(header) & PDU_CONTINUE))
		return 0;
	return take_text(text);
}

void iscsi_text_step(struct iscsi_text *text, const uint8_t header[48],
	const uint8_t *data, uint32_t bytes, uint32_t limit,
	struct iscsi_params *params, struct iscsi_text_answer *answer)
{
	memset(answer, 0, offsetof(struct iscsi_text_answer, text));
	answer->reject = take_header(text, header, bytes, params);
	if (!answer->reject)
		answer->reject = take_data(text, header, data, bytes);
	answer->transfer_tag = text->tag;
	text->final = pdu_is_final(header);
	if (answer->reject)
		reset(text);
	else if (!(pdu_get_flags(header) & PDU_CONTINUE))
		iscsi_text_resume(text, limit, params, answer);
}
