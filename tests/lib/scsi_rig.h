/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the device server: one volume over a stack, seen by four hosts
 * whose sessions lie on different lanes, and commands that are waited for. The
 * test's body is a coroutine on lane 0; what it asks for runs on the lane of the
 * session and comes back.
 */
#ifndef TESTS_LIB_SCSI_RIG_H
#define TESTS_LIB_SCSI_RIG_H

#include "target/reservation/reservation.h"
#include "target/scsi/scsi.h"
#include "tests/lib/stack_rig.h"

#define SCSI_RIG_HOSTS 4u
#define SCSI_RIG_LANES 3u

struct scsi_rig {
	struct stack_rig *stack;
	struct block_source *source;
	struct volume *volume;
	struct access_table *table;
	struct scsi_nexus nexus[SCSI_RIG_HOSTS];
	/* What the store was given last, by kind: reservation, modepages. */
	struct volume_store store;
	struct scsi_rig_blob {
		char kind[16];
		uint8_t *data;
		size_t bytes;
	} blob[2];
	int store_result; /* of the next saves */
	bool store_holds; /* saves wait, one at a time; see scsi_rig_hold_store */
	struct co *storing; /* the save that waits */
};

struct scsi_rig_setup {
	const char *document; /* NULL: 4 MiB of mem */
	uint32_t block_bytes; /* 0: 512 */
	uint32_t physical_block_bytes; /* 0: the source's */
	uint32_t space_wait_s;
	bool read_only, removable, thick, without_store;
};

/* Opens all; each host's first attention (29h) is told already. */
void scsi_rig_open_co(struct scsi_rig *rig, struct stack_rig *stack,
	const struct scsi_rig_setup *setup);
void scsi_rig_close_co(struct scsi_rig *rig);
/* The same volume after a restart of the daemon: blobs restored. */
void scsi_rig_restart_co(
	struct scsi_rig *rig, const struct scsi_rig_setup *setup);
struct scsi_nexus *scsi_rig_login_co(struct scsi_rig *rig, unsigned host);
void scsi_rig_logout_co(struct scsi_rig *rig, unsigned host);
/* The host's exports become LUN 0 if `first` and LUN 1 if `second`, both the
 * volume. */
void scsi_rig_refresh_co(
	struct scsi_rig *rig, unsigned host, bool first, bool second);
/* The host may only read from now on. */
void scsi_rig_protect_co(struct scsi_rig *rig, unsigned host);

/* One command under way. */
struct scsi_rig_command {
	struct scsi_task task;
	const uint8_t *out;
	uint32_t out_bytes;
	struct loop_message message; /* there and back */
	struct co *waiter;
	bool done;
	uint8_t data[4096]; /* what came in */
};
/* Sends it: 16 bytes of `cdb`; `out` (may be NULL) stays until it is done. */
void scsi_rig_send(struct scsi_rig *rig, unsigned host,
	struct scsi_rig_command *command, const uint8_t *cdb, const void *out,
	uint32_t out_bytes);
/* The status. */
uint8_t scsi_rig_wait_co(struct scsi_rig_command *command);
uint8_t scsi_rig_do_co(struct scsi_rig *rig, unsigned host,
	struct scsi_rig_command *command, const uint8_t *cdb, const void *out,
	uint32_t out_bytes);
/* What the sense data says: key << 16 | ASC << 8 | ASCQ. */
uint32_t scsi_rig_sense(const struct scsi_rig_command *command);

/* A command with a CDB given as its bytes; checks the status. */
#define SCSI_RIG_CDB(...) ((const uint8_t[16]){__VA_ARGS__})
#define SCSI_RIG_GOOD(rig, host, command, ...) \
	CHECK_INT(scsi_rig_do_co((rig), (host), (command), \
			  SCSI_RIG_CDB(__VA_ARGS__), NULL, 0), \
		SCSI_GOOD)
#define SCSI_RIG_FAILS(rig, host, command, sense, ...) \
	do { \
		CHECK_INT(scsi_rig_do_co((rig), (host), (command), \
				  SCSI_RIG_CDB(__VA_ARGS__), NULL, 0), \
			SCSI_CHECK_CONDITION); \
		CHECK_INT(scsi_rig_sense(command), (sense)); \
	} while (0)

/* Waits until every lane has done what it was asked before. */
void scsi_rig_settle_co(struct scsi_rig *rig);
/* Task management, to its end; returns the response. */
uint8_t scsi_rig_manage_co(struct scsi_rig *rig, unsigned host,
	uint8_t function, struct scsi_task *task);
/* The same in two steps, one at a time. */
void scsi_rig_manage(struct scsi_rig *rig, unsigned host, uint8_t function,
	struct scsi_task *task);
uint8_t scsi_rig_managed_co(void);
/* The next save does not come back before scsi_rig_release_store. */
void scsi_rig_hold_store(struct scsi_rig *rig);
/* Until a save is held. */
void scsi_rig_await_store_co(struct scsi_rig *rig);
void scsi_rig_release_store(struct scsi_rig *rig);
/* A verb of the listener named `fault`. */
void scsi_rig_fault_co(
	struct scsi_rig *rig, const char *verb, const char *arguments);

#endif
