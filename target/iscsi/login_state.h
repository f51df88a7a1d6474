/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a login, shared by the files login*.c only.
 */
#ifndef TARGET_ISCSI_LOGIN_STATE_H
#define TARGET_ISCSI_LOGIN_STATE_H

#include "target/iscsi/chap.h"
#include "target/iscsi/keys.h"
#include "target/iscsi/login.h"

enum login_stage { LOGIN_SECURITY = 0, LOGIN_OPERATIONAL = 1, LOGIN_FULL = 3 };

/* How far the host is with proving who it is. */
enum login_proof {
	PROOF_METHOD, /* no AuthMethod yet */
	PROOF_ALGORITHM, /* CHAP was chosen, CHAP_A is due */
	PROOF_RESPONSE, /* challenge sent, CHAP_N and CHAP_R are due */
	PROOF_DONE,
	PROOF_STATES
};

struct iscsi_login {
	const struct iscsi_login_world *world;
	unsigned requests;
	bool started; /* the first header has set the next four */
	enum login_stage stage;
	uint8_t isid[6];
	uint16_t tsih, cid;

	bool identified; /* the first text has set the next five */
	char initiator[ACCESS_NAME_BYTES], target_name[ACCESS_NAME_BYTES];
	const struct access_target *target;
	const struct access_host *host;
	char alias[256];

	enum login_proof proof;
	struct chap_challenge challenge; /* in PROOF_RESPONSE; then wiped */
	char chap_name[16]; /* as in iscsi_session_info */

	bool told_group, told_alias, told_receive; /* declared once each */
	struct keys_state keys;
	uint32_t text_bytes; /* of this text, while it has the C bit */
	char text[ISCSI_TEXT_BYTES];
};

/* One text of the host with what we say to it. */
struct login_turn {
	struct iscsi_login *login;
	struct keys_offer offer;
	struct keytext_out out;
	struct iscsi_login_answer *answer;
};

/* Sets status, refusal and reason; returns ISCSI_LOGIN_FAILED. */
enum iscsi_verdict login_refuse(struct iscsi_login_answer *answer,
	enum iscsi_login_status status, enum iscsi_refusal refusal,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for what is no login at all. */
#define login_fail(answer, status, ...) \
	login_refuse(answer, status, ISCSI_REFUSED_PROTOCOL, __VA_ARGS__)

/* The keys that say who logs in to what; with the first text it finds host and
 * target. ISCSI_LOGIN_CONTINUE or ISCSI_LOGIN_FAILED. */
enum iscsi_verdict login_identify(struct login_turn *turn);

/* True if the host's entry asks it to prove itself. */
bool login_needs_chap(const struct iscsi_login *login);
/* True if it has, or need not. */
bool login_is_proven(const struct iscsi_login *login);

/* The keys of the security stage. `wants_on`: the host asks to leave it. */
enum iscsi_verdict login_prove(struct login_turn *turn, bool wants_on);

#endif
