/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener stats: what hosts ask and how long they wait, per operation:
 * requests, bytes, errors, in flight, and a histogram of latency in powers of
 * two (bucket n counts completions that took 2^n to 2^(n+1) - 1 ns).
 *
 * Invariants
 *  1. Each lane counts for itself with plain stores; who looks adds them up.
 *  2. It stands at the top, so time in a throttle or at a gate is counted, too.
 *  3. A request is counted when it ends; `in_flight` is what has not.
 */
#include "blockcore/base/counter.h"
#include "blockcore/kinds.h"

#define STATS_BUCKETS 40u /* the last one is 2^39 ns = 9 minutes and more */

struct stats_op {
	struct counter requests, bytes, errors, total_ns;
	struct counter latency[STATS_BUCKETS];
};

struct stats_lane {
	struct counter submitted;
	struct stats_op op[BLOCK_OPCODES];
};

static const struct opt_spec options[] = {OPT_END};

static unsigned bucket_of(uint64_t ns)
{
	unsigned bucket = 63u - (unsigned)__builtin_clzll(ns | 1);

	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

static bool stats_done(struct block_request *request, struct block_frame *frame)
{
	struct stats_lane *lane = frame->context;
	struct stats_op *op = &lane->op[request->op];
	uint64_t took_ns = loop_now_ns(request->lane->loop) - frame->value;

	counter_add(&op->requests, 1);
	if (request->result)
		counter_add(&op->errors, 1);
	else
		counter_add(&op->bytes, request->length_bytes);
	counter_add(&op->total_ns, took_ns);
	counter_add(&op->latency[bucket_of(took_ns)], 1);
	return true;
}

static void stats_submit(
	struct block_driver *driver, struct block_request *request)
{
	struct stats_lane *lane = block_driver_lane(driver, request->lane);

	counter_add(&lane->submitted, 1);
	block_push(request, stats_done, lane, loop_now_ns(request->lane->loop));
	block_pass(request);
}

/* -- figures -------------------------------------------------------------- */

struct stats_sum {
	uint64_t submitted, done;
	struct stats_sum_op {
		uint64_t requests, bytes, errors, total_ns;
		uint64_t latency[STATS_BUCKETS];
	} op[BLOCK_OPCODES];
};

static void add_op(struct stats_sum_op *sum, const struct stats_op *op)
{
	unsigned i;

	sum->requests += counter_get(&op->requests);
	sum->bytes += counter_get(&op->bytes);
	sum->errors += counter_get(&op->errors);
	sum->total_ns += counter_get(&op->total_ns);
	for (i = 0; i < STATS_BUCKETS; i++)
		sum->latency[i] += counter_get(&op->latency[i]);
}

static void add_lane(struct stats_sum *sum, const struct stats_lane *lane)
{
	unsigned i;

	/* Ends before starts: in flight is never counted below zero. */
	for (i = 0; i < BLOCK_OPCODES; i++) {
		sum->done += counter_get(&lane->op[i].requests);
		add_op(&sum->op[i], &lane->op[i]);
	}
	sum->submitted += counter_get(&lane->submitted);
}

static void print_op(const char *name, const struct stats_sum_op *op, FILE *out)
{
	unsigned i, used = 0;

	for (i = 0; i < STATS_BUCKETS; i++)
		if (op->latency[i])
			used = i + 1;
	fprintf(out,
		"\"%s\": {\"requests\": %llu, \"bytes\": %llu, "
		"\"errors\": %llu, \"total_ns\": %llu, "
		"\"latency_ns_log2\": [",
		name, (unsigned long long)op->requests,
		(unsigned long long)op->bytes, (unsigned long long)op->errors,
		(unsigned long long)op->total_ns);
	for (i = 0; i < used; i++)
		fprintf(out, "%s%llu", i ? ", " : "",
			(unsigned long long)op->latency[i]);
	fputs("]}", out);
}

static void stats_status(struct block_driver *driver, FILE *out)
{
	struct stats_sum sum = {0};
	const char *comma = "";
	unsigned i;

	for (i = 0; i < block_core_lanes(driver->core); i++)
		add_lane(&sum,
			block_driver_lane(
				driver, block_core_lane(driver->core, i)));
	fprintf(out, "\"in_flight\": %llu, \"operations\": {",
		(unsigned long long)(sum.submitted > sum.done
				? sum.submitted - sum.done
				: 0));
	for (i = 0; i < BLOCK_OPCODES; i++) {
		if (!sum.op[i].requests)
			continue;
		fputs(comma, out);
		print_op(block_op_name(i), &sum.op[i], out);
		comma = ", ";
	}
	fputs("}", out);
}

const struct block_kind stats_kind = {
	.name = "stats",
	.help = "count requests, bytes, errors and latency",
	.role = BLOCK_LISTENER,
	.part = BLOCK_FRONT,
	.anchor = BLOCK_HEAD,
	.band = BAND_STATS,
	.observes = true,
	.handles = BLOCK_OPS_ALL,
	.options = options,
	.driver_bytes = sizeof(struct block_driver),
	.lane_bytes = sizeof(struct stats_lane),
	.submit = stats_submit,
	.status = stats_status,
};
