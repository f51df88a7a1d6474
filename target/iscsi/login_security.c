/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Login: the security stage (RFC 7143 12) as a table of what is due in each
 * state. The conversation of CHAP, the host's texts first:
 *
 *	AuthMethod=CHAP,...        AuthMethod=CHAP
 *	CHAP_A=5,7                 CHAP_A=7 CHAP_I= CHAP_C=
 *	CHAP_N= CHAP_R=            (proven)
 *	  and, to have us prove ourselves,
 *	CHAP_I= CHAP_C=            CHAP_N= CHAP_R=
 *
 * Invariants
 *  1. The host's entry in the access table decides whether CHAP is needed;
 *     nothing that the host sends can talk us out of it.
 *  2. We answer a challenge of the host's only after it has proven itself, never
 *     our own challenge come back, never with the secret that proves the host
 *     (9.2.1): a host cannot use us to find its own response.
 *  3. A wrong name and a wrong response take the same way and the same time.
 */
#include "target/iscsi/login_state.h"

#include "blockcore/base/log.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* For reasons in our log: what the host sent, escaped and cut. */
struct shown {
	char text[64];
};

static const char *show(struct shown *shown, const char *value)
{
	return log_escape(shown->text, sizeof shown->text, value,
		(unsigned)strlen(value));
}

/* -- AuthMethod ------------------------------------------------------------ */

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
	struct iscsi_login *login = turn->login;
	const char *offered = turn->offer.value[KEYS_AUTH_METHOD];
	const char *method = login_needs_chap(login) ? "CHAP" : "None";
	struct shown shown;

	if (!list_has(offered, method))
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_METHOD,
			"host %s is set up for AuthMethod=%s, the initiator "
			"offers %s",
			login->host->name, method, show(&shown, offered));
	keytext_add(&turn->out, "AuthMethod", method);
	login->proof = login_needs_chap(login) ? PROOF_ALGORITHM : PROOF_DONE;
	return ISCSI_LOGIN_CONTINUE;
}

/* -- the challenge --------------------------------------------------------- */

static enum iscsi_verdict refuse_algorithms(
	struct login_turn *turn, const char *offered)
{
	const struct access_host *host = turn->login->host;
	enum chap_algorithm weak = chap_choose(offered, true);
	struct shown shown;

	if (weak != CHAP_NONE)
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_HASH,
			"host %s forbids CHAP with MD5 or SHA-1, the initiator "
			"offers nothing stronger than %s (CHAP_A=%s)",
			host->name, chap_name(weak), show(&shown, offered));
	return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
		ISCSI_REFUSED_HASH, "host %s: no hash in common (CHAP_A=%s)",
		host->name, show(&shown, offered));
}

static enum iscsi_verdict send_challenge(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	const char *offered = turn->offer.value[KEYS_CHAP_A];
	enum chap_algorithm algorithm = chap_choose(
		offered, login->host->chap.weak == ACCESS_WEAK_ALLOWED);

	if (algorithm == CHAP_NONE)
		return refuse_algorithms(turn, offered);
	if (!chap_challenge(&login->challenge, algorithm))
		return login_refuse(turn->answer, ISCSI_LOGIN_TARGET_ERROR,
			ISCSI_REFUSED_RESOURCES,
			"no random numbers for a challenge");
	keytext_add_number(&turn->out, "CHAP_A", algorithm);
	keytext_add_number(&turn->out, "CHAP_I", login->challenge.id);
	keytext_add_binary(&turn->out, "CHAP_C", login->challenge.value,
		login->challenge.bytes);
	login->proof = PROOF_RESPONSE;
	return ISCSI_LOGIN_CONTINUE;
}

/* -- the response ---------------------------------------------------------- */

static bool may_try(
	const struct iscsi_login_world *world, const struct iscsi_try *try)
{
	struct iscsi_watcher *watcher = world->watcher;

	return !watcher || !watcher->may_try || watcher->may_try(watcher, try);
}

static void tell_tried(const struct iscsi_login_world *world,
	const struct iscsi_try *try, bool passed)
{
	struct iscsi_watcher *watcher = world->watcher;

	if (watcher && watcher->tried)
		watcher->tried(watcher, try, passed);
}

static enum iscsi_verdict check_response(struct login_turn *turn)
{
	const struct iscsi_login *login = turn->login;
	const struct access_chap *chap = &login->host->chap;
	const char *name = turn->offer.value[KEYS_CHAP_N];
	uint8_t response[CHAP_DIGEST_BYTES];
	int bytes = keytext_binary(
		turn->offer.value[KEYS_CHAP_R], response, sizeof response);
	const struct iscsi_try try = {
		.peer = login->world->peer,
		.host = login->host->name,
		.user = name,
	};
	struct shown shown;
	bool fits, known;

	if (bytes < 0)
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_SECRET,
			"host %s: CHAP_R=%s is no response", login->host->name,
			show(&shown, turn->offer.value[KEYS_CHAP_R]));
	if (!may_try(login->world, &try))
		return login_refuse(turn->answer, ISCSI_LOGIN_UNAVAILABLE,
			ISCSI_REFUSED_TRIES,
			"host %s: too many failed tries (CHAP_N=%s)",
			login->host->name, show(&shown, name));
	fits = chap_check(
		&login->challenge, chap->secret, response, (size_t)bytes);
	known = chap->user && chap_equal(chap->user, name);
	tell_tried(login->world, &try, fits && known);
	if (fits && known)
		return ISCSI_LOGIN_CONTINUE;
	return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
		known ? ISCSI_REFUSED_SECRET : ISCSI_REFUSED_USER,
		"host %s: wrong CHAP %s (CHAP_N=%s)", login->host->name,
		known ? "secret" : "user name", show(&shown, name));
}

/* NULL if we may prove ourselves, else why not. */
static const char *mutual_fault(const struct login_turn *turn)
{
	const struct access_chap *chap = &turn->login->host->chap;

	if (!turn->offer.value[KEYS_CHAP_I] || !turn->offer.value[KEYS_CHAP_C])
		return "CHAP_I and CHAP_C belong together";
	if (!chap->mutual_secret || !chap->mutual_user)
		return "it asks for mutual CHAP, for which it has no secret";
	if (chap_equal(chap->mutual_secret, chap->secret))
		return "the same CHAP secret stands for both directions";
	return NULL;
}

static bool is_our_challenge(
	const struct iscsi_login *login, const uint8_t *value, int bytes)
{
	return (uint32_t)bytes == login->challenge.bytes &&
		!memcmp(value, login->challenge.value, (size_t)bytes);
}

/* Answers the host's challenge, `value` of `bytes`. */
static enum iscsi_verdict respond(
	struct login_turn *turn, const uint8_t *value, int bytes)
{
	const struct iscsi_login *login = turn->login;
	const struct access_chap *chap = &login->host->chap;
	uint8_t response[CHAP_DIGEST_BYTES];
	uint64_t id;
	size_t length;

	if (!keytext_number(turn->offer.value[KEYS_CHAP_I], &id) || id > 255 ||
		bytes <= 0)
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_MUTUAL,
			"host %s: its CHAP_I or CHAP_C is malformed",
			login->host->name);
	if (is_our_challenge(login, value, bytes))
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_MUTUAL,
			"host %s: it sends our own CHAP challenge back",
			login->host->name);
	length = chap_respond(login->challenge.algorithm, (uint8_t)id,
		chap->mutual_secret, value, (size_t)bytes, response);
	if (length == 0)
		return login_refuse(turn->answer, ISCSI_LOGIN_TARGET_ERROR,
			ISCSI_REFUSED_RESOURCES,
			"the hash is not available any more");
	keytext_add(&turn->out, "CHAP_N", chap->mutual_user);
	keytext_add_binary(&turn->out, "CHAP_R", response, length);
	return ISCSI_LOGIN_CONTINUE;
}

static enum iscsi_verdict prove_ourselves(struct login_turn *turn)
{
	const char *fault = mutual_fault(turn);
	uint8_t value[CHAP_CHALLENGE_BYTES];
	int bytes;

	if (fault)
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_MUTUAL, "host %s: %s",
			turn->login->host->name, fault);
	bytes = keytext_binary(
		turn->offer.value[KEYS_CHAP_C], value, sizeof value);
	return respond(turn, value, bytes);
}

static enum iscsi_verdict take_response(struct login_turn *turn)
{
	struct iscsi_login *login = turn->login;
	bool mutual = turn->offer.value[KEYS_CHAP_I] ||
		turn->offer.value[KEYS_CHAP_C];
	enum iscsi_verdict verdict = check_response(turn);

	if (verdict == ISCSI_LOGIN_CONTINUE && mutual)
		verdict = prove_ourselves(turn);
	if (verdict != ISCSI_LOGIN_CONTINUE)
		return verdict;
	snprintf(login->chap_name, sizeof login->chap_name, "%s%s",
		chap_name(login->challenge.algorithm), mutual ? " mutual" : "");
	OPENSSL_cleanse(&login->challenge, sizeof login->challenge);
	login->proof = PROOF_DONE;
	return ISCSI_LOGIN_CONTINUE;
}

/* -- the table ------------------------------------------------------------- */

#define BIT(id) (1ull << (id))
#define ALL_KEYS \
	(BIT(KEYS_AUTH_METHOD) | BIT(KEYS_CHAP_A) | BIT(KEYS_CHAP_N) | \
		BIT(KEYS_CHAP_R) | BIT(KEYS_CHAP_I) | BIT(KEYS_CHAP_C))

struct proof_row {
	uint64_t due, allowed; /* keys */
	const char *expected;
	enum iscsi_verdict (*take)(struct login_turn *turn);
};
static const struct proof_row proofs[PROOF_STATES] = {
	[PROOF_METHOD] = {BIT(KEYS_AUTH_METHOD), 0, "AuthMethod",
		choose_method},
	[PROOF_ALGORITHM] = {BIT(KEYS_CHAP_A), 0, "CHAP_A", send_challenge},
	[PROOF_RESPONSE] = {BIT(KEYS_CHAP_N) | BIT(KEYS_CHAP_R),
		BIT(KEYS_CHAP_I) | BIT(KEYS_CHAP_C), "CHAP_N and CHAP_R",
		take_response},
	[PROOF_DONE] = {0, 0, "nothing", NULL},
};

static uint64_t security_keys(const struct keys_offer *offer)
{
	uint64_t present = 0;

	for (enum keys_id id = 0; id < KEYS_COUNT; id++)
		if (offer->value[id])
			present |= BIT(id);
	return present & ALL_KEYS;
}

enum iscsi_verdict login_prove(struct login_turn *turn, bool wants_on)
{
	const struct iscsi_login *login = turn->login;
	const struct proof_row *row = &proofs[login->proof];
	uint64_t present = security_keys(&turn->offer);

	if (present == 0 && login->proof == PROOF_METHOD && wants_on &&
		login_needs_chap(login))
		return login_refuse(turn->answer, ISCSI_LOGIN_AUTHENTICATION,
			ISCSI_REFUSED_METHOD,
			"host %s must log in with CHAP, the initiator offers "
			"nothing",
			login->host->name);
	if (present == 0 && (row->take == NULL || login->proof == PROOF_METHOD))
		return ISCSI_LOGIN_CONTINUE;
	if ((present & row->due) != row->due ||
		(present & ~(row->due | row->allowed)))
		return login_fail(turn->answer, ISCSI_LOGIN_INITIATOR_ERROR,
			"security keys out of their order: %s was due",
			row->expected);
	return row->take(turn);
}
