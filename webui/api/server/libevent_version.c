/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/libevent_version.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DPKG_STATUS "/var/lib/dpkg/status"
#define REPAIRED_UPSTREAM 0x02010d00u /* 2.1.13 */
#define REPAIRED_BY_DEBIAN 0x02010c00u /* 2.1.12 */

bool libevent_is_repaired(uint32_t number, const char *package)
{
	static const char debian[] = "2.1.12-stable-";
	if (number >= REPAIRED_UPSTREAM)
		return true;
	if (number < REPAIRED_BY_DEBIAN ||
		strncmp(package, debian, sizeof debian - 1) != 0)
		return false;
	/* "8+deb12u1": a security upload of a stable release. */
	char *end;
	unsigned long revision = strtoul(package + sizeof debian - 1, &end, 10);
	unsigned release, upload;
	return revision >= 8 &&
		sscanf(end, "+deb%uu%u", &release, &upload) == 2 && upload >= 1;
}

bool libevent_find_package(const char *path, char *version, size_t bytes)
{
	char line[512];
	bool inside = false, found = false;
	FILE *in = fopen(path, "re");
	version[0] = '\0';
	while (in && !found && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "Package: ", 9))
			inside = !strcmp(line + 9, "libevent-extra-2.1-7");
		else if (inside && !strncmp(line, "Version: ", 9))
			found = snprintf(version, bytes, "%s", line + 9) > 0;
	}
	if (in)
		fclose(in);
	return found;
}

bool libevent_look(char *words, size_t bytes)
{
	char package[64];
	libevent_find_package(DPKG_STATUS, package, sizeof package);
	snprintf(words, bytes, "%s%s%s", event_get_version(),
		*package ? ", package " : "", package);
	return libevent_is_repaired(event_get_version_number(), package);
}
