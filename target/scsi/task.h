/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the device server share: logical units, the states of a
 * task, how a command ends, how it reaches the block core.
 *
 *	BEGUN --execute--> [BLOCKED] --> RUNNING --finish--> (FINISHED) --> done
 *
 * A task that ends inside of a call of the transport waits in FINISHED for the
 * loop's next turn; one that ends in a completion is done at once.
 */
#ifndef TARGET_SCSI_TASK_H
#define TARGET_SCSI_TASK_H

#include "blockcore/base/list.h"
#include "target/scsi/command.h"
#include "target/scsi/sense.h"

enum scsi_state {
	SCSI_BEGUN, /* the transport gets a buffer and data */
	SCSI_BLOCKED, /* waits for its order in the unit, or for a drain */
	SCSI_RUNNING,
	SCSI_FINISHED, /* `done` follows in the next turn */
	SCSI_CONCLUDED, /* the transport's again: on no list */
};

/* One LUN as one nexus sees it. */
struct scsi_logical_unit {
	struct volume_nexus nexus; /* the first member */
	struct scsi_nexus *owner;
	/* What its requests go through: an alias of nexus.volume, or that itself. */
	struct volume *way, *next_way; /* next: as read_only */
	uint16_t lun;
	bool read_only; /* as the export says that is applied next (nexus.c) */
	uint32_t ordered; /* tasks begun and not done that are ORDERED */
	uint32_t blocked;
	struct scsi_logical_unit *next_retiring;
};

TAILQ_HEAD(scsi_waiters, scsi_task);

struct scsi_private {
	struct scsi_nexus *nexus;
	struct scsi_task_list finished;
	struct loop_message message; /* runs what is finished, retires */
	bool posted;
	unsigned inside; /* calls of the transport we are in */
	/* Units that leave (refresh or close), and the order that drops the
	 * reservation of the first. */
	struct scsi_logical_unit *retiring;
	struct reservation_order order;
	bool ordering;
	struct scsi_waiters waiters; /* for space, see space_wait.h */
	unsigned waiting;
	struct loop_timer space_timer;
	struct access_table *old_table;
	void (*refreshed)(struct scsi_nexus *nexus);
	void (*closed)(struct scsi_nexus *nexus);
};

static inline struct scsi_logical_unit *scsi_unit(const struct scsi_task *task)
{
	return (struct scsi_logical_unit *)task->logical_unit;
}

static inline struct volume *scsi_volume(const struct scsi_task *task)
{
	return task->logical_unit->volume;
}

static inline struct volume *scsi_way(const struct scsi_task *task)
{
	return scsi_unit(task)->way;
}

static inline uint32_t scsi_block_bytes(const struct scsi_task *task)
{
	return scsi_volume(task)->settings.block_bytes;
}

/* -- task.c ----------------------------------------------------------------*/

/* Ends a running task with the status it has. */
void scsi_finish(struct scsi_task *task);
/* Ends tasks early; see the states. */
void scsi_task_abort(struct scsi_task *task, bool by_other);
void scsi_unit_abort(struct volume_nexus *nexus, bool by_other);
/* Blocked tasks of the unit may go on now. */
void scsi_unit_wake(struct volume_nexus *nexus);
/* Has the nexus settle in the next turn: what is finished is concluded. */
void scsi_nexus_post(struct scsi_nexus *nexus);
void scsi_nexus_conclude(struct scsi_nexus *nexus);

/* -- measure.c ------------------------------------------------------------ */

/* Sets lba, blocks, direction, data_bytes. False, with sense: the CDB is wrong in
 * what all commands share, or moves too much. */
bool scsi_measure(struct scsi_task *task);

/* -- figures.c ------------------------------------------------------------ */

/* Its header is here, and it is known: before the others. The task runs from now on;
 * its status is set. */
void scsi_figures_arrive(struct scsi_task *task);
void scsi_figures_begin(struct scsi_task *task);
void scsi_figures_end(struct scsi_task *task);

/* -- format.c ------------------------------------------------------------- */

/* The task that formats its volume has ended, however. */
void scsi_format_end(struct scsi_task *task);

/* -- space_wait.c --------------------------------------------------------- */

/* A task that waits for space ends, its `done` in the next turn. False: it does
 * not wait. */
bool scsi_space_abort(struct scsi_task *task);

/* -- port_groups.c -------------------------------------------------------- */

/* Why commands for the medium end with NOT READY by the way that the nexus came in
 * (04h/0Ah..0Ch); ASC_NONE: they do not. */
uint16_t scsi_path_code(const struct volume_nexus *nexus);
/* INQUIRY's peripheral qualifier is 001b by this way. */
bool scsi_path_unavailable(const struct volume_nexus *nexus);
bool scsi_path_permits(struct scsi_task *task);
/* False, with sense, unless the command may be done by the way that it came. */
static inline bool scsi_check_path(struct scsi_task *task)
{
	return !(volume_flags(scsi_volume(task)) & VOLUME_PATHS_LIMITED) ||
		scsi_path_permits(task);
}

/* -- manage.c ------------------------------------------------------------- */

/* Answers that function and those after it in the list, in the next turn. */
void scsi_manage_answer(struct scsi_management *management);

/* -- nexus.c -------------------------------------------------------------- */

/* The unit that the LUN of a task addresses, NULL if there is none. */
struct scsi_logical_unit *scsi_unit_find(
	const struct scsi_nexus *nexus, const uint8_t *lun);

/* -- medium.c ------------------------------------------------------------- */

/* Blocks of the volume now; 0 while it is offline. */
uint64_t scsi_capacity_blocks(const struct scsi_task *task);
/* False, with sense, unless `blocks` blocks from `lba` are there. */
bool scsi_check_range(struct scsi_task *task, uint64_t lba, uint64_t blocks);
/* The same of what the CDB names. */
bool scsi_check_blocks(struct scsi_task *task);
/* False, with sense, unless the host announced and sent exactly the data-out
 * that the CDB asks for: for commands that make no sense of less or more. */
bool scsi_check_data(struct scsi_task *task);
/* The same, of what it has announced. */
bool scsi_check_expected(struct scsi_task *task);
/* Data-out blocks that really came. */
uint64_t scsi_blocks_received(const struct scsi_task *task);
/* The CDB has a FUA bit, and it is set. */
bool scsi_fua_asked(const struct scsi_task *task);
/* A change is to be durable before its status: FUA, or there is no write cache. */
bool scsi_fua(const struct scsi_task *task);
/* True once, of a task that succeeds: the write cache went while it ran, too late for
 * FUA, and what it has changed must be durable before its status. */
bool scsi_owes_flush(struct scsi_task *task);
/* False, with sense, while the volume is being formatted; while it is offline,
 * has no medium or has failed. */
bool scsi_check_format(struct scsi_task *task);
bool scsi_check_ready(struct scsi_task *task);
bool scsi_write_protected(const struct volume_nexus *nexus);
/* One request to the source, over task->iov; for BLOCK_EXTENTS the answer's struct
 * is at the start of the scratch buffer. `done` runs later. */
void scsi_submit(struct scsi_task *task, enum block_opcode op, unsigned flags,
	uint64_t offset_bytes, uint64_t length_bytes, unsigned iovs,
	void (*done)(struct block_request *request));
/* The same request once more, which has ended; task->space_done gets it if it cannot
 * be submitted. */
void scsi_submit_again(struct scsi_task *task);
static inline struct scsi_task *scsi_task_of(struct block_request *request)
{
	return container_of(request, struct scsi_task, block);
}
/* Makes durable what is cached, and finishes the task; read_write.c. */
void scsi_flush(struct scsi_task *task);
/* A buffer of the task's own, put when it is done. False: none is left, and the
 * task's status is BUSY. Never waits: who waits while holding could deadlock. */
bool scsi_scratch(struct scsi_task *task, uint32_t bytes);

/* -- handlers of the table, by file --------------------------------------- */

typedef void scsi_execute_fn(struct scsi_task *task);
typedef bool scsi_check_fn(struct scsi_task *task);
typedef uint32_t scsi_reply_fn(struct scsi_task *task, uint8_t *to);

scsi_execute_fn scsi_read, scsi_write, scsi_synchronize; /* read_write.c */
scsi_execute_fn scsi_verify, scsi_write_and_verify; /* verify.c */
scsi_execute_fn scsi_write_same; /* write_same.c */
scsi_execute_fn scsi_unmap; /* unmap.c */
scsi_execute_fn scsi_compare_and_write; /* compare_and_write.c */
scsi_execute_fn scsi_or_write, scsi_pre_fetch; /* or_write.c */
scsi_execute_fn scsi_lba_status; /* lba_status.c */
scsi_execute_fn scsi_format_unit; /* format.c */
scsi_execute_fn scsi_test_unit_ready, scsi_start_stop, scsi_prevent_allow;
scsi_execute_fn scsi_mode_select; /* mode_select.c */
scsi_execute_fn scsi_reserve, scsi_release; /* reserve_legacy.c */
scsi_execute_fn scsi_persistent_out; /* reserve.c */
scsi_execute_fn scsi_send_diagnostic; /* diagnostic.c */
scsi_check_fn scsi_check_write_and_verify, scsi_check_write_same;
scsi_check_fn scsi_check_compare, scsi_check_unmap, scsi_check_format_unit;
scsi_check_fn scsi_check_mode_select;
scsi_reply_fn scsi_inquiry; /* inquiry.c */
scsi_reply_fn scsi_read_capacity_10, scsi_read_capacity_16; /* capacity.c */
scsi_reply_fn scsi_mode_sense; /* mode.c */
scsi_reply_fn scsi_request_sense, scsi_report_luns; /* report.c */
scsi_reply_fn scsi_report_timestamp; /* report.c */
scsi_reply_fn scsi_receive_diagnostic; /* diagnostic.c */
scsi_reply_fn scsi_supported_opcodes, scsi_supported_functions;
scsi_reply_fn scsi_target_port_groups; /* port_groups.c */
scsi_reply_fn scsi_persistent_in; /* reserve_report.c */
scsi_reply_fn scsi_log_sense; /* log.c */

#endif
