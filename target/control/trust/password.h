/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords: what they must be, and how they are kept:
 *
 *	$scrypt$ln=17,r=8,p=1$SALT$HASH		(base64, without padding)
 *
 * Invariants
 *  1. 128 MiB and about a second for each: at most two at once on the worker pool,
 *     16 more wait, the next gets -EAGAIN.
 *  2. A check against no hash takes as long as one against a hash.
 *  3. Derived keys are wiped; nothing is logged.
 */
#ifndef TARGET_CONTROL_TRUST_PASSWORD_H
#define TARGET_CONTROL_TRUST_PASSWORD_H

#include "blockcore/base/err.h"
#include "blockcore/loop.h"

#include <stdbool.h>

#define PASSWORD_LEAST_CHARACTERS 12u
#define PASSWORD_MOST_BYTES 1024u
#define PASSWORD_HASH_BYTES 128u
#define PASSWORD_RUNNING 2u
#define PASSWORD_WAITING 16u

struct passwords;

/* `log2_n` 1 to 20. NULL: out of memory. */
struct passwords *passwords_new(struct loop *loop, unsigned log2_n);
void passwords_free(struct passwords *passwords); /* nothing waits */

/* -EAGAIN: too many wait. */
int password_hash_co(struct passwords *passwords, const char *password,
	char out[PASSWORD_HASH_BYTES], struct err *err);
/* `hash` NULL: there is none; *right is then false, as late as ever. */
int password_check_co(struct passwords *passwords, const char *password,
	const char *hash, bool *right, struct err *err);

/* -EINVAL with the rule that it breaks; its pointer is /password. */
int password_rules(const char *user, const char *password, struct err *err);

#endif
