/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cairn-stack create: a new image. The document is that of a source; to build it makes
 * what is not there. So this only looks whether it really is not.
 */
#include "blockcore/figures.h"
#include "blockcore/spec.h"
#include "blockcore/tool/cairn_stack_tool.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Of a source that is a file; NULL: it is none. */
static const struct doc *file_path(const struct doc *source)
{
	const struct doc *protocol = doc_find(source, "protocol");
	const struct doc *type = doc_find(protocol, "type");

	return type && type->text && !strcmp(type->text, "file")
		? doc_find(protocol, "path")
		: NULL;
}

int tool_check_new(
	const struct tool *tool, const struct doc *document, struct err *err)
{
	const struct doc *format = doc_find(document, "format");
	const struct doc *file = format ? doc_find(format, "file") : document;
	const struct doc *path = file_path(file);
	char whole[4096];
	struct stat there;
	int error = spec_check(document, err);

	if (error)
		return error;
	if (!path || !path->text)
		return doc_error(file, err, EINVAL,
			"create makes files: {protocol: {type: file, path: "
			"..., size: ...}}");
	block_core_path(tool->core, path->text, whole, sizeof whole);
	if (lstat(whole, &there) == 0)
		return doc_error(path, err, EEXIST,
			"it is there already: remove it, or choose another "
			"name");
	return 0;
}
