/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams over a socket pair on the plain loop: what is shown, kept, put
 * straight to its place, gathered, held up by a slow peer, and how it ends.
 */
#include "blockcore/base/list.h"
#include "blockcore/loop/loop_epoll.h"
#include "target/stream/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_NS 20000000000ull
#define POOL_BYTES (16u << 20)

struct rig {
	struct block_lane lane;
	struct stream stream;
	int peer;
	/* what the owner saw */
	uint8_t *seen;
	size_t seen_bytes, seen_room, show_calls;
	unsigned filled, closed, sent, unsent;
	int error;
	/* what the owner does */
	size_t take_multiple; /* takes whole multiples of this */
	uint8_t *into;
	size_t into_bytes, into_after; /* asked for after that many bytes */
	bool pause_after_first, close_in_callback;
	/* when the loop stops */
	bool (*until)(struct rig *rig);
	struct loop_hook hook;
	struct loop_timer deadline;
	bool late, awake; /* awake: the loop does not sleep */
};

static struct rig *rig_of(struct stream *stream)
{
	return container_of(stream, struct rig, stream);
}

static size_t received(struct stream *stream, const uint8_t *data, size_t bytes)
{
	struct rig *rig = rig_of(stream);
	size_t take = bytes - bytes % rig->take_multiple;

	rig->show_calls++;
	if (rig->close_in_callback) {
		rig->closed++;
		stream_close(stream);
		return 0;
	}
	if (rig->into_bytes && rig->seen_bytes + take >= rig->into_after) {
		take = rig->into_after - rig->seen_bytes;
		stream_receive_into(stream, rig->into, rig->into_bytes);
		rig->into_bytes = 0;
	}
	if (rig->pause_after_first && rig->show_calls == 1) {
		take = rig->take_multiple;
		stream_pause(stream);
	}
	assert_true(rig->seen_bytes + take <= rig->seen_room);
	memcpy(rig->seen + rig->seen_bytes, data, take);
	rig->seen_bytes += take;
	return take;
}

static void filled(struct stream *stream)
{
	rig_of(stream)->filled++;
}

static void closed(struct stream *stream, int error)
{
	rig_of(stream)->closed++;
	rig_of(stream)->error = error;
}

static const struct stream_events events = {received, filled, closed};

static void count_sent(struct rig *rig, bool ok)
{
	if (ok)
		rig->sent++;
	else
		rig->unsent++;
}

/* -- running --------------------------------------------------------------- */

static bool check(struct loop_hook *hook)
{
	struct rig *rig = container_of(hook, struct rig, hook);

	if (rig->until(rig))
		loop_epoll_stop(rig->lane.loop);
	return rig->awake;
}

static void too_late(struct loop_timer *timer)
{
	struct rig *rig = container_of(timer, struct rig, deadline);

	rig->late = true;
	loop_epoll_stop(rig->lane.loop);
}

static void run_until(struct rig *rig, bool (*until)(struct rig *rig))
{
	rig->until = until;
	loop_timer_set(rig->lane.loop, &rig->deadline, DEADLINE_NS);
	loop_epoll_run(rig->lane.loop);
	assert_false(rig->late);
	loop_timer_clear(rig->lane.loop, &rig->deadline);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);
	struct err err;
	int pair[2];

	assert_non_null(rig);
	rig->lane.loop = loop_epoll_new(&err);
	assert_non_null(rig->lane.loop);
	rig->lane.pool = buf_pool_new(POOL_BYTES);
	rig->seen_room = 4u << 20;
	rig->seen = malloc(rig->seen_room);
	rig->take_multiple = 1;
	rig->deadline.expired = too_late;
	assert_int_equal(stream_lane_start(&rig->lane, &err), 0);
	rig->hook.run = check;
	loop_hook_add(rig->lane.loop, LOOP_SEND, &rig->hook);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig->peer = pair[1];
	assert_int_equal(
		stream_open(&rig->stream, &rig->lane, pair[0], &events), 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	if (!rig->stream.closing)
		stream_close(&rig->stream);
	loop_hook_remove(rig->lane.loop, LOOP_SEND, &rig->hook);
	stream_lane_stop(&rig->lane);
	if (rig->peer >= 0)
		close(rig->peer);
	buf_pool_free(rig->lane.pool);
	loop_epoll_free(rig->lane.loop);
	free(rig->seen);
	free(rig);
	return 0;
}

static void fill(uint8_t *data, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

static void peer_sends(struct rig *rig, const void *data, size_t bytes)
{
	assert_int_equal(write(rig->peer, data, bytes), bytes);
}

/* -- receiving ------------------------------------------------------------- */

static bool seen_ten(struct rig *rig)
{
	return rig->seen_bytes == 10;
}

static bool shown(struct rig *rig)
{
	return rig->show_calls > 0;
}

static void what_is_left_is_shown_again_with_more(void **state)
{
	struct rig *rig = *state;

	rig->take_multiple = 5;
	peer_sends(rig, "abc", 3);
	run_until(rig, shown);
	assert_int_equal(rig->seen_bytes, 0);
	assert_non_null(rig->stream.in); /* has a buffer while bytes wait */
	peer_sends(rig, "defghij", 7);
	run_until(rig, seen_ten);
	assert_memory_equal(rig->seen, "abcdefghij", 10);
	assert_null(rig->stream.in); /* and none when idle */
	assert_int_equal(buf_pool_used_bytes(rig->lane.pool), 0);
}

static void left_over_bytes_survive_a_dry_pool(void **state)
{
	struct rig *rig = *state;
	struct buf *all[POOL_BYTES / BUF_MAX_BYTES];

	for (unsigned i = 0; i < POOL_BYTES / BUF_MAX_BYTES; i++)
		all[i] = buf_get(rig->lane.pool, BUF_MAX_BYTES);
	rig->take_multiple = 5;
	peer_sends(rig, "abc", 3);
	run_until(rig, shown);
	assert_non_null(rig->stream.spill);
	peer_sends(rig, "defghij", 7);
	run_until(rig, seen_ten);
	assert_memory_equal(rig->seen, "abcdefghij", 10);
	for (unsigned i = 0; i < POOL_BYTES / BUF_MAX_BYTES; i++)
		buf_put(all[i]);
}

static bool filled_once(struct rig *rig)
{
	return rig->filled == 1 && rig->seen_bytes == 7;
}

static void bytes_go_into_the_owners_place(void **state)
{
	struct rig *rig = *state;
	static uint8_t sent[3 + 60000 + 4], place[60000];

	fill(sent, sizeof sent, 1);
	rig->into = place;
	rig->into_bytes = sizeof place;
	rig->into_after = 3;
	/* A part that is buffered together with what precedes it ... */
	peer_sends(rig, sent, 1003);
	run_until(rig, shown);
	assert_int_equal(rig->seen_bytes, 3);
	assert_int_equal(rig->filled, 0);
	/* ... and the rest straight from the socket, with what follows. */
	peer_sends(rig, sent + 1003, sizeof sent - 1003);
	run_until(rig, filled_once);
	assert_memory_equal(place, sent + 3, sizeof place);
	assert_memory_equal(rig->seen + 3, sent + 3 + sizeof place, 4);
}

static bool paused(struct rig *rig)
{
	return rig->stream.paused;
}

static void a_paused_stream_reads_nothing_and_goes_on_alone(void **state)
{
	struct rig *rig = *state;

	rig->take_multiple = 2;
	rig->pause_after_first = true;
	peer_sends(rig, "abcdefghij", 10);
	run_until(rig, paused);
	assert_int_equal(rig->seen_bytes, 2);
	/* No byte comes any more: what was kept is shown all the same. */
	stream_resume(&rig->stream);
	run_until(rig, seen_ten);
	assert_memory_equal(rig->seen, "abcdefghij", 10);
}

/* -- sending --------------------------------------------------------------- */

struct piece {
	struct stream_chunk chunk;
	struct rig *rig;
};

static void piece_sent(struct stream_chunk *chunk, bool ok)
{
	count_sent(container_of(chunk, struct piece, chunk)->rig, ok);
}

/* `count` chunks of `size` bytes from `data`, in two slices each. */
static struct piece *send_pieces(
	struct rig *rig, uint8_t *data, unsigned count, size_t size)
{
	struct piece *pieces = calloc(count, sizeof *pieces);

	for (unsigned i = 0; i < count; i++) {
		struct stream_chunk *chunk = &pieces[i].chunk;

		pieces[i].rig = rig;
		chunk->slices = 2;
		chunk->slice[0].iov_base = data + i * size;
		chunk->slice[0].iov_len = 1;
		chunk->slice[1].iov_base = data + i * size + 1;
		chunk->slice[1].iov_len = size - 1;
		chunk->sent = piece_sent;
		stream_send(&rig->stream, chunk);
	}
	return pieces;
}

static bool three_thousand_sent(struct rig *rig)
{
	return rig->sent == 3000;
}

static void many_chunks_go_out_in_order(void **state)
{
	struct rig *rig = *state;
	size_t bytes = 3000 * 16;
	uint8_t *data = malloc(bytes), *got = malloc(bytes);
	struct piece *pieces;

	fill(data, bytes, 2);
	pieces = send_pieces(rig, data, 3000, 16);
	assert_int_equal(stream_unsent_bytes(&rig->stream), bytes);
	run_until(rig, three_thousand_sent);
	assert_int_equal(stream_unsent_bytes(&rig->stream), 0);
	assert_int_equal(recv(rig->peer, got, bytes, MSG_WAITALL), bytes);
	assert_memory_equal(got, data, bytes);
	free(pieces);
	free(data);
	free(got);
}

static uint8_t *collected;
static size_t collected_bytes;

/* The peer takes some bytes in each turn. */
static bool peer_collects_all(struct rig *rig)
{
	ssize_t got = recv(
		rig->peer, collected + collected_bytes, 50000, MSG_DONTWAIT);

	if (got > 0)
		collected_bytes += (size_t)got;
	return rig->sent == 64 && collected_bytes == 8u << 20;
}

static bool blocked(struct rig *rig)
{
	return rig->stream.waiting;
}

static void a_slow_peer_gets_everything(void **state)
{
	struct rig *rig = *state;
	size_t bytes = 8u << 20;
	uint8_t *data = malloc(bytes);
	struct piece *pieces;

	fill(data, bytes, 3);
	collected = malloc(bytes);
	collected_bytes = 0;
	pieces = send_pieces(rig, data, 64, bytes / 64);
	run_until(rig, blocked);
	assert_true(stream_unsent_bytes(&rig->stream) > 0);
	rig->awake = true;
	run_until(rig, peer_collects_all);
	assert_memory_equal(collected, data, bytes);
	free(pieces);
	free(data);
	free(collected);
}

/* -- the end --------------------------------------------------------------- */

static bool is_closed(struct rig *rig)
{
	return rig->closed > 0;
}

static void end_of_file_is_told_once(void **state)
{
	struct rig *rig = *state;

	close(rig->peer);
	rig->peer = -1;
	run_until(rig, is_closed);
	assert_int_equal(rig->closed, 1);
	assert_int_equal(rig->error, 0);
}

static void closing_tells_queued_chunks(void **state)
{
	struct rig *rig = *state;
	uint8_t data[300] = {0};
	struct piece *pieces = send_pieces(rig, data, 3, 100);

	stream_close(&rig->stream);
	assert_int_equal(rig->unsent, 3);
	assert_int_equal(rig->closed, 0);
	free(pieces);
}

static void a_vanished_peer_is_told_as_an_error(void **state)
{
	struct rig *rig = *state;
	uint8_t data[100] = {0};
	struct piece *pieces = send_pieces(rig, data, 1, 100);

	stream_pause(&rig->stream);
	close(rig->peer);
	rig->peer = -1;
	run_until(rig, is_closed);
	assert_int_equal(rig->error, EPIPE);
	stream_close(&rig->stream);
	assert_int_equal(rig->unsent, 1);
	free(pieces);
}

static void an_owner_may_close_in_a_callback(void **state)
{
	struct rig *rig = *state;

	rig->close_in_callback = true;
	peer_sends(rig, "abc", 3);
	run_until(rig, is_closed);
	assert_true(rig->stream.closing);
}

static bool all_sent(struct rig *rig)
{
	return rig->sent == 1 && rig->stream.shut;
}

static void finishing_sends_all_and_waits_for_the_peer(void **state)
{
	struct rig *rig = *state;
	uint8_t data[100], got[101];
	struct piece *pieces;

	fill(data, sizeof data, 4);
	pieces = send_pieces(rig, data, 1, sizeof data);
	peer_sends(rig, "never looked at", 15);
	stream_finish(&rig->stream, DEADLINE_NS);
	run_until(rig, all_sent);
	assert_int_equal(rig->closed, 0);
	assert_int_equal(recv(rig->peer, got, sizeof got, MSG_WAITALL), 100);
	assert_memory_equal(got, data, 100);
	close(rig->peer);
	rig->peer = -1;
	run_until(rig, is_closed);
	assert_int_equal(rig->seen_bytes, 0);
	free(pieces);
}

static void finishing_ends_without_the_peer(void **state)
{
	struct rig *rig = *state;

	stream_finish(&rig->stream, 1000000);
	run_until(rig, is_closed);
	assert_int_equal(rig->error, ETIMEDOUT);
}

int main(void)
{
#define STREAM_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STREAM_TEST(what_is_left_is_shown_again_with_more),
		STREAM_TEST(left_over_bytes_survive_a_dry_pool),
		STREAM_TEST(bytes_go_into_the_owners_place),
		STREAM_TEST(a_paused_stream_reads_nothing_and_goes_on_alone),
		STREAM_TEST(many_chunks_go_out_in_order),
		STREAM_TEST(a_slow_peer_gets_everything),
		STREAM_TEST(end_of_file_is_told_once),
		STREAM_TEST(closing_tells_queued_chunks),
		STREAM_TEST(a_vanished_peer_is_told_as_an_error),
		STREAM_TEST(an_owner_may_close_in_a_callback),
		STREAM_TEST(finishing_sends_all_and_waits_for_the_peer),
		STREAM_TEST(finishing_ends_without_the_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
