/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document: the tree that a YAML or JSON text means, each node with the place
 * it came from, so that an error can name file, line, column and key.
 *
 * Invariants
 *  1. Strict: no duplicate keys, no anchors, aliases, tags, merge keys or
 *     second documents; at most DOC_MAX_DEPTH deep and DOC_MAX_NODES large.
 *  2. Scalars are kept as text; types are given to them by who reads them. A
 *     plain (unquoted) null, ~ or empty scalar is DOC_NULL.
 *  3. A tree owns all of its text and is freed as a whole by its root.
 */
#ifndef BLOCKCORE_BASE_DOC_H
#define BLOCKCORE_BASE_DOC_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DOC_MAX_DEPTH 64
#define DOC_MAX_NODES 1000000
#define DOC_MAX_BYTES (64u << 20)

enum doc_kind { DOC_NULL, DOC_SCALAR, DOC_LIST, DOC_MAP };

struct doc {
	enum doc_kind kind;
	bool quoted; /* scalar: was written in quotes */
	uint32_t line, column; /* from 1, columns in characters */
	uint32_t key_line, key_column; /* in a map: where the key stands */
	const char *file; /* the name given to the parser */
	const char *key; /* in a map: this node's key, else NULL */
	const char *text; /* scalar: NUL-terminated, without inner NULs */
	struct doc *parent, *first, *next; /* children in order of the text */
};

/* Parses one YAML (so also JSON) document. `file` is only for messages and is
 * copied. Returns the root, to be freed with doc_free, or NULL with *err set:
 * "FILE:LINE:COLUMN: what is wrong". A text without any node (empty, only
 * comments) is one DOC_NULL. Of JSON, only surrogate pairs written as two \u
 * escapes are refused (YAML has none). */
struct doc *doc_parse(
	const char *file, const void *text, size_t bytes, struct err *err);
struct doc *doc_parse_file(const char *path, struct err *err);
void doc_free(struct doc *root);

/* The child of a map under `key`, NULL if there is none (or no map). */
const struct doc *doc_find(const struct doc *map, const char *key);
uint32_t doc_count(const struct doc *list_or_map);

/* Sets "FILE:LINE:COLUMN: KEY: text" (the key path from the root, such as
 * volumes[0].source.protocol.type) and err->pointer. Of a document without a file
 * (""), which came over the network, the place is left out. Returns -code. */
int doc_error(const struct doc *at, struct err *err, int code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for a key that should not be there: names the place of the key. */
int doc_key_error(const struct doc *at, struct err *err, int code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for a key that should be in a map and is not: the pointer is to where it
 * would be, the place is the map's. */
int doc_missing_error(const struct doc *map, const char *key, struct err *err,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same with a text as it is, for a place in what `at` holds. */
int doc_error_in(const struct doc *at, uint32_t line, uint32_t column,
	struct err *err, int code, const char *text);

/* Typed scalars; 0, or -EINVAL with *err saying what was expected. Numbers and
 * bools must not be quoted, as in JSON. Sizes take the suffixes K, M, G, T, P
 * (powers of 1024, optional "iB") and may be quoted. */
int doc_uint(const struct doc *node, uint64_t min, uint64_t max, uint64_t *out,
	struct err *err);
int doc_size(const struct doc *node, uint64_t min, uint64_t max, uint64_t *out,
	struct err *err);
int doc_bool(const struct doc *node, bool *out, struct err *err);
/* The text of a scalar; refuses null, lists and maps, and in a tree without a file
 * (REST) numbers and bools. Lives as the tree does. */
int doc_text(const struct doc *node, const char **out, struct err *err);

/* Gives every node of `to` the place of the one that stands at the same keys in
 * `from`: a tree printed and parsed again still says where it was written. */
void doc_copy_places(struct doc *to, const struct doc *from);

/* A plain scalar that is a number, true or false in JSON. */
bool doc_is_bare(const struct doc *node);

/* Writes a tree as JSON (quoted scalars and what is not a JSON number, true or
 * false become strings), without a final newline. */
void doc_print_json(const struct doc *node, FILE *out);
/* Writes `text` as a JSON string with its quotes. */
void json_print_string(FILE *out, const char *text);

#endif
