/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may reach what: hosts with their conditions, targets, exports. One
 * immutable table, made by target/control from the appliance document and read
 * by every reactor.
 *
 * Invariants
 *  1. Deny by default: a host is named before it can connect; all of its
 *     conditions (name, address, secret) are required together.
 *  2. A table never changes; a new one is published, the old one freed when its
 *     last user lets go (references are atomic). What did not change from one to
 *     the next (hosts, portals, targets with their exports) is shared.
 *  3. Secrets are in memory of their own and wiped when the table goes.
 *
 * Memory: the table, its arrays and its strings are each from malloc; whoever
 * makes a table fills it, access_put frees what no other table shares. A target
 * holds its portals; the hosts of its exports are held by the tables that the target
 * is in. Volumes are not owned: they outlive the table.
 */
#ifndef TARGET_VOLUME_ACCESS_H
#define TARGET_VOLUME_ACCESS_H

#include "target/volume/volume.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define ACCESS_URL_BYTES 256u
#define ACCESS_NAME_BYTES 224u /* RFC 7143 4.2.7.1: names <= 223 bytes */

struct access_network {
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	unsigned prefix; /* 0..128 */
};

enum access_weak { ACCESS_WEAK_ALLOWED, ACCESS_WEAK_FORBIDDEN };

struct access_chap {
	char *user, *secret; /* NULL: no CHAP asked of the host */
	char *mutual_user, *mutual_secret; /* we prove ourselves with these */
	enum access_weak weak; /* MD5 and SHA-1 */
};

struct access_host {
	atomic_uint references;
	char *name;
	char **iqn; /* folded to lower case; "*" any; a trailing '*' a prefix */
	unsigned iqns;
	struct access_network *network; /* empty: any address */
	unsigned networks;
	struct access_chap chap;
};

struct access_export {
	uint64_t id; /* of the configuration; 0: it has none */
	struct volume *volume; /* whose identity and reservations hosts see */
	/* An alias of it that their requests go through; NULL: none. */
	struct volume *through;
	uint16_t lun; /* 0..16383 */
	bool read_only;
	const struct access_host **host; /* who sees it; of the same table */
	unsigned hosts;
};

struct access_portal {
	atomic_uint references;
	char *name;
	char *address; /* numeric; where we listen */
	uint16_t port;
	char *advertised; /* "host:port" for discovery, NULL: as connected to */
	uint16_t group; /* target portal group tag, 1.. */
	/* Nobody listens there, and `port` may be none yet; the control lane
	 * changes it while others read. */
	atomic_bool closed;
};

struct access_target {
	atomic_uint references;
	char *iqn; /* folded */
	char *alias;
	struct access_export *export;
	unsigned exports;
	struct access_portal **portal; /* references; empty: all */
	unsigned portals;
};

struct access_table {
	atomic_uint references;
	struct access_host **host;
	unsigned hosts;
	struct access_portal **portal;
	unsigned portals;
	struct access_target **target;
	unsigned targets;
	char *management_url; /* told to hosts; NULL: it is not */
};

/* Any thread. The table comes with one reference, for its maker. */
struct access_table *access_get(struct access_table *table);
void access_put(struct access_table *table); /* NULL is fine */

/* Parts of tables: empty ones with one reference, NULL without memory. Putting NULL
 * is fine. */
struct access_host *access_host_new(void);
struct access_host *access_host_get(struct access_host *host);
void access_host_put(struct access_host *host);
struct access_portal *access_portal_new(void);
struct access_portal *access_portal_get(struct access_portal *portal);
void access_portal_put(struct access_portal *portal);
/* Strings of its own and the numbers; the references stay. False: no memory, what has
 * been copied stays in `to`. */
bool access_portal_copy(
	struct access_portal *to, const struct access_portal *from);
/* All but the ports. */
bool access_portal_same(
	const struct access_portal *a, const struct access_portal *b);
struct access_target *access_target_new(void);
struct access_target *access_target_get(struct access_target *target);
void access_target_put(struct access_target *target);

/* An iSCSI name (RFC 7143 4.2.7) of `bytes` as it is compared: ASCII folded to
 * lower case, the rest as it is. False if it is none: not "iqn.", "eui." or
 * "naa.", too long, wrong length of hex digits, characters that RFC 3722
 * forbids ('_' is let through: host names have it). */
bool access_fold_name(
	char folded[ACCESS_NAME_BYTES], const char *name, size_t bytes);

/* The target of that (folded) name, NULL if there is none. */
const struct access_target *access_find_target(
	const struct access_table *table, const char *iqn);
/* The portal of that name, NULL if there is none. */
struct access_portal *access_find_portal(
	const struct access_table *table, const char *name);
/* The host whose name and address conditions fit `iqn` (folded) at `peer`, the
 * most particular one (exact name, then longest prefix, then "*"; among equals
 * the longest network prefix, then the first in the table); NULL: nobody. */
const struct access_host *access_find_host(const struct access_table *table,
	const char *iqn, const struct sockaddr *peer);
/* All hosts whose conditions fit, the most particular one first. `fit` has room for
 * table->hosts; returns how many there are. */
struct access_fit {
	const struct access_host *host;
	int rank;
	unsigned order; /* in the table */
};
unsigned access_list_fits(const struct access_table *table, const char *iqn,
	const struct sockaddr *peer, struct access_fit *fit);
/* As access_find_host, among the hosts that some export of `target` names. */
const struct access_host *access_find_host_for(const struct access_table *table,
	const struct access_target *target, const char *iqn,
	const struct sockaddr *peer);
/* True if name and address fulfil the conditions of `host`. */
bool access_fits(const struct access_host *host, const char *iqn,
	const struct sockaddr *peer);
/* True if the name conditions of some host fit, whatever the address. */
bool access_knows_name(const struct access_table *table, const char *iqn);
/* True if `target` may be reached through `portal`, which goes by its name: an
 * open portal outlives the table that it came from. */
bool access_on_portal(
	const struct access_target *target, const struct access_portal *portal);
/* True if `host` sees at least one export of `target`. */
bool access_allows(
	const struct access_target *target, const struct access_host *host);
/* True if `host` sees `export`; of those that it sees, no two have the same LUN. */
bool access_names(
	const struct access_export *export, const struct access_host *host);

/* "192.0.2.0/24", "::1", "2001:db8::/32". 0 or -EINVAL with *err; bits beyond
 * the prefix are an error, for nobody can tell what was meant. */
int access_parse_network(
	const char *text, struct access_network *network, struct err *err);
bool access_network_holds(
	const struct access_network *network, const struct sockaddr *peer);

#endif
