/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at objects, without a change; see config.h. */
#include "target/control/config/config.h"
#include "target/control/config/config_parts.h"
#include "target/control/config/keys.h"

#include <stdio.h>

const struct config_object *config_find(
	const struct config *config, enum config_kind kind, const char *id)
{
	return objects_find(&config->objects, kind, id);
}

const struct config_object *config_find_export(const struct config *config,
	const char *iqn, unsigned lun, unsigned *count)
{
	char text[CONFIG_KEY_BYTES];
	const struct config_object *found = NULL;
	const struct config_link *link;
	snprintf(text, sizeof text, "l:%s,%u", iqn, lun);
	const struct config_key *key = objects_key(&config->objects, text);
	*count = 0;
	if (!key)
		return NULL;
	TAILQ_FOREACH (link, &key->definers, next) {
		found = link->object;
		++*count;
	}
	return *count == 1 ? found : NULL;
}

const struct config_object *config_next_user(const struct config *config,
	enum config_kind kind, const char *key_text,
	const struct config_link **cursor)
{
	const struct config_key *key = objects_key(&config->objects, key_text);
	const struct config_link *link = *cursor ? TAILQ_NEXT(*cursor, next)
		: key				 ? TAILQ_FIRST(&key->users)
						 : NULL;
	while (link && link->object->kind != kind)
		link = TAILQ_NEXT(link, next);
	*cursor = link;
	return link ? link->object : NULL;
}

const struct config_object *config_next(const struct config *config,
	enum config_kind kind, const struct config_object *after)
{
	const struct config_list *list = &config->objects.list[kind];
	unsigned position = after ? after->position + 1 : 0;
	return position < list->count ? list->item[position] : NULL;
}
