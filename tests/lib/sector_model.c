/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. A sector's versions are kept in a small array, from which those
 * go that a durable one has replaced, unless a read is out that may show them.
 */
#include "tests/lib/sector_model.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct version {
	uint64_t submitted, completed; /* stamps; completed 0: not yet */
	uint32_t first, count;
	bool zero, durable, withdrawn;
	uint32_t *
		again; /* what each sector shows: an older version, 0: zeroes */
};

struct sector {
	uint32_t *version;
	uint32_t count, room;
};

struct sector_model {
	uint32_t sectors;
	uint64_t stamp;
	uint32_t reads; /* out */
	struct version *version; /* 0: as it was made */
	uint32_t versions, room;
	struct sector sector[];
};

static void add(struct sector *sector, uint32_t version)
{
	if (sector->count == sector->room) {
		sector->room = sector->room ? 2 * sector->room : 8;
		sector->version = realloc(sector->version,
			sector->room * sizeof *sector->version);
		CHECK(sector->version != NULL);
	}
	sector->version[sector->count++] = version;
}

static uint32_t new_version(
	struct sector_model *model, uint32_t first, uint32_t count, bool zero)
{
	uint32_t i;

	if (model->versions == model->room) {
		model->room = model->room ? 2 * model->room : 64;
		model->version = realloc(
			model->version, model->room * sizeof *model->version);
		CHECK(model->version != NULL);
	}
	model->version[model->versions] =
		(struct version){.submitted = ++model->stamp,
			.first = first,
			.count = count,
			.zero = zero};
	for (i = first; i < first + count; i++)
		add(&model->sector[i], model->versions);
	return model->versions++;
}

struct sector_model *sector_model_new(uint32_t sectors)
{
	struct sector_model *model =
		calloc(1, sizeof *model + sectors * sizeof model->sector[0]);
	uint32_t version;

	CHECK(model != NULL);
	model->sectors = sectors;
	version = new_version(model, 0, sectors, true);
	sector_model_complete(model, version, true);
	return model;
}

static void *copy_of(const void *array, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	CHECK(copy != NULL);
	if (bytes)
		memcpy(copy, array, bytes);
	return copy;
}

struct sector_model *sector_model_copy(const struct sector_model *model)
{
	struct sector_model *copy = copy_of(model,
		sizeof *model + model->sectors * sizeof model->sector[0]);
	uint32_t i;

	copy->version = copy_of(
		model->version, model->versions * sizeof *model->version);
	copy->room = model->versions;
	for (i = 0; i < model->versions; i++) {
		struct version *v = &copy->version[i];

		if (v->again)
			v->again =
				copy_of(v->again, v->count * sizeof *v->again);
	}
	for (i = 0; i < model->sectors; i++) {
		struct sector *sector = &copy->sector[i];

		sector->version = copy_of(sector->version,
			sector->count * sizeof *sector->version);
		sector->room = sector->count;
	}
	return copy;
}

void sector_model_free(struct sector_model *model)
{
	uint32_t i;

	for (i = 0; i < model->sectors; i++)
		free(model->sector[i].version);
	for (i = 0; i < model->versions; i++)
		free(model->version[i].again);
	free(model->version);
	free(model);
}

/* -- requests ------------------------------------------------------------- */

static bool replaces(const struct version *w, const struct version *v)
{
	return v->completed && w->submitted > v->completed;
}

/* Takes out of the sector what a durable version has replaced. */
static void prune(struct sector_model *model, struct sector *sector)
{
	uint64_t latest = 0; /* submission of a durable version */
	uint32_t i, kept = 0;

	for (i = 0; i < sector->count; i++) {
		const struct version *w = &model->version[sector->version[i]];

		if (w->durable && w->submitted > latest)
			latest = w->submitted;
	}
	for (i = 0; i < sector->count; i++) {
		const struct version *v = &model->version[sector->version[i]];

		if (v->withdrawn ||
			(!model->reads && v->completed &&
				latest > v->completed))
			continue;
		sector->version[kept++] = sector->version[i];
	}
	sector->count = kept;
}

static void prune_range(
	struct sector_model *model, uint32_t first, uint32_t count)
{
	uint32_t i;

	for (i = first; i < first + count; i++)
		prune(model, &model->sector[i]);
}

uint32_t sector_model_submit(
	struct sector_model *model, uint32_t first, uint32_t count, bool zero)
{
	CHECK(first + count <= model->sectors);
	return new_version(model, first, count, zero);
}

void sector_model_complete(
	struct sector_model *model, uint32_t version, bool durable)
{
	struct version *v = &model->version[version];

	CHECK(!v->completed && !v->withdrawn);
	v->completed = ++model->stamp;
	v->durable = durable;
	if (durable)
		prune_range(model, v->first, v->count);
}

void sector_model_withdraw(struct sector_model *model, uint32_t version)
{
	struct version *v = &model->version[version];

	CHECK(!v->completed && !v->withdrawn);
	v->withdrawn = true;
	prune_range(model, v->first, v->count);
}

void sector_model_settle(struct sector_model *model)
{
	uint32_t i;

	for (i = 0; i < model->versions; i++) {
		struct version *v = &model->version[i];

		v->withdrawn |= !v->completed;
		v->durable = !v->withdrawn;
	}
	prune_range(model, 0, model->sectors);
}

uint64_t sector_model_flush(struct sector_model *model)
{
	return ++model->stamp;
}

void sector_model_flushed(struct sector_model *model, uint64_t submitted)
{
	uint32_t i, j;

	for (i = 0; i < model->sectors; i++) {
		struct sector *sector = &model->sector[i];

		for (j = 0; j < sector->count; j++) {
			struct version *v = &model->version[sector->version[j]];

			if (v->completed && v->completed < submitted)
				v->durable = true;
		}
		prune(model, sector);
	}
}

/* -- data ----------------------------------------------------------------- */

/* 64-bit words: version and sector in the first, then a function of both. */
static void fill(uint32_t version, uint32_t sector, uint8_t *data)
{
	uint64_t word = (uint64_t)version << 32 | sector;
	uint32_t i;

	for (i = 0; i < SECTOR_BYTES; i += 8) {
		memcpy(data + i, &word, 8);
		word = word * 6364136223846793005u + 1442695040888963407u;
	}
}

void sector_model_fill(
	const struct sector_model *model, uint32_t version, uint8_t *data)
{
	const struct version *v = &model->version[version];
	uint32_t i;

	for (i = 0; i < v->count; i++) {
		if (v->zero)
			memset(data + i * SECTOR_BYTES, 0, SECTOR_BYTES);
		else
			fill(version, v->first + i, data + i * SECTOR_BYTES);
	}
}

/* The version that `data` is of, 0 for zeroes; UINT32_MAX: of none. */
static uint32_t version_of(
	const struct sector_model *model, uint32_t sector, const uint8_t *data)
{
	static const uint8_t zero[SECTOR_BYTES];
	uint8_t expected[SECTOR_BYTES];
	uint64_t word;

	memcpy(&word, data, 8);
	if (!word)
		return memcmp(data, zero, SECTOR_BYTES) ? UINT32_MAX : 0;
	if ((uint32_t)word != sector || word >> 32 >= model->versions)
		return UINT32_MAX;
	fill((uint32_t)(word >> 32), sector, expected);
	return memcmp(data, expected, SECTOR_BYTES) ? UINT32_MAX
						    : (uint32_t)(word >> 32);
}

uint32_t sector_model_submit_again(struct sector_model *model, uint32_t first,
	uint32_t count, const uint8_t *data)
{
	uint32_t *again = malloc(count * sizeof *again), version, i;

	CHECK(again != NULL);
	for (i = 0; i < count; i++) {
		again[i] = version_of(
			model, first + i, data + (size_t)i * SECTOR_BYTES);
		CHECK(again[i] != UINT32_MAX);
	}
	version = sector_model_submit(model, first, count, false);
	model->version[version].again = again;
	return version;
}

/* What a sector of this version shows, 0: zeroes. */
static uint32_t shown(
	const struct sector_model *model, uint32_t version, uint32_t sector)
{
	const struct version *v = &model->version[version];

	if (v->again)
		return v->again[sector - v->first];
	return v->zero ? 0 : version;
}

/* Not replaced by a version that counts: `submitted` 0: a durable one, else one
 * that had completed by then. */
static bool may_show(const struct sector_model *model,
	const struct sector *sector, const struct version *v,
	uint64_t submitted)
{
	uint32_t i;

	for (i = 0; i < sector->count; i++) {
		const struct version *w = &model->version[sector->version[i]];
		bool counts = submitted
			? w->completed && w->completed < submitted
			: w->durable;

		if (counts && replaces(w, v))
			return false;
	}
	return true;
}

static bool sector_good(const struct sector_model *model, uint32_t index,
	const uint8_t *data, uint64_t submitted)
{
	const struct sector *sector = &model->sector[index];
	uint32_t found = version_of(model, index, data), i;

	for (i = 0; i < sector->count; i++) {
		const struct version *v = &model->version[sector->version[i]];

		if (v->withdrawn)
			continue;
		if (shown(model, sector->version[i], index) != found)
			continue;
		if (may_show(model, sector, v, submitted))
			return true;
	}
	return false;
}

static uint32_t check_range(const struct sector_model *model,
	uint64_t submitted, uint32_t first, uint32_t count, const uint8_t *data)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (!sector_good(model, first + i, data + i * SECTOR_BYTES,
			    submitted))
			return first + i;
	return UINT32_MAX;
}

uint64_t sector_model_read(struct sector_model *model)
{
	model->reads++;
	return ++model->stamp;
}

void sector_model_read_failed(struct sector_model *model)
{
	CHECK(model->reads > 0);
	model->reads--;
}

uint32_t sector_model_check_read(struct sector_model *model, uint64_t submitted,
	uint32_t first, uint32_t count, const uint8_t *data)
{
	sector_model_read_failed(model);
	return check_range(model, submitted, first, count, data);
}

uint32_t sector_model_check_cut(const struct sector_model *model,
	uint32_t first, uint32_t count, const uint8_t *data)
{
	return check_range(model, 0, first, count, data);
}

void sector_model_explain(
	const struct sector_model *model, uint32_t sector, const uint8_t *data)
{
	const struct sector *s = &model->sector[sector];
	uint32_t i;

	fprintf(stderr, "sector %u holds version %d of", sector,
		(int)version_of(model, sector, data));
	for (i = 0; i < s->count; i++) {
		const struct version *v = &model->version[s->version[i]];

		fprintf(stderr, " %u%s%s(%llu..%llu)", s->version[i],
			v->durable ? "d" : "", v->zero ? "z" : "",
			(unsigned long long)v->submitted,
			(unsigned long long)v->completed);
	}
	fprintf(stderr, "\n");
}
