/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALID_DAYS 397

static int ssl_error(struct err *err, const char *what)
{
	char text[256];
	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	return err_set(err, EIO, "%s: %s", what, text);
}

static int add_extension(X509 *cert, int kind, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, &context, kind, value);
	int added = extension && X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return added;
}

static X509 *make_certificate(EVP_PKEY *key, const char *address)
{
	char host[65] = "localhost", names[256];
	uint64_t serial;
	X509 *cert = X509_new();
	gethostname(host, sizeof host - 1);
	snprintf(names, sizeof names,
		"DNS:localhost,IP:127.0.0.1,IP:::1,DNS:%s,IP:%s", host,
		address);
	if (!cert || getentropy(&serial, sizeof serial))
		return NULL;
	X509_set_version(cert, 2);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -300);
	X509_gmtime_adj(X509_getm_notAfter(cert), VALID_DAYS * 86400L);
	X509_NAME *name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(cert, name);
	if (X509_set_pubkey(cert, key) &&
		add_extension(cert, NID_subject_alt_name, names) &&
		add_extension(
			cert, NID_basic_constraints, "critical,CA:FALSE") &&
		X509_sign(cert, key, EVP_sha256()))
		return cert;
	X509_free(cert);
	return NULL;
}

static FILE *create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static int make(const char *crt, const char *key_path, const char *address,
	struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key ? make_certificate(key, address) : NULL;
	FILE *key_file = create(key_path), *crt_file = create(crt);
	bool well = cert && key_file && crt_file &&
		PEM_write_PrivateKey(
			key_file, key, NULL, NULL, 0, NULL, NULL) &&
		PEM_write_X509(crt_file, cert);
	if (key_file && fclose(key_file))
		well = false;
	if (crt_file && fclose(crt_file))
		well = false;
	X509_free(cert);
	EVP_PKEY_free(key);
	return well ? 0 : ssl_error(err, "no certificate can be made");
}

int certificate_load(SSL_CTX *ctx, const char *directory, const char *address,
	struct err *err)
{
	char crt[4096], key[4096];
	snprintf(crt, sizeof crt, "%s/api.crt", directory);
	snprintf(key, sizeof key, "%s/api.key", directory);
	if (access(crt, F_OK) || access(key, F_OK)) {
		int failed = make(crt, key, address, err);
		if (failed)
			return failed;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, crt) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return ssl_error(err, crt);
	return 0;
}
