/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate that the REST interface shows: one that is made on first start,
 * or the operator's own, replaceable while everything runs.
 *
 *	PATH	one PEM file, 0600: the leaf, what leads from it to a root, the key.
 *		One file, so that a replacement is one rename: a crash leaves the
 *		old pair or the new one, never a key without its certificate.
 *
 * Ours: P-256, ECDSA with SHA-256, 397 days (what browsers still take), for
 * serverAuth, SAN = the names given; renewed when 80 % of its time has passed.
 * The operator's is never touched: certificate_due only says so.
 *
 * Invariants
 *  1. A pair that does not match, a key that is weak or locked, a chain that does
 *     not lead upward, or a leaf that is not valid now is refused as a whole.
 *  2. The key is never printed nor handed out but as an EVP_PKEY to TLS.
 *  3. Control thread only.
 */
#ifndef TARGET_CONTROL_TRUST_CERTIFICATE_H
#define TARGET_CONTROL_TRUST_CERTIFICATE_H

#include "blockcore/base/err.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#define CERTIFICATE_DAYS 397
#define CERTIFICATE_MAX_NAMES 32u
#define CERTIFICATE_MAX_CHAIN 10u
#define CERTIFICATE_MAX_BYTES (256u << 10) /* of a PEM text */

/* Names for a SAN: DNS names and numeric addresses, each once. */
struct certificate_names {
	unsigned count;
	char name[CERTIFICATE_MAX_NAMES][256];
};
void certificate_add_name(struct certificate_names *names, const char *name);
/* The host's name, localhost, and the addresses by which `address` is reached:
 * for 0.0.0.0 and "::" those of all interfaces. */
void certificate_collect_names(
	struct certificate_names *names, const char *address);

/* A pair as it is in use. Immutable; certificate_free. */
struct certificate {
	X509 *leaf;
	STACK_OF(X509) * chain; /* above the leaf, maybe empty */
	EVP_PKEY *key;
	bool ours; /* self-signed by a cairnd */
	bool fresh; /* made by certificate_load, just now */
	int64_t not_before_s, not_after_s;
	char subject[256], issuer[256];
	char fingerprint[96]; /* SHA-256 of the leaf, "AB:CD:..." */
	struct certificate_names names; /* of its SAN */
};

/* `chain` and `key` are PEM texts; `now_s` the wall clock. NULL with *err. */
struct certificate *certificate_parse(
	const char *chain, const char *key, int64_t now_s, struct err *err);
struct certificate *certificate_make(
	const struct certificate_names *names, int64_t now_s, struct err *err);
void certificate_free(struct certificate *certificate);

/* 80 % of its time, or all of it, has passed. */
bool certificate_due(const struct certificate *certificate, int64_t now_s);

/* What PATH holds; makes one of ours there if the file is absent, or if it is
 * ours and due. One of the operator's that has run out is still loaded (a warning
 * is logged), so that he can come in and replace it. NULL with *err. */
struct certificate *certificate_load(const char *path,
	const struct certificate_names *names, int64_t now_s, struct err *err);
/* Writes the pair to PATH, whole and durable. */
int certificate_save(const struct certificate *certificate, const char *path,
	struct err *err);

#endif
