/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that a token may be used from. */
#include "target/control/trust/trust_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network {
	uint8_t byte[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};

static bool read_address(const char *text, struct network *out, unsigned *most)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	*most = 128;
	if (inet_pton(AF_INET6, text, out->byte) == 1)
		return true;
	*most = 32;
	memcpy(out->byte, mapped, sizeof mapped);
	return inet_pton(AF_INET, text, out->byte + 12) == 1;
}

static bool read_network(const char *text, struct network *out)
{
	char address[TRUST_ADDRESS_BYTES], *slash, *end;
	unsigned most;
	if (snprintf(address, sizeof address, "%s", text) >=
		(int)sizeof address)
		return false;
	slash = strchr(address, '/');
	if (slash)
		*slash++ = '\0';
	if (!read_address(address, out, &most))
		return false;
	unsigned long bits = most;
	if (slash) {
		bits = strtoul(slash, &end, 10);
		if (slash[0] < '0' || slash[0] > '9' || *end || bits > most)
			return false;
	}
	out->bits = (unsigned)bits + 128 - most;
	return true;
}

bool trust_network_valid(const char *network)
{
	struct network ignored;
	return read_network(network, &ignored);
}

bool trust_network_has(const char *network, const char *address)
{
	struct network net, one;
	unsigned most;
	if (!read_network(network, &net) || !read_address(address, &one, &most))
		return false;
	unsigned whole = net.bits / 8, rest = net.bits % 8;
	if (memcmp(net.byte, one.byte, whole))
		return false;
	return !rest || (net.byte[whole] ^ one.byte[whole]) >> (8 - rest) == 0;
}
