/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents to running stacks and back. A source is written as
 *
 *	listeners: [{type: throttle, name: limit, iops: 20000}]     (top first)
 *	protocol: {type: file, path: images/a.raw}
 *   or	format: {type: raw, file: SOURCE}        with   view: current
 *   or	source: SOURCE                           (an alias)
 *
 * Invariants
 *  1. A document is checked whole before anything is opened, and opened whole
 *     before anything is published; a failure leaves nothing behind.
 *  2. spec_print writes a document that builds the same stack.
 *  3. All functions ending in _co run in a coroutine on the control lane; one
 *     change at a time per source (a second waits).
 *  4. Changes that need the gate have a deadline; past it the old stack goes on
 *     unchanged and the call returns -ETIMEDOUT with a text.
 */
#ifndef BLOCKCORE_SPEC_H
#define BLOCKCORE_SPEC_H

#include "blockcore/base/doc.h"
#include "blockcore/block.h"

#define SPEC_GATE_DEADLINE_NS (100ull * 1000 * 1000)

/* The document only: kinds, options, order of bands. */
int spec_check(const struct doc *document, struct err *err);

/* Builds a source with one reference. `uuid` 16 bytes or NULL (random). */
int spec_build_co(struct block_core *core, const char *name,
	const uint8_t *uuid, const struct doc *document,
	struct block_source **source, struct err *err);

/* Adds one listener: at the place its band allows, below the listener named
 * `below` if that is not NULL. */
int spec_attach_co(struct block_source *source, const struct doc *listener,
	const char *below, struct err *err);
int spec_detach_co(struct block_source *source, const char *name,
	uint64_t deadline_ns, struct err *err);
/* New values for live options. */
int spec_configure_co(struct block_source *source, const char *name,
	const struct doc *options, struct err *err);
/* Gives the listeners a new order (all names, top first). */
int spec_reorder_co(struct block_source *source, const struct doc *names,
	uint64_t deadline_ns, struct err *err);

/* Puts another bottom under the listeners. `document` holds protocol, format or
 * source. With `same_content` the listeners are not told of changed extents.
 * `durable_co` (may be NULL) runs behind the closed gate, before it opens: the
 * place where the change is made durable; non-zero abandons it. */
struct spec_swap {
	const struct doc *document;
	bool same_content;
	uint64_t deadline_ns;
	int (*durable_co)(void *argument, struct err *err);
	void *argument;
};
int spec_swap_bottom_co(struct block_source *source,
	const struct spec_swap *swap, struct err *err);

/* Changes the size of the bottom; hosts see it through block_source_info. A
 * smaller size is refused (-EBUSY) while a format lies on the source. */
int spec_resize_co(
	struct block_source *source, uint64_t bytes, struct err *err);

/* A driver's own verb; see block_kind.command_co. */
int spec_command_co(struct block_source *source, const char *driver,
	const char *verb, const struct doc *arguments, FILE *out,
	struct err *err);

/* The source as one JSON object; with `status` also live figures. Control lane. */
void spec_print(struct block_source *source, bool status, FILE *out);

/* JSON Schema of the source document, made from the registry. */
void spec_print_schema(FILE *out);
/* Every kind with its options, for --help. */
void spec_print_help(FILE *out);

#endif
