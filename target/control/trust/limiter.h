/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a secret may be guessed: for passwords, the bootstrap token and CHAP.
 *
 *	door	key			tries a minute
 *	web	address			5
 *	web	account			20, not for known places
 *	chap	account at address	5
 *	chap	account			20, not for known places
 *	chap	address			100: many hosts share one
 *
 * A bucket of that many tries fills up in a minute. Who empties it waits 1 minute,
 * then has one try; each further miss doubles the wait up to 15 minutes; an hour
 * without one forgets it. A place is known where the account got in before: so
 * guesses from elsewhere, by however many, do not lock its owner out. A try is
 * taken before the secret is looked at and given back if it was right, so tries
 * beside each other are no way around.
 *
 * Invariants
 *  1. Bounded: LIMITER_MAX_TRIES buckets and as many known places. When they are
 *     full the longest unused one goes, those that wait last. (Who has thousands
 *     of networks gets more tries; scrypt, two at a time, is then the limit.)
 *  2. IPv6 counts by /64: that is what one customer has.
 *  3. Any thread: one mutex, held for well under a microsecond's work.
 */
#ifndef TARGET_CONTROL_TRUST_LIMITER_H
#define TARGET_CONTROL_TRUST_LIMITER_H

#include <stdint.h>

#define LIMITER_MAX_TRIES 8192u
#define LIMITER_FIRST_WAIT_S 60u
#define LIMITER_MAX_WAIT_S 900u

enum limiter_door { LIMITER_WEB, LIMITER_CHAP };

struct limiter_try {
	enum limiter_door door;
	const char *account; /* need not exist */
	const char *address; /* numeric */
};

struct limiter;

struct limiter *limiter_new(void); /* NULL: out of memory */
void limiter_free(struct limiter *limiter);

/* `now_ms`: any clock that never falls. 0: try, then say limiter_right or
 * limiter_undo, or nothing if it was wrong. Else the seconds to wait; nothing was
 * taken. */
uint32_t limiter_take(struct limiter *limiter, const struct limiter_try *try,
	uint64_t now_ms);
/* The secret was right: the try is given back, the place is known. */
void limiter_right(struct limiter *limiter, const struct limiter_try *try,
	uint64_t now_ms);
/* It was not looked at after all. */
void limiter_undo(struct limiter *limiter, const struct limiter_try *try,
	uint64_t now_ms);
/* Buckets in use. */
unsigned limiter_tries(struct limiter *limiter);

#endif
