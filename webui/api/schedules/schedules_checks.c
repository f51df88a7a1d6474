/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor looks at how the last run of each schedule ended.
 */
#include "target/control/schedule/schedules.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

static void check_schedules(
	const struct api *api, struct check_finding *finding)
{
	const struct kept_schedule *schedule, *first = NULL;
	unsigned all = 0, failed = 0;
	TAILQ_FOREACH (schedule, &api->schedules->list, link) {
		all++;
		if (schedule->record.result != SCHEDULE_FAILED)
			continue;
		failed++;
		if (!first)
			first = schedule;
	}
	if (first)
		check_find(finding, CHECK_WARNING,
			"put right what it says, then cairn schedule run "
			"SCHEDULE",
			"the last run of %s failed: %.200s (%u of %u "
			"schedules)",
			first->record.name, first->record.text, failed, all);
	else
		check_find(finding, CHECK_OK, "",
			"no schedule's last run has failed");
}

const struct api_check api_schedule_checks[] = {
	{"schedules", "Schedules", check_schedules},
	{0},
};
