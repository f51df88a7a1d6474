/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions looked at and ended from the control lane while hosts use them,
 * logins that are refused. TSAN: yes
 */
#include "tests/lib/target_rig.h"
#include "tests/lib/wire_login.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNAVAILABLE 0x0301
#define OTHER_TARGET "iqn.2026-11.example.cairn:other"

static struct wire_pdu pdu;

/* -- what the watcher hears -------------------------------------------------- */

/* The control lane's; read in target_rig_run. */
static struct heard {
	unsigned up, down, refused;
	char reason[128];
	struct iscsi_session_info last_down;
	struct iscsi_refused last_refused;
} heard;

static void hear_up(
	struct iscsi_watcher *watcher, const struct iscsi_session_info *info)
{
	(void)watcher;
	(void)info;
	heard.up++;
}

static void hear_down(struct iscsi_watcher *watcher,
	const struct iscsi_session_info *info, const char *reason)
{
	(void)watcher;
	heard.down++;
	heard.last_down = *info;
	snprintf(heard.reason, sizeof heard.reason, "%s", reason);
}

static void hear_refused(
	struct iscsi_watcher *watcher, const struct iscsi_refused *refused)
{
	(void)watcher;
	heard.refused++;
	heard.last_refused = *refused;
}

static void listen_co(struct target_rig *rig, void *argument)
{
	(void)argument;
	memset(&heard, 0, sizeof heard);
	rig->watcher.session_up = hear_up;
	rig->watcher.session_down = hear_down;
	rig->watcher.login_refused = hear_refused;
}

static int set_up(void **state)
{
	target_rig_set_up(state);
	target_rig_run(*state, listen_co, NULL);
	return 0;
}

static void copy_heard_co(struct target_rig *rig, void *argument)
{
	(void)rig;
	*(struct heard *)argument = heard;
}

/* Returns when `down` sessions have gone. */
static struct heard wait_down(struct target_rig *rig, unsigned down)
{
	struct heard copy;

	do
		target_rig_run(rig, copy_heard_co, &copy);
	while (copy.down < down);
	return copy;
}

/* -- questions -------------------------------------------------------------- */

struct question {
	const struct volume *volume;
	struct iscsi_session_list *list;
};

static void list_co(struct target_rig *rig, void *argument)
{
	struct question *question = argument;

	question->list = iscsi_sessions_co(rig->server, question->volume);
	CHECK(question->list != NULL);
}

static struct iscsi_session_list *list(
	struct target_rig *rig, const struct volume *volume)
{
	struct question question = {.volume = volume};

	target_rig_run(rig, list_co, &question);
	return question.list;
}

struct order {
	uint64_t id;
	struct iscsi_kick kick;
	int result;
};

static void kick_co(struct target_rig *rig, void *argument)
{
	struct order *order = argument;
	struct err err = {0};

	order->result = iscsi_session_kick_co(
		rig->server, order->id, &order->kick, &err);
	if (order->result)
		CHECK_ERR(&err, "there is no session");
}

static int kick(struct target_rig *rig, uint64_t id, uint32_t keep_out_s)
{
	struct order order = {.id = id,
		.kick = {.reason = "kicked by ann", .keep_out_s = keep_out_s}};

	target_rig_run(rig, kick_co, &order);
	return order.result;
}

/* -- sessions --------------------------------------------------------------- */

static void check_session(
	const struct iscsi_session_info *info, const struct wire *wire)
{
	assert_string_equal(info->initiator, WIRE_HOST);
	assert_string_equal(info->target, WIRE_TARGET);
	assert_string_equal(info->host, "web1");
	assert_string_equal(info->portal_name, "main");
	assert_memory_equal(info->peer, "127.0.0.1:", 10);
	assert_memory_equal(info->portal, "127.0.0.1:", 10);
	assert_string_equal(info->chap, "");
	assert_false(info->mutual);
	assert_false(info->discovery);
	assert_true(info->lane > 0);
	assert_true(info->since_ms > 1700000000000ll);
	assert_int_equal(info->tsih, wire->tsih);
	assert_memory_equal(info->isid, wire->isid, 6);
	assert_int_equal(info->units, 2);
	assert_int_equal(info->exp_cmd_sn, wire->command_sn);
	assert_int_equal(info->window, 128);
	assert_int_equal(info->max_cmd_sn, wire->command_sn + 127);
	assert_int_equal(info->running, 0);
}

static void sessions_are_listed(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {.isid = {0x40, 0, 0, 2}};
	static uint8_t data[4096];
	struct iscsi_session_list *found;
	uint32_t tag;

	wire_open(
		&one, rig->port, "MaxBurstLength=65536\nHeaderDigest=CRC32C\n");
	wire_open(&two, rig->port, "");
	wire_clear_attentions(&one);
	tag = wire_send_write(&one, 0, 8, data, sizeof data);
	wire_expect_status(&one, tag, 0, &pdu);
	for (unsigned i = 0; i < 3; i++) {
		tag = wire_send_read(&one, 0, 8);
		assert_int_equal(wire_expect_data(&one, tag, data, &pdu), 4096);
	}
	tag = wire_send_read(&one, 0x10000000, 8);
	wire_expect_status(&one, tag, 2, &pdu);
	found = list(rig, NULL);
	assert_int_equal(found->count, 2);
	assert_true(found->session[0].id < found->session[1].id);
	check_session(&found->session[0], &one);
	check_session(&found->session[1], &two);
	assert_int_equal(found->session[0].params.max_burst_bytes, 65536);
	assert_true(found->session[0].header_digest);
	assert_false(found->session[1].header_digest);
	assert_int_equal(found->session[0].in_bytes, 4096);
	assert_int_equal(found->session[0].out_bytes, 3 * 4096);
	assert_true(found->session[0].commands >= 5);
	assert_int_equal(found->session[0].errors, 1);
	assert_string_equal(
		found->session[0].last_error, "LUN 0, opcode 28h: 05h/21h/00h");
	assert_true(
		found->session[0].last_error_ms >= found->session[0].since_ms);
	assert_int_equal(found->session[1].errors, 0);
	assert_int_equal(found->session[1].last_error_ms, 0);
	free(found);
	wire_logout(&one);
	wire_logout(&two);
	wait_down(rig, 2);
	found = list(rig, NULL);
	assert_int_equal(found->count, 0);
	free(found);
}

static void sessions_of_a_volume(void **state)
{
	struct target_rig *rig = *state;
	struct wire both = {0}, first = {0}, search = {.isid = {0x40, 0, 0, 3}};
	struct iscsi_session_list *found;

	wire_open(&both, rig->port, "");
	wire_connect(&first, rig->port);
	assert_int_equal(wire_login(&first, OTHER_TARGET, ""), 0);
	wire_open_discovery(&search, rig->port);
	found = list(rig, NULL);
	assert_int_equal(found->count, 3);
	free(found);
	found = list(rig, rig->volume[0]);
	assert_int_equal(found->count, 2);
	free(found);
	found = list(rig, rig->volume[1]);
	assert_int_equal(found->count, 1);
	assert_string_equal(found->session[0].target, WIRE_TARGET);
	free(found);
	wire_logout(&both);
	wire_logout(&first);
	wire_logout(&search);
}

static void find_co(struct target_rig *rig, void *argument)
{
	struct iscsi_session_list *found = argument;
	struct iscsi_session_info info;

	CHECK_INT(
		iscsi_session_find_co(rig->server, found->session[1].id, &info),
		0);
	CHECK_INT(info.tsih, found->session[1].tsih);
	CHECK_INT(iscsi_session_find_co(rig->server, 4711, &info), -ENOENT);
}

/* The host is told; the other session does not notice. */
static void a_session_is_kicked(void **state)
{
	struct target_rig *rig = *state;
	struct wire one = {0}, two = {.isid = {0x40, 0, 0, 2}};
	struct iscsi_session_list *found;
	struct heard copy;

	wire_open(&one, rig->port, "");
	wire_open(&two, rig->port, "");
	found = list(rig, NULL);
	target_rig_run(rig, find_co, found);
	/* Something runs that only an abort can end. */
	wire_send_read(&one, TARGET_RIG_HELD_LBA, 1);
	wire_expect_quiet(&one);
	assert_int_equal(kick(rig, found->session[0].id, 0), 0);
	wire_expect_dropped(&one, 0);
	copy = wait_down(rig, 1);
	assert_string_equal(copy.reason, "kicked by ann");
	assert_int_equal(copy.last_down.id, found->session[0].id);
	assert_int_equal(kick(rig, found->session[0].id, 0), -ENOENT);
	wire_expect_quiet(&two);
	wire_open(&one, rig->port, "");
	free(found);
	found = list(rig, NULL);
	assert_int_equal(found->count, 2);
	free(found);
	wire_logout(&one);
	wire_logout(&two);
}

static void bars_co(struct target_rig *rig, void *argument)
{
	struct iscsi_bar bars[ISCSI_BARS];

	CHECK_INT(iscsi_server_bars(rig->server, bars), 1);
	CHECK(!strcmp(bars[0].host, "web1"));
	CHECK(!strcmp(bars[0].peer, "127.0.0.1"));
	CHECK(bars[0].left_s > 3000 && bars[0].left_s <= 3600);
	CHECK(!iscsi_server_unbar(rig->server, "web2"));
	CHECK(iscsi_server_unbar(rig->server, "web1"));
	CHECK(!iscsi_server_unbar(rig->server, "web1") || !argument);
	CHECK_INT(iscsi_server_bars(rig->server, bars), 0);
}

static void a_host_is_kept_out(void **state)
{
	struct target_rig *rig = *state;
	struct iscsi_session_list *found;
	struct wire wire = {0};
	struct heard copy;

	wire_open(&wire, rig->port, "");
	found = list(rig, NULL);
	assert_int_equal(kick(rig, found->session[0].id, 3600), 0);
	free(found);
	wire_expect_dropped(&wire, 3600);
	wire_connect(&wire, rig->port);
	assert_int_equal(wire_login(&wire, WIRE_TARGET, ""), UNAVAILABLE);
	wire_expect_closed(&wire);
	wire_close(&wire);
	wire_renew(&wire);
	target_rig_run(rig, copy_heard_co, &copy);
	assert_int_equal(copy.refused, 1);
	assert_int_equal(copy.last_refused.refusal, ISCSI_REFUSED_BARRED);
	assert_string_equal(copy.last_refused.host, "web1");
	target_rig_run(rig, bars_co, NULL);
	wire_open(&wire, rig->port, "");
	wire_logout(&wire);
}

#define MANY 134u /* more than one visit to a lane brings */

static void a_long_list_is_whole(void **state)
{
	static struct wire wire[MANY];
	struct iscsi_session_list *found;

	for (unsigned i = 0; i < MANY; i++) {
		wire[i] = (struct wire){.isid = {0x40, 0, 0, 9, 0, (uint8_t)i}};
		wire_open(&wire[i], ((struct target_rig *)*state)->port, "");
	}
	found = list(*state, NULL);
	assert_int_equal(found->count, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(found->session[i].tsih, wire[i].tsih);
		assert_int_equal(found->session[i].isid[5], i);
	}
	free(found);
	for (unsigned i = 0; i < MANY; i++)
		wire_logout(&wire[i]);
}

/* Lists are made while sessions come, work and go. */
static void looking_disturbs_nobody(void **state)
{
	struct target_rig *rig = *state;
	static uint8_t data[4096];

	for (unsigned round = 0; round < 10; round++) {
		struct wire wire[4] = {{0}};

		for (unsigned i = 0; i < 4; i++) {
			wire[i].isid[5] = (uint8_t)i;
			wire_open(&wire[i], rig->port, "");
			wire_clear_attentions(&wire[i]);
		}
		for (unsigned i = 0; i < 16; i++) {
			struct volume_figures figures;
			uint32_t tag = wire_send_read(&wire[i % 4], 0, 8);

			free(list(rig, NULL));
			volume_book_sum(&rig->volume[0]->book, &figures);
			wire_expect_data(&wire[i % 4], tag, data, &pdu);
		}
		for (unsigned i = 0; i < 4; i++)
			wire_logout(&wire[i]);
	}
}

/* -- refused logins ---------------------------------------------------------- */

static void refused_co(struct target_rig *rig, void *argument)
{
	const struct iscsi_refused *refused =
		iscsi_server_refused(rig->server, 0);
	struct iscsi_figures figures;

	(void)argument;
	CHECK(refused != NULL);
	CHECK_INT(refused->refusal, ISCSI_REFUSED_TARGET);
	CHECK_INT(refused->serial, ISCSI_REFUSED_KEPT + 2);
	CHECK(!strcmp(refused->initiator, WIRE_HOST));
	CHECK(!strcmp(refused->target, "iqn.2026-11.example.cairn:none"));
	CHECK(!strcmp(refused->host, ""));
	CHECK(!strncmp(refused->peer, "127.0.0.1:", 10));
	CHECK(refused->time_ms > 1700000000000ll);
	CHECK_FIND(refused->reason, "there is no such target");
	CHECK(iscsi_server_refused(rig->server, ISCSI_REFUSED_KEPT - 1));
	CHECK(!iscsi_server_refused(rig->server, ISCSI_REFUSED_KEPT));
	iscsi_server_figures(rig->server, &figures);
	CHECK_INT(
		figures.refused[ISCSI_REFUSED_TARGET], ISCSI_REFUSED_KEPT + 1);
	CHECK_INT(figures.refused[ISCSI_REFUSED_NAME], 1);
	CHECK_INT(figures.logins, 1);
	CHECK_INT(figures.sessions, 0);
}

static void refused_logins_are_kept(void **state)
{
	struct target_rig *rig = *state;
	struct wire wire = {0};
	struct heard copy;

	wire_open(&wire, rig->port, "");
	wire_logout(&wire);
	wire_renew(&wire);
	wait_down(rig, 1);
	target_rig_withdraw(rig);
	wire_connect(&wire, rig->port);
	assert_int_equal(wire_login(&wire, WIRE_TARGET, ""), 0x203);
	wire_close(&wire);
	target_rig_run(rig, copy_heard_co, &copy);
	assert_int_equal(copy.last_refused.refusal, ISCSI_REFUSED_NAME);
	target_rig_restore(rig);
	for (unsigned i = 0; i < ISCSI_REFUSED_KEPT + 1; i++) {
		wire_connect(&wire, rig->port);
		assert_int_equal(
			wire_login(&wire, "iqn.2026-11.example.cairn:none", ""),
			0x203);
		wire_close(&wire);
	}
	target_rig_run(rig, refused_co, NULL);
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, target_rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(sessions_are_listed),
		TEST(sessions_of_a_volume),
		TEST(a_session_is_kicked),
		TEST(a_host_is_kept_out),
		TEST(a_long_list_is_whole),
		TEST(looking_disturbs_nobody),
		TEST(refused_logins_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
