/* SPDX-License-Identifier: Apache-2.0 */
/* Life, roles, and who is at the socket or shows a certificate; see trust.h. */
#include "target/control/trust/trust.h"

#include "target/control/trust/trust_parts.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG2_N 17

/* -- roles ------------------------------------------------------------------ */

static const struct {
	const char *name, *text;
} roles[] = {
	[TRUST_PUBLIC] = {"public", "nobody in particular"},
	[TRUST_VIEWER] = {"viewer", "sees everything but secrets"},
	[TRUST_OPERATOR] = {"operator",
		"also changes volumes, hosts, targets, exports and jobs"},
	[TRUST_ADMIN] = {"admin",
		"also users, tokens of others, certificates, the whole "
		"configuration and the audit"},
};
#define ROLES (sizeof roles / sizeof *roles)

const char *trust_role_name(enum trust_role role)
{
	return roles[role].name;
}

const char *trust_role_text(enum trust_role role)
{
	return roles[role].text;
}

bool trust_role_from_name(const char *name, enum trust_role *role)
{
	for (unsigned i = TRUST_VIEWER; i < ROLES; i++)
		if (!strcmp(roles[i].name, name)) {
			*role = (enum trust_role)i;
			return true;
		}
	return false;
}

const char *trust_how_name(enum trust_how how)
{
	static const char *const names[] = {
		"unix", "cookie", "token", "certificate"};
	return names[how];
}

bool trust_may_volume(const struct trust_identity *who, const char *volume)
{
	for (unsigned i = 0; i < who->scopes; i++)
		if (!strcmp(who->scope[i], volume))
			return true;
	return !who->scopes;
}

/* -- small things ----------------------------------------------------------- */

int trust_denied(struct err *err)
{
	return err_set(err, EACCES, "these credentials are not valid");
}

int64_t trust_now_ms(struct trust *trust)
{
	if (trust->world.now_ms)
		return trust->world.now_ms(trust->world.now_arg);
	return unix_now_ms();
}

/* For the limiter: a wall clock may be set back. */
uint64_t trust_steady_ms(struct trust *trust)
{
	if (trust->world.now_ms)
		return (uint64_t)trust_now_ms(trust);
	return loop_now_ns(trust->world.loop) / 1000000;
}

void trust_take_text(struct statement *s, int column, char *out, size_t bytes)
{
	const char *text = (const char *)sqlite3_column_text(s->stmt, column);
	snprintf(out, bytes, "%s", text ? text : "");
}

/* -- identities without a secret of ours ------------------------------------ */

int trust_identify_peer(struct trust *trust, uid_t uid,
	struct trust_identity *who, struct err *err)
{
	(void)trust;
	*who = (struct trust_identity){.how = TRUST_UNIX};
	if (uid != 0 && uid != geteuid())
		return err_set(err, EACCES,
			"user %u may not use the socket: become root, or the "
			"user that cairnd runs as",
			(unsigned)uid);
	who->role = TRUST_ADMIN;
	snprintf(who->name, sizeof who->name, "root");
	snprintf(who->address, sizeof who->address, "unix");
	return 0;
}

static int find_by_certificate(struct trust *trust, const char *name,
	struct trust_identity *who, struct err *err)
{
	struct statement s;
	bool found = false;
	statement_begin(&s, trust->db,
		"SELECT name, role FROM trust_user WHERE certificate = ? AND "
		"enabled");
	statement_text(&s, 1, name);
	if (statement_row(&s)) {
		found = true;
		trust_take_text(&s, 0, who->name, sizeof who->name);
		who->role = (enum trust_role)sqlite3_column_int(s.stmt, 1);
	}
	int failed = statement_end(&s, err);
	return failed ? failed : found ? 0 : -EACCES;
}

/* Texts with a NUL inside are somebody's trick. */
static bool copy_name(const ASN1_STRING *from, char *out, size_t bytes)
{
	int length = ASN1_STRING_length(from);
	const char *text = (const char *)ASN1_STRING_get0_data(from);
	if (length <= 0 || (size_t)length >= bytes ||
		memchr(text, '\0', (size_t)length))
		return false;
	memcpy(out, text, (size_t)length);
	out[length] = '\0';
	return true;
}

static int find_by_alternative(struct trust *trust, X509 *peer,
	struct trust_identity *who, struct err *err)
{
	GENERAL_NAMES *all =
		X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL);
	int found = -EACCES;
	for (int i = 0; i < sk_GENERAL_NAME_num(all) && found == -EACCES; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
		char text[256];
		if ((name->type == GEN_DNS || name->type == GEN_EMAIL ||
			    name->type == GEN_URI) &&
			copy_name(name->d.ia5, text, sizeof text))
			found = find_by_certificate(trust, text, who, err);
	}
	GENERAL_NAMES_free(all);
	return found;
}

int trust_identify_certificate(struct trust *trust, struct x509_st *peer,
	const char *address, struct trust_identity *who, struct err *err)
{
	char text[256];
	*who = (struct trust_identity){.how = TRUST_CERTIFICATE};
	if (!trust->world.client_certificates)
		return trust_denied(err);
	int found = find_by_alternative(trust, peer, who, err);
	const X509_NAME *subject = X509_get_subject_name(peer);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (found == -EACCES && at >= 0 &&
		copy_name(X509_NAME_ENTRY_get_data(
				  X509_NAME_get_entry(subject, at)),
			text, sizeof text))
		found = find_by_certificate(trust, text, who, err);
	snprintf(who->address, sizeof who->address, "%s", address);
	return found == -EACCES ? trust_denied(err) : found;
}

/* -- life ------------------------------------------------------------------- */

struct audit *trust_audit(struct trust *trust)
{
	return trust->audit;
}

struct limiter *trust_limiter(struct trust *trust)
{
	return trust->limiter;
}

struct trust *trust_open(const struct trust_world *world, struct err *err)
{
	struct trust *trust = calloc(1, sizeof *trust);
	if (!trust) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	trust->world = *world;
	trust->db = state_database(world->state);
	trust->audit = audit_new(trust->db);
	trust->limiter = limiter_new();
	trust->passwords = passwords_new(world->loop,
		world->scrypt_log2_n ? world->scrypt_log2_n : LOG2_N);
	bool made = trust->audit && trust->limiter && trust->passwords;
	if (!made)
		err_set(err, ENOMEM, "out of memory");
	if (made && !trust_bootstrap_make(trust, err))
		return trust;
	trust_close(trust);
	return NULL;
}

void trust_close(struct trust *trust)
{
	if (!trust)
		return;
	trust_bootstrap_end(trust);
	audit_free(trust->audit);
	limiter_free(trust->limiter);
	passwords_free(trust->passwords);
	free(trust);
}
