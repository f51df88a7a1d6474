/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys and the rules of negotiation: what keys.h promises.
 */
#include "target/iscsi/keys.h"

#include "blockcore/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELD(field) .offset = offsetof(struct iscsi_params, field)
/* clang-format off */
#define ROW(key, how, where, ...) \
	{.name = key, .rule = how, .stages = where, __VA_ARGS__}
/* clang-format on */
#define CHAP(key, ...) ROW("CHAP_" key, KEYS_TEXT, KEYS_SECURITY, __VA_ARGS__)
#define SEGMENT_MAX 16777215u /* RFC 7143 13.12: 2^24 - 1 */
#define CHAP_C_BYTES (2 + 2 * 1024) /* 12.1.3: 1024 bytes, in hexadecimal */

static const char *const digests[] = {"None", "CRC32C", NULL};
/* FastAbort (4.2.3.4) is more than a word; it is not offered. */
static const char *const reporting[] = {"RFC3720", "ResponseFence", NULL};

/* clang-format off */
static const struct keys_row table[KEYS_COUNT] = {
[KEYS_SESSION_TYPE] = ROW("SessionType", KEYS_TEXT, KEYS_LOGIN,
	.repeats = true),
[KEYS_INITIATOR_NAME] = ROW("InitiatorName", KEYS_TEXT, KEYS_LOGIN,
	.repeats = true, .value_bytes = 223),
[KEYS_TARGET_NAME] = ROW("TargetName", KEYS_TEXT, KEYS_LOGIN,
	.repeats = true, .value_bytes = 223),
[KEYS_INITIATOR_ALIAS] = ROW("InitiatorAlias", KEYS_TEXT,
	KEYS_LOGIN | KEYS_FULL,
	.repeats = true),
[KEYS_TARGET_ALIAS] = ROW("TargetAlias", KEYS_OURS, 0),
[KEYS_TARGET_ADDRESS] = ROW("TargetAddress", KEYS_OURS, 0),
[KEYS_TARGET_PORTAL_GROUP_TAG] = ROW("TargetPortalGroupTag", KEYS_OURS, 0),
[KEYS_AUTH_METHOD] = ROW("AuthMethod", KEYS_TEXT, KEYS_SECURITY),
[KEYS_CHAP_A] = CHAP("A"),
[KEYS_CHAP_N] = CHAP("N"),
[KEYS_CHAP_R] = CHAP("R"),
[KEYS_CHAP_I] = CHAP("I"),
[KEYS_CHAP_C] = CHAP("C", .value_bytes = CHAP_C_BYTES),
[KEYS_HEADER_DIGEST] = ROW("HeaderDigest", KEYS_LIST, KEYS_OPERATIONAL,
	.list = digests, FIELD(header_digest)),
[KEYS_DATA_DIGEST] = ROW("DataDigest", KEYS_LIST, KEYS_OPERATIONAL,
	.list = digests, FIELD(data_digest)),
[KEYS_MAX_RECV_DATA_SEGMENT_LENGTH] = ROW("MaxRecvDataSegmentLength",
	KEYS_DECLARE, KEYS_LOGIN | KEYS_FULL, FIELD(max_send_bytes),
	.initial = 8192, .min = 512, .max = SEGMENT_MAX),
[KEYS_ERROR_RECOVERY_LEVEL] = ROW("ErrorRecoveryLevel", KEYS_MIN,
	KEYS_OPERATIONAL, FIELD(error_recovery_level),
	.initial = 0, .min = 0, .max = 2),
[KEYS_DEFAULT_TIME2WAIT] = ROW("DefaultTime2Wait", KEYS_MAX, KEYS_OPERATIONAL,
	FIELD(time2wait_s), .initial = 2, .min = 0, .max = 3600),
[KEYS_DEFAULT_TIME2RETAIN] = ROW("DefaultTime2Retain", KEYS_MIN,
	KEYS_OPERATIONAL, FIELD(time2retain_s),
	.initial = 20, .min = 0, .max = 3600),
[KEYS_MAX_CONNECTIONS] = ROW("MaxConnections", KEYS_MIN, KEYS_OPERATIONAL,
	.normal = true, FIELD(max_connections),
	.initial = 1, .min = 1, .max = 65535),
[KEYS_INITIAL_R2T] = ROW("InitialR2T", KEYS_OR, KEYS_OPERATIONAL,
	.normal = true, FIELD(initial_r2t), .initial = 1),
[KEYS_IMMEDIATE_DATA] = ROW("ImmediateData", KEYS_AND, KEYS_OPERATIONAL,
	.normal = true, FIELD(immediate_data), .initial = 1),
[KEYS_MAX_BURST_LENGTH] = ROW("MaxBurstLength", KEYS_MIN, KEYS_OPERATIONAL,
	.normal = true, FIELD(max_burst_bytes),
	.initial = 262144, .min = 512, .max = SEGMENT_MAX),
[KEYS_FIRST_BURST_LENGTH] = ROW("FirstBurstLength", KEYS_MIN, KEYS_OPERATIONAL,
	.normal = true, FIELD(first_burst_bytes),
	.initial = 65536, .min = 512, .max = SEGMENT_MAX),
[KEYS_MAX_OUTSTANDING_R2T] = ROW("MaxOutstandingR2T", KEYS_MIN,
	KEYS_OPERATIONAL, .normal = true, FIELD(max_outstanding_r2t),
	.initial = 1, .min = 1, .max = 65535),
[KEYS_DATA_PDU_IN_ORDER] = ROW("DataPDUInOrder", KEYS_OR, KEYS_OPERATIONAL,
	.normal = true, FIELD(data_pdu_in_order), .initial = 1),
[KEYS_DATA_SEQUENCE_IN_ORDER] = ROW("DataSequenceInOrder", KEYS_OR,
	KEYS_OPERATIONAL, .normal = true, FIELD(data_sequence_in_order),
	.initial = 1),
[KEYS_PROTOCOL_LEVEL] = ROW("iSCSIProtocolLevel", KEYS_MIN, KEYS_OPERATIONAL,
	.normal = true, FIELD(protocol_level),
	.initial = 1, .min = 0, .max = 31),
[KEYS_TASK_REPORTING] = ROW("TaskReporting", KEYS_LIST, KEYS_OPERATIONAL,
	.normal = true, .list = reporting, FIELD(response_fence)),
[KEYS_IF_MARKER] = ROW("IFMarker", KEYS_NO, KEYS_OPERATIONAL),
[KEYS_OF_MARKER] = ROW("OFMarker", KEYS_NO, KEYS_OPERATIONAL),
[KEYS_IF_MARK_INT] = ROW("IFMarkInt", KEYS_REJECT, KEYS_OPERATIONAL),
[KEYS_OF_MARK_INT] = ROW("OFMarkInt", KEYS_REJECT, KEYS_OPERATIONAL),
[KEYS_SEND_TARGETS] = ROW("SendTargets", KEYS_TEXT, KEYS_FULL),
};
/* clang-format on */

_Static_assert(KEYS_COUNT <= 64, "keys_state.seen has a bit for each");

const struct keys_row *keys_row(enum keys_id id)
{
	return &table[id];
}

/* -- fields of struct iscsi_params ----------------------------------------- */

static uint32_t *number_at(struct iscsi_params *params, enum keys_id id)
{
	return (uint32_t *)(void *)((char *)params + table[id].offset);
}

static bool *flag_at(struct iscsi_params *params, enum keys_id id)
{
	return (bool *)((char *)params + table[id].offset);
}

void keys_defaults(struct iscsi_params *params)
{
	memset(params, 0, sizeof *params);
	for (enum keys_id id = 0; id < KEYS_COUNT; id++) {
		switch (table[id].rule) {
		case KEYS_DECLARE:
		case KEYS_MIN:
		case KEYS_MAX:
			*number_at(params, id) = table[id].initial;
			break;
		case KEYS_AND:
		case KEYS_OR: *flag_at(params, id) = table[id].initial; break;
		default: break;
		}
	}
	params->max_receive_bytes = params->max_send_bytes;
}

/* -- collecting ------------------------------------------------------------ */

static int refuse(char reason[KEYS_REASON_BYTES], const char *key,
	const char *value, const char *what)
{
	char k[48], v[64];

	snprintf(reason, KEYS_REASON_BYTES, "%s=%s: %s",
		log_escape(k, sizeof k, key, (unsigned)strlen(key)),
		log_escape(v, sizeof v, value, (unsigned)strlen(value)), what);
	return -EPROTO;
}

static enum keys_id find_key(const char *name)
{
	enum keys_id id = 0;

	while (id < KEYS_COUNT && strcmp(table[id].name, name))
		id++;
	return id;
}

static int collect_key(struct keys_state *state, enum keys_stage stage,
	struct keys_offer *offer, enum keys_id id, char *value,
	struct keytext_out *out, char *reason)
{
	const struct keys_row *row = &table[id];
	uint64_t bit = 1ull << id;

	if (row->rule == KEYS_OURS && keytext_is_refusal(value))
		return 0; /* its answer to what we declared */
	if (!(row->stages & stage) && stage == KEYS_FULL) {
		keytext_add(out, row->name, "Reject");
		return 0;
	}
	if (!(row->stages & stage))
		return refuse(reason, row->name, value,
			row->rule == KEYS_OURS ? "only a target may send it"
					       : "not in this stage");
	if (strlen(value) > (row->value_bytes ? row->value_bytes : 255))
		return refuse(reason, row->name, value, "too long");
	if (offer->value[id] || ((state->seen & bit) && !row->repeats))
		return refuse(reason, row->name, value,
			"sent twice in one negotiation");
	state->seen |= bit;
	offer->value[id] = value;
	return 0;
}

int keys_collect(struct keys_state *state, enum keys_stage stage,
	struct keytext *text, struct keys_offer *offer, struct keytext_out *out,
	char reason[KEYS_REASON_BYTES])
{
	char *key, *value;
	const char *why;
	enum keytext_step step;

	memset(offer, 0, sizeof *offer);
	while ((step = keytext_next(text, &key, &value, &why)) ==
		KEYTEXT_PAIR) {
		enum keys_id id = find_key(key);
		int rc = 0;

		if (id < KEYS_COUNT)
			rc = collect_key(
				state, stage, offer, id, value, out, reason);
		else if (!keytext_is_refusal(value))
			keytext_add(out, key, "NotUnderstood");
		if (rc)
			return rc;
	}
	if (step == KEYTEXT_END)
		return 0;
	snprintf(reason, KEYS_REASON_BYTES, "the text has %s", why);
	return -EPROTO;
}

/* -- answering ------------------------------------------------------------- */

struct negotiation {
	struct keys_state *state;
	enum keys_id id;
	const struct keys_row *row;
	const char *value; /* the host's offer */
	struct keytext_out *out;
	char *reason;
};

static int answer_reject(struct negotiation *n)
{
	keytext_add(n->out, n->row->name, "Reject");
	return 0;
}

static int answer_no(struct negotiation *n)
{
	keytext_add(n->out, n->row->name, "No");
	return 0;
}

static bool read_number(const struct negotiation *n, uint32_t *number)
{
	uint64_t value;

	if (!keytext_number(n->value, &value) || value < n->row->min ||
		value > n->row->max)
		return false;
	*number = (uint32_t)value;
	return true;
}

static int answer_declare(struct negotiation *n)
{
	uint32_t number;

	if (!read_number(n, &number))
		return refuse(n->reason, n->row->name, n->value,
			"outside the range of this key");
	*number_at(&n->state->agreed, n->id) = number;
	return 0;
}

static int agree_number(struct negotiation *n, uint32_t number)
{
	*number_at(&n->state->agreed, n->id) = number;
	keytext_add_number(n->out, n->row->name, number);
	return 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int answer_min(struct negotiation *n)
{
	uint32_t limit = *number_at(&n->state->ours, n->id), number;

	if (!read_number(n, &number))
		return answer_reject(n);
	if (n->id == KEYS_FIRST_BURST_LENGTH) /* 13.14: not above the other */
		limit = smaller(limit, n->state->agreed.max_burst_bytes);
	return agree_number(n, smaller(number, limit));
}

static int answer_max(struct negotiation *n)
{
	uint32_t limit = *number_at(&n->state->ours, n->id), number;

	if (!read_number(n, &number))
		return answer_reject(n);
	return agree_number(n, number > limit ? number : limit);
}

static int answer_boolean(struct negotiation *n)
{
	bool ours = *flag_at(&n->state->ours, n->id);
	bool yes = !strcmp(n->value, "Yes"), agreed;

	if (!yes && strcmp(n->value, "No"))
		return answer_reject(n);
	agreed = n->row->rule == KEYS_AND ? yes && ours : yes || ours;
	*flag_at(&n->state->agreed, n->id) = agreed;
	keytext_add(n->out, n->row->name, agreed ? "Yes" : "No");
	return 0;
}

static int answer_list(struct negotiation *n)
{
	const char *at = n->value;
	char item[32];

	while (keytext_list_next(&at, item, sizeof item))
		for (unsigned i = 0; n->row->list[i]; i++)
			if (!strcmp(item, n->row->list[i])) {
				*flag_at(&n->state->agreed, n->id) = i > 0;
				keytext_add(n->out, n->row->name, item);
				return 0;
			}
	return answer_reject(n);
}

/* RFC 7143 13: what other choices have made meaningless. */
static bool is_irrelevant(const struct negotiation *n)
{
	const struct iscsi_params *agreed = &n->state->agreed;

	if (n->row->normal && n->state->discovery)
		return true;
	return n->id == KEYS_FIRST_BURST_LENGTH && agreed->initial_r2t &&
		!agreed->immediate_data;
}

static int (*const answer_by_rule[KEYS_RULES])(struct negotiation *n) = {
	[KEYS_DECLARE] = answer_declare,
	[KEYS_MIN] = answer_min,
	[KEYS_MAX] = answer_max,
	[KEYS_AND] = answer_boolean,
	[KEYS_OR] = answer_boolean,
	[KEYS_LIST] = answer_list,
	[KEYS_NO] = answer_no,
	[KEYS_REJECT] = answer_reject,
};

int keys_answer(struct keys_state *state, const struct keys_offer *offer,
	struct keytext_out *out, char reason[KEYS_REASON_BYTES])
{
	for (enum keys_id id = 0; id < KEYS_COUNT; id++) {
		struct negotiation n = {
			state, id, &table[id], offer->value[id], out, reason};
		int rc = 0;

		if (!n.value || !answer_by_rule[n.row->rule])
			continue;
		if (is_irrelevant(&n))
			keytext_add(out, n.row->name, "Irrelevant");
		else
			rc = answer_by_rule[n.row->rule](&n);
		if (rc)
			return rc;
	}
	return 0;
}
