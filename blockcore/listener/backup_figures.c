/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener backup: its verb, and what it shows of itself.
 */
#include "blockcore/listener/backup.h"

#include "blockcore/base/list.h"

#include <errno.h>
#include <string.h>

static struct backup_driver *backup_of(struct block_driver *driver)
{
	return container_of(driver, struct backup_driver, driver);
}

int backup_rehearse_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, struct err *err)
{
	(void)driver;
	(void)arguments;
	return strcmp(verb, "stop")
		? err_set(err, EINVAL, "%s: no such verb; there is stop", verb)
		: 0;
}

int backup_command_co(struct block_driver *driver, const char *verb,
	const struct doc *arguments, FILE *out, struct err *err)
{
	struct backup_driver *backup = backup_of(driver);

	(void)out;
	int error = backup_rehearse_co(driver, verb, arguments, err);

	if (error)
		return error;
	backup_break(backup, "it was stopped by command");
	error = backup->keeps ? backup_keep_broken_co(backup) : 0;
	return error ? err_set(err, -error, "its map cannot be written: %s",
			       strerror(-error))
		     : 0;
}

static const char *state_name(const struct backup_driver *backup)
{
	switch (atomic_load(&backup->state)) {
	case BACKUP_NONE: return "none";
	case BACKUP_BROKEN: return "broken";
	}
	return atomic_load(&backup->copied_count) == backup->granules
		? "complete"
		: "active";
}

void backup_status(struct block_driver *driver, FILE *out)
{
	struct backup_driver *backup = backup_of(driver);
	uint64_t bytes = 0, waited = 0, reads = 0;

	for (unsigned i = 0; i < block_core_lanes(driver->core); i++) {
		struct backup_lane *lane = block_driver_lane(
			driver, block_core_lane(driver->core, i));

		bytes += counter_get(&lane->copied_bytes);
		waited += counter_get(&lane->waited);
		reads += counter_get(&lane->point_reads);
	}
	fprintf(out,
		"\"state\": \"%s\", \"granules\": %llu, "
		"\"copied_granules\": %llu, \"copied_bytes\": %llu, "
		"\"waited\": %llu, \"moment_reads\": %llu",
		state_name(backup), (unsigned long long)backup->granules,
		(unsigned long long)atomic_load(&backup->copied_count),
		(unsigned long long)bytes, (unsigned long long)waited,
		(unsigned long long)reads);
	pthread_mutex_lock(&backup->mutex);
	if (*backup->why) {
		fputs(", \"broken\": ", out);
		json_print_string(out, backup->why);
	}
	pthread_mutex_unlock(&backup->mutex);
	int mute = atomic_load(&backup->map.mute);
	if (mute) {
		fputs(", \"map_error\": ", out);
		json_print_string(out, strerror(-mute));
	}
	if (backup->keeps)
		fprintf(out, ", \"durable\": %s",
			backup->map.settled && atomic_load(&backup->map.active)
				? "true"
				: "false");
}
