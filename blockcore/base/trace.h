/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every trace point of Cairn, in one list. Each is a USDT probe ("cairn:NAME",
 * for bpftrace and perf) and a 32-byte record in the thread's flight recorder,
 * a ring of the last 4096 that is printed on a crash.
 *
 * Invariants
 *  1. A trace point costs a few stores; it never allocates or locks.
 *  2. The clock is read once per turn of the thread's loop, for the first record
 *     of the turn; by a thread without a loop, for every record.
 */
#ifndef BLOCKCORE_BASE_TRACE_H
#define BLOCKCORE_BASE_TRACE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/sdt.h>

/* name, meaning of a, meaning of b */
#define TRACE_POINTS(X) \
	X(request_submit, "request", "op and length") \
	X(request_done, "request", "result") \
	X(source_gate_close, "source", "generation") \
	X(source_swap, "source", "generation") \
	X(source_gate_open, "source", "parked requests") \
	X(ring_submit, "ring", "operations") \
	X(ring_reap, "ring", "completions") \
	X(file_flush, "file", "waiters") \
	X(pdu_in, "connection", "opcode") \
	X(pdu_out, "connection", "bytes") \
	X(session_up, "connection", "lane") \
	X(session_down, "connection", "reason, a text") \
	X(scsi_start, "task", "opcode") \
	X(scsi_done, "task", "status")

enum trace_point {
#define X(name, a, b) TRACE_##name,
	TRACE_POINTS(X)
#undef X
		TRACE_POINT_COUNT
};

#define TRACE_RECORDS 4096u

struct trace_record {
	uint64_t time_ns; /* CLOCK_MONOTONIC_COARSE */
	uint64_t a, b;
	uint32_t point;
	uint32_t sequence;
};

struct trace_recorder {
	uint64_t now_ns; /* of this turn, 0: to be read */
	uint32_t next; /* sequence of the record to come */
	bool turns; /* trace_turn has been called */
	struct trace_record records[TRACE_RECORDS];
};
extern _Thread_local struct trace_recorder trace_recorder;

/* What the record that is about to be made is stamped with. */
uint64_t trace_read_clock(void);

static inline void trace_put(enum trace_point point, uint64_t a, uint64_t b)
{
	struct trace_recorder *recorder = &trace_recorder;
	uint32_t sequence = recorder->next++;
	uint64_t now_ns = recorder->now_ns;
	struct trace_record *record =
		&recorder->records[sequence % TRACE_RECORDS];

	if (__builtin_expect(!now_ns, 0))
		now_ns = trace_read_clock();
	record->time_ns = now_ns;
	record->a = a;
	record->b = b;
	record->point = point;
	record->sequence = sequence;
}

/* A turn of the calling thread's loop has ended. */
static inline void trace_turn(void)
{
	trace_recorder.turns = true;
	trace_recorder.now_ns = 0;
}

#define trace(name, a, b) \
	do { \
		DTRACE_PROBE2(cairn, name, a, b); \
		trace_put(TRACE_##name, (uint64_t)(a), (uint64_t)(b)); \
	} while (0)

/* Writes the calling thread's recorder to `fd`, oldest first; safe in a signal
 * handler. */
void trace_dump(int fd);

/* From now on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT dump the recorder of
 * the thread that crashed before the process ends as it would have. Call it
 * once. */
void trace_install_crash_handler(void);

/* Gives the calling thread a signal stack of its own, so that an overflow of a
 * stack (a coroutine's too) is dumped as well. trace_install_crash_handler has
 * done it for its caller, thread_start (thread.h) for its threads. */
void trace_thread_init(void);

/* Takes those signals out of `blocked`: a thread that blocks them is ended by the
 * kernel, undumped. */
void trace_open_crash_signals(sigset_t *blocked);

#endif
