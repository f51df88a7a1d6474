/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What concerns the nexuses of a volume: opening and closing them, attentions
 * (what a host has not been told yet), news of the source.
 *
 * Each nexus is touched on its own lane only. What must reach all of them goes
 * as a broadcast from the control lane (drain.h).
 */
#include "target/volume/drain.h"
#include "target/volume/news.h"
#include "target/volume/volume.h"

#include "blockcore/base/list.h"

#include <assert.h>
#include <string.h>

bool volume_initiator_same(
	const struct volume_initiator *a, const struct volume_initiator *b)
{
	return a == b ||
		(a->relative_target_port == b->relative_target_port &&
			!strcmp(a->port, b->port) &&
			!strcmp(a->target_port, b->target_port));
}

void volume_nexus_open(struct volume_nexus *nexus, const char *host)
{
	struct volume *volume = nexus->volume;

	nexus->page = volume_book_page(&volume->book, nexus->lane->index, host);
	if (nexus->page)
		counter_add(&nexus->page->nexuses, 1);

	TAILQ_INSERT_TAIL(
		&volume->lane[nexus->lane->index].nexuses, nexus, link);
}

void volume_nexus_close(struct volume_nexus *nexus)
{
	struct volume *volume = nexus->volume;

	assert(!nexus->tasks);
	if (nexus->draining)
		volume_nexus_drained(nexus);
	volume_nexus_prevent(nexus, false);
	if (nexus->page)
		counter_add(&nexus->page->nexuses, -1ull);
	TAILQ_REMOVE(&volume->lane[nexus->lane->index].nexuses, nexus, link);
}

void volume_nexus_prevent(struct volume_nexus *nexus, bool prevent)
{
	if (nexus->prevents_removal == prevent)
		return;
	nexus->prevents_removal = prevent;
	if (prevent)
		atomic_fetch_add(&nexus->volume->removal_prevented, 1);
	else
		atomic_fetch_sub(&nexus->volume->removal_prevented, 1);
}

/* -- attentions ----------------------------------------------------------- */

#define ATTENTION_RESET 0x2900 /* power on, reset, or bus device reset */
#define ATTENTION_THRESHOLD 0x3807 /* thin provisioning soft threshold */

void volume_nexus_attend(struct volume_nexus *nexus, uint16_t asc_ascq)
{
	uint16_t *attention = nexus->attention;
	bool reset = asc_ascq >> 8 == ATTENTION_RESET >> 8;

	for (unsigned i = 0; i < nexus->attentions; i++)
		if (attention[i] == asc_ascq)
			return;
	if (nexus->attentions == VOLUME_ATTENTIONS) {
		attention[VOLUME_ATTENTIONS - 1] = ATTENTION_RESET;
		return;
	}
	/* Resets are told first (SAM-5 5.14.2). */
	if (reset)
		memmove(attention + 1, attention,
			nexus->attentions * sizeof *attention);
	attention[reset ? 0 : nexus->attentions] = asc_ascq;
	nexus->attentions++;
}

static void attention_remove(struct volume_nexus *nexus, unsigned i)
{
	nexus->attentions--;
	memmove(nexus->attention + i, nexus->attention + i + 1,
		(nexus->attentions - i) * sizeof *nexus->attention);
}

/* With SITUA the first host that sends a command is told of a threshold, the others
 * are not any more (SBC-4 4.7.3.7.6). */
bool volume_nexus_owed(struct volume_nexus *nexus)
{
	if (nexus->attentions && nexus->attention[0] == ATTENTION_THRESHOLD &&
		volume_flags(nexus->volume) & VOLUME_SINGLE_ATTENTION &&
		!atomic_exchange(&nexus->volume->space.owed, false))
		attention_remove(nexus, 0);
	return nexus->attentions;
}

uint16_t volume_nexus_told(struct volume_nexus *nexus)
{
	uint16_t first = nexus->attention[0];

	assert(nexus->attentions);
	attention_remove(nexus, 0);
	return first;
}

void volume_nexus_forget(struct volume_nexus *nexus, uint16_t asc_ascq)
{
	for (unsigned i = 0; i < nexus->attentions; i++)
		if (nexus->attention[i] == asc_ascq) {
			attention_remove(nexus, i);
			return;
		}
}

/* -- news of the source ---------------------------------------------------- */

static const uint16_t news_attention[] = {
	0x2a09, /* capacity data has changed */
	0x2a01, /* mode parameters changed: WP */
	0x3f03, /* inquiry data has changed: block limits, provisioning */
	ATTENTION_THRESHOLD,
	0x2800, /* not ready to ready change, medium may have changed */
};
enum {
	NEWS_SIZE = 1,
	NEWS_READ_ONLY = 2,
	NEWS_LIMITS = 4,
	NEWS_SPACE = 8,
	NEWS_CONTENT = 16
};
#define NEWS (sizeof news_attention / sizeof *news_attention)

static unsigned news_between(
	const struct block_info *old, const struct block_info *now)
{
	unsigned news = 0;

	if (old->size_bytes != now->size_bytes)
		news |= NEWS_SIZE;
	if (old->read_only != now->read_only)
		news |= NEWS_READ_ONLY;
	if (old->physical_block_bytes != now->physical_block_bytes ||
		old->discard_bytes != now->discard_bytes ||
		old->optimal_io_bytes != now->optimal_io_bytes ||
		old->rotational != now->rotational || old->ops != now->ops)
		news |= NEWS_LIMITS;
	return news;
}

static void news_tell(struct volume_nexus *nexus, void *argument)
{
	const unsigned *news = argument;

	for (unsigned i = 0; i < NEWS; i++)
		if (*news & 1u << i)
			volume_nexus_attend(nexus, news_attention[i]);
}

static void news_tell_co(struct volume_call *call)
{
	struct volume *volume = container_of(call, struct volume, telling);
	struct co *awaits;

	while (volume->untold) {
		unsigned news = volume->untold;

		volume->untold = 0;
		volume_tell_co(volume, news_tell, &news);
	}
	volume->tells = false;
	awaits = volume->awaits_telling;
	if (awaits)
		co_resume(awaits); /* the volume may be gone now */
}

static void news_start(struct volume *volume)
{
	if (!volume->untold || volume->tells)
		return;
	volume->tells = true;
	volume->telling.entry_co = news_tell_co;
	volume_on_control(volume, &volume->telling);
}

/* Also of one that was reached while they did not want to know. */
void volume_note_threshold(struct volume *volume, bool reached)
{
	struct volume_space *space = &volume->space;

	atomic_store(&space->reached, reached);
	space->told &= reached;
	if (!reached || space->told || !volume->settings.thin ||
		!(volume_flags(volume) & VOLUME_THRESHOLD))
		return;
	space->told = true;
	atomic_store(&space->owed, true);
	volume->untold |= NEWS_SPACE;
	news_start(volume);
}

void volume_settings_take(
	struct volume *volume, const struct volume_settings *settings)
{
	bool thin = settings->thin;

	volume->settings.space_wait_s = settings->space_wait_s;
	if (atomic_exchange(&volume->settings.thin, thin) == thin)
		return;
	volume->untold |= NEWS_SIZE | NEWS_LIMITS;
	news_start(volume);
}

void volume_content_changed(struct volume *volume)
{
	volume->untold |= NEWS_CONTENT;
	news_start(volume);
}

void volume_source_changed(struct block_source_watch *watch)
{
	struct volume *volume = container_of(watch, struct volume, watch);
	struct block_info info;

	if (!volume_info(volume, block_core_lane(volume->core, 0), &info))
		return;
	volume->untold |= news_between(&volume->last_info, &info);
	volume->last_info = info;
	news_start(volume);
}

void volume_await_telling_co(struct volume *volume)
{
	if (!volume->tells)
		return;
	volume->awaits_telling = co_self();
	co_yield ();
	volume->awaits_telling = NULL;
}
