/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, stated once. A driver describes its options in a table of opt_spec;
 * from it come strict parsing, --help, the man page and the JSON Schema.
 *
 * Invariants
 *  1. A key that is not in the table is an error that lists the keys allowed.
 *  2. An option without default is required unless OPT_OPTIONAL says otherwise.
 *  3. The struct filled by opts_parse owns its strings: opts_free.
 */
#ifndef BLOCKCORE_BASE_OPTS_H
#define BLOCKCORE_BASE_OPTS_H

#include "blockcore/base/doc.h"

enum opt_type {
	OPT_BOOL, /* bool */
	OPT_UINT, /* uint64_t, min..max */
	OPT_SIZE, /* uint64_t bytes, min..max, suffixes allowed */
	OPT_STRING, /* char *, at most max bytes if max != 0 */
	OPT_ENUM, /* int: index into choices */
	OPT_DOC, /* const struct doc *: taken as it is; borrowed */
};

enum opt_flag {
	OPT_OPTIONAL = 1, /* may be absent: field stays zeroed (NULL) */
	OPT_LIVE = 2, /* may be changed while the driver is in use */
};

struct opt_spec {
	const char *name;
	enum opt_type type;
	unsigned flags;
	size_t offset; /* of the field in the driver's option struct */
	uint64_t min, max; /* max 0: no upper limit */
	const char *fallback; /* default as text; NULL: see invariant 2 */
	const char *const *choices; /* OPT_ENUM: NULL-terminated */
	const char *help; /* one line, no full stop */
};

/* A table ends with a row whose name is NULL; an empty table is one such row. */
#define OPT_END \
	{ \
		.name = NULL \
	}

/* Fills `out` (zeroed by the callee, `out_bytes` large) from the map `node`,
 * leaving out the keys listed in `ignore` (NULL-terminated, may be NULL: keys
 * read by somebody else, such as "type" and "name"; lives for ever, as errors name
 * them). `node` may be NULL or
 * DOC_NULL for "no option given". 0, or -EINVAL (-ENOMEM) with *err set and
 * *out freed. */
int opts_parse(const struct opt_spec *specs, const struct doc *node,
	const char *const *ignore, void *out, size_t out_bytes,
	struct err *err);
void opts_free(const struct opt_spec *specs, void *out);
/* Only that `node` is a map without other keys than these: 0, or -EINVAL. */
int opts_check_keys(const struct opt_spec *specs, const struct doc *node,
	const char *const *ignore, struct err *err);

/* Lines "  name: TYPE  help (range; default)" for people, in two columns. */
void opts_print_help(const struct opt_spec *specs, FILE *out);
/* A JSON Schema object: type, properties, required, additionalProperties. */
void opts_print_schema(const struct opt_spec *specs, FILE *out);
/* More that a schema says of an option than its row can: JSON members, each with a
 * comma behind it ("\"minItems\": 1, "). The name "" is the object itself; NULL ends
 * the list. */
struct opt_schema {
	const char *name, *members;
};
void opts_print_schema_with(
	const struct opt_spec *specs, const struct opt_schema *more, FILE *out);
/* The struct's values as JSON members ("a": 1, "b": "x"), without braces; the
 * very text that would parse to the same struct, so what was left out and has
 * no default is left out again. Returns how many members were printed. */
unsigned opts_print_values(
	const struct opt_spec *specs, const void *values, FILE *out);

#endif
