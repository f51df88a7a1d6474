/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header.
 */
#include "tests/lib/dirty_asker.h"

#include <stdlib.h>
#include <string.h>

void dirty_asker_tell_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	free(stack_rig_command_co(rig, source, "d", verb, arguments));
}

void dirty_asker_expect_co(struct stack_rig *rig, struct block_source *source,
	const char *consumer, const char *expected)
{
	char arguments[64], got[512] = "";
	char *said, *at;

	snprintf(arguments, sizeof arguments, "{consumer: %s}", consumer);
	dirty_asker_tell_co(rig, source, "freeze", arguments);
	at = said = stack_rig_command_co(rig, source, "d", "list", arguments);
	while ((at = strstr(at, "{\"offset\": "))) {
		unsigned long long offset, length;
		size_t used = strlen(got);

		CHECK_INT(sscanf(at, "{\"offset\": %llu, \"length\": %llu}",
				  &offset, &length),
			2);
		snprintf(got + used, sizeof got - used, "%s%llu+%llu",
			used ? " " : "", offset / DIRTY_ASKER_BLOCK,
			length / DIRTY_ASKER_BLOCK);
		at++;
	}
	if (strcmp(got, expected))
		check_fail(__FILE__, __LINE__, "'%s', not '%s'", got, expected);
	free(said);
}

void dirty_asker_done_co(struct stack_rig *rig, struct block_source *source,
	const char *consumer, const char *expected)
{
	char arguments[64];

	dirty_asker_expect_co(rig, source, consumer, expected);
	snprintf(arguments, sizeof arguments, "{consumer: %s}", consumer);
	dirty_asker_tell_co(rig, source, "done", arguments);
}

int dirty_asker_refused_co(struct stack_rig *rig, struct block_source *source,
	const char *verb, const char *arguments)
{
	struct err err = {0};
	FILE *out = fopen("/dev/null", "w");
	int error = spec_command_co(source, "d", verb,
		arguments ? stack_rig_doc(rig, arguments) : NULL, out, &err);

	fclose(out);
	CHECK(err.text[0]);
	return error;
}
