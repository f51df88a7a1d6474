/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the listener dirty (dirty.c, dirty_verbs.c, dirty_file.c, dirty_image.c).
 *
 * Invariant: lanes reach consumers through a table that is never changed once
 * they see it: a new one is made, shown to every lane, then the old one is freed.
 * Bits of `now` are set by lanes and taken by the control lane, atomically;
 * everything else is the control lane's.
 */
#ifndef BLOCKCORE_LISTENER_DIRTY_H
#define BLOCKCORE_LISTENER_DIRTY_H

#include "blockcore/base/co.h"
#include "blockcore/core/image.h"
#include "blockcore/kind.h"

#include <stdatomic.h>

#define DIRTY_CONSUMERS 8u
#define DIRTY_BITS_MOST (1ull << 28) /* of a consumer: twice 32 MiB */
#define DIRTY_GRANULARITY_LEAST 512u
#define DIRTY_GRANULARITY_MOST (1u << 30)
#define DIRTY_PAGE_MOST 4096u /* extents in one answer */

struct dirty_options {
	uint64_t granularity_bytes;
	char *file; /* NULL: marks are in memory only */
};

struct dirty_consumer {
	char name[BLOCK_NAME_BYTES];
	uint64_t bits; /* the last one: all from there on */
	uint64_t *aside; /* frozen */
	_Atomic uint64_t now[];
};

struct dirty_table {
	unsigned count;
	struct dirty_consumer *consumer[DIRTY_CONSUMERS];
};

/* The prints of the files in which the image lies that marks are true of, the top
 * first; none: of no image that is known. */
struct dirty_prints {
	uint32_t count;
	uint64_t print[BLOCK_IMAGE_FILES];
};

struct dirty_driver {
	struct block_driver driver;
	struct co_mutex changing; /* of the table */
	struct dirty_table *table;
	unsigned shift;
	uint64_t size_bytes; /* of the source */
	int fd; /* of its file, or -1 */
	bool kept; /* the marks that its file had count */
	struct dirty_prints prints; /* that its file had, or has */
	struct block_image closed; /* what it stood on; none until then */
};

struct dirty_lane {
	struct dirty_table *table;
	unsigned shift;
};

/* With `bits` marks, none of them set; NULL with *err. The name is good. */
struct dirty_consumer *dirty_consumer_new(
	const char *name, uint64_t bits, struct err *err);
/* NULL is fine. */
void dirty_consumer_free(struct dirty_consumer *consumer);

/* A consumer's, of at most `room` bytes with its end. */
bool dirty_name_is_good(const void *name, size_t room);

/* block_kind.command_co, .rehearse_co and .status */
int dirty_verbs_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err);
int dirty_verbs_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err);
void dirty_verbs_status(struct block_driver *driver, FILE *out);

/* dirty_file.c. */
/* Opens dirty->options' file, or makes it; adds the consumers that it knows to the
 * table, which no lane sees yet; marks it as in use. 0, or -errno with *err and
 * nothing kept. */
int dirty_file_open_co(struct dirty_driver *dirty, struct err *err);

/* The consumers are those of `table` from now on, also after a crash. */
int dirty_file_note_co(struct dirty_driver *dirty,
	const struct dirty_table *table, struct err *err);

/* The marks are kept, unless the listener was detached. */
void dirty_file_close_co(struct dirty_driver *dirty);

/* All has changed for the consumer, which no lane sees. */
void dirty_file_mark_all(struct dirty_consumer *consumer);

/* dirty_image.c: block_kind.opened_over_co, .closing_over. */
void dirty_image_opened_co(
	struct block_driver *driver, struct block_image *image);
void dirty_image_closing(
	struct block_driver *driver, struct block_image *image);
/* On the worker pool, when what it stood on is closed: its prints now. */
void dirty_image_take(struct dirty_driver *dirty);

#endif
