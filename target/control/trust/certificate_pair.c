/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of certificate and key: read from PEM, checked, described.
 */
#include "target/control/trust/certificate.h"

#include "target/control/trust/certificate_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int certificate_error(struct err *err, int code, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return err_set(err, code, reason ? "%s: %s" : "%s", what, reason);
}

void certificate_free(struct certificate *certificate)
{
	if (!certificate)
		return;
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key); /* wipes */
	free(certificate);
}

/* -- what a leaf says ------------------------------------------------------- */

static int64_t time_of(const ASN1_TIME *time)
{
	struct tm broken = {0};
	return ASN1_TIME_to_tm(time, &broken) == 1 ? timegm(&broken) : 0;
}

static void describe_name(const X509_NAME *name, char *out, size_t bytes)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *text = NULL;
	long length = 0;
	if (memory && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) >= 0)
		length = BIO_get_mem_data(memory, &text);
	snprintf(out, bytes, "%.*s", (int)length, text ? text : "");
	BIO_free(memory);
}

static void describe_fingerprint(const X509 *leaf, char *out)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;
	*out = '\0';
	if (!X509_digest(leaf, EVP_sha256(), digest, &bytes))
		return;
	for (unsigned i = 0; i < bytes; i++)
		out += sprintf(out, i ? ":%02X" : "%02X", digest[i]);
}

static void describe_alternative(
	struct certificate_names *names, const GENERAL_NAME *name)
{
	char text[256] = "";
	if (name->type == GEN_DNS)
		snprintf(text, sizeof text, "%.*s",
			ASN1_STRING_length(name->d.dNSName),
			ASN1_STRING_get0_data(name->d.dNSName));
	else if (name->type == GEN_IPADD)
		inet_ntop(ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET
								     : AF_INET6,
			ASN1_STRING_get0_data(name->d.iPAddress), text,
			sizeof text);
	certificate_add_name(names, text);
}

static void describe_names(struct certificate_names *names, const X509 *leaf)
{
	GENERAL_NAMES *all =
		X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
		describe_alternative(names, sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
}

static bool is_ours(const X509 *leaf)
{
	char organisation[64] = "";
	const X509_NAME *subject = X509_get_subject_name(leaf);
	X509_NAME_get_text_by_NID((X509_NAME *)subject, NID_organizationName,
		organisation, sizeof organisation);
	return !strcmp(organisation, CERTIFICATE_OURS) &&
		!X509_NAME_cmp(subject, X509_get_issuer_name(leaf));
}

static void describe(struct certificate *c)
{
	c->ours = is_ours(c->leaf);
	c->not_before_s = time_of(X509_get0_notBefore(c->leaf));
	c->not_after_s = time_of(X509_get0_notAfter(c->leaf));
	describe_name(
		X509_get_subject_name(c->leaf), c->subject, sizeof c->subject);
	describe_name(
		X509_get_issuer_name(c->leaf), c->issuer, sizeof c->issuer);
	describe_fingerprint(c->leaf, c->fingerprint);
	describe_names(&c->names, c->leaf);
}

struct certificate *certificate_adopt(
	X509 *leaf, STACK_OF(X509) * chain, EVP_PKEY *key, struct err *err)
{
	struct certificate *c = calloc(1, sizeof *c);
	if (!c || !leaf || !key || !chain) {
		certificate_error(err, ENOMEM, "out of memory");
		X509_free(leaf);
		sk_X509_pop_free(chain, X509_free);
		EVP_PKEY_free(key);
		free(c);
		return NULL;
	}
	c->leaf = leaf;
	c->chain = chain;
	c->key = key;
	describe(c);
	return c;
}

/* -- checks ----------------------------------------------------------------- */

/* The least that is worth anything today. Curves are strong enough as a family;
 * old ones of 192 bits are not. */
static int check_key(EVP_PKEY *key, struct err *err)
{
	int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
	if (kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448 ||
		(kind == EVP_PKEY_EC && bits >= 256) ||
		((kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) &&
			bits >= 2048))
		return 0;
	return err_set(err, EINVAL,
		"the key is too weak (%d bits): RSA of at least 2048 bits, EC "
		"of at least 256, or Ed25519 is expected",
		bits);
}

/* Each was issued by the next. */
static int check_chain(const struct certificate *c, struct err *err)
{
	X509 *below = c->leaf;
	for (int i = 0; i < sk_X509_num(c->chain); i++) {
		X509 *above = sk_X509_value(c->chain, i);
		EVP_PKEY *signer = X509_get0_pubkey(above);
		if (X509_check_issued(above, below) != X509_V_OK || !signer ||
			X509_verify(below, signer) != 1) {
			ERR_clear_error();
			return err_set(err, EINVAL,
				"certificate %d of the chain did not issue the "
				"one before it: put the server's own first, "
				"then each issuer",
				i + 2);
		}
		below = above;
	}
	return 0;
}

static int check_time(
	const struct certificate *c, int64_t now_s, struct err *err)
{
	if (now_s < c->not_before_s)
		return err_set(err, EINVAL,
			"the certificate is not valid yet: look at this "
			"machine's clock");
	if (now_s >= c->not_after_s)
		return err_set(err, EINVAL, "the certificate has run out");
	return 0;
}

static int check_pair(const struct certificate *c, struct err *err)
{
	int failed = check_key(c->key, err);
	if (failed)
		return failed;
	if (X509_check_private_key(c->leaf, c->key) != 1) {
		ERR_clear_error();
		return err_set(err, EINVAL,
			"the key does not belong to the first certificate");
	}
	if (X509_check_purpose(c->leaf, X509_PURPOSE_SSL_SERVER, 0) != 1)
		return err_set(err, EINVAL,
			"the first certificate is not for a server (extended "
			"key usage serverAuth)");
	return check_chain(c, err);
}

/* -- PEM -------------------------------------------------------------------- */

/* Instead of asking on the terminal. */
static int no_passphrase(char *out, int bytes, int writing, void *argument)
{
	(void)out, (void)bytes, (void)writing, (void)argument;
	return -1;
}

static int read_chain(
	const char *pem, X509 **leaf, STACK_OF(X509) * chain, struct err *err)
{
	BIO *memory = BIO_new_mem_buf(pem, -1);
	X509 *next;
	*leaf = memory ? PEM_read_bio_X509(memory, NULL, no_passphrase, NULL)
		       : NULL;
	while (*leaf &&
		(next = PEM_read_bio_X509(memory, NULL, no_passphrase, NULL)))
		if (sk_X509_num(chain) >= (int)CERTIFICATE_MAX_CHAIN ||
			!sk_X509_push(chain, next)) {
			X509_free(next);
			break;
		}
	bool ended =
		ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	BIO_free(memory);
	if (!*leaf)
		return certificate_error(err, EINVAL,
			"no certificate can be read (PEM, \"-----BEGIN "
			"CERTIFICATE-----\" is expected)");
	if (!ended)
		return certificate_error(err, EINVAL,
			"the chain cannot be read to its end, or is longer "
			"than 11 certificates");
	ERR_clear_error();
	return 0;
}

static EVP_PKEY *read_key(const char *pem, struct err *err)
{
	BIO *memory = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = memory
		? PEM_read_bio_PrivateKey(memory, NULL, no_passphrase, NULL)
		: NULL;
	BIO_free(memory);
	if (!key)
		certificate_error(err, EINVAL,
			"no private key can be read (PEM, without a "
			"passphrase)");
	ERR_clear_error();
	return key;
}

static struct certificate *parse_pair(
	const char *chain_pem, const char *key_pem, struct err *err)
{
	X509 *leaf = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	EVP_PKEY *key = NULL;
	if (chain && !read_chain(chain_pem, &leaf, chain, err))
		key = read_key(key_pem, err);
	if (!key) {
		X509_free(leaf);
		sk_X509_pop_free(chain, X509_free);
		return NULL;
	}
	struct certificate *c = certificate_adopt(leaf, chain, key, err);
	if (c && check_pair(c, err)) {
		certificate_free(c);
		return NULL;
	}
	return c;
}

struct certificate *certificate_parse_whole(const char *pem, struct err *err)
{
	return parse_pair(pem, pem, err);
}

struct certificate *certificate_parse(
	const char *chain, const char *key, int64_t now_s, struct err *err)
{
	if (strlen(chain) > CERTIFICATE_MAX_BYTES ||
		strlen(key) > CERTIFICATE_MAX_BYTES) {
		err_set(err, EFBIG,
			"a PEM text of at most %u bytes is expected",
			CERTIFICATE_MAX_BYTES);
		return NULL;
	}
	struct certificate *c = parse_pair(chain, key, err);
	if (c && check_time(c, now_s, err)) {
		certificate_free(c);
		return NULL;
	}
	return c;
}

bool certificate_due(const struct certificate *c, int64_t now_s)
{
	int64_t whole = c->not_after_s - c->not_before_s;
	return now_s - c->not_before_s >= whole / 5 * 4;
}
