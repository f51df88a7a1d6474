/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: the security stage (RFC 7143 12): AuthMethod and the conversation of
 * CHAP, as a table of what is due in each state.
 *
 * Invariants
 *  1. The host's entry in the access table decides whether CHAP is needed;
 *     nothing that the host sends can talk us out of it.
 *  2. We answer a challenge of the host's only after it has proven itself.
 */
#include "target/iscsi/login_state.h"

#include "blockcore/base/log.h"

#include <string.h>

static bool list_has(const char *list, const char *wanted)
{
	char item[16];

	while (keytext_list_next(&list, item, sizeof item))
		if (!strcmp(item, wanted))
			return true;
	return false;
}

static enum iscsi_verdict choose_method(struct login_turn *turn)
{
	const char *offered = turn->offer.value[KEYS_AUTH_METHOD];
	const char *method = login_needs_chap(turn->login) ? "CHAP" : "None";
	char text[64];

	if (!list_has(offered, method))
		return login_fail(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			"host %s is set up for AuthMethod=%s, the initiator "
			"offers %s",
			turn->login->host->name, method,
			log_escape(text, sizeof text, offered,
				(unsigned)strlen(offered)));
	keytext_add(&turn->out, "AuthMethod", method);
	turn->login->proof = PROOF_DONE;
	return ISCSI_LOGIN_CONTINUE;
}

enum iscsi_verdict login_prove(struct login_turn *turn, bool wants_on)
{
	if (turn->offer.value[KEYS_AUTH_METHOD])
		return choose_method(turn);
	if (wants_on && login_needs_chap(turn->login))
		return login_fail(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			"host %s must log in with CHAP, the initiator offers "
			"nothing",
			turn->login->host->name);
	return ISCSI_LOGIN_CONTINUE;
}
