/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file: opening, closing, resizing. What may block runs on the
 * worker pool, so that a file system that hangs holds nobody but who asked.
 *
 * Invariants
 *  1. A path stays inside the data directory, or names a device in /dev.
 *  2. A size is durable before anybody is told of it.
 *  3. A file that ends within a sector is shown with all of that sector; what
 *     is behind its end reads as zeroes (file_move.c).
 *  4. A file that was made for what failed then goes; one that was there before
 *     the driver was opened never does.
 */
#include "blockcore/protocol/file.h"

#include "blockcore/base/log.h"
#include "blockcore/core/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Permissions of ring_file_lock. */
enum { MAY_READ = 1, MAY_WRITE = 2, MAY_RESIZE = 8 };

#define DISCARD_GRANULARITY_BYTES 4096u

/* -- opening -------------------------------------------------------------- */

struct file_opening {
	struct file_driver *file;
	struct err *err;
	uint64_t size_bytes; /* of a resize */
};

/* "a/../b", "/etc/x" and "" name nothing in the data directory. */
static int check_path(const char *path, struct err *err)
{
	const char *part = path, *end;

	if (!*part)
		return err_set(err, EINVAL, "is empty");
	for (; part; part = end ? end + 1 : NULL) {
		end = strchr(part, '/');
		if (!strncmp(part, "..", 2) && (part[2] == '/' || !part[2]))
			return err_set(err, EINVAL,
				"%s: a path must not contain '..'", path);
	}
	if (*path == '/' && strncmp(path, "/dev/", 5))
		return err_set(err, EINVAL,
			"%s: lies outside of the data directory; give a path "
			"relative to it, or a device in /dev",
			path);
	return 0;
}

int file_open_check(const struct doc *map, const void *options, struct err *err)
{
	const struct file_options *o = options;
	const struct doc *preallocate = doc_find(map, "preallocate");
	struct err why = {0};

	if (check_path(o->path, &why))
		return doc_error(
			doc_find(map, "path"), err, why.code, "%s", why.text);
	if (!o->preallocate)
		return 0;
	if (!o->size_bytes || o->read_only || *o->path == '/')
		return doc_error(preallocate, err, EINVAL,
			"is for a file that is made; give its size, and not "
			"read_only");
	return 0;
}

static int make_path(struct block_core *core, const struct file_options *o,
	char **path, struct err *err)
{
	int error = check_path(o->path, err);

	*path = NULL;
	if (error)
		return error;
	if (*o->path == '/')
		*path = strdup(o->path);
	else if (asprintf(path, "%s/%s", block_core_data_directory(core),
			 o->path) < 0)
		*path = NULL;
	return *path ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Whether the file is made if it is not there. */
static bool may_make(const struct file_options *o)
{
	return o->size_bytes && !o->must_exist && !o->read_only &&
		*o->path != '/';
}

/* Nothing is there: what is to be done about it? */
static int refuse_absent(
	const struct file_options *o, const char *path, struct err *err)
{
	if (*o->path == '/')
		return err_set(
			err, ENOENT, "%s: no such device; connect it", path);
	if (o->must_exist)
		return err_set(err, ENOENT,
			"%s: no such file; an empty one is not made in its "
			"place, as it must exist: bring it back",
			path);
	if (o->size_bytes && !o->read_only)
		return err_set(err, ENOENT,
			"%s: cannot be made, its folder does not exist; make "
			"the folder",
			path);
	return err_set(err, ENOENT,
		"%s: no such file; create it, or give size: to have it made",
		path);
}

static int open_with(struct file_driver *file, unsigned flags, struct err *err)
{
	const struct file_options *o = file->driver.options;
	int result;

	if (!o->read_only)
		flags |= RING_OPEN_WRITABLE;
	if (may_make(o))
		flags |= RING_OPEN_CREATE |
			(o->preallocate ? RING_OPEN_PREALLOCATE : 0u);
	result = ring_file_open(block_core_world(file->driver.core), file->path,
		flags, o->size_bytes, &file->file, err);
	if (!result)
		file->made |= file->file->made;
	return result == -ENOENT ? refuse_absent(o, file->path, err) : result;
}

/* `wanted`: a file that was made for this stays. */
static void close_file(struct file_driver *file, bool wanted)
{
	if (!wanted && file->made)
		ring_file_unmake(file->file);
	ring_file_close(file->file);
	file->file = NULL;
}

static int lock_file(
	struct ring_file *file, const struct file_options *o, struct err *err)
{
	if (!o->locking)
		return 0;
	return ring_file_lock(file,
		o->read_only ? MAY_READ : MAY_READ | MAY_WRITE | MAY_RESIZE,
		MAY_WRITE | MAY_RESIZE, err);
}

static int check_opened(struct file_driver *file, struct err *err)
{
	const struct file_options *o = file->driver.options;

	if (*o->path == '/' && !file->file->block_device)
		return err_set(
			err, EINVAL, "%s: is not a block device", o->path);
	if (file->file->size_bytes < BLOCK_SECTOR_BYTES)
		return err_set(err, EINVAL,
			"%s: is empty; make it at least 512 bytes large",
			file->path);
	/* A format may let it grow. */
	if (file->file->size_bytes < o->size_bytes)
		log_warning(file->path, "size",
			"it has %llu bytes, size: says %llu; that counts for "
			"a file that is made, one that is there is left as it "
			"is",
			(unsigned long long)file->file->size_bytes,
			(unsigned long long)o->size_bytes);
	return lock_file(file->file, o, err);
}

/* On the worker pool. */
static int open_work(void *argument)
{
	struct file_opening *opening = argument;
	struct file_driver *file = opening->file;
	const struct file_options *o = file->driver.options;
	bool direct = o->cache == FILE_DIRECT;
	int result;

	result = open_with(
		file, direct ? RING_OPEN_TRY_DIRECT : 0, opening->err);
	if (!result &&
		file->file->size_bytes % file->file->direct_align_bytes) {
		/* The last block cannot be reached with O_DIRECT. */
		log_warning(file->path, "cache",
			"size %llu is no multiple of %u: opened without "
			"O_DIRECT",
			(unsigned long long)file->file->size_bytes,
			file->file->direct_align_bytes);
		ring_file_close(file->file);
		file->file = NULL;
		result = open_with(file, 0, opening->err);
	}
	if (result)
		return result;
	result = check_opened(file, opening->err);
	if (result)
		close_file(file, false);
	else
		file->print = block_image_print(file->path);
	return result;
}

static int close_work(void *argument)
{
	struct file_driver *file = argument;

	close_file(file, !file->driver.unwanted);
	return 0;
}

static void set_info(struct file_driver *file)
{
	const struct file_options *o = file->driver.options;
	const struct ring_file *f = file->file;
	uint32_t sector_mask = BLOCK_SECTOR_BYTES - 1;

	file->align_bytes = f->direct_align_bytes;
	file->memory_align_bytes = f->memory_align_bytes;
	file->driver.info = (struct block_info){
		.size_bytes =
			(f->size_bytes + sector_mask) & ~(uint64_t)sector_mask,
		.physical_block_bytes =
			f->direct_align_bytes > BLOCK_SECTOR_BYTES
			? f->direct_align_bytes
			: BLOCK_SECTOR_BYTES,
		.discard_bytes = f->can_punch ? DISCARD_GRANULARITY_BYTES : 0,
		.ops = BLOCK_OPS_DATA | BLOCK_OP(BLOCK_WRITE_ZEROES) |
			BLOCK_OP(BLOCK_DISCARD) | BLOCK_OP(BLOCK_FLUSH) |
			BLOCK_OP(BLOCK_EXTENTS),
		.read_only = o->read_only,
		.volatile_cache = o->cache != FILE_WRITETHROUGH,
		.rotational = f->rotational,
	};
}

int file_open_co(struct block_driver *driver, struct err *err)
{
	struct file_driver *file = (struct file_driver *)driver;
	struct file_opening opening = {.file = file, .err = err};
	struct loop *loop = block_core_lane(driver->core, 0)->loop;
	int result = make_path(driver->core, driver->options, &file->path, err);

	if (!result)
		result = loop_work_co(loop, open_work, &opening);
	if (result) {
		free(file->path);
		return result;
	}
	set_info(file);
	file_flush_init(file);
	file_lock_init(file);
	return 0;
}

/* -- looking -------------------------------------------------------------- */

struct file_look {
	struct block_core *core;
	const struct file_options *options;
	char *path;
	struct err *err;
};

/* It would be made: in a folder that is there. */
static int look_at_folder(const struct file_look *look)
{
	const struct file_options *o = look->options;
	char *slash = strrchr(look->path, '/');

	/* A world of its own (the simulator's) has no folders. */
	if (access(block_core_data_directory(look->core), F_OK))
		return 0;
	*slash = 0;
	bool there = !access(look->path, F_OK);
	*slash = '/';
	return there ? 0 : refuse_absent(o, look->path, look->err);
}

/* On the worker pool. The lock is gone with the file: who opens it at that very
 * moment is told that it is in use, as by anybody who looks. */
static int look_work(void *argument)
{
	const struct file_look *look = argument;
	const struct file_options *o = look->options;
	bool writes = !o->read_only && *o->path != '/';
	struct ring_file *file;
	struct err why = {0};
	int result = ring_file_open(block_core_world(look->core), look->path,
		writes ? RING_OPEN_WRITABLE : 0, 0, &file, &why);

	if (result == -ENOENT)
		return may_make(o) ? look_at_folder(look)
				   : refuse_absent(o, look->path, look->err);
	if (result)
		return err_set(look->err, -result, "%s", why.text);
	result = lock_file(file, o, look->err);
	ring_file_close(file);
	return result;
}

int file_open_look_co(
	struct block_core *core, const void *options, struct err *err)
{
	struct file_look look = {.core = core, .options = options, .err = err};
	int result = make_path(core, options, &look.path, err);

	if (!result)
		result = loop_work_co(
			block_core_lane(core, 0)->loop, look_work, &look);
	free(look.path);
	return result;
}

void file_open_close_co(struct block_driver *driver)
{
	struct file_driver *file = (struct file_driver *)driver;
	struct loop *loop = block_core_lane(driver->core, 0)->loop;

	loop_work_co(loop, close_work, file);
	file_lock_fini(file);
	free(file->path);
}

const char *file_open_file(struct block_driver *driver, uint64_t *print)
{
	const struct file_driver *file = (struct file_driver *)driver;

	*print = file->print;
	return file->print ? file->path : NULL;
}

/* -- space ---------------------------------------------------------------- */

struct file_space {
	struct ring_file *file;
	struct ring_space *space;
};

static int space_work(void *argument)
{
	const struct file_space *asked = argument;

	return ring_file_space(asked->file, asked->space);
}

int file_open_space_co(struct block_driver *driver, struct ring_space *space)
{
	struct file_driver *file = (struct file_driver *)driver;
	struct file_space asked = {.file = file->file, .space = space};

	return loop_work_co(
		block_core_lane(driver->core, 0)->loop, space_work, &asked);
}

/* -- resizing ------------------------------------------------------------- */

static int resize_work(void *argument)
{
	struct file_opening *opening = argument;

	return ring_file_resize(
		opening->file->file, opening->size_bytes, opening->err);
}

static int check_resize(
	struct file_driver *file, uint64_t bytes, struct err *err)
{
	uint32_t align = file->align_bytes;

	if (align < BLOCK_SECTOR_BYTES)
		align = BLOCK_SECTOR_BYTES;
	if (file->driver.info.read_only)
		return err_set(err, EROFS, "%s: is read-only", file->path);
	if (!bytes || bytes % align)
		return err_set(err, EINVAL,
			"%s: the size must be a multiple of %u bytes",
			file->path, align);
	return 0;
}

int file_open_resize_co(
	struct block_driver *driver, uint64_t bytes, struct err *err)
{
	struct file_driver *file = (struct file_driver *)driver;
	struct file_opening opening = {
		.file = file, .err = err, .size_bytes = bytes};
	struct loop *loop = block_core_lane(driver->core, 0)->loop;
	int result = check_resize(file, bytes, err);

	if (!result)
		result = loop_work_co(loop, resize_work, &opening);
	if (result)
		return result;
	if (file->file->size_bytes < bytes)
		return err_set(err, ENOSPC, "%s: has only %llu bytes",
			file->path, (unsigned long long)file->file->size_bytes);
	result = file_flush_co(file);
	if (result)
		return err_set(err, -result,
			"%s: the new size could not be made durable",
			file->path);
	driver->info.size_bytes = bytes;
	return 0;
}
