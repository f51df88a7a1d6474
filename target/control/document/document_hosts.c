/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts of the appliance document. All conditions of a host are required
 * together; a host without a name that it may log in with is a mistake, not an
 * open door.
 */
#include "target/control/document/document_parts.h"

#include "blockcore/base/opts.h"
#include "target/control/document/names.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_options {
	char *name;
	const struct doc *addresses, *iscsi;
};
struct iscsi_options {
	const struct doc *iqn, *chap;
};
struct chap_options {
	char *user, *secret_file;
	const struct doc *secret, *mutual;
	int weak_hashes;
};

/* In the order of enum access_weak. */
static const char *const weak_hashes[] = {"allowed", "forbidden", NULL};

#define ROW(of, key, kind, more, text) \
	{ \
		.name = #key, .type = kind, .flags = more, \
		.offset = offsetof(struct of, key), .help = text \
	}
static const struct opt_spec host_specs[] = {
	ROW(host_options, name, OPT_STRING, 0, "what exports call it"),
	ROW(host_options, addresses, OPT_DOC, OPT_OPTIONAL,
		"networks it may come from; none: any"),
	ROW(host_options, iscsi, OPT_DOC, 0,
		"how it logs in by iSCSI: {iqn: [...], chap: {...}}"),
	OPT_END};
static const struct opt_spec iscsi_specs[] = {
	ROW(iscsi_options, iqn, OPT_DOC, 0,
		"its names; 'start*' for all that begin so, '*' for any"),
	ROW(iscsi_options, chap, OPT_DOC, OPT_OPTIONAL,
		"how it proves itself; without it the name is enough"),
	OPT_END};
#define CHAP_ROWS \
	ROW(chap_options, user, OPT_STRING, 0, "CHAP name"), \
		ROW(chap_options, secret, OPT_DOC, OPT_OPTIONAL, \
			"12 bytes or more; null: as before"), \
		ROW(chap_options, secret_file, OPT_STRING, OPT_OPTIONAL, \
			"file that holds it")
static const struct opt_spec chap_specs[] = {CHAP_ROWS,
	{.name = "weak_hashes",
		.type = OPT_ENUM,
		.offset = offsetof(struct chap_options, weak_hashes),
		.choices = weak_hashes,
		.fallback = "allowed",
		.help = "MD5 and SHA-1; most hosts know no other"},
	ROW(chap_options, mutual, OPT_DOC, OPT_OPTIONAL,
		"how we prove ourselves to it: {user, secret}"),
	OPT_END};
static const struct opt_spec mutual_specs[] = {CHAP_ROWS, OPT_END};

void document_print_hosts_help(FILE *out)
{
	fputs("Each of hosts:\n", out);
	opts_print_help(host_specs, out);
	fputs("In iscsi of a host:\n", out);
	opts_print_help(iscsi_specs, out);
	fputs("In chap of iscsi (and mutual, the first three):\n", out);
	opts_print_help(chap_specs, out);
}

#define SCHEMA_SECRET \
	{ \
		"secret", \
			"\"type\": [\"string\", \"null\"], " \
			"\"minLength\": 12, \"maxLength\": 255, " \
	}
#define SCHEMA_SIDE \
	{"user", "\"minLength\": 1, \"maxLength\": 255, "}, SCHEMA_SECRET, \
	{ \
		"", \
			"\"oneOf\": [{\"required\": [\"secret\"]}, " \
			"{\"required\": [\"secret_file\"]}], " \
	}
#define SCHEMA_OR_NULL(kind) \
	"\"anyOf\": [{\"$ref\": \"#/$defs/" kind "\"}, {\"type\": " \
	"\"null\"}], "

void document_print_host_schema(FILE *out)
{
	static const struct opt_schema host[] = {{"name", DOCUMENT_NAME_SCHEMA},
		{"addresses",
			"\"type\": \"array\", \"minItems\": 1, \"items\": "
			"{\"type\": \"string\", \"maxLength\": 64}, "},
		{"iscsi", "\"$ref\": \"#/$defs/iscsi\", "}, {NULL, NULL}};
	static const struct opt_schema iscsi[] = {
		{"iqn",
			"\"type\": \"array\", \"minItems\": 1, \"items\": "
			"{\"type\": \"string\", \"minLength\": 1, "
			"\"maxLength\": 223}, "},
		{"chap", SCHEMA_OR_NULL("chap")}, {NULL, NULL}};
	static const struct opt_schema chap[] = {SCHEMA_SIDE,
		{"mutual", SCHEMA_OR_NULL("mutual")}, {NULL, NULL}};
	static const struct opt_schema mutual[] = {SCHEMA_SIDE, {NULL, NULL}};
	_Static_assert(DOCUMENT_MIN_SECRET_BYTES == 12 &&
			DOCUMENT_MAX_SECRET_BYTES == 255,
		"as the schema says");
	fputs("\"host\": ", out);
	opts_print_schema_with(host_specs, host, out);
	fputs(",\n\"iscsi\": ", out);
	opts_print_schema_with(iscsi_specs, iscsi, out);
	fputs(",\n\"chap\": ", out);
	opts_print_schema_with(chap_specs, chap, out);
	fputs(",\n\"mutual\": ", out);
	opts_print_schema_with(mutual_specs, mutual, out);
}

/* -- secrets ---------------------------------------------------------------- */

/* One side of CHAP: the user's name and where its secret is. */
static int read_side(struct document_host *host, enum state_secret kind,
	const struct doc *node, struct chap_options *o, char **user,
	char **secret, struct err *err)
{
	const struct doc *given = doc_find(node, "secret");
	const struct doc *file = doc_find(node, "secret_file");
	host->at[kind] = node;
	host->file[kind] = file ? file->text : NULL;
	*user = o->user;
	o->user = NULL;
	if (!**user || strlen(*user) > 255)
		return doc_error(doc_find(node, "user"), err, EINVAL,
			"1 to 255 bytes are expected");
	if (!given == !file)
		return doc_error(node, err, EINVAL,
			"either secret or secret_file is expected");
	return given ? document_take_secret(given, secret, err) : 0;
}

static int read_mutual(struct access_chap *chap, struct document_host *host,
	const struct doc *node, struct err *err)
{
	struct chap_options o;
	if (opts_parse(mutual_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	int failed = read_side(host, STATE_MUTUAL, node, &o, &chap->mutual_user,
		&chap->mutual_secret, err);
	opts_free(mutual_specs, &o);
	return failed;
}

static int read_chap(struct access_chap *chap, struct document_host *host,
	const struct doc *node, struct err *err)
{
	struct chap_options o;
	if (!node || node->kind == DOC_NULL)
		return 0;
	if (opts_parse(chap_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	chap->weak = (enum access_weak)o.weak_hashes;
	int failed = read_side(
		host, STATE_CHAP, node, &o, &chap->user, &chap->secret, err);
	if (!failed && o.mutual && o.mutual->kind != DOC_NULL)
		failed = read_mutual(chap, host, o.mutual, err);
	opts_free(chap_specs, &o);
	return failed;
}

/* -- names and addresses ---------------------------------------------------- */

static bool fold_pattern(char folded[ACCESS_NAME_BYTES], const char *text)
{
	size_t length = strlen(text);
	if (!length || text[length - 1] != '*')
		return access_fold_name(folded, text, length);
	if (length >= ACCESS_NAME_BYTES ||
		strchr(text, '*') < text + length - 1)
		return false;
	memcpy(folded, text, length + 1);
	name_fold(folded);
	return true;
}

static int read_iqn(
	struct access_host *host, const struct doc *node, struct err *err)
{
	char folded[ACCESS_NAME_BYTES];
	const char *text;
	int failed = doc_text(node, &text, err);
	if (failed)
		return failed;
	if (!fold_pattern(folded, text))
		return doc_error(node, err, EINVAL,
			"\"%s\" is no iSCSI name (iqn., eui., naa.), start of "
			"one with '*' behind it, or '*'",
			text);
	host->iqn[host->iqns] = strdup(folded);
	if (!host->iqn[host->iqns])
		return err_set(err, ENOMEM, "out of memory");
	host->iqns++;
	return 0;
}

static int read_iqns(
	struct access_host *host, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_HOSTS, &count, err))
		return -EINVAL;
	if (!count)
		return doc_error(list, err, EINVAL,
			"at least one name is expected; ['*'] lets any name "
			"in");
	host->iqn = calloc(count, sizeof *host->iqn);
	if (!host->iqn)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = list->first; node; node = node->next) {
		int failed = read_iqn(host, node, err);
		if (failed)
			return failed;
	}
	return 0;
}

static int read_network(
	struct access_host *host, const struct doc *node, struct err *err)
{
	struct err why = {0};
	const char *text;
	int failed = doc_text(node, &text, err);
	if (failed)
		return failed;
	if (access_parse_network(text, &host->network[host->networks], &why))
		return doc_error(node, err, EINVAL, "%s", why.text);
	host->networks++;
	return 0;
}

static int read_networks(
	struct access_host *host, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_HOSTS, &count, err))
		return -EINVAL;
	if (list && !count)
		return doc_error(list, err, EINVAL,
			"an empty list lets nobody in; leave the key out to "
			"allow any address");
	host->network = calloc(count + 1, sizeof *host->network);
	if (!host->network)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		int failed = read_network(host, node, err);
		if (failed)
			return failed;
	}
	return 0;
}

/* -- hosts ------------------------------------------------------------------ */

static int check_name(const struct document *document, const struct doc *node,
	const char *name, struct err *err)
{
	const struct doc *at = doc_find(node, "name");
	if (!name_is_plain(name))
		return doc_error(at, err, EINVAL, NAME_PLAIN_RULE, name);
	if (map_find_text(&document->host_names, name))
		return doc_error(at, err, EEXIST,
			"a host \"%s\" is there already", name);
	return 0;
}

static int read_iscsi(struct access_host *host, struct document_host *origin,
	const struct doc *node, struct err *err)
{
	struct iscsi_options o;
	int failed = opts_parse(iscsi_specs, node, NULL, &o, sizeof o, err);
	if (!failed)
		failed = read_iqns(host, o.iqn, err);
	if (!failed)
		failed = read_chap(&host->chap, origin, o.chap, err);
	return failed;
}

/* The host counts from the first field that it owns, so that a mistake behind it
 * frees all. */
static int read_host(
	struct document *document, const struct doc *node, struct err *err)
{
	struct host_options o;
	if (opts_parse(host_specs, node, NULL, &o, sizeof o, err))
		return -EINVAL;
	int failed = check_name(document, node, o.name, err);
	if (failed) {
		opts_free(host_specs, &o);
		return failed;
	}
	struct access_host *host = access_host_new();
	if (!host) {
		opts_free(host_specs, &o);
		return err_set(err, ENOMEM, "out of memory");
	}
	struct document_host *origin = &document->host[document->hosts];
	document->table->host[document->hosts++] = host;
	document->table->hosts = document->hosts;
	host->name = o.name;
	if (map_put_text(&document->host_names, host->name, host))
		return err_set(err, ENOMEM, "out of memory");
	failed = read_networks(host, o.addresses, err);
	return failed ? failed : read_iscsi(host, origin, o.iscsi, err);
}

int document_read_hosts(
	struct document *document, const struct doc *list, struct err *err)
{
	unsigned count;
	if (document_count(list, DOCUMENT_MAX_HOSTS, &count, err))
		return -EINVAL;
	document->host = calloc(count + 1, sizeof *document->host);
	document->table->host =
		calloc(count + 1, sizeof *document->table->host);
	if (!document->host || !document->table->host)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct doc *node = count ? list->first : NULL; node;
		node = node->next) {
		int failed = read_host(document, node, err);
		if (failed)
			return failed;
	}
	return 0;
}
