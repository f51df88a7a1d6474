/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals: what SQLite does not see, as it keeps no checksums: a page that is well
 * formed and has other bytes in a row than were committed.
 *
 * For each table, `seal` has the sum (modulo 2^256) of the SHA-256 digests of its
 * rows. Triggers of our connection, which are in no file, add a row's digest when it
 * comes and subtract it when it goes.
 *
 * Invariants
 *  1. A seal changes in the transaction in which its table does, and costs what
 *     changes, not what there is. Looking at all of them costs what there is: when
 *     the database is opened.
 *  2. Every table has one, also those that come after this, but the audit log, which
 *     has a chain of its own (audit.h).
 *  3. It is against damage, not against people: who changes a row with another
 *     program breaks the seal, who means to can renew it.
 */
#ifndef TARGET_CONTROL_SEAL_H
#define TARGET_CONTROL_SEAL_H

#include "blockcore/base/err.h"

#include <sqlite3.h>

/* The functions that the others need; once for a database. 0 or -errno. */
int seal_prepare(sqlite3 *db, struct err *err);
/* -EIO: a table is not as it was committed; *err names it. */
int seal_check(sqlite3 *db, struct err *err);
/* Seals what there is, within the caller's transaction. */
int seal_renew(sqlite3 *db, struct err *err);
/* From now on, changes of this connection change seals. Needs recursive_triggers,
 * without which a row that another one replaces would go unseen. */
int seal_follow(sqlite3 *db, struct err *err);

#endif
