/* SPDX-License-Identifier: Apache-2.0 */
/* See bars.h. */
#include "target/iscsi/bars.h"

#include <arpa/inet.h>
#include <string.h>

#define SECOND_NS 1000000000ull

void bars_init(struct bars *bars)
{
	memset(bars, 0, sizeof *bars);
	pthread_mutex_init(&bars->mutex, NULL);
}

void bars_fini(struct bars *bars)
{
	pthread_mutex_destroy(&bars->mutex);
}

static struct in6_addr address_of(const struct sockaddr *peer)
{
	struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	if (peer->sa_family == AF_INET6)
		return ((const struct sockaddr_in6 *)peer)->sin6_addr;
	if (peer->sa_family == AF_INET)
		memcpy(address.s6_addr + 12,
			&((const struct sockaddr_in *)peer)->sin_addr, 4);
	return address;
}

static bool is_same(const struct bars_entry *entry, const char *host,
	const struct in6_addr *address)
{
	return entry->until_ns &&
		!strncmp(entry->host, host, sizeof entry->host - 1) &&
		(!address ||
			!memcmp(&entry->address, address, sizeof *address));
}

/* Its own entry, else the one that ends first (or has ended). */
static struct bars_entry *find_place(
	struct bars *bars, const char *host, const struct in6_addr *address)
{
	struct bars_entry *first = &bars->entry[0];

	for (unsigned i = 0; i < ISCSI_BARS; i++) {
		struct bars_entry *entry = &bars->entry[i];

		if (is_same(entry, host, address))
			return entry;
		if (entry->until_ns < first->until_ns)
			first = entry;
	}
	return first;
}

void bars_add(struct bars *bars, const char *host, const struct sockaddr *peer,
	uint64_t now_ns, uint64_t for_ns)
{
	struct in6_addr address = address_of(peer);
	struct bars_entry *entry;

	pthread_mutex_lock(&bars->mutex);
	entry = find_place(bars, host, &address);
	memset(entry, 0, sizeof *entry);
	strncpy(entry->host, host, sizeof entry->host - 1);
	entry->address = address;
	entry->until_ns = now_ns + for_ns;
	pthread_mutex_unlock(&bars->mutex);
}

bool bars_hold(struct bars *bars, const char *host, const struct sockaddr *peer,
	uint64_t now_ns)
{
	struct in6_addr address = address_of(peer);
	bool held = false;

	pthread_mutex_lock(&bars->mutex);
	for (unsigned i = 0; i < ISCSI_BARS && !held; i++)
		held = bars->entry[i].until_ns > now_ns &&
			is_same(&bars->entry[i], host, &address);
	pthread_mutex_unlock(&bars->mutex);
	return held;
}

bool bars_remove(struct bars *bars, const char *host)
{
	bool was = false;

	pthread_mutex_lock(&bars->mutex);
	for (unsigned i = 0; i < ISCSI_BARS; i++) {
		if (!is_same(&bars->entry[i], host, NULL))
			continue;
		bars->entry[i].until_ns = 0;
		was = true;
	}
	pthread_mutex_unlock(&bars->mutex);
	return was;
}

static void show(const struct bars_entry *entry, struct iscsi_bar *bar)
{
	char text[INET6_ADDRSTRLEN] = "";
	const char *shown = text;

	inet_ntop(AF_INET6, &entry->address, text, sizeof text);
	if (IN6_IS_ADDR_V4MAPPED(&entry->address))
		shown = strrchr(text, ':') + 1;
	memset(bar, 0, sizeof *bar);
	memcpy(bar->host, entry->host, sizeof bar->host);
	strncpy(bar->peer, shown, sizeof bar->peer - 1);
}

unsigned bars_list(
	struct bars *bars, struct iscsi_bar out[ISCSI_BARS], uint64_t now_ns)
{
	unsigned count = 0;

	pthread_mutex_lock(&bars->mutex);
	for (unsigned i = 0; i < ISCSI_BARS; i++) {
		const struct bars_entry *entry = &bars->entry[i];

		if (entry->until_ns <= now_ns)
			continue;
		show(entry, &out[count]);
		out[count++].left_s =
			(uint32_t)((entry->until_ns - now_ns + SECOND_NS - 1) /
				SECOND_NS);
	}
	pthread_mutex_unlock(&bars->mutex);
	return count;
}
