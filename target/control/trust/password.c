/* SPDX-License-Identifier: Apache-2.0 */
/* scrypt on the worker pool, two at a time; see password.h. */
#include "target/control/trust/password.h"

#include "blockcore/base/co.h"
#include "target/control/trust/secret_text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define SALT_BYTES 16u
#define SALT_TEXT 22u /* of base64 */
#define KEY_BYTES 32u
#define BLOCK_R 8u
#define MAX_LOG2_N 20u

struct passwords {
	struct loop *loop;
	unsigned log2_n, running, waiting;
	STAILQ_HEAD(, co_waiter) queue;
	char dummy[PASSWORD_HASH_BYTES]; /* the hash of nobody */
};

/* -- two at a time ---------------------------------------------------------- */

static int enter_co(struct passwords *p, struct err *err)
{
	if (p->running < PASSWORD_RUNNING) {
		p->running++;
		return 0;
	}
	if (p->waiting == PASSWORD_WAITING)
		return err_set(err, EAGAIN,
			"too many are signing in: come again in a few seconds");
	struct co_waiter waiter = {.co = co_self()};
	STAILQ_INSERT_TAIL(&p->queue, &waiter, link);
	p->waiting++;
	co_yield ();
	return 0; /* whoever left handed its place over */
}

static void leave(struct passwords *p)
{
	struct co_waiter *next = STAILQ_FIRST(&p->queue);
	if (!next) {
		p->running--;
		return;
	}
	STAILQ_REMOVE_HEAD(&p->queue, link);
	p->waiting--;
	co_resume(next->co);
}

/* -- scrypt ----------------------------------------------------------------- */

struct derivation {
	const char *password;
	unsigned log2_n;
	const uint8_t *salt;
	uint8_t key[KEY_BYTES];
};

static int derive(void *arg)
{
	struct derivation *d = arg;
	uint64_t n = 1ull << d->log2_n;
	uint64_t most = 128 * BLOCK_R * (n + 4) + (1u << 20);
	int made = EVP_PBE_scrypt(d->password, strlen(d->password), d->salt,
		SALT_BYTES, n, BLOCK_R, 1, most, d->key, sizeof d->key);
	ERR_clear_error();
	return made == 1 ? 0 : -ENOMEM;
}

static void print_hash(const struct derivation *d, char *out)
{
	char salt[32], key[48];
	secret_print_base64(d->salt, SALT_BYTES, false, salt);
	secret_print_base64(d->key, KEY_BYTES, false, key);
	snprintf(out, PASSWORD_HASH_BYTES, "$scrypt$ln=%u,r=%u,p=1$%s$%s",
		d->log2_n, BLOCK_R, salt, key);
	OPENSSL_cleanse(key, sizeof key);
}

static int derive_co(struct passwords *p, struct derivation *d, struct err *err)
{
	int failed = enter_co(p, err);
	if (failed)
		return failed;
	failed = loop_work_co(p->loop, derive, d);
	leave(p);
	return failed ? err_set(err, -failed, "scrypt: out of memory") : 0;
}

int password_hash_co(struct passwords *passwords, const char *password,
	char out[PASSWORD_HASH_BYTES], struct err *err)
{
	uint8_t salt[SALT_BYTES];
	struct derivation d = {.password = password,
		.log2_n = passwords->log2_n,
		.salt = salt};
	int failed = secret_random(salt, sizeof salt, err);
	if (!failed)
		failed = derive_co(passwords, &d, err);
	if (!failed)
		print_hash(&d, out);
	OPENSSL_cleanse(&d, sizeof d);
	return failed;
}

/* False for what we did not write. */
static bool read_hash(
	const char *hash, unsigned *log2_n, uint8_t salt[SALT_BYTES])
{
	char text[SALT_TEXT + 3] = "";
	uint8_t decoded[SALT_BYTES + 2];
	if (sscanf(hash, "$scrypt$ln=%2u,r=8,p=1$%22[A-Za-z0-9+/]$", log2_n,
		    text) != 2 ||
		strlen(text) != SALT_TEXT || !*log2_n || *log2_n > MAX_LOG2_N)
		return false;
	strcat(text, "==");
	if (EVP_DecodeBlock(decoded, (const uint8_t *)text, SALT_TEXT + 2) < 0)
		return false;
	memcpy(salt, decoded, SALT_BYTES);
	return true;
}

int password_check_co(struct passwords *passwords, const char *password,
	const char *hash, bool *right, struct err *err)
{
	uint8_t salt[SALT_BYTES];
	char made[PASSWORD_HASH_BYTES];
	struct derivation d = {.password = password, .salt = salt};
	bool real = hash && read_hash(hash, &d.log2_n, salt);
	*right = false;
	if (!real && !read_hash(passwords->dummy, &d.log2_n, salt))
		return err_set(err, EIO, "passwords cannot be checked");
	int failed = derive_co(passwords, &d, err);
	if (!failed) {
		print_hash(&d, made);
		*right = secret_equal(made, real ? hash : passwords->dummy) &&
			real;
	}
	OPENSSL_cleanse(&d, sizeof d);
	OPENSSL_cleanse(made, sizeof made);
	return failed;
}

/* -- life ------------------------------------------------------------------- */

struct passwords *passwords_new(struct loop *loop, unsigned log2_n)
{
	struct passwords *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->loop = loop;
	p->log2_n = log2_n;
	STAILQ_INIT(&p->queue);
	snprintf(p->dummy, sizeof p->dummy,
		"$scrypt$ln=%u,r=8,p=1$bm9ib2R5IGhhcyB0aGlzIQ$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		log2_n);
	return p;
}

void passwords_free(struct passwords *passwords)
{
	free(passwords);
}
