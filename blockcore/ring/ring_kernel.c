/* SPDX-License-Identifier: Apache-2.0 */
#include "blockcore/ring/ring_kernel.h"

#include <errno.h>

#define SQ_ENTRIES 512u
#define CQ_ENTRIES 4096u

int ring_kernel_setup(struct io_uring *kernel)
{
	static const unsigned kinds[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int failed = 0;
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct io_uring_params params = {
			.flags = kinds[i] | IORING_SETUP_CQSIZE,
			.cq_entries = CQ_ENTRIES,
		};
		failed =
			io_uring_queue_init_params(SQ_ENTRIES, kernel, &params);
		if (failed != -EINVAL)
			return failed;
	}
	return failed;
}

int ring_kernel_try(const char **what)
{
	static const int needed[] = {IORING_OP_READV, IORING_OP_WRITEV,
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READ_FIXED,
		IORING_OP_WRITE_FIXED, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring kernel;
	*what = "the kernel or the container forbids it";
	int failed = ring_kernel_setup(&kernel);
	if (failed)
		return failed;
	*what = "the kernel is too old";
	struct io_uring_probe *probe = io_uring_get_probe_ring(&kernel);
	if (!probe)
		failed = -ENOSYS;
	for (unsigned i = 0; !failed && i < sizeof needed / sizeof *needed; i++)
		if (!io_uring_opcode_supported(probe, needed[i]))
			failed = -ENOSYS;
	io_uring_free_probe(probe);
	io_uring_queue_exit(&kernel);
	return failed;
}
