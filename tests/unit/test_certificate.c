/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate: made as browsers want it, found again after a restart,
 * renewed in time, replaced by one that fits and by nothing else.
 */
#include "target/control/trust/certificate.h"
#include "target/control/trust/private_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S 86400
#define NOW_S 1795600000 /* November 2026 */

static const struct certificate_names names = {
	3, {"cairn.example", "192.0.2.7", "2001:db8::7"}};

struct place {
	char root[64], path[80];
};

static int open_place(void **state)
{
	static struct place place;
	snprintf(place.root, sizeof place.root, "/tmp/cairn-cert.XXXXXX");
	if (!mkdtemp(place.root))
		return -1;
	snprintf(place.path, sizeof place.path, "%s/tls.pem", place.root);
	*state = &place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", place->root);
	return system(command);
}

static struct certificate *load(struct place *place, int64_t now_s)
{
	struct err err = {0};
	struct certificate *c =
		certificate_load(place->path, &names, now_s, &err);
	if (!c)
		fail_msg("%s", err.text);
	return c;
}

/* What was written to `out`, which is freed; the caller frees the text. */
static char *take_text(BIO *out)
{
	char *data;
	long bytes = BIO_get_mem_data(out, &data);
	assert_true(bytes > 0);
	char *text = strndup(data, (size_t)bytes);
	BIO_free(out);
	return text;
}

/* The two texts of a pair; the caller frees. */
static void print(const struct certificate *c, char **chain, char **key)
{
	BIO *out = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(out, c->leaf);
	*chain = take_text(out);
	out = BIO_new(BIO_s_mem());
	PEM_write_bio_PKCS8PrivateKey(out, c->key, NULL, NULL, 0, NULL, NULL);
	*key = take_text(out);
}

static void first_start_makes_one(void **state)
{
	struct place *place = *state;
	struct stat found;
	struct certificate *c = load(place, NOW_S);
	assert_true(c->ours && c->fresh);
	assert_int_equal(EVP_PKEY_get_base_id(c->key), EVP_PKEY_EC);
	assert_int_equal(EVP_PKEY_get_bits(c->key), 256);
	assert_int_equal(c->not_after_s - c->not_before_s, 397 * DAY_S);
	assert_true(c->not_before_s <= NOW_S);
	assert_int_equal(
		X509_check_host(c->leaf, "cairn.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(c->leaf, "192.0.2.7", 0), 1);
	assert_int_equal(X509_check_ip_asc(c->leaf, "2001:db8::7", 0), 1);
	assert_int_equal(X509_check_ip_asc(c->leaf, "192.0.2.8", 0), 0);
	assert_int_equal(c->names.count, 3);
	assert_int_equal(strlen(c->fingerprint), 95);
	assert_int_equal(stat(place->path, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0600);
	certificate_free(c);
}

static void next_start_finds_it(void **state)
{
	struct place *place = *state;
	struct certificate *first = load(place, NOW_S);
	struct certificate *again = load(place, NOW_S + 300 * DAY_S);
	assert_string_equal(first->fingerprint, again->fingerprint);
	assert_false(again->fresh);
	certificate_free(first);
	certificate_free(again);
}

static void renewed_at_80_percent(void **state)
{
	struct place *place = *state;
	struct certificate *first = load(place, NOW_S);
	int64_t due = first->not_before_s + 397 * DAY_S / 5 * 4;
	assert_false(certificate_due(first, due - 1));
	assert_true(certificate_due(first, due));
	struct certificate *next = load(place, due);
	assert_string_not_equal(first->fingerprint, next->fingerprint);
	assert_int_equal(next->not_before_s, due - 3600);
	certificate_free(first);
	certificate_free(next);
}

static void operators_own_is_kept(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	char *chain, *key;
	struct certificate *c = certificate_make(&names, NOW_S, &err);
	c->ours = false;
	print(c, &chain, &key);
	struct certificate *parsed =
		certificate_parse(chain, key, NOW_S + 1, &err);
	assert_non_null(parsed);
	assert_int_equal(certificate_save(parsed, place->path, &err), 0);
	struct certificate *loaded = load(place, NOW_S + 1);
	assert_string_equal(loaded->fingerprint, c->fingerprint);
	certificate_free(c);
	certificate_free(parsed);
	certificate_free(loaded);
	free(chain);
	free(key);
}

static void refuse(
	const char *chain, const char *key, int64_t now_s, const char *because)
{
	struct err err = {0};
	struct certificate *c = certificate_parse(chain, key, now_s, &err);
	assert_null(c);
	assert_int_equal(err.code, EINVAL);
	if (!strstr(err.text, because))
		fail_msg("\"%s\" does not say \"%s\"", err.text, because);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct err err = {0};
	char *chain, *key, *other_chain, *other_key, joined[8192];
	struct certificate *c = certificate_make(&names, NOW_S, &err);
	struct certificate *other = certificate_make(&names, NOW_S, &err);
	print(c, &chain, &key);
	print(other, &other_chain, &other_key);
	refuse(chain, other_key, NOW_S, "does not belong");
	refuse("nothing", key, NOW_S, "no certificate");
	refuse(chain, "nothing", NOW_S, "no private key");
	refuse(chain, key, NOW_S + 398 * DAY_S, "run out");
	refuse(chain, key, NOW_S - 2 * DAY_S, "not valid yet");
	snprintf(joined, sizeof joined, "%s%s", chain, other_chain);
	refuse(joined, key, NOW_S, "did not issue");
	snprintf(joined, sizeof joined, "%s%.200s\n", chain, other_chain);
	refuse(joined, key, NOW_S, "to its end");
	certificate_free(c);
	certificate_free(other);
	free(chain);
	free(key);
	free(other_chain);
	free(other_key);
}

static void weak_key_is_refused(void **state)
{
	(void)state;
	struct err err = {0};
	char *chain, *key, *weak_chain, *weak_key;
	struct certificate *c = certificate_make(&names, NOW_S, &err);
	print(c, &chain, &key);
	EVP_PKEY_free(c->key);
	c->key = EVP_RSA_gen(1024);
	print(c, &weak_chain, &weak_key);
	refuse(chain, weak_key, NOW_S, "too weak");
	certificate_free(c);
	free(chain);
	free(key);
	free(weak_chain);
	free(weak_key);
}

static void damaged_file_says_what_to_do(void **state)
{
	struct place *place = *state;
	struct err err = {0};
	assert_int_equal(
		private_file_write(place->path, "damaged", 7, &err), 0);
	assert_null(certificate_load(place->path, &names, NOW_S, &err));
	assert_non_null(strstr(err.text, place->path));
	assert_non_null(strstr(err.text, "move the file away"));
}

static void names_are_collected(void **state)
{
	(void)state;
	struct certificate_names found = {0};
	certificate_collect_names(&found, "192.0.2.7");
	certificate_collect_names(&found, "192.0.2.7");
	bool local = false, own = false;
	for (unsigned i = 0; i < found.count; i++) {
		local |= !strcmp(found.name[i], "localhost");
		own |= !strcmp(found.name[i], "192.0.2.7");
	}
	assert_true(local && own);
	assert_true(found.count <= 5);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, open_place, close_place)
	const struct CMUnitTest tests[] = {
		TEST(first_start_makes_one),
		TEST(next_start_finds_it),
		TEST(renewed_at_80_percent),
		TEST(operators_own_is_kept),
		TEST(what_does_not_fit_is_refused),
		TEST(weak_key_is_refused),
		TEST(damaged_file_says_what_to_do),
		TEST(names_are_collected),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
