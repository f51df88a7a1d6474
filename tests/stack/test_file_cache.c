/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of cache modes in blockcore/protocol/file.c, row by row, by what is done and
 * not by what is said: flags as the kernel has them, what a power cut could take, how
 * many fdatasyncs were needed, and what hosts see of it as their write cache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/scsi_rig.h"
#include "tests/lib/stack_sim.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH "data/disk" /* in the simulator */
#define KIB 1024u

static const struct mode {
	const char *name;
	bool direct, write_cache;
} modes[] = {{"direct", true, true}, {"writeback", false, true},
	{"writethrough", false, false}};
#define MODES (sizeof modes / sizeof *modes)

static struct block_source *open_co(
	struct stack_rig *rig, const char *cache, const char *more)
{
	char document[128];

	snprintf(document, sizeof document,
		"protocol: {type: file, path: disk, size: 8M, cache: %s%s}",
		cache, more);
	return stack_rig_source_co(rig, document);
}

/* -- flags ---------------------------------------------------------------- */

/* The flags of the open file of this path (proc(5): fdinfo, octal). */
static unsigned flags_of(const char *path)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned flags = 0, found = 0;
	char target[512], name[64], line[128];

	CHECK(folder != NULL);
	while ((entry = readdir(folder))) {
		ssize_t bytes = readlinkat(dirfd(folder), entry->d_name, target,
			sizeof target - 1);
		FILE *in;

		if (bytes < 0)
			continue;
		target[bytes] = '\0';
		if (strcmp(target, path) != 0)
			continue;
		snprintf(name, sizeof name, "/proc/self/fdinfo/%.16s",
			entry->d_name);
		in = fopen(name, "re");
		CHECK(in != NULL);
		while (fgets(line, sizeof line, in))
			found += sscanf(line, "flags: %o", &flags) == 1;
		fclose(in);
	}
	closedir(folder);
	CHECK_INT(found, 1);
	return flags;
}

/* Asked of the file system without us. */
static bool has_direct(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void check_flags(const char *path, bool direct, bool read_only)
{
	unsigned flags = flags_of(path);

	CHECK_INT((flags & O_DIRECT) != 0, direct && has_direct(path));
	CHECK_INT(flags & O_ACCMODE, read_only ? O_RDONLY : O_RDWR);
	CHECK(flags & O_CLOEXEC);
	CHECK(!(flags & (O_SYNC | O_DSYNC | O_APPEND)));
}

static void flags_co(struct stack_rig *rig, void *argument)
{
	char path[256], real[PATH_MAX];

	(void)argument;
	for (unsigned i = 0; i < 2 * MODES; i++) {
		const struct mode *mode = &modes[i / 2];
		bool read_only = i % 2;
		struct block_source *source = open_co(
			rig, mode->name, read_only ? ", read_only: true" : "");

		snprintf(path, sizeof path, "%s/disk", rig->folder);
		CHECK(realpath(path, real) != NULL);
		check_flags(real, mode->direct, read_only);
		block_source_put_co(source);
	}
}

/* -- FUA and FLUSH -------------------------------------------------------- */

static const struct change {
	enum block_opcode op;
	uint64_t offset, length;
	bool data; /* written as data where O_DIRECT is: RWF_DSYNC */
} changes[] = {
	{BLOCK_WRITE, 0, 64 * KIB, true},
	{BLOCK_WRITE, 512, 1024, true}, /* through a bounce buffer, or not */
	{BLOCK_WRITE_ZEROES, 0, 64 * KIB, false},
	{BLOCK_WRITE_ZEROES, 512, 512, false},
	{BLOCK_DISCARD, 4 * KIB, 64 * KIB, false},
};

static void ask_co(struct stack_rig *rig, struct block_source *source,
	const struct change *change, unsigned flags, uint8_t *data)
{
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  change->op, flags, change->offset, change->length,
			  change->op == BLOCK_WRITE ? data : NULL),
		0);
}

/* One change: is it durable when it has completed, and by how many fdatasyncs? */
static void check_change_co(struct stack_rig *rig, struct block_source *source,
	const struct mode *mode, const struct change *change, unsigned flags)
{
	uint8_t *data = stack_rig_pattern(change->length, 3);
	uint64_t before = stack_rig_figure(source, "syncs"), syncs;
	bool durable = flags & BLOCK_FUA || !mode->write_cache;

	ask_co(rig, source, change, flags, data);
	CHECK_INT(sim_world_is_durable(rig->world, PATH), durable);
	syncs = stack_rig_figure(source, "syncs") - before;
	CHECK_INT(syncs, durable && !(mode->direct && change->data));
	CHECK_INT(block_transfer_co(source, block_core_lane(rig->core, 0),
			  BLOCK_FLUSH, 0, 0, 0, NULL),
		0);
	CHECK(sim_world_is_durable(rig->world, PATH));
	CHECK_INT(stack_rig_figure(source, "syncs") - before, syncs + 1);
	free(data);
}

static void durable_co(struct stack_rig *rig, void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < MODES; i++) {
		struct block_source *source = open_co(rig, modes[i].name, "");

		for (unsigned j = 0; j < sizeof changes / sizeof *changes; j++)
			for (unsigned fua = 0; fua < 2; fua++)
				check_change_co(rig, source, &modes[i],
					&changes[j], fua ? BLOCK_FUA : 0);
		block_source_put_co(source);
	}
}

/* -- what hosts see ------------------------------------------------------- */

static struct scsi_rig hosts;
static struct scsi_rig_command command;

/* WCE of page 08h: now (0), changeable (1), by default (2). */
static unsigned write_cache_co(unsigned control)
{
	SCSI_RIG_GOOD(&hosts, 0, &command, 0x1a, 8,
		(uint8_t)(control << 6 | 0x08), 0, 255);
	return command.data[4 + 2] >> 2 & 1;
}

static uint8_t set_write_cache_co(bool on)
{
	uint8_t list[24] = {[4] = 0x08, [5] = 0x12, [6] = on ? 4 : 0};

	return scsi_rig_do_co(&hosts, 0, &command,
		SCSI_RIG_CDB(0x15, 0x10, 0, 0, 24), list, 24);
}

/* There is no cache to switch on where nothing is cached; else there is one, until
 * a host switches it off, and then writes are durable with their status. */
static void bit_co(struct stack_rig *rig, void *argument)
{
	static const uint8_t block[512] = {1};

	(void)argument;
	for (unsigned i = 0; i < MODES; i++) {
		char document[128];
		struct scsi_rig_setup setup = {.document = document};

		snprintf(document, sizeof document,
			"protocol: {type: file, path: disk, size: 8M, "
			"cache: %s}",
			modes[i].name);
		scsi_rig_open_co(&hosts, rig, &setup);
		for (unsigned control = 0; control < 3; control++)
			CHECK_INT(
				write_cache_co(control), modes[i].write_cache);
		CHECK_INT(set_write_cache_co(true),
			modes[i].write_cache ? SCSI_GOOD
					     : SCSI_CHECK_CONDITION);
		if (!modes[i].write_cache)
			CHECK_INT(scsi_rig_sense(&command), 0x052600);
		CHECK_INT(set_write_cache_co(false), SCSI_GOOD);
		CHECK_INT(write_cache_co(0), 0);
		CHECK_INT(scsi_rig_do_co(&hosts, 0, &command,
				  SCSI_RIG_CDB(0x2a, [8] = 1), block, 512),
			SCSI_GOOD);
		CHECK(sim_world_is_durable(rig->world, PATH));
		scsi_rig_close_co(&hosts);
	}
}

/* -- the table ------------------------------------------------------------ */

#define SIMULATED(body, align) \
	STACK_RIG_CASE(body, align, .world = "simulated", .lanes = 3, \
		.seed = 1, .direct_align_bytes = align)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE(
			flags_co, io_uring, .world = "io_uring", .lanes = 2),
		STACK_RIG_CASE(
			flags_co, threads, .world = "threads", .lanes = 2),
		SIMULATED(durable_co, 512),
		SIMULATED(durable_co, 4096),
		SIMULATED(bit_co, 512),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
