/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHAP over a socket (RFC 7143 12.1.3), one way and mutual, with each hash under
 * its registered number; what OpenSSL computes here is what is owed.
 */
#include "tests/lib/tables.h"
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOCKED "iqn.1994-05.com.redhat:locked"
#define STRICT "iqn.1994-05.com.redhat:strict"
#define SECRET "a secret of sixteen"
#define MUTUAL "another of sixteen"
#define CHALLENGE_MOST 1024u /* RFC 7143 12.1.3 */
#define RESPONSE_BYTES 67u /* 0x, 32 bytes as hexadecimal digits, the end */

static struct wire_pdu pdu;

/* -- the rig, with hosts of ours ------------------------------------------- */

static const struct tables_host hosts[] = {
	{.name = "locked",
		.iqns = LOCKED,
		.user = "0xname",
		.secret = SECRET,
		.mutual_user = "cairn",
		.mutual_secret = MUTUAL},
	{.name = "strict",
		.iqns = STRICT,
		.user = "0xname",
		.secret = SECRET,
		.mutual_user = "cairn",
		.mutual_secret = MUTUAL,
		.weak = ACCESS_WEAK_FORBIDDEN},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "127.0.0.1", .group = 1},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = WIRE_TARGET, .hosts = "locked strict"},
	{.iqn = NULL},
};

static void publish_co(struct target_rig *rig, void *argument)
{
	struct access_table *old = rig->table;

	(void)argument;
	rig->table = tables_build(hosts, portals, targets);
	rig->table->target[0]->export[0].volume = rig->volume[0];
	iscsi_server_publish(rig->server, rig->table);
	access_put(old);
}

static int set_up(void **state)
{
	target_rig_set_up(state);
	target_rig_run(*state, publish_co, NULL);
	return 0;
}

/* -- a host that knows CHAP ------------------------------------------------ */

/* Numbers of the IANA registry "PPP Authentication Algorithms". */
static const struct hash {
	const char *number, *openssl;
	size_t bytes;
	bool weak;
} hashes[] = {
	{"5", "MD5", 16, true},
	{"6", "SHA1", 20, true},
	{"7", "SHA256", 32, false},
	{"8", "SHA3-256", 32, false},
};
#define HASHES (sizeof hashes / sizeof *hashes)

struct client {
	struct wire wire;
	const char *host, *secret;
	const char *offer; /* CHAP_A */
	const struct hash *hash; /* that responses are made with */
	char response[RESPONSE_BYTES];
};

static unsigned say(struct client *client, uint8_t flags, const char *text)
{
	return wire_say_login(&client->wire, flags, text, &pdu);
}

/* The hash of identifier, secret, challenge as 0x... */
static void respond(const struct hash *hash, unsigned id, const char *secret,
	const uint8_t *challenge, size_t bytes, char value[RESPONSE_BYTES])
{
	uint8_t text[64 + CHALLENGE_MOST], digest[EVP_MAX_MD_SIZE];
	size_t length = strlen(secret);
	unsigned digest_bytes;

	text[0] = (uint8_t)id;
	memcpy(text + 1, secret, length);
	memcpy(text + 1 + length, challenge, bytes);
	assert_true(EVP_Digest(text, 1 + length + bytes, digest, &digest_bytes,
		EVP_get_digestbyname(hash->openssl), NULL));
	assert_int_equal(digest_bytes, hash->bytes);
	strcpy(value, "0x");
	for (unsigned i = 0; i < digest_bytes; i++)
		sprintf(value + 2 + 2 * i, "%02x", digest[i]);
}

/* Up to the target's choice of a hash; returns the status. */
static unsigned offer(struct target_rig *rig, struct client *client)
{
	char text[256];

	client->wire = (struct wire){0};
	wire_connect(&client->wire, rig->port);
	snprintf(text, sizeof text,
		"InitiatorName=%s\nTargetName=" WIRE_TARGET
		"\nAuthMethod=CHAP,None\n",
		client->host);
	assert_int_equal(say(client, WIRE_TO_OPERATIONAL, text), 0);
	assert_int_equal(pdu.bhs[1], 0);
	assert_string_equal(wire_value_of(&pdu, "AuthMethod"), "CHAP");
	snprintf(text, sizeof text, "CHAP_A=%s\n", client->offer);
	return say(client, 0, text);
}

/* Up to the answer to the challenge, which goes to client->response. */
static void get_challenge(
	struct target_rig *rig, struct client *client, const char *chosen)
{
	uint8_t challenge[64];
	size_t bytes;

	assert_int_equal(offer(rig, client), 0);
	assert_string_equal(wire_value_of(&pdu, "CHAP_A"), chosen);
	bytes = wire_unhex(
		wire_value_of(&pdu, "CHAP_C"), challenge, sizeof challenge);
	assert_int_equal(bytes, client->hash->bytes);
	respond(client->hash, (unsigned)atoi(wire_value_of(&pdu, "CHAP_I")),
		client->secret, challenge, bytes, client->response);
}

static void expect_session(struct client *client)
{
	assert_int_equal(pdu.bhs[1], WIRE_TO_OPERATIONAL);
	assert_int_equal(say(client, WIRE_TO_FULL | WIRE_OPERATIONAL, ""), 0);
	wire_expect_quiet(&client->wire);
	wire_logout(&client->wire);
}

static void expect_one_way(
	struct target_rig *rig, struct client *client, const char *chosen)
{
	char text[256];

	get_challenge(rig, client, chosen);
	snprintf(text, sizeof text, "CHAP_N=0xname\nCHAP_R=%s\n",
		client->response);
	assert_int_equal(say(client, WIRE_TO_OPERATIONAL, text), 0);
	assert_string_equal(wire_value_of(&pdu, "CHAP_R"), "absent");
	expect_session(client);
}

static void expect_mutual(struct target_rig *rig, struct client *client)
{
	static const uint8_t challenge[4] = {1, 2, 3, 4};
	char text[256], owed[RESPONSE_BYTES];

	get_challenge(rig, client, client->hash->number);
	snprintf(text, sizeof text,
		"CHAP_N=0xname\nCHAP_R=%s\nCHAP_I=9\nCHAP_C=0bAQIDBA==\n",
		client->response);
	assert_int_equal(say(client, WIRE_TO_OPERATIONAL, text), 0);
	respond(client->hash, 9, MUTUAL, challenge, sizeof challenge, owed);
	assert_string_equal(wire_value_of(&pdu, "CHAP_N"), "cairn");
	assert_string_equal(wire_value_of(&pdu, "CHAP_R"), owed);
	expect_session(client);
}

static void expect_refused(struct client *client, const char *name)
{
	char text[256];

	snprintf(text, sizeof text, "CHAP_N=%s\nCHAP_R=%s\n", name,
		client->response);
	wire_expect_login_refused(
		&client->wire, WIRE_TO_OPERATIONAL, text, 0x201);
}

/* -- tests ----------------------------------------------------------------- */

static void test_each_hash_both_ways(void **state)
{
	for (size_t i = 0; i < HASHES; i++) {
		struct client client = {.host = LOCKED,
			.secret = SECRET,
			.offer = hashes[i].number,
			.hash = &hashes[i]};

		expect_one_way(*state, &client, hashes[i].number);
		expect_mutual(*state, &client);
	}
}

static void test_each_hash_with_wrong_answers(void **state)
{
	for (size_t i = 0; i < HASHES; i++) {
		struct client client = {.host = LOCKED,
			.secret = "wrong",
			.offer = hashes[i].number,
			.hash = &hashes[i]};

		get_challenge(*state, &client, hashes[i].number);
		expect_refused(&client, "0xname");
		client.secret = SECRET;
		get_challenge(*state, &client, hashes[i].number);
		expect_refused(&client, "name");
		get_challenge(*state, &client, hashes[i].number);
		client.response[3] = client.response[3] == '0' ? '1' : '0';
		expect_refused(&client, "0xname");
		/* right, but cut short by a byte */
		get_challenge(*state, &client, hashes[i].number);
		client.response[strlen(client.response) - 2] = 0;
		expect_refused(&client, "0xname");
	}
}

static void test_the_strongest_is_chosen(void **state)
{
	static const char *const offers[][2] = {
		{"5,6,7,8", "8"},
		{"8,7,6,5", "8"},
		{"5,7,6", "7"},
		{"5,6", "6"},
		{"99,5", "5"},
	};

	for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
		struct client client = {.host = LOCKED,
			.secret = SECRET,
			.offer = offers[i][0],
			.hash = &hashes[atoi(offers[i][1]) - 5]};

		expect_one_way(*state, &client, offers[i][1]);
	}
}

static void test_weak_hashes_are_forbidden(void **state)
{
	static const char *const refused[] = {"5", "6", "5,6", "99"};
	struct client client = {.host = STRICT, .secret = SECRET};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		client.offer = refused[i];
		assert_int_equal(offer(*state, &client), 0x201);
		wire_expect_closed(&client.wire);
		wire_close(&client.wire);
	}
	for (size_t i = 0; i < HASHES; i++) {
		if (hashes[i].weak)
			continue;
		client.hash = &hashes[i];
		client.offer = hashes[i].number;
		expect_mutual(*state, &client);
	}
	client.offer = "5,6,7";
	client.hash = &hashes[2];
	expect_one_way(*state, &client, "7");
}

/* -- lengths and bounds ------------------------------------------------------ */

static const struct bound {
	const char *name; /* CHAP_N; NULL: the right one */
	size_t name_bytes; /* ... or so long */
	size_t response_bytes; /* CHAP_R in hexadecimal; 0: the right one */
	const char *id; /* CHAP_I; NULL: not mutual */
	size_t challenge_bytes; /* of CHAP_C */
	unsigned status;
} bounds[] = {
	{"0xname", 0, 0, NULL, 0, 0},
	{"", 0, 0, NULL, 0, 0x201},
	{NULL, 255, 0, NULL, 0, 0x201},
	{NULL, 256, 0, NULL, 0, 0x200}, /* 6.1: no value is longer */
	{"0xname", 0, 1, NULL, 0, 0x201},
	{"0xname", 0, 31, NULL, 0, 0x201},
	{"0xname", 0, 33, NULL, 0, 0x201},
	{"0xname", 0, 126, NULL, 0, 0x201}, /* 254 letters */
	{"0xname", 0, 127, NULL, 0, 0x200},
	{"0xname", 0, 0, "0", 1, 0},
	{"0xname", 0, 0, "255", CHALLENGE_MOST, 0},
	{"0xname", 0, 0, "0x7f", CHALLENGE_MOST - 1, 0},
	{"0xname", 0, 0, "255", CHALLENGE_MOST + 1, 0x200},
	{"0xname", 0, 0, "256", 16, 0x201},
	{"0xname", 0, 0, "-1", 16, 0x201},
	{"0xname", 0, 0, "4294967296", 16, 0x201},
	{"0xname", 0, 0, "", 16, 0x201},
	{"0xname", 0, 0, "9", 0, 0x201},
};

/* CHAP_N and CHAP_R as the row says, and the host's own challenge. */
static void make_proof(const struct client *client, const struct bound *b,
	const uint8_t *challenge, char *text, size_t room)
{
	size_t at = (size_t)snprintf(
		text, room, "CHAP_N=%s", b->name ? b->name : "");

	for (size_t i = 0; i < b->name_bytes; i++)
		text[at++] = 'n';
	at += (size_t)snprintf(text + at, room - at, "\nCHAP_R=%s",
		b->response_bytes ? "0x" : client->response);
	for (size_t i = 0; i < 2 * b->response_bytes; i++)
		text[at++] = '1';
	at += (size_t)snprintf(text + at, room - at, "\n");
	if (!b->id)
		return;
	at += (size_t)snprintf(
		text + at, room - at, "CHAP_I=%s\nCHAP_C=0x", b->id);
	for (size_t i = 0; i < b->challenge_bytes; i++)
		at += (size_t)snprintf(
			text + at, room - at, "%02x", challenge[i]);
	snprintf(text + at, room - at, "\n");
}

static void test_lengths_and_bounds(void **state)
{
	static uint8_t challenge[CHALLENGE_MOST + 1];
	char text[4096], owed[RESPONSE_BYTES];

	for (size_t i = 0; i < sizeof challenge; i++)
		challenge[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		const struct bound *b = &bounds[i];
		struct client client = {.host = LOCKED,
			.secret = SECRET,
			.offer = "7",
			.hash = &hashes[2]};

		get_challenge(*state, &client, "7");
		make_proof(&client, b, challenge, text, sizeof text);
		if (b->status) {
			wire_expect_login_refused(&client.wire,
				WIRE_TO_OPERATIONAL, text, b->status);
			continue;
		}
		assert_int_equal(say(&client, WIRE_TO_OPERATIONAL, text), 0);
		if (b->id) {
			respond(client.hash, (unsigned)strtoul(b->id, NULL, 0),
				MUTUAL, challenge, b->challenge_bytes, owed);
			assert_string_equal(
				wire_value_of(&pdu, "CHAP_R"), owed);
		}
		expect_session(&client);
	}
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_each_hash_both_ways),
		TEST(test_each_hash_with_wrong_answers),
		TEST(test_the_strongest_is_chosen),
		TEST(test_weak_hashes_are_forbidden),
		TEST(test_lengths_and_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
