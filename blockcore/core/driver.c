/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a driver; see driver.h.
 */
#include "blockcore/core/driver.h"

#include "blockcore/base/log.h"
#include "blockcore/core/core.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void *block_driver_lane(struct block_driver *driver, struct block_lane *lane)
{
	return driver->lane_state + lane->index * driver->lane_stride_bytes;
}

static void driver_free_options(
	const struct block_kind *kind, void *options, struct doc *document)
{
	if (options)
		opts_free(kind->options, options);
	free(options);
	doc_free(document);
}

struct block_driver *block_driver_new(struct block_core *core,
	const struct block_kind *kind, const char *name, void *options,
	struct doc *document, struct err *err)
{
	assert(kind->driver_bytes >= sizeof(struct block_driver));
	struct block_driver *driver = calloc(1, kind->driver_bytes);
	size_t stride = ((kind->lane_bytes + BLOCK_LINE_BYTES - 1) &
				~(size_t)(BLOCK_LINE_BYTES - 1)) +
		sizeof(struct block_times);

	if (driver) {
		size_t bytes = stride * core->lane_count;

		driver->lane_state = aligned_alloc(BLOCK_LINE_BYTES, bytes);
		if (driver->lane_state) {
			memset(driver->lane_state, 0, bytes);
		} else {
			free(driver);
			driver = NULL;
		}
	}
	if (!driver) {
		driver_free_options(kind, options, document);
		err_set(err, ENOMEM, "no memory for driver '%s'", name);
		return NULL;
	}
	driver->kind = kind;
	driver->core = core;
	driver->options = options;
	driver->document = document;
	driver->lane_stride_bytes = stride;
	snprintf(driver->name, sizeof(driver->name), "%s", name);
	return driver;
}

void block_driver_free(struct block_driver *driver)
{
	assert(driver->references == 0 && driver->lanes_started == 0);
	driver_free_options(driver->kind, driver->options, driver->document);
	free(driver->lane_state);
	free(driver);
}

/* -- on the lanes --------------------------------------------------------- */

struct driver_lanes {
	struct block_driver *driver;
	int error[BLOCK_MAX_LANES];
};

static void driver_lane_start(struct block_lane *lane, void *argument)
{
	struct driver_lanes *lanes = argument;
	struct block_driver *driver = lanes->driver;

	lanes->error[lane->index] = driver->kind->lane_start(driver, lane);
}

static void driver_lane_stop(struct block_lane *lane, void *argument)
{
	struct driver_lanes *lanes = argument;
	struct block_driver *driver = lanes->driver;

	if (lanes->error[lane->index] == 0)
		driver->kind->lane_stop(driver, lane);
}

static int driver_start_co(struct block_driver *driver, struct err *err)
{
	struct driver_lanes lanes = {.driver = driver};

	if (!driver->kind->lane_start)
		return 0;
	block_broadcast_co(driver->core, driver_lane_start, &lanes);
	for (unsigned i = 0; i < driver->core->lane_count; i++) {
		int error = lanes.error[i];

		if (!error)
			continue;
		if (driver->kind->lane_stop)
			block_broadcast_co(
				driver->core, driver_lane_stop, &lanes);
		return err_set(err, -error,
			"driver '%s' cannot start on lane %u: %s", driver->name,
			i, strerror(-error));
	}
	return 0;
}

static void driver_stop_co(struct block_driver *driver)
{
	struct driver_lanes lanes = {.driver = driver};

	if (driver->kind->lane_stop)
		block_broadcast_co(driver->core, driver_lane_stop, &lanes);
}

int block_driver_open_co(struct block_driver *driver, struct err *err)
{
	const struct block_kind *kind = driver->kind;
	int error = kind->open_co ? kind->open_co(driver, err) : 0;

	if (error)
		return err_wrap(err, "%s '%s'", kind->name, driver->name);
	error = driver_start_co(driver, err);
	if (error) {
		if (kind->close_co)
			kind->close_co(driver);
		return error;
	}
	driver->lanes_started = driver->core->lane_count;
	return 0;
}

static void driver_nothing(struct block_lane *lane, void *argument)
{
	(void)lane;
	(void)argument;
}

void block_driver_others_put_co(struct block_driver *driver)
{
	while (driver->others_count)
		block_source_put_co(driver->others[--driver->others_count]);
}

void block_driver_sources_put_co(struct block_driver *driver)
{
	block_driver_others_put_co(driver);
	if (driver->store)
		block_source_put_co(driver->store);
	driver->store = NULL;
}

void block_driver_close_co(struct block_driver *driver)
{
	if (driver->lanes_started) {
		driver_stop_co(driver);
		driver->lanes_started = 0;
		if (driver->kind->close_co)
			driver->kind->close_co(driver);
	}
	block_driver_sources_put_co(driver);
	/* Its last words, posted by a lane or before close_co came back from
	 * the worker pool, are heard before its memory goes. */
	if (driver->failed)
		block_broadcast_co(driver->core, driver_nothing, NULL);
	block_driver_free(driver);
}

int block_drivers_changing_co(
	struct block_driver *const *driver, unsigned count, struct err *err)
{
	int error = 0;

	for (unsigned i = 0; i < count && !error; i++) {
		if (driver[i]->kind->changing_co)
			error = driver[i]->kind->changing_co(driver[i], err);
		if (error)
			err_wrap(err, "listener '%s'", driver[i]->name);
	}
	return error;
}

void block_drivers_grow_back_co(
	struct block_driver *const *driver, unsigned count, uint64_t bytes)
{
	for (unsigned i = 0; i < count; i++) {
		if (driver[i]->kind->growing_co)
			driver[i]->kind->growing_co(
				driver[i], bytes, true, NULL);
	}
}

int block_drivers_growing_co(struct block_driver *const *driver, unsigned count,
	uint64_t bytes, struct err *err)
{
	for (unsigned i = 0; i < count; i++) {
		const struct block_kind *kind = driver[i]->kind;
		int error = kind->growing_co
			? kind->growing_co(driver[i], bytes, false, err)
			: 0;

		if (!error)
			continue;
		block_drivers_grow_back_co(driver, i, bytes);
		return err_wrap(err, "listener '%s'", driver[i]->name);
	}
	return 0;
}

void block_driver_put_co(struct block_driver *driver)
{
	assert(driver->references);
	if (--driver->references == 0)
		block_driver_close_co(driver);
}

/* -- failure -------------------------------------------------------------- */

static void driver_failed_run(struct loop_message *message)
{
	struct block_driver *driver =
		container_of(message, struct block_driver, failure.message);
	struct block_core_watcher *watcher = driver->core->watcher;

	if (watcher && watcher->driver_failed)
		watcher->driver_failed(watcher, driver, driver->failure.error,
			driver->failure.text);
}

static void driver_notice_run(struct loop_message *message)
{
	struct block_driver *driver =
		container_of(message, struct block_driver, notice.message);
	struct block_core_watcher *watcher = driver->core->watcher;

	driver->notice.said = true;
	if (watcher && watcher->driver_noticed)
		watcher->driver_noticed(watcher, driver, driver->notice.what,
			driver->notice.text);
}

void block_driver_notice(
	struct block_driver *driver, const char *what, const char *text)
{
	if (atomic_exchange(&driver->notice.told, true))
		return;
	driver->notice.what = what;
	snprintf(driver->notice.text, sizeof driver->notice.text, "%s", text);
	driver->notice.message.run = driver_notice_run;
	loop_post(block_core_control(driver->core), &driver->notice.message);
}

void block_driver_failed(
	struct block_driver *driver, int error, const char *text)
{
	if (atomic_exchange(&driver->failed, true))
		return;
	log_error(driver->name, "failed", "%s: %s", text, strerror(-error));
	driver->failure.error = error;
	snprintf(
		driver->failure.text, sizeof(driver->failure.text), "%s", text);
	driver->failure.message.run = driver_failed_run;
	loop_post(block_core_control(driver->core), &driver->failure.message);
}
