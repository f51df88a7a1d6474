/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of spec share.
 */
#ifndef BLOCKCORE_SPEC_SPEC_INTERNAL_H
#define BLOCKCORE_SPEC_SPEC_INTERNAL_H

#include "blockcore/core/core.h"

struct block_format;
struct block_format_kind;
struct spec_back;
struct spec_overlay;

/* Keys of a driver's map that are not its options. */
extern const char *const spec_driver_keys[]; /* type, name */
extern const char *const spec_format_keys[]; /* type, file, backing */

/* The kind that the map's `type` says. */
int spec_kind(const struct doc *map, enum block_role role,
	const struct block_kind **kind, struct err *err);
int spec_format_kind(const struct doc *map,
	const struct block_format_kind **kind, struct err *err);

/* The map's options, parsed into new memory; *options NULL if there are none.
 * `kind` names the driver in messages. */
int spec_options(const struct opt_spec *specs, size_t bytes,
	const struct doc *map, const char *const *ignore, void **options,
	struct err *err);

/* The same for a driver that is made: also *document, which the options borrow
 * from, NULL if they need none. */
int spec_options_kept(const struct block_kind *kind, const struct doc *map,
	void **options, struct doc **document, struct err *err);
/* A copy of a map, with the members of `over` (may be NULL) in place of its own
 * ones of the same keys. NULL with *err. */
struct doc *spec_doc_copy(
	const struct doc *map, const struct doc *over, struct err *err);

/* The names of a source's drivers, top first, the bottom last: given ones, and
 * for the others their type, with a number where that is taken. */
struct spec_names {
	char name[BLOCK_MAX_DRIVERS][BLOCK_NAME_BYTES];
	unsigned count;
};
int spec_names(
	const struct doc *document, struct spec_names *names, struct err *err);

/* The name that the map gives, NULL if none. */
int spec_name_given(const struct doc *map, const char **name, struct err *err);
/* Its type, "alias" for a source. */
const char *spec_type_of(const struct doc *map);
/* Opens a new driver with the sources that it has beside what is below `above`'s
 * bottom, and its store. When it fails these are closed, and the driver is to be
 * freed. */
int spec_open_beside_co(const struct block_source *above,
	struct block_driver *driver, struct err *err);

/* So long one answer is waited for: to what is allocated, to a flush that hosts do not
 * wait for. */
#define SPEC_ANSWER_NS (5ull * 1000 * 1000 * 1000)
/* To one that they do: behind a gate, after one before it. */
#define SPEC_GATE_FLUSH_NS (1000ull * 1000 * 1000)
/* In a coroutine on `lane`: flushes what may be volatile in `source` before a change,
 * at most so long: -ETIMEDOUT. `what` it is, for people: "the old image". */
int spec_flush_within_co(struct block_source *source, struct block_lane *lane,
	const char *what, uint64_t patience_ns, struct err *err);
/* In a coroutine on `lane`: `each_co` of each extent of the range, in order; `flags`
 * BLOCK_LOCAL or 0. Ends with its first error, or with the source's: -ETIMEDOUT if that
 * does not answer. spec_extents_error says it in words. */
int spec_extents_co(struct block_source *source, struct block_lane *lane,
	unsigned flags, uint64_t at, uint64_t end,
	int (*each_co)(const struct block_extent *extent, void *argument),
	void *argument);
int spec_extents_error(
	const struct block_source *source, int error, struct err *err);

/* A name for a driver of this type that none of the `count` others has. */
void spec_name_free(struct block_driver *const *others, unsigned count,
	const char *type, char name[BLOCK_NAME_BYTES]);

/* Checks a listener's, a bottom's (protocol, format or source) document. */
int spec_check_listener(const struct doc *listener, struct err *err);
int spec_check_bottom(const struct doc *document, struct err *err);

/* Opened drivers without a reference yet. `above`: the source that it is for:
 * gives its name to messages and sources below; a bottom that leads back to it
 * is refused. */
int spec_open_listener_co(const struct block_source *above,
	const struct doc *listener, const char *name,
	struct block_driver **driver, struct err *err);
int spec_open_bottom_co(const struct block_source *above,
	const struct doc *document, const char *name,
	struct block_driver **driver, struct err *err);

/* A document's `view`. Of what it shows one is not "": a snapshot, the file of an image
 * below, or the listener that keeps a moment; or it is what is current. */
struct spec_shown {
	const char *snapshot, *image, *backup;
};
int spec_check_view(const struct doc *document, struct err *err);
int spec_view_shown(
	const struct doc *document, struct spec_shown *shown, struct err *err);

/* The source is about to open with these `*count` drivers: one more is among them if a
 * job that waits for it must know what hosts change (spec_carry.c). */
int spec_carry_opens_co(const struct block_source *source,
	struct block_driver **driver, unsigned *count, struct err *err);

/* driver->store, if its options name one (spec_store.c). */
int spec_open_store_co(const struct block_source *above,
	struct block_driver *driver, struct err *err);

/* A view of a format that was opened for `above`. */
struct spec_view {
	const struct block_source *above;
	struct block_format *format;
	const char *snapshot, *name; /* "": current; the driver's */
};
int spec_open_view_co(const struct spec_view *view,
	struct block_driver **driver, struct err *err);
/* A view of a snapshot of what `of` shows, or showed before external snapshots. */
int spec_open_snapshot_co(const struct block_source *above,
	struct block_source *of, const char *snapshot, const char *name,
	struct block_driver **driver, struct err *err);

/* What a view shows of another source. */
int spec_open_view_of_co(const struct block_source *above,
	struct block_source *of, const struct spec_shown *shown,
	const char *name, struct block_driver **driver, struct err *err);

/* -- images that a source stands on (spec_image.c) ---- */

/* The file that the image of a source's document is in, or it itself; NULL: none. */
const char *spec_image_path(const struct doc *source);
/* What the image in that file shows, which `of` stands on: borrowed; NULL with *err. */
struct block_source *spec_image_find(
	struct block_source *of, const char *path, struct err *err);
/* How the holder of a claim begins that a view has on the source it is of. */
#define SPEC_VIEW_HOLDER "snapshot view"
/* A view of that. */
int spec_open_image_of_co(const struct block_source *above,
	struct block_source *of, const char *path, const char *name,
	struct block_driver **driver, struct err *err);
/* -EBUSY with a text that says who: somebody beside the source shows an image that it
 * stands on, above `until` (NULL: any). */
int spec_check_images(const struct block_source *source,
	const struct block_source *until, struct err *err);
/* The source in `of`, or below it, whose image is in that file: borrowed; NULL with
 * *err. */
struct block_source *spec_image_source(
	struct block_source *of, const char *path, struct err *err);
/* The format whose backing file `source` is, in or below `of`; NULL: it is `of` itself,
 * or not (any more) below it. *depth: images above it. */
struct block_format *spec_image_above(const struct block_source *of,
	const struct block_source *source, unsigned *depth);
/* What the image that a source shows stands on; borrowed, NULL: nothing. */
struct block_source *spec_image_below(const struct block_source *source);
/* As spec_check_images, but for `source` itself, which lies below `of`. */
int spec_check_image(const struct block_source *of,
	const struct block_source *source, struct err *err);

/* The source that `node` names or describes, with a reference; `key` is what it
 * is to `above`. */
int spec_open_below_co(const struct block_source *above, const char *key,
	const struct doc *node, struct block_source **source, struct err *err);

/* A source of its own, with one reference, over drivers that are open and may be in
 * another source as well, which it is `key` to. *taken: drivers without a reference so
 * far are its own, also where it fails after that. */
int spec_source_below_co(const struct block_source *source, const char *key,
	struct block_driver *const *driver, unsigned count,
	struct block_source **below, bool *taken, struct err *err);
/* Those drivers have left one of both, which has told them to hold nothing any more: in
 * the other one they may. */
void spec_source_settle(struct block_driver *const *driver, unsigned count);

/* Takes the turn of all of these, of which none is named twice: in the order of their
 * addresses, whatever order two groups have. */
void spec_lock_all_co(struct block_source *const *source, unsigned count);

/* An image that is open in `source`: what stands on its file takes that source. */
struct spec_lent {
	const char *path;
	struct block_source *source;
};
/* Whether `node`, which is to be opened as that, is the image that `above` is lent; then
 * *source, with a reference. */
bool spec_lent(const struct block_source *above, const char *key,
	const struct doc *node, struct block_source **source);

/* A format's view whose backing file is `backing`, of which it takes over the
 * caller's reference, also when it fails. `map` is the format's, without backing;
 * a file that is not empty is refused. */
int spec_open_over_co(const struct block_source *above, const struct doc *map,
	const char *name, struct block_source *backing,
	struct block_driver **driver, struct err *err);

/* The source that was opened for `node` ends, as what it was for failed: a file
 * that it has made goes with it. Nothing happens to one that `node` only names, or
 * to a file that was there before. Takes no reference. */
void spec_unmake(const struct doc *node, struct block_source *source);

/* What the new image's map gets beside what `format` says: size, backing_name,
 * backing_format. NULL with *err. */
struct doc *spec_overlay_facts(
	struct block_source *source, const struct doc *format, struct err *err);

/* How an image in `file` (a source's document) names the one that `old` describes, and
 * in *type what that is; to be freed. NULL: no name leads there, or no memory. */
char *spec_backing_name(const struct block_core *core, const struct doc *old,
	const struct doc *file, const char **type);

/* A running driver, or a source's bottom ({protocol: ...}), as the document that
 * would build it. NULL with *err. */
struct doc *spec_driver_doc(struct block_driver *driver, struct err *err);
struct doc *spec_bottom_now(struct block_source *source, struct err *err);

/* A generation as the document that would build it. */
void spec_print_stack(const struct block_stack *stack, FILE *out);

/* Whether `from` stands on `to`, or is about to. */
bool spec_leads_to(
	const struct block_source *from, const struct block_source *to);

/* -ELOOP with a text if a source that `source` is built for is being made of the same
 * file: what is opened there would lead back to it. NULL: no file. */
int spec_check_circle(
	const struct block_source *source, const char *path, struct err *err);
/* What it is being made of, while that is opened; NULL: nothing any more. */
void spec_opening(const struct block_source *source, const char *path);
/* What it is built for, or itself. */
const struct block_source *spec_outermost(const struct block_source *source);
/* The file of an image (format:); NULL: it is in none. The document's. */
const char *spec_format_path(const struct doc *format);

/* Says, until source->coming is cleared, what bottom a source will have, so that
 * two changes at a time build no circle: -ELOOP for the one that comes second. */
int spec_announce(struct block_source *source,
	const struct block_driver *bottom, struct err *err);

/* -EBUSY with a text while a job has a listener of its own in the source: `what`
 * would pull it away. */
int spec_check_job(
	const struct block_source *source, const char *what, struct err *err);
/* The same, also while one is at work on an image that it stands on. */
int spec_check_jobs(
	const struct block_source *source, const char *what, struct err *err);

/* What of a snapshot, or of going back to one, is refused before anything is opened. */
int spec_overlay_check(struct block_source *source,
	const struct spec_overlay *overlay, struct err *err);
int spec_back_check(struct block_source *source, const struct spec_back *back,
	struct err *err);

/* -EBUSY with a text while a job is at work through the driver, which is to leave. */
int spec_check_stays(const struct block_driver *driver, struct err *err);
/* -EBUSY with a text that says who: has laid something out in the source, or relies on
 * its content. */
int spec_check_content(const struct block_source *source, struct err *err);

/* One entry of a document's source: `protocol`, `format` or `source`; the
 * document is checked. */
const struct doc *spec_bottom_doc(const struct doc *document);

#endif
