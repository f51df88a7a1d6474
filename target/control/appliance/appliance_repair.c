/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume that failed is put to use again; see appliance.h. What was lost stays
 * lost: an operator says that he has looked.
 */
#include "target/control/appliance/appliance_parts.h"

#include "blockcore/base/log.h"

#include <errno.h>

static bool has_failed(const struct appliance_volume *v)
{
	return volume_flags(v->volume) &
		(VOLUME_FAILED | VOLUME_FORMAT_CORRUPT);
}

/* A driver that failed promises nothing any more, for as long as it is open. */
static bool must_reopen(const struct appliance_volume *v)
{
	const struct block_source *source = atomic_load(&v->volume->source);
	return source && block_source_failed(source);
}

static struct appliance_volume *find(
	const struct appliance *appliance, const char *name)
{
	return map_find_text(&appliance->names, name);
}

int appliance_repair_check(const struct appliance *appliance, const char *name,
	bool *reopens, struct err *err)
{
	const struct appliance_volume *v = find(appliance, name);
	if (!v || !has_failed(v))
		return err_set(err, EALREADY,
			"no flush of volume %s has failed and no format: "
			"there is nothing to repair",
			name);
	*reopens = must_reopen(v);
	if (*reopens && block_source_shared(atomic_load(&v->volume->source)))
		return err_set(err, EBUSY,
			"volume %s has to be opened anew, and something else "
			"holds it: end its jobs and take volumes that stand on "
			"it away first",
			name);
	return 0;
}

static int reopen_co(struct appliance *appliance, struct appliance_volume *v,
	struct err *err)
{
	volume_offline_co(v->volume, "it is being opened anew");
	volume_repaired(v->volume);
	if (appliance_retry_co(appliance, v))
		return 0;
	appliance_retry_soon(appliance);
	return err_set(err, EIO,
		"volume %s: %s; it is tried again until it is there",
		v->settings.name, v->volume->offline_reason);
}

int appliance_repair_co(
	struct appliance *appliance, const char *name, struct err *err)
{
	bool reopens;
	co_mutex_lock_co(&appliance->applying);
	int failed = appliance_repair_check(appliance, name, &reopens, err);
	if (!failed && reopens)
		failed = reopen_co(appliance, find(appliance, name), err);
	else if (!failed)
		volume_repaired(find(appliance, name)->volume);
	co_mutex_unlock(&appliance->applying);
	return failed;
}
