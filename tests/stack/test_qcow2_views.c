/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: read-only views of internal snapshots beside the image that hosts write
 * to. The image and its snapshots are QEMU's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "blockcore/base/bytes.h"
#include "tests/lib/sim_ring.h"
#include "tests/lib/stack_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH "data/disk"
#define CLUSTER 4096u
#define CLUSTERS 256u
#define LIVE \
	"{format: {type: qcow2, pool: 16K, cache: 64K, file: {protocol: " \
	"{type: file, path: disk, locking: false}}}}"
#define VIEW(name) "{source: source-1, view: {snapshot: " name "}}"

/* monday: 1 in the first half; tuesday: 2 in its first cluster; then 3
 * in the second cluster. */
static void make_image(struct stack_rig *rig, const char *options)
{
	char path[64] = "/tmp/cairn-views.XXXXXX", command[1024];
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	snprintf(command, sizeof command,
		"p=%s; i() { qemu-io -f qcow2 -c \"$1\" $p >$p.log || "
		"{ cat $p.log; exit 1; }; }; set -e; "
		"qemu-img create -q -f qcow2 -o %s $p 1M; "
		"i 'write -P 1 0 512k'; qemu-img snapshot -c monday $p; "
		"i 'write -P 2 0 4k'; "
		"qemu-img snapshot -c tuesday $p; i 'write -P 3 4k 4k'; "
		"rm $p.log",
		path, options);
	CHECK_INT(system(command), 0);
	CHECK_INT(sim_world_import(rig->world, PATH, path), 0);
	unlink(path);
}

static int transfer_co(struct stack_rig *rig, struct block_source *source,
	enum block_opcode op, uint64_t offset, uint64_t bytes, void *data)
{
	return block_transfer_co(source, block_core_lane(rig->core, 0), op, 0,
		offset, bytes, data);
}

/* `count` clusters from `first` on hold nothing but `byte`. */
static void expect_co(struct stack_rig *rig, struct block_source *source,
	unsigned first, unsigned count, int byte)
{
	uint8_t expected[CLUSTER];

	memset(expected, byte, sizeof expected);
	for (unsigned i = first; i < first + count; i++)
		stack_rig_expect_co(
			rig, source, i * CLUSTER, CLUSTER, expected);
}

static void expect_monday_co(struct stack_rig *rig, struct block_source *view)
{
	expect_co(rig, view, 0, CLUSTERS / 2, 1);
	expect_co(rig, view, CLUSTERS / 2, CLUSTERS / 2, 0);
}

static void expect_tuesday_co(struct stack_rig *rig, struct block_source *view)
{
	expect_co(rig, view, 0, 1, 2);
	expect_co(rig, view, 1, CLUSTERS / 2 - 1, 1);
	expect_co(rig, view, CLUSTERS / 2, CLUSTERS / 2, 0);
}

/* Everything is discarded and written again, from every lane's point of view. */
static void change_all_co(
	struct stack_rig *rig, struct block_source *live, unsigned seed)
{
	uint8_t *data = stack_rig_pattern(CLUSTER, seed);

	CHECK_INT(transfer_co(rig, live, BLOCK_DISCARD, 0, CLUSTERS * CLUSTER,
			  NULL),
		0);
	CHECK_INT(transfer_co(rig, live, BLOCK_FLUSH, 0, 0, NULL), 0);
	for (unsigned i = 0; i < CLUSTERS; i++)
		CHECK_INT(transfer_co(rig, live, BLOCK_WRITE, i * CLUSTER,
				  CLUSTER, data),
			0);
	CHECK_INT(transfer_co(rig, live, BLOCK_FLUSH, 0, 0, NULL), 0);
	for (unsigned i = 0; i < CLUSTERS; i++)
		stack_rig_expect_co(rig, live, i * CLUSTER, CLUSTER, data);
	free(data);
}

static void test_beside_co(struct stack_rig *rig, void *argument)
{
	struct block_source *live, *monday, *tuesday;
	uint8_t data[CLUSTER] = {0};
	char *said;

	make_image(rig, argument);
	live = stack_rig_source_co(rig, LIVE);
	monday = stack_rig_source_co(rig, VIEW("monday"));
	tuesday = stack_rig_source_co(rig, VIEW("\"2\""));
	expect_co(rig, live, 1, 1, 3);
	expect_monday_co(rig, monday);
	expect_tuesday_co(rig, tuesday);
	for (unsigned seed = 1; seed <= 3; seed++) {
		change_all_co(rig, live, seed);
		expect_monday_co(rig, monday);
		expect_tuesday_co(rig, tuesday);
	}
	CHECK(transfer_co(rig, monday, BLOCK_WRITE, 0, CLUSTER, data) < 0);
	CHECK(transfer_co(rig, monday, BLOCK_DISCARD, 0, CLUSTER, NULL) < 0);
	said = stack_rig_command_co(rig, live, "qcow2", "check", NULL);
	CHECK(strstr(said, "\"errors\": 0,"));
	CHECK(strstr(said, "\"leaks\": 0,"));
	free(said);
	/* The image stays open as long as one of its views. */
	block_source_put_co(live);
	block_source_put_co(monday);
	expect_tuesday_co(rig, tuesday);
	block_source_put_co(tuesday);
}

/* In an image that nobody else has open. */
static void test_alone_co(struct stack_rig *rig, void *argument)
{
	struct block_source *view;

	(void)argument;
	make_image(rig, "cluster_size=4k");
	view = stack_rig_source_co(rig,
		"{view: {snapshot: monday}, format: {type: qcow2, file: "
		"{protocol: {type: file, path: disk, read_only: true, "
		"locking: false}}}}");
	expect_monday_co(rig, view);
	block_source_put_co(view);
}

static void test_list_co(struct stack_rig *rig, void *argument)
{
	struct block_source *live;
	char *said;

	(void)argument;
	make_image(rig, "cluster_size=4k");
	live = stack_rig_source_co(rig, LIVE);
	said = stack_rig_command_co(rig, live, "qcow2", "snapshots", NULL);
	CHECK(strstr(said,
		"{\"id\": \"1\", \"name\": \"monday\", "
		"\"size_bytes\": 1048576, "));
	CHECK(strstr(said, "{\"id\": \"2\", \"name\": \"tuesday\", "));
	CHECK(strstr(said, "\"vm_state_bytes\": 0}]"));
	free(said);
	block_source_put_co(live);
}

static void printed(struct block_source *source, const char *expected)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	CHECK(out != NULL);
	spec_print(source, false, out);
	fclose(out);
	CHECK(!strcmp(text, expected));
	free(text);
}

static void refused_co(
	struct stack_rig *rig, const char *document, int code, const char *text)
{
	struct block_source *source;
	struct err err = {0};

	CHECK_INT(stack_rig_build_co(rig, document, &source, &err), code);
	if (!strstr(err.text, text))
		check_fail(__FILE__, __LINE__, "'%s'", err.text);
}

static void test_documents_co(struct stack_rig *rig, void *argument)
{
	struct block_source *live, *view;

	(void)argument;
	make_image(rig, "cluster_size=4k");
	live = stack_rig_source_co(rig, LIVE);
	view = stack_rig_source_co(rig, VIEW("monday"));
	printed(view,
		"{\"source\": \"source-1\", \"view\": {\"snapshot\": "
		"\"monday\"}}");
	refused_co(rig, VIEW("friday"), -ENOENT,
		"'source-1' and the images below it have no snapshot "
		"'friday'");
	refused_co(rig, "{source: source-1, view: current}", -EINVAL,
		"only a format has views");
	refused_co(rig, "{source: source-1, view: {monday: 1}}", -EINVAL,
		"a view is current, {snapshot: NAME}, {image: PATH} or "
		"{backup: LISTENER}");
	refused_co(rig,
		"{view: {snapshot: x}, format: {type: raw, file: "
		"{protocol: {type: mem, size: 1M}}}}",
		-EOPNOTSUPP, "format raw has no snapshots");
	block_source_put_co(view);
	block_source_put_co(live);
}

/* The image grows: a view stays as long as the snapshot is. */
static void test_grown_co(struct stack_rig *rig, void *argument)
{
	struct block_lane *lane = block_core_lane(rig->core, 0);
	struct block_source *live, *monday, *tuesday;
	struct err err = {0};

	(void)argument;
	make_image(rig, "cluster_size=4k");
	live = stack_rig_source_co(rig, LIVE);
	monday = stack_rig_source_co(rig, VIEW("monday"));
	CHECK_INT(spec_resize_co(live, 2ull * CLUSTERS * CLUSTER, &err), 0);
	tuesday = stack_rig_source_co(rig, VIEW("tuesday"));
	CHECK_INT(
		block_source_info(monday, lane).size_bytes, CLUSTERS * CLUSTER);
	CHECK_INT(block_source_info(tuesday, lane).size_bytes,
		CLUSTERS * CLUSTER);
	expect_tuesday_co(rig, tuesday);
	expect_co(rig, live, CLUSTERS, CLUSTERS, 0);
	block_source_put_co(monday);
	block_source_put_co(tuesday);
	block_source_put_co(live);
}

static int overlay_co(struct stack_rig *rig, struct block_source *live)
{
	const struct spec_overlay overlay = {
		.document = stack_rig_doc(rig,
			"{format: {type: qcow2, file: {protocol: {type: file, "
			"path: over, size: 4K, locking: false}}}}")};
	struct err err = {0};

	return spec_overlay_co(live, &overlay, &err);
}

/* A view follows the image that has its snapshot: under the live one by now. */
static void test_below_co(struct stack_rig *rig, void *argument)
{
	struct block_source *live, *monday, *tuesday;

	(void)argument;
	make_image(rig, "cluster_size=4k");
	live = stack_rig_source_co(rig, LIVE);
	monday = stack_rig_source_co(rig, VIEW("monday"));
	CHECK_INT(overlay_co(rig, live), 0);
	tuesday = stack_rig_source_co(rig, VIEW("tuesday"));
	change_all_co(rig, live, 5);
	expect_monday_co(rig, monday);
	expect_tuesday_co(rig, tuesday);
	block_source_put_co(monday);
	block_source_put_co(tuesday);
	block_source_put_co(live);
}

/* -- damaged tables ------------------------------------------------------- */

/* Of the first entry; the text that it is refused with. */
static const struct damage {
	unsigned at, bytes;
	uint64_t value;
	const char *text;
} damages[] = {
	{0, 8, 0x1001, "misplaced"},
	{0, 8, 1ull << 40, "misplaced"},
	{0, 8, ~0ull, "misplaced"},
	{8, 4, 0, "too short"},
	{8, 4, 0xffffffff, "too short"},
	{12, 2, 200, "too long"},
	{12, 2, 0xffff, "behind the end"},
	{14, 2, 300, "too long"},
	{36, 4, 2000, "extra data"},
	{36, 4, 0xffffffff, "extra data"},
	{48, 8, ~0ull, "too short"},
	{48, 8, 1ull << 50, "too short"},
	{64, 1, 0, "zero byte"},
};

static void put(uint8_t *to, unsigned bytes, uint64_t value)
{
	while (bytes) {
		to[--bytes] = (uint8_t)value;
		value >>= 8;
	}
}

static void test_damaged_co(struct stack_rig *rig, void *argument)
{
	uint64_t bytes, table;
	uint8_t *image, *copy;

	(void)argument;
	make_image(rig, "cluster_size=4k");
	bytes = sim_world_size_bytes(rig->world, PATH);
	image = malloc(bytes);
	copy = malloc(bytes);
	CHECK(image && copy);
	CHECK(sim_world_get(rig->world, PATH, 0, image, bytes));
	table = get_be64(image + 64);
	for (unsigned i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		const struct damage *d = &damages[i];
		struct block_source *live;
		char document[128];

		memcpy(copy, image, bytes);
		put(copy + table + d->at, d->bytes, d->value);
		sim_world_put(rig->world, PATH, copy, bytes);
		live = stack_rig_source_co(rig, LIVE);
		expect_co(rig, live, 1, 1, 3);
		snprintf(document, sizeof document,
			"{source: source-%u, view: {snapshot: monday}}",
			2 * i + 1);
		refused_co(rig, document, -EINVAL, d->text);
		block_source_put_co(live);
	}
	/* A table behind the end. */
	put(image + 64, 8, 1ull << 40);
	sim_world_put(rig->world, PATH, image, bytes);
	refused_co(rig,
		"{view: {snapshot: monday}, format: {type: qcow2, file: "
		"{protocol: {type: file, path: disk, locking: false}}}}",
		-EINVAL, "behind the end");
	free(image);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACK_RIG_CASE_WITH(test_beside_co, "cluster_size=4k", "4K",
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE_WITH(test_beside_co, "cluster_size=512", "512",
			.world = "simulated", .lanes = 3),
		STACK_RIG_CASE_WITH(test_beside_co,
			"cluster_size=16k,extended_l2=on", "subclusters",
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE_WITH(test_beside_co, "compat=0.10", "version 2",
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE(test_alone_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_list_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_documents_co, simulated,
			.world = "simulated", .lanes = 1),
		STACK_RIG_CASE(test_grown_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_below_co, simulated, .world = "simulated",
			.lanes = 1),
		STACK_RIG_CASE(test_damaged_co, simulated, .world = "simulated",
			.lanes = 1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
