/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "blockcore/format/qcow2/snapshots.h"

#include "blockcore/base/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_AHEAD (64u << 10)

/* Places in an entry. */
enum {
	AT_L1_OFFSET = 0,
	AT_L1_ENTRIES = 8,
	AT_ID_BYTES = 12,
	AT_NAME_BYTES = 14,
	AT_SECONDS = 16,
	AT_NANOSECONDS = 20,
	AT_CLOCK = 24,
	AT_VM_STATE = 32, /* the lower half */
	AT_EXTRA_BYTES = 36,
	AT_EXTRA_VM_STATE = 0, /* in the extra data */
	AT_EXTRA_SIZE = 8
};

/* -- bytes ---------------------------------------------------------------- */

/* At least so many bytes of the table are in memory. */
static int need_co(struct qcow2 *image, struct qcow2_snapshots *s, size_t bytes,
	struct err *err)
{
	uint64_t end = image->file_bytes, from = image->header.snapshots_offset;
	size_t want = (bytes + READ_AHEAD - 1) & ~(size_t)(READ_AHEAD - 1);

	if (bytes <= s->bytes)
		return 0;
	if (bytes > QCOW2_SNAPSHOT_TABLE_MAX)
		return err_set(err, EINVAL,
			"the snapshot table is longer than 64 MiB");
	if (from >= end || bytes > end - from)
		return err_set(err, EINVAL,
			"the snapshot table lies behind the end of the file");
	uint8_t *table = qcow2_io_memory(want);
	if (!table)
		return err_set(err, ENOMEM, "no memory for snapshots");
	int error = qcow2_io_read_co(
		image, PURPOSE_SNAPSHOT_TABLE_LOAD, from, want, table);
	free(s->table);
	s->table = table;
	s->bytes = want;
	return error
		? err_set(err, -error, "the snapshot table cannot be read: %s",
			  strerror(-error))
		: 0;
}

/* A text of the table; a zero byte in it, or one too long, is refused. */
static bool take_text(const uint8_t *from, size_t bytes, char *to, size_t room)
{
	if (bytes >= room || memchr(from, 0, bytes))
		return false;
	memcpy(to, from, bytes);
	to[bytes] = 0;
	return true;
}

static void take_numbers(const struct qcow2 *image, const uint8_t *entry,
	struct qcow2_snapshot *snapshot)
{
	const uint8_t *extra = entry + QCOW2_SNAPSHOT_BYTES;
	uint32_t extra_bytes = get_be32(entry + AT_EXTRA_BYTES);

	snapshot->l1_offset = get_be64(entry + AT_L1_OFFSET);
	snapshot->l1_entries = get_be32(entry + AT_L1_ENTRIES);
	snapshot->seconds = get_be32(entry + AT_SECONDS);
	snapshot->nanoseconds = get_be32(entry + AT_NANOSECONDS);
	snapshot->clock_ns = get_be64(entry + AT_CLOCK);
	snapshot->vm_state_bytes = get_be32(entry + AT_VM_STATE);
	snapshot->size_bytes = image->header.size_bytes;
	if (extra_bytes >= AT_EXTRA_VM_STATE + 8)
		snapshot->vm_state_bytes = get_be64(extra + AT_EXTRA_VM_STATE);
	if (extra_bytes >= AT_EXTRA_SIZE + 8)
		snapshot->size_bytes = get_be64(extra + AT_EXTRA_SIZE);
}

/* The L1 table lies in the file and is long enough for the disk. */
static bool is_sound(
	const struct qcow2 *image, const struct qcow2_snapshot *snapshot)
{
	const struct qcow2_geometry *g = &image->geometry;
	uint64_t covered = (uint64_t)snapshot->l1_entries
		<< (g->l2_bits + g->cluster_bits);

	return snapshot->l1_entries <= QCOW2_L1_BYTES_MAX / 8 &&
		!(snapshot->l1_offset & (g->cluster_bytes - 1)) &&
		snapshot->l1_offset < image->file_bytes &&
		8 * (uint64_t)snapshot->l1_entries <=
		image->file_bytes - snapshot->l1_offset &&
		snapshot->size_bytes <= QCOW2_SIZE_MAX &&
		covered >= snapshot->size_bytes;
}

static int take_co(struct qcow2 *image, struct qcow2_snapshots *s,
	struct qcow2_snapshot *snapshot, struct err *err)
{
	size_t at = snapshot->at;
	int error = need_co(image, s, at + QCOW2_SNAPSHOT_BYTES, err);

	if (error)
		return error;
	uint32_t extra = get_be32(s->table + at + AT_EXTRA_BYTES);
	size_t id = get_be16(s->table + at + AT_ID_BYTES);
	size_t name = get_be16(s->table + at + AT_NAME_BYTES);
	size_t texts = at + QCOW2_SNAPSHOT_BYTES + extra;
	if (extra > QCOW2_SNAPSHOT_EXTRA_MAX)
		return err_set(err, EINVAL,
			"snapshot %u has %u bytes of extra data; 1024 are "
			"allowed",
			s->count + 1, extra);
	snapshot->bytes = (texts + id + name - at + 7) & ~(size_t)7;
	error = need_co(image, s, texts + id + name, err);
	if (error)
		return error;
	take_numbers(image, s->table + at, snapshot);
	if (!take_text(
		    s->table + texts, id, snapshot->id, sizeof snapshot->id) ||
		!take_text(s->table + texts + id, name, snapshot->name,
			sizeof snapshot->name))
		return err_set(err, EINVAL,
			"the id or name of snapshot %u is too long or has a "
			"zero byte in it",
			s->count + 1);
	if (!is_sound(image, snapshot))
		return err_set(err, EINVAL,
			"the L1 table of snapshot '%s' is misplaced or too "
			"short",
			snapshot->name);
	return 0;
}

/* Room for one more, twice as many each time. */
static bool make_room(struct qcow2_snapshots *s)
{
	struct qcow2_snapshot *grown;

	if (s->count & (s->count - 1))
		return true;
	grown = realloc(s->snapshot,
		(s->count ? 2 * (size_t)s->count : 1) * sizeof *grown);
	if (grown)
		s->snapshot = grown;
	return grown != NULL;
}

int qcow2_snapshots_read_co(
	struct qcow2 *image, struct qcow2_snapshots *s, struct err *err)
{
	size_t at = 0;
	int error = 0;

	*s = (struct qcow2_snapshots){0};
	while (s->count < image->header.snapshots && !error) {
		if (!make_room(s))
			return err_set(err, ENOMEM, "no memory for snapshots");
		s->snapshot[s->count] = (struct qcow2_snapshot){.at = at};
		error = take_co(image, s, &s->snapshot[s->count], err);
		if (!error)
			at += s->snapshot[s->count++].bytes;
	}
	return error;
}

void qcow2_snapshots_free(struct qcow2_snapshots *s)
{
	free(s->table);
	free(s->snapshot);
	*s = (struct qcow2_snapshots){0};
}

/* -- what is asked -------------------------------------------------------- */

const struct qcow2_snapshot *qcow2_snapshots_find(
	const struct qcow2_snapshots *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (!strcmp(s->snapshot[i].name, name))
			return &s->snapshot[i];
	}
	for (uint32_t i = 0; i < s->count; i++) {
		if (!strcmp(s->snapshot[i].id, name))
			return &s->snapshot[i];
	}
	return NULL;
}

int qcow2_snapshots_look_co(
	struct block_format *format, const char *name, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	struct qcow2_snapshots snapshots;

	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_read_co(image, &snapshots, err);
	co_mutex_unlock(&image->names);
	if (!error && !qcow2_snapshots_find(&snapshots, name))
		error = -ENOENT;
	qcow2_snapshots_free(&snapshots);
	return error;
}

/* " 'a', 'b' and 3 more". */
static void list_some(const struct qcow2_snapshots *s, char *to, size_t bytes)
{
	size_t used = 0, room = bytes - sizeof " and 65536 more";
	uint32_t i = 0;

	for (; i < s->count; i++) {
		size_t need = strlen(s->snapshot[i].name) + sizeof ", ''";

		if (i && used + need > room)
			break;
		used += (size_t)snprintf(to + used, bytes - used, "%s'%s'",
			i ? ", " : " ", s->snapshot[i].name);
	}
	if (i < s->count)
		snprintf(to + used, bytes - used, " and %u more", s->count - i);
}

int qcow2_snapshots_refuse_shrink_co(struct qcow2 *image, struct err *err)
{
	struct qcow2_snapshots s;
	char names[2 * FORMAT_SNAPSHOT_BYTES];

	if (!image->header.snapshots)
		return 0;
	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_read_co(image, &s, err);
	co_mutex_unlock(&image->names);
	if (!error && s.count) {
		list_some(&s, names, sizeof names);
		error = err_set(err, EBUSY,
			"the image keeps snapshot%s%s, which may reach behind "
			"that: delete %s first, or copy the volume to a "
			"smaller one",
			s.count == 1 ? "" : "s", names,
			s.count == 1 ? "it" : "them");
	}
	qcow2_snapshots_free(&s);
	return error;
}

static void print_one(const struct qcow2_snapshot *snapshot, FILE *out)
{
	fputs("{\"id\": ", out);
	json_print_string(out, snapshot->id);
	fputs(", \"name\": ", out);
	json_print_string(out, snapshot->name);
	fprintf(out,
		", \"size_bytes\": %" PRIu64 ", \"seconds\": %u"
		", \"nanoseconds\": %u, \"vm_clock_ns\": %" PRIu64
		", \"vm_state_bytes\": %" PRIu64 "}",
		snapshot->size_bytes, snapshot->seconds, snapshot->nanoseconds,
		snapshot->clock_ns, snapshot->vm_state_bytes);
}

int qcow2_snapshots_print_co(
	struct block_format *format, FILE *out, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	struct qcow2_snapshots snapshots;

	co_mutex_lock_co(&image->names);
	int error = qcow2_snapshots_read_co(image, &snapshots, err);
	co_mutex_unlock(&image->names);
	if (!error)
		fputs("\"snapshots\": [", out);
	for (uint32_t i = 0; i < snapshots.count && !error; i++) {
		fputs(i ? ", " : "", out);
		print_one(&snapshots.snapshot[i], out);
	}
	if (!error)
		fputc(']', out);
	qcow2_snapshots_free(&snapshots);
	return error;
}
