/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor looks at the machine: its limits, its clock, room on its disks, who else
 * may read what is kept there.
 */
#include "blockcore/base/size.h"
#include "blockcore/block.h"
#include "blockcore/ring.h"
#include "webui/api/server/check.h"
#include "webui/api/server/private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_LEAST 1750000000 /* it has been later since */
#define CLOCK_CURE "set the clock, then run chrony or systemd-timesyncd"
#define MAX_FILES_LOOKED_AT 4096u

/* -- the machine ------------------------------------------------------------ */

static bool is_ring(const struct api *api)
{
	return !strcmp(
		block_core_world(api->parts.core)->ops->name, "io_uring");
}

static void check_ring(const struct api *api, struct check_finding *finding)
{
	if (is_ring(api))
		check_find(
			finding, CHECK_OK, "", "disks are driven by io_uring");
	else
		check_find(finding, CHECK_WARNING,
			"allow io_uring: kernel 5.19 or newer, sysctl "
			"kernel.io_uring_disabled=0, in a container a seccomp "
			"profile that lets it through; then restart",
			"disks are driven by %s, which is slower",
			block_core_world(api->parts.core)->ops->name);
}

static void check_files(const struct api *api, struct check_finding *finding)
{
	struct rlimit limit = {0};
	uint32_t wanted = api->parts.settings->iscsi.max_connections;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted + 1024ull)
		check_find(finding, CHECK_OK, "",
			"%" PRIu64 " files may be open",
			(uint64_t)limit.rlim_cur);
	else
		check_find(finding, CHECK_WARNING,
			"raise LimitNOFILE of the service (ulimit -n)",
			"only %" PRIu64 " files may be open, but %" PRIu32
			" connections are allowed",
			(uint64_t)limit.rlim_cur, wanted);
}

/* The lanes' own word, which they gave when they started: root needs no limit. */
static void check_memory(const struct api *api, struct check_finding *finding)
{
	struct block_core *core = api->parts.core;
	unsigned lanes = block_core_lanes(core), registered = 0;
	struct rlimit limit = {0};
	char may[SIZE_TEXT_BYTES], want[SIZE_TEXT_BYTES];
	for (unsigned i = 0; i < lanes; i++)
		registered += block_core_lane(core, i)->registered;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (!is_ring(api))
		check_find(finding, CHECK_SKIPPED, "",
			"threads need no memory that is locked");
	else if (registered == lanes)
		check_find(finding, CHECK_OK, "",
			"all buffers are registered with the kernel");
	else
		check_find(finding, CHECK_WARNING,
			"raise LimitMEMLOCK of the service (ulimit -l), then "
			"restart",
			"%s may be locked in memory, each of %u threads wants "
			"%s: %u go without, each I/O maps its own, which is "
			"slower",
			size_print(may, limit.rlim_cur), lanes,
			size_print(want, api->parts.settings->buffer_bytes),
			lanes - registered);
}

/* Certificates, tokens, schedules and logs go by it. */
static void check_clock(const struct api *api, struct check_finding *finding)
{
	struct timex now = {0};
	int state = adjtimex(&now); /* only looks */
	(void)api;
	if (time(NULL) < CLOCK_LEAST)
		check_find(finding, CHECK_FAILED, CLOCK_CURE,
			"the clock is years behind: certificates and tokens "
			"cannot be judged");
	else if (state < 0)
		check_find(finding, CHECK_SKIPPED, "",
			"whether something keeps the clock right cannot be "
			"seen: %s",
			strerror(errno));
	else if (state == TIME_ERROR || now.status & STA_UNSYNC)
		check_find(finding, CHECK_WARNING, CLOCK_CURE,
			"nothing keeps the clock right: certificates, tokens, "
			"schedules and the audit log go by it");
	else
		check_find(finding, CHECK_OK, "",
			"the clock is kept right, to about %ld ms",
			now.maxerror / 1000);
}

/* -- directories ------------------------------------------------------------ */

static void check_room(const char *path, struct check_finding *finding)
{
	struct statvfs now;
	if (statvfs(path, &now)) {
		check_find(finding, CHECK_FAILED,
			"see that it is mounted and readable",
			"%s: cannot be looked at", path);
		return;
	}
	uint64_t all = (uint64_t)now.f_blocks * now.f_frsize;
	uint64_t free_bytes = (uint64_t)now.f_bavail * now.f_frsize;
	unsigned percent = all ? (unsigned)(free_bytes * 100 / all) : 0;
	char left[SIZE_TEXT_BYTES];
	size_print(left, free_bytes);
	if (now.f_files && !now.f_favail)
		check_find(finding, CHECK_FAILED,
			"remove files there that nobody needs",
			"%s: no file can be made there: all %" PRIu64
			" that the file system may have are there",
			path, (uint64_t)now.f_files);
	else if (free_bytes < 100u << 20)
		check_find(finding, CHECK_FAILED, "make room there now",
			"%s: %s are left: writes will fail", path, left);
	else if (percent < 10)
		check_find(finding, CHECK_WARNING,
			"make room there, or move volumes elsewhere",
			"%s: %u %% (%s) are left", path, percent, left);
	else
		check_find(
			finding, CHECK_OK, "", "%s: %s are left", path, left);
}

static void check_data(const struct api *api, struct check_finding *finding)
{
	check_room(api->parts.settings->data_directory, finding);
}

static void check_state(const struct api *api, struct check_finding *finding)
{
	check_room(api->parts.settings->state_directory, finding);
}

/* -- who else may read and write -------------------------------------------- */

/* What is open to others than the daemon's user and root; false: nothing, or it is not
 * there. */
static bool is_open_to(const char *path, mode_t to,
	struct check_finding *finding, enum check_state state, const char *what)
{
	struct stat found;
	char cure[sizeof finding->cure];
	if (stat(path, &found))
		return false;
	bool foreign = found.st_uid && found.st_uid != geteuid();
	if (!foreign && !(found.st_mode & to))
		return false;
	if (foreign)
		snprintf(cure, sizeof cure, "chown %u -- '%.200s'",
			(unsigned)geteuid(), path);
	else
		snprintf(cure, sizeof cure, "chmod go= -- '%.200s'", path);
	if (foreign)
		check_find(finding, CHECK_FAILED, cure,
			"%.200s belongs to user %u, who may change all of it",
			path, (unsigned)found.st_uid);
	else
		check_find(finding, state, cure,
			"%.200s has mode %03o: other users of this machine "
			"may %s",
			path, (unsigned)found.st_mode & 0777, what);
	return true;
}

/* The first file of a folder that others may enter, and open. */
static bool has_open_file(const char *folder, struct check_finding *finding)
{
	struct stat found;
	char path[PATH_MAX];
	const struct dirent *entry;
	bool open = false;
	if (stat(folder, &found) || !(found.st_mode & 011))
		return false;
	DIR *dir = opendir(folder);
	for (unsigned i = 0; dir && !open && i < MAX_FILES_LOOKED_AT &&
		(entry = readdir(dir));
		i++) {
		if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN)
			continue;
		snprintf(path, sizeof path, "%.*s/%s", PATH_MAX - 260, folder,
			entry->d_name);
		open = is_open_to(path, 022, finding, CHECK_FAILED,
			       "change what hosts have written") ||
			is_open_to(path, 044, finding, CHECK_WARNING,
				"read what hosts have written");
	}
	if (dir)
		closedir(dir);
	return open;
}

static void check_permissions(
	const struct api *api, struct check_finding *finding)
{
	const struct settings *settings = api->parts.settings;
	const char *state = settings->state_directory;
	const char *data = settings->data_directory;
	char database[PATH_MAX], secrets[PATH_MAX];
	snprintf(database, sizeof database, "%s/cairn.db", state);
	snprintf(secrets, sizeof secrets, "%s/secrets", state);
	if (is_open_to(database, 077, finding, CHECK_FAILED,
		    "reach what is kept there, secrets among it") ||
		is_open_to(secrets, 077, finding, CHECK_FAILED,
			"reach the secrets of hosts") ||
		is_open_to(state, 022, finding, CHECK_FAILED,
			"put other files in place of the daemon's") ||
		is_open_to(data, 022, finding, CHECK_FAILED,
			"put other files in place of volumes") ||
		has_open_file(data, finding))
		return;
	check_find(finding, CHECK_OK, "",
		"files of volumes, state and secrets are the daemon's own");
}

const struct api_check live_machine_checks[] = {
	{"clock", "Clock", check_clock},
	{"data-room", "Room for volumes", check_data},
	{"files", "Open files", check_files},
	{"memory", "Registered buffers", check_memory},
	{"permissions", "Permissions of files", check_permissions},
	{"ring", "Disk I/O", check_ring},
	{"state-room", "Room for the state", check_state},
	{0},
};
