/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: identity, the source that is online, flags, nexuses.
 *
 * The source pointer and the flags are atomics that every lane reads; a source
 * is put only after a broadcast, when no lane can still be about to use it.
 */
#include "target/volume/volume.h"

#include "target/volume/news.h"

#include "blockcore/base/log.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NAA 3, locally assigned (SPC-4 7.8.6.6.4): 60 bits out of the UUID's 128. */
static void volume_derive_identity(struct volume *volume)
{
	const uint8_t *uuid = volume->settings.uuid;

	for (unsigned i = 0; i < 8; i++)
		volume->naa[i] = uuid[i] ^ uuid[i + 8];
	volume->naa[0] = (uint8_t)(0x30 | (volume->naa[0] & 0x0f));
	for (unsigned i = 0; i < 16; i++)
		snprintf(volume->serial + 2 * i, 3, "%02x", uuid[i]);
}

static int volume_check_settings(
	const struct volume_settings *settings, struct err *err)
{
	if (settings->block_bytes != 512 && settings->block_bytes != 4096)
		return err_set(err, EINVAL,
			"volume %s: block size %u: hosts can address blocks of "
			"512 or 4096 bytes",
			settings->name, settings->block_bytes);
	if (settings->physical_block_bytes &&
		settings->physical_block_bytes < settings->block_bytes)
		return err_set(err, EINVAL,
			"volume %s: physical block size %u is smaller than the "
			"block size %u",
			settings->name, settings->physical_block_bytes,
			settings->block_bytes);
	return 0;
}

static void volume_init(struct volume *volume, struct block_core *core,
	const struct volume_settings *settings, struct volume_store *store)
{
	volume->settings = *settings;
	if (!volume->settings.vendor[0])
		memcpy(volume->settings.vendor, "CAIRN", 6);
	if (!volume->settings.product[0])
		memcpy(volume->settings.product, "VOLUME", 7);
	volume->core = core;
	volume->store = store;
	volume_derive_identity(volume);
	volume->default_flags = VOLUME_WRITE_CACHE | VOLUME_THRESHOLD |
		(settings->read_only ? VOLUME_WRITE_PROTECT : 0);
	atomic_init(&volume->saved_flags, volume->default_flags);
	atomic_init(&volume->flags, volume->default_flags);
	memcpy(volume->offline_reason, "not opened yet", 15);
	co_mutex_init(&volume->changing);
	volume_book_init(&volume->book);
	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++)
		TAILQ_INIT(&volume->lane[i].nexuses);
}

const char *volume_uuid_text(
	const uint8_t uuid[16], char out[VOLUME_UUID_TEXT_BYTES])
{
	unsigned used = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[used++] = '-';
		used += (unsigned)snprintf(out + used, 3, "%02x", uuid[i]);
	}
	return out;
}

bool volume_uuid_parse(const char *text, uint8_t uuid[16])
{
	unsigned digits = 0;

	memset(uuid, 0, 16);
	for (; *text; text++) {
		if (*text == '-' && digits >= 8 && digits <= 20 &&
			digits % 4 == 0)
			continue;
		if (!isxdigit((unsigned char)*text) || digits == 32)
			return false;
		int value = isdigit((unsigned char)*text)
			? *text - '0'
			: tolower((unsigned char)*text) - 'a' + 10;
		uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | value);
		digits++;
	}
	return digits == 32;
}

struct volume *volume_new(struct block_core *core,
	const struct volume_settings *settings, struct volume_store *store,
	struct err *err)
{
	struct volume *volume;

	if (volume_check_settings(settings, err))
		return NULL;
	volume = calloc(1, sizeof *volume);
	if (!volume) {
		err_set(err, ENOMEM, "volume %s: out of memory",
			settings->name);
		return NULL;
	}
	volume_init(volume, core, settings, store);
	return volume;
}

int volume_claim(
	struct volume *volume, struct block_source *source, struct err *err)
{
	int result;

	assert(!volume->claimed);
	volume->claim.mode = BLOCK_CLAIM_SHARED;
	snprintf(volume->claim.holder, sizeof volume->claim.holder,
		"volume '%s'", volume->settings.name);
	result = block_source_claim(source, &volume->claim, err);
	if (!result)
		volume->claimed = source;
	return result;
}

void volume_unclaim(struct volume *volume)
{
	if (volume->claimed)
		block_source_unclaim(&volume->claim);
	volume->claimed = NULL;
}

void volume_online(struct volume *volume, struct block_source *source)
{
	if (!volume->claimed) {
		int refused = volume_claim(volume, source, NULL);

		assert(!refused); /* who is not sure claims first */
	}
	volume->watch.changed = volume_source_changed;
	block_source_watch(source, &volume->watch);
	volume->last_info =
		block_source_info(source, block_core_lane(volume->core, 0));
	volume->offline_reason[0] = 0;
	atomic_store_explicit(&volume->source, source, memory_order_release);
}

#define STOP_LOOK_NS 1000000u

void volume_format_stop_co(struct volume *volume)
{
	struct volume_format *format = &volume->format;

	if (!format->running)
		return;
	format->stop = true;
	if (format->moving)
		block_cancel(format->moving);
	while (format->running)
		loop_sleep_co(
			block_core_lane(volume->core, 0)->loop, STOP_LOOK_NS);
}

static void volume_nothing(struct block_lane *lane, void *argument)
{
	(void)lane;
	(void)argument;
}

void volume_offline_co(struct volume *volume, const char *reason)
{
	struct block_source *source = atomic_exchange(&volume->source, NULL);

	volume_format_stop_co(volume);
	snprintf(volume->offline_reason, sizeof volume->offline_reason, "%s",
		reason);
	if (!source)
		return;
	block_source_unwatch(&volume->watch);
	volume_unclaim(volume);
	block_broadcast_co(volume->core, volume_nothing, NULL);
	block_source_put_co(source);
}

void volume_free_co(struct volume *volume)
{
	volume_offline_co(volume, "deleted");
	volume_await_telling_co(volume);
	for (unsigned i = 0; i < BLOCK_MAX_LANES; i++)
		assert(TAILQ_EMPTY(&volume->lane[i].nexuses));
	free(atomic_load(&volume->reservations));
	free(atomic_load(&volume->paths));
	volume_book_fini(&volume->book);
	free(volume);
}

bool volume_info(const struct volume *volume, struct block_lane *lane,
	struct block_info *info)
{
	struct block_source *source = atomic_load_explicit(
		&((struct volume *)volume)->source, memory_order_acquire);

	if (!source)
		return false;
	*info = block_source_info(source, lane);
	return true;
}

bool volume_read_only(const struct volume *volume)
{
	return volume->settings.read_only ||
		volume_flags(volume) & VOLUME_WRITE_PROTECT;
}

void volume_failed(struct volume *volume, const char *why)
{
	unsigned old = atomic_fetch_or(&volume->flags, VOLUME_FAILED);
	char object[BLOCK_NAME_BYTES + 8];

	if (old & VOLUME_FAILED)
		return;
	snprintf(object, sizeof object, "volume %s", volume->settings.name);
	log_error(object, "failed",
		"%s: data that hosts were told is written may be lost; check "
		"the storage below, then repair the volume: cairn volume "
		"repair %s",
		why, volume->settings.name);
}

/* Short of memory, it was not even asked. */
static bool flush_was_tried(int result)
{
	return result && result != -ECANCELED && result != -ENODEV &&
		result != -ENOMEM && result != -EAGAIN && result != -EBUSY;
}

int volume_flushed(struct volume *volume, int result)
{
	if (result == -EOPNOTSUPP)
		return 0;
	if (flush_was_tried(result))
		volume_failed(volume, "a flush failed");
	return result;
}

void volume_trouble(struct volume *volume, const struct block_lane *lane,
	int result, bool writing)
{
	char object[BLOCK_NAME_BYTES + 8];
	uint32_t swallowed;

	if (result == -ENOSPC)
		volume_space_short(&volume->space);
	if (!log_limit_pass(&volume->lane[lane->index].trouble, &swallowed))
		return;
	snprintf(object, sizeof object, "volume %s", volume->settings.name);
	if (swallowed)
		log_error(object, "I/O error", "%u more, in short time",
			swallowed);
	log_error(object, "I/O error", "a %s failed: %s; the host was told",
		writing ? "write" : "read", strerror(-result));
}

void volume_waits_for_space(
	struct volume *volume, const struct block_lane *lane)
{
	char object[BLOCK_NAME_BYTES + 8];
	uint32_t swallowed;

	volume_space_short(&volume->space);
	if (!log_limit_pass(&volume->lane[lane->index].trouble, &swallowed))
		return;
	snprintf(object, sizeof object, "volume %s", volume->settings.name);
	log_warning(object, "no space",
		"no space is left below: writes wait for up to %u s; make room",
		atomic_load(&volume->settings.space_wait_s));
}

void volume_repaired(struct volume *volume)
{
	atomic_fetch_and(&volume->flags,
		~(unsigned)(VOLUME_FAILED | VOLUME_FORMAT_CORRUPT));
}

static void volume_call_start(void *argument)
{
	struct volume_call *call = argument;

	call->entry_co(call);
}

static void volume_call_run(struct loop_message *message)
{
	struct volume_call *call =
		container_of(message, struct volume_call, message);

	loop_errand(block_core_lane(call->core, 0)->loop, &call->errand,
		volume_call_start, call);
}

void volume_on_control(struct volume *volume, struct volume_call *call)
{
	call->core = volume->core;
	call->message.run = volume_call_run;
	loop_post(block_core_lane(volume->core, 0)->loop, &call->message);
}
