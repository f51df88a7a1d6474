/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login by somebody else's initiator: libiscsi, with and without CHAP, mutual
 * CHAP, digests, and its discovery.
 */
#include "tests/lib/tables.h"
#include "tests/lib/target_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define LOCKED "iqn.1994-05.com.redhat:locked"
#define STRICT "iqn.1994-05.com.redhat:strict"
#define SECRET "a secret of sixteen"
#define MUTUAL "another of sixteen"

static const struct tables_host hosts[] = {
	{.name = "web1", .iqns = WIRE_HOST},
	{.name = "locked",
		.iqns = LOCKED,
		.user = "0b1234", /* a name, whatever it looks like */
		.secret = SECRET,
		.mutual_user = "0xabc",
		.mutual_secret = MUTUAL},
	{.name = "strict",
		.iqns = STRICT,
		.user = "strict",
		.secret = SECRET,
		.weak = ACCESS_WEAK_FORBIDDEN},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "127.0.0.1", .group = 1},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = WIRE_TARGET, .alias = "db", .hosts = "web1 locked strict"},
	{.iqn = "iqn.2026-11.example.cairn:mine", .hosts = "locked"},
	{.iqn = NULL},
};

static void publish_co(struct target_rig *rig, void *argument)
{
	struct access_table *old = rig->table;

	(void)argument;
	rig->table = tables_build(hosts, portals, targets);
	for (unsigned i = 0; i < rig->table->targets; i++)
		rig->table->target[i]->export[0].volume = rig->volume[0];
	iscsi_server_publish(rig->server, rig->table);
	access_put(old);
}

static int set_up(void **state)
{
	target_rig_set_up(state);
	target_rig_run(*state, publish_co, NULL);
	return 0;
}

struct client {
	const char *name, *user, *secret, *mutual_user, *mutual_secret;
	enum iscsi_session_type type;
	enum iscsi_header_digest digest;
};

static struct iscsi_context *new_client(const struct client *client)
{
	struct iscsi_context *iscsi = iscsi_create_context(client->name);

	assert_non_null(iscsi);
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_session_type(iscsi, client->type);
	iscsi_set_header_digest(iscsi, client->digest);
	if (client->type == ISCSI_SESSION_NORMAL)
		iscsi_set_targetname(iscsi, WIRE_TARGET);
	if (client->user)
		iscsi_set_initiator_username_pwd(
			iscsi, client->user, client->secret);
	if (client->mutual_user)
		iscsi_set_target_username_pwd(
			iscsi, client->mutual_user, client->mutual_secret);
	return iscsi;
}

/* True if it could log in. */
static bool log_in(struct target_rig *rig, struct iscsi_context *iscsi)
{
	char portal[32];

	snprintf(portal, sizeof portal, "127.0.0.1:%u", rig->port);
	assert_int_equal(iscsi_connect_sync(iscsi, portal), 0);
	return iscsi_login_sync(iscsi) == 0;
}

static void expect_unit(struct iscsi_context *iscsi)
{
	struct scsi_task *task = iscsi_inquiry_sync(iscsi, 0, 0, 0, 255);

	assert_non_null(task);
	assert_int_equal(task->status, SCSI_STATUS_GOOD);
	assert_true(task->datain.size >= 36);
	scsi_free_scsi_task(task);
}

static void expect_session(struct target_rig *rig, const struct client *client)
{
	struct iscsi_context *iscsi = new_client(client);

	assert_true(log_in(rig, iscsi));
	expect_unit(iscsi);
	assert_int_equal(iscsi_logout_sync(iscsi), 0);
	iscsi_destroy_context(iscsi);
}

static void expect_refusal(
	struct target_rig *rig, const struct client *client, const char *why)
{
	struct iscsi_context *iscsi = new_client(client);

	assert_false(log_in(rig, iscsi));
	assert_non_null(strstr(iscsi_get_error(iscsi), why));
	iscsi_destroy_context(iscsi);
}

static void test_without_chap(void **state)
{
	const struct client client = {
		.name = WIRE_HOST, .type = ISCSI_SESSION_NORMAL};

	expect_session(*state, &client);
}

static void test_header_digest(void **state)
{
	const struct client client = {.name = WIRE_HOST,
		.type = ISCSI_SESSION_NORMAL,
		.digest = ISCSI_HEADER_DIGEST_CRC32C};

	expect_session(*state, &client);
}

static void test_chap(void **state)
{
	struct client client = {.name = LOCKED,
		.type = ISCSI_SESSION_NORMAL,
		.user = "0b1234",
		.secret = SECRET};

	expect_session(*state, &client);
	client.mutual_user = "0xabc";
	client.mutual_secret = MUTUAL;
	expect_session(*state, &client);
}

static void test_chap_refused(void **state)
{
	struct client client = {.name = LOCKED, .type = ISCSI_SESSION_NORMAL};

	expect_refusal(*state, &client, "Authentication failure");
	client.user = "0b1234";
	client.secret = "not the secret at all";
	expect_refusal(*state, &client, "Authentication failure");
	client.user = "1234";
	client.secret = SECRET;
	expect_refusal(*state, &client, "Authentication failure");
	/* the initiator finds that we are not whom it expects */
	client.user = "0b1234";
	client.mutual_user = "0xabc";
	client.mutual_secret = "something else";
	expect_refusal(*state, &client, "CHAP_R");
	/* libiscsi 1.19 has MD5 only */
	client = (struct client){.name = STRICT,
		.type = ISCSI_SESSION_NORMAL,
		.user = "strict",
		.secret = SECRET};
	expect_refusal(*state, &client, "Authentication failure");
}

static void test_unknown_names(void **state)
{
	const struct client client = {
		.name = "iqn.no:body", .type = ISCSI_SESSION_NORMAL};

	expect_refusal(*state, &client, "Target not found");
}

static void expect_discovery(
	struct target_rig *rig, const struct client *client, unsigned owed)
{
	struct iscsi_context *iscsi = new_client(client);
	struct iscsi_discovery_address *list, *at;
	unsigned found = 0;
	char portal[32];

	assert_true(log_in(rig, iscsi));
	list = iscsi_discovery_sync(iscsi);
	assert_non_null(list);
	snprintf(portal, sizeof portal, "127.0.0.1:%u,1", rig->port);
	for (at = list; at; at = at->next, found++) {
		assert_non_null(strstr(at->target_name, "example.cairn:"));
		assert_string_equal(at->portals->portal, portal);
	}
	assert_int_equal(found, owed);
	iscsi_free_discovery_data(iscsi, list);
	iscsi_logout_sync(iscsi);
	iscsi_destroy_context(iscsi);
}

static void test_discovery(void **state)
{
	struct client client = {
		.name = WIRE_HOST, .type = ISCSI_SESSION_DISCOVERY};

	expect_discovery(*state, &client, 1);
	client.name = LOCKED;
	expect_refusal(*state, &client, "Authentication failure");
	client.user = "0b1234";
	client.secret = SECRET;
	expect_discovery(*state, &client, 2);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_without_chap),
		TEST(test_header_digest),
		TEST(test_chap),
		TEST(test_chap_refused),
		TEST(test_unknown_names),
		TEST(test_discovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
