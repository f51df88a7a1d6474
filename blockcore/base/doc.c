/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents once they are parsed: finding children, naming places in errors,
 * and giving types to scalars.
 */
#include "blockcore/base/doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Reads all of `in`, at most one byte more than is allowed; NULL with errno. */
static char *read_all(FILE *in, size_t *bytes)
{
	size_t room = 16u << 10, used = 0;
	char *text = malloc(room), *larger;

	while (text) {
		used += fread(text + used, 1, room - used, in);
		if (used < room || used > DOC_MAX_BYTES)
			break;
		room *= 2;
		larger = realloc(text, room);
		if (!larger)
			free(text);
		text = larger;
	}
	if (text && ferror(in)) {
		free(text);
		text = NULL;
	}
	*bytes = used;
	return text;
}

struct doc *doc_parse_file(const char *path, struct err *err)
{
	struct doc *root = NULL;
	FILE *in = fopen(path, "re");
	size_t bytes = 0;
	char *text;

	if (!in) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		return NULL;
	}
	text = read_all(in, &bytes);
	if (text)
		root = doc_parse(path, text, bytes, err);
	else
		err_set(err, errno, "%s: %s", path, strerror(errno));
	free(text);
	fclose(in);
	return root;
}

const struct doc *doc_find(const struct doc *map, const char *key)
{
	if (!map || map->kind != DOC_MAP)
		return NULL;
	for (const struct doc *node = map->first; node; node = node->next) {
		if (!strcmp(node->key, key))
			return node;
	}
	return NULL;
}

uint32_t doc_count(const struct doc *list_or_map)
{
	uint32_t count = 0;

	for (const struct doc *n = list_or_map->first; n; n = n->next)
		count++;
	return count;
}

static unsigned index_in_list(const struct doc *node)
{
	unsigned index = 0;

	for (const struct doc *n = node->parent->first; n != node; n = n->next)
		index++;
	return index;
}

/* "volumes[0].source.type", cut at `size`; returns its length. */
static size_t key_path(const struct doc *node, char *out, size_t size)
{
	size_t used = 0;
	int more = 0;

	out[0] = '\0';
	if (node->parent)
		used = key_path(node->parent, out, size);
	if (node->key)
		more = snprintf(out + used, size - used, "%s%s",
			used ? "." : "", node->key);
	else if (node->parent)
		more = snprintf(
			out + used, size - used, "[%u]", index_in_list(node));
	used += more < 0 ? 0 : (size_t)more;
	return used < size ? used : size - 1;
}

/* Appends a key to a JSON Pointer: '~' and '/' are escaped (RFC 6901 3). False:
 * it does not fit. */
static bool append_token(char *out, size_t size, size_t *used, const char *key)
{
	for (; *key && *used + 3 < size; key++) {
		if (*key != '~' && *key != '/') {
			out[(*used)++] = *key;
			continue;
		}
		out[(*used)++] = '~';
		out[(*used)++] = *key == '~' ? '0' : '1';
	}
	out[*used] = '\0';
	return !*key;
}

/* "/volumes/0/source/type"; "" if it does not fit. */
static bool pointer_to(
	const struct doc *node, char *out, size_t size, size_t *used)
{
	char index[16];

	if (!node->parent)
		return true;
	if (!pointer_to(node->parent, out, size, used) || *used + 2 > size)
		return false;
	out[(*used)++] = '/';
	snprintf(
		index, sizeof index, "%u", node->key ? 0 : index_in_list(node));
	return append_token(out, size, used, node->key ? node->key : index);
}

static void set_pointer(const struct doc *at, struct err *err)
{
	size_t used = 0;

	if (!err)
		return;
	err->pointer[0] = '\0';
	if (!pointer_to(at, err->pointer, sizeof err->pointer, &used))
		err->pointer[0] = '\0';
}

int doc_error_in(const struct doc *at, uint32_t line, uint32_t column,
	struct err *err, int code, const char *text)
{
	char path[256], place[300] = "";

	if (*at->file)
		snprintf(place, sizeof place, "%.240s:%u:%u: ", at->file, line,
			column);
	key_path(at, path, sizeof path);
	err_set(err, code, "%s%s%s%s", place, path, *path ? ": " : "", text);
	set_pointer(at, err);
	return -code;
}

int doc_error(const struct doc *at, struct err *err, int code,
	const char *format, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return doc_error_in(at, at->line, at->column, err, code, text);
}

int doc_key_error(const struct doc *at, struct err *err, int code,
	const char *format, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return doc_error_in(at, at->key_line, at->key_column, err, code, text);
}

int doc_missing_error(const struct doc *map, const char *key, struct err *err,
	const char *format, ...)
{
	char text[ERR_TEXT_BYTES], pointer[ERR_POINTER_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	doc_error_in(map, map->line, map->column, err, EINVAL, text);
	if (!err)
		return -EINVAL;
	size_t used = strlen(err->pointer);
	memcpy(pointer, err->pointer, used + 1);
	if (used + 2 > sizeof pointer)
		return -EINVAL;
	pointer[used++] = '/';
	if (append_token(pointer, sizeof pointer, &used, key))
		err_point(err, pointer);
	return -EINVAL;
}

void doc_copy_places(struct doc *to, const struct doc *from)
{
	struct doc *child = to->first;

	to->line = from->line;
	to->column = from->column;
	to->key_line = from->key_line;
	to->key_column = from->key_column;
	for (const struct doc *node = from->first; node && child;
		node = node->next) {
		struct doc *twin = node->key
			? (struct doc *)doc_find(to, node->key)
			: child;
		if (twin)
			doc_copy_places(twin, node);
		if (!node->key)
			child = child->next;
	}
}

/* Decimal digits at the start of `text`; returns what follows them, NULL if
 * there are none or the number does not fit. */
static const char *scan_digits(const char *text, uint64_t *value)
{
	const char *p = text;

	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(*value, 10u, value) ||
			__builtin_add_overflow(
				*value, (unsigned)(*p - '0'), value))
			return NULL;
	}
	return p == text ? NULL : p;
}

static int in_range(const struct doc *node, uint64_t value, uint64_t min,
	uint64_t max, uint64_t *out, struct err *err)
{
	if (value < min || value > max)
		return doc_error(node, err, EINVAL,
			"%s is out of range: %" PRIu64 " to %" PRIu64
			" is allowed",
			node->text, min, max);
	*out = value;
	return 0;
}

int doc_uint(const struct doc *node, uint64_t min, uint64_t max, uint64_t *out,
	struct err *err)
{
	const char *rest = NULL;
	uint64_t value;

	if (node->kind == DOC_SCALAR && !node->quoted)
		rest = scan_digits(node->text, &value);
	if (!rest || *rest)
		return doc_error(node, err, EINVAL,
			"a whole number is expected, without quotes: "
			"%" PRIu64 " to %" PRIu64 " is allowed",
			min, max);
	/* To JSON, in which documents are kept, 010 is no number. */
	if (*node->text == '0' && node->text[1])
		return doc_error(node, err, EINVAL,
			"a whole number is expected, without quotes and "
			"without zeros before it");
	return in_range(node, value, min, max, out, err);
}

/* The power of two that a suffix means, -1 if it is none. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGTP";
	const char *letter;

	if (!*suffix)
		return 0;
	letter = strchr(letters, *suffix);
	if (!letter || (suffix[1] && strcmp(suffix + 1, "iB") != 0))
		return -1;
	return (int)(letter - letters + 1) * 10;
}

int doc_size(const struct doc *node, uint64_t min, uint64_t max, uint64_t *out,
	struct err *err)
{
	const char *rest = NULL;
	uint64_t value = 0;
	int shift = -1;

	if (node->kind == DOC_SCALAR)
		rest = scan_digits(node->text, &value);
	if (rest)
		shift = suffix_shift(rest);
	if (shift < 0 || value > UINT64_MAX >> shift)
		return doc_error(node, err, EINVAL,
			"a size is expected, such as 4096, 64K or 10GiB");
	return in_range(node, value << shift, min, max, out, err);
}

int doc_bool(const struct doc *node, bool *out, struct err *err)
{
	static const char *const names[] = {"true", "false", NULL};
	bool plain = node->kind == DOC_SCALAR && !node->quoted;

	if (plain && !strcmp(node->text, "true"))
		*out = true;
	else if (plain && !strcmp(node->text, "false"))
		*out = false;
	else {
		doc_error(node, err, EINVAL,
			"true or false is expected, without quotes");
		err_allow(err, NULL, NULL, names);
		return -EINVAL;
	}
	return 0;
}

int doc_text(const struct doc *node, const char **out, struct err *err)
{
	/* What came through REST has no file, but types. */
	if (node->kind != DOC_SCALAR || (!*node->file && doc_is_bare(node)))
		return doc_error(node, err, EINVAL, "a text is expected");
	/* A text from now on, also where it is printed: 12 becomes "12". */
	((struct doc *)node)->quoted = true;
	*out = node->text;
	return 0;
}
