/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch between stacks.
 *
 * x86-64: the ABI (System V, 3.2.1) lets a called function keep rbx, rbp, r12 to
 * r15, the stack pointer, and the control bits of mxcsr and of the x87 word. So
 * that is all that is saved, on the stack that is left, in the order of struct
 * frame. This object is built without the shadow stack mark (see the Makefile):
 * returning on another stack is what shadow stacks forbid.
 */
#include "blockcore/base/co_context.h"

#include <stdint.h>

#ifdef CO_CONTEXT_ASM

void co_switch_stacks(void **from, void *to);

#ifdef __CET__
#define LANDING "endbr64\n"
#else
#define LANDING ""
#endif

__asm__(".pushsection .text\n"
	".balign 16\n"
	".globl co_switch_stacks\n"
	".hidden co_switch_stacks\n"
	".type co_switch_stacks, @function\n"
	"co_switch_stacks:\n" LANDING "pushq %rbp\n"
	"pushq %rbx\n"
	"pushq %r12\n"
	"pushq %r13\n"
	"pushq %r14\n"
	"pushq %r15\n"
	"subq $8, %rsp\n"
	"stmxcsr (%rsp)\n"
	"fnstcw 4(%rsp)\n"
	"movq %rsp, (%rdi)\n"
	"movq %rsi, %rsp\n"
	"ldmxcsr (%rsp)\n"
	"fldcw 4(%rsp)\n"
	"addq $8, %rsp\n"
	"popq %r15\n"
	"popq %r14\n"
	"popq %r13\n"
	"popq %r12\n"
	"popq %rbx\n"
	"popq %rbp\n"
	"ret\n"
	".size co_switch_stacks, . - co_switch_stacks\n"
	".popsection\n");

struct frame {
	uint32_t mxcsr;
	uint16_t x87_control, unused;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	void (*entry)(void);
	uint64_t caller; /* none: where unwinders stop */
};

/* At its first instruction a function finds the stack pointer 8 bytes below a
 * multiple of 16: there lies `caller`. */
void co_context_make(struct co_context *context, void *stack, size_t bytes,
	void (*entry)(void))
{
	uintptr_t top = ((uintptr_t)stack + bytes) & ~(uintptr_t)15;
	struct frame *frame = (struct frame *)top - 1;

	*frame = (struct frame){.entry = entry};
	__asm__ volatile("stmxcsr %0" : "=m"(frame->mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(frame->x87_control));
	context->stack_pointer = frame;
}

void co_context_switch(struct co_context *from, struct co_context *to)
{
	co_switch_stacks(&from->stack_pointer, to->stack_pointer);
}

#else

void co_context_make(struct co_context *context, void *stack, size_t bytes,
	void (*entry)(void))
{
	getcontext(&context->ucontext);
	context->ucontext.uc_stack.ss_sp = stack;
	context->ucontext.uc_stack.ss_size = bytes;
	context->ucontext.uc_link = NULL;
	makecontext(&context->ucontext, entry, 0);
}

void co_context_switch(struct co_context *from, struct co_context *to)
{
	swapcontext(&from->ucontext, &to->ucontext);
}

#endif
