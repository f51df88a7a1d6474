/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A self-signed certificate of our own, and the names it is for.
 */
#include "target/control/trust/certificate_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#define DAY_S 86400
/* A clock that is a little behind ours still takes the certificate. */
#define EARLY_S 3600

/* -- names ------------------------------------------------------------------ */

void certificate_add_name(struct certificate_names *names, const char *name)
{
	size_t length = strlen(name);
	if (!length || length >= sizeof names->name[0] ||
		names->count == CERTIFICATE_MAX_NAMES)
		return;
	for (unsigned i = 0; i < names->count; i++)
		if (!strcasecmp(names->name[i], name))
			return;
	memcpy(names->name[names->count++], name, length + 1);
}

static void add_interface(
	struct certificate_names *names, const struct ifaddrs *interface)
{
	const struct sockaddr *address = interface->ifa_addr;
	char text[INET6_ADDRSTRLEN] = "";
	if (!address || !(interface->ifa_flags & IFF_UP))
		return;
	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET,
			&((const struct sockaddr_in *)(const void *)address)
				 ->sin_addr,
			text, sizeof text);
	if (address->sa_family == AF_INET6) {
		const struct in6_addr *in6 =
			&((const struct sockaddr_in6 *)(const void *)address)
				 ->sin6_addr;
		if (!IN6_IS_ADDR_LINKLOCAL(in6)) /* means nothing elsewhere */
			inet_ntop(AF_INET6, in6, text, sizeof text);
	}
	certificate_add_name(names, text);
}

static void add_interfaces(struct certificate_names *names)
{
	struct ifaddrs *all;
	if (getifaddrs(&all))
		return;
	for (struct ifaddrs *one = all; one; one = one->ifa_next)
		add_interface(names, one);
	freeifaddrs(all);
}

void certificate_collect_names(
	struct certificate_names *names, const char *address)
{
	char host[256] = "";
	if (!gethostname(host, sizeof host - 1))
		certificate_add_name(names, host);
	certificate_add_name(names, "localhost");
	certificate_add_name(names, "127.0.0.1");
	certificate_add_name(names, "::1");
	if (!strcmp(address, "0.0.0.0") || !strcmp(address, "::"))
		add_interfaces(names);
	else
		certificate_add_name(names, address);
}

/* -- the certificate -------------------------------------------------------- */

static bool add_alternative(GENERAL_NAMES *all, const char *text)
{
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
	ERR_clear_error(); /* most are no addresses */
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *dns = address ? NULL : ASN1_IA5STRING_new();
	bool made =
		name && (address || (dns && ASN1_STRING_set(dns, text, -1)));
	if (made) {
		GENERAL_NAME_set0_value(name, address ? GEN_IPADD : GEN_DNS,
			address ? address : dns);
		made = sk_GENERAL_NAME_push(all, name) > 0;
		address = NULL;
		dns = NULL;
	}
	if (!made)
		GENERAL_NAME_free(name);
	ASN1_OCTET_STRING_free(address);
	ASN1_IA5STRING_free(dns);
	return made;
}

static bool set_names(X509 *leaf, const struct certificate_names *names)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	bool made = all;
	for (unsigned i = 0; made && i < names->count; i++)
		made = add_alternative(all, names->name[i]);
	made = made &&
		X509_add1_ext_i2d(leaf, NID_subject_alt_name, all, 0,
			X509V3_ADD_APPEND) == 1;
	GENERAL_NAMES_free(all);
	return made;
}

static bool set_extension(X509 *leaf, int kind, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, leaf, leaf, NULL, NULL, 0);
	X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, &context, kind, value);
	bool made = extension && X509_add_ext(leaf, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return made;
}

static bool set_serial(X509 *leaf)
{
	uint8_t random[16];
	if (RAND_bytes(random, sizeof random) != 1)
		return false;
	random[0] =
		(uint8_t)((random[0] & 0x7f) | 0x40); /* positive, 16 bytes */
	BIGNUM *number = BN_bin2bn(random, sizeof random, NULL);
	bool made = number &&
		BN_to_ASN1_INTEGER(number, X509_get_serialNumber(leaf));
	BN_free(number);
	return made;
}

static bool set_subject(X509 *leaf, const struct certificate_names *names)
{
	const char *name = names->count ? names->name[0] : "localhost";
	X509_NAME *subject = X509_get_subject_name(leaf);
	char common[65]; /* ub-common-name */
	snprintf(common, sizeof common, "%.64s", name);
	return X509_NAME_add_entry_by_NID(subject, NID_organizationName,
		       MBSTRING_UTF8, (const uint8_t *)CERTIFICATE_OURS, -1, -1,
		       0) == 1 &&
		X509_NAME_add_entry_by_NID(subject, NID_commonName,
			MBSTRING_UTF8, (const uint8_t *)common, -1, -1,
			0) == 1 &&
		X509_set_issuer_name(leaf, subject) == 1;
}

static bool set_time(X509 *leaf, int64_t now_s)
{
	int64_t from = now_s - EARLY_S;
	return ASN1_TIME_set(X509_getm_notBefore(leaf), from) &&
		ASN1_TIME_set(X509_getm_notAfter(leaf),
			from + (int64_t)CERTIFICATE_DAYS * DAY_S);
}

static X509 *make_leaf(
	EVP_PKEY *key, const struct certificate_names *names, int64_t now_s)
{
	X509 *leaf = X509_new();
	if (leaf && X509_set_version(leaf, X509_VERSION_3) &&
		set_serial(leaf) && set_subject(leaf, names) &&
		set_time(leaf, now_s) && X509_set_pubkey(leaf, key) &&
		set_names(leaf, names) &&
		set_extension(
			leaf, NID_basic_constraints, "critical,CA:FALSE") &&
		set_extension(
			leaf, NID_key_usage, "critical,digitalSignature") &&
		set_extension(leaf, NID_ext_key_usage, "serverAuth") &&
		set_extension(leaf, NID_subject_key_identifier, "hash") &&
		X509_sign(leaf, key, EVP_sha256()))
		return leaf;
	X509_free(leaf);
	return NULL;
}

struct certificate *certificate_make(
	const struct certificate_names *names, int64_t now_s, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = key ? make_leaf(key, names, now_s) : NULL;
	if (!leaf) {
		EVP_PKEY_free(key);
		certificate_error(err, EIO, "no certificate can be made");
		return NULL;
	}
	return certificate_adopt(leaf, sk_X509_new_null(), key, err);
}
