/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host asks the target to keep through a loss of power, by libiscsi: a
 * registration with APTPL (SPC-4 6.14.3) and a saved mode page (SPC-4 6.11, SP).
 *
 *	keep reserve  PORT TARGET HOST   registers KEY with APTPL=1, reserves
 *	keep cache    PORT TARGET HOST   saves the caching page with WCE=0
 *	keep show     PORT TARGET HOST   prints keys, the reservation, WCE
 *	keep write    PORT TARGET HOST   writes one block
 *
 * HOST is a number; it makes the initiator port, which stays the same from call
 * to call. Exit status 0: GOOD, 1: another status, 2: no answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define KEY 0xc0ffee5eedull
#define BLOCK_BYTES 512u

static struct iscsi_context *iscsi;

/* Prints what went wrong; frees the task. */
static int result(struct scsi_task *task, const char *what)
{
	int status = task ? task->status : -1;

	if (status != SCSI_STATUS_GOOD)
		printf("%s: status %d: %s\n", what, status,
			iscsi_get_error(iscsi));
	scsi_free_scsi_task(task);
	return status == SCSI_STATUS_GOOD ? 0 : status < 0 ? 2 : 1;
}

static int reserve(void)
{
	struct scsi_persistent_reserve_out_basic parameters = {
		.service_action_reservation_key = KEY, .aptpl = 1};
	int failed = result(
		iscsi_persistent_reserve_out_sync(iscsi, 0,
			SCSI_PERSISTENT_RESERVE_REGISTER,
			SCSI_PERSISTENT_RESERVE_SCOPE_LU, 0, &parameters),
		"REGISTER");

	if (failed)
		return failed;
	parameters = (struct scsi_persistent_reserve_out_basic){
		.reservation_key = KEY};
	return result(iscsi_persistent_reserve_out_sync(iscsi, 0,
			      SCSI_PERSISTENT_RESERVE_RESERVE,
			      SCSI_PERSISTENT_RESERVE_SCOPE_LU,
			      SCSI_PERSISTENT_RESERVE_TYPE_WRITE_EXCLUSIVE,
			      &parameters),
		"RESERVE");
}

/* The caching page as it is now; NULL with a message. It lives in *task. */
static struct scsi_mode_page *caching_page(struct scsi_task **task)
{
	struct scsi_mode_sense *sense;
	struct scsi_mode_page *page = NULL;

	*task = iscsi_modesense10_sync(iscsi, 0, 0, 1,
		SCSI_MODESENSE_PC_CURRENT, SCSI_MODEPAGE_CACHING, 0, 255);
	if (*task && (*task)->status == SCSI_STATUS_GOOD) {
		sense = scsi_datain_unmarshall(*task);
		page = sense ? scsi_modesense_get_page(
				       sense, SCSI_MODEPAGE_CACHING, 0)
			     : NULL;
	}
	if (!page)
		printf("no caching page: %s\n", iscsi_get_error(iscsi));
	return page;
}

static int cache_off(void)
{
	struct scsi_task *task;
	struct scsi_mode_page *page = caching_page(&task);
	int failed = 2;

	if (page) {
		page->caching.wce = 0;
		failed = result(iscsi_modeselect10_sync(iscsi, 0, 1, 1, page),
			"MODE SELECT");
	}
	scsi_free_scsi_task(task);
	return failed;
}

static int show_keys(void)
{
	struct scsi_persistent_reserve_in_read_keys *in;
	struct scsi_task *task = iscsi_persistent_reserve_in_sync(
		iscsi, 0, SCSI_PERSISTENT_RESERVE_READ_KEYS, 1024);

	in = task && task->status == SCSI_STATUS_GOOD
		? scsi_datain_unmarshall(task)
		: NULL;
	for (int i = 0; in && i < in->num_keys; i++)
		printf("key %llx\n", (unsigned long long)in->keys[i]);
	return result(task, "READ KEYS");
}

static int show_reservation(void)
{
	struct scsi_persistent_reserve_in_read_reservation *in;
	struct scsi_task *task = iscsi_persistent_reserve_in_sync(
		iscsi, 0, SCSI_PERSISTENT_RESERVE_READ_RESERVATION, 1024);

	in = task && task->status == SCSI_STATUS_GOOD
		? scsi_datain_unmarshall(task)
		: NULL;
	if (in && in->reserved)
		printf("reservation %llx type %u\n",
			(unsigned long long)in->reservation_key, in->pr_type);
	return result(task, "READ RESERVATION");
}

static int show(void)
{
	int failed = show_keys();
	struct scsi_task *task;
	struct scsi_mode_page *page;

	if (!failed)
		failed = show_reservation();
	if (failed)
		return failed;
	page = caching_page(&task);
	if (page)
		printf("WCE %d\n", page->caching.wce);
	scsi_free_scsi_task(task);
	return page ? 0 : 2;
}

static int write_block(void)
{
	static uint8_t block[BLOCK_BYTES];

	return result(iscsi_write10_sync(iscsi, 0, 0, block, BLOCK_BYTES,
			      BLOCK_BYTES, 0, 0, 0, 0, 0),
		"WRITE");
}

static const struct action {
	const char *name;
	int (*run)(void);
} actions[] = {{"reserve", reserve}, {"cache", cache_off}, {"show", show},
	{"write", write_block}};

/* Full connect takes the unit attentions of a new session, too. */
static int log_in(const char *port, const char *target, uint32_t host)
{
	char portal[32];

	snprintf(portal, sizeof portal, "127.0.0.1:%s", port);
	iscsi = iscsi_create_context("iqn.2026-11.example.cairn:keep");
	if (!iscsi)
		return 2;
	iscsi_set_isid_random(iscsi, host, 0);
	iscsi_set_targetname(iscsi, target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_noautoreconnect(iscsi, 1);
	iscsi_set_timeout(iscsi, 60);
	if (!iscsi_full_connect_sync(iscsi, portal, 0))
		return 0;
	printf("login: %s\n", iscsi_get_error(iscsi));
	return 2;
}

int main(int argc, char **argv)
{
	int status = 2;

	if (argc != 5 || log_in(argv[2], argv[3], (uint32_t)atoi(argv[4])))
		return 2;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (!strcmp(argv[1], actions[i].name))
			status = actions[i].run();
	iscsi_logout_sync(iscsi);
	iscsi_destroy_context(iscsi);
	return status;
}
