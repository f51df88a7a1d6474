/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual clock, events and loops; see the header.
 */
#include "tests/lib/sim_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "blockcore/loop/loop_timers.h"

#define SIM_LOOPS_MAX 64u
#define TURN_NS_MIN 200u
#define TURN_NS_SPREAD 3000u
/* A job takes some tens of microseconds, seldom far more. */
#define JOB_NS_MIN 5000u
#define JOB_NS_SPREAD 100000u
#define JOB_NS_SELDOM 20000000u

struct sim_loop {
	struct loop loop;
	struct sim *sim;
	uint32_t number;
	bool woken; /* hooks have work */
	STAILQ_HEAD(, loop_message) messages;
	struct loop_timers timers;
	uint32_t jobs; /* out */
};

struct sim {
	uint64_t now_ns, random, hash, order;
	TAILQ_HEAD(sim_event_list, sim_event) events; /* by time, then order */
	struct sim_loop *loops[SIM_LOOPS_MAX];
	uint32_t loop_count, loop_numbers;
};

enum note { NOTE_TURN = 0x10000, NOTE_TIMER, NOTE_JOB };

/* -- random numbers, hash, clock ---------------------------------------------- */

uint64_t sim_now_ns(const struct sim *sim)
{
	return sim->now_ns;
}

uint64_t sim_random(struct sim *sim)
{
	return prng_next(&sim->random);
}

uint64_t sim_below(struct sim *sim, uint64_t count)
{
	return prng_below(&sim->random, count);
}

uint64_t sim_hash(const struct sim *sim)
{
	return sim->hash;
}

void sim_note(struct sim *sim, uint64_t what)
{
	uint64_t mix = sim->hash ^ what;
	sim->hash = prng_next(&mix);
}

/* -- events ------------------------------------------------------------------- */

void sim_event_set(struct sim *sim, struct sim_event *event, uint64_t after_ns)
{
	event->at_ns = sim->now_ns + after_ns;
	event->order = ++sim->order;
	/* Most events are later than those that wait. */
	struct sim_event *at = TAILQ_LAST(&sim->events, sim_event_list);
	while (at && at->at_ns > event->at_ns)
		at = TAILQ_PREV(at, sim_event_list, link);
	if (at)
		TAILQ_INSERT_AFTER(&sim->events, at, event, link);
	else
		TAILQ_INSERT_HEAD(&sim->events, event, link);
}

static bool sim_run_event(struct sim *sim)
{
	struct sim_event *event = TAILQ_FIRST(&sim->events);
	if (!event || event->at_ns > sim->now_ns)
		return false;
	TAILQ_REMOVE(&sim->events, event, link);
	event->run(event);
	return true;
}

/* -- what a loop offers ------------------------------------------------------- */

static struct sim_loop *from_loop(struct loop *loop)
{
	return (struct sim_loop *)loop; /* the first member */
}

static uint64_t loop_sim_now_ns(struct loop *loop)
{
	return from_loop(loop)->sim->now_ns;
}

static void loop_sim_timer_set(struct loop *loop, struct loop_timer *timer)
{
	loop_timers_insert(&from_loop(loop)->timers, timer);
}

static void loop_sim_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	loop_timers_remove(timer);
}

static void loop_sim_post(struct loop *loop, struct loop_message *message)
{
	STAILQ_INSERT_TAIL(&from_loop(loop)->messages, message, link);
}

static int loop_sim_watch(struct loop *loop, struct loop_watch *watch)
{
	(void)loop;
	(void)watch;
	return -EOPNOTSUPP; /* nothing real in here */
}

static void loop_sim_unwatch(struct loop *loop, struct loop_watch *watch)
{
	(void)loop;
	(void)watch;
}

static uint64_t loop_sim_random(struct loop *loop)
{
	return sim_random(from_loop(loop)->sim);
}

/* A job on its way: the work is done at some time, then told to the loop. */
struct sim_job {
	struct sim_event event;
	struct loop_job *job;
};

static void job_done(struct loop_message *message)
{
	struct loop_job *job = container_of(message, struct loop_job, message);
	from_loop(job->loop)->jobs--;
	if (job->done)
		job->done(job);
}

static void job_run(struct sim_event *event)
{
	struct sim_job *sim_job = container_of(event, struct sim_job, event);
	struct loop_job *job = sim_job->job;
	free(sim_job);
	struct sim_loop *self = from_loop(job->loop);
	sim_note(self->sim, NOTE_JOB);
	job->work(job);
	job->message.run = job_done;
	loop_post(job->loop, &job->message);
}

static void loop_sim_work(struct loop *loop, struct loop_job *job)
{
	struct sim_loop *self = from_loop(loop);
	struct sim_job *sim_job = calloc(1, sizeof *sim_job);
	assert(sim_job);
	sim_job->event.run = job_run;
	sim_job->job = job;
	self->jobs++;
	uint64_t after_ns = JOB_NS_MIN + sim_below(self->sim, JOB_NS_SPREAD);
	if (sim_below(self->sim, 32) == 0)
		after_ns += sim_below(self->sim, JOB_NS_SELDOM);
	sim_event_set(self->sim, &sim_job->event, after_ns);
}

static const struct loop_ops sim_loop_ops = {
	.now_ns = loop_sim_now_ns,
	.timer_set = loop_sim_timer_set,
	.timer_clear = loop_sim_timer_clear,
	.post = loop_sim_post,
	.watch = loop_sim_watch,
	.unwatch = loop_sim_unwatch,
	.work = loop_sim_work,
	.random = loop_sim_random,
};

/* -- turns -------------------------------------------------------------------- */

static bool loop_is_ready(const struct sim_loop *self)
{
	return self->woken || !STAILQ_EMPTY(&self->messages) ||
		loop_timers_first_ns(&self->timers) <= self->sim->now_ns;
}

static void loop_turn(struct sim_loop *self)
{
	struct sim *sim = self->sim;
	sim_note(sim, NOTE_TURN + ((uint64_t)self->number << 32));
	self->woken = false;
	STAILQ_HEAD(, loop_message) run = STAILQ_HEAD_INITIALIZER(run);
	STAILQ_CONCAT(&run, &self->messages);
	struct loop_message *message;
	while ((message = STAILQ_FIRST(&run))) {
		STAILQ_REMOVE_HEAD(&run, link);
		message->run(message);
	}
	if (loop_timers_expire(&self->timers, sim->now_ns))
		sim_note(sim, NOTE_TIMER);
	if (loop_run_hooks(&self->loop))
		self->woken = true;
	sim->now_ns += TURN_NS_MIN + sim_below(sim, TURN_NS_SPREAD);
}

static bool sim_run_turn(struct sim *sim)
{
	struct sim_loop *ready[SIM_LOOPS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < sim->loop_count; i++)
		if (loop_is_ready(sim->loops[i]))
			ready[count++] = sim->loops[i];
	if (!count)
		return false;
	loop_turn(ready[count > 1 ? sim_below(sim, count) : 0]);
	return true;
}

/* To the next thing that has a time; false if there is none. */
static bool sim_move_clock(struct sim *sim)
{
	const struct sim_event *event = TAILQ_FIRST(&sim->events);
	uint64_t next_ns = event ? event->at_ns : UINT64_MAX;
	for (uint32_t i = 0; i < sim->loop_count; i++) {
		uint64_t first_ns =
			loop_timers_first_ns(&sim->loops[i]->timers);
		if (first_ns < next_ns)
			next_ns = first_ns;
	}
	if (next_ns == UINT64_MAX)
		return false;
	assert(next_ns > sim->now_ns);
	sim->now_ns = next_ns;
	return true;
}

bool sim_step(struct sim *sim)
{
	return sim_run_event(sim) || sim_run_turn(sim) || sim_move_clock(sim);
}

void sim_run(struct sim *sim)
{
	while (sim_step(sim))
		;
}

bool sim_run_until(struct sim *sim, const bool *finished)
{
	while (!*finished)
		if (!sim_step(sim))
			return *finished;
	return true;
}

void sim_run_for(struct sim *sim, uint64_t ns)
{
	uint64_t end_ns = sim->now_ns + ns;
	while (sim->now_ns < end_ns && sim_step(sim))
		;
}

/* -- life --------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof *sim);
	assert(sim);
	sim->random = seed;
	sim->hash = seed;
	/* Not 0: code that takes 0 for "never" would be right by chance. */
	sim->now_ns = 1000000000u + sim_below(sim, 1000000000u);
	TAILQ_INIT(&sim->events);
	return sim;
}

void sim_free(struct sim *sim)
{
	assert(!sim->loop_count && TAILQ_EMPTY(&sim->events));
	free(sim);
}

struct loop *sim_loop_new(struct sim *sim)
{
	assert(sim->loop_count < SIM_LOOPS_MAX);
	struct sim_loop *self = calloc(1, sizeof *self);
	assert(self);
	loop_base_init(&self->loop, &sim_loop_ops);
	self->sim = sim;
	self->number = sim->loop_numbers++;
	self->woken = true; /* hooks that were added may have work */
	STAILQ_INIT(&self->messages);
	LIST_INIT(&self->timers);
	sim->loops[sim->loop_count++] = self;
	return &self->loop;
}

void sim_loop_free(struct loop *loop)
{
	struct sim_loop *self = from_loop(loop);
	struct sim *sim = self->sim;
	assert(STAILQ_EMPTY(&self->messages) && LIST_EMPTY(&self->timers) &&
		!self->jobs);
	uint32_t at = 0;
	while (sim->loops[at] != self)
		at++;
	for (sim->loop_count--; at < sim->loop_count; at++)
		sim->loops[at] = sim->loops[at + 1];
	free(self);
}

struct sim *sim_of(struct loop *loop)
{
	assert(loop->ops == &sim_loop_ops);
	return from_loop(loop)->sim;
}

void sim_loop_wake(struct loop *loop)
{
	from_loop(loop)->woken = true;
}
