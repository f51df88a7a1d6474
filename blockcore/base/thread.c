/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a thread: its mask is there before its first instruction, as the
 * creator lends it its own.
 */
#include "blockcore/base/thread.h"

#include "blockcore/base/trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct thread {
	void *(*body)(void *argument);
	void *argument;
};

static void *begin(void *given)
{
	struct thread thread = *(struct thread *)given;

	free(given);
	trace_thread_init();
	return thread.body(thread.argument);
}

int thread_start(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*body)(void *argument), void *argument)
{
	struct thread *given = malloc(sizeof *given);
	sigset_t blocked, before;
	int failed;

	if (!given)
		return ENOMEM;
	*given = (struct thread){body, argument};
	sigfillset(&blocked);
	trace_open_crash_signals(&blocked);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	failed = pthread_create(thread, attributes, begin, given);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		free(given);
	return failed;
}
