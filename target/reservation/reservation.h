/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations of a volume: persistent ones (SPC-4 5.13) and the old RESERVE(6)
 * and (10) (SPC-2 5.5), one table for both command sets. SCSI registers an I_T
 * nexus; NVMe will register a host: a registrant whose `relative_target_port`
 * is 0 stands for the host on every port.
 *
 * Invariants
 *  1. A table is immutable. A change copies it, is made durable (APTPL) through
 *     volume_store *before* anybody hears of it, is published, and is answered
 *     only when every lane has seen it.
 *  2. Checks on the fast path are one acquire load and, without a reservation,
 *     one comparison with NULL; with one, a nexus remembers its rights for as
 *     long as the table (known by its serial number) is the same.
 *  3. Bounded: RESERVATION_REGISTRANTS per volume; beyond it 05h/55h/04h
 *     (INSUFFICIENT REGISTRATION RESOURCES).
 */
#ifndef TARGET_RESERVATION_RESERVATION_H
#define TARGET_RESERVATION_RESERVATION_H

#include "target/volume/volume.h"

#define RESERVATION_REGISTRANTS 256u

enum reservation_type { /* SPC-4 table 199; NVMe uses 1..6 with a mapping */
	RESERVATION_NONE = 0,
	RESERVATION_WRITE_EXCLUSIVE = 1,
	RESERVATION_EXCLUSIVE_ACCESS = 3,
	RESERVATION_WRITE_EXCLUSIVE_RO = 5,
	RESERVATION_EXCLUSIVE_ACCESS_RO = 6,
	RESERVATION_WRITE_EXCLUSIVE_AR = 7,
	RESERVATION_EXCLUSIVE_ACCESS_AR = 8,
};

struct reservation_registrant {
	uint64_t key;
	struct volume_initiator initiator;
	bool all_target_ports;
	bool holder;
};

struct reservation_table {
	uint64_t serial; /* never used twice for a volume */
	uint32_t generation; /* PRgeneration */
	bool aptpl;
	enum reservation_type type; /* NONE: registrations only */
	bool legacy; /* held by RESERVE(6)/(10) */
	struct volume_initiator legacy_holder;
	unsigned registrants;
	struct reservation_registrant registrant[];
};

/* What a command does to the medium, for the check (SPC-4 tables 65 to 67). */
enum reservation_access {
	RESERVATION_READS,
	RESERVATION_WRITES,
	RESERVATION_ALLOWED, /* never conflicts: INQUIRY, REPORT LUNS ... */
	RESERVATION_PR_OUT, /* conflicts with RESERVE(6) only */
};

/* True if the nexus may go on; on its lane. */
static inline bool reservation_permits(
	struct volume_nexus *nexus, enum reservation_access access);

/* What an initiator may do under a table, as bits 1 << reservation_access. */
uint8_t reservation_rights(const struct reservation_table *table,
	const struct volume_initiator *initiator);
/* The entry of that nexus, NULL if it is not registered. */
const struct reservation_registrant *reservation_find(
	const struct reservation_table *table,
	const struct volume_initiator *initiator);
bool reservation_all_registrants(enum reservation_type type);
bool reservation_type_known(unsigned type);

/* One change, asked for on any lane; the answer comes back there. Embedded by
 * the caller; SPC-4 6.14 service actions 0 to 7, and the two old ones. */
enum reservation_action {
	RESERVATION_REGISTER = 0,
	RESERVATION_RESERVE = 1,
	RESERVATION_RELEASE = 2,
	RESERVATION_CLEAR = 3,
	RESERVATION_PREEMPT = 4,
	RESERVATION_PREEMPT_AND_ABORT = 5,
	RESERVATION_REGISTER_AND_IGNORE = 6,
	RESERVATION_REGISTER_AND_MOVE = 7,
	RESERVATION_LEGACY_RESERVE = 16,
	RESERVATION_LEGACY_RELEASE = 17,
	RESERVATION_NEXUS_LOST = 18, /* session gone: drops legacy only */
	RESERVATION_LUN_RESET = 19, /* drops legacy, keeps persistent */
};

enum reservation_answer {
	RESERVATION_OK,
	RESERVATION_CONFLICT, /* status RESERVATION CONFLICT */
	RESERVATION_INVALID_RELEASE, /* 05h/26h/04h */
	RESERVATION_INVALID_CDB, /* 05h/24h/00h */
	RESERVATION_INVALID_PARAMETER, /* 05h/26h/00h */
	RESERVATION_NO_RESOURCES, /* 05h/55h/04h */
	RESERVATION_BUSY, /* status BUSY: too many wait for aborted tasks */
	RESERVATION_WITHDRAWN, /* by reservation_withdraw; nothing was done */
	RESERVATION_NOT_DURABLE, /* the store failed: 02h or 04h sense */
};

struct reservation_order {
	struct volume *volume;
	struct block_lane *lane; /* of the caller */
	enum reservation_action action;
	enum reservation_type type;
	struct volume_initiator initiator;
	uint64_t key, service_key;
	bool aptpl, all_target_ports, spec_initiator_ports, unregister_moved;
	/* REGISTER with SPEC_I_PT, REGISTER AND MOVE: other initiator ports */
	const struct volume_initiator *other;
	unsigned others;
	enum reservation_answer answer;
	void (*done)(struct reservation_order *order);
	/* the module's */
	struct volume_call call;
	atomic_uint stage;
};
void reservation_submit(struct reservation_order *order);
/* The order is not wanted any more: if its turn has not come yet, it ends without
 * having done anything (RESERVATION_WITHDRAWN), else as if it were. `done` is to
 * come, and comes without waiting for any task if the order was withdrawn. On the
 * order's lane. */
void reservation_withdraw(struct reservation_order *order);

/* Restores what a store kept (blob "reservation"); control lane, before the
 * volume is exported. -EINVAL: the blob is damaged. */
int reservation_restore(
	struct volume *volume, const void *blob, size_t bytes, struct err *err);

static inline bool reservation_permits(
	struct volume_nexus *nexus, enum reservation_access access)
{
	const struct reservation_table *table = atomic_load_explicit(
		&nexus->volume->reservations, memory_order_acquire);

	if (!table)
		return true;
	if (nexus->rights_serial != table->serial) {
		nexus->rights = reservation_rights(table, nexus->initiator);
		nexus->rights_serial = table->serial;
	}
	return nexus->rights >> access & 1;
}

#endif
