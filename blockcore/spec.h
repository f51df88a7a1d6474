/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents to running stacks and back. A source is written as
 *
 *	listeners: [{type: throttle, name: limit, iops: 20000}]     (top first)
 *	protocol: {type: file, path: images/a.raw}
 *   or	format: {type: raw, file: SOURCE}        with   view: current
 *   or	source: SOURCE                           (an alias)
 *
 * A format also shows its snapshots, read-only: with view: {snapshot: NAME} in
 * place of current; or, of an image that another source has open and that hosts
 * write to,
 *
 *	source: SOURCE
 *	view: {snapshot: NAME}
 *
 * and what an image shows that such a source stands on, since an external snapshot,
 * with view: {image: PATH}.
 *
 * Invariants
 *  1. A document is checked whole before anything is opened, and opened whole
 *     before anything is published; a failure leaves nothing behind.
 *  2. spec_print writes a document that builds the same stack.
 *  3. All functions ending in _co run in a coroutine on the control lane; one
 *     change at a time per source (a second waits).
 *  4. Changes that need the gate have a deadline; past it the old stack goes on
 *     unchanged and the call returns -ETIMEDOUT with a text. It can be tried again
 *     (spec_try_again_co).
 */
#ifndef BLOCKCORE_SPEC_H
#define BLOCKCORE_SPEC_H

#include "blockcore/base/doc.h"
#include "blockcore/block.h"

#define SPEC_GATE_DEADLINE_NS (100ull * 1000 * 1000)

/* The document only: kinds, options, order of bands. */
int spec_check(const struct doc *document, struct err *err);
/* That a rule of the listener fault has no other keys than it may, or those of `more`
 * (ends with NULL). */
int spec_check_rule_keys(
	const struct doc *rule, const char *const *more, struct err *err);

/* Builds a source with one reference. `uuid` 16 bytes or NULL (random). */
int spec_build_co(struct block_core *core, const char *name,
	const uint8_t *uuid, const struct doc *document,
	struct block_source **source, struct err *err);

/* The same for a source that has been in use: a listener that keeps another source
 * equal opens without it where that is not there, is not what it was, or another has
 * it; its status says so. */
int spec_build_degraded_co(struct block_core *core, const char *name,
	const uint8_t *uuid, const struct doc *document,
	struct block_source **source, struct err *err);

/* Opens the leg of the source's mirror of that name again if it has failed, without
 * copying; what it lacks then is known. 0, also if it has not failed; -EBUSY: a job is at
 * work through it. */
int spec_mirror_reopen_co(
	struct block_source *source, const char *name, struct err *err);

/* Adds one listener: at the place its band allows, below the listener named
 * `below` if that is not NULL. */
int spec_attach_co(struct block_source *source, const struct doc *listener,
	const char *below, struct err *err);
int spec_detach_co(struct block_source *source, const char *name,
	uint64_t deadline_ns, struct err *err);
/* New values for live options. */
int spec_configure_co(struct block_source *source, const char *name,
	const struct doc *options, struct err *err);
/* Gives the listeners a new order (all names, top first). */
int spec_reorder_co(struct block_source *source, const struct doc *names,
	uint64_t deadline_ns, struct err *err);

/* Puts another bottom under the listeners. `document` holds protocol, format or
 * source. With `same_content` the listeners are not told of changed extents.
 * `durable_co` (may be NULL) runs behind the closed gate, before it opens: the
 * place where the change is made durable; non-zero abandons it. */
struct spec_swap {
	const struct doc *document;
	bool same_content;
	uint64_t deadline_ns;
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};
int spec_swap_bottom_co(struct block_source *source,
	const struct spec_swap *swap, struct err *err);

/* An external snapshot: puts a new image, in which nothing is written yet, over
 * what the source shows. What was there becomes the backing file of the new image
 * and does not change from then on:
 *
 *	listeners               listeners of the head
 *	bottom           -->    view of the new image
 *	                          backing: listeners of the image
 *	                                   bottom
 *
 * Requests wait at the gate for the slowest of those in flight, as in any swap;
 * the new image is made and opened before. The content stays the same. */
enum spec_placement {
	SPEC_PLACE_ANCHOR, /* where its kind belongs (block_kind.anchor) */
	SPEC_PLACE_HEAD, /* with the name: stays on top */
	SPEC_PLACE_IMAGE, /* with the old image: goes down with it */
	SPEC_PLACE_BOTH, /* stays on top; another like it goes down */
	SPEC_PLACE_DROP
};
struct spec_overlay {
	/* {format: {type: qcow2, file: SOURCE}}, without backing; `size` and, if
	 * the old image is a file, `backing_name` and `backing_format` are
	 * filled in. The file holds nothing but zeroes. */
	const struct doc *document;
	/* {LISTENER: head|image|both|drop}; NULL: all by their anchors. */
	const struct doc *placement;
	struct block_source *source; /* of one in a group */
	/* Of one that is in none. As in struct spec_swap. */
	uint64_t deadline_ns;
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};
/* 0, or -errno with everything as before: a file that was made for it stays, empty. */
int spec_overlay_co(struct block_source *source,
	const struct spec_overlay *overlay, struct err *err);
/* Back to an external snapshot: a new image, in which nothing is written yet, over the
 * snapshot's image becomes what the source shows; listeners stay. What was there stays
 * in its file as it was, flushed, for somebody to come back to. Listeners are told that
 * the content has changed, and hosts of the size. Gate and failures as for a snapshot;
 * -EBUSY while somebody relies on what would go, or a job is at work on it. */
struct spec_back {
	/* {format: {type: qcow2, file: SOURCE, backing: SOURCE}}; size and names as in
	 * struct spec_overlay. */
	const struct doc *document;
	/* File of an image that the source stands on and that is, or lies below,
	 * `backing`: it is not opened a second time; NULL: there is none. */
	const char *shared;
	uint64_t deadline_ns;
	/* As in struct spec_swap. */
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};
int spec_back_co(struct block_source *source, const struct spec_back *back,
	struct err *err);
/* The same of several sources, 1 to SPEC_GROUP_MOST, at one moment: no request is in any
 * of them then. All are made or none; `durable_co` runs once, behind all gates. */
struct spec_overlays {
	const struct spec_overlay *overlay;
	unsigned count;
	uint64_t deadline_ns;
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};
int spec_overlay_group_co(
	const struct spec_overlays *overlays, struct err *err);
/* "head", "image" ...; of SPEC_PLACE_ANCHOR "". */
const char *spec_placement_name(enum spec_placement placement);
/* The placement's name; NULL with *err: there is none of that name. */
int spec_placement_parse(const struct doc *node, enum spec_placement *placement,
	struct err *err);

/* An internal snapshot: kept in the image by its format (qcow2), read by a view.
 * Hosts wait at the gate for the slowest request in flight and one flush; what takes
 * longer the larger the image is goes on beside their I/O, until the call returns.
 * Until then other changes of the source wait. */
int spec_snapshot_create_co(struct block_source *source, const char *name,
	uint64_t deadline_ns, struct err *err);
/* The same of several sources, which all show one moment: no request is in any of them
 * then. If one cannot be made none stays, as far as that can be written; a process
 * that ends meanwhile leaves some. A source that lies on another comes before that. */
#define SPEC_GROUP_MOST 16u
struct spec_moment {
	struct block_source *const *source;
	unsigned count;
	const char *name;
	uint64_t deadline_ns;
	/* NULL, or called before the first image changes: from then until the call
	 * returns nobody else makes or deletes a snapshot of the sources. What is
	 * not 0 ends it. */
	int (*begin_co)(void *argument, struct err *err);
	void *argument;
};
int spec_snapshot_group_co(const struct spec_moment *moment, struct err *err);
/* {"snapshots": [...]} as struct block_format_kind says, of the image on top. */
int spec_snapshots_print_co(
	struct block_source *source, FILE *out, struct err *err);
/* Goes back to one (by its name, else its id): the source shows its content and its
 * size. What was there becomes another snapshot, `safety`, in the same moment; the
 * gate is closed as for a new one. -EBUSY while somebody lies on the source or a job
 * is at work on it. Listeners are told that the content has changed. */
int spec_snapshot_revert_co(struct block_source *source, const char *name,
	const char *safety, uint64_t deadline_ns, struct err *err);
/* Deletes one (by its name, else its id). Hosts do not wait for it, and its space is
 * free when the call returns. -EBUSY with a text that says who if a view shows it,
 * -ENOENT; any other error that comes after it has gone says so. */
int spec_snapshot_delete_co(
	struct block_source *source, const char *name, struct err *err);

/* Changes the size of the bottom; hosts see it through block_source_info. A
 * smaller size is refused (-EBUSY) while a format lies on the source. */
int spec_resize_co(
	struct block_source *source, uint64_t bytes, struct err *err);

/* Whether changes of a source would be refused, one after the other, as if they were
 * made: with the errors of the functions above. Nothing is touched, opened or waited
 * for; what only opening finds is not found, but for files that are not there, or that
 * somebody else has. NULL: no memory. */
struct spec_rehearsal;
struct spec_rehearsal *spec_rehearsal_begin(
	struct block_source *source, struct err *err);
void spec_rehearsal_end_co(struct spec_rehearsal *rehearsal);
int spec_rehearse_attach_co(struct spec_rehearsal *rehearsal,
	const struct doc *listener, const char *below, struct err *err);
int spec_rehearse_detach(
	struct spec_rehearsal *rehearsal, const char *name, struct err *err);
int spec_rehearse_reorder(struct spec_rehearsal *rehearsal,
	const struct doc *names, struct err *err);
int spec_rehearse_resize(
	struct spec_rehearsal *rehearsal, uint64_t bytes, struct err *err);
int spec_rehearse_swap_co(struct spec_rehearsal *rehearsal,
	const struct spec_swap *swap, struct err *err);
int spec_rehearse_overlay_co(struct spec_rehearsal *rehearsal,
	const struct spec_overlay *overlay, struct err *err);
int spec_rehearse_back_co(struct spec_rehearsal *rehearsal,
	const struct spec_back *back, struct err *err);
/* The same of an internal snapshot of that name, and of going back to one. */
int spec_rehearse_snapshot(
	struct block_source *source, const char *name, struct err *err);
int spec_rehearse_revert(struct block_source *source, const char *name,
	const char *safety, struct err *err);
/* The same of the files of a document that would be built. */
int spec_rehearse_files_co(
	struct block_core *core, const struct doc *source, struct err *err);

/* Of who does such a change for somebody who waits: whether it is to be tried again, as
 * its gate did not close in time (-ETIMEDOUT). Then it has waited, with the gate open;
 * for SPEC_PATIENCE_NS in all, after which *err says so, too. *patience is zero at
 * first. */
#define SPEC_PATIENCE_NS (10ull * 1000 * 1000 * 1000)
struct spec_patience {
	uint64_t until_ns, pause_ns;
	unsigned tries;
};
bool spec_try_again_co(struct block_source *source,
	struct spec_patience *patience, int failed, struct err *err);

/* How large a file would become that holds a new image of what the source shows now.
 * `format`: {type: qcow2, OPTION: VALUE ...}, without a file. */
struct spec_measure {
	uint64_t required_bytes; /* with the data there are */
	uint64_t full_bytes; /* with all of it allocated */
};
int spec_measure_co(struct block_source *source, const struct doc *format,
	struct spec_measure *measure, struct err *err);

/* A driver's own verb; see block_kind.command_co. `driver` NULL: the bottom's. */
int spec_command_co(struct block_source *source, const char *driver,
	const char *verb, const struct doc *arguments, FILE *out,
	struct err *err);
/* The same to the format of the image in that file, which the source shows or stands on:
 * -ENOENT if there is none. */
int spec_image_command_co(struct block_source *source, const char *image,
	const char *verb, const struct doc *arguments, FILE *out,
	struct err *err);
/* Whether the image that it shows is sound; see block_kind.check_image_co.
 * -EOPNOTSUPP: it stands on none. */
struct block_check;
int spec_check_image_co(struct block_source *source, struct block_check *check,
	struct err *err);
/* Whether it would; see block_kind.rehearse_co. */
int spec_command_rehearse_co(struct block_source *source, const char *driver,
	const char *verb, const struct doc *arguments, struct err *err);

/* The source as one JSON object; with `status` also live figures. Control lane. */
void spec_print(struct block_source *source, bool status, FILE *out);

/* A format's options, and in *bytes the size of their struct; NULL: there is no
 * such format. Any thread. */
const struct opt_spec *spec_format_options(const char *type, size_t *bytes);

/* JSON Schema of the source document, made from the registry. */
void spec_print_schema(FILE *out);
/* The same of what jobs are told: a kind, and its options. */
void spec_print_job_schema(FILE *out);
/* Every kind with its options, for --help. */
void spec_print_help(FILE *out);

#endif
