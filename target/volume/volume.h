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

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "blockcore/block.h"
#include "target/volume/figures.h"
#include "target/volume/space.h"

#include <stdatomic.h>

struct reservation_table;
struct volume_nexus;
struct volume_paths;
TAILQ_HEAD(volume_nexus_list, volume_nexus);

enum volume_flag {
	VOLUME_WRITE_CACHE = 1, /* WCE: completed writes need a flush */
	VOLUME_WRITE_PROTECT = 2, /* SWP or read-only by configuration */
	VOLUME_DESCRIPTOR_SENSE = 4, /* D_SENSE of the control mode page */
	VOLUME_EJECTED = 16, /* removable: no medium */
	VOLUME_FAILED = 32, /* a flush failed: acknowledged data at risk */
	VOLUME_TASK_ABORTED = 64, /* TAS: tell hosts of tasks others aborted */
	VOLUME_FORMATTING = 128, /* see format.h, as of the next */
	VOLUME_FORMAT_CORRUPT = 256,
	VOLUME_THRESHOLD = 512, /* ENABLED: hosts are told (space.h) ... */
	VOLUME_SINGLE_ATTENTION = 1024, /* SITUA: one of them */
	VOLUME_PATHS_LIMITED =
		2048, /* some way forbids commands, see paths.h */
};
#define VOLUME_THRESHOLD_FLAGS (VOLUME_THRESHOLD | VOLUME_SINGLE_ATTENTION)
/* What hosts may change through mode pages, and what of it can be saved. */
#define VOLUME_MODE_FLAGS \
	(VOLUME_WRITE_CACHE | VOLUME_WRITE_PROTECT | VOLUME_DESCRIPTOR_SENSE | \
		VOLUME_TASK_ABORTED | VOLUME_THRESHOLD_FLAGS)

/* Fixed by configuration for as long as the volume lives, but for those that
 * volume_settings_take changes. */
struct volume_settings {
	char name[BLOCK_NAME_BYTES];
	uint8_t uuid[16];
	uint32_t block_bytes; /* 512 or 4096: what hosts address */
	uint32_t
		physical_block_bytes; /* 4096 over 512: 512e; 0: the source's */
	bool read_only, removable;
	char vendor[9], product[17]; /* INQUIRY; defaults CAIRN, VOLUME */
	/* Changed on the control lane, read on every one. */
	atomic_bool thin;
	atomic_uint space_wait_s; /* a write waits for space; 0: it fails */
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

/* Runs `entry_co` as a coroutine on the control lane; embedded by
 * whoever calls volume_on_control. */
struct volume_call {
	void (*entry_co)(struct volume_call *call);
	struct block_core *core;
	struct loop_message message;
	struct loop_errand errand;
};

/* Waits for tasks of a volume that run at the same time, see drain.h. */
#define VOLUME_DRAINS 32u
struct volume_drain;

struct volume {
	struct volume_settings settings;
	struct block_core *core;
	struct volume_store *store;
	uint8_t naa[8]; /* NAA 3, SPC-4 7.8.6.6.4 */
	char serial[33]; /* 32 hex digits of the UUID */

	_Atomic(struct block_source *) source; /* NULL: offline */
	struct block_source *claimed; /* by `claim`; control lane */
	struct block_claim claim;
	struct block_source_watch watch; /* of `source` */
	char offline_reason[256]; /* control lane */
	atomic_uint flags;
	_Atomic(struct reservation_table *) reservations;
	_Atomic(struct volume_paths *) paths; /* NULL: all optimized */
	/* Counts changes that hosts must hear of: size, mode pages ... */
	atomic_uint capacity_generation;
	/* Control lane: what `source` showed last, what of its changes hosts are
	 * still to be told, by whom, and who waits for the end of that. */
	struct block_info last_info;
	unsigned untold; /* mask of news in attention.c */
	struct volume_call telling;
	bool tells;
	struct co *awaits_telling;
	atomic_uint removal_prevented; /* nexuses with PREVENT in force */
	unsigned default_flags; /* mode pages: fixed by configuration */
	atomic_uint saved_flags; /* written on the control lane */
	/* One change of reservations or modes at a time; whoever holds it waits
	 * for no task, as tasks wait for it. */
	struct co_mutex changing;
	uint64_t reservation_serial; /* control lane: numbers the tables */
	struct volume_drain *drain[VOLUME_DRAINS]; /* slots; control lane */
	struct volume_book book; /* figures, by host */
	struct volume_space space;
	struct volume_format {
		atomic_uint progress; /* of 65536 */
		/* Control lane: the coroutine that does it, if one does. */
		bool running, stop;
		struct block_request *moving;
	} format;

	struct volume_lane {
		struct volume_nexus_list nexuses;
		struct log_limit trouble;
		uint8_t pad[32];
	} lane[BLOCK_MAX_LANES];
	uint32_t references; /* control lane */
	TAILQ_ENTRY(volume) link;
};

/* RFC 9562 4: 8-4-4-4-12 hexadecimal digits. Returns `out`. Any thread. */
#define VOLUME_UUID_TEXT_BYTES 37
const char *volume_uuid_text(
	const uint8_t uuid[16], char out[VOLUME_UUID_TEXT_BYTES]);
/* The same back; dashes may be left out. False: it is none. Any thread. */
bool volume_uuid_parse(const char *text, uint8_t uuid[16]);

struct volume *volume_new(struct block_core *core,
	const struct volume_settings *settings, struct volume_store *store,
	struct err *err);
/* Those of `settings` that may change while it lives hold from now on; hosts are told
 * where they see that (06h/2Ah/09h, 06h/3Fh/03h). Control lane. */
void volume_settings_take(
	struct volume *volume, const struct volume_settings *settings);
/* Claims `source` in the volume's name, beside others that share it, before it
 * goes online, so that a use that would damage it is refused in time: -EBUSY
 * naming the holder. volume_unclaim: it will not. Control lane. */
int volume_claim(
	struct volume *volume, struct block_source *source, struct err *err);
void volume_unclaim(struct volume *volume);
/* Takes a reference of `source` over, which is claimed or can be; hosts are told
 * when what it shows changes (06h/2Ah/09h ...). Control lane. */
void volume_online(struct volume *volume, struct block_source *source);
/* Hosts get NOT READY from now on; the source is put. */
void volume_offline_co(struct volume *volume, const char *reason);
/* Ends a format that goes on behind its host's back (format.h), waits for that;
 * control lane. */
void volume_format_stop_co(struct volume *volume);
/* No nexus is left. */
void volume_free_co(struct volume *volume);
/* What a FLUSH of the volume that ended with `result` (-errno) comes to: every one is
 * shown here. 0, also where nothing is cached; one that failed concerns all that was
 * acknowledged before it and is not tried again: VOLUME_FAILED from now on, until an
 * operator has looked (volume_repaired). Any lane. */
int volume_flushed(struct volume *volume, int result);
/* The same for a failure that the storage has seen by itself: `why` is for people. */
void volume_failed(struct volume *volume, const char *why);
/* The storage has refused a request of a host with `result` (-errno): a line in
 * the log, but few of them. Any lane. */
void volume_trouble(struct volume *volume, const struct block_lane *lane,
	int result, bool writing);
/* A write waits, as no space is left: the space is looked at, a line in the log,
 * but few of them. Any lane. */
void volume_waits_for_space(
	struct volume *volume, const struct block_lane *lane);
void volume_repaired(struct volume *volume);
/* Restores what a store kept (blob "modepages"); control lane, before the
 * volume is exported. -EINVAL: the blob is damaged. */
int volume_restore_modes(
	struct volume *volume, const void *blob, size_t bytes, struct err *err);
/* Sets the flags in `mask` (of VOLUME_MODE_FLAGS) to `flags`, after saving
 * them if `save`; on the control lane. When the write cache goes, what was
 * acknowledged before is flushed; a change that was submitted without FUA and ends
 * later is flushed by its command set before the host hears of it. 0, or -errno of
 * the store or the flush. */
int volume_change_modes_co(
	struct volume *volume, unsigned mask, unsigned flags, bool save);
/* A reset: as they were saved (SPC-4 6.11). */
int volume_reset_modes_co(struct volume *volume);
/* What the volume shows now; false while it is offline. `lane` is the caller's. */
bool volume_info(const struct volume *volume, struct block_lane *lane,
	struct block_info *info);
/* The threshold of its file system is reached, or is not any more; if it is news
 * and they want to know, hosts are told (38h/07h). Control lane. */
void volume_note_threshold(struct volume *volume, bool reached);
/* True if nobody may write through any nexus. */
bool volume_read_only(const struct volume *volume);

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
	/* Drains that wait for tasks == 0, one bit for each slot; until then
	 * the command set starts nothing new (volume_nexus_drained). */
	uint32_t draining;
	/* Of which reservation table `rights` are: see reservation_permits. */
	uint64_t rights_serial;
	uint8_t rights;
	/* Ends every task of the nexus early, as another nexus asks (`by_other`:
	 * TAS applies) or for the nexus itself; set by the command set. */
	void (*abort_tasks)(struct volume_nexus *nexus, bool by_other);
	/* The drain is over: what was held back may go on. May be NULL. */
	void (*wake)(struct volume_nexus *nexus);
	void *command_set;
	/* Where the command set counts; NULL: nowhere. */
	struct volume_page *page;
	TAILQ_ENTRY(volume_nexus) link;
};

/* On the nexus's lane. `host`: the name that its figures are counted under.
 * Closing needs tasks == 0. */
void volume_nexus_open(struct volume_nexus *nexus, const char *host);
void volume_nexus_close(struct volume_nexus *nexus);
/* For the command set, when `tasks` has fallen to 0 and `draining` is set. */
void volume_nexus_drained(struct volume_nexus *nexus);
/* PREVENT ALLOW MEDIUM REMOVAL of this nexus. */
void volume_nexus_prevent(struct volume_nexus *nexus, bool prevent);
/* True if it is the same port at the same target port. */
bool volume_initiator_same(
	const struct volume_initiator *a, const struct volume_initiator *b);

/* Adds an attention to one nexus (its lane); an equal one is not added twice;
 * when full, the last becomes 29h/00h (everything may have changed). */
void volume_nexus_attend(struct volume_nexus *nexus, uint16_t asc_ascq);
/* True if the host is owed an attention; who sees that tells the first. */
bool volume_nexus_owed(struct volume_nexus *nexus);
/* Takes the first attention out, which the host is told now. */
uint16_t volume_nexus_told(struct volume_nexus *nexus);
/* Takes one out that needs no telling any more. */
void volume_nexus_forget(struct volume_nexus *nexus, uint16_t asc_ascq);

/* From any lane. */
void volume_on_control(struct volume *volume, struct volume_call *call);
/* Posts `message` to the loop of `lane`, whose thread may be another. */
static inline void volume_answer(
	struct block_lane *lane, struct loop_message *message)
{
	loop_post(lane->loop, message);
}

#endif
