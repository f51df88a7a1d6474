/* SPDX-License-Identifier: Apache-2.0 */
/* A job has moved a source; see config.h. */
#include "target/control/config/config.h"

#include "target/control/config/config_parts.h"
#include "target/control/config/edits.h"
#include "target/control/unix_time.h"

#include <assert.h>
#include <errno.h>

void config_hold_co(struct config *config)
{
	co_mutex_lock_co(&config->changing);
}

void config_release(struct config *config)
{
	co_mutex_unlock(&config->changing);
}

/* The same as a change that is applied, but for the applying. */
static int keep(struct config *config, struct config_proposal *proposal,
	const struct config_change *change, struct config_outcome *outcome,
	struct err *err)
{
	struct document *document = proposal->document;
	int failed = config_find_secrets(config, document, err);
	if (failed)
		return failed;
	outcome->changes = proposal_changes(proposal);
	/* It is called what it was called before: only the witness has more. */
	if (proposal_is_empty(proposal))
		return change->witness
			? change->witness->record(change->witness,
				  outcome->changes, config->number, err)
			: 0;
	const struct document_volume *moved =
		document_find_volume(document, change->edit[0].id);
	struct appliance_made *made =
		appliance_source_made(config->appliance, moved, err);
	if (!made)
		return -ENOMEM;
	struct store_commit commit = {.proposal = proposal,
		.made = made,
		.changes = outcome->changes,
		.who = change->who,
		.title = change->title,
		.witness = change->witness,
		.now_ms = unix_now_ms(),
		.number = config->number + 1};
	failed = store_save(config->world.state, &commit, err);
	if (failed) {
		appliance_made_free(made);
		return failed;
	}
	appliance_source_moved(config->appliance, moved, made);
	config_take(config, proposal, document->part, &commit, outcome);
	return 0;
}

static int propose(struct config *config, const struct config_slots *slots,
	const struct config_change *change, struct config_outcome *outcome,
	struct err *err)
{
	struct config_proposal proposal;
	struct doc *root = edits_document(slots, err);
	if (!root)
		return -ENOMEM;
	int failed = proposal_read(&proposal, root, &config->objects, slots,
		config->world.settings, err);
	if (!failed)
		failed = keep(config, &proposal, change, outcome, err);
	proposal_free(&proposal);
	return failed;
}

int config_keep_moved(struct config *config, const struct config_change *change,
	struct config_outcome *outcome, struct err *err)
{
	struct config_slots slots;
	struct config_change widened = *change;
	assert(config->changing.locked && change->edits == 1);
	*outcome = (struct config_outcome){0};
	widened.whole |= !config->in_force || config->legacy;
	int failed = edits_list(
		&config->objects, config->appliance, &widened, &slots, err);
	if (!failed)
		failed = propose(config, &slots, change, outcome, err);
	edits_free(&slots);
	if (failed)
		config_outcome_free(outcome);
	return failed;
}
