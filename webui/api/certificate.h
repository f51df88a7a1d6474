/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of https: self-signed, P-256, made at the first start and kept
 * in the state directory (api.crt, api.key, 0600).
 */
#ifndef WEBUI_API_CERTIFICATE_H
#define WEBUI_API_CERTIFICATE_H

#include "blockcore/base/err.h"

#include <openssl/ssl.h>

/* Puts it into `ctx`. 0 or -errno with *err. */
int certificate_load(SSL_CTX *ctx, const char *directory, const char *address,
	struct err *err);

#endif
