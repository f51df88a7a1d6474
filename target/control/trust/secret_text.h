/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random secrets and their texts.
 */
#ifndef TARGET_CONTROL_TRUST_SECRET_TEXT_H
#define TARGET_CONTROL_TRUST_SECRET_TEXT_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_DIGEST_BYTES 32u

/* From OpenSSL's generator for secrets. */
int secret_random(void *out, size_t bytes, struct err *err);
/* 2 * bytes digits and a NUL. */
void secret_print_hex(const void *data, size_t bytes, char *out);
/* Base64 without padding, at most 64 bytes: (4 * bytes + 2) / 3 characters and a
 * NUL. `url`: with '-' and '_'. */
void secret_print_base64(const void *data, size_t bytes, bool url, char *out);
/* 256 random bits as 43 characters of base64url. */
int secret_make(char out[44], struct err *err);
/* SHA-256 of a text. */
void secret_digest(const char *text, uint8_t out[SECRET_DIGEST_BYTES]);
/* Takes as long whatever differs, if the lengths are the same. */
bool secret_equal(const char *a, const char *b);

#endif
