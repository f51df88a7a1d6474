/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of https, as target/control/trust keeps it, put into use.
 */
#ifndef WEBUI_API_CERTIFICATE_H
#define WEBUI_API_CERTIFICATE_H

#include "blockcore/base/err.h"
#include "target/control/trust/certificate.h"

#include <openssl/ssl.h>

/* New connections get this pair; those that are there keep theirs. 0 or -errno
 * with *err. */
int api_certificate_use(
	SSL_CTX *ctx, const struct certificate *certificate, struct err *err);
/* The one in the state directory, made if absent. */
int api_certificate_load(SSL_CTX *ctx, const char *directory,
	const char *address, struct err *err);

#endif
