/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tests/lib/connect_text.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const uint8_t naa[8] = {0x31, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
const struct connect_portal connect_portals[2] = {
	{"192.0.2.10", 3260}, {"2001:db8::10", 3261}};
const struct connect_view connect_plain = {.volume = "db01",
	.host = "web1",
	.target = "iqn.2026-11.example.cairn:db01",
	.size_bytes = 10ull << 30,
	.lun = 3,
	.portal = connect_portals,
	.portals = 1,
	.naa = naa};
const struct connect_view connect_strict = {.volume = "db_01_",
	.host = "web1",
	.target = "iqn.2026-11.example.cairn:db01",
	.size_bytes = 10ull << 30,
	.lun = 300,
	.portal = connect_portals,
	.portals = 2,
	.naa = naa,
	.initiator = "iqn.1993-08.org.debian:01:ab",
	.chap_user = CONNECT_HOSTILE,
	.mutual_user = "o'ther"};

char *connect_text_for(const char *name, const struct connect_view *view)
{
	const struct connect_system *system;
	CHECK_INT(connect_find_system(name, &system, NULL), 0);
	char *text = connect_text(system, view);
	CHECK(text != NULL);
	return text;
}

char *connect_run(const char *before, const char *text)
{
	char script[] = "/tmp/connect.XXXXXX", command[128];
	int fd = mkstemp(script);
	CHECK(fd >= 0);
	FILE *out = fdopen(fd, "w");
	CHECK(out != NULL);
	fprintf(out, "%s\n%s", before, text);
	CHECK_INT(fclose(out), 0);
	snprintf(command, sizeof command,
		"printf 'secret\\nsecret\\n' | bash -u -O failglob %s 2>&1",
		script);
	FILE *in = popen(command, "r");
	CHECK(in != NULL);
	char *all = calloc(1, 65536);
	CHECK(all != NULL);
	size_t used = fread(all, 1, 65535, in);
	CHECK(used < 65535);
	CHECK_INT(pclose(in), 0);
	unlink(script);
	return all;
}
