/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object is called by and what it calls others by: the keys through which
 * two objects can matter to each other.
 *
 *	volume NAME	defines v:NAME, u:UUID (if one was given); uses v:NAME of
 *			each volume that its source stands on
 *	host NAME	defines h:NAME
 *	portal NAME	defines p:NAME, a:PORT,ADDRESS unless the port is 0
 *	target IQN	defines t:IQN; uses p:NAME of each portal that it names
 *	export		defines l:IQN,LUN; uses v:VOLUME, t:IQN, h:HOST
 *	schedule NAME	defines s:NAME; uses v:VOLUME of each of its volumes
 *
 * Two that define one key may be in conflict; who uses a key needs one that defines
 * it. So a change has to be checked together with those, and with nobody else.
 *
 * Invariant: a key too many costs time, one too few would let a mistake through. So
 * where a text can mean two names (IQNs in short and in whole), both are given.
 */
#ifndef TARGET_CONTROL_CONFIG_KEYS_H
#define TARGET_CONTROL_CONFIG_KEYS_H

#include "target/control/config/object.h"

#define CONFIG_KEY_BYTES 512u

struct key_visitor {
	void (*key)(struct key_visitor *visitor, const char *key, bool defines);
};

/* Tells the keys of a value, which may have any form: what is not as it should be
 * has none. `authority`: the settings' naming authority. */
void keys_each(enum config_kind kind, const json_t *value,
	const char *authority, struct key_visitor *visitor);

/* The whole, folded IQN that the text means if it is one; false: it is none. */
bool key_target_iqn(
	const char *text, const char *authority, char *iqn, bool short_form);
#endif
