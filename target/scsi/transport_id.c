/* SPDX-License-Identifier: Apache-2.0 */
/* See transport_id.h. */
#include "target/scsi/transport_id.h"

#include "blockcore/base/bytes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRANSPORT_ISCSI = 5,
	TRANSPORT_PORT = 0x40, /* format 01b: name and ISID */
	TRANSPORT_HEADER_BYTES = 4,
	TRANSPORT_TEXT_LEAST = 20,
	TRANSPORT_TEXT_MOST = 264,
};

uint32_t transport_id_put(const char *port, uint8_t *to)
{
	size_t length = strnlen(port, TRANSPORT_TEXT_MOST - 1);
	size_t padded = (length / 4 + 1) * 4;

	if (padded < TRANSPORT_TEXT_LEAST)
		padded = TRANSPORT_TEXT_LEAST;
	memset(to, 0, TRANSPORT_HEADER_BYTES + padded);
	to[0] = TRANSPORT_PORT | TRANSPORT_ISCSI;
	put_be16(to + 2, (uint16_t)padded);
	memcpy(to + TRANSPORT_HEADER_BYTES, port, length);
	return (uint32_t)(TRANSPORT_HEADER_BYTES + padded);
}

/* "name,i,0xISID", terminated: the ISID written with all its digits. */
static bool port_normalize(const char *text, char *port, size_t room)
{
	const char *separator = strstr(text, ",i,0x");
	char *end;
	unsigned long long isid;

	if (!separator || separator == text)
		return false;
	if (!isxdigit((unsigned char)separator[5]))
		return false;
	isid = strtoull(separator + 5, &end, 16);
	if (*end || isid >> 48)
		return false;
	if ((size_t)snprintf(port, room, "%.*s,i,0x%012llx",
		    (int)(separator - text), text, isid) >= room)
		return false;
	for (; *port; port++)
		*port = (char)tolower((unsigned char)*port);
	return true;
}

uint32_t transport_id_get(
	const uint8_t *from, uint32_t bytes, char *port, size_t room)
{
	char text[TRANSPORT_TEXT_MOST + 1];
	uint32_t length;

	if (bytes < TRANSPORT_HEADER_BYTES ||
		from[0] != (TRANSPORT_PORT | TRANSPORT_ISCSI))
		return 0;
	length = get_be16(from + 2);
	if (length < TRANSPORT_TEXT_LEAST || length > TRANSPORT_TEXT_MOST ||
		length % 4 || length > bytes - TRANSPORT_HEADER_BYTES)
		return 0;
	memcpy(text, from + TRANSPORT_HEADER_BYTES, length);
	text[length] = 0;
	if (strlen(text) == length || !port_normalize(text, port, room))
		return 0;
	return TRANSPORT_HEADER_BYTES + length;
}
