/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything there is with its state, as a tree; and the whole in a few lines.
 */
#include "blockcore/base/size.h"
#include "webui/cli/commands.h"
#include "webui/cli/run.h"
#include "webui/cli/text.h"

#include <stdlib.h>
#include <string.h>

struct all {
	json_t *volumes, *targets, *exports, *hosts, *sessions, *portals,
		*schedules, *jobs;
};

static const char *text_at(const json_t *json, const char *path)
{
	const char *text = json_string_value(output_find(json, path));
	return text ? text : "";
}

static const char *branch(bool last)
{
	return last ? "`- " : "|- ";
}

/* Before the branches below a branch: the line goes on to what follows it. */
static const char *trunk(bool last)
{
	return last ? "   " : "|  ";
}

/* The next of `items` after number `i` whose member is `value`; or their number. */
static size_t next_with(
	const json_t *items, size_t i, const char *key, const char *value)
{
	for (; i < json_array_size(items); i++)
		if (!strcmp(text_at(json_array_get(items, i), key), value))
			break;
	return i;
}

static void print_text(const struct cli_run *run, const char *text)
{
	output_text(run->output.out, text);
}

static void print_size_of(const struct cli_run *run, const json_t *volume)
{
	char text[TEXT_SIZE_BYTES];
	const json_t *size = output_find(volume, "status.size_bytes");
	if (size)
		fprintf(run->output.out, "  %s",
			size_print(text, (uint64_t)json_integer_value(size)));
}

/* "file", "throttle > qcow2": what it stands on, top first. */
static void print_stack(const struct cli_run *run, const json_t *source)
{
	size_t i;
	json_t *listener;
	const char *bottom = text_at(source, "protocol.type");
	if (!*bottom)
		bottom = text_at(source, "format.type");
	if (!*bottom)
		bottom = text_at(source, "source");
	fputs("  ", run->output.out);
	json_array_foreach(json_object_get(source, "listeners"), i, listener)
	{
		print_text(run, text_at(listener, "type"));
		fputs(" > ", run->output.out);
	}
	print_text(run, *bottom ? bottom : "?");
}

/* Somebody tries a host out: what it sees is no accident. */
static void print_faults(const struct cli_run *run, const json_t *volume)
{
	json_int_t faults =
		json_integer_value(output_find(volume, "status.faults"));
	if (faults)
		fprintf(run->output.out, "  %lld fault%s on purpose", faults,
			faults == 1 ? "" : "s");
}

/* Those whose leg lacks something, or is not in use. */
static void print_mirrors(const struct cli_run *run, const json_t *volume)
{
	size_t i;
	json_t *mirror;
	json_array_foreach(output_find(volume, "status.mirrors"), i, mirror)
	{
		if (!strcmp(text_at(mirror, "state"), "in sync"))
			continue;
		fputs("  mirror ", run->output.out);
		print_text(run, text_at(mirror, "name"));
		fputc(' ', run->output.out);
		output_state(&run->output, text_at(mirror, "state"));
		if (!*text_at(mirror, "error"))
			continue;
		fputs(" (", run->output.out);
		print_text(run, text_at(mirror, "error"));
		fputc(')', run->output.out);
	}
}

static void print_export(const struct cli_run *run, const json_t *export)
{
	char *hosts = output_cell(
		&run->output, export, &(struct cli_column){"", "hosts"});
	fprintf(run->output.out, "LUN %lld at ",
		json_integer_value(json_object_get(export, "lun")));
	print_text(run, text_at(export, "target"));
	fprintf(run->output.out, "  for %s\n", hosts);
	free(hosts);
}

static void print_session(const struct cli_run *run, const json_t *session)
{
	fprintf(run->output.out, "session %lld  ",
		json_integer_value(json_object_get(session, "id")));
	print_text(run, text_at(session, "host"));
	fputs("  from ", run->output.out);
	print_text(run, text_at(session, "peer"));
	fputs("  since ", run->output.out);
	print_text(run, text_at(session, "since"));
	fputc('\n', run->output.out);
}

/* Those of `items` whose member `key` is `value`, below a branch that is the last
 * one or not. */
static void print_below(const struct cli_run *run, bool last,
	const json_t *items, const char *key, const char *value,
	void (*print)(const struct cli_run *, const json_t *))
{
	size_t count = json_array_size(items);
	for (size_t i = next_with(items, 0, key, value); i < count;) {
		size_t next = next_with(items, i + 1, key, value);
		fprintf(run->output.out, "%s%s", trunk(last),
			branch(next == count));
		print(run, json_array_get(items, i));
		i = next;
	}
}

static void print_volume(const struct cli_run *run, const struct all *all,
	const json_t *volume, bool last)
{
	const char *name = text_at(volume, "name");
	print_text(run, name);
	fputs("  ", run->output.out);
	output_state(&run->output, text_at(volume, "status.state"));
	print_size_of(run, volume);
	print_stack(run, json_object_get(volume, "source"));
	print_faults(run, volume);
	print_mirrors(run, volume);
	if (*text_at(volume, "status.reason")) {
		fputs("  ", run->output.out);
		print_text(run, text_at(volume, "status.reason"));
	}
	fputc('\n', run->output.out);
	print_below(run, last, all->exports, "volume", name, print_export);
}

static void print_target(const struct cli_run *run, const struct all *all,
	const json_t *target, bool last)
{
	const char *iqn = text_at(target, "iqn");
	print_text(run, iqn);
	fputc('\n', run->output.out);
	print_below(run, last, all->sessions, "target", iqn, print_session);
}

static void print_host(const struct cli_run *run, const struct all *all,
	const json_t *host, bool last)
{
	(void)all;
	(void)last;
	char *iqn = output_cell(
		&run->output, host, &(struct cli_column){"", "iscsi.iqn"});
	print_text(run, text_at(host, "name"));
	fprintf(run->output.out, "  %s", iqn);
	if (*text_at(host, "iscsi.chap.user"))
		fputs("  CHAP", run->output.out);
	fprintf(run->output.out, "  sessions %lld\n",
		json_integer_value(output_find(host, "status.sessions")));
	free(iqn);
}

/* With the port that it has, which is not always the one that it was given. */
static void print_portal(const struct cli_run *run, const struct all *all,
	const json_t *portal, bool last)
{
	(void)all;
	(void)last;
	const char *address = text_at(portal, "address");
	print_text(run, text_at(portal, "name"));
	fprintf(run->output.out,
		strchr(address, ':') ? "  [%s]:%lld  " : "  %s:%lld  ", address,
		json_integer_value(output_find(portal, "status.port")));
	output_state(&run->output, text_at(portal, "status.state"));
	if (*text_at(portal, "status.reason")) {
		fputs("  ", run->output.out);
		print_text(run, text_at(portal, "status.reason"));
	}
	fputc('\n', run->output.out);
}

static void print_schedule(const struct cli_run *run, const struct all *all,
	const json_t *schedule, bool last)
{
	(void)all;
	(void)last;
	char *volumes = output_cell(
		&run->output, schedule, &(struct cli_column){"", "volumes"});
	print_text(run, text_at(schedule, "name"));
	fprintf(run->output.out, "  of %s  every ", volumes);
	print_text(run, text_at(schedule, "every"));
	if (*text_at(schedule, "at")) {
		fputs(" at ", run->output.out);
		print_text(run, text_at(schedule, "at"));
	}
	if (json_is_false(output_find(schedule, "enabled")))
		fputs("  off", run->output.out);
	fputc('\n', run->output.out);
	free(volumes);
}

static void print_job(const struct cli_run *run, const struct all *all,
	const json_t *job, bool last)
{
	(void)all;
	(void)last;
	fprintf(run->output.out, "job %lld  ",
		json_integer_value(json_object_get(job, "id")));
	print_text(run, text_at(job, "kind"));
	fputs(" of ", run->output.out);
	print_text(run, text_at(job, "volume"));
	fputs("  ", run->output.out);
	output_state(&run->output, text_at(job, "state"));
	fputc('\n', run->output.out);
}

static void print_group(const struct cli_run *run, const struct all *all,
	const char *title, const json_t *items,
	void (*print)(const struct cli_run *, const struct all *,
		const json_t *, bool last))
{
	size_t i, count = json_array_size(items);
	json_t *item;
	fprintf(run->output.out, "%s%s%s (%zu)\n", output_bold(&run->output),
		title, output_plain(&run->output), count);
	json_array_foreach(items, i, item)
	{
		fputs(branch(i + 1 == count), run->output.out);
		print(run, all, item, i + 1 == count);
	}
}

static void all_free(struct all *all)
{
	json_decref(all->volumes);
	json_decref(all->targets);
	json_decref(all->exports);
	json_decref(all->hosts);
	json_decref(all->sessions);
	json_decref(all->portals);
	json_decref(all->schedules);
	json_decref(all->jobs);
}

static int all_get(struct cli_run *run, struct all *all)
{
	const struct {
		const char *path;
		json_t **items;
	} lists[] = {{"/volumes", &all->volumes}, {"/targets", &all->targets},
		{"/exports", &all->exports}, {"/hosts", &all->hosts},
		{"/sessions", &all->sessions}, {"/portals", &all->portals},
		{"/schedules", &all->schedules},
		{"/jobs?state=running", &all->jobs}};
	int status = 0;
	for (size_t i = 0; i < sizeof lists / sizeof *lists && !status; i++)
		status = run_get_list(run, lists[i].path, lists[i].items);
	return status;
}

int run_tree(struct cli_run *run)
{
	struct all all = {NULL};
	int status = all_get(run, &all);
	if (status) {
		all_free(&all);
		return status;
	}
	if (run->output.format == OUTPUT_TABLE) {
		print_group(run, &all, "volumes", all.volumes, print_volume);
		print_group(run, &all, "targets", all.targets, print_target);
		print_group(run, &all, "hosts", all.hosts, print_host);
		print_group(run, &all, "portals", all.portals, print_portal);
		print_group(
			run, &all, "schedules", all.schedules, print_schedule);
		print_group(run, &all, "running jobs", all.jobs, print_job);
	} else {
		json_t *tree = json_pack("{sO, sO, sO, sO, sO, sO, sO, sO}",
			"volumes", all.volumes, "targets", all.targets,
			"exports", all.exports, "hosts", all.hosts, "sessions",
			all.sessions, "portals", all.portals, "schedules",
			all.schedules, "jobs", all.jobs);
		output_object(&run->output, NULL, tree);
		json_decref(tree);
	}
	all_free(&all);
	return 0;
}

/* -- status ----------------------------------------------------------------- */

static unsigned count_with(
	const json_t *items, const char *path, const char *value)
{
	unsigned n = 0;
	size_t i;
	json_t *item;
	json_array_foreach(items, i, item) n +=
		!strcmp(text_at(item, path), value);
	return n;
}

static void print_bad_volumes(const struct cli_run *run, const json_t *volumes)
{
	size_t i;
	json_t *volume;
	json_array_foreach(volumes, i, volume)
	{
		const char *state = text_at(volume, "status.state");
		if (!strcmp(state, "online"))
			continue;
		fputs("  ", run->output.out);
		print_text(run, text_at(volume, "name"));
		fputs("  ", run->output.out);
		output_state(&run->output, state);
		fputs("  ", run->output.out);
		print_text(run, text_at(volume, "status.reason"));
		fputc('\n', run->output.out);
	}
}

static void print_faulty_volumes(
	const struct cli_run *run, const json_t *volumes)
{
	size_t i;
	json_t *volume;
	json_array_foreach(volumes, i, volume)
	{
		if (!json_integer_value(output_find(volume, "status.faults")))
			continue;
		fputs("  ", run->output.out);
		print_text(run, text_at(volume, "name"));
		print_faults(run, volume);
		fputc('\n', run->output.out);
	}
}

static bool has_bad_mirror(const json_t *volume)
{
	size_t i;
	json_t *mirror;
	json_array_foreach(output_find(volume, "status.mirrors"), i, mirror)
	{
		if (strcmp(text_at(mirror, "state"), "in sync") != 0)
			return true;
	}
	return false;
}

static void print_bad_mirrors(const struct cli_run *run, const json_t *volumes)
{
	size_t i;
	json_t *volume;
	json_array_foreach(volumes, i, volume)
	{
		if (!has_bad_mirror(volume))
			continue;
		fputs("  ", run->output.out);
		print_text(run, text_at(volume, "name"));
		print_mirrors(run, volume);
		fputc('\n', run->output.out);
	}
}

static void print_closed_portals(
	const struct cli_run *run, const json_t *portals)
{
	size_t i;
	json_t *portal;
	json_array_foreach(portals, i, portal)
	{
		if (strcmp(text_at(portal, "status.state"), "closed") != 0)
			continue;
		fputs("  portal ", run->output.out);
		print_text(run, text_at(portal, "name"));
		fputs("  ", run->output.out);
		output_state(&run->output, "closed");
		fputs("  ", run->output.out);
		print_text(run, text_at(portal, "status.reason"));
		fputc('\n', run->output.out);
	}
}

/* What the status is made of; what could not be had is NULL. */
struct facts {
	json_t *system, *volumes, *sessions, *jobs, *portals;
};

static int print_status(const struct cli_run *run, const struct facts *facts)
{
	const json_t *system = facts->system, *volumes = facts->volumes;
	size_t count = json_array_size(volumes);
	unsigned online = count_with(volumes, "status.state", "online");
	unsigned failed = count_with(volumes, "status.state", "failed");
	FILE *out = run->output.out;
	fputs("cairnd ", out);
	print_text(run, text_at(system, "version"));
	fputs(" on ", out);
	print_text(run, text_at(system, "hostname"));
	fputs(", since ", out);
	print_text(run, text_at(system, "started"));
	fprintf(out,
		"\n%u of %zu volumes online, %zu sessions, %u jobs running\n",
		online, count, json_array_size(facts->sessions),
		count_with(facts->jobs, "state", "running"));
	print_bad_volumes(run, volumes);
	print_faulty_volumes(run, volumes);
	print_bad_mirrors(run, volumes);
	print_closed_portals(run, facts->portals);
	return failed ? EXIT_FAILED : EXIT_OK;
}

int run_status(struct cli_run *run)
{
	struct facts facts = {0};
	int status = run_get(run, "/system", &facts.system);
	if (!status)
		status = run_get_list(run, "/volumes", &facts.volumes);
	if (!status)
		status = run_get_list(run, "/sessions", &facts.sessions);
	if (!status)
		status = run_get_list(run, "/jobs", &facts.jobs);
	if (!status)
		status = run_get_list(run, "/portals", &facts.portals);
	if (!status && run->output.format == OUTPUT_TABLE) {
		status = print_status(run, &facts);
	} else if (!status) {
		json_t *all = json_pack("{sO, sO, sO, sO, sO}", "system",
			facts.system, "volumes", facts.volumes, "sessions",
			facts.sessions, "jobs", facts.jobs, "portals",
			facts.portals);
		output_object(&run->output, NULL, all);
		json_decref(all);
	}
	json_decref(facts.system);
	json_decref(facts.volumes);
	json_decref(facts.sessions);
	json_decref(facts.jobs);
	json_decref(facts.portals);
	return status;
}
