/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the steps between two source documents.
 *
 * A listener is the same if its name and type are; one without a name is called
 * by its type, the second one TYPE-2 and so on, as spec.h does it. So a name that
 * is left out means the same listener before and after.
 */
#include "target/control/appliance/live_plan.h"

#include "blockcore/kind.h"
#include "blockcore/spec.h"
#include <stdlib.h>
#include <string.h>

static bool is_taken(const struct live_names *list, const char *name)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (!strcmp(list->item[i].name, name))
			return true;
	}
	return false;
}

static void make_name(struct live_names *list, unsigned index)
{
	const char *type = list->item[index].type;
	char name[BLOCK_NAME_BYTES];
	snprintf(name, sizeof name, "%s", type);
	for (unsigned n = 2; is_taken(list, name); n++)
		snprintf(name, sizeof name, "%.50s-%u", type, n);
	memcpy(list->item[index].name, name, sizeof name);
}

/* Given names first: those that are made keep out of their way. */
void live_names_read(const json_t *source, struct live_names *list)
{
	const json_t *listeners = json_object_get(source, "listeners");
	const json_t *one;
	size_t i;
	list->count = 0;
	json_array_foreach(listeners, i, one)
	{
		const char *name =
			json_string_value(json_object_get(one, "name"));
		if (list->count == BLOCK_MAX_DRIVERS)
			return;
		snprintf(list->item[list->count].name, BLOCK_NAME_BYTES, "%s",
			name ? name : "");
		list->item[list->count].type =
			json_string_value(json_object_get(one, "type"));
		list->item[list->count++].document = one;
	}
	for (unsigned n = 0; n < list->count; n++) {
		if (!*list->item[n].name)
			make_name(list, n);
	}
}

unsigned live_names_find(
	const struct live_names *list, const char *name, const char *type)
{
	unsigned i;
	for (i = 0; i < list->count; i++) {
		if (!strcmp(list->item[i].name, name) &&
			!strcmp(list->item[i].type, type))
			break;
	}
	return i;
}

/* -- steps ------------------------------------------------------------------ */

static struct live_step *add_step(struct live_change *change,
	enum live_step_kind kind, const char *name, const char *type)
{
	struct live_step *step = &change->step[change->steps++];
	step->kind = kind;
	snprintf(step->name, sizeof step->name, "%s", name);
	snprintf(step->type, sizeof step->type, "%s", type);
	return step;
}

/* The listener with the name that it runs under. */
static json_t *with_name(const json_t *document, const char *name)
{
	json_t *copy = json_copy((json_t *)document);
	json_object_set_new(copy, "name", json_string(name));
	return copy;
}

/* As spec.h does it. */
static bool needs_gate(const char *type)
{
	const struct block_kind *kind = block_kind_find(BLOCK_LISTENER, type);
	return !kind || (kind->part == BLOCK_BACK && !kind->observes);
}

static void add_detach(
	struct live_change *change, const struct live_names *list, unsigned i)
{
	struct live_step *step = add_step(
		change, LIVE_DETACH, list->item[i].name, list->item[i].type);
	step->before = with_name(list->item[i].document, list->item[i].name);
	step->parks = needs_gate(list->item[i].type);
}

static void add_attach(
	struct live_change *change, const struct live_names *list, unsigned i)
{
	struct live_step *step = add_step(
		change, LIVE_ATTACH, list->item[i].name, list->item[i].type);
	step->after = with_name(list->item[i].document, list->item[i].name);
	step->parks = needs_gate(list->item[i].type);
}

/* -- options ---------------------------------------------------------------- */

static bool is_live(const struct block_kind *kind, const char *option)
{
	for (const struct opt_spec *o = kind->options; o && o->name; o++) {
		if (!strcmp(o->name, option))
			return o->flags & OPT_LIVE;
	}
	return false;
}

/* The listener as it runs: with its name, and with what it leaves out. */
static json_t *whole(const struct live_names *list, unsigned i)
{
	json_t *copy = with_name(list->item[i].document, list->item[i].name);
	live_values_complete(copy);
	return copy;
}

/* True if what differs can be set while it runs. The values of that in *before,
 * *after. What has no default and one of them leaves out cannot be. */
static bool differs_live(const char *type, const json_t *from, const json_t *to,
	json_t *before, json_t *after)
{
	const struct block_kind *kind = block_kind_find(BLOCK_LISTENER, type);
	const char *key;
	json_t *value;
	if (!kind || !kind->configure_co ||
		json_object_size(from) != json_object_size(to))
		return false;
	json_object_foreach((json_t *)to, key, value)
	{
		json_t *old = json_object_get(from, key);
		if (!old)
			return false;
		if (json_equal(old, value))
			continue;
		if (!is_live(kind, key))
			return false;
		json_object_set(before, key, old);
		json_object_set(after, key, value);
	}
	return true;
}

/* True: a step was added. False: it has to be detached and attached. */
static bool add_configure(struct live_change *change,
	const struct live_names *from, unsigned f, const struct live_names *to,
	unsigned t)
{
	json_t *before = json_object(), *after = json_object();
	json_t *old = whole(from, f), *new = whole(to, t);
	bool live = differs_live(from->item[f].type, old, new, before, after);
	if (live) {
		struct live_step *step = add_step(change, LIVE_CONFIGURE,
			to->item[t].name, to->item[t].type);
		step->before = json_incref(before);
		step->after = json_incref(after);
	}
	json_decref(before);
	json_decref(after);
	json_decref(old);
	json_decref(new);
	return live;
}

/* -- listeners -------------------------------------------------------------- */

bool live_names_same(const struct live_names *from, unsigned f,
	const struct live_names *to, unsigned t)
{
	json_t *old = whole(from, f), *new = whole(to, t);
	bool equal = json_equal(old, new);
	json_decref(old);
	json_decref(new);
	return equal;
}

/* What has to be attached is marked; what stays is not. */
static void plan_old(struct live_change *change, const struct live_names *from,
	const struct live_names *to, bool *attach)
{
	for (unsigned f = 0; f < from->count; f++) {
		unsigned t = live_names_find(
			to, from->item[f].name, from->item[f].type);
		if (t == to->count) {
			add_detach(change, from, f);
			continue;
		}
		attach[t] = false;
		if (live_names_same(from, f, to, t) ||
			add_configure(change, from, f, to, t))
			continue;
		add_detach(change, from, f);
		attach[t] = true;
	}
}

static json_t *names_of(const struct live_names *list)
{
	json_t *names = json_array();
	for (unsigned i = 0; i < list->count; i++)
		json_array_append_new(names, json_string(list->item[i].name));
	return names;
}

static void drop_name(struct live_names *list, unsigned i)
{
	list->count--;
	memmove(&list->item[i], &list->item[i + 1],
		(list->count - i) * sizeof list->item[0]);
}

static unsigned band_of(const char *type)
{
	const struct block_kind *kind = block_kind_find(BLOCK_LISTENER, type);
	return kind ? kind->band : BAND_BOTTOM;
}

/* At the top of its band, as spec.h puts it. */
static void insert_name(
	struct live_names *list, const struct live_names *from, unsigned index)
{
	unsigned i = 0, band = band_of(from->item[index].type);
	if (list->count == BLOCK_MAX_DRIVERS)
		return;
	while (i < list->count && band_of(list->item[i].type) < band)
		i++;
	memmove(&list->item[i + 1], &list->item[i],
		(list->count - i) * sizeof list->item[0]);
	list->item[i] = from->item[index];
	list->count++;
}

/* Detaches what goes, attaches what comes: from the lowest up, so that what shares a
 * band stands as it is asked to. `now` is where all stand then. */
static void plan_attach(struct live_change *change, struct live_names *now,
	const struct live_names *to, const bool *attach)
{
	for (unsigned f = now->count; f-- > 0;) {
		unsigned t = live_names_find(
			to, now->item[f].name, now->item[f].type);
		if (t == to->count || attach[t])
			drop_name(now, f);
	}
	for (unsigned t = to->count; t-- > 0;) {
		if (!attach[t])
			continue;
		add_attach(change, to, t);
		insert_name(now, to, t);
	}
}

/* The order is asked for if they do not stand in it by themselves. */
static void plan_order(struct live_change *change, const struct live_names *now,
	const struct live_names *to)
{
	json_t *names = names_of(now), *wanted = names_of(to);
	if (!json_equal(names, wanted)) {
		struct live_step *step =
			add_step(change, LIVE_REORDER, "order", "");
		step->after = json_incref(wanted);
		for (unsigned i = 0; i < to->count && i < now->count; i++)
			step->parks |=
				strcmp(now->item[i].name, to->item[i].name) &&
				needs_gate(to->item[i].type);
	}
	json_decref(names);
	json_decref(wanted);
}

static void plan_listeners(struct live_change *change,
	const json_t *from_source, const json_t *to_source)
{
	struct live_names from, to;
	bool attach[BLOCK_MAX_DRIVERS];
	live_names_read(from_source, &from);
	live_names_read(to_source, &to);
	memset(attach, true, sizeof attach);
	change->order = names_of(&from);
	plan_old(change, &from, &to, attach);
	plan_attach(change, &from, &to, attach);
	plan_order(change, &from, &to);
}

/* -- the bottom ------------------------------------------------------------- */

json_t *live_bottom_of(const json_t *source)
{
	json_t *bottom = json_copy((json_t *)source);
	json_object_del(bottom, "listeners");
	return bottom;
}

/* True: the same protocol or format, but for its size; 0: none is said. */
static bool only_size_differs(const json_t *from, const json_t *to,
	const char *member, uint64_t *before, uint64_t *after)
{
	json_t *old = json_copy(json_object_get(from, member));
	json_t *new = json_copy(json_object_get(to, member));
	*before = (uint64_t)json_integer_value(json_object_get(old, "size"));
	*after = (uint64_t)json_integer_value(json_object_get(new, "size"));
	json_object_del(old, "size");
	json_object_del(new, "size");
	bool only = old && new &&json_equal(old, new) && *after;
	json_decref(old);
	json_decref(new);
	return only;
}

static bool has_type(const json_t *bottom, const char *member, const char *type)
{
	const char *is = json_string_value(
		json_object_get(json_object_get(bottom, member), "type"));
	return is && !strcmp(is, type);
}

/* What keeps its content over another size: a protocol that grows, files, and
 * images, which do not let data be cut off. False: it is no such change. */
static bool plan_size(
	struct live_change *change, const json_t *from, const json_t *to)
{
	uint64_t before, after;
	bool image = has_type(to, "format", "qcow2");
	if (!only_size_differs(
		    from, to, image ? "format" : "protocol", &before, &after))
		return false;
	bool grows = before && after > before;
	if (!grows && !image && !has_type(to, "protocol", "file"))
		return false;
	struct live_step *step =
		add_step(change, grows ? LIVE_RESIZE : LIVE_SHRINK, "size", "");
	step->parks = !grows;
	step->bytes_before = before;
	step->bytes_after = after;
	step->keeps_data = image;
	return true;
}

static void plan_bottom(
	struct live_change *change, const json_t *from, const json_t *to)
{
	if (json_equal(from, to) || plan_size(change, from, to))
		return;
	char *shared = NULL;
	bool back = live_back_find(from, to, &shared);
	struct live_step *step =
		add_step(change, back ? LIVE_BACK : LIVE_SWAP, "bottom", "");
	step->shared = shared;
	step->parks = true;
	step->before = json_incref((json_t *)from);
	step->after = json_incref((json_t *)to);
}

/* -- the plan --------------------------------------------------------------- */

static void plan_all(
	struct live_change *change, const json_t *from, const json_t *to)
{
	json_t *document = NULL, *placement = NULL;
	if (live_overlay_find(from, to, &document, &placement)) {
		struct live_step *step =
			add_step(change, LIVE_OVERLAY, "snapshot", "");
		step->parks = true;
		step->after = document;
		step->placement = placement;
		return;
	}
	json_t *old = live_bottom_of(from), *new = live_bottom_of(to);
	plan_listeners(change, from, to);
	plan_bottom(change, old, new);
	json_decref(old);
	json_decref(new);
}

struct live_change *live_change_plan(const json_t *from, const json_t *to)
{
	struct live_change *change = calloc(1, sizeof *change);
	json_t *old = json_deep_copy(from), *new = json_deep_copy(to);
	if (change && old && new) {
		live_values_take(old);
		live_values_take(new);
		live_values_keep_sizes(old, new);
		live_values_keep_sizes(old,
			json_object_get(
				json_object_get(new, "format"), "backing"));
		plan_all(change, old, new);
	} else {
		free(change);
		change = NULL;
	}
	json_decref(old);
	json_decref(new);
	return change;
}

void live_change_free(struct live_change *change)
{
	if (!change)
		return;
	for (unsigned i = 0; i < change->steps; i++) {
		json_decref(change->step[i].before);
		json_decref(change->step[i].after);
		json_decref(change->step[i].placement);
		free(change->step[i].shared);
	}
	json_decref(change->order);
	free(change);
}

bool live_change_parks(const struct live_change *change)
{
	for (unsigned i = 0; i < change->steps; i++) {
		if (change->step[i].parks)
			return true;
	}
	return false;
}

bool live_change_swaps(const struct live_change *change)
{
	return change->steps &&
		live_is_swap(change->step[change->steps - 1].kind);
}

/* "the same content; limit stays on top, hits goes down with the old image" */
static void describe_placement(
	const json_t *placement, char *text, size_t bytes)
{
	static const char *const what[] = {[SPEC_PLACE_HEAD] = "stays on top",
		[SPEC_PLACE_IMAGE] = "goes down with the old image",
		[SPEC_PLACE_BOTH] = "stays on top, another like it goes down",
		[SPEC_PLACE_DROP] = "is dropped"};
	const char *listener, *lead = "; ";
	json_t *place;
	json_object_foreach((json_t *)placement, listener, place)
	{
		size_t used = strlen(text);
		for (unsigned i = SPEC_PLACE_HEAD; i <= SPEC_PLACE_DROP; i++) {
			if (!strcmp(json_string_value(place),
				    spec_placement_name(i)))
				snprintf(text + used, bytes - used, "%s%s %s",
					lead, listener, what[i]);
		}
		lead = ", ";
	}
}

bool live_change_describe(const struct live_change *change, unsigned step,
	enum live_step_kind *kind, char *text, size_t bytes)
{
	static const char *const verb[] = {
		[LIVE_DETACH] = "detach listener",
		[LIVE_ATTACH] = "attach listener",
		[LIVE_CONFIGURE] = "configure listener",
		[LIVE_REORDER] = "change the order of listeners",
		[LIVE_RESIZE] = "grow it",
		[LIVE_SHRINK] = "cut it",
		[LIVE_SWAP] = "swap what lies below: other content",
		[LIVE_OVERLAY] = "put a new image over it: the same content",
		[LIVE_BACK] = "put a new image over an old one: other content",
	};
	if (step >= change->steps)
		return false;
	const struct live_step *s = &change->step[step];
	*kind = s->kind;
	if (s->kind == LIVE_SHRINK)
		snprintf(text, bytes,
			s->keeps_data
				? "make it %llu bytes; not if data lie beyond"
				: "cut it to %llu bytes: the data beyond are "
				  "lost",
			(unsigned long long)s->bytes_after);
	else if (*s->type)
		snprintf(text, bytes, "%s %s (%s)", verb[s->kind], s->name,
			s->type);
	else
		snprintf(text, bytes, "%s", verb[s->kind]);
	if (s->kind == LIVE_OVERLAY)
		describe_placement(s->placement, text, bytes);
	return true;
}
