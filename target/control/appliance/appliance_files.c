/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which volumes use a file: an index by the path that a stack names and, once it was
 * open, by what it is (device and inode).
 *
 *	"/data/a.raw"  --> use of volume a, use of volume c
 *	"2049 131 77"  --> use of volume a
 *
 * Invariants
 *  1. A file keeps what it is while its volume runs, whatever becomes of its name.
 *  2. To ask costs the same however many volumes there are; but for those that have
 *     not been online since the start: of these each file is looked at.
 */
#include "target/control/appliance/appliance_parts.h"

#include "blockcore/spec.h"
#include "target/control/appliance/volume_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A key, with those who use what it stands for. */
struct file_node {
	LIST_HEAD(, file_use) uses; /* never empty */
	char key[];
};

struct file_use {
	struct file_node *node; /* NULL: not in use */
	const struct appliance_volume *volume;
	LIST_ENTRY(file_use) link;
};

struct appliance_file_uses {
	unsigned count;
	struct {
		struct file_use path, identity;
	} file[];
};

/* -- the index -------------------------------------------------------------- */

static void add_use(struct appliance *appliance,
	const struct appliance_volume *v, struct file_use *use, const char *key)
{
	struct file_node *node = map_find_text(&appliance->files, key);
	if (!node) {
		node = malloc(sizeof *node + strlen(key) + 1);
		if (!node)
			abort(); /* a file in use could be removed */
		LIST_INIT(&node->uses);
		strcpy(node->key, key);
		if (map_put_text(&appliance->files, node->key, node))
			abort();
	}
	use->node = node;
	use->volume = v;
	LIST_INSERT_HEAD(&node->uses, use, link);
}

static void drop_use(struct appliance *appliance, struct file_use *use)
{
	struct file_node *node = use->node;
	if (!node)
		return;
	LIST_REMOVE(use, link);
	if (!LIST_EMPTY(&node->uses))
		return;
	map_remove_text(&appliance->files, node->key);
	free(node);
}

static void drop_uses(
	struct appliance *appliance, struct appliance_file_uses *uses)
{
	for (unsigned i = 0; uses && i < uses->count; i++) {
		drop_use(appliance, &uses->file[i].path);
		drop_use(appliance, &uses->file[i].identity);
	}
	free(uses);
}

/* -- a volume's files --------------------------------------------------------- */

static bool print_identity(const char *whole, char out[64])
{
	struct stat found;
	if (stat(whole, &found))
		return false;
	snprintf(out, 64, "%llu %llu", (unsigned long long)found.st_dev,
		(unsigned long long)found.st_ino);
	return true;
}

/* What it was when that path was open before; NULL: it never was. */
static const struct file_use *known_as(
	const struct appliance_file_uses *before, const char *whole)
{
	for (unsigned i = 0; before && i < before->count; i++) {
		if (!strcmp(before->file[i].path.node->key, whole) &&
			before->file[i].identity.node)
			return &before->file[i].identity;
	}
	return NULL;
}

static bool add_path(
	json_t *protocol, const char *path, bool backing, void *paths)
{
	(void)protocol;
	(void)backing;
	return !json_array_append_new(paths, json_string(path));
}

/* What the running stack names, backing files that only images name among it; while
 * it is offline, what its document does. */
static json_t *paths_of(const struct appliance_volume *v)
{
	struct block_source *source = atomic_load(&v->volume->source);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = source ? open_memstream(&text, &bytes) : NULL;
	json_t *paths = json_array();
	if (out)
		spec_print(source, false, out);
	json_t *stack = out && !fclose(out)
		? json_loadb(text, bytes, 0, NULL)
		: json_loads(v->source_json, 0, NULL);
	if (!paths || !stack ||
		!volume_files_each(stack, false, add_path, paths))
		abort();
	json_decref(stack);
	free(text);
	return paths;
}

void appliance_note_files(
	struct appliance *appliance, struct appliance_volume *v)
{
	struct appliance_file_uses *before = v->uses;
	json_t *paths = paths_of(v), *path;
	size_t i;
	v->uses = calloc(1,
		sizeof *v->uses +
			json_array_size(paths) * sizeof v->uses->file[0]);
	if (!v->uses)
		abort();
	json_array_foreach(paths, i, path)
	{
		char whole[4096], identity[64];
		block_core_path(appliance->world.core, json_string_value(path),
			whole, sizeof whole);
		const struct file_use *known = known_as(before, whole);
		add_use(appliance, v, &v->uses->file[i].path, whole);
		if (known)
			add_use(appliance, v, &v->uses->file[i].identity,
				known->node->key);
		else if (appliance_volume_online(v) &&
			print_identity(whole, identity))
			add_use(appliance, v, &v->uses->file[i].identity,
				identity);
		v->uses->count++;
	}
	json_decref(paths);
	drop_uses(appliance, before);
	v->seen |= appliance_volume_online(v);
}

void appliance_forget_files(
	struct appliance *appliance, struct appliance_volume *v)
{
	drop_uses(appliance, v->uses);
	v->uses = NULL;
}

/* -- asked ------------------------------------------------------------------ */

static const char *user_by(
	const struct appliance *appliance, const char *key, const char *name)
{
	const struct file_node *node = map_find_text(&appliance->files, key);
	const struct file_use *use;
	if (!node)
		return NULL;
	LIST_FOREACH (use, &node->uses, link) {
		if (strcmp(use->volume->settings.name, name) != 0)
			return use->volume->settings.name;
	}
	return NULL;
}

static bool names_unseen(const struct appliance_volume *v, const char *identity)
{
	for (unsigned i = 0; v->uses && i < v->uses->count; i++) {
		char other[64];
		if (print_identity(v->uses->file[i].path.node->key, other) &&
			!strcmp(identity, other))
			return true;
	}
	return false;
}

const char *appliance_file_user(
	const struct appliance *appliance, const char *name, const char *path)
{
	const struct appliance_volume *v;
	char whole[4096], identity[64];
	block_core_path(appliance->world.core, path, whole, sizeof whole);
	const char *user = user_by(appliance, whole, name);
	if (user || !print_identity(whole, identity))
		return user;
	user = user_by(appliance, identity, name);
	TAILQ_FOREACH (v, &appliance->volumes, link) {
		if (!user && !v->seen && strcmp(v->settings.name, name) != 0 &&
			names_unseen(v, identity))
			user = v->settings.name;
	}
	return user;
}

struct holder_search {
	const struct appliance *appliance;
	const char *name, *holder;
};

static bool find_holder(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	struct holder_search *search = argument;
	(void)protocol;
	(void)backing;
	search->holder =
		appliance_file_user(search->appliance, search->name, path);
	return !search->holder;
}

const char *appliance_holder(const struct appliance *appliance,
	const char *name, const char *source_json)
{
	struct holder_search search = {.appliance = appliance, .name = name};
	json_t *source = json_loads(source_json, 0, NULL);
	if (source)
		volume_files_each(source, false, find_holder, &search);
	json_decref(source);
	return search.holder;
}

void appliance_name_holder(const struct appliance *appliance, const char *name,
	const char *source_json, struct err *why)
{
	const char *holder = appliance_holder(appliance, name, source_json);
	struct err said = *why;
	if (holder)
		err_set(why, said.code, "%.420s; volume \"%s\" has it",
			said.text, holder);
}
