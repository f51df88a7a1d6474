/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in settings and in the appliance document: what they may look like.
 *
 *	plain	volumes, hosts, portals: a letter or digit, then up to 62 of
 *		letters, digits, '.', '_', '-'
 *	iqn	iqn.YYYY-MM.authority[:rest] (RFC 7143 4.2.7.1), as the naming
 *		authority must be: at most 223 bytes of letters, digits, '-', '.',
 *		':'. Names of hosts and targets: access_fold_name.
 */
#ifndef TARGET_CONTROL_DOCUMENT_NAMES_H
#define TARGET_CONTROL_DOCUMENT_NAMES_H

#include <stdbool.h>

bool name_is_plain(const char *name);
#define NAME_PLAIN_RULE \
	"\"%s\" is no name: begin with a letter or digit, then up to 62 " \
	"letters, digits, '.', '_' or '-'"

bool name_is_iqn(const char *name);
#define NAME_IQN_RULE \
	"\"%s\" is no iSCSI name: iqn.YYYY-MM., a domain of yours turned " \
	"round, " \
	"then ':' and a text; letters, digits, '-', '.', ':'"

/* To lower case, in place: names are compared without regard to it. */
void name_fold(char *name);

#endif
