/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates that did not close in time are tried again: a machine is busy for a moment, a
 * disk slow. In between hosts go on, for as long as they may have waited at least.
 */
#include "blockcore/core/core.h"
#include "blockcore/figures.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_PAUSE_NS (16 * SPEC_GATE_DEADLINE_NS)

/* "...; nothing was changed" has been told of the last of several times. */
static void spec_tell_tries(
	const struct spec_patience *patience, struct err *err)
{
	struct err last = *err;

	err_set(err, last.code, "%.400s; tried %u times, for %llu s", last.text,
		patience->tries,
		(unsigned long long)(SPEC_PATIENCE_NS / 1000000000));
}

bool spec_try_again_co(struct block_source *source,
	struct spec_patience *patience, int failed, struct err *err)
{
	struct loop *loop = block_core_lane(source->core, 0)->loop;
	uint64_t now_ns = loop_now_ns(loop);

	if (failed != -ETIMEDOUT)
		return false;
	if (!patience->tries++) {
		patience->until_ns = now_ns + SPEC_PATIENCE_NS;
		patience->pause_ns = SPEC_GATE_DEADLINE_NS;
	}
	if (now_ns + patience->pause_ns > patience->until_ns) {
		if (err)
			spec_tell_tries(patience, err);
		return false;
	}
	loop_sleep_co(loop, patience->pause_ns);
	if (patience->pause_ns < LONGEST_PAUSE_NS)
		patience->pause_ns *= 2;
	if (err)
		*err = (struct err){0};
	return true;
}

int spec_flush_within_co(struct block_source *source, struct block_lane *lane,
	const char *what, uint64_t patience_ns, struct err *err)
{
	struct block_info info = block_source_info(source, lane);
	int error = info.volatile_cache
		? block_flush_within_co(source, lane, patience_ns)
		: 0;

	if (error == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"%s has not been flushed within %llu s: look for a "
			"fault that holds its I/O, or a disk that hangs",
			what, (unsigned long long)(patience_ns / 1000000000));
	return error ? err_set(err, -error, "%s cannot be flushed: %s", what,
			       strerror(-error))
		     : 0;
}
