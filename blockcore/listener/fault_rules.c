/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the listener fault; see fault_rules.h.
 */
#include "blockcore/listener/fault_rules.h"

#include "blockcore/base/prng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000ull
#define DELAY_MAX_US (3600 * MILLION)

static const struct {
	const char *name;
	int error;
} errors[] = {
	{"none", 0},
	{"EIO", EIO},
	{"ENOSPC", ENOSPC},
	{"EROFS", EROFS},
	{"ENODEV", ENODEV},
	{"ENOMEM", ENOMEM},
	{"ERANGE", ERANGE},
	{"EILSEQ", EILSEQ},
	{"ETIMEDOUT", ETIMEDOUT},
	{"EBUSY", EBUSY},
	{"EAGAIN", EAGAIN},
	{"EOPNOTSUPP", EOPNOTSUPP},
	{"ECANCELED", ECANCELED},
};
#define ERRORS (sizeof errors / sizeof errors[0])

static const char *const op_names[] = {"any", "change", "read", "write",
	"write_zeroes", "discard", "flush", "compare_and_write", "extents",
	NULL};
static const uint32_t op_masks[] = {BLOCK_OPS_ALL, BLOCK_OPS_CHANGE,
	BLOCK_OP(BLOCK_READ), BLOCK_OP(BLOCK_WRITE),
	BLOCK_OP(BLOCK_WRITE_ZEROES), BLOCK_OP(BLOCK_DISCARD),
	BLOCK_OP(BLOCK_FLUSH), BLOCK_OP(BLOCK_COMPARE_AND_WRITE),
	BLOCK_OP(BLOCK_EXTENTS)};
static const char *const event_names[] = {"submit", "complete", NULL};

#define FIELD(name) offsetof(struct fault_rule_options, name)
static const struct opt_spec options[] = {
	{.name = "name",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(name),
		.max = BLOCK_NAME_BYTES - 1,
		.help = "to remove or release it by"},
	{.name = "op",
		.type = OPT_ENUM,
		.offset = FIELD(op),
		.choices = op_names,
		.fallback = "any",
		.help = "operation that is struck"},
	{.name = "event",
		.type = OPT_ENUM,
		.offset = FIELD(event),
		.choices = event_names,
		.fallback = "submit",
		.help = "strike before it happens below, or after"},
	{.name = "purpose",
		.type = OPT_ENUM,
		.offset = FIELD(purpose),
		.choices = block_purpose_names,
		.fallback = "any",
		.help = "step of the format above that is struck: "
			"l2_update, flush_to_disk ..."},
	{.name = "offset",
		.type = OPT_SIZE,
		.offset = FIELD(offset_bytes),
		.max = INT64_MAX,
		.fallback = "0",
		.help = "start of the extent that is struck"},
	{.name = "length",
		.type = OPT_SIZE,
		.offset = FIELD(length_bytes),
		.max = INT64_MAX,
		.fallback = "0",
		.help = "its length, 0 for all that follows"},
	{.name = "after",
		.type = OPT_UINT,
		.offset = FIELD(after),
		.max = UINT64_MAX,
		.fallback = "0",
		.help = "let this many matches pass first"},
	{.name = "count",
		.type = OPT_UINT,
		.offset = FIELD(count),
		.max = UINT64_MAX,
		.fallback = "0",
		.help = "fire this often, 0 for always"},
	{.name = "probability_ppm",
		.type = OPT_UINT,
		.offset = FIELD(probability_ppm),
		.max = MILLION,
		.fallback = "1000000",
		.help = "fire this many times in a million matches"},
	{.name = "error",
		.type = OPT_STRING,
		.flags = OPT_OPTIONAL,
		.offset = FIELD(error),
		.help = "EIO, ENOSPC ...; absent: EIO unless it delays, "
			"holds or sets a state"},
	{.name = "delay_us",
		.type = OPT_UINT,
		.offset = FIELD(delay_us),
		.max = DELAY_MAX_US,
		.fallback = "0",
		.help = "make it wait this long"},
	{.name = "state",
		.type = OPT_UINT,
		.offset = FIELD(state),
		.max = UINT32_MAX,
		.fallback = "0",
		.help = "strike only while the listener is in this state, 0 "
			"for any"},
	{.name = "new_state",
		.type = OPT_UINT,
		.offset = FIELD(new_state),
		.max = UINT32_MAX,
		.fallback = "0",
		.help = "then it is in this one, 0 for the same"},
	{.name = "fua",
		.type = OPT_BOOL,
		.offset = FIELD(fua),
		.fallback = "false",
		.help = "strike only what must be durable at once (FUA)"},
	{.name = "hold",
		.type = OPT_BOOL,
		.offset = FIELD(hold),
		.fallback = "false",
		.help = "keep it until the command release"},
	OPT_END};

/* -- making --------------------------------------------------------------- */

static const char *error_at(const void *none, unsigned i)
{
	(void)none;
	return i < ERRORS ? errors[i].name : NULL;
}

static int find_error(
	const struct doc *node, struct fault_rule *rule, struct err *err)
{
	const struct fault_rule_options *o = &rule->options;
	const char *name = o->error;
	size_t i;

	if (!name) {
		rule->error = o->delay_us || o->hold || o->new_state ? 0 : EIO;
		return 0;
	}
	for (i = 0; i < ERRORS; i++) {
		if (!strcmp(name, errors[i].name)) {
			rule->error = errors[i].error;
			return 0;
		}
	}
	doc_error(
		doc_find(node, "error"), err, EINVAL, "%s is none of: ", name);
	err_allow(err, error_at, NULL, NULL);
	err_list_allowed(err);
	return -EINVAL;
}

static int check(
	const struct doc *node, struct fault_rule *rule, struct err *err)
{
	const struct fault_rule_options *o = &rule->options;

	if (o->hold && o->delay_us)
		return doc_error(node, err, EINVAL,
			"a rule either holds or delays (delay_us), not both");
	return find_error(node, rule, err);
}

void fault_rules_print_schema(FILE *out)
{
	opts_print_schema(options, out);
}

int fault_rules_check_keys(
	const struct doc *node, const char *const *more, struct err *err)
{
	return opts_check_keys(options, node, more, err);
}

struct fault_rule *fault_rules_parse(
	const struct doc *node, bool hold, uint32_t number, struct err *err)
{
	struct fault_rule *rule = calloc(1, sizeof *rule);

	if (!rule) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (opts_parse(options, node, NULL, &rule->options,
		    sizeof rule->options, err)) {
		free(rule);
		return NULL;
	}
	rule->options.hold |= hold;
	rule->number = number;
	rule->ops = op_masks[rule->options.op];
	if (rule->options.name)
		snprintf(rule->name, sizeof rule->name, "%s",
			rule->options.name);
	else
		snprintf(rule->name, sizeof rule->name, "rule-%u", number);
	if (check(node, rule, err)) {
		fault_rules_free(rule);
		return NULL;
	}
	return rule;
}

void fault_rules_free(struct fault_rule *rule)
{
	opts_free(options, &rule->options);
	free(rule);
}

static bool same_text(const char *one, const char *other)
{
	return one == other || (one && other && !strcmp(one, other));
}

bool fault_rules_equal(
	const struct fault_rule *one, const struct fault_rule *other)
{
	const struct fault_rule_options *a = &one->options;
	const struct fault_rule_options *b = &other->options;

	return same_text(a->name, b->name) && a->op == b->op &&
		a->event == b->event && a->purpose == b->purpose &&
		a->state == b->state && a->new_state == b->new_state &&
		a->offset_bytes == b->offset_bytes &&
		a->length_bytes == b->length_bytes && a->after == b->after &&
		a->count == b->count &&
		a->probability_ppm == b->probability_ppm &&
		one->error == other->error && a->delay_us == b->delay_us &&
		a->fua == b->fua && a->hold == b->hold;
}

/* -- striking ------------------------------------------------------------- */

/* The COMPARE_AND_WRITE that this request is the first or, after it, the last step of:
 * the core makes a read and a write of it where the bottom has none (core/compare.c). A
 * rule for it strikes once, before anything happens below or after all has. */
static const struct block_request *compare_of(
	const struct fault_rule *rule, const struct block_request *request)
{
	const struct block_request *parent = request->parent;
	enum block_opcode step =
		rule->options.event == FAULT_SUBMIT ? BLOCK_READ : BLOCK_WRITE;

	if (rule->ops != BLOCK_OP(BLOCK_COMPARE_AND_WRITE) ||
		request->op != step || !request->child ||
		parent->op != BLOCK_COMPARE_AND_WRITE)
		return NULL;
	return parent;
}

static bool matches(const struct fault_rule *rule,
	const struct block_request *request, uint32_t state)
{
	const struct fault_rule_options *o = &rule->options;
	const struct block_request *compare = compare_of(rule, request);

	if (compare)
		request = compare;
	if (!(rule->ops & BLOCK_OP(request->op)))
		return false;
	if (o->purpose != PURPOSE_NONE && o->purpose != request->purpose)
		return false;
	if (o->state && o->state != state)
		return false;
	if (o->fua && !(request->flags & BLOCK_FUA))
		return false;
	if (!o->offset_bytes && !o->length_bytes)
		return true;
	return request->offset_bytes + request->length_bytes >
		o->offset_bytes &&
		(!o->length_bytes ||
			request->offset_bytes <
				o->offset_bytes + o->length_bytes);
}

static bool lucky(const struct fault_rule *rule, uint64_t match, uint64_t seed)
{
	uint64_t state = seed + rule->number;

	state = prng_next(&state) + match;
	return prng_below(&state, MILLION) < rule->options.probability_ppm;
}

static bool fires(struct fault_rule *rule, uint64_t seed)
{
	const struct fault_rule_options *o = &rule->options;
	uint64_t match = atomic_fetch_add(&rule->matches, 1), hit;

	if (match < o->after || !lucky(rule, match, seed))
		return false;
	hit = atomic_load(&rule->hits);
	do {
		if (o->count && hit >= o->count)
			return false;
	} while (!atomic_compare_exchange_weak(&rule->hits, &hit, hit + 1));
	return true;
}

struct fault_rule *fault_rules_strike(const struct fault_table *table,
	enum fault_event event, const struct block_request *request,
	uint64_t seed, _Atomic uint32_t *state)
{
	uint32_t now = atomic_load(state);

	for (unsigned i = 0; i < table->count; i++) {
		struct fault_rule *rule = table->rule[i];

		if (rule->options.event != (int)event ||
			!matches(rule, request, now) || !fires(rule, seed))
			continue;
		if (rule->options.new_state)
			atomic_store(state, (uint32_t)rule->options.new_state);
		return rule;
	}
	return NULL;
}

/* -- showing -------------------------------------------------------------- */

static const char *error_name(int error)
{
	size_t i;

	for (i = 0; i < ERRORS; i++)
		if (errors[i].error == error)
			return errors[i].name;
	return "?";
}

static void print_rule(const struct fault_rule *rule, FILE *out)
{
	const struct fault_rule_options *o = &rule->options;

	fputs("{\"name\": ", out);
	json_print_string(out, rule->name);
	fprintf(out,
		", \"op\": \"%s\", \"event\": \"%s\", \"purpose\": \"%s\", "
		"\"state\": %llu, \"new_state\": %llu, \"offset\": %llu, "
		"\"length\": %llu, \"after\": %llu, \"count\": %llu, "
		"\"probability_ppm\": %llu, \"error\": \"%s\", "
		"\"delay_us\": %llu, \"fua\": %s, \"hold\": %s, \"matches\": "
		"%llu, "
		"\"hits\": %llu}",
		op_names[o->op], event_names[o->event],
		block_purpose_names[o->purpose], (unsigned long long)o->state,
		(unsigned long long)o->new_state,
		(unsigned long long)o->offset_bytes,
		(unsigned long long)o->length_bytes,
		(unsigned long long)o->after, (unsigned long long)o->count,
		(unsigned long long)o->probability_ppm, error_name(rule->error),
		(unsigned long long)o->delay_us, o->fua ? "true" : "false",
		o->hold ? "true" : "false",
		(unsigned long long)atomic_load(&rule->matches),
		(unsigned long long)atomic_load(&rule->hits));
}

void fault_rules_print(const struct fault_table *table, FILE *out)
{
	unsigned i;

	fputs("[", out);
	for (i = 0; i < table->count; i++) {
		if (i)
			fputs(", ", out);
		print_rule(table->rule[i], out);
	}
	fputs("]", out);
}
