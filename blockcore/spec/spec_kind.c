/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a map of a document is about: its type, and the kind that has it, or all that
 * there are.
 */
#include "blockcore/format/format.h"
#include "blockcore/listener/fault_rules.h"
#include "blockcore/spec.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <string.h>

int spec_check_rule_keys(
	const struct doc *rule, const char *const *more, struct err *err)
{
	return fault_rules_check_keys(rule, more, err);
}

static int spec_type(const struct doc *map, const char **type, struct err *err)
{
	if (map->kind != DOC_MAP)
		return doc_error(map, err, EINVAL,
			"expected a map with a type and its options");
	const struct doc *node = doc_find(map, "type");
	if (!node)
		return doc_missing_error(map, "type", err, "a type is missing");
	if (node->kind == DOC_NULL) {
		*type = "null"; /* as people write it; YAML means nothing */
		return 0;
	}
	return doc_text(node, type, err);
}

static const char *spec_role_name(enum block_role role)
{
	return role == BLOCK_LISTENER ? "listener" : "protocol";
}

/* The kinds of a role, for err_allow. */
static const char *spec_kind_at(const void *role, unsigned i)
{
	const struct block_kind *const *kind = block_kinds;

	for (; *kind; kind++) {
		if ((*kind)->role == *(const enum block_role *)role && !i--)
			return (*kind)->name;
	}
	return NULL;
}

static const char *spec_format_at(const void *none, unsigned i)
{
	(void)none;
	return block_format_kinds[i] ? block_format_kinds[i]->name : NULL;
}

int spec_kind(const struct doc *map, enum block_role role,
	const struct block_kind **kind, struct err *err)
{
	static const enum block_role listeners = BLOCK_LISTENER,
				     protocols = BLOCK_PROTOCOL;
	const char *type;
	int error = spec_type(map, &type, err);

	if (error)
		return error;
	*kind = block_kind_find(role, type);
	if (*kind)
		return 0;
	doc_error(doc_find(map, "type"), err, EINVAL,
		"there is no %s '%s'; there are: ", spec_role_name(role), type);
	err_allow(err, spec_kind_at,
		role == BLOCK_LISTENER ? &listeners : &protocols, NULL);
	err_list_allowed(err);
	return -EINVAL;
}

int spec_format_kind(const struct doc *map,
	const struct block_format_kind **kind, struct err *err)
{
	const char *type;
	int error = spec_type(map, &type, err);

	if (error)
		return error;
	*kind = block_format_kind_find(type);
	if (*kind)
		return 0;
	doc_error(doc_find(map, "type"), err, EINVAL,
		"there is no format '%s'; there are: ", type);
	err_allow(err, spec_format_at, NULL, NULL);
	err_list_allowed(err);
	return -EINVAL;
}

const char *spec_type_of(const struct doc *map)
{
	const char *type;

	if (map->kind != DOC_MAP || (map->key && !strcmp(map->key, "source")) ||
		spec_type(map, &type, NULL))
		return "alias";
	return type;
}
