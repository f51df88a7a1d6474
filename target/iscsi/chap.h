/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHAP (RFC 1994, RFC 7143 12.1.3): hashes, challenges, responses. Who says what
 * and when is in login_security.c.
 *
 *	response = hash(identifier, secret, challenge)
 *
 * Invariants
 *  1. A response is compared in constant time, and checking one costs the same
 *     whether it fits or not.
 *  2. A hash that OpenSSL does not provide (MD5 under FIPS) is never chosen.
 *  3. Challenges come from OpenSSL's random generator and are as long as the
 *     hash's result.
 */
#ifndef TARGET_ISCSI_CHAP_H
#define TARGET_ISCSI_CHAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAP_DIGEST_BYTES 32u /* the longest */
#define CHAP_CHALLENGE_BYTES 1024u /* the longest of a host's: 12.1.3 */

/* Numbers of the IANA registry "PPP Authentication Algorithms". A larger one is
 * a stronger one. */
enum chap_algorithm {
	CHAP_NONE = 0,
	CHAP_MD5 = 5,
	CHAP_SHA1 = 6,
	CHAP_SHA256 = 7,
	CHAP_SHA3_256 = 8,
};

struct chap_challenge {
	enum chap_algorithm algorithm;
	uint8_t id;
	uint32_t bytes;
	uint8_t value[CHAP_DIGEST_BYTES];
};

/* "MD5", "SHA-1", "SHA-256", "SHA3-256". */
const char *chap_name(enum chap_algorithm algorithm);

/* The strongest of a list as in CHAP_A ("5,7") that we have too, whatever its
 * place; without MD5 and SHA-1 unless `weak`. CHAP_NONE if there is none. */
enum chap_algorithm chap_choose(const char *list, bool weak);

/* Writes the response to a challenge; returns its length in bytes, 0 if the hash
 * is not available. */
size_t chap_respond(enum chap_algorithm algorithm, uint8_t id,
	const char *secret, const uint8_t *challenge, size_t bytes,
	uint8_t response[CHAP_DIGEST_BYTES]);

/* Makes a fresh challenge; false if there are no random numbers. */
bool chap_challenge(
	struct chap_challenge *challenge, enum chap_algorithm algorithm);

/* True if `response` is the one that `secret` makes of `challenge`. */
bool chap_check(const struct chap_challenge *challenge, const char *secret,
	const uint8_t *response, size_t bytes);

/* Equal in constant time, lengths aside. */
bool chap_equal(const char *a, const char *b);

#endif
