/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: options; how an image is opened and closed; the backing file that it
 * names itself.
 *
 * Invariants
 *  1. An image is never shown without the backing file that it needs.
 *  2. What a backing file is, is said by the image or the document, never
 *     guessed from its content: a guest can write anything into a raw image.
 *  3. A corrupt image is shown read-only.
 */
#include "blockcore/format/qcow2/qcow2.h"

#include "blockcore/base/log.h"
#include "blockcore/kinds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct qcow2_options, name)
static const struct opt_spec options[] = {
	{.name = "cache",
		.type = OPT_SIZE,
		.offset = FIELD(cache_bytes),
		.min = 64u << 10,
		.max = 1ull << 40,
		.fallback = "64M",
		.help = "memory for L2 tables; 8 MiB serve 64 GiB of image"},
	OPT_END};

/* -- the header ----------------------------------------------------------- */

static int read_co(struct block_core *core, struct block_source *file,
	uint64_t bytes, uint8_t *to, struct err *err)
{
	int error = block_transfer_co(
		file, block_core_lane(core, 0), BLOCK_READ, 0, 0, bytes, to);

	return error ? err_set(err, -error, "the header cannot be read: %s",
			       strerror(-error))
		     : 0;
}

/* The first cluster, or as much as the file has, to be freed. Nothing of a format
 * is needed: the backing file is asked for before there is one. */
static int read_area_co(struct block_core *core, struct block_source *file,
	uint8_t **area, uint64_t *bytes, struct err *err)
{
	uint64_t end =
		block_source_info(file, block_core_lane(core, 0)).size_bytes;
	uint8_t *first = qcow2_io_memory(QCOW2_HEADER_SECTOR);
	unsigned bits = 0;

	if (!first)
		return err_set(err, ENOMEM, "no memory for the header");
	int error = read_co(core, file, QCOW2_HEADER_SECTOR, first, err);
	if (!error)
		error = qcow2_header_probe(
			first, QCOW2_HEADER_SECTOR, &bits, err);
	free(first);
	if (error)
		return error;
	*bytes = end < 1ull << bits ? end : 1ull << bits;
	*area = qcow2_io_memory(*bytes);
	if (!*area)
		return err_set(err, ENOMEM, "no memory for the header");
	error = read_co(core, file, *bytes, *area, err);
	if (error)
		free(*area);
	return error;
}

static int read_header_co(struct block_core *core, struct block_source *file,
	struct qcow2_header *header, uint8_t *sector, struct err *err)
{
	uint64_t bytes;
	uint8_t *area;
	int error = read_area_co(core, file, &area, &bytes, err);

	if (error)
		return error;
	error = qcow2_header_parse(area, bytes, header, err);
	if (!error && sector)
		memcpy(sector, area, QCOW2_HEADER_SECTOR);
	free(area);
	return error;
}

/* -- the backing file that the image names -------------------------------- */

/* {"format": {"type": "qcow2", "file": {"protocol": {...}}}} */
static int print_backing(struct block_source *file, const char *name,
	const char *format, FILE *out, struct err *err)
{
	bool raw = !strcmp(format, "raw");
	int error;

	if (!raw && strcmp(format, "qcow2"))
		return err_set(err, ENOTSUP,
			"'%s' has the format '%s'; supported are raw and "
			"qcow2",
			name, format);
	fputs(raw ? "{\"protocol\": "
		  : "{\"format\": {\"type\": \"qcow2\", \"file\": "
		    "{\"protocol\": ",
		out);
	error = block_source_beside(file, name, out, err);
	fputs(raw ? "}" : "}}}", out);
	return error;
}

/* "file:x" is a file; "json:..." and "nbd://..." are none. */
static int check_name(const char **name, struct err *err)
{
	size_t plain = strcspn(*name, ":/");

	if ((*name)[plain] != ':')
		return 0;
	if (!strncmp(*name, "file:", 5)) {
		*name += 5;
		return 0;
	}
	return err_set(err, ENOTSUP,
		"the image names '%s', which is no file; say in the document "
		"(backing:) what it is",
		*name);
}

static int name_backing(const struct qcow2_header *header,
	struct block_source *file, char **document, struct err *err)
{
	const char *name = header->backing;
	size_t bytes;
	FILE *out;
	int error = check_name(&name, err);

	if (error)
		return error;
	if (!header->backing_format[0])
		return err_set(err, EINVAL,
			"the image names '%s' but not its format, which is not "
			"guessed; give backing: in the document, or say it in "
			"the image (qemu-img rebase -u -b %s -F FORMAT)",
			name, name);
	out = open_memstream(document, &bytes);
	if (!out)
		return err_set(err, ENOMEM, "no memory for a document");
	error = print_backing(file, name, header->backing_format, out, err);
	fclose(out);
	if (error) {
		free(*document);
		*document = NULL;
	}
	return error;
}

static int backing_co(struct block_core *core, struct block_source *file,
	char **document, struct err *err)
{
	struct qcow2_header *header = malloc(sizeof *header);
	int error;

	*document = NULL;
	if (!header)
		return err_set(err, ENOMEM, "no memory for the header");
	error = read_header_co(core, file, header, NULL, err);
	if (error)
		error = err_wrap(err, "qcow2 in '%s'", block_source_name(file));
	else if (header->backing[0])
		error = name_backing(header, file, document, err);
	free(header);
	return error;
}

/* -- opening -------------------------------------------------------------- */

static void free_all(struct qcow2 *image)
{
	qcow2_map_close(&image->map);
	qcow2_map_fini(image);
}

static void take_sizes(struct qcow2 *image)
{
	struct block_format *format = &image->format;

	image->file_bytes =
		block_source_info(format->file, image->home).size_bytes;
	if (format->backing)
		image->backing_bytes =
			block_source_info(format->backing, image->home)
				.size_bytes;
	qcow2_geometry_set(&image->geometry, image->header.version,
		image->header.cluster_bits,
		image->header.incompatible & QCOW2_EXTENDED_L2);
}

static void honour_bits(struct qcow2 *image)
{
	if (!(image->header.incompatible & QCOW2_CORRUPT))
		return;
	image->corrupt = true;
	image->format.read_only = true;
	log_warning(block_source_name(image->format.file), "corrupt",
		"the image is marked corrupt: it is shown read-only until it "
		"has been repaired (cairn-stack: command qcow2 check)");
}

static int open_co(struct block_format *format, struct err *err)
{
	struct qcow2 *image = qcow2_of(format);
	int error;

	image->home = block_core_lane(format->core, 0);
	error = read_header_co(
		format->core, format->file, &image->header, image->sector, err);
	if (error)
		return error;
	if (image->header.backing[0] && !format->backing)
		return err_set(err, ENOENT, "the backing file '%s' is missing",
			image->header.backing);
	take_sizes(image);
	honour_bits(image);
	if (qcow2_map_init(image))
		error = err_set(err, ENOMEM, "no memory for tables");
	if (!error)
		error = qcow2_map_open_co(image, &image->map,
			image->header.l1_offset, image->header.l1_entries, err);
	if (error)
		free_all(image);
	return error;
}

static void close_co(struct block_format *format)
{
	struct qcow2 *image = qcow2_of(format);

	if (image->helpers) {
		image->closer = co_self();
		co_yield ();
	}
	free_all(image);
}

const struct block_format_kind qcow2_format_kind = {
	.name = "qcow2",
	.help = "QEMU's copy-on-write format, versions 2 and 3",
	.has_backing = true,
	.options = options,
	.options_bytes = sizeof(struct qcow2_options),
	.format_bytes = sizeof(struct qcow2),
	.view = &qcow2_view_kind,
	.backing_co = backing_co,
	.open_co = open_co,
	.close_co = close_co,
};
