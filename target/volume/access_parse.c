/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and networks as people and hosts write them, into the one form in which
 * they are compared: names folded to lower case, addresses as IPv6.
 */
#include "target/volume/access.h"

#include "blockcore/base/err.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- names ----------------------------------------------------------------- */

static bool is_hex(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* RFC 3722 6: letters, digits, '-', '.', ':'. Characters beyond ASCII are taken
 * as they come: a host that prepares them otherwise is another host. */
static bool is_name_character(unsigned char c)
{
	return c >= 0x80 || isalnum(c) || (c && strchr("-.:_", c));
}

static bool is_name(const char *name, size_t bytes)
{
	if (bytes <= 4 || bytes >= ACCESS_NAME_BYTES)
		return false;
	if (!strncasecmp(name, "eui.", 4))
		return bytes == 4 + 16 && is_hex(name + 4, 16);
	if (!strncasecmp(name, "naa.", 4))
		return (bytes == 4 + 16 || bytes == 4 + 32) &&
			is_hex(name + 4, bytes - 4);
	if (strncasecmp(name, "iqn.", 4))
		return false;
	for (size_t i = 4; i < bytes; i++)
		if (!is_name_character((unsigned char)name[i]))
			return false;
	return true;
}

bool access_fold_name(
	char folded[ACCESS_NAME_BYTES], const char *name, size_t bytes)
{
	if (!is_name(name, bytes))
		return false;
	for (size_t i = 0; i < bytes; i++) {
		char c = name[i];

		folded[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	folded[bytes] = 0;
	return true;
}

/* -- networks -------------------------------------------------------------- */

static void map_ipv4(struct in6_addr *out, const struct in_addr *in)
{
	memset(out, 0, sizeof *out);
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(&out->s6_addr[12], in, 4);
}

/* Returns the number of bits that a prefix of this family may have, 0 if `text`
 * is no address. */
static unsigned parse_address(const char *text, struct in6_addr *address)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		map_ipv4(address, &v4);
		return 32;
	}
	return inet_pton(AF_INET6, text, address) == 1 ? 128 : 0;
}

static bool parse_prefix(const char *text, unsigned bits, unsigned *prefix)
{
	char *end;
	unsigned long value;

	if (!isdigit((unsigned char)*text))
		return false;
	value = strtoul(text, &end, 10);
	*prefix = (unsigned)value;
	return *end == 0 && value <= bits;
}

/* True if the first `prefix` bits of both are equal. */
static bool equal_bits(
	const struct in6_addr *a, const struct in6_addr *b, unsigned prefix)
{
	unsigned bytes = prefix / 8, rest = prefix % 8;

	if (memcmp(a, b, bytes))
		return false;
	return rest == 0 ||
		(a->s6_addr[bytes] ^ b->s6_addr[bytes]) >> (8 - rest) == 0;
}

static bool zero_beyond(const struct in6_addr *address, unsigned prefix)
{
	for (unsigned bit = prefix; bit < 128; bit++)
		if (address->s6_addr[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

int access_parse_network(
	const char *text, struct access_network *network, struct err *err)
{
	char address[INET6_ADDRSTRLEN] = "";
	const char *slash = strchrnul(text, '/');
	unsigned bits = 0, prefix;

	if ((size_t)(slash - text) < sizeof address) {
		memcpy(address, text, (size_t)(slash - text));
		bits = parse_address(address, &network->address);
	}
	if (bits == 0)
		return err_set(err, EINVAL,
			"\"%.100s\" is no network: write an IPv4 or IPv6 "
			"address, with /PREFIX or without",
			text);
	prefix = bits;
	if (*slash && !parse_prefix(slash + 1, bits, &prefix))
		return err_set(err, EINVAL,
			"network \"%.100s\": the prefix must be 0 to %u", text,
			bits);
	network->prefix = prefix + 128 - bits;
	if (!zero_beyond(&network->address, network->prefix))
		return err_set(err, EINVAL,
			"network \"%.100s\" has bits beyond its prefix: "
			"write the network's own address, or no prefix for "
			"one host",
			text);
	return 0;
}

bool access_network_holds(
	const struct access_network *network, const struct sockaddr *peer)
{
	const struct sockaddr_in *in = (const void *)peer;
	const struct sockaddr_in6 *in6 = (const void *)peer;
	struct in6_addr mapped;

	switch (peer->sa_family) {
	case AF_INET:
		map_ipv4(&mapped, &in->sin_addr);
		return equal_bits(&network->address, &mapped, network->prefix);
	case AF_INET6:
		return equal_bits(
			&network->address, &in6->sin6_addr, network->prefix);
	default: return false;
	}
}
