/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SCSI device server: command table, sense, task management. Transports
 * (iSCSI now) hand in tasks; block requests come out below.
 *
 * A task's way
 *	scsi_task_begin      looks the CDB up, says direction and length
 *	(transport)          gets a buffer of that length from the lane's pool, waits
 *			     if there is none, receives data-out into it
 *	scsi_task_execute    checks attentions, reservations, readiness; runs it
 *	task->done           status, sense, in_bytes are set; never inside a call
 *
 * Invariants
 *  1. One lane: task, nexus and transport live on the session's lane.
 *  2. A task completes exactly once, also when aborted (status then is
 *     SCSI_ABORTED and the transport sends nothing, or TASK ABORTED with TAS).
 *  3. Nothing is allocated per task: it is embedded in the transport's own
 *     object and carries its block requests.
 *  4. An aborted task that was begun and not yet executed is done at once: the
 *     transport must be able to take `done` (SCSI_ABORTED, or TASK ABORTED) while
 *     it waits for a buffer or for data, and forgets the task then.
 *  5. Every field of a CDB and of a parameter list is checked before use; bytes
 *     beyond what the host sent are never read.
 */
#ifndef TARGET_SCSI_SCSI_H
#define TARGET_SCSI_SCSI_H

#include "blockcore/base/buf.h"
#include "target/volume/access.h"
#include "target/volume/volume.h"

#define SCSI_MAX_TRANSFER_BYTES BUF_MAX_BYTES /* VPD B0h */
#define SCSI_SENSE_BYTES 64u
#define SCSI_CDB_BYTES 32u

enum scsi_status { /* SAM-5 5.3.1 */
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_TASK_ABORTED = 0x40,
	SCSI_ABORTED = 0xff, /* ours: ended by task management, no answer */
};

enum scsi_attribute {
	SCSI_UNTAGGED,
	SCSI_SIMPLE,
	SCSI_ORDERED,
	SCSI_HEAD,
	SCSI_ACA
};

enum scsi_direction { SCSI_NO_DATA, SCSI_DATA_IN, SCSI_DATA_OUT };

struct reservation_order;
struct scsi_command;
struct scsi_management;
struct scsi_nexus;

struct scsi_task {
	/* set by the transport before scsi_task_begin */
	struct scsi_nexus *nexus;
	uint8_t lun[8]; /* SAM-5 4.7.7, as on the wire */
	uint8_t cdb[SCSI_CDB_BYTES];
	uint8_t cdb_bytes; /* 6..32 */
	uint8_t attribute;
	uint32_t tag; /* initiator task tag */
	uint32_t expected_bytes; /* data-out that the host has announced */
	void (*done)(struct scsi_task *task);

	/* answered by scsi_task_begin */
	uint8_t direction;
	uint32_t data_bytes; /* to be moved by the CDB; <= MAX_TRANSFER */

	/* set by the transport before scsi_task_execute */
	/* from the lane's pool (so at least 4 KiB), capacity >= data_bytes;
	 * NULL if that is 0 */
	struct buf *data;
	uint32_t out_received; /* data-out bytes that really came */

	/* the result */
	uint8_t status;
	uint8_t sense_bytes;
	uint32_t in_bytes; /* valid in data */
	uint8_t sense[SCSI_SENSE_BYTES];

	/* the device server's */
	const struct scsi_command *command;
	struct volume_nexus *logical_unit; /* NULL: no such LUN */
	uint8_t state; /* enum scsi_state, task.h */
	bool aborted, aborted_by_other, submitted;
	bool counted; /* in figures: begun and not ended */
	bool timed; /* one of few: since when it is in its layer now */
	bool formats; /* the volume; scsi_format_end when it is done */
	bool cached; /* has changed blocks without FUA, and not flushed since */
	bool waits_for_space; /* see space_wait.h, as of what is named space_... */
	uint8_t operation; /* enum volume_op, if it has a logical unit */
	uint8_t step;
	uint64_t lba, blocks, position;
	uint64_t changed_bytes; /* asked of the source: written, discarded */
	uint64_t begun_ns; /* while counted */
	uint64_t timed_ns; /* while timed */
	uint32_t piece_bytes;
	struct iovec iov[2];
	struct buf *scratch;
	struct reservation_order *order; /* of a reservation, under way */
	struct scsi_management
		*awaited_by; /* ABORT TASK: answered at the end */
	struct block_request block;
	TAILQ_ENTRY(scsi_task) link;
	uint64_t space_deadline_ns; /* 0: it was not refused yet */
	void (*space_done)(struct block_request *request);
	TAILQ_ENTRY(scsi_task) space_link;
};

/* An I_T nexus: one session of a host with a target. */
struct scsi_nexus {
	struct block_lane *lane;
	const struct access_target *target;
	const struct access_host *host;
	struct access_table *table; /* a reference */
	struct volume_initiator initiator;
	struct scsi_logical_unit **unit; /* each LUN the host sees, ascending */
	unsigned units;
	TAILQ_HEAD(scsi_task_list, scsi_task) tasks; /* begun and not done */
	struct scsi_private *private;
};

/* Fills nexus->unit from the table; `lane`, `target`, `host`, `table` and
 * `initiator` are set by the caller. Each unit starts with the attention
 * 29h/00h..07h that SAM-5 owes a new nexus. */
int scsi_nexus_open(struct scsi_nexus *nexus, struct err *err);
/* Aborts what runs; `closed` is called on the lane when the last task is done
 * and old reservations of the nexus are dropped. */
void scsi_nexus_close(
	struct scsi_nexus *nexus, void (*closed)(struct scsi_nexus *nexus));

/* The host's exports have changed: takes a reference of `table` over, in which
 * `target` and `host` are the same ones as before; new units appear, those that
 * are gone end (tasks aborted); the host is told (06h/3Fh/0Eh). `done` is called
 * on the lane when the old table is let go; one at a time. -ENOMEM: nothing has
 * changed and `done` is not called. */
int scsi_nexus_refresh(struct scsi_nexus *nexus, struct access_table *table,
	const struct access_target *target, const struct access_host *host,
	void (*done)(struct scsi_nexus *nexus));

/* True if one of its units is `volume`; on the lane. */
bool scsi_nexus_sees(
	const struct scsi_nexus *nexus, const struct volume *volume);

/* False: the task is complete already (status is set; `done` is not called). */
bool scsi_task_begin(struct scsi_task *task);
void scsi_task_execute(struct scsi_task *task);
/* For a task that was begun and will not be executed (the transport failed to
 * get its data). `done` is not called. */
void scsi_task_drop(struct scsi_task *task);
/* The same, with a status that the host gets (BUSY, TASK SET FULL). */
void scsi_task_refuse(struct scsi_task *task, enum scsi_status status);
/* Completes a task that was begun with CHECK CONDITION, as protocol errors owe:
 * no `done`. */
void scsi_task_fail(struct scsi_task *task, uint8_t key, uint16_t asc_ascq);

enum scsi_function { /* RFC 7143 11.5.1 */
	SCSI_ABORT_TASK = 1,
	SCSI_ABORT_TASK_SET,
	SCSI_CLEAR_ACA,
	SCSI_CLEAR_TASK_SET,
	SCSI_LUN_RESET,
	SCSI_TARGET_WARM_RESET,
	SCSI_TARGET_COLD_RESET,
};
enum scsi_response { /* RFC 7143 11.6.1 */
	SCSI_FUNCTION_COMPLETE = 0,
	SCSI_NO_TASK = 1,
	SCSI_NO_LUN = 2,
	SCSI_NOT_SUPPORTED = 5,
	SCSI_REJECTED = 255,
};

/* Task management; embedded by the caller. `done` runs on the lane when every
 * affected task has ended. */
struct scsi_management {
	struct scsi_nexus *nexus;
	uint8_t function;
	uint8_t lun[8];
	struct scsi_task *task; /* ABORT TASK; NULL: the transport found none */
	uint8_t response;
	void (*done)(struct scsi_management *management);
	/* the device server's */
	struct volume_call call;
	struct access_table *table;
	const struct access_target *target;
	const struct access_host *host;
	struct volume *volume;
	struct scsi_management *next; /* that awaits the same task */
};
void scsi_manage(struct scsi_management *management);
/* True if two LUNs of 8 bytes name the same unit, in whatever form (SAM-5 4.7). */
bool scsi_lun_same(const uint8_t *one, const uint8_t *other);

#endif
