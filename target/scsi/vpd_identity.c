/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vital product data that tell who the unit is and by which ports it is
 * reached (SPC-4 7.8).
 */
#include "blockcore/base/bytes.h"
#include "target/scsi/port_groups.h"
#include "target/scsi/task.h"
#include "target/scsi/vpd.h"

#include <stdio.h>
#include <string.h>

uint32_t vpd_serial(const struct scsi_task *task, uint8_t *to)
{
	memcpy(to, scsi_volume(task)->serial, 32);
	return 32;
}

/* -- designators ---------------------------------------------------------- */

enum { /* SPC-4 7.8.6.1 */
	DESIGNATOR_BINARY = 1,
	DESIGNATOR_ASCII = 2,
	DESIGNATOR_UTF8 = 3,
	/* types */
	DESIGNATOR_T10 = 1,
	DESIGNATOR_NAA = 3,
	DESIGNATOR_RELATIVE_PORT = 4,
	DESIGNATOR_PORT_GROUP = 5,
	DESIGNATOR_NAME = 8,
	/* of what, in the type's byte; nothing: the unit */
	DESIGNATOR_OF_PORT = 0x10,
	DESIGNATOR_OF_TARGET = 0x20,
	DESIGNATOR_PIV = 0x80,
	DESIGNATOR_ISCSI = 0x50,
};

/* Longest SCSI name string, with its NULs. */
#define NAME_BYTES 256u
/* A port of VPD page 88h: 12 bytes and its name. */
#define PORT_MOST_BYTES (12u + 4u + NAME_BYTES)

static uint8_t *put_designator(uint8_t *to, uint8_t code_set, uint8_t type,
	const void *data, size_t bytes)
{
	to[0] = code_set;
	to[1] = type;
	if (type & (DESIGNATOR_OF_PORT | DESIGNATOR_OF_TARGET)) {
		to[0] |= DESIGNATOR_ISCSI;
		to[1] |= DESIGNATOR_PIV;
	}
	to[2] = 0;
	to[3] = (uint8_t)bytes;
	memcpy(to + 4, data, bytes);
	return to + 4 + bytes;
}

static uint8_t *put_t10(const struct volume *volume, uint8_t *to)
{
	uint8_t text[8 + 32];

	scsi_put_text(text, volume->settings.vendor, 8);
	memcpy(text + 8, volume->serial, 32);
	return put_designator(
		to, DESIGNATOR_ASCII, DESIGNATOR_T10, text, sizeof text);
}

/* A SCSI name string ends with 1 to 4 NULs, on a multiple of four. */
static uint8_t *put_name(uint8_t *to, uint8_t of, const char *name)
{
	uint8_t text[NAME_BYTES] = {0};
	size_t length = strnlen(name, NAME_BYTES - 8);

	memcpy(text, name, length);
	return put_designator(to, DESIGNATOR_UTF8, of | DESIGNATOR_NAME, text,
		(length / 4 + 1) * 4);
}

static uint8_t *put_number(uint8_t *to, uint8_t type, uint16_t value)
{
	uint8_t number[4] = {0};

	put_be16(number + 2, value);
	return put_designator(to, DESIGNATOR_BINARY, DESIGNATOR_OF_PORT | type,
		number, sizeof number);
}

/* The NAA identifier as a name (SPC-4 7.8.6.11): the same by every port, as a name
 * made of the target's and the LUN would not be. */
static uint8_t *put_unit_name(const struct volume *volume, uint8_t *to)
{
	char name[4 + 16 + 1];

	snprintf(name, sizeof name, "naa.%016llX",
		(unsigned long long)get_be64(volume->naa));
	return put_name(to, 0, name);
}

uint32_t vpd_identification(const struct scsi_task *task, uint8_t *to)
{
	const struct volume_initiator *port = &task->nexus->initiator;
	const struct volume *volume = scsi_volume(task);
	uint8_t *at = to;

	at = put_designator(
		at, DESIGNATOR_BINARY, DESIGNATOR_NAA, volume->naa, 8);
	at = put_t10(volume, at);
	at = put_unit_name(volume, at);
	at = put_number(
		at, DESIGNATOR_RELATIVE_PORT, port->relative_target_port);
	at = put_number(at, DESIGNATOR_PORT_GROUP, port->target_portal_group);
	at = put_name(at, DESIGNATOR_OF_PORT, port->target_port);
	at = put_name(at, DESIGNATOR_OF_TARGET, task->nexus->target->iqn);
	return (uint32_t)(at - to);
}

/* -- management ------------------------------------------------------------- */

enum { MANAGEMENT_OF_TARGET = 0x40, MANAGEMENT_CONFIGURES = 1 };

bool vpd_management_there(const struct scsi_task *task)
{
	return task->nexus->table->management_url;
}

/* SPC-4 7.8.7: one service, of the whole target device. Zeroes end the address, on
 * a multiple of four. */
uint32_t vpd_management(const struct scsi_task *task, uint8_t *to)
{
	const char *url = task->nexus->table->management_url;
	size_t length = strnlen(url, ACCESS_URL_BYTES - 1);
	uint16_t padded = (uint16_t)((length / 4 + 1) * 4);

	to[0] = MANAGEMENT_OF_TARGET | MANAGEMENT_CONFIGURES;
	put_be16(to + 2, padded);
	memset(to + 4, 0, padded);
	memcpy(to + 4, url, length);
	return 4u + padded;
}

/* -- ports ---------------------------------------------------------------- */

static uint32_t put_port(
	const struct scsi_task *task, uint16_t group, uint8_t *to)
{
	char name[NAME_BYTES];
	uint8_t *end;

	/* As a login by that group names it (RFC 7143 4.5.1). */
	snprintf(name, sizeof name, "%s,t,0x%04x", task->nexus->target->iqn,
		group);
	memset(to, 0, 12);
	put_be16(to + 2, group); /* the relative identifier */
	end = put_name(to + 12, DESIGNATOR_OF_PORT, name);
	put_be16(to + 10, (uint16_t)(end - to - 12));
	return (uint32_t)(end - to);
}

/* The length says how many there are, also when not all of them fit. */
uint32_t vpd_ports(const struct scsi_task *task, uint8_t *to)
{
	uint32_t room = task->data_bytes, bytes = 0;
	uint16_t group[VOLUME_PATHS_MOST];
	unsigned count = scsi_port_groups(task->nexus, group);

	if (room < BUF_MIN_BYTES)
		room = BUF_MIN_BYTES;
	room -= VPD_HEADER_BYTES;
	for (unsigned i = 0; i < count; i++) {
		uint8_t port[PORT_MOST_BYTES];
		uint32_t used = put_port(task, group[i], port);

		if (bytes + used > UINT16_MAX)
			break;
		if (bytes + used <= room)
			memcpy(to + bytes, port, used);
		else if (bytes < room)
			memcpy(to + bytes, port, room - bytes);
		bytes += used;
	}
	return bytes;
}
