/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets with growing waits; see limiter.h. */
#include "target/control/trust/limiter.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HEADS 2048u
#define KEY_BYTES 16u
#define WHOLE 1000u /* parts of one try */
#define FORGET_MS (3600u * 1000)
#define LOOK_BACK 16u

enum { BY_ACCOUNT = 1, BY_ADDRESS = 2 };

static const struct rule {
	enum limiter_door door;
	unsigned by;
	uint32_t burst;
	bool known_pass;
} rules[] = {
	{LIMITER_WEB, BY_ADDRESS, 5, false},
	{LIMITER_WEB, BY_ACCOUNT, 20, true},
	{LIMITER_CHAP, BY_ACCOUNT | BY_ADDRESS, 5, false},
	{LIMITER_CHAP, BY_ACCOUNT, 20, true},
	{LIMITER_CHAP, BY_ADDRESS, 100, false},
};
#define RULES (sizeof rules / sizeof *rules)

struct bucket {
	uint8_t key[KEY_BYTES];
	uint64_t at_ms, wait_until_ms;
	uint32_t parts, misses;
	LIST_ENTRY(bucket) link;
	TAILQ_ENTRY(bucket) age;
};

struct table {
	LIST_HEAD(, bucket) head[HEADS];
	TAILQ_HEAD(bucket_age, bucket) ages; /* last used first */
	unsigned count;
};

struct limiter {
	pthread_mutex_t lock;
	struct table tries, known;
};

/* -- keys ------------------------------------------------------------------- */

/* What of an address counts as one place. */
static size_t fold_address(const char *address, uint8_t out[64])
{
	struct in6_addr six;
	if (inet_pton(AF_INET, address, out) == 1)
		return 4;
	if (inet_pton(AF_INET6, address, &six) != 1)
		return (size_t)snprintf((char *)out, 64, "%.40s", address);
	if (IN6_IS_ADDR_V4MAPPED(&six)) {
		memcpy(out, six.s6_addr + 12, 4);
		return 4;
	}
	memcpy(out, six.s6_addr, 8);
	return 8;
}

/* A digest, so that long names cost no more than short ones and nobody chooses
 * where his bucket lies. `salt` tells kinds of keys from each other. */
static void make_key(const struct limiter_try *try, unsigned by, uint8_t salt,
	uint8_t key[KEY_BYTES])
{
	uint8_t text[2 + 64 + SHA256_DIGEST_LENGTH] = {salt, (uint8_t)by};
	uint8_t digest[SHA256_DIGEST_LENGTH];
	if (by & BY_ADDRESS)
		fold_address(try->address, text + 2);
	if (by & BY_ACCOUNT)
		SHA256((const uint8_t *)try->account, strlen(try->account),
			text + 2 + 64);
	SHA256(text, sizeof text, digest);
	memcpy(key, digest, KEY_BYTES);
}

static void rule_key(
	const struct limiter_try *try, size_t rule, uint8_t key[KEY_BYTES])
{
	make_key(try, rules[rule].by, (uint8_t)rule, key);
}

/* -- tables ----------------------------------------------------------------- */

static unsigned slot_of(const uint8_t key[KEY_BYTES])
{
	return (key[0] | (unsigned)key[1] << 8) % HEADS;
}

static struct bucket *find(struct table *table, const uint8_t key[KEY_BYTES])
{
	struct bucket *bucket;
	LIST_FOREACH (bucket, &table->head[slot_of(key)], link)
		if (!memcmp(bucket->key, key, KEY_BYTES))
			return bucket;
	return NULL;
}

static void unlink_bucket(struct table *table, struct bucket *bucket)
{
	LIST_REMOVE(bucket, link);
	TAILQ_REMOVE(&table->ages, bucket, age);
	table->count--;
}

/* The oldest, or one nearly as old that need not wait. */
static struct bucket *give_way(struct table *table, uint64_t now_ms)
{
	struct bucket *oldest = TAILQ_LAST(&table->ages, bucket_age);
	struct bucket *bucket = oldest;
	for (unsigned i = 0; bucket && i < LOOK_BACK; i++) {
		if (bucket->wait_until_ms <= now_ms)
			break;
		bucket = TAILQ_PREV(bucket, bucket_age, age);
	}
	if (!bucket)
		bucket = oldest;
	unlink_bucket(table, bucket);
	return bucket;
}

/* The bucket of a key, new and full if there was none; NULL: out of memory. */
static struct bucket *need(struct table *table, const uint8_t key[KEY_BYTES],
	uint32_t burst, uint64_t now_ms)
{
	struct bucket *bucket = find(table, key);
	if (bucket) {
		TAILQ_REMOVE(&table->ages, bucket, age);
		TAILQ_INSERT_HEAD(&table->ages, bucket, age);
		return bucket;
	}
	bucket = table->count < LIMITER_MAX_TRIES ? malloc(sizeof *bucket)
						  : give_way(table, now_ms);
	if (!bucket)
		return NULL;
	*bucket = (struct bucket){.at_ms = now_ms, .parts = burst * WHOLE};
	memcpy(bucket->key, key, KEY_BYTES);
	LIST_INSERT_HEAD(&table->head[slot_of(key)], bucket, link);
	TAILQ_INSERT_HEAD(&table->ages, bucket, age);
	table->count++;
	return bucket;
}

/* -- buckets ---------------------------------------------------------------- */

static void refill(struct bucket *bucket, uint32_t burst, uint64_t now_ms)
{
	uint64_t passed = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
	if (passed >= FORGET_MS)
		bucket->misses = 0;
	if (!bucket->misses) {
		uint64_t parts = bucket->parts +
			(passed > 60000 ? 60000 : passed) * burst * WHOLE /
				60000;
		bucket->parts = parts > (uint64_t)burst * WHOLE
			? burst * WHOLE
			: (uint32_t)parts;
	} else if (bucket->parts < WHOLE) {
		bucket->parts = WHOLE; /* its wait is over: one try */
	}
	bucket->at_ms = now_ms;
}

static uint32_t wait_of(const struct bucket *bucket, uint64_t now_ms)
{
	if (!bucket || bucket->wait_until_ms <= now_ms)
		return 0;
	return (uint32_t)((bucket->wait_until_ms - now_ms + 999) / 1000);
}

static void charge(struct bucket *bucket, uint32_t burst, uint64_t now_ms)
{
	refill(bucket, burst, now_ms);
	bucket->parts = bucket->parts > WHOLE ? bucket->parts - WHOLE : 0;
	if (bucket->parts >= WHOLE)
		return;
	unsigned doubled = bucket->misses < 4 ? bucket->misses : 4;
	uint64_t wait_s = (uint64_t)LIMITER_FIRST_WAIT_S << doubled;
	if (wait_s > LIMITER_MAX_WAIT_S)
		wait_s = LIMITER_MAX_WAIT_S;
	bucket->misses++;
	bucket->wait_until_ms = now_ms + wait_s * 1000;
}

static void give_back(struct bucket *bucket, uint32_t burst, uint64_t now_ms)
{
	if (bucket->wait_until_ms > now_ms && bucket->misses) {
		bucket->misses--;
		bucket->wait_until_ms = 0;
	}
	bucket->parts += WHOLE;
	if (bucket->parts > burst * WHOLE)
		bucket->parts = burst * WHOLE;
}

/* -- the door --------------------------------------------------------------- */

static bool known_place(struct limiter *limiter, const struct limiter_try *try)
{
	uint8_t key[KEY_BYTES];
	make_key(try, BY_ACCOUNT | BY_ADDRESS, (uint8_t)(128 + try->door), key);
	return find(&limiter->known, key);
}

static bool counts(size_t rule, const struct limiter_try *try, bool known)
{
	return rules[rule].door == try->door &&
		!(known && rules[rule].known_pass);
}

static uint32_t wait_for(
	struct limiter *limiter, const struct limiter_try *try, uint64_t now_ms)
{
	bool known = known_place(limiter, try);
	uint32_t longest = 0;
	for (size_t i = 0; i < RULES; i++) {
		uint8_t key[KEY_BYTES];
		if (!counts(i, try, known))
			continue;
		rule_key(try, i, key);
		uint32_t wait = wait_of(find(&limiter->tries, key), now_ms);
		if (wait > longest)
			longest = wait;
	}
	return longest;
}

static void change_all(struct limiter *limiter, const struct limiter_try *try,
	uint64_t now_ms, void (*change)(struct bucket *, uint32_t, uint64_t))
{
	bool known = known_place(limiter, try);
	for (size_t i = 0; i < RULES; i++) {
		uint8_t key[KEY_BYTES];
		if (!counts(i, try, known))
			continue;
		rule_key(try, i, key);
		struct bucket *bucket =
			need(&limiter->tries, key, rules[i].burst, now_ms);
		if (bucket)
			change(bucket, rules[i].burst, now_ms);
	}
}

uint32_t limiter_take(
	struct limiter *limiter, const struct limiter_try *try, uint64_t now_ms)
{
	pthread_mutex_lock(&limiter->lock);
	uint32_t wait_s = wait_for(limiter, try, now_ms);
	if (!wait_s)
		change_all(limiter, try, now_ms, charge);
	pthread_mutex_unlock(&limiter->lock);
	return wait_s;
}

void limiter_undo(
	struct limiter *limiter, const struct limiter_try *try, uint64_t now_ms)
{
	pthread_mutex_lock(&limiter->lock);
	change_all(limiter, try, now_ms, give_back);
	pthread_mutex_unlock(&limiter->lock);
}

void limiter_right(
	struct limiter *limiter, const struct limiter_try *try, uint64_t now_ms)
{
	uint8_t key[KEY_BYTES];
	make_key(try, BY_ACCOUNT | BY_ADDRESS, (uint8_t)(128 + try->door), key);
	pthread_mutex_lock(&limiter->lock);
	change_all(limiter, try, now_ms, give_back);
	need(&limiter->known, key, 1, now_ms);
	pthread_mutex_unlock(&limiter->lock);
}

unsigned limiter_tries(struct limiter *limiter)
{
	pthread_mutex_lock(&limiter->lock);
	unsigned count = limiter->tries.count;
	pthread_mutex_unlock(&limiter->lock);
	return count;
}

/* -- life ------------------------------------------------------------------- */

struct limiter *limiter_new(void)
{
	struct limiter *limiter = calloc(1, sizeof *limiter);
	if (!limiter)
		return NULL;
	pthread_mutex_init(&limiter->lock, NULL);
	TAILQ_INIT(&limiter->tries.ages);
	TAILQ_INIT(&limiter->known.ages);
	return limiter;
}

static void empty(struct table *table)
{
	struct bucket *bucket;
	while ((bucket = TAILQ_FIRST(&table->ages))) {
		unlink_bucket(table, bucket);
		free(bucket);
	}
}

void limiter_free(struct limiter *limiter)
{
	if (!limiter)
		return;
	empty(&limiter->tries);
	empty(&limiter->known);
	pthread_mutex_destroy(&limiter->lock);
	free(limiter);
}
