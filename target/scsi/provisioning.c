/* SPDX-License-Identifier: Apache-2.0 */
/* See provisioning.h. */
#include "target/scsi/provisioning.h"

#include "blockcore/base/bytes.h"
#include "target/scsi/limits.h"
#include "target/scsi/task.h"

#include <string.h>

#define SET_SHIFT 20 /* bytes of a threshold set: 1 MiB */

bool scsi_is_thin(const struct scsi_task *task)
{
	struct scsi_limits limits;

	scsi_limits_read(task, &limits);
	return limits.thin;
}

bool scsi_has_threshold(const struct scsi_task *task)
{
	const struct volume_space_watch *watch = scsi_volume(task)->space.watch;

	return watch && watch->threshold_percent && scsi_is_thin(task);
}

uint8_t scsi_threshold_exponent(const struct scsi_task *task)
{
	return (uint8_t)(SET_SHIFT - __builtin_ctz(scsi_block_bytes(task)));
}

static uint32_t in_sets(uint64_t bytes)
{
	uint64_t sets = bytes >> SET_SHIFT;

	return sets > UINT32_MAX ? UINT32_MAX : (uint32_t)sets;
}

uint32_t scsi_threshold_count(const struct scsi_task *task)
{
	struct volume_room room;

	volume_space_get(&scsi_volume(task)->space, &room);
	if (!room.threshold_percent)
		return 0;
	return in_sets(volume_space_share(
		room.total_bytes, 100 - room.threshold_percent));
}

/* -- log page 0Ch (SBC-4 6.4.5) ------------------------------------------- */

enum provisioning_parameter {
	PARAMETER_AVAILABLE = 1,
	PARAMETER_USED = 2,
	PARAMETER_PERCENT = 3, /* available */
	PARAMETER_BYTES = 12,
};
enum provisioning_scope { SCOPE_DEDICATED = 1, SCOPE_SHARED = 2 };

static uint8_t *put_parameter(
	uint8_t *to, uint16_t code, enum provisioning_scope scope)
{
	memset(to, 0, PARAMETER_BYTES);
	put_be16(to, code);
	to[2] = 0x03; /* binary list parameter */
	to[3] = PARAMETER_BYTES - 4;
	to[8] = (uint8_t)scope;
	return to + 4;
}

bool scsi_provisioning_log_there(const struct scsi_task *task)
{
	struct volume_room room;

	volume_space_get(&scsi_volume(task)->space, &room);
	return room.total_bytes && scsi_is_thin(task);
}

static uint16_t percent_available(const struct volume_room *room)
{
	uint64_t part = room->total_bytes / 100;
	uint64_t percent = part ? room->free_bytes / part : 0;

	return percent > 100 ? 100 : (uint16_t)percent;
}

uint32_t scsi_provisioning_log(const struct scsi_task *task, uint8_t *to)
{
	struct volume_room room;
	uint8_t *at = to;

	volume_space_get(&scsi_volume(task)->space, &room);
	put_be32(put_parameter(at, PARAMETER_AVAILABLE, SCOPE_SHARED),
		in_sets(room.free_bytes));
	at += PARAMETER_BYTES;
	put_be32(put_parameter(at, PARAMETER_USED, SCOPE_DEDICATED),
		in_sets(room.used_bytes));
	at += PARAMETER_BYTES;
	put_be16(put_parameter(at, PARAMETER_PERCENT, SCOPE_SHARED),
		percent_available(&room));
	return (uint32_t)(at + PARAMETER_BYTES - to);
}
