/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a state database keeps of a document, without an appliance that runs.
 */
#ifndef TESTS_LIB_KEPT_H
#define TESTS_LIB_KEPT_H

#include "target/control/settings.h"
#include "target/control/state.h"

/* Reads `text` (YAML), finds identities and secrets (files in `directory`), and
 * saves it in the place of what is kept. 0 or -errno. */
int kept_save(struct state *state, const char *text,
	const struct settings *settings, const char *directory,
	struct err *err);
/* The document that is kept, as JSON: to be freed. Fails the test if it cannot be
 * read. */
char *kept_json(struct state *state);

#endif
