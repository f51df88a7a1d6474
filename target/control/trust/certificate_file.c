/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of the certificate: read, made when absent, renewed, replaced.
 */
#include "target/control/trust/certificate_parts.h"

#include "blockcore/base/log.h"
#include "target/control/trust/private_file.h"

#include <errno.h>
#include <openssl/pem.h>
#include <string.h>

/* In memory that is wiped when the BIO goes. */
static bool print_pair(BIO *out, const struct certificate *c)
{
	bool well = PEM_write_bio_X509(out, c->leaf) == 1;
	for (int i = 0; well && i < sk_X509_num(c->chain); i++)
		well = PEM_write_bio_X509(out, sk_X509_value(c->chain, i)) == 1;
	return well &&
		PEM_write_bio_PKCS8PrivateKey(
			out, c->key, NULL, NULL, 0, NULL, NULL) == 1;
}

int certificate_save(const struct certificate *certificate, const char *path,
	struct err *err)
{
	BIO *out = BIO_new(BIO_s_secmem());
	char *text;
	int failed = 0;
	if (!out || !print_pair(out, certificate))
		failed = certificate_error(
			err, ENOMEM, "the certificate cannot be written");
	if (!failed) {
		long bytes = BIO_get_mem_data(out, &text);
		failed = private_file_write(path, text, (size_t)bytes, err);
	}
	BIO_free(out);
	return failed;
}

static struct certificate *make_and_save(const char *path,
	const struct certificate_names *names, int64_t now_s, struct err *err)
{
	struct certificate *c = certificate_make(names, now_s, err);
	if (c && certificate_save(c, path, err)) {
		certificate_free(c);
		return NULL;
	}
	if (c) {
		c->fresh = true;
		log_info("certificate", "made", "self-signed, SHA-256 %s",
			c->fingerprint);
	}
	return c;
}

static struct certificate *read_file(const char *path, struct err *err)
{
	char *pem = private_file_read(path, 2 * CERTIFICATE_MAX_BYTES, err);
	struct certificate *c = pem ? certificate_parse_whole(pem, err) : NULL;
	private_file_free(pem);
	if (pem && !c)
		err_wrap(err, "%s", path);
	return c;
}

struct certificate *certificate_load(const char *path,
	const struct certificate_names *names, int64_t now_s, struct err *err)
{
	struct err why = {0};
	struct certificate *c = read_file(path, &why);
	if (!c && why.code == ENOENT)
		return make_and_save(path, names, now_s, err);
	if (!c) {
		err_set(err, why.code,
			"%s; move the file away to get a new self-signed "
			"certificate",
			why.text);
		return NULL;
	}
	if (c->ours && certificate_due(c, now_s)) {
		certificate_free(c);
		return make_and_save(path, names, now_s, err);
	}
	if (now_s >= c->not_after_s)
		log_warning("certificate", "run out",
			"%s: clients will refuse it; replace it", path);
	return c;
}
