/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: requests in, stages and moves (RFC 7143 6.3, 11.12, 11.13).
 *
 * A request goes through
 *	check_header   version, stage and flags, the same ISID, TSIH, CID
 *	gather         texts that are spread over PDUs with the C bit
 *	take_text      keys: who, security, operational
 *	move           the answer's stage
 *
 * Invariants
 *  1. A move that is not in the table of moves fails the login.
 *  2. The operational stage is entered with the host proven, on every way.
 */
#include "target/iscsi/login_state.h"

#include "target/iscsi/pdu.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_REQUESTS 64u /* in one login; real hosts need at most six */

#define FLAG_TRANSIT 0x80 /* RFC 7143 11.12.1 */
#define VERSION_MIN 3 /* byte of the header: 11.12.4 */

/* RFC 7143 11.12.1 to 11.12.3 and 6.3: every other combination is an error. */
struct login_move {
	uint8_t stage, next;
	bool transit, continued;
};
#define ANY 0xff
static const struct login_move moves[] = {
	/* CSG, NSG, T, C */
	{LOGIN_SECURITY, ANY, false, false},
	{LOGIN_SECURITY, ANY, false, true},
	{LOGIN_SECURITY, LOGIN_OPERATIONAL, true, false},
	{LOGIN_SECURITY, LOGIN_FULL, true, false},
	{LOGIN_OPERATIONAL, ANY, false, false},
	{LOGIN_OPERATIONAL, ANY, false, true},
	{LOGIN_OPERATIONAL, LOGIN_FULL, true, false},
};

static uint8_t current_stage(const uint8_t *header)
{
	return pdu_get_flags(header) >> 2 & 3;
}

static const struct login_move *find_move(const uint8_t *header)
{
	uint8_t flags = pdu_get_flags(header);
	uint8_t stage = current_stage(header), next = flags & 3;
	bool transit = flags & FLAG_TRANSIT, continued = flags & PDU_CONTINUE;

	for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
		const struct login_move *m = &moves[i];

		if (m->stage == stage && m->transit == transit &&
			m->continued == continued &&
			(m->next == ANY || m->next == next))
			return m;
	}
	return NULL;
}

/* -- life ------------------------------------------------------------------ */

static uint32_t clamp(uint32_t value, enum keys_id id)
{
	const struct keys_row *row = keys_row(id);

	return value < row->min	   ? row->min
		: value > row->max ? row->max
				   : value;
}

/* Our side of every negotiation. ErrorRecoveryLevel 0, one connection. */
static void set_ours(
	struct iscsi_params *ours, const struct iscsi_settings *settings)
{
	keys_defaults(ours);
	ours->header_digest = ours->data_digest = true;
	ours->initial_r2t = settings->initial_r2t;
	ours->immediate_data = settings->immediate_data;
	ours->max_receive_bytes = clamp(
		settings->max_receive_bytes, KEYS_MAX_RECV_DATA_SEGMENT_LENGTH);
	ours->max_burst_bytes =
		clamp(settings->max_burst_bytes, KEYS_MAX_BURST_LENGTH);
	ours->first_burst_bytes =
		clamp(settings->first_burst_bytes, KEYS_FIRST_BURST_LENGTH);
	ours->max_outstanding_r2t =
		clamp(settings->max_r2t, KEYS_MAX_OUTSTANDING_R2T);
	ours->time2wait_s = 0; /* a host may come back at once, */
	ours->time2retain_s = 0; /* and finds no task of its old session */
	/* RFC 7144's level 2 promises QUERY TASK and others that we lack. */
	ours->protocol_level = 1;
}

struct iscsi_login *iscsi_login_new(const struct iscsi_login_world *world)
{
	struct iscsi_login *login = calloc(1, sizeof *login);

	if (!login)
		return NULL;
	login->world = world;
	keys_defaults(&login->keys.agreed);
	set_ours(&login->keys.ours, world->settings);
	return login;
}

void iscsi_login_free(struct iscsi_login *login)
{
	if (login)
		explicit_bzero(login, sizeof *login);
	free(login);
}

/* -- header ---------------------------------------------------------------- */

/* What all requests of one login share: 11.12.5 to 11.12.7. */
static bool is_same_login(struct iscsi_login *login, const uint8_t *header)
{
	uint16_t tsih = pdu_get_tsih(header), cid = pdu_get_cid(header);

	if (!login->started) {
		memcpy(login->isid, pdu_isid(header), sizeof login->isid);
		login->tsih = tsih;
		login->cid = cid;
		login->stage = current_stage(header);
		login->started = true;
		return true;
	}
	return tsih == login->tsih && cid == login->cid &&
		!memcmp(login->isid, pdu_isid(header), sizeof login->isid);
}

static enum iscsi_verdict check_header(struct iscsi_login *login,
	const uint8_t *header, struct iscsi_login_answer *answer)
{
	uint8_t stage = current_stage(header);

	if (pdu_opcode(header) != PDU_LOGIN_REQUEST)
		return login->started
			? login_fail(answer, ISCSI_LOGIN_INVALID_DURING,
				  "PDU with opcode 0x%02x during login",
				  pdu_opcode(header))
			: ISCSI_LOGIN_DROP;
	if (header[VERSION_MIN] > 0)
		return login_fail(answer, ISCSI_LOGIN_VERSION,
			"version %u at least is asked for, we speak 0",
			header[VERSION_MIN]);
	if (!pdu_is_immediate(header) || pdu_get_ahs_words(header))
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"a Login Request must be immediate and have no AHS");
	if (!find_move(header))
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"flags 0x%02x are no move of a login",
			pdu_get_flags(header));
	if (!is_same_login(login, header))
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"ISID, TSIH or CID changed during login");
	if (stage != login->stage)
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"request for stage %u in stage %u", stage,
			(unsigned)login->stage);
	if (++login->requests > MAX_REQUESTS)
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"more than %u requests in one login", MAX_REQUESTS);
	return ISCSI_LOGIN_CONTINUE;
}

/* -- text ------------------------------------------------------------------ */

static enum iscsi_verdict gather(struct iscsi_login *login, const uint8_t *data,
	uint32_t bytes, struct iscsi_login_answer *answer)
{
	if (bytes > ISCSI_TEXT_BYTES - login->text_bytes)
		return login_fail(answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"more than %u bytes of text in one step",
			ISCSI_TEXT_BYTES);
	if (bytes)
		memcpy(login->text + login->text_bytes, data, bytes);
	login->text_bytes += bytes;
	return ISCSI_LOGIN_CONTINUE;
}

/* What we say unasked: each once, and nothing of a target's before the host is
 * proven but the tag, which 13.9 wants in the first answer. */
static void declare(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;

	if (login->target && !login->told_group) {
		keytext_add_number(&turn->out, "TargetPortalGroupTag",
			login->world->portal->group);
		login->told_group = true;
	}
	if (login->target && login->target->alias && !login->told_alias &&
		login_is_proven(login)) {
		keytext_add(&turn->out, "TargetAlias", login->target->alias);
		login->told_alias = true;
	}
	if (login->stage == LOGIN_OPERATIONAL && !login->told_receive) {
		login->keys.agreed.max_receive_bytes =
			login->keys.ours.max_receive_bytes;
		keytext_add_number(&turn->out, "MaxRecvDataSegmentLength",
			login->keys.ours.max_receive_bytes);
		login->told_receive = true;
	}
}

static enum iscsi_verdict take_stage(struct login_turn *turn, bool wants_on)
{
	struct iscsi_login *login = turn->login;

	if (login->stage == LOGIN_SECURITY)
		return login_prove(turn, wants_on);
	if (!login_is_proven(login))
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_METHOD,
			"host %s must log in with CHAP, the initiator skips "
			"the security stage",
			login->host->name);
	return ISCSI_LOGIN_CONTINUE;
}

static enum iscsi_verdict take_text(struct login_turn *turn, bool wants_on)
{
	struct iscsi_login *login = turn->login;
	struct keytext text = {login->text, login->text + login->text_bytes};
	enum keys_stage stage = login->stage == LOGIN_SECURITY
		? KEYS_SECURITY
		: KEYS_OPERATIONAL;
	char reason[KEYS_REASON_BYTES];
	enum iscsi_verdict verdict;

	login->text_bytes = 0;
	if (keys_collect(&login->keys, stage, &text, &turn->offer, &turn->out,
		    reason))
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"%s", reason);
	verdict = login_identify(turn);
	if (verdict == ISCSI_LOGIN_CONTINUE)
		verdict = take_stage(turn, wants_on);
	if (verdict != ISCSI_LOGIN_CONTINUE)
		return verdict;
	if (keys_answer(&login->keys, &turn->offer, &turn->out, reason))
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"%s", reason);
	declare(turn);
	if (turn->out.overflow)
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"the answers to so many keys do not fit a response");
	return ISCSI_LOGIN_CONTINUE;
}

/* -- moves ----------------------------------------------------------------- */

/* The host wants to go on; we do unless it has still to prove itself. */
static enum iscsi_verdict move(
	struct login_turn *turn, const struct login_move *m)
{
	struct iscsi_login *login = turn->login;

	if (!m->transit || !login_is_proven(login))
		return ISCSI_LOGIN_CONTINUE;
	turn->answer->flags = (uint8_t)(FLAG_TRANSIT | m->stage << 2 | m->next);
	login->stage = m->next;
	return m->next == LOGIN_FULL ? ISCSI_LOGIN_READY : ISCSI_LOGIN_CONTINUE;
}

enum iscsi_verdict iscsi_login_step(struct iscsi_login *login,
	const uint8_t header[48], const uint8_t *data, uint32_t bytes,
	struct iscsi_login_answer *answer)
{
	struct login_turn turn = {.login = login,
		.answer = answer,
		.out = {answer->text, 0, sizeof answer->text, false}};
	enum iscsi_verdict verdict;

	assert(login->stage != LOGIN_FULL || !login->started);
	memset(answer, 0, offsetof(struct iscsi_login_answer, text));
	answer->flags = (uint8_t)(current_stage(header) << 2);
	answer->reason[0] = 0;
	verdict = check_header(login, header, answer);
	if (verdict == ISCSI_LOGIN_CONTINUE)
		verdict = gather(login, data, bytes, answer);
	if (verdict != ISCSI_LOGIN_CONTINUE ||
		(pdu_get_flags(header) & PDU_CONTINUE))
		return verdict;
	verdict = take_text(&turn, pdu_get_flags(header) & FLAG_TRANSIT);
	if (verdict != ISCSI_LOGIN_CONTINUE)
		return verdict;
	answer->text_bytes = turn.out.bytes;
	return move(&turn, find_move(header));
}

void iscsi_login_result(
	const struct iscsi_login *login, struct iscsi_login_result *result)
{
	assert(login->stage == LOGIN_FULL);
	memset(result, 0, sizeof *result);
	result->params = login->keys.agreed;
	result->discovery = login->keys.discovery;
	memcpy(result->initiator, login->initiator, sizeof login->initiator);
	memcpy(result->initiator_alias, login->alias, sizeof login->alias);
	memcpy(result->isid, login->isid, sizeof login->isid);
	result->tsih = login->tsih;
	result->cid = login->cid;
	result->target = login->target;
	result->host = login->host;
	memcpy(result->chap, login->chap_name, sizeof login->chap_name);
}
