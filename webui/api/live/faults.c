/* SPDX-License-Identifier: Apache-2.0 */
/* See faults.h: when faults end. What they are in a source is in fault_rules.c. */
#include "webui/api/live/faults.h"

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "target/control/database.h"
#include "target/control/own_audit.h"
#include "target/control/state.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000ull
#define LOOK_MS 60000 /* the clock may have been set */
#define AGAIN_MS 2000
#define ADOPTED_MS (3600 * 1000)

struct api_faults {
	struct api *api;
	struct api_fault *item;
	unsigned count;
	struct loop_timer timer;
	bool running, closing;
	struct co *closer;
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static sqlite3 *database_of(const struct api_faults *faults)
{
	return state_database(faults->api->parts.state);
}

/* -- what is kept ------------------------------------------------------------- */

static int load(struct api_faults *faults, struct err *err)
{
	struct statement s;
	statement_begin(&s, database_of(faults),
		"SELECT volume, id, user, created, expires FROM fault LIMIT "
		"1024");
	while (statement_row(&s)) {
		struct api_fault *fault = &faults->item[faults->count++];
		snprintf(fault->volume, sizeof fault->volume, "%s",
			(const char *)sqlite3_column_text(s.stmt, 0));
		snprintf(fault->id, sizeof fault->id, "%s",
			(const char *)sqlite3_column_text(s.stmt, 1));
		snprintf(fault->user, sizeof fault->user, "%s",
			(const char *)sqlite3_column_text(s.stmt, 2));
		fault->created_ms = sqlite3_column_int64(s.stmt, 3);
		fault->expires_ms = sqlite3_column_int64(s.stmt, 4);
	}
	return statement_end(&s, err);
}

static int save(struct api_faults *faults, const struct api_fault *fault,
	struct err *err)
{
	struct statement s;
	char created[24], expires[24];
	snprintf(created, sizeof created, "%" PRId64, fault->created_ms);
	snprintf(expires, sizeof expires, "%" PRId64, fault->expires_ms);
	statement_begin(&s, database_of(faults),
		"INSERT OR REPLACE INTO fault(volume, id, user, created, "
		"expires)"
		" VALUES (?1, ?2, ?3, ?4, ?5)");
	statement_text(&s, 1, fault->volume);
	statement_text(&s, 2, fault->id);
	statement_text(&s, 3, fault->user);
	statement_text(&s, 4, created);
	statement_text(&s, 5, expires);
	statement_run(&s);
	return statement_end(&s, err);
}

static void erase(struct api_faults *faults, const struct api_fault *fault)
{
	struct statement s;
	struct err err = {0};
	statement_begin(&s, database_of(faults),
		"DELETE FROM fault WHERE volume = ?1 AND id = ?2");
	statement_text(&s, 1, fault->volume);
	statement_text(&s, 2, fault->id);
	statement_run(&s);
	if (statement_end(&s, &err))
		log_warning("api", "fault", "fault %s cannot be forgotten: %s",
			fault->id, err.text);
}

/* -- when --------------------------------------------------------------------- */

static void arm(struct api_faults *faults)
{
	int64_t wait_ms = LOOK_MS, now = now_ms();
	if (!faults->count || faults->running || faults->closing)
		return;
	for (unsigned i = 0; i < faults->count; i++) {
		int64_t left = faults->item[i].expires_ms - now;
		if (left < wait_ms)
			wait_ms = left < 0 ? 0 : left;
	}
	loop_timer_set(faults->api->loop, &faults->timer,
		(uint64_t)wait_ms * NS_PER_MS);
}

/* NULL: there is nothing to take away. */
static json_t *value_without(
	const struct api_faults *faults, const struct api_fault *fault)
{
	const struct config_object *volume = config_find(
		faults->api->parts.config, CONFIG_VOLUME, fault->volume);
	return volume ? api_fault_without(volume, fault->id) : NULL;
}

/* The change, in our turn. `value` is taken over. */
static int take_away_co(
	struct api *api, const struct api_fault *fault, json_t *value)
{
	struct config_outcome outcome;
	struct err err = {0};
	struct own_audit audit;
	char title[160], object[160];
	struct config_edit edit = {
		.kind = CONFIG_VOLUME, .id = fault->volume, .value = value};
	snprintf(title, sizeof title, "fault %s of volume %s has expired",
		fault->id, fault->volume);
	snprintf(object, sizeof object, "volumes/%s", fault->volume);
	struct config_change change = {.edit = &edit,
		.edits = 1,
		.who = "cairnd",
		.title = title,
		.held = true,
		.witness = own_audit_witness(
			&audit, api->parts.trust, "expireFault", object)};
	int failed =
		config_change_co(api->parts.config, &change, &outcome, &err);
	json_decref(value);
	if (failed) {
		log_warning(
			"api", "fault", "%s, but stays: %s", title, err.text);
		return failed;
	}
	config_outcome_free(&outcome);
	log_info("api", "fault", "%s", title);
	api_emit(api, "volumes", "fault_expired",
		json_pack("{ss, ss}", "id", fault->volume, "fault", fault->id));
	return 0;
}

/* In our turn: somebody may have taken it away before, and made one that is called the
 * same and ends later. 0, or -errno: to be tried again. */
static int end_in_turn_co(
	struct api_faults *faults, const struct api_fault *fault)
{
	const struct api_fault *now =
		api_faults_find(faults, fault->volume, fault->id);
	if (!now || now->expires_ms != fault->expires_ms)
		return 0;
	json_t *value = value_without(faults, fault);
	int failed = value ? take_away_co(faults->api, fault, value) : 0;
	if (!failed)
		api_faults_forget(faults, fault->volume, fault->id);
	return failed;
}

/* What it holds is let go before: a change that has its turn may be waiting for that. */
static int end_one_co(struct api_faults *faults, const struct api_fault *fault)
{
	struct config *config = faults->api->parts.config;
	api_fault_release_co(faults->api, fault->volume, fault->id);
	config_hold_co(config);
	int failed = end_in_turn_co(faults, fault);
	config_release(config);
	return failed;
}

static const struct api_fault *next_due(const struct api_faults *faults)
{
	int64_t now = now_ms();
	for (unsigned i = 0; i < faults->count; i++) {
		if (faults->item[i].expires_ms <= now)
			return &faults->item[i];
	}
	return NULL;
}

static void end_due_co(void *argument)
{
	struct api_faults *faults = argument;
	const struct api_fault *due;
	while (!faults->closing && (due = next_due(faults))) {
		struct api_fault fault = *due;
		if (end_one_co(faults, &fault))
			loop_sleep_co(faults->api->loop, AGAIN_MS * NS_PER_MS);
	}
	faults->running = false;
	if (faults->closer)
		co_resume(faults->closer);
	else
		arm(faults);
}

static void expired(struct loop_timer *timer)
{
	struct api_faults *faults =
		container_of(timer, struct api_faults, timer);
	if (!next_due(faults)) {
		arm(faults);
		return;
	}
	faults->running = true;
	if (co_start(end_due_co, faults))
		return;
	faults->running = false; /* no memory: later */
	loop_timer_set(faults->api->loop, timer, AGAIN_MS * NS_PER_MS);
}

/* -- the list ----------------------------------------------------------------- */

static bool is(
	const struct api_fault *fault, const char *volume, const char *id)
{
	return !strcmp(fault->volume, volume) &&
		(!id || !strcmp(fault->id, id));
}

const struct api_fault *api_faults_find(
	const struct api_faults *faults, const char *volume, const char *id)
{
	for (unsigned i = 0; i < faults->count; i++) {
		if (is(&faults->item[i], volume, id))
			return &faults->item[i];
	}
	return NULL;
}

int api_faults_keep(struct api_faults *faults, const struct api_fault *fault,
	struct err *err)
{
	if (faults->count == API_FAULTS_MAX)
		return err_set(err, ENOSPC,
			"there are %u faults already: remove some",
			API_FAULTS_MAX);
	int failed = save(faults, fault, err);
	if (failed)
		return failed;
	faults->item[faults->count++] = *fault;
	arm(faults);
	return 0;
}

void api_faults_forget(
	struct api_faults *faults, const char *volume, const char *id)
{
	for (unsigned i = faults->count; i-- > 0;) {
		if (!is(&faults->item[i], volume, id))
			continue;
		erase(faults, &faults->item[i]);
		faults->item[i] = faults->item[--faults->count];
	}
}

static bool has_rule(const struct config_object *volume, const char *id)
{
	json_t *rule;
	size_t i;
	json_array_foreach(api_fault_rules(volume), i, rule)
	{
		const char *name =
			json_string_value(json_object_get(rule, "name"));
		if (name && !strcmp(name, id))
			return true;
	}
	return false;
}

void api_faults_tidy(
	struct api_faults *faults, const struct config_object *volume)
{
	for (unsigned i = faults->count; i-- > 0;) {
		const struct api_fault fault = faults->item[i];
		if (is(&fault, volume->id, NULL) && !has_rule(volume, fault.id))
			api_faults_forget(faults, fault.volume, fault.id);
	}
}

static void adopt(struct api_faults *faults, const struct config_object *volume,
	const char *id, const char *user)
{
	struct err err = {0};
	struct api_fault fault = {.created_ms = now_ms()};
	fault.expires_ms = fault.created_ms + ADOPTED_MS;
	snprintf(fault.volume, sizeof fault.volume, "%s", volume->id);
	snprintf(fault.id, sizeof fault.id, "%s", id);
	snprintf(fault.user, sizeof fault.user, "%s", user);
	if (api_faults_keep(faults, &fault, &err))
		log_warning("api", "fault",
			"fault %s of volume %s has no end: %s", id, volume->id,
			err.text);
}

void api_faults_adopt(struct api_faults *faults, const char *user)
{
	const struct config *config = faults->api->parts.config;
	const struct config_object *volume = NULL;
	json_t *rule;
	size_t i;
	if (!config) /* an interface alone, as some tests have it */
		return;
	while ((volume = config_next(config, CONFIG_VOLUME, volume))) {
		json_array_foreach(api_fault_rules(volume), i, rule)
		{
			const char *id = json_string_value(
				json_object_get(rule, "name"));
			if (id && strlen(id) < BLOCK_NAME_BYTES &&
				!api_faults_find(faults, volume->id, id))
				adopt(faults, volume, id, user);
		}
	}
}

/* -- life --------------------------------------------------------------------- */

struct api_faults *api_faults_new(struct api *api, struct err *err)
{
	struct api_faults *faults = calloc(1, sizeof *faults);
	if (faults)
		faults->item = calloc(API_FAULTS_MAX, sizeof *faults->item);
	if (!faults || !faults->item) {
		err_set(err, ENOMEM, "out of memory");
		free(faults);
		return NULL;
	}
	faults->api = api;
	faults->timer.expired = expired;
	if (load(faults, err)) {
		free(faults->item);
		free(faults);
		return NULL;
	}
	api_faults_adopt(faults, "cairnd");
	arm(faults);
	return faults;
}

void api_faults_stop_co(struct api_faults *faults)
{
	if (!faults)
		return;
	faults->closing = true;
	loop_timer_clear(faults->api->loop, &faults->timer);
	if (faults->running) {
		faults->closer = co_self();
		co_yield ();
	}
	free(faults->item);
	free(faults);
}
