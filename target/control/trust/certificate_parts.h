/* SPDX-License-Identifier: Apache-2.0 */
/* What the files certificate*.c share. */
#ifndef TARGET_CONTROL_TRUST_CERTIFICATE_PARTS_H
#define TARGET_CONTROL_TRUST_CERTIFICATE_PARTS_H

#include "target/control/trust/certificate.h"

#include <openssl/bio.h>

/* The organisation by which we know our own. */
#define CERTIFICATE_OURS "Cairn self-signed"

/* "what: OpenSSL's words"; empties OpenSSL's queue. Returns -code. */
int certificate_error(struct err *err, int code, const char *what);

/* A pair of leaf, chain and key, all of them taken over (freed on failure), with
 * what is read from the leaf filled in. NULL with *err. */
struct certificate *certificate_adopt(
	X509 *leaf, STACK_OF(X509) * chain, EVP_PKEY *key, struct err *err);

/* As certificate_parse, from one text that holds all, without asking whether the
 * leaf is valid now. */
struct certificate *certificate_parse_whole(const char *pem, struct err *err);

#endif
