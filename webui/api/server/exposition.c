/* SPDX-License-Identifier: Apache-2.0 */
/* See exposition.h. */
#include "webui/api/server/exposition.h"

#include <inttypes.h>
#include <string.h>

static const struct {
	const char *name, *text_name, *suffix;
} types[] = {
	[EXPOSITION_COUNTER] = {"counter", "counter", "_total"},
	[EXPOSITION_GAUGE] = {"gauge", "gauge", ""},
	[EXPOSITION_HISTOGRAM] = {"histogram", "histogram", ""},
	[EXPOSITION_INFO] = {"info", "gauge", "_info"},
};

void exposition_family(struct exposition *exposition, const char *name,
	enum exposition_type type, const char *help)
{
	/* The older format names the samples, OpenMetrics what they are of. */
	const char *suffix = exposition->open_metrics ? "" : types[type].suffix;
	exposition->family = name;
	exposition->type = type;
	fprintf(exposition->out, "# TYPE %s%s %s\n# HELP %s%s %s\n", name,
		suffix,
		exposition->open_metrics ? types[type].name
					 : types[type].text_name,
		name, suffix, help);
}

static void print_value(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}

/* "name_suffix{a="b",le="x"} "; `le` may be NULL. */
static void begin(const struct exposition *exposition, const char *suffix,
	const struct exposition_label *labels, const char *le)
{
	FILE *out = exposition->out;
	char before = '{';
	fprintf(out, "%s%s", exposition->family, suffix);
	for (; labels && labels->name; labels++) {
		fprintf(out, "%c%s=\"", before, labels->name);
		print_value(out, labels->value);
		fputc('"', out);
		before = ',';
	}
	if (le)
		fprintf(out, "%cle=\"%s\"", before, le);
	fputs(le || before == ',' ? "} " : " ", out);
}

void exposition_count(struct exposition *exposition,
	const struct exposition_label *labels, uint64_t value)
{
	begin(exposition, types[exposition->type].suffix, labels, NULL);
	fprintf(exposition->out, "%" PRIu64 "\n", value);
}

void exposition_value(struct exposition *exposition,
	const struct exposition_label *labels, double value)
{
	begin(exposition, types[exposition->type].suffix, labels, NULL);
	fprintf(exposition->out, "%.9g\n", value);
}

void exposition_histogram(struct exposition *exposition,
	const struct exposition_label *labels, unsigned buckets,
	const uint64_t *count, uint64_t (*bound_ns)(unsigned bucket),
	uint64_t total_ns)
{
	uint64_t sum = 0;
	char le[32];
	for (unsigned i = 0; i < buckets; i++) {
		uint64_t bound = bound_ns(i);
		sum += count[i];
		if (bound)
			snprintf(le, sizeof le, "%.9g", (double)bound / 1e9);
		begin(exposition, "_bucket", labels, bound ? le : "+Inf");
		fprintf(exposition->out, "%" PRIu64 "\n", sum);
	}
	begin(exposition, "_count", labels, NULL);
	fprintf(exposition->out, "%" PRIu64 "\n", sum);
	begin(exposition, "_sum", labels, NULL);
	fprintf(exposition->out, "%.9g\n", (double)total_ns / 1e9);
}

void exposition_end(struct exposition *exposition)
{
	if (exposition->open_metrics)
		fputs("# EOF\n", exposition->out);
}
