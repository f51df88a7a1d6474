/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults for a time: rules of a volume's own listener `faults`, each with the moment
 * when it is removed by itself.
 *
 *	add	moment kept -> rule in the volume's source, one change
 *	expiry	rule out of the source, one change -> moment forgotten
 *
 * Invariants
 *  1. The moment is durable before the rule is: after a crash between the two there
 *     is nothing to remove, never a fault that stays for ever.
 *  2. Moments are wall-clock time and so run on while the daemon does not; what has
 *     expired meanwhile is removed right after the start.
 *  3. Control thread.
 */
#ifndef WEBUI_API_LIVE_FAULTS_H
#define WEBUI_API_LIVE_FAULTS_H

#include "target/control/config/config.h"

#define API_FAULT_LISTENER "faults"
#define API_FAULTS_MAX 1024u /* in all */

struct api;
struct api_faults;

struct api_fault {
	char volume[BLOCK_NAME_BYTES], id[BLOCK_NAME_BYTES];
	char user[64];
	int64_t created_ms, expires_ms;
};

/* Reads what is kept. NULL with *err. */
struct api_faults *api_faults_new(struct api *api, struct err *err);
/* NULL is fine. What is kept stays. */
void api_faults_stop_co(struct api_faults *faults);

/* NULL: there is none. Valid until one is added or forgotten. */
const struct api_fault *api_faults_find(
	const struct api_faults *faults, const char *volume, const char *id);
/* Durable when it returns 0; copied. -ENOSPC: too many. */
int api_faults_keep(struct api_faults *faults, const struct api_fault *fault,
	struct err *err);
/* The one, or with id NULL all of the volume. */
void api_faults_forget(
	struct api_faults *faults, const char *volume, const char *id);

/* Forgets moments whose rules have gone with a source, or with a volume that was called
 * the same. In the turn of a change. */
void api_faults_tidy(
	struct api_faults *faults, const struct config_object *volume);
/* A whole document may bring rules (back) whose moments are not known: each ends in an
 * hour, as `user`'s. After such a change. */
void api_faults_adopt(struct api_faults *faults, const char *user);

/* Rules of the volume's listener, borrowed; NULL: none. */
json_t *api_fault_rules(const struct config_object *volume);
/* The volume's value with one rule more (taken over). */
json_t *api_fault_with(const struct config_object *volume, json_t *rule);
/* The value without that rule, or without all (id NULL); NULL: it has none. */
json_t *api_fault_without(const struct config_object *volume, const char *id);
/* What a rule holds goes on, before the rule is removed. */
void api_fault_release_co(struct api *api, const char *volume, const char *id);

#endif
