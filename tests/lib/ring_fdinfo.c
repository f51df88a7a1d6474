/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. The kernel (io_uring/fdinfo.c) prints
 *
 *	UserFiles:	1024
 *	    0: /path		a line for each slot that holds a file
 *	UserBufs:	1
 *	    0: 0x7f.../1048576
 *	PollList:
 */
#include "tests/lib/ring_fdinfo.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"

/* A line "    3: something" of a list, whose slot is not empty. */
static bool is_entry(const char *line)
{
	unsigned slot;
	int end = 0;
	return line[0] == ' ' && sscanf(line, " %u: %n", &slot, &end) == 1 &&
		end > 0 && line[end] && line[end] != '\n' &&
		strncmp(line + end, "<none>", 6) != 0;
}

static void read_ring(struct ring_fdinfo *info, const char *fd)
{
	char path[64], line[512];
	unsigned *list = NULL;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%.16s", fd);
	FILE *in = fopen(path, "re");
	CHECK(in != NULL);
	while (fgets(line, sizeof line, in)) {
		if (!strncmp(line, "UserFiles:", 10))
			list = &info->files;
		else if (!strncmp(line, "UserBufs:", 9))
			list = &info->buffers;
		else if (line[0] != ' ')
			list = NULL;
		else if (list && is_entry(line))
			++*list;
	}
	fclose(in);
}

void ring_fdinfo_read(struct ring_fdinfo *info)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	*info = (struct ring_fdinfo){.rings = 0};
	CHECK(folder != NULL);
	while ((entry = readdir(folder))) {
		char target[64] = "";
		if (readlinkat(dirfd(folder), entry->d_name, target,
			    sizeof target - 1) < 0 ||
			strcmp(target, "anon_inode:[io_uring]") != 0)
			continue;
		info->rings++;
		read_ring(info, entry->d_name);
	}
	closedir(folder);
}
