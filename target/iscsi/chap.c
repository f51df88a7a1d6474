/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHAP with OpenSSL's hashes: what chap.h promises.
 */
#include "target/iscsi/chap.h"

#include "target/iscsi/keytext.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

struct chap_row {
	const char *name; /* ours */
	const char *openssl;
	uint8_t bytes;
	bool weak;
};

static const struct chap_row table[] = {
	[CHAP_MD5] = {"MD5", "MD5", 16, true},
	[CHAP_SHA1] = {"SHA-1", "SHA1", 20, true},
	[CHAP_SHA256] = {"SHA-256", "SHA2-256", 32, false},
	[CHAP_SHA3_256] = {"SHA3-256", "SHA3-256", 32, false},
};
#define ROWS (sizeof table / sizeof *table)

const char *chap_name(enum chap_algorithm algorithm)
{
	return table[algorithm].name;
}

static bool is_available(uint64_t algorithm)
{
	EVP_MD *md = EVP_MD_fetch(NULL, table[algorithm].openssl, NULL);

	EVP_MD_free(md);
	return md != NULL;
}

enum chap_algorithm chap_choose(const char *list, bool weak)
{
	enum chap_algorithm best = CHAP_NONE;
	char item[8];

	while (keytext_list_next(&list, item, sizeof item)) {
		uint64_t number;

		if (!keytext_number(item, &number) || number >= ROWS ||
			!table[number].name || number <= best ||
			(table[number].weak && !weak))
			continue;
		if (is_available(number))
			best = (enum chap_algorithm)number;
	}
	return best;
}

static bool hash(EVP_MD_CTX *context, const EVP_MD *md, uint8_t id,
	const char *secret, const uint8_t *challenge, size_t bytes,
	uint8_t *response)
{
	return EVP_DigestInit_ex2(context, md, NULL) &&
		EVP_DigestUpdate(context, &id, 1) &&
		EVP_DigestUpdate(context, secret, strlen(secret)) &&
		EVP_DigestUpdate(context, challenge, bytes) &&
		EVP_DigestFinal_ex(context, response, NULL);
}

size_t chap_respond(enum chap_algorithm algorithm, uint8_t id,
	const char *secret, const uint8_t *challenge, size_t bytes,
	uint8_t response[CHAP_DIGEST_BYTES])
{
	EVP_MD *md = EVP_MD_fetch(NULL, table[algorithm].openssl, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool done = md && context &&
		hash(context, md, id, secret, challenge, bytes, response);

	EVP_MD_CTX_free(context); /* wipes the secret's traces */
	EVP_MD_free(md);
	return done ? table[algorithm].bytes : 0;
}

bool chap_challenge(
	struct chap_challenge *challenge, enum chap_algorithm algorithm)
{
	challenge->algorithm = algorithm;
	challenge->bytes = table[algorithm].bytes;
	return RAND_bytes(&challenge->id, 1) == 1 &&
		RAND_bytes(challenge->value, (int)challenge->bytes) == 1;
}

bool chap_check(const struct chap_challenge *challenge, const char *secret,
	const uint8_t *response, size_t bytes)
{
	uint8_t owed[CHAP_DIGEST_BYTES];
	size_t owed_bytes = chap_respond(challenge->algorithm, challenge->id,
		secret, challenge->value, challenge->bytes, owed);
	bool fits = owed_bytes > 0 && owed_bytes == bytes &&
		CRYPTO_memcmp(owed, response, bytes) == 0;

	OPENSSL_cleanse(owed, sizeof owed);
	return fits;
}

bool chap_equal(const char *a, const char *b)
{
	size_t length = strlen(a);

	return length == strlen(b) && CRYPTO_memcmp(a, b, length) == 0;
}
