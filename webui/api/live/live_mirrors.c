/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How mirrors stand: for the doctor, and as metrics. Who looks after them is
 * ../jobs/resyncs.c.
 */
#include "blockcore/figures.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/volume.h"
#include "webui/api/live/live_metrics.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

#include <stdio.h>

/* -- the doctor ------------------------------------------------------------- */

struct counted {
	const char *volume; /* that is looked at */
	unsigned all, behind, degraded;
	char first[256]; /* the first that is not well */
};

static void count_mirror(const struct block_health *health, void *argument)
{
	struct counted *counted = argument;
	bool degraded = health->state == BLOCK_DEGRADED;
	counted->all++;
	if (health->state == BLOCK_WHOLE)
		return;
	if (degraded ? !counted->degraded
		     : !counted->degraded && !counted->behind)
		snprintf(counted->first, sizeof counted->first,
			"mirror %.63s of volume %.63s is %s: %.60s",
			health->name, counted->volume,
			block_health_name(health->state), health->why);
	counted->degraded += degraded;
	counted->behind += !degraded;
}

static void check_mirrors(const struct api *api, struct check_finding *finding)
{
	const struct volume *volume;
	const void *cursor = NULL;
	struct counted counted = {0};
	while ((volume =
			appliance_next_volume(api->parts.appliance, &cursor))) {
		struct block_source *source = atomic_load(&volume->source);
		counted.volume = volume->settings.name;
		if (source)
			block_health_visit(source, count_mirror, &counted);
	}
	if (!counted.all)
		check_find(
			finding, CHECK_SKIPPED, "", "no volume has a mirror");
	else if (counted.degraded)
		check_find(finding, CHECK_FAILED,
			"bring the leg back; it is opened again by itself, or: "
			"cairn mirror resync VOLUME MIRROR",
			"%s (%u of %u are degraded)", counted.first,
			counted.degraded, counted.all);
	else if (counted.behind)
		check_find(finding, CHECK_WARNING,
			"wait for the job resync, or start it: cairn mirror "
			"resync VOLUME MIRROR",
			"%u of %u mirrors lack something", counted.behind,
			counted.all);
	else
		check_find(finding, CHECK_OK, "", "all %u mirrors are in sync",
			counted.all);
}

const struct api_check live_mirror_checks[] = {
	{"mirrors", "Mirrors", check_mirrors},
	{0},
};

/* -- metrics ---------------------------------------------------------------- */

static double in_sync_of(const struct block_health *health)
{
	return health->state == BLOCK_WHOLE;
}

static double degraded_of(const struct block_health *health)
{
	return health->state == BLOCK_DEGRADED;
}

static double behind_of(const struct block_health *health)
{
	return (double)health->behind_bytes;
}

static double failovers_of(const struct block_health *health)
{
	return (double)health->failovers;
}

static const struct mirror_family {
	const char *name, *help;
	double (*get)(const struct block_health *health);
	enum exposition_type type;
} mirror_families[] = {
	{"cairn_mirror_in_sync", "1 while the leg has everything", in_sync_of,
		EXPOSITION_GAUGE},
	{"cairn_mirror_degraded", "1 while the leg is not in use", degraded_of,
		EXPOSITION_GAUGE},
	{"cairn_mirror_behind_bytes", "What the leg lacks", behind_of,
		EXPOSITION_GAUGE},
	{"cairn_mirror_failovers", "Reads that only the leg could serve",
		failovers_of, EXPOSITION_COUNTER},
};

struct printed {
	struct exposition *exposition;
	const struct mirror_family *family;
	const char *volume;
};

static void print_mirror(const struct block_health *health, void *argument)
{
	const struct printed *printed = argument;
	const struct exposition_label labels[] = {{"volume", printed->volume},
		{"mirror", health->name}, {NULL, NULL}};
	exposition_value(
		printed->exposition, labels, printed->family->get(health));
}

void live_mirrors_print(
	struct exposition *exposition, const struct appliance *appliance)
{
	for (size_t i = 0; i < sizeof mirror_families / sizeof *mirror_families;
		i++) {
		struct printed printed = {exposition, &mirror_families[i], ""};
		const struct volume *volume;
		const void *at = NULL;
		exposition_family(exposition, printed.family->name,
			printed.family->type, printed.family->help);
		while ((volume = appliance_next_volume(appliance, &at))) {
			struct block_source *source = volume->source;
			printed.volume = volume->settings.name;
			if (source)
				block_health_visit(
					source, print_mirror, &printed);
		}
	}
}
