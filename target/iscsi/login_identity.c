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

/* Why no host fits the name and the address, for our log; what the host is told
 * does not depend on it. */
static enum iscsi_refusal unknown_host(
	const struct iscsi_login *login, const char **why)
{
	const struct iscsi_login_world *world = login->world;

	if (access_find_host(world->table, login->initiator, world->peer)) {
		*why = "no host that fits has an export there";
		return ISCSI_REFUSED_EXPORT;
	}
	if (access_knows_name(world->table, login->initiator)) {
		*why = "a host has this name, but not from this address";
		return ISCSI_REFUSED_ADDRESS;
	}
	*why = "no host has this name";
	return ISCSI_REFUSED_NAME;
}

/* Finds host and target for a Normal session; *why is NULL or why not. */
static enum iscsi_refusal find_target(
	struct iscsi_login *login, const char **why)
{
	const struct iscsi_login_world *world = login->world;
	const struct access_target *target =
		access_find_target(world->table, login->target_name);

	*why = NULL;
	if (!target)
		*why = "there is no such target";
	else if (!access_on_portal(target, world->portal))
		*why = "the target is not on this portal";
	if (*why)
		return ISCSI_REFUSED_TARGET;
	login->host = access_find_host_for(
		world->table, target, login->initiator, world->peer);
	if (!login->host)
		return unknown_host(login, why);
	login->target = target;
	return ISCSI_REFUSED_PROTOCOL;
}

static enum iscsi_verdict resolve_normal(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	const char *why;
	enum iscsi_refusal refusal = find_target(login, &why);
	char target[64], initiator[64];

	if (!why)
		return ISCSI_LOGIN_CONTINUE;
	return login_refuse(turn->answer, ISCSI_LOGIN_NOT_FOUND, refusal,
		"%s to %s: %s", shown(initiator, login->initiator),
		shown(target, login->target_name), why);
}

static enum iscsi_verdict resolve_discovery(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	const struct iscsi_login_world *world = login->world;
	enum iscsi_refusal refusal;
	char initiator[64];
	const char *why;

	login->host =
		access_find_host(world->table, login->initiator, world->peer);
	if (login->host)
		return ISCSI_LOGIN_CONTINUE;
	refusal = unknown_host(login, &why);
	return login_refuse(turn->answer, ISCSI_LOGIN_FORBIDDEN, refusal,
		"%s: %s", shown(initiator, login->initiator), why);
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
