/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blob: version (1), type, number of registrants (be16); for each its key
 * (be64), flags, relative port, portal group (be16 each), and the two port names,
 * each with a length (be16) before it. An empty blob is an empty table. The
 * generation is not kept: it begins at 0 after a restart (SPC-4 6.15.2).
 */
#include "target/reservation/store.h"

#include "blockcore/base/bytes.h"
#include "target/reservation/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	STORE_VERSION = 1,
	STORE_HEADER_BYTES = 4,
	STORE_ENTRY_BYTES = 8 + 1 + 2 + 2 + 2 + 2, /* without the names */
	STORE_ALL_TARGET_PORTS = 1,
	STORE_HOLDER = 2,
};

static uint8_t *put_name(uint8_t *to, const char *name)
{
	size_t length = strlen(name);

	put_be16(to, (uint16_t)length);
	memcpy(to + 2, name, length);
	return to + 2 + length;
}

static uint8_t *put_registrant(
	uint8_t *to, const struct reservation_registrant *entry)
{
	put_be64(to, entry->key);
	to[8] = (uint8_t)((entry->all_target_ports ? STORE_ALL_TARGET_PORTS
						   : 0) |
		(entry->holder ? STORE_HOLDER : 0));
	put_be16(to + 9, entry->initiator.relative_target_port);
	put_be16(to + 11, entry->initiator.target_portal_group);
	to = put_name(to + 13, entry->initiator.port);
	return put_name(to, entry->initiator.target_port);
}

uint8_t *reservation_encode(
	const struct reservation_table *table, size_t *bytes)
{
	size_t room = STORE_HEADER_BYTES +
		table->registrants *
			(STORE_ENTRY_BYTES + sizeof(struct volume_initiator));
	uint8_t *blob = malloc(room), *to;

	if (!blob)
		return NULL;
	to = blob + STORE_HEADER_BYTES;
	blob[0] = STORE_VERSION;
	blob[1] = (uint8_t)table->type;
	put_be16(blob + 2, (uint16_t)table->registrants);
	for (unsigned i = 0; i < table->registrants; i++)
		to = put_registrant(to, &table->registrant[i]);
	*bytes = (size_t)(to - blob);
	return blob;
}

struct reader {
	const uint8_t *from;
	size_t left;
};

static const uint8_t *reader_take(struct reader *reader, size_t bytes)
{
	const uint8_t *at = reader->from;

	if (bytes > reader->left)
		return NULL;
	reader->from += bytes;
	reader->left -= bytes;
	return at;
}

static bool reader_name(struct reader *reader, char *name, size_t room)
{
	const uint8_t *length = reader_take(reader, 2), *text;

	if (!length || get_be16(length) >= room)
		return false;
	text = reader_take(reader, get_be16(length));
	if (!text || memchr(text, 0, get_be16(length)))
		return false;
	memcpy(name, text, get_be16(length));
	name[get_be16(length)] = 0;
	return true;
}

static bool reader_registrant(
	struct reader *reader, struct reservation_registrant *entry)
{
	const uint8_t *fixed = reader_take(reader, 13);

	if (!fixed)
		return false;
	entry->key = get_be64(fixed);
	entry->all_target_ports = fixed[8] & STORE_ALL_TARGET_PORTS;
	entry->holder = fixed[8] & STORE_HOLDER;
	entry->initiator.relative_target_port = get_be16(fixed + 9);
	entry->initiator.target_portal_group = get_be16(fixed + 11);
	return reader_name(reader, entry->initiator.port,
		       sizeof entry->initiator.port) &&
		reader_name(reader, entry->initiator.target_port,
			sizeof entry->initiator.target_port);
}

/* A reservation has a holder, and nobody holds what is not reserved. */
static bool table_consistent(const struct reservation_table *table)
{
	unsigned holders = 0;

	for (unsigned i = 0; i < table->registrants; i++)
		holders += table->registrant[i].holder;
	if (table->type == RESERVATION_NONE)
		return !holders;
	return reservation_type_known(table->type) &&
		(reservation_all_registrants(table->type)
				? holders == table->registrants && holders
				: holders == 1);
}

struct reservation_table *reservation_decode(const void *blob, size_t bytes)
{
	struct reader reader = {blob, bytes};
	const uint8_t *header = reader_take(&reader, STORE_HEADER_BYTES);
	struct reservation_table *table;
	unsigned count;

	if (!header || header[0] != STORE_VERSION)
		return NULL;
	count = get_be16(header + 2);
	if (count > RESERVATION_REGISTRANTS)
		return NULL;
	table = calloc(1, reservation_table_bytes(count));
	if (!table)
		return NULL;
	table->aptpl = true;
	table->type = header[1];
	while (table->registrants < count &&
		reader_registrant(
			&reader, &table->registrant[table->registrants]))
		table->registrants++;
	if (table->registrants == count && !reader.left &&
		table_consistent(table))
		return table;
	free(table);
	return NULL;
}

int reservation_save_co(struct volume *volume,
	const struct reservation_table *old,
	const struct reservation_table *next)
{
	struct volume_store *store = volume->store;
	uint8_t *blob = NULL;
	size_t bytes = 0;
	int result;

	if (!next->aptpl && !(old && old->aptpl))
		return 0;
	if (!store)
		return -EOPNOTSUPP;
	if (next->aptpl) {
		blob = reservation_encode(next, &bytes);
		if (!blob)
			return -ENOMEM;
	}
	result = store->save_co(
		store, volume->settings.uuid, "reservation", blob, bytes, NULL);
	free(blob);
	return result;
}

int reservation_restore(
	struct volume *volume, const void *blob, size_t bytes, struct err *err)
{
	struct reservation_table *table;

	if (!bytes)
		return 0;
	table = reservation_decode(blob, bytes);
	if (!table)
		return err_set(err, EINVAL,
			"volume %s: its saved reservations cannot be read",
			volume->settings.name);
	table->serial = ++volume->reservation_serial;
	free(atomic_exchange(&volume->reservations, table));
	return 0;
}
