/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol file where O_DIRECT wants 4 KiB and hosts send 512 bytes: bounce
 * buffers, read-modify-write, what happens without memory. In the simulator, and
 * on a loop device with blocks of 4 KiB where the test may make one.
 *
 * TSAN: yes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/buf.h"
#include "blockcore/base/list.h"
#include "blockcore/base/prng.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * 1024u)
#define DISK_BYTES (4u * MIB)
#define SECTOR 512u
#define BLOCK 4096u

struct place {
	const char *document;
	struct stack_rig_setup setup;
};

/* -- one request at a time ------------------------------------------------ */

/* Any offset, length and address: the file is what a flat array would be. */
static void test_random_co(struct stack_rig *rig, void *document)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	uint8_t *model = calloc(1, DISK_BYTES);
	uint8_t *data = stack_rig_pattern(MIB + BLOCK, 1);
	uint64_t random = 42;
	int i;

	CHECK(model != NULL);
	for (i = 0; i < 300; i++) {
		uint64_t most = prng_below(&random, 10) ? 64 : 2048;
		uint64_t length = (1 + prng_below(&random, most)) * SECTOR;
		uint64_t offset =
			prng_below(&random, (DISK_BYTES - length) / SECTOR) *
			SECTOR;
		size_t shift =
			prng_below(&random, 3) ? 0 : prng_below(&random, BLOCK);
		unsigned flags = prng_below(&random, 4) ? 0 : BLOCK_FUA;

		if (length > MIB)
			length = MIB;
		if (prng_below(&random, 5) == 0) {
			CHECK_INT(block_transfer_co(source, lane,
					  BLOCK_WRITE_ZEROES, flags, offset,
					  length, NULL),
				0);
			memset(model + offset, 0, length);
			continue;
		}
		data[shift + i % 512] ^= (uint8_t)i;
		CHECK_INT(block_transfer_co(source, lane, BLOCK_WRITE, flags,
				  offset, length, data + shift),
			0);
		memcpy(model + offset, data + shift, length);
		CHECK_INT(block_transfer_co(source, lane, BLOCK_READ, 0, offset,
				  length, data + shift),
			0);
		CHECK(!memcmp(model + offset, data + shift, length));
	}
	stack_rig_expect_co(rig, source, 0, DISK_BYTES, model);
	CHECK(stack_rig_figure(source, "bounced") > 0);
	free(data);
	free(model);
	block_source_put_co(source);
}

/* -- beside each other ---------------------------------------------------- */

#define WRITERS (BLOCK / SECTOR)
#define ROUNDS 60
#define BLOCKS 4

/* Writer n owns sector n of each block. */
struct writer {
	struct stack_rig_task task;
	struct block_source *source;
	unsigned number;
};

static void fill(uint8_t *sector, unsigned number, unsigned round)
{
	memset(sector, (int)(number * 16 + round % 13 + 1), SECTOR);
}

static void writer_co(struct stack_rig_task *task)
{
	struct writer *writer = container_of(task, struct writer, task);
	struct stack_rig_request request[BLOCKS];
	uint8_t *data = stack_rig_pattern((size_t)BLOCKS * SECTOR, 1);
	unsigned round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BLOCKS; i++) {
			fill(data + i * SECTOR, writer->number, round);
			stack_rig_submit(writer->source, task->lane,
				&request[i], BLOCK_WRITE,
				round % 7 ? 0 : BLOCK_FUA,
				i * BLOCK + writer->number * SECTOR, SECTOR,
				data + i * SECTOR);
		}
		for (i = 0; i < BLOCKS; i++)
			CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	}
	free(data);
}

/* Sectors of one block, written by all lanes at once: none is lost. */
static void test_neighbours_co(struct stack_rig *rig, void *document)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct writer writer[WRITERS];
	uint8_t *expected = malloc(BLOCK);
	unsigned i;

	for (i = 0; i < WRITERS; i++) {
		writer[i] = (struct writer){.task.run_co = writer_co,
			.source = source,
			.number = i};
		stack_rig_start(rig, i % rig->lanes, &writer[i].task);
		fill(expected + i * SECTOR, i, ROUNDS - 1);
	}
	for (i = 0; i < WRITERS; i++)
		stack_rig_join_co(&writer[i].task);
	for (i = 0; i < BLOCKS; i++)
		stack_rig_expect_co(rig, source, i * BLOCK, BLOCK, expected);
	free(expected);
	block_source_put_co(source);
}

struct whole {
	struct stack_rig_task task;
	struct block_source *source;
};

/* Whole blocks while somebody changes their first sector: the rest is what was
 * written last, though nobody else ever asked for it. */
static void whole_co(struct stack_rig_task *task)
{
	struct whole *whole = container_of(task, struct whole, task);
	uint8_t *data = stack_rig_pattern(BLOCK, 1);
	uint8_t *seen = stack_rig_pattern(BLOCK, 2);
	unsigned round;

	for (round = 0; round < 4 * ROUNDS; round++) {
		memset(data, (int)(round % 251 + 1), BLOCK);
		CHECK_INT(block_transfer_co(whole->source, task->lane,
				  BLOCK_WRITE, 0, 0, BLOCK, data),
			0);
		CHECK_INT(block_transfer_co(whole->source, task->lane,
				  BLOCK_READ, 0, 0, BLOCK, seen),
			0);
		CHECK(!memcmp(data + SECTOR, seen + SECTOR, BLOCK - SECTOR));
	}
	free(data);
	free(seen);
}

static void first_sector_co(struct stack_rig_task *task)
{
	struct whole *whole = container_of(task, struct whole, task);
	uint8_t *data = stack_rig_pattern(SECTOR, 77);
	unsigned round;

	for (round = 0; round < 4 * ROUNDS; round++)
		CHECK_INT(block_transfer_co(whole->source, task->lane,
				  round % 3 ? BLOCK_WRITE : BLOCK_WRITE_ZEROES,
				  0, 0, SECTOR, round % 3 ? data : NULL),
			0);
	free(data);
}

static void test_whole_and_part_co(struct stack_rig *rig, void *document)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct whole whole = {.task.run_co = whole_co, .source = source};
	struct whole part = {.task.run_co = first_sector_co, .source = source};

	stack_rig_start(rig, 0, &whole.task);
	stack_rig_start(rig, rig->lanes - 1, &part.task);
	stack_rig_join_co(&whole.task);
	stack_rig_join_co(&part.task);
	CHECK(stack_rig_figure(source, "merged") > 0);
	block_source_put_co(source);
}

/* -- without memory ------------------------------------------------------- */

#define STARVING 16
#define MOST_BUFFERS 16384 /* more than a pool has */

struct greed {
	struct buf *buf[MOST_BUFFERS];
	unsigned count;
};

static void take_all(struct greed *greed, struct buf_pool *pool)
{
	struct buf *buf;

	greed->count = 0;
	while (greed->count < MOST_BUFFERS &&
		(buf = buf_get(pool, BUF_MIN_BYTES)))
		greed->buf[greed->count++] = buf;
	CHECK(!buf_get(pool, BUF_MIN_BYTES));
}

static void give_back(struct greed *greed)
{
	while (greed->count)
		buf_put(greed->buf[--greed->count]);
}

static void starve(struct block_source *source, struct block_lane *lane,
	struct stack_rig_request *request, uint8_t *data)
{
	unsigned i;

	for (i = 0; i < STARVING; i++)
		stack_rig_submit(source, lane, &request[i], BLOCK_WRITE, 0,
			i * 3 * SECTOR, 3 * SECTOR, data + i * 3 * SECTOR);
}

/* Hosts' data fill the pool: writes that need a bounce still end. */
static void test_no_memory_co(struct stack_rig *rig, void *document)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request[STARVING];
	uint8_t *data = stack_rig_pattern(STARVING * 3 * SECTOR, 4);
	static struct greed greed;
	unsigned i;

	take_all(&greed, lane->pool);
	starve(source, lane, request, data);
	for (i = 0; i < STARVING; i++)
		CHECK_INT(stack_rig_wait_co(&request[i]), 0);
	give_back(&greed);
	stack_rig_expect_co(rig, source, 0, STARVING * 3 * SECTOR, data);
	free(data);
	block_source_put_co(source);
}

/* Who waits for memory can be cancelled; the others go on. */
static void test_cancel_co(struct stack_rig *rig, void *document)
{
	struct block_source *source = stack_rig_source_co(rig, document);
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct stack_rig_request request[STARVING];
	uint8_t *data = stack_rig_pattern(STARVING * 3 * SECTOR, 4);
	static struct greed greed;
	unsigned i, cancelled = 0;

	take_all(&greed, lane->pool);
	starve(source, lane, request, data);
	for (i = 0; i < STARVING; i += 2)
		block_cancel(&request[i].request);
	for (i = 0; i < STARVING; i++) {
		int result = stack_rig_wait_co(&request[i]);

		CHECK(result == 0 || (i % 2 == 0 && result == -ECANCELED));
		if (result)
			cancelled++;
		else
			stack_rig_expect_co(rig, source, i * 3 * SECTOR,
				3 * SECTOR, data + i * 3 * SECTOR);
	}
	CHECK(cancelled >= STARVING / 2 - 1); /* one had the reserve */
	give_back(&greed);
	free(data);
	block_source_put_co(source);
}

/* -- places --------------------------------------------------------------- */

/* A loop device with blocks of 4 KiB over a file in /var/tmp; "" if this may
 * not be made here. */
static char loop_device[64];
static char loop_file[] = "/var/tmp/cairn-align-XXXXXX";

static int make_loop_device(void **state)
{
	char command[256];
	FILE *out;
	int fd = mkstemp(loop_file);

	(void)state;
	if (fd < 0 || ftruncate(fd, DISK_BYTES))
		return 0;
	close(fd);
	snprintf(command, sizeof command,
		"losetup --find --show --sector-size 4096 --direct-io=on %s "
		"2>/dev/null",
		loop_file);
	out = popen(command, "r");
	if (out && fgets(loop_device, sizeof loop_device, out))
		loop_device[strcspn(loop_device, "\n")] = '\0';
	if (out)
		pclose(out);
	return 0;
}

static int remove_loop_device(void **state)
{
	char command[256];

	(void)state;
	if (*loop_device) {
		snprintf(command, sizeof command, "losetup --detach %s",
			loop_device);
		if (system(command))
			fprintf(stderr, "%s is left\n", loop_device);
	}
	unlink(loop_file);
	return 0;
}

typedef void body_fn(struct stack_rig *rig, void *document);

static void on_device(body_fn *body_co, const char *world)
{
	struct stack_rig_setup setup = {.world = world, .lanes = 2};
	char document[128];
	char command[128];

	if (!*loop_device)
		skip();
	/* Every test begins with zeroes. */
	snprintf(command, sizeof command, "blkdiscard --zeroout %s",
		loop_device);
	assert_int_equal(system(command), 0);
	snprintf(document, sizeof document, "protocol: {type: file, path: %s}",
		loop_device);
	stack_rig_test(&setup, body_co, document);
}

static void simulated(body_fn *body_co, uint32_t align)
{
	struct stack_rig_setup setup = {
		.world = "simulated", .lanes = 3, .direct_align_bytes = align};

	for (setup.seed = 1; setup.seed <= 5; setup.seed++)
		stack_rig_test(&setup, body_co,
			"protocol: {type: file, path: disk, size: 4M}");
}

#define TEST(name) \
	static void name##_uring(void **state) \
	{ \
		(void)state; \
		on_device(name##_co, "io_uring"); \
	} \
	static void name##_threads(void **state) \
	{ \
		(void)state; \
		on_device(name##_co, "threads"); \
	} \
	static void name##_simulated(void **state) \
	{ \
		(void)state; \
		simulated(name##_co, BLOCK); \
	}

TEST(test_random)
TEST(test_neighbours)
TEST(test_whole_and_part)
TEST(test_no_memory)
TEST(test_cancel)

#define ROWS(name) \
	cmocka_unit_test(name##_uring), cmocka_unit_test(name##_threads), \
		cmocka_unit_test(name##_simulated)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROWS(test_random),
		ROWS(test_neighbours),
		ROWS(test_whole_and_part),
		ROWS(test_no_memory),
		ROWS(test_cancel),
	};

	return cmocka_run_group_tests(
		tests, make_loop_device, remove_loop_device);
}
