/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login and text negotiation as a machine without sockets: PDUs in, answers
 * out. The connection frames PDUs, numbers them (StatSN, ExpCmdSN) and carries
 * out the verdict.
 *
 *	keytext.c         the format key=value (RFC 7143 6.1)
 *	keys.c            the table of keys: stage, default, range, rule (13)
 *	chap.c            CHAP with MD5, SHA-1, SHA-256, SHA3-256 (12.1, 9.2.1)
 *	login_machine.c   the table of stages and moves (6.3, 11.12, 11.13)
 *	login_identity.c  who logs in to what (4.2.7, 13.4 to 13.6, 13.21)
 *	login_security.c  AuthMethod and the conversation of CHAP (12)
 *	text.c            negotiation in full feature phase (11.10, 11.11)
 *	send_targets.c    discovery (appendix C)
 *
 * Invariants
 *  1. Text of one negotiation step, over all PDUs with the C bit, is at most
 *     ISCSI_TEXT_BYTES; beyond it the login fails with 0200 (initiator error).
 *  2. Secrets and challenges are wiped when the login ends, whatever its end.
 *  3. Nothing about targets, hosts or secrets is told before it is proven:
 *     unknown target, unknown host and forbidden host all cost the same answer
 *     that the RFC owes, and a wrong CHAP name and a wrong secret look alike.
 *     A Normal session: 0203; a Discovery session of an unknown host: 0202.
 *
 * What is left to the connection: a TSIH that is not zero (020A, 0206, or
 * reinstatement: it knows the sessions), the limit on time.
 */
#ifndef TARGET_ISCSI_LOGIN_H
#define TARGET_ISCSI_LOGIN_H

#include "target/iscsi/iscsi.h"
#include "target/iscsi/params.h"

#define ISCSI_TEXT_BYTES 16384u
#define ISCSI_LOGIN_ANSWER_BYTES 8192u

struct iscsi_login;

/* What the login needs to know of its surroundings; lives as long as it. */
struct iscsi_login_world {
	const struct iscsi_settings *settings;
	struct iscsi_watcher *watcher; /* for tries; may be NULL */
	struct access_table *table; /* the connection's reference */
	const struct access_portal *portal;
	const struct sockaddr *peer;
	/* Numeric "192.0.2.1:3260" or "[2001:db8::1]:3260"; portal_text is the
	 * local end of the connection: what discovery shows for a wildcard. */
	char peer_text[64], portal_text[64];
};

/* Status-Class and Status-Detail: RFC 7143 11.13.5. */
enum iscsi_login_status {
	ISCSI_LOGIN_SUCCESS = 0x0000,
	ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
	ISCSI_LOGIN_AUTHENTICATION = 0x0201,
	ISCSI_LOGIN_FORBIDDEN = 0x0202,
	ISCSI_LOGIN_NOT_FOUND = 0x0203,
	ISCSI_LOGIN_VERSION = 0x0205,
	ISCSI_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
	ISCSI_LOGIN_MISSING_PARAMETER = 0x0207,
	ISCSI_LOGIN_CANNOT_INCLUDE = 0x0208,
	ISCSI_LOGIN_SESSION_TYPE = 0x0209,
	ISCSI_LOGIN_NO_SESSION = 0x020a,
	ISCSI_LOGIN_INVALID_DURING = 0x020b,
	ISCSI_LOGIN_TARGET_ERROR = 0x0300,
	ISCSI_LOGIN_UNAVAILABLE = 0x0301,
	ISCSI_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* NULL without memory. */
struct iscsi_login *iscsi_login_new(const struct iscsi_login_world *world);
void iscsi_login_free(struct iscsi_login *login); /* wipes */

enum iscsi_verdict {
	ISCSI_LOGIN_CONTINUE, /* send the answer, wait for the next PDU */
	ISCSI_LOGIN_READY, /* the answer is the final one (T, NSG 3): register
				 the session, put its TSIH into it, send it */
	ISCSI_LOGIN_FAILED, /* send the answer (status is set), then close */
	ISCSI_LOGIN_DROP, /* close without an answer */
};

struct iscsi_login_answer {
	uint8_t flags; /* byte 1 of the Login Response: T, C, CSG, NSG */
	uint8_t status_class, status_detail;
	enum iscsi_refusal refusal; /* when it failed */
	uint32_t text_bytes;
	uint8_t text[ISCSI_LOGIN_ANSWER_BYTES]; /* <= 8192: the default limit */
	char reason[160]; /* for our log, when it failed */
};

/* One PDU while not in full feature phase: its 48-byte header and its whole
 * data segment (already checked against digest and length limits). Not called
 * again once the verdict was other than ISCSI_LOGIN_CONTINUE. */
enum iscsi_verdict iscsi_login_step(struct iscsi_login *login,
	const uint8_t header[48], const uint8_t *data, uint32_t bytes,
	struct iscsi_login_answer *answer);

/* Names of who logs in to what, and of its host, as far as they are known: "" if
 * not. They live as long as the login. */
struct iscsi_login_names {
	const char *initiator, *target, *host;
	bool discovery;
};
struct iscsi_login_names iscsi_login_names(const struct iscsi_login *login);

/* After ISCSI_LOGIN_READY. */
struct iscsi_login_result {
	struct iscsi_params params;
	bool discovery;
	char initiator[ACCESS_NAME_BYTES]; /* folded */
	char initiator_alias[256];
	uint8_t isid[6];
	uint16_t tsih, cid;
	const struct access_target *target; /* NULL in a discovery session */
	const struct access_host *host;
	char chap[16]; /* as in iscsi_session_info */
};
void iscsi_login_result(
	const struct iscsi_login *login, struct iscsi_login_result *result);

/* -- text in full feature phase (RFC 7143 11.10, 11.11) ------------------ */

struct iscsi_text;
/* `advertise(portal)` texts come from the table; `local` is where the host
 * connected to. */
struct iscsi_text *iscsi_text_new(const struct iscsi_login_world *world,
	const struct iscsi_login_result *session);
void iscsi_text_free(struct iscsi_text *text);

struct iscsi_text_answer {
	bool unfinished; /* nothing to send yet: see iscsi_text_resume */
	bool final, continued; /* F and C bits */
	uint32_t transfer_tag; /* 0xffffffff when final */
	uint8_t reject; /* non-zero: send Reject with this reason */
	bool params_changed; /* MaxRecvDataSegmentLength declared anew */
	uint32_t text_bytes;
	uint8_t text[ISCSI_LOGIN_ANSWER_BYTES];
};
/* `limit` is the host's MaxRecvDataSegmentLength: at most that much text in one
 * answer, the rest when the host asks on. */
void iscsi_text_step(struct iscsi_text *text, const uint8_t header[48],
	const uint8_t *data, uint32_t bytes, uint32_t limit,
	struct iscsi_params *params, struct iscsi_text_answer *answer);
/* Goes on with an answer that is unfinished, in another turn of the loop: what one
 * call does is bounded. Until it is finished nothing else is asked of `text`. */
void iscsi_text_resume(struct iscsi_text *text, uint32_t limit,
	struct iscsi_params *params, struct iscsi_text_answer *answer);

#endif
