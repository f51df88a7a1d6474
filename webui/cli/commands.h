/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of command.h by area, and the code of the commands that need some.
 */
#ifndef WEBUI_CLI_COMMANDS_H
#define WEBUI_CLI_COMMANDS_H

#include "webui/cli/command.h"

/* What many tables have: a volume that the path names, a document from a file, members
 * of the body. */
#define VOLUME \
	{ \
		"VOLUME", .place = "{name}", .names_of = "volume", \
			  .help = "its name" \
	}
#define CLI_FILE(text) \
	{ \
		"file", 'f', VALUE_DOCUMENT, "FILE", "", text \
	}
#define CLI_PAIRS(text) \
	{ \
		"KEY=VALUE", .value = VALUE_PAIRS, .place = "", .help = text, \
			     .flags = CLI_REST \
	}

/* commands_storage.c */
extern const struct cli_noun cli_volume, cli_source;
/* commands_listener.c */
extern const struct cli_noun cli_listener, cli_qos, cli_fault;
/* Of a job that a command of another noun starts. */
extern const struct cli_column cli_job_columns[];
/* commands_mirror.c */
extern const struct cli_noun cli_mirror;
/* commands_snapshot.c */
extern const struct cli_noun cli_snapshot;
/* commands_schedule.c */
extern const struct cli_noun cli_schedule;
/* commands_access.c */
extern const struct cli_noun cli_host, cli_target, cli_portal, cli_export,
	cli_session;
/* commands_system.c */
extern const struct cli_noun cli_job, cli_event, cli_history, cli_config,
	cli_certificate, cli_system;
/* commands_people.c */
extern const struct cli_noun cli_user, cli_role, cli_token, cli_audit;
/* commands_top.c */
extern const struct cli_noun cli_top;

/* Commands with code of their own: exit status. */
int run_source_show(struct cli_run *run); /* run_source.c */
int run_migrate(struct cli_run *run); /* run_migrate.c */
int run_mirror_attach(struct cli_run *run);
int run_mirror_resync(struct cli_run *run);
int run_mirror_pivot(struct cli_run *run);
int run_rebase(struct cli_run *run);
int run_delete_volume(struct cli_run *run); /* left_files.c */
int run_commit(struct cli_run *run);
int run_figures(struct cli_run *run); /* run_figures.c */
int run_tree(struct cli_run *run); /* run_tree.c */
int run_snapshot_tree(struct cli_run *run); /* run_snapshots.c */
int run_status(struct cli_run *run);
int run_top(struct cli_run *run); /* run_top.c */
int run_connect(struct cli_run *run); /* run_connect.c */
int run_doctor(struct cli_run *run);
int run_bundle(struct cli_run *run);
int run_config_show(struct cli_run *run); /* run_config.c */
int run_apply(struct cli_run *run);
int run_edit(struct cli_run *run);
int run_events(struct cli_run *run); /* run_events.c */
int run_job_wait(struct cli_run *run); /* run_job.c */
int run_setup(struct cli_run *run); /* run_login.c */
int run_login(struct cli_run *run);
int run_logout(struct cli_run *run);
int run_completion(struct cli_run *run); /* complete.c */
int run_complete(struct cli_run *run);
int run_man(struct cli_run *run); /* man.c */
int run_help(struct cli_run *run); /* help.c */

#endif
