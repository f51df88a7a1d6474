/* SPDX-License-Identifier: Apache-2.0 */
/* Words for people; see report.h. */
#include "target/control/report.h"

#include "blockcore/base/log.h"

#include <inttypes.h>
#include <string.h>

#define REPORT_MAX_TARGETS 8u
#define REPORT_MAX_EXPORTS 16u

/* -- the start text --------------------------------------------------------- */

/* An address that a client on this machine can use for a portal. */
static const char *portal_text(const struct access_portal *portal, char out[80])
{
	const char *address = portal->address;
	if (!strcmp(address, "0.0.0.0"))
		address = "127.0.0.1";
	else if (!strcmp(address, "::"))
		address = "::1";
	snprintf(out, 80, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		portal->port);
	return out;
}

/* "1 GiB", in the largest unit that leaves a whole number. */
static const char *size_text(uint64_t bytes, char out[32])
{
	static const char *const units[] = {
		"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned unit = 0;
	while (bytes && bytes % 1024 == 0 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, 32, "%" PRIu64 " %s", bytes, units[unit]);
	return out;
}

static void print_export(
	FILE *out, const struct access_export *export, struct block_lane *lane)
{
	const struct volume *volume = export->volume;
	struct block_info info;
	char size[32];
	fprintf(out, "    LUN %-4u %s, ", export->lun, volume->settings.name);
	if (volume_info(volume, lane, &info))
		fputs(size_text(info.size_bytes, size), out);
	else
		fprintf(out, "OFFLINE: %s", volume->offline_reason);
	if (volume->settings.block_bytes != 512)
		fprintf(out, ", blocks of %u", volume->settings.block_bytes);
	if (export->read_only || volume_read_only(volume))
		fputs(", read-only", out);
	if (export->through)
		fprintf(out, ", through %s", export->through->settings.name);
	fputs("; hosts:", out);
	for (unsigned i = 0; i < export->hosts; i++)
		fprintf(out, "%s %s", i ? "," : "", export->host[i]->name);
	fputc('\n', out);
}

static void print_portals(FILE *out, const struct access_table *table,
	const struct access_target *target)
{
	char text[80];
	for (unsigned i = 0; i < target->portals; i++)
		fprintf(out, "  %s", portal_text(target->portal[i], text));
	for (unsigned i = 0; !target->portals && i < table->portals; i++)
		fprintf(out, "  %s", portal_text(table->portal[i], text));
	fputc('\n', out);
}

static void print_target(FILE *out, const struct access_table *table,
	struct block_lane *lane, const struct access_target *target)
{
	fprintf(out, "\n  %s\n    at     ", target->iqn);
	print_portals(out, table, target);
	for (unsigned i = 0; i < target->exports && i < REPORT_MAX_EXPORTS; i++)
		print_export(out, &target->export[i], lane);
	if (target->exports > REPORT_MAX_EXPORTS)
		fprintf(out, "    and %u more\n",
			target->exports - REPORT_MAX_EXPORTS);
}

static void print_commands(FILE *out, const struct access_table *table,
	const struct access_target *target)
{
	char portal[80];
	portal_text(
		target->portals ? target->portal[0] : table->portal[0], portal);
	fprintf(out,
		"\nReach it from this machine with\n"
		"  a Linux host (package open-iscsi, as root)\n"
		"    iscsiadm -m discovery -t sendtargets -p %s\n"
		"    iscsiadm -m node -T %s -p %s --login\n"
		"    iscsiadm -m node -T %s -p %s --logout\n",
		portal, target->iqn, portal, target->iqn, portal);
	fprintf(out,
		"  QEMU (packages qemu-utils, qemu-block-extra)\n"
		"    qemu-img info iscsi://%s/%s/%u\n"
		"  libiscsi (package libiscsi-bin)\n"
		"    iscsi-ls -s iscsi://%s\n",
		portal, target->iqn, target->export[0].lun, portal);
}

/* The first target that shows something. */
static const struct access_target *example(const struct access_table *table)
{
	for (unsigned i = 0; i < table->targets; i++) {
		if (table->target[i]->exports)
			return table->target[i];
	}
	return NULL;
}

void report_start(FILE *out, const struct settings *settings,
	struct block_lane *lane, const char *ring,
	const struct access_table *table)
{
	fprintf(out,
		"cairnd %s is ready: %u %s for I/O, disks by %s, data in %s\n",
		CAIRN_VERSION, settings->reactors,
		settings->reactors == 1 ? "thread" : "threads", ring,
		settings->data_directory);
	for (unsigned i = 0; i < table->targets && i < REPORT_MAX_TARGETS; i++)
		print_target(out, table, lane, table->target[i]);
	if (table->targets > REPORT_MAX_TARGETS)
		fprintf(out, "\n  and %u more targets\n",
			table->targets - REPORT_MAX_TARGETS);
	if (example(table))
		print_commands(out, table, example(table));
	else
		fputs("\nNothing is exported yet: cairn volume create NAME "
		      "--size 10G --host HOST\nmakes a volume, cairn apply -f "
		      "FILE all of a document\n",
			out);
	fputs("\nCtrl-C ends it.\n", out);
	fflush(out);
}

void report_setup(FILE *out, const struct settings *settings, const char *token)
{
	const struct settings_api *api = &settings->api;
	bool brackets = strchr(api->address, ':');
	if (!token)
		return;
	fprintf(out,
		"\nThere is no administrator yet. For one hour this token "
		"makes the first one:\n"
		"    %s\n"
		"by `cairn setup`, which finds it by itself",
		token);
	if (api->enabled)
		fprintf(out,
			", or over REST, which is\n"
			"described at https://%s%s%s:%u/docs",
			brackets ? "[" : "", api->address, brackets ? "]" : "",
			api->port);
	fputs(".\n", out);
	fflush(out);
}

/* -- the end ------------------------------------------------------------------ */

static void add_name(struct report_end *end, const struct volume *volume)
{
	size_t used = strlen(end->names);
	snprintf(end->names + used, sizeof end->names - used, "%s%s",
		used ? ", " : "", volume->settings.name);
}

void report_end_late(void *argument, const struct volume *volume)
{
	struct report_end *end = argument;
	end->late++;
	add_name(end, volume);
}

void report_end_look(struct report_end *end, const struct appliance *appliance)
{
	const void *cursor = NULL;
	const struct volume *volume;
	while ((volume = appliance_next_volume(appliance, &cursor))) {
		end->volumes += atomic_load(&volume->source) != NULL;
		if (!(volume_flags(volume) & VOLUME_FAILED))
			continue;
		if (!end->failed++)
			end->names[0] = '\0';
		add_name(end, volume);
	}
}

void report_end(const struct report_end *end)
{
	char text[96];
	snprintf(text, sizeof text,
		"%u connections of hosts ended, %u volumes closed",
		end->connections, end->volumes);
	if (end->failed)
		log_error("cairnd", "stopped",
			"%s; NOT durable is perhaps what hosts had flushed on "
			"%u: %s; check the storage below",
			text, end->failed, end->names);
	else if (end->late)
		log_warning("cairnd", "stopped",
			"%s; durable is what hosts had flushed, perhaps not "
			"what they wrote since on %u, whose flush took too "
			"long: %s",
			text, end->late, end->names);
	else
		log_info("cairnd", "stopped",
			"%s; all that hosts had written is durable", text);
}

/* -- who comes and goes ----------------------------------------------------- */

/* Names may hold any byte above ASCII. */
static const char *clean(const char *name, char out[256])
{
	return log_escape(out, 256, name, (unsigned)strlen(name));
}

/* Hosts can come and go as often as they like, our log cannot grow so fast. */
static bool may_log(void)
{
	static struct log_limit limit; /* the control lane's */
	uint32_t swallowed;
	if (!log_limit_pass(&limit, &swallowed))
		return false;
	if (swallowed)
		log_info("hosts", "busy",
			"%u logins and logouts more, in short time", swallowed);
	return true;
}

static void session_up(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	char object[96], name[256], target[256];
	(void)watcher;
	snprintf(object, sizeof object, "host %s", info->host);
	if (info->discovery) {
		log_debug(object, "discovery", "%s from %s",
			clean(info->initiator, name), info->peer);
		return;
	}
	if (!may_log())
		return;
	log_info(object, "login", "%s from %s to %s%s%s%s%s",
		clean(info->initiator, name), info->peer,
		clean(info->target, target), *info->chap ? ", CHAP " : "",
		info->chap, info->header_digest ? ", header digest" : "",
		info->data_digest ? ", data digest" : "");
}

static void session_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	char object[96], name[256];
	(void)watcher;
	if (info->discovery || !may_log())
		return;
	snprintf(object, sizeof object, "host %s", info->host);
	log_info(object, "logout", "%s from %s: %s",
		clean(info->initiator, name), info->peer, reason);
}

struct iscsi_watcher report_watcher = {
	.session_up = session_up, .session_down = session_down};
