/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of login and text negotiation (RFC 7143 12 and 13, RFC 7144): one
 * table row each, and the rules by which an offer and our limits become what is
 * agreed on.
 *
 * Use, for each complete text of a negotiation
 *	keys_collect   splits the text, refuses what may not stand there, answers
 *	               what is not understood, leaves the rest in `offer`
 *	keys_answer    answers the negotiable ones, in the order of the table, so
 *	               that what depends on another key comes after it
 * Keys whose meaning is more than a value (names, AuthMethod, SendTargets) are
 * left to login and text.
 *
 * Invariants
 *  1. A key is negotiated once in a negotiation; a second time is a protocol
 *     error (6.3). A declaration that says the same again is let through:
 *     libiscsi repeats names and SessionType in the operational stage.
 *  2. What is agreed on is always inside the key's range and our limits; an
 *     offer outside its range is answered with Reject and changes nothing.
 */
#ifndef TARGET_ISCSI_KEYS_H
#define TARGET_ISCSI_KEYS_H

#include "target/iscsi/keytext.h"
#include "target/iscsi/params.h"

enum keys_id { /* in the order in which they are worked on */
	KEYS_SESSION_TYPE,
	KEYS_INITIATOR_NAME,
	KEYS_TARGET_NAME,
	KEYS_INITIATOR_ALIAS,
	KEYS_TARGET_ALIAS,
	KEYS_TARGET_ADDRESS,
	KEYS_TARGET_PORTAL_GROUP_TAG,
	KEYS_AUTH_METHOD,
	KEYS_CHAP_A,
	KEYS_CHAP_N,
	KEYS_CHAP_R,
	KEYS_CHAP_I,
	KEYS_CHAP_C,
	KEYS_HEADER_DIGEST,
	KEYS_DATA_DIGEST,
	KEYS_MAX_RECV_DATA_SEGMENT_LENGTH,
	KEYS_ERROR_RECOVERY_LEVEL,
	KEYS_DEFAULT_TIME2WAIT,
	KEYS_DEFAULT_TIME2RETAIN,
	KEYS_MAX_CONNECTIONS,
	KEYS_INITIAL_R2T,
	KEYS_IMMEDIATE_DATA,
	KEYS_MAX_BURST_LENGTH,
	KEYS_FIRST_BURST_LENGTH,
	KEYS_MAX_OUTSTANDING_R2T,
	KEYS_DATA_PDU_IN_ORDER,
	KEYS_DATA_SEQUENCE_IN_ORDER,
	KEYS_PROTOCOL_LEVEL,
	KEYS_TASK_REPORTING,
	KEYS_IF_MARKER,
	KEYS_OF_MARKER,
	KEYS_IF_MARK_INT,
	KEYS_OF_MARK_INT,
	KEYS_SEND_TARGETS,
	KEYS_COUNT
};

enum keys_stage {
	KEYS_SECURITY = 1,
	KEYS_OPERATIONAL = 2,
	KEYS_LOGIN = KEYS_SECURITY | KEYS_OPERATIONAL,
	KEYS_FULL = 4, /* Text Requests in full feature phase */
};

enum keys_rule { /* who decides what, RFC 7143 6.2 */
	KEYS_TEXT, /* declared text, or worked on elsewhere */
	KEYS_OURS, /* only targets send it */
	KEYS_DECLARE, /* number that the host declares */
	KEYS_MIN, /* the smaller number */
	KEYS_MAX, /* the larger number */
	KEYS_AND, /* Yes if both say so */
	KEYS_OR, /* Yes if one says so */
	KEYS_LIST, /* the first of the host's list that we know */
	KEYS_NO, /* obsolete (13.25), answered No */
	KEYS_REJECT, /* obsolete (13.25), answered Reject */
	KEYS_RULES
};

struct keys_row {
	const char *name;
	uint8_t rule; /* enum keys_rule */
	uint8_t stages; /* where hosts may send it: enum keys_stage */
	bool normal; /* irrelevant in a discovery session */
	bool repeats; /* the same declaration again is let through */
	uint16_t value_bytes; /* longest value; 0: 255 (6.1) */
	uint16_t offset; /* in struct iscsi_params: uint32_t or bool */
	uint32_t initial, min, max; /* default and range; booleans 0, 1 */
	const char *const *list; /* values for false and true */
};
const struct keys_row *keys_row(enum keys_id id);

#define KEYS_REASON_BYTES 160u

struct keys_state {
	uint64_t seen; /* bit per enum keys_id */
	bool discovery;
	struct iscsi_params agreed; /* so far; starts with the defaults */
	struct iscsi_params ours; /* our limits and wishes */
};

/* The values of one text, NULL for keys that it does not have. */
struct keys_offer {
	char *value[KEYS_COUNT];
};

/* The defaults of RFC 7143 13, for both directions. */
void keys_defaults(struct iscsi_params *params);

/* Splits `text`, which is changed and must live as long as `offer`. 0, or
 * -EPROTO with a reason in which the peer's bytes are escaped. In full feature
 * phase a key that has no place there is answered Reject, in login it is an
 * error. */
int keys_collect(struct keys_state *state, enum keys_stage stage,
	struct keytext *text, struct keys_offer *offer, struct keytext_out *out,
	char reason[KEYS_REASON_BYTES]);

/* Answers all negotiable keys of `offer` and moves `state->agreed`. 0, or
 * -EPROTO with a reason: a declaration outside its range. */
int keys_answer(struct keys_state *state, const struct keys_offer *offer,
	struct keytext_out *out, char reason[KEYS_REASON_BYTES]);

#endif
