/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings' portals: the first filling of the configuration. From then on portals
 * are objects like others, and who changes the settings is told that it does nothing.
 */
#include "target/control/config/config_parts.h"

#include "blockcore/base/log.h"
#include "target/control/config/json_doc.h"
#include "target/control/document/portals.h"
#include "target/control/unix_time.h"

#include <errno.h>

static json_t *portal_value(const struct access_portal *portal)
{
	return json_pack("{ss, ss, si, si, ss*}", "name", portal->name,
		"address", portal->address, "port", (int)portal->port, "group",
		(int)portal->group, "advertised", portal->advertised);
}

static int fill(struct config_objects *objects,
	const struct access_portal *portal, struct err *err)
{
	json_t *value = portal_value(portal);
	struct config_object *object =
		objects_add(objects, CONFIG_PORTAL, portal->name, value);
	json_decref(value);
	if (!object)
		return err_set(err, ENOMEM, "out of memory");
	object->generation = 1;
	object->created_ms = object->changed_ms = unix_now_ms();
	return 0;
}

static bool is_kept(const struct config_objects *objects,
	const struct access_portal *wanted)
{
	const struct config_object *object =
		objects_find(objects, CONFIG_PORTAL, wanted->name);
	struct doc *node = object ? json_to_doc(object->value, NULL) : NULL;
	struct access_portal kept = {0};
	struct err ignored = {0};
	bool same = node && !portals_read(node, &kept, &ignored) &&
		kept.port == wanted->port && access_portal_same(&kept, wanted);
	portals_clear(&kept);
	doc_free(node);
	return same;
}

static void tell_of_others(const struct config *config)
{
	const struct settings *settings = config->world.settings;
	for (unsigned i = 0; i < settings->portals; i++) {
		const struct access_portal *portal = &settings->portal[i];
		if (!is_kept(&config->objects, portal))
			log_warning("config", "portals",
				"portal %s of the settings (%s port %u) is not "
				"what is kept, and what is kept counts: change "
				"it with cairn portal, or by portals: in a "
				"document",
				portal->name, portal->address, portal->port);
	}
}

/* There is always one portal, so none says that it was not done yet. */
int config_fill_portals(struct config *config, struct err *err)
{
	const struct settings *settings = config->world.settings;
	struct config_objects *objects = &config->objects;
	int failed = 0;
	if (objects->list[CONFIG_PORTAL].count) {
		tell_of_others(config);
		return 0;
	}
	for (unsigned i = 0; i < settings->portals && !failed; i++)
		failed = fill(objects, &settings->portal[i], err);
	return failed
		? failed
		: store_fill(config->world.state, objects, CONFIG_PORTAL, err);
}
