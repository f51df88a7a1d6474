/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon does by itself, in the audit; see own_audit.h. */
#include "target/control/own_audit.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/trust/audit.h"
#include "target/control/trust/trust.h"

static int append(struct trust *trust, const char *operation,
	const char *object, int64_t change, struct err *err)
{
	struct audit_entry entry = {.time_ms = trust_now_ms(trust),
		.user = "cairnd",
		.via = "daemon",
		.operation = operation,
		.object = object,
		.change = change};
	return audit_append(trust_audit(trust), &entry, err);
}

static int record(struct config_witness *witness, const json_t *changes,
	uint64_t number, struct err *err)
{
	struct own_audit *own =
		container_of(witness, struct own_audit, witness);
	(void)changes;
	return append(
		own->trust, own->operation, own->object, (int64_t)number, err);
}

struct config_witness *own_audit_witness(struct own_audit *own,
	struct trust *trust, const char *operation, const char *object)
{
	*own = (struct own_audit){.witness.record = record,
		.trust = trust,
		.operation = operation,
		.object = object};
	return &own->witness;
}

void own_audit_note(
	struct trust *trust, const char *operation, const char *object)
{
	struct err err = {0};
	if (append(trust, operation, object, 0, &err))
		log_error("audit", "failed", "%s: %s", operation, err.text);
}
