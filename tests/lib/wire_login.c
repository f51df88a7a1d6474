/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins: single steps (wire_login.h) and whole ones (wire.h).
 */
#include "tests/lib/wire_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_BYTES 9000u /* more than a login may send at once */

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void wire_send_login(struct wire *wire, uint8_t flags, const char *text)
{
	char copy[TEXT_BYTES];
	uint32_t bytes = (uint32_t)snprintf(copy, sizeof copy, "%s", text);
	uint8_t bhs[48];

	assert_true(bytes < sizeof copy);
	for (uint32_t i = 0; i < bytes; i++)
		copy[i] = copy[i] == '\n' ? 0 : copy[i];
	wire_begin(wire, bhs, WIRE_LOGIN | WIRE_IMMEDIATE);
	bhs[1] = flags;
	memcpy(bhs + 8, wire->isid, 6);
	put16(bhs + 14, wire->tsih);
	put16(bhs + 20, wire->cid);
	wire_send(wire, bhs, copy, bytes);
}

unsigned wire_say_login(struct wire *wire, uint8_t flags, const char *text,
	struct wire_pdu *pdu)
{
	wire_send_login(wire, flags, text);
	wire_expect(wire, WIRE_LOGIN_RESPONSE, pdu);
	return (unsigned)(pdu->bhs[36] << 8 | pdu->bhs[37]);
}

void wire_expect_login_refused(
	struct wire *wire, uint8_t flags, const char *text, unsigned status)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);

	assert_int_equal(wire_say_login(wire, flags, text, pdu), status);
	assert_int_equal(pdu->bytes, 0);
	assert_int_equal(pdu->bhs[1] & WIRE_T, 0);
	free(pdu);
	wire_expect_closed(wire);
	wire_close(wire);
}

void wire_renew(struct wire *wire)
{
	struct wire new = {0};

	memcpy(new.isid, wire->isid, sizeof new.isid);
	*wire = new;
}

void wire_expect_dropped(struct wire *wire, unsigned wait_s)
{
	static struct wire_pdu pdu;

	wire_expect(wire, WIRE_ASYNC, &pdu);
	assert_int_equal(pdu.bhs[36], 3); /* RFC 7143 11.9.1 */
	assert_int_equal(pdu.bhs[40] << 8 | pdu.bhs[41], wait_s);
	wire_expect_closed(wire);
	wire_close(wire);
	wire_renew(wire);
}

const char *wire_value_of(const struct wire_pdu *pdu, const char *key)
{
	const char *at = (const char *)pdu->data, *end = at + pdu->bytes;
	size_t length = strlen(key);

	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	return "absent";
}

size_t wire_unhex(const char *value, uint8_t *out, size_t size)
{
	size_t bytes = (strlen(value) - 2) / 2;

	assert_memory_equal(value, "0x", 2);
	assert_true(bytes <= size);
	for (size_t i = 0; i < bytes; i++) {
		unsigned byte;

		assert_int_equal(sscanf(value + 2 + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return bytes;
}

/* -- whole logins (wire.h) --------------------------------------------------- */

static bool says(const struct wire_pdu *pdu, const char *pair)
{
	size_t length = strlen(pair) + 1;

	for (size_t i = 0; i + length <= pdu->bytes; i++) {
		if (!memcmp(pdu->data + i, pair, length))
			return true;
	}
	return false;
}

static unsigned login(struct wire *wire, const char *names, const char *keys)
{
	const uint8_t flags = WIRE_OPERATIONAL | WIRE_TO_FULL;
	struct wire_pdu *pdu = malloc(sizeof *pdu);
	char text[TEXT_BYTES];
	unsigned status;

	snprintf(text, sizeof text, "%s%s", names, keys);
	status = wire_say_login(wire, flags, text, pdu);
	if (status == 0) {
		assert_int_equal(pdu->bhs[1], flags);
		wire->tsih = (uint16_t)(pdu->bhs[14] << 8 | pdu->bhs[15]);
		assert_int_not_equal(wire->tsih, 0);
		wire->header_digest = says(pdu, "HeaderDigest=CRC32C");
		wire->data_digest = says(pdu, "DataDigest=CRC32C");
	}
	free(pdu);
	return status;
}

unsigned wire_login(struct wire *wire, const char *target, const char *keys)
{
	char names[512];

	snprintf(names, sizeof names,
		"InitiatorName=%s\nTargetName=%s\nSessionType=Normal\n",
		WIRE_HOST, target);
	return login(wire, names, keys);
}

void wire_open(struct wire *wire, uint16_t port, const char *keys)
{
	wire_connect(wire, port);
	assert_int_equal(wire_login(wire, WIRE_TARGET, keys), 0);
	wire_clear_attentions(wire);
}

void wire_login_discovery(struct wire *wire)
{
	assert_int_equal(
		login(wire,
			"InitiatorName=" WIRE_HOST "\nSessionType=Discovery\n",
			""),
		0);
}

void wire_open_discovery(struct wire *wire, uint16_t port)
{
	wire_connect(wire, port);
	wire_login_discovery(wire);
}

void wire_logout(struct wire *wire)
{
	struct wire_pdu *pdu = malloc(sizeof *pdu);
	uint8_t bhs[48];

	wire_begin(wire, bhs, WIRE_LOGOUT | WIRE_IMMEDIATE);
	wire_send(wire, bhs, NULL, 0);
	wire_expect(wire, WIRE_LOGOUT_RESPONSE, pdu);
	assert_int_equal(pdu->bhs[2], 0);
	free(pdu);
	wire_expect_closed(wire);
	wire_close(wire);
}
