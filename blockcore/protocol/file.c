/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: raw bits in a regular file or on a block device. This part:
 * options, figures, and the table of operations.
 *
 *	cache:		direct		writeback	writethrough
 *	opened with	O_DIRECT (1)	page cache	page cache
 *	write cache bit	on		on		off
 *	FLUSH		fdatasync	fdatasync	fdatasync
 *	FUA		RWF_DSYNC	write, then	every change is
 *					fdatasync	FUA
 *
 *	(1) Where the file system has it and the file's size is a multiple of
 *	    its alignment; otherwise as writeback, which the status shows.
 *
 * In the page cache a durable write is followed by the one fdatasync of all
 * lanes rather than made with RWF_DSYNC: two lanes that sync beside each other
 * could take a write-back error from each other (file_flush.c).
 *
 * Invariant: an acknowledged write is in the file; what an acknowledged FLUSH or
 * FUA covers is on the medium, as far as the file system tells the truth.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/kinds.h"

#include <errno.h>
#include <stdio.h>

static const char *const cache_names[] = {
	"direct", "writeback", "writethrough", NULL};

#define FIELD(name) offsetof(struct file_options, name)
static const struct opt_spec options[] = {
	{.name = "path",
		.type = OPT_STRING,
		.offset = FIELD(path),
		.max = 4000,
		.help = "file, relative to the data directory, or /dev/..."},
	{.name = "size",
		.type = OPT_SIZE,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(size_bytes),
		.min = BLOCK_SECTOR_BYTES,
		.max = INT64_MAX,
		.help = "if the file is absent, make a sparse one this large"},
	{.name = "preallocate",
		.type = OPT_BOOL,
		.offset = FIELD(preallocate),
		.fallback = "false",
		.help = "a file that is made gets all its space at once"},
	{.name = "must_exist",
		.type = OPT_BOOL,
		.offset = FIELD(must_exist),
		.fallback = "false",
		.help = "make no file, whatever size says"},
	{.name = "cache",
		.type = OPT_ENUM,
		.offset = FIELD(cache),
		.choices = cache_names,
		.fallback = "direct",
		.help = "what holds writes until a flush"},
	{.name = "read_only",
		.type = OPT_BOOL,
		.offset = FIELD(read_only),
		.fallback = "false",
		.help = "open for reading only"},
	{.name = "locking",
		.type = OPT_BOOL,
		.offset = FIELD(locking),
		.fallback = "true",
		.help = "keep others (QEMU, another daemon) from changing it"},
	OPT_END};

/* -- requests ------------------------------------------------------------- */

static const struct {
	void (*start)(struct file_io *io);
	bool changes;
} operations[BLOCK_OPCODES] = {
	[BLOCK_READ] = {file_move_read, false},
	[BLOCK_WRITE] = {file_move_write, true},
	[BLOCK_WRITE_ZEROES] = {file_zero_start, true},
	[BLOCK_DISCARD] = {file_zero_start, true},
	[BLOCK_FLUSH] = {file_flush_join, false},
	[BLOCK_EXTENTS] = {file_extents_start, false},
};

/* How a change becomes durable before it completes, if it has to. */
static void choose_durability(struct file_io *io)
{
	const struct file_options *o = io->file->driver.options;
	bool durable = (io->request->flags & BLOCK_FUA) ||
		o->cache == FILE_WRITETHROUGH;

#ifdef CAIRN_MUTANT_NO_FUA /* must not pass tests/sim/test_power_cut */
	durable = false;
#endif
	if (durable && io->file->file->direct && io->request->op == BLOCK_WRITE)
		io->ring_flags = RING_DSYNC;
	else
		io->flush_after = durable;
}

static void io_init(struct file_io *io, struct file_lane *lane,
	struct block_request *request)
{
	io->file = lane->file;
	io->lane = lane;
	io->request = request;
	io->ring_flags = 0;
	io->flush_after = false;
	io->writes = operations[request->op].changes;
	io->zeroes = false;
	io->position = request->offset_bytes;
	io->limit = request->offset_bytes + request->length_bytes;
	io->bounce.data = NULL;
	io->bounce.buf = NULL;
	io->lock.state = FILE_LOCK_NONE;
	io->lock.exclusive = false;
}

static void file_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct file_driver *file = (struct file_driver *)driver;
	struct file_lane *lane = block_driver_lane(driver, request->lane);
	struct file_io *io;

	if (file_flush_failed(file)) {
		block_complete(request, -EIO);
		return;
	}
	if (operations[request->op].changes && driver->info.read_only) {
		block_complete(request, -EROFS);
		return;
	}
	io = slab_get(&lane->ios);
	if (!io) {
		block_complete(request, -ENOMEM);
		return;
	}
	io_init(io, lane, request);
	if (io->writes)
		choose_durability(io);
	operations[request->op].start(io);
}

/* -- lanes and figures ---------------------------------------------------- */

static int file_lane_start(struct block_driver *driver, struct block_lane *lane)
{
	struct file_lane *l = block_driver_lane(driver, lane);

	l->file = (struct file_driver *)driver;
	l->lane = lane;
	slab_init(&l->ios, sizeof(struct file_io), 0);
	file_lock_lane_init(l);
	return file_align_lane_init(l);
}

static void file_lane_stop(struct block_driver *driver, struct block_lane *lane)
{
	struct file_lane *l = block_driver_lane(driver, lane);
	struct file_driver *file = (struct file_driver *)driver;

	file_align_lane_fini(l);
	slab_fini(&l->ios);
	ring_forget_file(lane->ring, file->file);
}

static void file_status(struct block_driver *driver, FILE *out)
{
	struct file_driver *file = (struct file_driver *)driver;
	uint64_t bounced = 0, merged = 0, flushes = 0;
	unsigned i;

	for (i = 0; i < block_core_lanes(driver->core); i++) {
		struct file_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		bounced += counter_get(&lane->bounced);
		merged += counter_get(&lane->merged);
		flushes += counter_get(&lane->flushes);
	}
	fprintf(out, "\"file\": ");
	json_print_string(out, file->path);
	fprintf(out,
		", \"state\": \"%s\", \"direct\": %s, \"align_bytes\": %u, "
		"\"memory_align_bytes\": %u, \"block_device\": %s, "
		"\"bounced\": %llu, \"merged\": %llu, \"flushes\": %llu, "
		"\"syncs\": %llu",
		file_flush_failed(file) ? "failed" : "good",
		file->file->direct ? "true" : "false", file->align_bytes,
		file->memory_align_bytes,
		file->file->block_device ? "true" : "false",
		(unsigned long long)bounced, (unsigned long long)merged,
		(unsigned long long)flushes,
		(unsigned long long)counter_get(&file->flush.syncs));
}

const struct block_kind file_kind = {
	.name = "file",
	.help = "a regular file or a block device",
	.role = BLOCK_PROTOCOL,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_BOTTOM,
	.handles = BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) |
		BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH) |
		BLOCK_OP(BLOCK_EXTENTS),
	.options = options,
	.options_bytes = sizeof(struct file_options),
	.driver_bytes = sizeof(struct file_driver),
	.lane_bytes = sizeof(struct file_lane),
	.check = file_open_check,
	.look_co = file_open_look_co,
	.open_co = file_open_co,
	.close_co = file_open_close_co,
	.lane_start = file_lane_start,
	.lane_stop = file_lane_stop,
	.submit = file_submit,
	.resize_co = file_open_resize_co,
	.space_co = file_open_space_co,
	.file = file_open_file,
	.beside = file_beside,
	.status = file_status,
};
