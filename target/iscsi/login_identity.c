/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: who logs in to what (RFC 7143 13.4 TargetName, 13.5 InitiatorName,
 * 13.7 InitiatorAlias, 13.21 SessionType), and whether the access table lets it.
 *
 * Invariants
 *  1. Name, target and type are fixed by the first text; later texts may only
 *     say the same again.
 *  2. Whatever a Normal session is refused for here (unknown target, other
 *     portal, unknown or forbidden host), the answer is 0203.
 */
#include "target/iscsi/login_state.h"

#include "blockcore/base/log.h"

#include <string.h>

static const char *shown(char out[64], const char *text)
{
	return log_escape(out, 64, text, (unsigned)strlen(text));
}

static enum iscsi_verdict set_type(struct login_turn *turn)
{
	const char *type = turn->offer.value[KEYS_SESSION_TYPE];
	struct iscsi_login *login = turn->login;
	char text[64];
	bool discovery;

	if (!type && login->identified)
		return ISCSI_LOGIN_CONTINUE;
	discovery = type && !strcmp(type, "Discovery");
	if (type && !discovery && strcmp(type, "Normal"))
		return login_fail(turn->answer, ISCSI_LOGIN_SESSION_TYPE,
			"SessionType=%s is neither Normal nor Discovery",
			shown(text, type));
	if (login->identified && discovery != login->keys.discovery)
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"SessionType=%s is not what the login began with",
			type);
	login->keys.discovery = discovery;
	return ISCSI_LOGIN_CONTINUE;
}

/* Folds the name of key `id` to `name`, or holds it against the one there. */
static enum iscsi_verdict set_name(
	struct login_turn *turn, enum keys_id id, char name[ACCESS_NAME_BYTES])
{
	const char *value = turn->offer.value[id];
	char folded[ACCESS_NAME_BYTES], text[64];

	if (!value && turn->login->identified)
		return ISCSI_LOGIN_CONTINUE;
	if (!value)
		return login_fail(turn->answer, ISCSI_LOGIN_MISSING_PARAMETER,
			"no %s in the first request", keys_row(id)->name);
	if (!access_fold_name(folded, value, strlen(value)))
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"%s=%s is no iSCSI name", keys_row(id)->name,
			shown(text, value));
	if (turn->login->identified && strcmp(name, folded))
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"%s=%s is not what the login began with",
			keys_row(id)->name, shown(text, value));
	strcpy(name, folded);
	return ISCSI_LOGIN_CONTINUE;
}

static void set_alias(struct login_turn *turn)
{
	const char *value = turn->offer.value[KEYS_INITIATOR_ALIAS];

	if (value)
		log_escape(turn->login->alias, sizeof turn->login->alias, value,
			(unsigned)strlen(value));
}

/* Finds host and target for a Normal session; NULL or why not, for our log. */
static const char *find_target(struct iscsi_login *login)
{
	const struct iscsi_login_world *world = login->world;
	const struct access_target *target =
		access_find_target(world->table, login->target_name);

	if (!target)
		return "there is no such target";
	if (!access_on_portal(target, world->portal))
		return "the target is not on this portal";
	login->host = access_find_host_for(
		world->table, target, login->initiator, world->peer);
	if (!login->host)
		return "no host with an export there has this name and address";
	login->target = target;
	return NULL;
}

static enum iscsi_verdict resolve_normal(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	const char *why = find_target(login);
	char target[64], initiator[64];

	if (!why)
		return ISCSI_LOGIN_CONTINUE;
	return login_fail(turn->answer, ISCSI_LOGIN_NOT_FOUND, "%s to %s: %s",
		shown(initiator, login->initiator),
		shown(target, login->target_name), why);
}

static enum iscsi_verdict resolve_discovery(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	const struct iscsi_login_world *world = login->world;
	char initiator[64];

	login->host =
		access_find_host(world->table, login->initiator, world->peer);
	if (login->host)
		return ISCSI_LOGIN_CONTINUE;
	return login_fail(turn->answer, ISCSI_LOGIN_FORBIDDEN,
		"%s: no host has this name and address",
		shown(initiator, login->initiator));
}

enum iscsi_verdict login_identify(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	enum iscsi_verdict verdict = set_type(turn);
	bool first = !login->identified;

	if (verdict == ISCSI_LOGIN_CONTINUE)
		verdict = set_name(turn, KEYS_INITIATOR_NAME, login->initiator);
	if (verdict == ISCSI_LOGIN_CONTINUE && !login->keys.discovery)
		verdict = set_name(turn, KEYS_TARGET_NAME, login->target_name);
	if (verdict != ISCSI_LOGIN_CONTINUE)
		return verdict;
	set_alias(turn);
	login->identified = true;
	if (!first)
		return ISCSI_LOGIN_CONTINUE;
	return login->keys.discovery ? resolve_discovery(turn)
				     : resolve_normal(turn);
}
