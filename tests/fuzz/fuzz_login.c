/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: whole conversations of login and text, held to what must be true of
 * every answer.
 *
 * The input is a row of requests, each
 *	kind     bit 0: append the right answer to the last challenge
 *	         bit 1: the next 8 bytes replace ISID and TSIH of the header
 *	         bit 2: a byte follows that replaces the opcode
 *	flags    byte 1 of the header
 *	length   2 bytes, little endian, then so many bytes of text
 * After a login that succeeds the rest goes to the text machine.
 */
#include "blockcore/base/bytes.h"
#include "target/iscsi/chap.h"
#include "target/iscsi/keys.h"
#include "target/iscsi/login.h"
#include "target/iscsi/pdu.h"
#include "tests/lib/tables.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET "a secret of sixteen"

static const struct tables_host hosts[] = {
	{.name = "open", .iqns = "iqn.a:open"},
	{.name = "locked",
		.iqns = "iqn.a:locked",
		.user = "u",
		.secret = SECRET,
		.mutual_user = "m",
		.mutual_secret = "another of sixteen"},
	{.name = "strict",
		.iqns = "iqn.a:strict*",
		.user = "u",
		.secret = SECRET,
		.weak = ACCESS_WEAK_FORBIDDEN},
	{.name = NULL},
};
static const struct tables_portal portals[] = {
	{.name = "main", .address = "0.0.0.0", .port = 3260, .group = 1},
	{.name = "six", .address = "::", .port = 3261, .group = 2},
	{.name = "nat",
		.address = "192.0.2.7",
		.port = 3260,
		.group = 3,
		.advertised = "san.example:860"},
	{.name = NULL},
};
static const struct tables_target targets[] = {
	{.iqn = "iqn.t:1", .alias = "one", .hosts = "open locked strict"},
	{.iqn = "iqn.t:2", .hosts = "open locked", .portals = "main nat"},
	{.iqn = "iqn.t:3", .hosts = "strict"},
	{.iqn = NULL},
};

struct world {
	struct iscsi_settings settings;
	struct sockaddr_in peer;
	struct iscsi_login_world world;
};

struct input {
	const uint8_t *at, *end;
};

struct request {
	uint8_t header[48];
	char text[4096 + 256];
	uint32_t bytes;
};

static struct world *make_world(void)
{
	static struct world w;

	w.settings = (struct iscsi_settings){.max_burst_bytes = 1 << 20,
		.first_burst_bytes = 256 << 10,
		.max_receive_bytes = 256 << 10,
		.max_r2t = 16,
		.immediate_data = true};
	w.peer.sin_family = AF_INET;
	w.peer.sin_addr.s_addr = htonl(0xc0000209); /* 192.0.2.9 */
	w.world = (struct iscsi_login_world){.settings = &w.settings,
		.table = tables_build(hosts, portals, targets),
		.peer = (struct sockaddr *)&w.peer,
		.peer_text = "192.0.2.9:50000",
		.portal_text = "192.0.2.1:3260"};
	w.world.portal = w.world.table->portal[0];
	return &w;
}

/* -- requests from the input ----------------------------------------------- */

static uint32_t take(struct input *in, void *to, uint32_t bytes)
{
	uint32_t left = (uint32_t)(in->end - in->at);

	if (bytes > left)
		bytes = left;
	memcpy(to, in->at, bytes);
	in->at += bytes;
	return bytes;
}

static const char *value_of(
	const struct iscsi_login_answer *answer, const char *key)
{
	const char *at = (const char *)answer->text;
	const char *end = at + answer->text_bytes;
	size_t length = strlen(key);

	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	return NULL;
}

/* Appends what a host that knows the secret says to the last challenge. */
static bool append_response(
	struct request *request, const struct iscsi_login_answer *answer)
{
	const char *a = value_of(answer, "CHAP_A");
	const char *i = value_of(answer, "CHAP_I");
	const char *c = value_of(answer, "CHAP_C");
	uint8_t challenge[64], response[CHAP_DIGEST_BYTES];
	struct keytext_out out = {(uint8_t *)request->text, request->bytes,
		sizeof request->text, false};
	int bytes;

	if (!a || !i || !c)
		return false;
	bytes = keytext_binary(c, challenge, sizeof challenge);
	assert(bytes > 0);
	bytes = (int)chap_respond((enum chap_algorithm)atoi(a),
		(uint8_t)atoi(i), SECRET, challenge, (size_t)bytes, response);
	assert(bytes > 0);
	keytext_add(&out, "CHAP_N", "u");
	keytext_add_binary(&out, "CHAP_R", response, (size_t)bytes);
	assert(!out.overflow);
	request->bytes = out.bytes;
	return true;
}

/* True with *proves set if the request holds the right response. */
static bool next_request(struct input *in, struct request *request,
	const struct iscsi_login_answer *last, bool *proves)
{
	uint8_t kind, flags, length[2] = {0};

	*proves = false;
	if (in->end - in->at < 4)
		return false;
	take(in, &kind, 1);
	take(in, &flags, 1);
	request->header[1] = flags;
	take(in, length, 2);
	if (kind & 2)
		take(in, request->header + 8, 8);
	if (kind & 4)
		take(in, request->header, 1);
	request->bytes = take(in, request->text, get_le16(length) % 4097u);
	if (kind & 1)
		*proves = append_response(request, last);
	return true;
}

/* -- what must be true ----------------------------------------------------- */

static void check_pairs(const uint8_t *text, uint32_t bytes)
{
	const uint8_t *end = text + bytes;

	while (text < end) {
		const uint8_t *zero = memchr(text, 0, (size_t)(end - text));

		assert(zero && memchr(text, '=', (size_t)(zero - text)));
		text = zero + 1;
	}
}

static void check_answer(const struct request *request,
	enum iscsi_verdict verdict, const struct iscsi_login_answer *answer)
{
	uint8_t flags = request->header[1];

	if (verdict == ISCSI_LOGIN_DROP)
		return;
	check_pairs(answer->text, answer->text_bytes);
	assert(strlen(answer->reason) < sizeof answer->reason);
	if (verdict == ISCSI_LOGIN_FAILED) {
		assert(answer->status_class && !answer->text_bytes);
		assert(answer->reason[0]);
		return;
	}
	assert(!answer->status_class && !answer->status_detail);
	if (answer->flags & 0x80) /* only what was asked for */
		assert((answer->flags & 0x8f) == (flags & 0x8f));
	assert((answer->flags & 0x0c) == (flags & 0x0c));
	if (flags & PDU_CONTINUE)
		assert(verdict == ISCSI_LOGIN_CONTINUE && !answer->text_bytes);
}

static void check_result(const struct iscsi_login_result *r, bool proven)
{
	const struct iscsi_params *p = &r->params;

	assert(r->host && (proven || !r->host->chap.secret));
	assert(proven == (r->chap[0] != 0));
	assert(r->discovery || access_allows(r->target, r->host));
	assert(p->max_send_bytes >= 512 && p->max_send_bytes < 1 << 24);
	assert(p->max_receive_bytes == 8192 || p->max_receive_bytes == 262144);
	assert(p->max_burst_bytes >= 512 && p->max_burst_bytes <= 1 << 20);
	assert(p->first_burst_bytes >= 512 &&
		p->first_burst_bytes <= 256 << 10);
	assert(p->max_outstanding_r2t >= 1 && p->max_outstanding_r2t <= 16);
	assert(p->error_recovery_level == 0 && p->max_connections == 1);
	assert(p->time2wait_s <= 3600 && p->time2retain_s <= 20);
	assert(p->data_pdu_in_order && p->data_sequence_in_order);
}

/* -- conversations --------------------------------------------------------- */

/* As the connection gives it: bytes of exactly that length. */
static uint8_t *exact(const struct request *request)
{
	uint8_t *data = malloc(request->bytes + !request->bytes);

	memcpy(data, request->text, request->bytes);
	return data;
}

static void talk_text(struct input *in, const struct world *w,
	const struct iscsi_login_result *session, struct request *request)
{
	struct iscsi_text *text = iscsi_text_new(&w->world, session);
	struct iscsi_params params = session->params;
	struct iscsi_login_answer none = {0};
	struct iscsi_text_answer answer = {.transfer_tag = PDU_NO_TAG};
	bool proves;

	pdu_put_transfer_tag(request->header, PDU_NO_TAG);
	while (next_request(in, request, &none, &proves)) {
		uint8_t *data = exact(request);

		iscsi_text_step(text, request->header, data, request->bytes,
			params.max_send_bytes, &params, &answer);
		free(data);
		while (answer.unfinished)
			iscsi_text_resume(
				text, params.max_send_bytes, &params, &answer);
		check_pairs(answer.text, answer.text_bytes);
		assert(answer.reject ||
			answer.final == (answer.transfer_tag == PDU_NO_TAG));
		assert(!answer.final || (request->header[1] & PDU_FINAL));
		pdu_put_transfer_tag(request->header,
			answer.reject ? PDU_NO_TAG : answer.transfer_tag);
	}
	iscsi_text_free(text);
}

static enum iscsi_verdict talk_login(struct input *in,
	struct iscsi_login *login, struct request *request, bool *proven)
{
	static struct iscsi_login_answer answer;
	enum iscsi_verdict verdict = ISCSI_LOGIN_CONTINUE;
	bool proves;

	answer.text_bytes = 0;
	while (verdict == ISCSI_LOGIN_CONTINUE &&
		next_request(in, request, &answer, &proves)) {
		uint8_t *data = exact(request);

		verdict = iscsi_login_step(
			login, request->header, data, request->bytes, &answer);
		free(data);
		check_answer(request, verdict, &answer);
		*proven |= proves && verdict != ISCSI_LOGIN_FAILED;
	}
	return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *w;
	static struct request request;
	struct input in = {data, data + size};
	struct iscsi_login_result result;
	struct iscsi_login *login;
	bool proven = false;

	if (!w)
		w = make_world();
	memset(request.header, 0, sizeof request.header);
	request.header[0] = 0x43;
	login = iscsi_login_new(&w->world);
	if (talk_login(&in, login, &request, &proven) == ISCSI_LOGIN_READY) {
		iscsi_login_result(login, &result);
		check_result(&result, proven);
		talk_text(&in, w, &result, &request);
	}
	iscsi_login_free(login);
	assert(atomic_load(&w->world.table->references) == 1);
	return 0;
}
