/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text Requests to the text machine after a login, without a socket.
 */
#ifndef TESTS_LIB_ASKING_H
#define TESTS_LIB_ASKING_H

#include "target/iscsi/pdu.h"
#include "tests/lib/talk.h"

/* The world: see asking.c. TALK_HOST is host "web1" there. */
#define ASKING_A "iqn.2026-11.example.cairn:a"
#define ASKING_B "iqn.2026-11.example.cairn:b"
extern const struct tables_host asking_hosts[];
extern const struct tables_portal asking_portals[];
extern const struct tables_target asking_targets[];

/* What TALK_HOST is told of these targets. */
#define LIST_A \
	"TargetName=" ASKING_A "\n" \
	"TargetAddress=192.0.2.1:3260,1\n" \
	"TargetAddress=[2001:db8::7]:3260,1\n" \
	"TargetAddress=san.example:860,2\n" \
	"TargetAddress=192.0.2.1:3261,3\n" \
	"TargetAddress=192.0.2.1:3262,3\n"
#define LIST_B \
	"TargetName=" ASKING_B "\n" \
	"TargetAddress=192.0.2.1:3260,1\n" \
	"TargetAddress=san.example:860,2\n"
#define LIST_PUBLIC \
	"TargetName=iqn.2026-11.example.cairn:public\n" \
	"TargetAddress=192.0.2.1:3260,1\n"

struct asking {
	struct talk talk;
	struct iscsi_text *text;
	uint8_t header[48];
	uint32_t limit;
	struct iscsi_params params;
	struct iscsi_text_answer answer;
	unsigned turns; /* that the last answer took */
	char said[65536]; /* all answers, '\n' for zero bytes */
};

/* Fixtures for cmocka; *state becomes a struct asking. */
int asking_setup(void **state);
int asking_teardown(void **state);

/* Starts over with another table, which it takes over. */
void asking_begin(struct asking *q, struct access_table *table);
void asking_end(struct asking *q);
/* A session by one Login Request with `text`; TALK_HOST's discovery. */
void asking_log_in(struct asking *q, const char *text);
void asking_discover(struct asking *q);

/* One request with F and C in `flags`. The answer is added to `said`. */
void asking_step(struct asking *q, uint8_t flags, const char *text);
/* Asks, and asks on until the answer is final. Returns the number of pieces. */
unsigned asking_ask(struct asking *q, const char *text);
void asking_expect_rejected(struct asking *q, uint8_t reason);

#endif
