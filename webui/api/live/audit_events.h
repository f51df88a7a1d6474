/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of what is recorded: topic `audit` has every record, whoever caused it, topic
 * `trust` those about users, tokens, certificates and signing in.
 *
 * Invariants
 *  1. An event tells of a record that is kept: it comes in a turn after its commit.
 *  2. What was refused is rationed, so that strangers cannot push what else has happened
 *     out of the ring of events; the next that is told says how many were not.
 */
#ifndef WEBUI_API_LIVE_AUDIT_EVENTS_H
#define WEBUI_API_LIVE_AUDIT_EVENTS_H

#include "blockcore/base/err.h"

struct api;
struct audit_events;

/* Tells of records from now on. NULL with *err. Control thread. */
struct audit_events *audit_events_new(struct api *api, struct err *err);
void audit_events_free(struct audit_events *self); /* NULL is fine */

#endif
