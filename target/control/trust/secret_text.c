/* SPDX-License-Identifier: Apache-2.0 */
/* Random secrets and their texts; see secret_text.h. */
#include "target/control/trust/secret_text.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

int secret_random(void *out, size_t bytes, struct err *err)
{
	if (RAND_priv_bytes(out, (int)bytes) == 1)
		return 0;
	return err_set(err, EIO, "there are no random numbers");
}

void secret_print_hex(const void *data, size_t bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = data;
	for (size_t i = 0; i < bytes; i++) {
		*out++ = digits[from[i] >> 4];
		*out++ = digits[from[i] & 15];
	}
	*out = '\0';
}

void secret_print_base64(const void *data, size_t bytes, bool url, char *out)
{
	char padded[4 * 22 + 1];
	assert(bytes <= 64);
	EVP_EncodeBlock((uint8_t *)padded, data, (int)bytes);
	size_t length = strcspn(padded, "=");
	for (size_t i = 0; i < length; i++) {
		char c = padded[i];
		out[i] = url && c == '+' ? '-' : url && c == '/' ? '_' : c;
	}
	out[length] = '\0';
	OPENSSL_cleanse(padded, sizeof padded);
}

int secret_make(char out[44], struct err *err)
{
	uint8_t random[32];
	int failed = secret_random(random, sizeof random, err);
	if (!failed)
		secret_print_base64(random, sizeof random, true, out);
	OPENSSL_cleanse(random, sizeof random);
	return failed;
}

void secret_digest(const char *text, uint8_t out[SECRET_DIGEST_BYTES])
{
	SHA256((const uint8_t *)text, strlen(text), out);
}

bool secret_equal(const char *a, const char *b)
{
	size_t length = strlen(a);
	return length == strlen(b) && CRYPTO_memcmp(a, b, length) == 0;
}
