/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a host reaches a volume: the exact commands, with this volume's values, for
 * each system that people use. The command line and the panel show the same texts;
 * those for Linux and QEMU are executed by the tests.
 *
 *	view --connect_steps--> step, step ... : a title and what to type
 *
 * Invariants
 *  1. A secret is never in a text: it is asked for, or read from a file, where it
 *     is needed.
 *  2. Values are quoted for the language that they stand in (shell, PowerShell,
 *     XML, YAML), whatever they contain. A portal is a word like any other:
 *     [2001:db8::1]:3260 is a pattern for a shell.
 *  3. Names that documents may use: "192.0.2.1" and the like are never made up; what
 *     is not known is left out or said to be chosen by the reader.
 *  4. What a system makes of a text is what its makers say: limits of theirs (LUNs,
 *     secrets, names) are in the table or beside the line that keeps them.
 */
#ifndef TARGET_CONTROL_CONNECT_CONNECT_H
#define TARGET_CONTROL_CONNECT_CONNECT_H

#include "blockcore/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct connect_portal {
	const char *address; /* numeric, without brackets */
	uint16_t port;
};

/* One host's way to one volume. */
struct connect_view {
	const char *volume; /* name */
	const char *host; /* name of the host entry */
	const char *target; /* IQN */
	uint16_t lun; /* as we count it */
	uint64_t size_bytes;
	bool read_only;
	const struct connect_portal *portal; /* at least one */
	unsigned portals;
	const uint8_t *naa; /* 8 bytes: the disk's world wide name */
	/* The initiator name that the host entry asks for; NULL: any will do. */
	const char *initiator;
	const char *chap_user; /* NULL: no CHAP */
	const char *mutual_user; /* NULL: one way */
};

struct connect_system {
	const char *name; /* "linux" */
	const char *title; /* "Linux, open-iscsi" */
	const char *language; /* of the steps: "sh", "powershell", "yaml" */
	void (*print)(FILE *out, const struct connect_view *view);
	unsigned
		luns; /* of one target that it looks at: 0 to luns - 1; 0: all */
	unsigned secret_bytes; /* of the longest CHAP secret; 0: any */
	bool md5_only; /* it knows no other hash for CHAP */
};

/* Every system, ended by a row without name. */
extern const struct connect_system connect_systems[];
/* -EINVAL with *err that lists the names. */
int connect_find_system(const char *name, const struct connect_system **system,
	struct err *err);

/* The whole text: comment lines that say what follows, and what to type. To be
 * freed; NULL without memory. */
char *connect_text(
	const struct connect_system *system, const struct connect_view *view);

#endif
