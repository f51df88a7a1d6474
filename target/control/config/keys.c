/* SPDX-License-Identifier: Apache-2.0 */
/* See keys.h. */
#include "target/control/config/keys.h"

#include "target/volume/access.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PORT 3260 /* portals.c */

static void tell(struct key_visitor *visitor, char prefix, const char *text,
	bool defines)
{
	char key[CONFIG_KEY_BYTES];
	if (!text)
		return;
	snprintf(key, sizeof key, "%c:%s", prefix, text);
	visitor->key(visitor, key, defines);
}

static const char *text_of(const json_t *value, const char *member)
{
	return json_string_value(json_object_get(value, member));
}

/* -- volumes ---------------------------------------------------------------- */

/* Hex digits alone, as one UUID is written in several ways. */
static void tell_uuid(struct key_visitor *visitor, const char *text)
{
	char digits[33];
	unsigned used = 0;
	for (; text && *text && used < 32; text++) {
		if (*text != '-')
			digits[used++] = (char)tolower((unsigned char)*text);
	}
	digits[used] = '\0';
	if (used == 32)
		tell(visitor, 'u', digits, true);
}

/* As document_volumes.c walks it. */
static void tell_below(struct key_visitor *visitor, const json_t *source)
{
	const json_t *format = json_object_get(source, "format");
	const json_t *below[] = {json_object_get(source, "source"),
		json_object_get(format, "file"),
		json_object_get(format, "backing")};
	for (int i = 0; i < 3; i++) {
		if (json_is_object(below[i]))
			tell_below(visitor, below[i]);
		else
			tell(visitor, 'v', json_string_value(below[i]), false);
	}
}

/* -- targets and exports ---------------------------------------------------- */

bool key_target_iqn(
	const char *text, const char *authority, char *iqn, bool short_form)
{
	char whole[2 * ACCESS_NAME_BYTES];
	int length = short_form
		? snprintf(whole, sizeof whole, "%s:%s", authority, text)
		: snprintf(whole, sizeof whole, "%s", text);
	return length < (int)ACCESS_NAME_BYTES &&
		access_fold_name(iqn, whole, (size_t)length);
}

/* An address may be written in several ways; those are different ones, too, for
 * the document's check. */
static void tell_portal(struct key_visitor *visitor, const json_t *value)
{
	char place[96];
	const char *address = text_of(value, "address");
	const json_t *port = json_object_get(value, "port");
	long long number =
		json_is_integer(port) ? json_integer_value(port) : DEFAULT_PORT;
	tell(visitor, 'p', text_of(value, "name"), true);
	if (!address || !number)
		return;
	snprintf(place, sizeof place, "%lld,%.63s", number, address);
	tell(visitor, 'a', place, true);
}

static void tell_target(
	struct key_visitor *visitor, const json_t *value, const char *authority)
{
	char iqn[ACCESS_NAME_BYTES];
	const json_t *portal;
	size_t i;
	json_array_foreach(json_object_get(value, "portals"), i, portal)
		tell(visitor, 'p', json_string_value(portal), false);
	const char *whole = text_of(value, "iqn"),
		   *end = text_of(value, "name");
	if (whole && key_target_iqn(whole, authority, iqn, false))
		tell(visitor, 't', iqn, true);
	if (end && key_target_iqn(end, authority, iqn, true))
		tell(visitor, 't', iqn, true);
}

/* Where an export is, if its target is called `iqn`. */
static void tell_place(
	struct key_visitor *visitor, const json_t *value, const char *iqn)
{
	char place[ACCESS_NAME_BYTES + 24];
	const json_t *lun = json_object_get(value, "lun");
	tell(visitor, 't', iqn, false);
	if (!json_is_integer(lun))
		return;
	snprintf(place, sizeof place, "%s,%lld", iqn,
		(long long)json_integer_value(lun));
	tell(visitor, 'l', place, true);
}

static void tell_export(
	struct key_visitor *visitor, const json_t *value, const char *authority)
{
	char iqn[ACCESS_NAME_BYTES];
	const char *target = text_of(value, "target");
	const json_t *host;
	size_t i;
	tell(visitor, 'v', text_of(value, "volume"), false);
	tell(visitor, 'v', text_of(value, "through"), false);
	json_array_foreach(json_object_get(value, "hosts"), i, host)
		tell(visitor, 'h', json_string_value(host), false);
	if (target && key_target_iqn(target, authority, iqn, false))
		tell_place(visitor, value, iqn);
	if (target && key_target_iqn(target, authority, iqn, true))
		tell_place(visitor, value, iqn);
}

static void tell_schedule(struct key_visitor *visitor, const json_t *value)
{
	const json_t *volume;
	size_t i;
	tell(visitor, 's', text_of(value, "name"), true);
	json_array_foreach(json_object_get(value, "volumes"), i, volume)
		tell(visitor, 'v', json_string_value(volume), false);
}

void keys_each(enum config_kind kind, const json_t *value,
	const char *authority, struct key_visitor *visitor)
{
	switch (kind) {
	case CONFIG_VOLUME:
		tell(visitor, 'v', text_of(value, "name"), true);
		tell_uuid(visitor, text_of(value, "uuid"));
		tell_below(visitor, json_object_get(value, "source"));
		break;
	case CONFIG_HOST:
		tell(visitor, 'h', text_of(value, "name"), true);
		break;
	case CONFIG_TARGET: tell_target(visitor, value, authority); break;
	case CONFIG_EXPORT: tell_export(visitor, value, authority); break;
	case CONFIG_PORTAL: tell_portal(visitor, value); break;
	case CONFIG_SCHEDULE: tell_schedule(visitor, value); break;
	case CONFIG_KINDS: break;
	}
}
