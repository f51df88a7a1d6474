/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations with the login machine, without a socket: what the host says as
 * text with '\n' for the zero bytes, what is owed as keys and values.
 */
#ifndef TESTS_LIB_TALK_H
#define TESTS_LIB_TALK_H

#include "target/iscsi/login.h"
#include "tests/lib/tables.h"

/* Byte 1 of a Login Request: T, C, CSG, NSG (RFC 7143 11.12). */
enum {
	TALK_T = 0x80,
	TALK_C = 0x40,
	TALK_SECURITY = 0x00,
	TALK_OPERATIONAL = 0x04,
	TALK_TO_OPERATIONAL = TALK_T | 0x01,
	TALK_TO_FULL = TALK_T | 0x03,
};

/* A world with its own settings, table and login; change what you need between
 * talk_begin and the first talk_say. */
struct talk {
	struct iscsi_settings settings;
	struct access_table *table;
	struct iscsi_login_world world;
	struct sockaddr_storage peer;
	struct iscsi_login *login;
	uint8_t header[48]; /* of the next request */
	struct iscsi_login_answer answer;
	enum iscsi_verdict verdict;
	struct iscsi_login_result result; /* after ISCSI_LOGIN_READY */
};

/* The world of the login tests: host "web1" (TALK_HOST, 192.0.2.0/24) needs no
 * secret, "locked" (...:locked) needs CHAP, "other" reaches nothing that they
 * do. Portal 0 is a wildcard with tag 7, portal 1 "back" has tag 8. Fixtures for
 * cmocka; *state becomes a struct talk. */
#define TALK_HOST "iqn.1994-05.com.redhat:web1"
#define TALK_TARGET "iqn.2026-11.example.cairn:db01"
#define TALK_NAMES "InitiatorName=" TALK_HOST "\nTargetName=" TALK_TARGET "\n"
int talk_setup(void **state);
int talk_teardown(void **state);

/* Takes `table` over. The host comes from 192.0.2.9 to the table's portal 0. */
void talk_begin(struct talk *talk, struct access_table *table);
void talk_end(struct talk *talk);
/* Forgets the login that was, for a new one in the same world. */
void talk_again(struct talk *talk);

/* One request; the verdict and answer are in `talk`. */
enum iscsi_verdict talk_say(struct talk *talk, uint8_t flags, const char *text);
enum iscsi_verdict talk_say_bytes(
	struct talk *talk, uint8_t flags, const void *text, uint32_t bytes);

/* The value of `key` in the answer, NULL without it. */
const char *talk_value(const struct talk *talk, const char *key);
unsigned talk_status(const struct talk *talk); /* class << 8 | detail */
/* Number of pairs in the answer. */
unsigned talk_pairs(const struct talk *talk);

/* Fail the test where they do not hold. */
#define talk_expect(talk, key, value) \
	talk_expect_(talk, key, value, __FILE__, __LINE__)
void talk_expect_(const struct talk *talk, const char *key, const char *value,
	const char *file, int line);
#define talk_expect_failure(talk, status, reason) \
	talk_expect_failure_(talk, status, reason, __FILE__, __LINE__)
void talk_expect_failure_(const struct talk *talk, unsigned status,
	const char *reason, const char *file, int line);

/* First requests (T, to the operational stage) that must fail so. */
struct talk_refusal {
	const char *text;
	unsigned status;
	const char *reason;
};
void talk_expect_refusals(
	struct talk *talk, const struct talk_refusal *cases, size_t count);

/* Decodes a value 0x... of at most `size` bytes; returns the number of bytes. */
size_t talk_unhex(const char *value, uint8_t *out, size_t size);

#endif
