/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins in single steps over a socket, right or wrong: one Login Request, its
 * answer, the values in it. A login as such is wire_login's (wire.h).
 */
#ifndef TESTS_LIB_WIRE_LOGIN_H
#define TESTS_LIB_WIRE_LOGIN_H

#include "tests/lib/wire.h"

/* Byte 1 of a Login Request: T, C, CSG, NSG (RFC 7143 11.12). */
enum {
	WIRE_T = 0x80,
	WIRE_C = 0x40,
	WIRE_TO_OPERATIONAL = WIRE_T | 1,
	WIRE_OPERATIONAL = 4,
	WIRE_TO_FULL = WIRE_T | 3
};
#define WIRE_NAMES "InitiatorName=" WIRE_HOST "\nTargetName=" WIRE_TARGET "\n"

/* One Login Request ('\n' for zero bytes), not waiting for its answer. */
void wire_send_login(struct wire *wire, uint8_t flags, const char *text);
/* One Login Request; its answer is in `pdu`. Returns the status
 * (class << 8 | detail). */
unsigned wire_say_login(struct wire *wire, uint8_t flags, const char *text,
	struct wire_pdu *pdu);
/* The same; that status and nothing else comes, then the end. */
void wire_expect_login_refused(
	struct wire *wire, uint8_t flags, const char *text, unsigned status);

/* For a new session of the same initiator port. */
void wire_renew(struct wire *wire);
/* The target says that it drops the session (async event 3) and that the host may
 * come back after `wait_s`, then does so; ready for wire_open. */
void wire_expect_dropped(struct wire *wire, unsigned wait_s);

/* The value of a key in an answer, "absent" without it. */
const char *wire_value_of(const struct wire_pdu *pdu, const char *key);
/* Decodes 0x...; returns the number of bytes. */
size_t wire_unhex(const char *value, uint8_t *out, size_t size);

#endif
