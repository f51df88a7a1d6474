/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a live change: its steps as values. Pure; no source is touched.
 */
#ifndef TARGET_CONTROL_APPLIANCE_LIVE_PLAN_H
#define TARGET_CONTROL_APPLIANCE_LIVE_PLAN_H

#include "target/control/appliance/live_change.h"

/* Each listener twice (detach, attach), the order, the bottom. */
#define LIVE_MAX_STEPS (2u * BLOCK_MAX_DRIVERS + 4u)

struct live_step {
	enum live_step_kind kind;
	char name[BLOCK_NAME_BYTES], type[BLOCK_NAME_BYTES];
	/* ATTACH, DETACH: the listener; CONFIGURE: options; REORDER: names;
	 * SWAP, BACK: the bottom; OVERLAY: {format} without backing. NULL where there
	 * is none. */
	json_t *before, *after;
	char *shared; /* BACK: file of an image that both stand on; or NULL */
	json_t *placement; /* OVERLAY: {listener: head|image|both|drop} */
	uint64_t bytes_before, bytes_after; /* RESIZE; SHRINK: only after */
	bool parks; /* hosts wait at the gate meanwhile */
	bool keeps_data; /* SHRINK: a size that would cut data off is refused */
};

struct live_change {
	struct live_step step[LIVE_MAX_STEPS];
	unsigned steps;
	unsigned done; /* steps that undo must take back */
	json_t *order; /* names of listeners as it was, top first */
	struct block_source *source;
};

/* The steps that are taken behind the gate, last of all; SHRINK is one, as what it
 * cuts off cannot be brought back. */
static inline bool live_is_swap(enum live_step_kind kind)
{
	return kind == LIVE_SWAP || kind == LIVE_OVERLAY || kind == LIVE_BACK ||
		kind == LIVE_SHRINK;
}

/* A document's listeners with the names that they have when they run. */
struct live_names {
	unsigned count;
	struct {
		char name[BLOCK_NAME_BYTES];
		const char *type;
		const json_t *document;
	} item[BLOCK_MAX_DRIVERS];
};
void live_names_read(const json_t *source, struct live_names *list);
/* Where the listener of that name and type stands; count if nowhere. */
unsigned live_names_find(
	const struct live_names *list, const char *name, const char *type);
/* The same listener with the same options. */
bool live_names_same(const struct live_names *from, unsigned f,
	const struct live_names *to, unsigned t);

/* Writes options as the values that their types say: 10737418240 for "10GiB", and
 * what a protocol or a format leaves out as its default. Then two documents that
 * mean the same are equal. */
void live_values_take(json_t *source);
/* A listener with the defaults that it leaves out. */
void live_values_complete(json_t *listener);
/* The opposite, of what runs (spec_print): leaves out options that say their default,
 * names that are types, and the view that is current anyway; so that it reads as
 * somebody would write it. */
void live_values_shorten(json_t *source);
/* A file that is there has its size, whatever a document says: one that says
 * nothing of it (`to`) means the size that it has had. */
void live_values_keep_sizes(const json_t *from, json_t *to);

/* A source's document without its listeners: a new reference. */
json_t *live_bottom_of(const json_t *source);

/* Whether `to` is an image over what `from` is: its backing file has the same
 * bottom, and every listener of either is one of `from`. Then *document and
 * *placement are a step's. */
bool live_overlay_find(const json_t *from, const json_t *to, json_t **document,
	json_t **placement);

/* Whether bottom `to` is a new image over one that `from` stands on, or over images of
 * which the lowest are: then *shared is the file of the highest one that is open in
 * `from` already, to be freed. Only what is known to be new is taken for that: an image
 * in a file that `from` does not name, which the document would have made. */
bool live_back_find(const json_t *from, const json_t *to, char **shared);

#endif
