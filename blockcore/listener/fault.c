/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener fault: fails, delays and holds requests by rules, so that hosts,
 * stacks and tests meet what disks do on bad days.
 *
 * A rule (fault_rules.h) says which requests: operation, purpose, extent, in which
 * state, how many pass first, how often, with what probability; when: before
 * anything happens below, or after; and what: an error, a delay, a hold until
 * `release`, another state.
 *
 * Verbs
 *	add RULE	one more rule, asked last
 *	hold RULE	the same, and what it strikes is held
 *	release [name]	removes that holding rule (or all) and lets go
 *	remove name	removes a rule; what it holds stays held
 *	clear		removes all rules and lets go; the first state
 *	list		the rules with their hits
 *
 * Invariants
 *  1. Each lane reads its own pointer to the table; a table and what was taken
 *     out of it are freed when every lane has the next one.
 *  2. What it holds is in the back, which a swap waits for: it lets go when it is
 *     detached or a gate closes. Its rules stay: what comes later is held again.
 *  3. New rules (options, live) leave those that are equal as they are, with what
 *     they have counted and hold; what others hold is let go.
 *  4. Data is never changed: a failed request fails, a passed one is as it was.
 */
#include "blockcore/listener/fault.h"

#include "blockcore/kinds.h"

#include <errno.h>

static const struct opt_spec options[] = {
	{.name = "rules",
		.type = OPT_DOC,
		.flags = OPT_OPTIONAL | OPT_LIVE,
		.offset = offsetof(struct fault_options, rules),
		.help = "list of rules: op, event, purpose, state, new_state, "
			"offset, length, after, count, probability_ppm, error, "
			"delay_us, fua, hold, name"},
	{.name = "seed",
		.type = OPT_UINT,
		.offset = offsetof(struct fault_options, seed),
		.max = UINT64_MAX,
		.fallback = "1",
		.help = "start of the random numbers"},
	OPT_END};

/* -- requests ------------------------------------------------------------- */

static bool waits(const struct fault_rule *rule)
{
	return rule->options.hold || rule->options.delay_us;
}

static bool strike_after(
	struct block_request *request, struct block_frame *frame)
{
	struct fault_lane *lane = frame->context;
	struct fault_rule *rule = fault_rules_strike(lane->table,
		FAULT_COMPLETE, request, lane->seed, &lane->fault->state);

	if (!rule)
		return true;
	if (!request->result)
		request->result = -rule->error;
	if (!waits(rule))
		return true;
	fault_held_keep(lane, request, rule, true);
	return false;
}

static void fault_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct fault_lane *lane = block_driver_lane(driver, request->lane);
	struct fault_rule *rule = fault_rules_strike(lane->table, FAULT_SUBMIT,
		request, lane->seed, &lane->fault->state);

	if (!rule || (!rule->error && !waits(rule))) {
		if (lane->table->strikes_after)
			block_push(request, strike_after, lane, 0);
		block_pass(request);
		return;
	}
	request->result = -rule->error;
	if (waits(rule))
		fault_held_keep(lane, request, rule, rule->error != 0);
	else
		block_complete(request, -rule->error);
}

/* -- opening, lanes, figures ---------------------------------------------- */

static int fault_check(
	const struct doc *map, const void *values, struct err *err)
{
	const struct fault_options *o = values;
	struct fault_driver nobody = {.next_number = 0};
	struct fault_table *table = fault_change_parse(&nobody, o->rules, err);

	(void)map;
	if (!table)
		return err ? -err->code : -EINVAL;
	fault_change_free(table);
	return 0;
}

static int fault_open_co(struct block_driver *driver, struct err *err)
{
	struct fault_driver *fault = (struct fault_driver *)driver;
	const struct fault_options *o = driver->options;

	co_mutex_init(&fault->changing);
	fault->state = FAULT_FIRST_STATE;
	fault->table = fault_change_parse(fault, o->rules, err);
	return fault->table ? 0 : err ? -err->code : -EINVAL;
}

static void fault_close_co(struct block_driver *driver)
{
	fault_change_free(((struct fault_driver *)driver)->table);
}

static int fault_lane_start(
	struct block_driver *driver, struct block_lane *lane)
{
	struct fault_lane *l = block_driver_lane(driver, lane);
	const struct fault_options *o = driver->options;

	l->fault = (struct fault_driver *)driver;
	l->table = l->fault->table;
	l->seed = o->seed;
	fault_held_init(l, lane);
	return 0;
}

static void fault_lane_stop(
	struct block_driver *driver, struct block_lane *lane)
{
	struct fault_lane *l = block_driver_lane(driver, lane);

	fault_held_fini(l);
}

static void fault_release(struct block_driver *driver, struct block_lane *lane)
{
	struct fault_lane *l = block_driver_lane(driver, lane);

	fault_held_release(l, 0);
	hold_release(&l->before);
	hold_release(&l->after);
}

static void fault_status(struct block_driver *driver, FILE *out)
{
	struct fault_driver *fault = (struct fault_driver *)driver;
	uint64_t held = 0;
	unsigned i;

	for (i = 0; i < block_core_lanes(driver->core); i++) {
		struct fault_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		held += fault_held_count(lane);
	}
	fprintf(out, "\"held\": %llu, \"state\": %u, \"rules\": ",
		(unsigned long long)held, atomic_load(&fault->state));
	fault_rules_print(fault->table, out);
}

const struct block_kind fault_kind = {
	.name = "fault",
	.help = "fail, delay or hold requests by rules",
	.role = BLOCK_LISTENER,
	.part = BLOCK_BACK,
	.anchor = BLOCK_IMAGE,
	.band = BAND_FAULT,
	.handles = BLOCK_OPS_ALL,
	.options = options,
	.options_bytes = sizeof(struct fault_options),
	.driver_bytes = sizeof(struct fault_driver),
	.lane_bytes = sizeof(struct fault_lane),
	.check = fault_check,
	.open_co = fault_open_co,
	.close_co = fault_close_co,
	.lane_start = fault_lane_start,
	.lane_stop = fault_lane_stop,
	.submit = fault_submit,
	.release = fault_release,
	.configure_co = fault_change_configure_co,
	.command_co = fault_change_command_co,
	.rehearse_co = fault_change_rehearse_co,
	.status = fault_status,
};
