/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml-to-json FILE: the same document as JSON, on standard output. The build
 * makes openapi.json of openapi.yaml with it.
 */
#include "blockcore/base/doc.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct err err;
	if (argc != 2) {
		fputs("usage: yaml-to-json FILE\n", stderr);
		return 2;
	}
	struct doc *root = doc_parse_file(argv[1], &err);
	if (!root) {
		fprintf(stderr, "yaml-to-json: %s\n", err.text);
		return 1;
	}
	doc_print_json(root, stdout);
	doc_free(root);
	return fflush(stdout) ? 1 : 0;
}
