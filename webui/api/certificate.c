/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of https; see certificate.h. */
#include "webui/api/certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int api_certificate_use(
	SSL_CTX *ctx, const struct certificate *certificate, struct err *err)
{
	if (SSL_CTX_use_cert_and_key(ctx, certificate->leaf, certificate->key,
		    certificate->chain, 1) == 1)
		return 0;
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return err_set(err, EINVAL, "the certificate cannot be used: %s",
		reason ? reason : "unknown");
}

int api_certificate_load(SSL_CTX *ctx, const char *directory,
	const char *address, struct err *err)
{
	char path[4096];
	struct certificate_names *names = calloc(1, sizeof *names);
	if (!names)
		return err_set(err, ENOMEM, "out of memory");
	certificate_collect_names(names, address);
	snprintf(path, sizeof path, "%s/api.pem", directory);
	struct certificate *certificate =
		certificate_load(path, names, time(NULL), err);
	free(names);
	if (!certificate)
		return -EIO;
	int failed = api_certificate_use(ctx, certificate, err);
	certificate_free(certificate);
	return failed;
}
