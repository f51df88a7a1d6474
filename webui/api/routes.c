/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation there is: the arrays of the files of handlers, and how the row
 * of a request is found; and every check of the doctor.
 */
#include "webui/api/jobs/jobs_api.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

#include <string.h>

extern const struct api_route api_docs_routes[];
extern const struct api_route api_events_routes[];
extern const struct api_route api_jobs_routes[];
extern const struct api_route api_metrics_routes[];
extern const struct api_route api_public_routes[];
extern const struct api_route api_system_routes[];
extern const struct api_route api_session_routes[];
extern const struct api_route api_figures_routes[];
extern const struct api_route api_measure_routes[];
extern const struct api_route api_connect_routes[];
extern const struct api_route api_check_routes[];
extern const struct api_route api_bundle_routes[];
extern const struct api_route api_volume_routes[];
extern const struct api_route api_source_routes[];
extern const struct api_route api_listener_routes[];
extern const struct api_route api_qos_routes[];
extern const struct api_route api_snapshot_routes[];
extern const struct api_route api_snapshot_back_routes[];
extern const struct api_route api_snapshot_delete_routes[];
extern const struct api_route api_snapshot_differ_routes[];
extern const struct api_route api_snapshot_lock_routes[];
extern const struct api_route api_snapshot_group_routes[];
extern const struct api_route api_schedule_routes[];
extern const struct api_route api_fault_routes[];
extern const struct api_route api_host_routes[];
extern const struct api_route api_target_routes[];
extern const struct api_route api_portal_routes[];
extern const struct api_route api_config_routes[];
extern const struct api_route api_login_routes[];
extern const struct api_route api_users_routes[];
extern const struct api_route api_tokens_routes[];
extern const struct api_route api_audit_routes[];
extern const struct api_route api_certificate_routes[];

const struct api_route *const api_routes[] = {
	api_docs_routes, /* docs.c */
	api_events_routes, /* events_api.c */
	api_jobs_routes, /* jobs_api.c */
	api_metrics_routes, /* metrics.c */
	api_public_routes, /* public.c */
	api_system_routes, /* system.c */
	api_session_routes, /* live_sessions.c */
	api_figures_routes, /* live_figures.c */
	api_measure_routes, /* measure.c */
	api_connect_routes, /* live_connect.c */
	api_check_routes, /* live_checks.c */
	api_bundle_routes, /* live_bundle.c */
	api_volume_routes, /* objects_volumes.c */
	api_source_routes, /* objects_source.c */
	api_listener_routes, /* objects_listeners.c */
	api_qos_routes, /* objects_qos.c */
	api_schedule_routes, /* schedules_api.c */
	api_fault_routes, /* objects_faults.c */
	api_snapshot_routes, /* snapshots.c */
	api_snapshot_delete_routes, /* snapshot_delete.c */
	api_snapshot_differ_routes, /* snapshots_differ.c */
	api_snapshot_back_routes, /* snapshots_back.c */
	api_snapshot_lock_routes, /* snapshots_lock.c */
	api_snapshot_group_routes, /* snapshots_group.c */
	api_host_routes, /* objects_hosts.c */
	api_target_routes, /* objects_targets.c: exports, too */
	api_portal_routes, /* objects_portals.c */
	api_config_routes, /* objects_config.c: history, too */
	api_login_routes, /* trust_login.c */
	api_users_routes, /* trust_users.c */
	api_tokens_routes, /* trust_tokens.c */
	api_audit_routes, /* trust_audit.c */
	api_certificate_routes, /* trust_certificate.c */
	NULL,
};

const struct api_stats_part api_stats_parts[] = {
	{"jobs", api_jobs_stats},
	{NULL, NULL},
};

extern const struct api_check live_machine_checks[];
extern const struct api_check live_mirror_checks[];
extern const struct api_check live_backup_checks[];
extern const struct api_check live_served_checks[];
extern const struct api_check object_checks[];
extern const struct api_check api_job_checks[];
extern const struct api_check api_schedule_checks[];

const struct api_check *const api_checks[] = {
	live_machine_checks, /* live_checks_machine.c */
	live_mirror_checks, /* live_mirrors.c */
	live_backup_checks, /* live_backups.c */
	live_served_checks, /* live_checks.c */
	object_checks, /* objects_checks.c */
	api_job_checks, /* jobs_checks.c */
	api_schedule_checks, /* schedules_checks.c */
	NULL,
};

static void add_method(char *allowed, size_t bytes, const char *method)
{
	size_t used = strlen(allowed);
	if (parse_list_has(allowed, method) ||
		used + strlen(method) + 3 > bytes)
		return;
	if (used)
		strcat(allowed, ", ");
	strcat(allowed, method);
}

static void add_methods(char *allowed, size_t bytes, const char *method)
{
	add_method(allowed, bytes, method);
	if (!strcmp(method, "GET"))
		add_method(allowed, bytes, "HEAD");
}

const struct api_route *api_find_route(const char *method,
	struct parsed_target *target, char *allowed, size_t bytes)
{
	const char *wanted = strcmp(method, "HEAD") ? method : "GET";
	allowed[0] = '\0';
	for (const struct api_route *const *list = api_routes; *list; list++) {
		for (const struct api_route *row = *list; row->operation;
			row++) {
			if (!parse_match(row->path, target))
				continue;
			if (!strcmp(row->method, wanted))
				return row;
			add_methods(allowed, bytes, row->method);
		}
	}
	if (*allowed)
		add_method(allowed, bytes, "OPTIONS");
	return NULL;
}
