/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves: an image whose backing file is merged away names the one that is left.
 *
 * Invariant: the new name is durable before the merged image can go, and after all of
 * that is in the one below: at any time the name leads to the same content.
 */
#include "blockcore/core/stack.h"
#include "blockcore/spec/spec_internal.h"
#include "blockcore/spec/spec_move_internal.h"

#include <stdlib.h>

static int rename_to_co(struct spec_move *move, struct block_format *above,
	const struct doc *file, struct err *err)
{
	struct doc *below = spec_bottom_now(move->target, err);
	const char *type = NULL;
	char *name = below ? spec_backing_name(move->core, below, file, &type)
			   : NULL;
	/* What no name leads to, none has led to before. */
	int error =
		name ? above->kind->backing_name_co(above, name, type, err) : 0;

	free(name);
	doc_free(below);
	return error;
}

int spec_move_rename_co(struct spec_move *move, struct err *err)
{
	unsigned depth;
	struct block_format *above =
		spec_image_above(move->root, move->source, &depth);

	if (move->kind != SPEC_MOVE_COMMIT || !above || above->read_only ||
		!above->kind->backing_name_co)
		return 0;
	int error = spec_move_flush_co(move, err);
	if (error)
		return error;
	struct doc *file = spec_bottom_now(above->file, err);
	block_format_get(above);
	error = file ? rename_to_co(move, above, file, err) : -err->code;
	block_format_put_co(above);
	doc_free(file);
	return error;
}
