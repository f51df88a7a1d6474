/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a coroutine needs from the CPU: to leave one stack and go on with
 * another. Only co.c uses it.
 *
 * x86-64 has a switch of its own (six pushes and pops, no system call); other
 * CPUs use swapcontext(3), which is right everywhere and saves the signal mask
 * on every switch.
 */
#ifndef BLOCKCORE_BASE_CO_CONTEXT_H
#define BLOCKCORE_BASE_CO_CONTEXT_H

#include <stddef.h>

#if defined(__x86_64__) && !defined(CO_UCONTEXT)
#define CO_CONTEXT_ASM 1

struct co_context {
	void *stack_pointer; /* of a stack that was left */
};
#else
#include <ucontext.h>

struct co_context {
	ucontext_t ucontext;
};
#endif

/* Prepares `context`, so that the first switch to it calls `entry` on the stack
 * [stack, stack + bytes). `entry` never returns. */
void co_context_make(struct co_context *context, void *stack, size_t bytes,
	void (*entry)(void));

/* Leaves the running stack, kept in `from`, for `to`. Returns when somebody
 * switches to `from`. */
void co_context_switch(struct co_context *from, struct co_context *to);

#endif
