/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dirty list, the interest in the socket, the end of a stream.
 */
#include "target/stream/state.h"

void state_mark_dirty(struct stream *stream)
{
	if (stream->dirty || stream->closing)
		return;
	stream->dirty = true;
	stream->home->dirty_streams++;
	TAILQ_INSERT_TAIL(&stream->home->dirty, stream, link);
}

void state_unmark_dirty(struct stream *stream)
{
	if (!stream->dirty)
		return;
	stream->dirty = false;
	stream->home->dirty_streams--;
	TAILQ_REMOVE(&stream->home->dirty, stream, link);
}

void state_update_interest(struct stream *stream)
{
	unsigned interest = 0;

	if (!stream->broken && (!stream->paused || stream->finishing))
		interest |= LOOP_READABLE;
	if (!stream->broken && stream->waiting)
		interest |= LOOP_WRITABLE;
	if (interest == stream->watch.interest)
		return;
	stream->watch.interest = interest;
	loop_watch(stream->lane->loop, &stream->watch);
}

/* Tells the owner once that the stream is over. */
void state_break(struct stream *stream, int error)
{
	if (stream->broken || stream->closing)
		return;
	stream->broken = true;
	stream->resumed = false; /* nothing is shown any more */
	stream->into_left = 0;
	state_update_interest(stream);
	loop_timer_clear(stream->lane->loop, &stream->timer);
	stream->events->closed(stream, error);
}
