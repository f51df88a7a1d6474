/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A format knows how images lie in raw bits. It is not a driver and carries no
 * request: it has sources, `file` (its raw bits) and perhaps `backing`, and it
 * creates views, which are drivers.
 *
 *	source --> view --+
 *			  +--> format --> file source
 *	source --> view --+		  backing source
 *
 * Invariants
 *  1. A format is counted by its views (and by who is just making them) and
 *     closed with the last of them.
 *  2. At most one view is writable; it is named "current". Any number of others
 *     show a snapshot each, read-only, and keep it from being deleted.
 *  3. The format claims its file (alone, if it writes; else as stable), and its
 *     backing as stable: nobody changes them behind its back.
 *  4. Control lane only, but for what a view's submit reads of it.
 */
#ifndef BLOCKCORE_FORMAT_FORMAT_H
#define BLOCKCORE_FORMAT_FORMAT_H

#include "blockcore/kind.h"

#define FORMAT_CURRENT "current"
#define FORMAT_SNAPSHOT_BYTES 256u /* of a name, with its end */

struct block_format;
struct block_view;

/* How an image names its backing file; "": it names none. */
struct format_name {
	char name[1024], type[32];
};

/* Of a new image that shows so many bytes. */
struct format_measure {
	uint64_t unit_bytes; /* data are allocated in such pieces */
	uint64_t full_bytes; /* of its file, once all is allocated */
	bool at_once; /* which it is from the start, as options say */
};

struct block_format_kind {
	const char *name, *help;
	bool has_backing; /* may have a backing file */
	const struct opt_spec *options;
	size_t options_bytes;
	size_t format_bytes; /* struct that begins with struct block_format */
	const struct block_kind *view;

	/* Before it is opened: the document of the source (text, to be freed)
	 * of the backing file that the image in `file` names; NULL: none.
	 * Asked if the document has no `backing`. Optional. */
	int (*backing_co)(struct block_core *core, struct block_source *file,
		char **document, struct err *err);
	/* Whether a new image would be made in it; makes it so again, when the
	 * image made there is closed and nobody wants it. With has_backing. */
	bool (*is_empty_co)(struct block_core *core, struct block_source *file);
	int (*unmake_co)(struct block_core *core, struct block_source *file);
	/* 0 if nothing but the current view relies on the backing file; -EBUSY
	 * with a text that says who does. Makes the image one that has none,
	 * durable, and the other way round (NAME, FORMAT as they were; nothing has
	 * been written meanwhile). Behind a closed gate. With has_backing. */
	int (*backing_free)(struct block_format *format, struct err *err);
	int (*backing_drop_co)(
		struct block_format *format, bool drop, struct err *err);
	/* The image names this backing file from now on, durably, for others to find:
	 * what it reads through it must be the same. "": none. Under I/O. With
	 * has_backing. */
	int (*backing_name_co)(struct block_format *format, const char *name,
		const char *type, struct err *err);
	/* Another backing file is to come (NULL: none): until `swap`, or until it is
	 * called with NULL, holes do not stand for zeroes where it reaches. Before
	 * requests that are to know of it. */
	void (*backing_reach)(
		struct block_format *format, struct block_source *coming);
	/* It stands on `to` (NULL: on nothing) from now on, and names that, durably;
	 * *name becomes what it was. Takes and drops no reference or claim. Behind a
	 * closed gate. */
	int (*backing_swap_co)(struct block_format *format,
		struct block_source *to, struct format_name *name,
		struct err *err);
	/* The backing file shows the same in that range, durably: what the image has there
	 * goes, in units of which all is in the range, and shows through from then on.
	 * The caller sees to it that nobody changes anything there meanwhile. NULL: it
	 * cannot. 0 or -errno: less has gone. */
	int (*backing_leave_co)(
		struct block_format *format, uint64_t offset, uint64_t bytes);
	/* How large it would become. NULL: as large as what it shows. */
	int (*measure)(const void *options, uint64_t size_bytes,
		struct format_measure *measure, struct err *err);
	int (*open_co)(struct block_format *format, struct err *err);
	void (*close_co)(struct block_format *format);
	/* Whether it has a snapshot of this name (or id): 0, -ENOENT, or
	 * another -errno with a text. NULL: it cannot have any. */
	int (*find_snapshot_co)(
		struct block_format *format, const char *name, struct err *err);
	/* A new snapshot: `begin` may take its time; `take` is the moment: no
	 * request is in a view meanwhile; `end` completes it under I/O (`taken`:
	 * take has succeeded) and is called whenever begin has succeeded. */
	int (*snapshot_begin_co)(
		struct block_format *format, const char *name, struct err *err);
	int (*snapshot_take_co)(struct block_format *format, struct err *err);
	int (*snapshot_end_co)(
		struct block_format *format, bool taken, struct err *err);
	/* Back to a snapshot; what is current becomes another one, `safety`. As
	 * above: after `take` the views show the snapshot's content and size. */
	int (*revert_begin_co)(struct block_format *format, const char *name,
		const char *safety, struct err *err);
	int (*revert_take_co)(struct block_format *format, struct err *err);
	int (*revert_end_co)(
		struct block_format *format, bool taken, struct err *err);
	/* "snapshots": [{"id": "1", "name": "monday", "size_bytes": n, "seconds":
	 * n (since 1970), "nanoseconds": n, "vm_state_bytes": n ...}] */
	int (*snapshots_print_co)(
		struct block_format *format, FILE *out, struct err *err);
	/* Deletes one, under I/O. -EBUSY with a text that says who if a view
	 * shows it. If it fails after the snapshot has gone, the text says so. */
	int (*snapshot_delete_co)(
		struct block_format *format, const char *name, struct err *err);
};

struct block_format {
	const struct block_format_kind *kind;
	struct block_core *core;
	void *options; /* kind->options_bytes, parsed */
	struct block_source *file, *backing; /* backing may be NULL */
	struct block_claim file_claim, backing_claim;
	bool read_only; /* its file is */
	bool writer; /* there is a writable view */
	uint32_t references;
	LIST_HEAD(, block_view) views;
};

/* Base of every view's driver struct. */
struct block_view {
	struct block_driver driver;
	/* Set before open_co. */
	struct block_format *format;
	char snapshot[FORMAT_SNAPSHOT_BYTES]; /* "": current */
	char holder[BLOCK_NAME_BYTES]; /* the source that it is for */
	struct block_source *of; /* whose snapshot it was asked for; or NULL */
	struct block_claim of_claim;
	/* Since it is open. */
	bool writable;
	LIST_ENTRY(block_view) link;
};

extern const struct block_format_kind *const block_format_kinds[];
extern const struct block_format_kind raw_format_kind;
extern const struct block_format_kind qcow2_format_kind;
const struct block_format_kind *block_format_kind_find(const char *name);

/* Comes with one reference, the caller's. Takes over `options` and the
 * references to `file` and `backing` (NULL: none), also when it fails. `holder`
 * names the source it is made for, in messages. */
int block_format_open_co(struct block_core *core,
	const struct block_format_kind *kind, const char *holder, void *options,
	struct block_source *file, struct block_source *backing,
	struct block_format **format, struct err *err);

static inline void block_format_get(struct block_format *format)
{
	format->references++;
}
void block_format_put_co(struct block_format *format);

/* A view's open_co, where nothing can fail any more, and close_co call these:
 * counts it, and makes it the writer if it shows what is current, the format can
 * write and has none. */
void block_format_view_opened(struct block_view *view);
void block_format_view_closed_co(struct block_view *view);

#endif
