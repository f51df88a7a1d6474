/* SPDX-License-Identifier: Apache-2.0 */
/* What audit_log.c and audit_verify.c share. */
#ifndef TARGET_CONTROL_TRUST_AUDIT_PARTS_H
#define TARGET_CONTROL_TRUST_AUDIT_PARTS_H

#include "target/control/trust/audit.h"
#include "target/control/trust/secret_text.h"

#define HASH_BYTES SECRET_DIGEST_BYTES

struct audit {
	sqlite3 *db;
	int64_t most, drop;
	bool appended; /* perhaps: not yet committed, or rolled back */
	int64_t witnessed; /* number of the last record that the log tells of */
	void (*watch)(void *argument); /* NULL: nobody does */
	void *watch_argument;
};

struct audit_chain {
	int64_t first, next; /* numbers: the oldest kept, the next to come */
	uint8_t before[HASH_BYTES]; /* hash of the record before `first` */
	uint8_t head[HASH_BYTES]; /* of the last one */
};
int audit_load_chain(
	struct audit *audit, struct audit_chain *chain, struct err *err);

#endif
