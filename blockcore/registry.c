/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every driver, format and job, in one visible place: no constructors, no
 * loading at run time. To add one: write it, name it in kinds.h, list it here.
 */
#include "blockcore/format/format.h"
#include "blockcore/jobs/jobs.h"
#include "blockcore/kinds.h"

#include <string.h>

const struct block_kind *const block_kinds[] = {
	/* protocols */
	&file_kind,
	&mem_kind,
	&null_kind,
	/* views and aliases */
	&raw_view_kind,
	&qcow2_view_kind,
	&alias_kind,
	/* listeners, in order of bands */
	&stats_kind,
	&trace_kind,
	&readonly_kind,
	&throttle_kind,
	&delay_kind,
	&backup_kind,
	&mirror_kind,
	&dirty_kind,
	&cache_kind,
	&verify_kind,
	&fault_kind,
	NULL,
};

const struct block_format_kind *const block_format_kinds[] = {
	&raw_format_kind,
	&qcow2_format_kind,
	NULL,
};

const struct job_kind *const job_kinds[] = {
	&job_copy,
	&job_migrate,
	&job_commit,
	&job_flatten,
	&job_stream,
	&job_resync,
	&job_pivot,
	&job_rebase,
	&job_backup,
	&job_scrub,
	&job_check,
	&job_fill,
	NULL,
};

const struct block_kind *block_kind_find(enum block_role role, const char *name)
{
	for (unsigned i = 0; block_kinds[i]; i++) {
		if (block_kinds[i]->role == role &&
			!strcmp(block_kinds[i]->name, name))
			return block_kinds[i];
	}
	return NULL;
}

const struct block_format_kind *block_format_kind_find(const char *name)
{
	for (unsigned i = 0; block_format_kinds[i]; i++) {
		if (!strcmp(block_format_kinds[i]->name, name))
			return block_format_kinds[i];
	}
	return NULL;
}
