/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of a volume that come, change and go; see image_life.h. Which are there
 * the volume's printed document says: snapshots and jobs move them, too.
 */
#include "tests/lib/image_life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST 5u /* of a volume at a time */

/* Kinds that may stay while anything happens; `live`: values that can be changed. */
static const struct {
	const char *type, *values, *live;
	bool anywhere; /* at a snapshot it may go wherever one likes */
} kinds[] = {
	{"stats", "", NULL, true},
	{"trace", ", records: 32", NULL, true},
	{"throttle", ", iops: 20000", "{iops: 30000}", true},
	{"delay", ", write_us: 100, jitter_us: 100", "{read_us: 50}", true},
	{"dirty", ", granularity: 4K", NULL, false},
	{"cache", ", size: 1M", NULL, true},
	{"fault", ", rules: [{op: write, delay_us: 300, count: 9}]",
		"{rules: [{op: flush, delay_us: 200, count: 3}]}", true},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* -- what is there -------------------------------------------------------- */

struct there {
	unsigned count;
	struct {
		char name[BLOCK_NAME_BYTES];
		unsigned kind; /* KINDS: another one */
	} listener[BLOCK_MAX_DRIVERS];
};

static unsigned kind_of(const char *type)
{
	unsigned kind = 0;

	while (kind < KINDS && strcmp(kinds[kind].type, type))
		kind++;
	return kind;
}

static void look(struct image_volume *volume, struct there *there)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct err err = {0};

	CHECK(out != NULL);
	spec_print(volume->source, false, out);
	fclose(out);
	struct doc *doc = doc_parse("", text, bytes, &err);
	CHECK(doc != NULL);
	const struct doc *list = doc_find(doc, "listeners");
	there->count = 0;
	for (const struct doc *at = list ? list->first : NULL; at;
		at = at->next) {
		snprintf(there->listener[there->count].name, BLOCK_NAME_BYTES,
			"%s", doc_find(at, "name")->text);
		there->listener[there->count++].kind =
			kind_of(doc_find(at, "type")->text);
	}
	doc_free(doc);
	free(text);
}

/* -- changes -------------------------------------------------------------- */

/* A gate may close too late on a loaded machine: once more. */
void image_attach_co(struct image_volume *volume, const char *listener)
{
	const struct doc *doc = image_document(volume->life, "%s", listener);
	int result;

	do {
		struct err err = {0};

		result = image_settle(volume->life,
			spec_attach_co(volume->source, doc, NULL, &err), &err);
	} while (result);
}

void image_detach_co(struct image_volume *volume, const char *name)
{
	struct err err = {0};

	if (spec_detach_co(volume->source, name, IMAGE_DEADLINE_NS, &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
}

bool image_listen_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	unsigned kind = (unsigned)image_below(life, KINDS);
	struct there there;
	char text[160];

	look(volume, &there);
	if (there.count >= MOST)
		return false;
	snprintf(text, sizeof text, "{type: %s, name: %s%s}", kinds[kind].type,
		image_name(life, "l").text, kinds[kind].values);
	image_attach_co(volume, text);
	return true;
}

/* Beside a mirror's pivot it may go to the leg, with what it listens to, before. */
bool image_unlisten_co(struct image_volume *volume)
{
	struct there there;
	struct err err = {0};

	look(volume, &there);
	if (!there.count)
		return false;
	unsigned at = (unsigned)image_below(volume->life, there.count);
	if (there.listener[at].kind == KINDS)
		return false;
	int error = spec_detach_co(volume->source, there.listener[at].name,
		IMAGE_DEADLINE_NS, &err);
	if (error && error != -ENOENT)
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return !error;
}

bool image_configure_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct there there;
	struct err err = {0};

	look(volume, &there);
	if (!there.count)
		return false;
	unsigned at = (unsigned)image_below(life, there.count);
	unsigned kind = there.listener[at].kind;
	if (kind == KINDS || !kinds[kind].live)
		return false;
	if (spec_configure_co(volume->source, there.listener[at].name,
		    image_document(life, "%s", kinds[kind].live), &err))
		check_fail(__FILE__, __LINE__, "%s", err.text);
	return true;
}

/* Hosts stand still: one of them would be told. */
bool image_readonly_co(struct image_volume *volume)
{
	struct image_life *life = volume->life;
	struct there there;
	uint8_t data[SECTOR_BYTES] __attribute__((aligned(4096))) = {1};

	look(volume, &there);
	if (there.count >= MOST)
		return false;
	image_rest_co(life);
	image_attach_co(volume, "{type: readonly, name: ro}");
	CHECK(block_transfer_co(volume->source,
		      block_core_lane(life->rig->core, 0), BLOCK_WRITE, 0, 0,
		      sizeof data, data) != 0);
	image_detach_co(volume, "ro");
	image_go_on(life);
	return true;
}

const struct doc *image_placement(struct image_volume *volume)
{
	static const char *const places[] = {"head", "image", "both", "drop"};
	struct there there;
	char text[1024] = "{";

	look(volume, &there);
	for (unsigned i = 0; i < there.count; i++) {
		unsigned kind = there.listener[i].kind;
		size_t used = strlen(text);

		if (kind < KINDS && kinds[kind].anywhere)
			snprintf(text + used, sizeof text - used, "%s%s: %s",
				used > 1 ? ", " : "", there.listener[i].name,
				places[image_below(volume->life, 4)]);
	}
	strcat(text, "}");
	return image_document(volume->life, "%s", text);
}
