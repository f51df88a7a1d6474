/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tree: libyaml's events, each handled by one function of a table.
 *
 * Invariants
 *  1. Nodes and text come from the tree's arena, so that a tree is freed in one
 *     go and a half-built one too.
 *  2. What YAML allows and we refuse is refused at its event, so nothing that
 *     could grow (aliases, tags) is ever built.
 *  3. Keys of a map are compared once, sorted, at its end: large maps stay
 *     O(n log n).
 */
#include "blockcore/base/doc.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define ARENA_BYTES (16u << 10)

struct arena {
	struct arena *next;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

/* The root stands first, so that the tree can be freed by it. */
struct tree {
	struct doc root;
	struct arena *arena;
};

struct builder {
	yaml_parser_t yaml;
	yaml_event_t event;
	struct tree *tree;
	const char *file;
	struct err *err;
	struct doc *open; /* the innermost open list or map */
	struct doc *last[DOC_MAX_DEPTH]; /* last child of each open one */
	uint32_t children[DOC_MAX_DEPTH];
	uint32_t depth; /* of open lists and maps */
	uint32_t nodes;
	bool root_seen, done;
	const char *key; /* of the node to come, in a map */
	yaml_mark_t key_mark;
	struct doc refused; /* stands for the node that is refused */
};

static void *arena_get(struct tree *tree, size_t bytes)
{
	struct arena *arena = tree->arena;
	void *out;

	bytes = (bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (!arena || arena->size - arena->used < bytes) {
		size_t size = bytes > ARENA_BYTES ? bytes : ARENA_BYTES;
		arena = malloc(sizeof *arena + size);
		if (!arena)
			return NULL;
		arena->next = tree->arena;
		arena->used = 0;
		arena->size = size;
		tree->arena = arena;
	}
	out = arena->bytes + arena->used;
	arena->used += bytes;
	return out;
}

static const char *arena_text(struct tree *tree, const void *text, size_t bytes)
{
	char *copy = arena_get(tree, bytes + 1);

	if (copy) {
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
	}
	return copy;
}

void doc_free(struct doc *root)
{
	struct tree *tree = (struct tree *)root;

	if (!root)
		return;
	assert(!root->parent);
	while (tree->arena) {
		struct arena *next = tree->arena->next;
		free(tree->arena);
		tree->arena = next;
	}
	free(tree);
}

/* Hangs a node in what is open, under the key that came before it. */
static void hang(struct builder *b, struct doc *node)
{
	struct doc **last;

	node->parent = b->open;
	node->key = b->key;
	if (!b->open)
		return;
	last = &b->last[b->depth - 1];
	*(*last ? &(*last)->next : &b->open->first) = node;
	*last = node;
}

/* What is refused where a node would stand is named by that node's key; where a
 * key would, by the map. The tree is given up then. */
static int refuse(struct builder *b, yaml_mark_t mark, const char *why)
{
	bool at_key = b->open && b->open->kind == DOC_MAP && !b->key;

	b->refused.file = b->file;
	if (!at_key)
		hang(b, &b->refused);
	return doc_error_in(at_key ? b->open : &b->refused,
		(uint32_t)mark.line + 1, (uint32_t)mark.column + 1, b->err,
		EINVAL, why);
}

static int no_memory(struct builder *b)
{
	return err_set(b->err, ENOMEM, "%s: out of memory", b->file);
}

/* Anchors and tags may stand on any node. */
static int refuse_properties(
	struct builder *b, yaml_char_t *anchor, yaml_char_t *tag)
{
	if (anchor)
		return refuse(b, b->event.start_mark,
			"anchors (&) are not allowed: write it out");
	if (tag)
		return refuse(b, b->event.start_mark,
			"tags (!) are not allowed: leave it out");
	return 0;
}

/* Makes the node of the current event and hangs it in the tree. */
static int add_node(struct builder *b, enum doc_kind kind, struct doc **out)
{
	yaml_mark_t mark = b->event.start_mark;
	struct doc *node;

	if (++b->nodes > DOC_MAX_NODES)
		return refuse(b, mark, "too large: more than 1000000 nodes");
	node = b->root_seen ? arena_get(b->tree, sizeof *node) : &b->tree->root;
	if (!node)
		return no_memory(b);
	b->root_seen = true;
	*node = (struct doc){
		.kind = kind,
		.line = (uint32_t)mark.line + 1,
		.column = (uint32_t)mark.column + 1,
		.file = b->file,
	};
	hang(b, node);
	if (b->key) {
		node->key_line = (uint32_t)b->key_mark.line + 1;
		node->key_column = (uint32_t)b->key_mark.column + 1;
		b->key = NULL;
	}
	if (b->open)
		b->children[b->depth - 1]++;
	*out = node;
	return 0;
}

static int open_node(struct builder *b, enum doc_kind kind)
{
	struct doc *node;
	int r;

	if (b->open && b->open->kind == DOC_MAP && !b->key)
		return refuse(b, b->event.start_mark,
			"a key must be a plain name, not a list or map");
	if (b->depth == DOC_MAX_DEPTH)
		return refuse(b, b->event.start_mark,
			"nested too deep: more than 64 levels");
	r = add_node(b, kind, &node);
	if (r < 0)
		return r;
	b->open = node;
	b->last[b->depth] = NULL;
	b->children[b->depth] = 0;
	b->depth++;
	return 0;
}

static int close_node(struct builder *b)
{
	b->open = b->open->parent;
	b->depth--;
	return 0;
}

static bool is_null(const char *text)
{
	return !*text || !strcmp(text, "~") || !strcmp(text, "null") ||
		!strcmp(text, "Null") || !strcmp(text, "NULL");
}

static int on_key(struct builder *b, const char *text, bool quoted)
{
	if (!quoted && !strcmp(text, "<<"))
		return refuse(b, b->event.start_mark,
			"merge keys (<<) are not allowed: write it out");
	if (!quoted && is_null(text))
		return refuse(b, b->event.start_mark, "a key is missing here");
	b->key = text;
	b->key_mark = b->event.start_mark;
	return 0;
}

static int on_scalar(struct builder *b)
{
	const char *value = (const char *)b->event.data.scalar.value;
	size_t length = b->event.data.scalar.length;
	bool quoted = b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	const char *text;
	struct doc *node;
	int r = refuse_properties(
		b, b->event.data.scalar.anchor, b->event.data.scalar.tag);

	if (r < 0)
		return r;
	if (memchr(value, '\0', length))
		return refuse(b, b->event.start_mark,
			"a text must not contain a NUL character");
	text = arena_text(b->tree, value, length);
	if (!text)
		return no_memory(b);
	if (b->open && b->open->kind == DOC_MAP && !b->key)
		return on_key(b, text, quoted);
	r = add_node(b, DOC_SCALAR, &node);
	if (r < 0)
		return r;
	node->quoted = quoted;
	node->text = text;
	if (!quoted && is_null(text)) {
		node->kind = DOC_NULL;
		node->text = NULL;
	}
	return 0;
}

static int on_list(struct builder *b)
{
	int r = refuse_properties(b, b->event.data.sequence_start.anchor,
		b->event.data.sequence_start.tag);

	return r < 0 ? r : open_node(b, DOC_LIST);
}

static int on_map(struct builder *b)
{
	int r = refuse_properties(b, b->event.data.mapping_start.anchor,
		b->event.data.mapping_start.tag);

	return r < 0 ? r : open_node(b, DOC_MAP);
}

/* By key, then by place, so that the later of two equal keys is blamed. */
static int compare_keys(const void *left, const void *right)
{
	const struct doc *a = *(struct doc *const *)left;
	const struct doc *b = *(struct doc *const *)right;
	int order = strcmp(a->key, b->key);

	if (order)
		return order;
	if (a->key_line != b->key_line)
		return a->key_line < b->key_line ? -1 : 1;
	return a->key_column < b->key_column ? -1 : 1;
}

static int on_map_end(struct builder *b)
{
	uint32_t count = b->children[b->depth - 1], n = 0;
	struct doc **sorted;
	int r = 0;

	if (count < 2)
		return close_node(b);
	sorted = malloc(count * sizeof *sorted);
	if (!sorted)
		return no_memory(b);
	for (struct doc *child = b->open->first; child; child = child->next)
		sorted[n++] = child;
	qsort(sorted, count, sizeof *sorted, compare_keys);
	for (uint32_t i = 1; i < count && r == 0; i++) {
		if (!strcmp(sorted[i - 1]->key, sorted[i]->key))
			r = doc_key_error(sorted[i], b->err, EINVAL,
				"this key is already there, in line %u",
				sorted[i - 1]->key_line);
	}
	free(sorted);
	return r < 0 ? r : close_node(b);
}

static int on_alias(struct builder *b)
{
	return refuse(b, b->event.start_mark,
		"aliases (*) are not allowed: write it out");
}

static int on_document(struct builder *b)
{
	if (b->root_seen)
		return refuse(b, b->event.start_mark,
			"a second document: only one is allowed");
	if (b->event.data.document_start.tag_directives.start !=
		b->event.data.document_start.tag_directives.end)
		return refuse(b, b->event.start_mark,
			"%TAG is not allowed: leave it out");
	return 0;
}

static int on_end(struct builder *b)
{
	b->done = true;
	return 0;
}

static int on_nothing(struct builder *b)
{
	(void)b;
	return 0;
}

static int (*const handlers[])(struct builder *b) = {
	[YAML_NO_EVENT] = on_nothing,
	[YAML_STREAM_START_EVENT] = on_nothing,
	[YAML_STREAM_END_EVENT] = on_end,
	[YAML_DOCUMENT_START_EVENT] = on_document,
	[YAML_DOCUMENT_END_EVENT] = on_nothing,
	[YAML_ALIAS_EVENT] = on_alias,
	[YAML_SCALAR_EVENT] = on_scalar,
	[YAML_SEQUENCE_START_EVENT] = on_list,
	[YAML_SEQUENCE_END_EVENT] = close_node,
	[YAML_MAPPING_START_EVENT] = on_map,
	[YAML_MAPPING_END_EVENT] = on_map_end,
};

/* libyaml's reader knows the byte only: counts lines up to it. */
static yaml_mark_t mark_of_byte(const uint8_t *text, size_t bytes, size_t at)
{
	yaml_mark_t mark = {.index = at};

	for (size_t i = 0; i < at && i < bytes; i++) {
		if (text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if ((text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

static int syntax_error(struct builder *b, const void *text, size_t bytes)
{
	const char *problem = b->yaml.problem;
	yaml_mark_t mark = b->yaml.problem_mark;

	if (b->yaml.error == YAML_MEMORY_ERROR)
		return no_memory(b);
	if (b->yaml.error == YAML_READER_ERROR)
		mark = mark_of_byte(text, bytes, b->yaml.problem_offset);
	/* What was open then is not told: libyaml has read on from there. */
	return err_set(b->err, EINVAL, "%s:%zu:%zu: %s", b->file, mark.line + 1,
		mark.column + 1, problem ? problem : "this is not YAML");
}

static int build(struct builder *b, const void *text, size_t bytes)
{
	int r = 0;

	yaml_parser_set_encoding(&b->yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b->yaml, text, bytes);
	while (r == 0 && !b->done) {
		if (!yaml_parser_parse(&b->yaml, &b->event))
			return syntax_error(b, text, bytes);
		r = handlers[b->event.type](b);
		yaml_event_delete(&b->event);
	}
	return r;
}

/* An empty tree, in which the root is null. */
static struct tree *tree_new(const char *file)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (!tree)
		return NULL;
	tree->root.line = tree->root.column = 1;
	tree->root.file = arena_text(tree, file, strlen(file));
	if (!tree->root.file) {
		free(tree);
		return NULL;
	}
	return tree;
}

struct doc *doc_parse(
	const char *file, const void *text, size_t bytes, struct err *err)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	struct builder b = {.err = err};
	int r;

	if (bytes > DOC_MAX_BYTES) {
		err_set(err, EFBIG, "%s: larger than %u bytes", file,
			DOC_MAX_BYTES);
		return NULL;
	}
	if (bytes >= 3 && !memcmp(text, byte_order_mark, 3)) {
		text = (const char *)text + 3;
		bytes -= 3;
	}
	b.tree = tree_new(file);
	if (!b.tree || !yaml_parser_initialize(&b.yaml)) {
		err_set(err, ENOMEM, "%s: out of memory", file);
		doc_free((struct doc *)b.tree);
		return NULL;
	}
	b.file = b.tree->root.file;
	r = build(&b, text, bytes);
	yaml_parser_delete(&b.yaml);
	if (r < 0) {
		doc_free(&b.tree->root);
		return NULL;
	}
	return &b.tree->root;
}
