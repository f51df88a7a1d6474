/* SPDX-License-Identifier: Apache-2.0 */
/* Who names whom; see objects.h. */
#include "webui/api/objects/objects.h"

#include "target/control/config/keys.h"

#include <stdio.h>
#include <string.h>

const struct config_object *object_next_user(struct api_request *request,
	enum config_kind kind, char prefix, const char *id,
	const struct config_link **cursor)
{
	char key[CONFIG_KEY_BYTES];
	snprintf(key, sizeof key, "%c:%s", prefix, id);
	return config_next_user(request->parts->config, kind, key, cursor);
}

bool object_lists(const struct config_object *object, const char *member,
	const char *text)
{
	json_t *item;
	size_t i;
	json_array_foreach(json_object_get(object->value, member), i, item)
	{
		const char *name = json_string_value(item);
		if (name && !strcmp(name, text))
			return true;
	}
	return false;
}
