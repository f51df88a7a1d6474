/* SPDX-License-Identifier: Apache-2.0 */
/* One volume of the appliance; see the header. */
#include "target/control/appliance/appliance_volume.h"

#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/appliance/live_change.h"
#include "target/control/appliance/volume_files.h"
#include "target/reservation/reservation.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "volume NAME", as the log calls it. */
static const char *object_of(
	const struct appliance_volume *self, char out[BLOCK_NAME_BYTES + 8])
{
	snprintf(out, BLOCK_NAME_BYTES + 8, "volume %s", self->settings.name);
	return out;
}

char *appliance_json(const struct doc *node)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	doc_print_json(node, out);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* Of a raw file that the document gives no size: what it had when the volume was online
 * last, kept as "BYTES PATH". */
#define SIZE_BLOB "size"

/* -- what hosts made durable ------------------------------------------------ */

static int restore_blob(struct appliance_volume *self, struct state *state,
	const char *kind,
	int (*restore)(struct volume *, const void *, size_t, struct err *),
	struct err *err)
{
	void *blob;
	size_t bytes;
	int failed = state_load_blob(
		state, self->settings.uuid, kind, &blob, &bytes, err);
	if (!failed && blob)
		failed = restore(self->volume, blob, bytes, err);
	free(blob);
	return failed;
}

static int restore_files(struct appliance_volume *self, struct err *err)
{
	void *blob;
	int failed = state_load_blob(self->state, self->settings.uuid, "files",
		&blob, &self->made_bytes, err);
	self->made = failed ? NULL : blob;
	return failed;
}

static int restore_size(struct appliance_volume *self, struct err *err)
{
	void *blob;
	size_t bytes;
	int failed = state_load_blob(self->state, self->settings.uuid,
		SIZE_BLOB, &blob, &bytes, err);
	if (!failed && blob)
		snprintf(self->kept_size, sizeof self->kept_size, "%.*s",
			(int)bytes, (char *)blob);
	free(failed ? NULL : blob);
	return failed;
}

static void restore_co(struct appliance_volume *self, struct state *state)
{
	char object[BLOCK_NAME_BYTES + 8];
	struct err why = {0}, err = {0};
	if (!restore_blob(
		    self, state, "reservation", reservation_restore, &why) &&
		!restore_blob(
			self, state, "modepages", volume_restore_modes, &why) &&
		!restore_files(self, &why) && !restore_size(self, &why))
		return;
	self->hopeless = true;
	err_set(&err, EIO,
		"what hosts made durable cannot be read: %.150s; to forget it, "
		"delete the volume (not its files) and make it again",
		why.text);
	volume_offline_co(self->volume, err.text);
	log_error(object_of(self, object), "offline", "%s", err.text);
}

/* -- life ------------------------------------------------------------------- */

static int fill(struct appliance_volume *self, struct block_core *core,
	struct state *state, const struct document_volume *wanted,
	struct err *err)
{
	self->settings = wanted->settings;
	self->state = state;
	self->source_json = appliance_json(wanted->source);
	if (!self->source_json)
		return err_set(err, ENOMEM, "out of memory");
	self->source = doc_parse(wanted->source->file, self->source_json,
		strlen(self->source_json), err);
	if (!self->source)
		return -EINVAL;
	doc_copy_places(self->source, wanted->source);
	self->volume = volume_new(
		core, &self->settings, state_volume_store(state), err);
	return self->volume ? 0 : -EINVAL;
}

struct appliance_volume *appliance_volume_new_co(struct block_core *core,
	struct state *state, const struct document_volume *wanted,
	struct err *err)
{
	struct appliance_volume *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (fill(self, core, state, wanted, err)) {
		appliance_volume_free_co(self);
		return NULL;
	}
	restore_co(self, state);
	return self;
}

void appliance_volume_free_co(struct appliance_volume *self)
{
	appliance_volume_abandon_co(self);
	if (self->volume)
		volume_free_co(self->volume);
	doc_free(self->source);
	free(self->source_json);
	free(self->made);
	free(self);
}

/* What a volume keeps as long as it lives. */
static bool same_identity(
	const struct volume_settings *a, const struct volume_settings *b)
{
	return !memcmp(a->uuid, b->uuid, 16) && !strcmp(a->name, b->name) &&
		!strcmp(a->vendor, b->vendor) &&
		!strcmp(a->product, b->product) &&
		a->block_bytes == b->block_bytes &&
		a->physical_block_bytes == b->physical_block_bytes &&
		a->read_only == b->read_only && a->removable == b->removable;
}

static bool same_settings(
	const struct volume_settings *a, const struct volume_settings *b)
{
	return same_identity(a, b) && a->thin == b->thin &&
		a->space_wait_s == b->space_wait_s;
}

bool appliance_volume_equals(const struct appliance_volume *self,
	const struct document_volume *wanted)
{
	if (!same_settings(&self->settings, &wanted->settings))
		return false;
	char *json = appliance_json(wanted->source);
	bool same = json && !strcmp(json, self->source_json);
	free(json);
	return same;
}

/* -- files that were made ----------------------------------------------------- */

static bool keeps(const struct appliance_volume *self, const char *list)
{
	const char *kept = self->made ? self->made : "[]";
	size_t bytes = self->made ? self->made_bytes : strlen(kept);
	return strlen(list) == bytes && !memcmp(list, kept, bytes);
}

int appliance_volume_list_files(const struct appliance_volume *self,
	const struct doc *source, char **list, struct err *err)
{
	char *json = source ? appliance_json(source) : NULL;
	*list = NULL;
	if (json || !source)
		*list = volume_files_list(source ? json : self->source_json);
	free(json);
	if (!*list)
		return err_set(err, ENOMEM, "out of memory");
	if (keeps(self, *list)) {
		free(*list);
		*list = NULL;
	}
	return 0;
}

void appliance_volume_keeps_files(struct appliance_volume *self, char *list)
{
	free(self->made);
	self->made = list;
	self->made_bytes = strlen(list);
}

/* Of one that comes online by no change. If it cannot be kept, a file that goes
 * missing is made anew: said, as all else is well. */
static void remember_files(struct appliance_volume *self)
{
	char object[BLOCK_NAME_BYTES + 8], *list;
	struct err err = {0};
	int failed = appliance_volume_list_files(self, NULL, &list, &err);
	if (!failed && !list)
		return;
	if (!failed)
		failed = state_save_blob(self->state, self->settings.uuid,
			"files", list, strlen(list), &err);
	if (!failed) {
		appliance_volume_keeps_files(self, list);
		return;
	}
	log_warning(object_of(self, object), "files",
		"which ones it made is not kept: %s", err.text);
	free(list);
}

/* The source as it is opened; to be freed unless it is self->source. */
static struct doc *source_held(
	const struct appliance_volume *self, struct err *err)
{
	if (!self->made || self->made_bytes <= strlen("[]"))
		return self->source;
	char *text = volume_files_hold(
		self->source_json, self->made, self->made_bytes);
	struct doc *doc = NULL;
	if (text)
		doc = doc_parse(self->source->file, text, strlen(text), err);
	else
		err_set(err, ENOMEM, "out of memory");
	free(text);
	return doc;
}

/* -- the size that a raw file had ----------------------------------------------- */

/* The protocol of the file in which the source lies raw; NULL: it lies in none. */
static const struct doc *raw_file(const struct doc *source)
{
	const struct doc *format, *protocol, *type;
	while ((format = doc_find(source, "format")) ||
		doc_find(source, "source")) {
		type = doc_find(format, "type");
		/* Another format knows its size itself; a window has one. */
		if (format &&
			(!type || !type->text || strcmp(type->text, "raw") ||
				doc_find(format, "offset") ||
				doc_find(format, "size")))
			return NULL;
		source = doc_find(
			format ? format : source, format ? "file" : "source");
	}
	protocol = doc_find(source, "protocol");
	type = doc_find(protocol, "type");
	return type && type->text && !strcmp(type->text, "file") ? protocol
								 : NULL;
}

/* The size that the document gives it; 0: none. */
static uint64_t said_bytes(const struct doc *file)
{
	const struct doc *size = doc_find(file, "size");
	uint64_t bytes = 0;
	return !size || doc_size(size, 0, INT64_MAX, &bytes, NULL) ? 0 : bytes;
}

static void print_size(
	const struct doc *file, uint64_t bytes, char out[SIZE_BLOB_BYTES])
{
	const struct doc *path = doc_find(file, "path");
	snprintf(out, SIZE_BLOB_BYTES, "%llu %s", (unsigned long long)bytes,
		path && path->text ? path->text : "");
}

/* What is kept of that very file; 0: nothing. */
static uint64_t kept_bytes(
	const struct appliance_volume *self, const struct doc *file)
{
	const struct doc *path = doc_find(file, "path");
	const char *space = strchr(self->kept_size, ' ');
	if (!path || !path->text || !space || strcmp(space + 1, path->text))
		return 0;
	return strtoull(self->kept_size, NULL, 10);
}

/* If it cannot be kept, a file that is cut is not known as such: said, as all else is
 * well. */
static void remember_size(struct appliance_volume *self)
{
	const struct doc *file = raw_file(self->source);
	struct block_source *source = atomic_load(&self->volume->source);
	char object[BLOCK_NAME_BYTES + 8], text[SIZE_BLOB_BYTES] = "";
	struct err err = {0};
	if (file && source && !said_bytes(file))
		print_size(file,
			block_source_info(
				source, block_core_lane(self->volume->core, 0))
				.size_bytes,
			text);
	if (!strcmp(text, self->kept_size))
		return;
	if (state_save_blob(self->state, self->settings.uuid, SIZE_BLOB, text,
		    strlen(text), &err))
		log_warning(object_of(self, object), "size",
			"it is not kept: %s", err.text);
	else
		memcpy(self->kept_size, text, sizeof text);
}

/* -- another source and other settings as it runs ---------------------------------------------- */

bool appliance_volume_may_run_on(const struct appliance_volume *self,
	const struct document_volume *wanted)
{
	return appliance_volume_online(self) &&
		same_identity(&self->settings, &wanted->settings);
}

struct live_change *appliance_volume_plan(const struct appliance_volume *self,
	const struct document_volume *wanted)
{
	char *text = appliance_json(wanted->source);
	json_t *to = text ? json_loads(text, 0, NULL) : NULL;
	json_t *from = json_loads(self->source_json, 0, NULL);
	struct live_change *change =
		from && to ? live_change_plan(from, to) : NULL;
	json_decref(from);
	json_decref(to);
	free(text);
	return change;
}

/* Without memory the old text stays: then the next change is planned from it, and
 * refused where that is wrong. */
void appliance_volume_take(
	struct appliance_volume *self, const struct document_volume *wanted)
{
	self->settings.thin = wanted->settings.thin;
	self->settings.space_wait_s = wanted->settings.space_wait_s;
	volume_settings_take(self->volume, &wanted->settings);
	char *json = appliance_json(wanted->source);
	struct doc *source = json
		? doc_parse(wanted->source->file, json, strlen(json), NULL)
		: NULL;
	if (!source) {
		free(json);
		return;
	}
	doc_copy_places(source, wanted->source);
	doc_free(self->source);
	free(self->source_json);
	self->source = source;
	self->source_json = json;
	self->volume->space.asked = false;
	remember_files(self);
	remember_size(self);
}

/* -- the source ------------------------------------------------------------- */

bool appliance_volume_online(const struct appliance_volume *self)
{
	return atomic_load(&self->volume->source) != NULL;
}

void appliance_volume_abandon_co(struct appliance_volume *self)
{
	struct block_source *source = self->prepared;
	self->prepared = NULL;
	if (!source)
		return;
	volume_unclaim(self->volume);
	block_source_put_co(source);
}

static int refuse_cut(
	uint64_t is, uint64_t was, const char *who, struct err *err)
{
	return err_set(err, EINVAL,
		"its file has %llu bytes only, %s %llu: data are missing; "
		"bring "
		"the whole file back, or give it the size %llu if the rest is "
		"not wanted",
		(unsigned long long)is, who, (unsigned long long)was,
		(unsigned long long)is);
}

/* A file that was cut while nobody had it open lacks data that hosts have written: what
 * is left must not be taken for the whole. */
static int check_size(const struct appliance_volume *self, struct err *err)
{
	struct block_core *core = self->volume->core;
	struct block_info info =
		block_source_info(self->prepared, block_core_lane(core, 0));
	const struct doc *file = raw_file(self->source);
	uint64_t said = said_bytes(file), kept = kept_bytes(self, file);
	if (info.size_bytes < said)
		return refuse_cut(
			info.size_bytes, said, "the document says", err);
	if (!said && info.size_bytes < kept)
		return refuse_cut(info.size_bytes, kept,
			"when it was used last it had", err);
	if (info.size_bytes >= self->settings.block_bytes)
		return 0;
	return err_set(err, EINVAL,
		"the source has %llu bytes, not one block of %u: make it "
		"larger",
		(unsigned long long)info.size_bytes,
		self->settings.block_bytes);
}

int appliance_volume_prepare_co(
	struct appliance_volume *self, bool degraded, struct err *err)
{
	assert(!self->prepared && !appliance_volume_online(self));
	if (self->hopeless)
		return err_set(err, EIO, "%s", self->volume->offline_reason);
	struct doc *source = source_held(self, err);
	if (!source)
		return -ENOMEM;
	int failed = (degraded ? spec_build_degraded_co : spec_build_co)(
		self->volume->core, self->settings.name, self->settings.uuid,
		source, &self->prepared, err);
	if (source != self->source)
		doc_free(source);
	if (!failed) {
		failed = check_size(self, err);
		if (!failed)
			failed =
				volume_claim(self->volume, self->prepared, err);
		if (failed)
			appliance_volume_abandon_co(self);
	}
	return failed;
}

void appliance_volume_publish(struct appliance_volume *self)
{
	struct block_source *source = self->prepared;
	self->prepared = NULL;
	if (!source)
		return;
	volume_online(self->volume, source);
	remember_files(self);
	remember_size(self);
}

bool appliance_volume_fail_co(struct appliance_volume *self, const char *reason)
{
	char object[BLOCK_NAME_BYTES + 8];
	bool news = appliance_volume_online(self) ||
		strncmp(self->volume->offline_reason, reason,
			sizeof self->volume->offline_reason - 1);
	volume_offline_co(self->volume, reason);
	if (news)
		log_error(object_of(self, object), "offline",
			"%s; trying again until it is there", reason);
	return news;
}
