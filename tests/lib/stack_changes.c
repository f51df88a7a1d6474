/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. Each worker has sectors and a model of its own, so that workers
 * can be threads.
 */
#include "tests/lib/stack_changes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blockcore/base/prng.h"
#include "blockcore/job.h"
#include "tests/lib/model_load.h"

#define WORKERS 8u
#define REGION 64u /* sectors of a worker */
#define LISTENERS_MOST 8u
#define DEADLINE_NS SPEC_GATE_DEADLINE_NS

#define OTHER "{protocol: {type: file, path: disk, locking: false}}"

#define MEM "{protocol: {type: mem, size: 1M}}"
#define TARGET "target: " MEM

/* Kinds of listeners in order of bands; with values to come with, and others. */
enum { THROTTLE = 2, DELAY, MIRROR = 5, DIRTY, VERIFY = 8, FAULT };
static const struct {
	const char *type;
	bool sees_all; /* not over an alias, which others write past */
	const char *values[3];
} kinds[] = {
	{"stats", false, {""}},
	{"trace", false, {", records: 16", ", records: 100", ""}},
	[THROTTLE] = {"throttle", false,
		{", iops: 900", ", bytes_s: 3M, burst: 2, burst_seconds: 1",
			", group: shared"}},
	[DELAY] = {"delay", false,
		{", read_us: 300", ", write_us: 700, jitter_us: 900",
			", read_us: 50, write_us: 50"}},
	{"backup", true,
		{", " TARGET, ", granularity: 4K, copies: 1, " TARGET,
			", on_error: fail, granularity: 1M, " TARGET}},
	[MIRROR] = {"mirror", true,
		{", leg: " MEM, ", granularity: 64K, on_error: fail, leg: " MEM,
			", failover: false, leg: " MEM}},
	[DIRTY] = {"dirty", true,
		{", granularity: 512", ", granularity: 64K", ""}},
	{"cache", true,
		{", size: 1M", ", size: 1M, block: 512",
			", block: 64K, largest: 8K"}},
	/* With the file that is below it: equal, if all comes in one order. Not
	 * past the page cache to what is there written through it: the kernel
	 * then fails what it could not bring together. */
	[VERIFY] = {"verify", true,
		{", action: fail, others: [" OTHER "]",
			", action: stop, others: [" OTHER ", {format: "
			"{type: raw, file: " OTHER "}, view: current}]",
			", others: [" OTHER "]"}},
	[FAULT] = {"fault", false,
		{"", ", rules: [{op: write, delay_us: 800, count: 9}]",
			", rules: [{op: any, hold: true, count: 2, "
			"event: complete}]"}},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static const char *const bottoms[] = {
	"{protocol: {type: file, path: disk, locking: false}}",
	"{protocol: {type: file, path: disk, locking: false, "
	"cache: writeback}}",
	"{source: source-1}",
	"{format: {type: raw, file: {protocol: {type: file, path: disk, "
	"locking: false}}}, view: current}",
};
enum { CACHED = 1, ALIAS };
#define BOTTOMS (sizeof bottoms / sizeof bottoms[0])

struct listener {
	unsigned kind;
	char name[16];
};

struct changer {
	struct stack_changes *public;
	struct stack_rig *rig;
	struct block_source *source;
	uint64_t random;
	struct listener listener[LISTENERS_MOST]; /* top first */
	unsigned listeners, named, bottom;
	_Atomic bool stop;
	uint32_t sectors;
	struct model_load load[WORKERS];
};

static uint64_t below(struct changer *changer, uint64_t count)
{
	return prng_below(&changer->random, count);
}

static const struct doc *document(struct changer *changer, const char *format,
	...) __attribute__((format(printf, 2, 3)));

static const struct doc *document(
	struct changer *changer, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return stack_rig_doc(changer->rig, text);
}

static const char *values(struct changer *changer, unsigned kind)
{
	const char *text = kinds[kind].values[below(changer, 3)];

	return text ? text : "";
}

/* Held requests keep a gate closed: then the old stack goes on, and says so. */
static int settle(struct changer *changer, int result, struct err *err)
{
	if (result == -ETIMEDOUT)
		changer->public->late++;
	else if (result)
		check_fail(__FILE__, __LINE__, "%s", err->text);
	return result;
}

static bool must_see_all(const struct changer *changer)
{
	for (unsigned i = 0; i < changer->listeners; i++)
		if (kinds[changer->listener[i].kind].sees_all)
			return true;
	return false;
}

static void release_all_co(struct changer *changer)
{
	unsigned i;

	for (i = 0; i < changer->listeners; i++)
		if (changer->listener[i].kind == FAULT)
			free(stack_rig_command_co(changer->rig, changer->source,
				changer->listener[i].name, "clear", NULL));
}

/* -- changes -------------------------------------------------------------- */

static void insert(struct changer *changer, const struct listener *new)
{
	unsigned at = 0;

	while (at < changer->listeners &&
		changer->listener[at].kind <= new->kind)
		at++;
	memmove(&changer->listener[at + 1], &changer->listener[at],
		(changer->listeners - at) * sizeof *new);
	changer->listener[at] = *new;
	changer->listeners++;
}

/* A mirror's leg gets what it lacks, while hosts go on, and somebody holds requests
 * for a while. */
static void resync_co(struct changer *changer, const char *name)
{
	struct job_progress progress;
	struct job *job;
	struct err err = {0};

	release_all_co(changer);
	CHECK_INT(job_start_co(changer->rig->core, changer->source, "resync",
			  document(changer, "{listener: %s}", name), 0, &job,
			  &err),
		0);
	job_wait_co(job);
	job_get_progress(job, &progress);
	CHECK_INT(progress.state, JOB_DONE);
	job_free(job);
}

static bool attach_co(struct changer *changer)
{
	unsigned kind = (unsigned)below(changer, KINDS);
	struct listener new = {.kind = kind};
	struct err err = {0};

	if (changer->listeners == LISTENERS_MOST ||
		(kind == VERIFY && changer->bottom == CACHED))
		return false;
	snprintf(new.name, sizeof new.name, "l%u", ++changer->named);
	int result = spec_attach_co(changer->source,
		document(changer, "{type: %s, name: %s%s}", kinds[kind].type,
			new.name, values(changer, kind)),
		NULL, &err);
	if (kinds[kind].sees_all && changer->bottom == ALIAS) {
		CHECK_INT(result, -EINVAL);
		return false;
	}
	if (settle(changer, result, &err))
		return false;
	insert(changer, &new);
	if (kind == MIRROR)
		resync_co(changer, new.name);
	if (kind == DIRTY)
		free(stack_rig_command_co(changer->rig, changer->source,
			new.name, "add", "{consumer: a, clean: true}"));
	return true;
}

static bool detach_co(struct changer *changer)
{
	unsigned at;
	struct err err = {0};

	if (!changer->listeners)
		return false;
	at = (unsigned)below(changer, changer->listeners);
	if (settle(changer,
		    spec_detach_co(changer->source, changer->listener[at].name,
			    DEADLINE_NS, &err),
		    &err))
		return false;
	changer->listeners--;
	memmove(&changer->listener[at], &changer->listener[at + 1],
		(changer->listeners - at) * sizeof changer->listener[0]);
	return true;
}

/* Some listener of the kind, or NULL. */
static struct listener *some(struct changer *changer, unsigned kind)
{
	unsigned i, from;

	if (!changer->listeners)
		return NULL;
	from = (unsigned)below(changer, changer->listeners);
	for (i = 0; i < changer->listeners; i++) {
		struct listener *listener =
			&changer->listener[(from + i) % changer->listeners];

		if (listener->kind == kind)
			return listener;
	}
	return NULL;
}

static bool configure_co(struct changer *changer)
{
	static const char *const before[] = {[THROTTLE] = "{iops: ",
		[DELAY] = "{jitter_us: 400, read_us: ",
		[FAULT] = "{rules: [{op: flush, count: 3, delay_us: "};
	unsigned kind = THROTTLE + (unsigned)below(changer, KINDS - THROTTLE);
	struct listener *listener = some(changer, kind);
	struct err err = {0};

	if (!listener || !before[kind])
		return false;
	return !settle(changer,
		spec_configure_co(changer->source, listener->name,
			document(changer, "%s%u%s", before[kind],
				500 + (unsigned)below(changer, 3000),
				kind == FAULT ? "}]}" : "}"),
			&err),
		&err);
}

/* Two neighbours of one band change places. */
static bool reorder_co(struct changer *changer)
{
	char text[256] = "[";
	struct listener swapped;
	struct err err = {0};
	unsigned i, at;

	if (changer->listeners < 2)
		return false;
	at = (unsigned)below(changer, changer->listeners - 1);
	if (changer->listener[at].kind != changer->listener[at + 1].kind)
		return false;
	swapped = changer->listener[at];
	changer->listener[at] = changer->listener[at + 1];
	changer->listener[at + 1] = swapped;
	for (i = 0; i < changer->listeners; i++) {
		strcat(text, i ? ", " : "");
		strcat(text, changer->listener[i].name);
	}
	strcat(text, "]");
	if (settle(changer,
		    spec_reorder_co(changer->source,
			    document(changer, "%s", text), DEADLINE_NS, &err),
		    &err)) {
		swapped = changer->listener[at];
		changer->listener[at] = changer->listener[at + 1];
		changer->listener[at + 1] = swapped;
		return false;
	}
	return true;
}

static bool swap_co(struct changer *changer)
{
	unsigned bottom = (unsigned)below(changer, BOTTOMS);
	struct spec_swap swap = {
		.document = document(changer, "%s", bottoms[bottom]),
		.same_content = true,
		.deadline_ns = DEADLINE_NS};
	struct err err = {0};

	if (bottom == CACHED && some(changer, VERIFY))
		return false;
	int result = spec_swap_bottom_co(changer->source, &swap, &err);
	if (bottom == ALIAS && must_see_all(changer)) {
		CHECK_INT(result, -EINVAL);
		return false;
	}
	if (settle(changer, result, &err))
		return false;
	changer->bottom = bottom;
	return true;
}

static bool hold_co(struct changer *changer)
{
	struct listener *listener = some(changer, FAULT);

	if (listener)
		free(stack_rig_command_co(changer->rig, changer->source,
			listener->name, "hold",
			below(changer, 2) ? "{op: write, count: 3}"
					  : "{op: any, count: 2, "
					    "event: complete}"));
	return listener != NULL;
}

/* What has changed since the last time is put aside, and copied. */
static bool consume_co(struct changer *changer)
{
	struct listener *listener = some(changer, DIRTY);

	for (unsigned i = 0; listener && i < 2; i++)
		free(stack_rig_command_co(changer->rig, changer->source,
			listener->name, i ? "done" : "freeze",
			"{consumer: a}"));
	return listener != NULL;
}

static bool release_co(struct changer *changer)
{
	struct listener *listener = some(changer, FAULT);

	if (listener)
		free(stack_rig_command_co(changer->rig, changer->source,
			listener->name, "clear", NULL));
	return listener != NULL;
}

/* Each does nothing and returns false where it cannot be now. The last three are
 * said to a driver: the stack stays what it is. */
static bool (*const changes[])(struct changer *changer) = {
	[STACK_ATTACH] = attach_co,
	[STACK_DETACH] = detach_co,
	[STACK_CONFIGURE] = configure_co,
	[STACK_REORDER] = reorder_co,
	[STACK_SWAP] = swap_co,
	[STACK_HOLD] = hold_co,
	[STACK_RELEASE] = release_co,
	[STACK_CONSUME] = consume_co};
#define CHANGES (sizeof changes / sizeof changes[0])

/* -- the run -------------------------------------------------------------- */

static bool more(struct model_load *load)
{
	struct changer *changer = load->task.argument;

	return !atomic_load(&changer->stop);
}

static void start_workers(struct changer *changer)
{
	const struct model_load like = {.task.argument = changer,
		.source = changer->source,
		.weight = {[LOAD_READ] = 8,
			[LOAD_WRITE] = 8,
			[LOAD_FUA] = 1,
			[LOAD_ZERO] = 1,
			[LOAD_UNMAP] = 1,
			[LOAD_DISCARD] = 1,
			[LOAD_COMPARE] = 2,
			[LOAD_FLUSH] = 1},
		.sectors = &changer->sectors,
		.unit_sectors = 1,
		.most_units = 12,
		.more = more};

	changer->sectors = REGION;
	model_load_plan(changer->load, WORKERS, &like, &changer->random);
	for (unsigned i = 0; i < WORKERS; i++) {
		changer->load[i].model = sector_model_new(REGION);
		changer->load[i].first_sector = i * REGION;
	}
	model_load_start_all(changer->rig, changer->load, WORKERS);
}

static void end_workers_co(struct changer *changer)
{
	unsigned i;

	atomic_store(&changer->stop, true);
	release_all_co(changer);
	for (i = 0; i < WORKERS; i++) {
		struct model_load *load = &changer->load[i];

		stack_rig_join_co(&load->task);
		changer->public->requests += load->done;
		model_load_verify_co(changer->rig, load);
		sector_model_free(load->model);
	}
}

/* True if any of those in the status says more than 0 between the two texts. */
static bool counts(const char *status, const char *before, const char *after)
{
	const char *at = status;

	while ((at = strstr(at, before))) {
		char *end;

		at += strlen(before);
		if (strtoull(at, &end, 10) &&
			!strncmp(end, after, strlen(after)))
			return true;
	}
	return false;
}

static void look(struct changer *changer)
{
	char *status = stack_rig_status(changer->source);

	changer->public->held += counts(status, "\"held\": ", ", \"state\"");
	changer->public->waited += counts(status, "\"waited\": ", "");
	free(status);
}

static void body_co(struct stack_rig *rig, void *argument)
{
	struct changer *changer = argument;
	struct stack_changes *public = changer->public;
	struct loop *loop = block_core_lane(rig->core, 0)->loop;
	struct block_source *base;
	unsigned i = 0;

	changer->rig = rig;
	base = stack_rig_source_co(rig,
		"protocol: {type: file, path: disk, size: 1M, locking: false}");
	changer->source = stack_rig_source_co(rig, bottoms[0]);
	start_workers(changer);
	while (i < public->changes) {
		unsigned kind = (unsigned)below(changer, CHANGES);
		bool done = changes[kind](changer);

		public->made[kind] += done;
		i += done && kind <= STACK_SWAP;
		look(changer);
		if (below(changer, 8) == 0)
			release_all_co(changer);
		if (below(changer, 4) == 0)
			loop_sleep_co(loop, below(changer, 2000000));
	}
	end_workers_co(changer);
	block_source_put_co(changer->source);
	block_source_put_co(base);
}

void stack_changes_run(
	const struct stack_rig_setup *setup, struct stack_changes *public)
{
	struct changer changer = {.public = public, .random = public->seed};

	stack_rig_test(setup, body_co, &changer);
}
