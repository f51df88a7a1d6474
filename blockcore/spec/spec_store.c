/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file in which a listener keeps what it knows while hosts write: a source of its
 * own, so that it is written through the ring like any other.
 */
#include "blockcore/core/driver.h"
#include "blockcore/spec/spec_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What it is made with; who opens it makes it as large as it needs. */
#define STORE_BYTES "64K"

static struct doc *store_doc(const char *path, struct err *err)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	struct doc *document = NULL;

	if (out) {
		fputs("{\"protocol\": {\"type\": \"file\", \"size\": "
		      "\"" STORE_BYTES "\", \"path\": ",
			out);
		json_print_string(out, path);
		fputs("}}", out);
	}
	if (out && !fclose(out))
		document = doc_parse(path, text, bytes, err);
	else
		err_set(err, ENOMEM, "no memory for a document");
	free(text);
	return document;
}

static int store_again_co(struct block_driver *driver, struct err *err)
{
	const struct block_source *above = block_driver_source(driver);

	if (driver->store)
		block_source_put_co(driver->store);
	driver->store = NULL;
	return above ? spec_open_store_co(above, driver, err) : -ENODEV;
}

int spec_open_store_co(const struct block_source *above,
	struct block_driver *driver, struct err *err)
{
	const char *key = driver->kind->store, *path = NULL;
	const struct doc *node = key ? doc_find(driver->document, key) : NULL;

	if (!node || node->kind == DOC_NULL)
		return 0;
	int error = doc_text(node, &path, err);
	struct doc *document = error ? NULL : store_doc(path, err);
	if (!document)
		return err && err->code ? -err->code : -ENOMEM;
	error = spec_open_below_co(
		above, driver->name, document, &driver->store, err);
	doc_free(document);
	if (!error)
		driver->store_again_co = store_again_co;
	return error;
}
