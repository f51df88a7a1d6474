/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door for drivers: what a kind of driver is, and a driver. What requests and
 * sources are, and which invariants hold, is in block.h; README.md says how to add
 * one.
 */
#ifndef BLOCKCORE_KIND_H
#define BLOCKCORE_KIND_H

#include "blockcore/base/err.h"
#include "blockcore/base/opts.h"
#include "blockcore/block.h"
#include "blockcore/loop.h"

#define BLOCK_OTHERS_MOST 3u /* sources that a listener has beside */

enum block_role {
	BLOCK_PROTOCOL,
	BLOCK_VIEW,
	BLOCK_LISTENER,
	BLOCK_ALIAS,
	BLOCK_POINT_VIEW /* core/point.h */
};
enum block_part { BLOCK_FRONT, BLOCK_BACK };
/* At a live snapshot: with the name that consumers know, or with the image. */
enum block_anchor { BLOCK_HEAD, BLOCK_IMAGE };
/* Order from the top, enforced when a stack is built; free within a band. */
enum block_band {
	BAND_STATS,
	BAND_READONLY,
	BAND_THROTTLE,
	BAND_DELAY,
	BAND_JOB, /* first of the back part */
	BAND_BACKUP,
	BAND_MIRROR,
	BAND_DIRTY,
	BAND_CACHE,
	BAND_VERIFY,
	BAND_FAULT,
	BAND_BOTTOM
};

struct ring_space;
struct block_cached;
struct block_health;
struct block_image;

/* What a check of an image is asked for, and what it finds. */
struct block_check {
	bool repair_leaks, repair_errors;
	/* Between two pieces of the work; may wait. Not 0 ends the check with
	 * it. NULL: nobody asks. */
	int (*step_co)(struct block_check *check);
	uint64_t done_bytes, total_bytes; /* of tables; may begin anew */
	uint64_t leaks, errors; /* clusters; entries and clusters */
	uint64_t fixed_leaks, fixed_errors;
	uint64_t
		changed; /* clusters that hosts changed meanwhile: not judged */
	uint64_t clusters, allocated; /* of the guest */
	uint64_t end_bytes; /* of the last used cluster */
	char first[128]; /* the first error, in words */
};

/* A kind of driver: stateless, in the registry's array. Function names ending
 * in _co run in a coroutine on the control lane and may wait. */
struct block_kind {
	const char *name, *help;
	enum block_role role;
	enum block_part part;
	enum block_anchor anchor;
	enum block_band band;
	bool observes; /* may be attached and detached without a gate */
	bool tracked; /* overlapping changes come one after the other */
	bool ordered; /* so do all overlapping requests, reads too */
	/* The OPT_DOC option that lists sources beside what is below it, which are
	 * opened as driver->others; NULL: it has none. */
	const char *others;
	bool one_other; /* that option is one source, no list */
	/* A source that was in use before opens without them, where it must: see
	 * driver->without. */
	bool opens_without;
	/* The OPT_STRING option that names a file of the data directory in which it
	 * keeps what it knows while hosts write; opened as driver->store. Of kinds
	 * that have an OPT_DOC option, too. NULL: it has none. */
	const char *store;
	bool of_job; /* a job's own: in no document, gone with the job */
	uint32_t handles; /* operations its submit treats */
	uint32_t transparent; /* operations it declares safe to let through */
	const struct opt_spec *options;
	size_t options_bytes;
	size_t driver_bytes; /* struct that begins with struct block_driver */
	size_t lane_bytes; /* its state on each lane, zeroed at the start */

	/* What the table of options cannot say of them; opens nothing. `map` is
	 * where they stand, for messages. Any thread; optional. */
	int (*check)(
		const struct doc *map, const void *options, struct err *err);
	/* Of a protocol: whether open_co would find with these options what it opens,
	 * and nobody else has it; makes nothing. Optional. */
	int (*look_co)(
		struct block_core *core, const void *options, struct err *err);
	/* `driver->options` is parsed; sets driver->info if it is a bottom. */
	int (*open_co)(struct block_driver *driver, struct err *err);
	/* No request is in it. */
	void (*close_co)(struct block_driver *driver);
	/* On each lane before the first request and after the last; optional. */
	int (*lane_start)(struct block_driver *driver, struct block_lane *lane);
	void (*lane_stop)(struct block_driver *driver, struct block_lane *lane);
	/* A listener pushes at most one frame on it at a time, a bottom two
	 * (BLOCK_FRAMES). */
	void (*submit)(struct block_driver *driver, struct block_request *r);
	/* A listener may narrow what is below it (read_only ...); optional. */
	void (*narrow)(struct block_driver *driver, struct block_info *info);
	/* On each lane when it is detached (of the front: after the successor is
	 * published), and in the back also whenever a gate has closed, for a
	 * swap waits for what it holds: lets go of every request it holds,
	 * holds no new one while driver->released. Optional. */
	void (*release)(struct block_driver *driver, struct block_lane *lane);
	/* New values of OPT_LIVE options (the others have their old ones), which
	 * it swaps with *driver->options, so that the caller frees the old. On
	 * the control lane; optional. */
	int (*configure_co)(
		struct block_driver *driver, void *options, struct err *err);
	int (*resize_co)(
		struct block_driver *driver, uint64_t bytes, struct err *err);
	/* Space below a bottom; 0 or -errno. Optional. */
	int (*space_co)(struct block_driver *driver, struct ring_space *space);
	/* A verb of its own ("hold", "release" ...); text for people and JSON
	 * members go to `out`. Optional. */
	int (*command_co)(struct block_driver *driver, const char *verb,
		const struct doc *arguments, FILE *out, struct err *err);
	/* Whether command_co would do it: 0, or what that would refuse. Changes
	 * nothing and touches no request. Who has verbs has it, too. */
	int (*rehearse_co)(struct block_driver *driver, const char *verb,
		const struct doc *arguments, struct err *err);
	/* Whether the image that it shows is sound, under I/O; repairs it where
	 * that is asked, and then holds up what changes tables. Optional. */
	int (*check_image_co)(struct block_driver *driver,
		struct block_check *check, struct err *err);
	/* Live figures as JSON members, without braces. Control lane; figures
	 * of other lanes may be a little old. Optional. */
	void (*status)(struct block_driver *driver, FILE *out);
	/* Of one that keeps something in more than one place: whether it is whole (see
	 * figures.h; name, kind and job are filled in). Control lane; optional. */
	void (*health)(
		struct block_driver *driver, struct block_health *health);
	/* Of a listener that keeps what is read: adds its figures to *cached, which is
	 * zero (figures.h). Control lane. Optional. */
	void (*cached)(
		struct block_driver *driver, struct block_cached *cached);
	/* What is read there is about to change otherwise than by requests: another
	 * content or a smaller size, behind the gate, or it joins a source in use.
	 * What of that must be durable first it makes so; non-zero: not to be. Perhaps
	 * it is not to be anyway. Optional. */
	int (*changing_co)(struct block_driver *driver, struct err *err);
	/* What is below is about to grow to `bytes`: what it has beside that must not be
	 * smaller grows first, or it is not to be. `back`: it could not grow, all is to
	 * be as it was (never fails). Optional. */
	int (*growing_co)(struct block_driver *driver, uint64_t bytes,
		bool back, struct err *err);
	/* A swap changed what is read there, behind its gate; or it joins a source
	 * in use, of which it has seen nothing. Optional. */
	void (*content_changed)(struct block_driver *driver,
		uint64_t offset_bytes, uint64_t length_bytes);
	/* Of a listener that keeps something which is true of one image only (see
	 * core/image.h). Its source opens: that is the image, in which nothing
	 * was changed since; not called where it joins a source in use.
	 * Optional. */
	void (*opened_over_co)(
		struct block_driver *driver, struct block_image *image);
	/* The last of it goes, and what is below is closed before close_co is
	 * called: nothing is changed there any more. Takes the image over.
	 * Optional. */
	void (*closing_over)(
		struct block_driver *driver, struct block_image *image);
	/* Of a listener that keeps a moment of the source (core/point.h): its
	 * number, not 0, and its size. -ENODATA: it keeps none. Optional. */
	int (*point)(struct block_driver *driver, uint64_t *id, uint64_t *bytes,
		struct err *err);
	/* Of a bottom that is a regular file: its path, and in *print what it was
	 * known by when it was opened. NULL: it is none. Optional. */
	const char *(*file)(struct block_driver *driver, uint64_t *print);
	/* Writes the protocol document of `name` beside this. -EINVAL. Optional. */
	int (*beside)(struct block_driver *driver, const char *name, FILE *out,
		struct err *err);
	/* The sources that the driver holds, from index 0; NULL ends. Optional
	 * (views, aliases, listeners with a source of their own). */
	struct block_source *(*below)(
		struct block_driver *driver, unsigned index);
};

/* Base of every driver; counted by the stacks that hold it. */
struct block_driver {
	const struct block_kind *kind;
	struct block_core *core;
	char name[BLOCK_NAME_BYTES];
	void *options; /* kind->options_bytes, parsed */
	struct block_info info;
	bool unwanted; /* its close takes away what its open has made */
	bool detached; /* has left a source that goes on without it */
	/* The job that is at work through it, for which it stays where it is; NULL:
	 * none. Control lane. */
	const char *job;
	/* Sources beside what is below it, until it is closed. */
	struct block_source *others[BLOCK_OTHERS_MOST];
	unsigned others_count;
	/* Of kinds that open without them, while open_co runs: it is not to fail
	 * because of them; and why there are none, NULL: they are there. */
	bool may_do_without;
	const struct err *without;
	struct block_source *store; /* see kind->store; NULL: none */
	/* Opens `store` anew, as one that has failed refuses all that follows: 0, or it
	 * is NULL. NULL: there is none to open. Control lane. */
	int (*store_again_co)(struct block_driver *driver, struct err *err);
	uint32_t references; /* control lane only */
	_Atomic bool released; /* no new holds; set by the control lane */
	_Atomic bool failed; /* block_driver_failed was called */
	unsigned lanes_started; /* the core's */
	struct doc *document; /* what OPT_DOC options borrow from; the core's */
	uint8_t *lane_state; /* lane_stride_bytes for each lane */
	size_t lane_stride_bytes;
	struct block_driver_failure {
		struct loop_message message;
		int error;
		char text[128];
	} failure;
	struct block_driver_notice {
		struct loop_message message;
		_Atomic bool told;
		const char *what;
		char text[192];
		/* Control lane: the watcher was called; somebody has listened. */
		bool said, heard;
	} notice;
};

/* The driver's state on a lane (kind->lane_bytes large). */
void *block_driver_lane(struct block_driver *driver, struct block_lane *lane);

/* A driver that can no longer promise what it acknowledged (a failed flush)
 * says so once: logged, told to the core's watcher on the control lane. `error` is
 * negative. Any thread. The driver itself refuses what follows. */
void block_driver_failed(
	struct block_driver *driver, int error, const char *text);

/* Something has happened that people want to hear of, the first time in its life: told
 * to the core's watcher on the control lane. `what`: one word, a constant. Any thread. */
void block_driver_notice(
	struct block_driver *driver, const char *what, const char *text);

/* What a driver shows (driver->info) has changed of itself: the source that
 * holds it gets a generation that shows it, soon. Control lane. */
void block_driver_changed(struct block_driver *driver);

/* Every kind, in one visible array (registry.c), ended by NULL. */
extern const struct block_kind *const block_kinds[];
const struct block_kind *block_kind_find(
	enum block_role role, const char *name);

#endif
