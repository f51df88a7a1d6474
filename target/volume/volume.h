/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume: a source and an identity that never changes, with what every
 * protocol that exports it must agree on: cache setting, reservations, tasks,
 * attentions. SCSI and NVMe are two faces of this one truth.
 *
 * Invariants
 *  1. Identity comes from the UUID alone: NAA 3 (locally assigned), EUI-64/NGUID
 *     and serial number are derived, the same on every protocol and after every
 *     restart.
 *  2. What reactors read on the fast path (source, flags, reservation table) is
 *     published through atomics; it is changed on the control lane only, and
 *     what is replaced is freed after a broadcast to all lanes.
 *  3. A volume without a source is offline with a reason; hosts get NOT READY,
 *     all other volumes run.
 *  4. A nexus (one host's session to one LUN) belongs to its session's lane.
 */
#ifndef TARGET_VOLUME_VOLUME_H
#define TARGET_VOLUME_VOLUME_H

#include "blockcore/block.h"

#include <stdatomic.h>

struct reservation_table;
struct volume_nexus;
TAILQ_HEAD(volume_nexus_list, volume_nexus);

enum volume_flag {
	VOLUME_WRITE_CACHE = 1, /* WCE: completed writes need a flush */
	VOLUME_WRITE_PROTECT = 2, /* SWP or read-only by configuration */
	VOLUME_DESCRIPTOR_SENSE = 4, /* D_SENSE of the control mode page */
	VOLUME_STOPPED = 8, /* START STOP UNIT, START=0 */
	VOLUME_EJECTED = 16, /* removable: no medium */
	VOLUME_FAILED = 32, /* a flush failed: acknowledged data at risk */
};

/* Fixed by configuration for as long as the volume lives. */
struct volume_settings {
	char name[BLOCK_NAME_BYTES];
	uint8_t uuid[16];
	uint32_t block_bytes; /* 512 or 4096: what hosts address */
	uint32_t
		physical_block_bytes; /* 4096 over 512: 512e; 0: the source's */
	bool read_only, removable, thin;
	char vendor[9], product[17]; /* INQUIRY; defaults CAIRN, VOLUME */
};

/* Makes things durable for the floors below target/control, which implements
 * it. Called in coroutines on the control lane; durable when it returns 0. */
struct volume_store {
	/* Replaces the blob `kind` ("reservation", "modepages") of a volume. */
	int (*save_co)(struct volume_store *store, const uint8_t *uuid,
		const char *kind, const void *data, size_t bytes,
		struct err *err);
};
#define VOLUME_BLOB_BYTES (256u << 10)

struct volume {
	struct volume_settings settings;
	struct block_core *core;
	struct volume_store *store;
	uint8_t naa[8]; /* NAA 3, SPC-4 7.8.6.6.4 */
	char serial[33]; /* 32 hex digits of the UUID */

	_Atomic(struct block_source *) source; /* NULL: offline */
	char offline_reason[256]; /* control lane */
	atomic_uint flags;
	_Atomic(struct reservation_table *) reservations;
	/* Counts changes that hosts must hear of: size, mode pages ... */
	atomic_uint capacity_generation;
	struct block_info last_info; /* control lane: to notice a resize */

	struct volume_lane {
		struct volume_nexus_list nexuses;
		uint8_t pad[48];
	} lane[BLOCK_MAX_LANES];
	uint32_t references; /* control lane */
	TAILQ_ENTRY(volume) link;
};

struct volume *volume_new(struct block_core *core,
	const struct volume_settings *settings, struct volume_store *store,
	struct err *err);
/* Takes a reference of `source` over; control lane. */
void volume_online(struct volume *volume, struct block_source *source);
/* Hosts get NOT READY from now on; the source is put. */
void volume_offline_co(struct volume *volume, const char *reason);
/* No nexus is left. */
void volume_free_co(struct volume *volume);

static inline unsigned volume_flags(const struct volume *volume)
{
	return atomic_load_explicit(
		&((struct volume *)volume)->flags, memory_order_acquire);
}

/* The identity of a host's port and ours, as reservations know it: SCSI's I_T
 * nexus (SAM-5 4.6), NVMe's host. */
struct volume_initiator {
	char port[272]; /* iSCSI: "iqn...,i,0x0123456789ab" (RFC 7143 4.5.1) */
	uint16_t relative_target_port; /* 1.. */
	uint16_t target_portal_group;
	char target_port[272]; /* "iqn...,t,0x0001" */
};

/* An attention that a host has not yet been told of: ASC and ASCQ, with a
 * priority by order. */
#define VOLUME_ATTENTIONS 8u

struct volume_nexus {
	struct volume *volume;
	struct block_lane *lane;
	const struct volume_initiator *initiator;
	uint64_t lun;
	bool read_only; /* by this export */
	uint16_t attention[VOLUME_ATTENTIONS]; /* ASC << 8 | ASCQ */
	uint8_t attentions;
	bool prevents_removal;
	uint32_t tasks; /* running in this nexus, any command set */
	/* Ends every task of the nexus early; set by the command set. */
	void (*abort_tasks)(struct volume_nexus *nexus);
	void (*wake)(
		struct volume_nexus *nexus); /* told when tasks falls to 0 */
	void *command_set;
	TAILQ_ENTRY(volume_nexus) link;
};

/* On the nexus's lane. */
void volume_nexus_open(struct volume_nexus *nexus);
void volume_nexus_close(struct volume_nexus *nexus);

/* Adds an attention to one nexus (its lane); an equal one is not added twice;
 * when full, the last becomes 29h/00h (everything may have changed). */
void volume_nexus_attend(struct volume_nexus *nexus, uint16_t asc_ascq);
/* From any lane: adds it to every nexus of the volume but those whose initiator
 * port is `except` (may be NULL; copied). Done before `done` runs on the
 * calling lane's loop (done may be NULL). */
void volume_attend_all(struct volume *volume, struct block_lane *lane,
	uint16_t asc_ascq, const struct volume_initiator *except,
	void (*done)(void *argument), void *argument);

/* Runs `entry(argument)` as a coroutine on the control lane; from any lane. */
void volume_on_control(struct volume *volume, struct loop_message *message);

#endif
