/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of https: looked at, replaced, made anew. */
#include "webui/api/server/body.h"
#include "webui/api/server/certificate.h"
#include "webui/api/server/private.h"
#include "webui/api/trust/trust_plan.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <string.h>

#define TAG_BYTES 24 /* of the fingerprint, without its end */

static json_t *pem_json(const struct certificate *c)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text;
	bool well = out && PEM_write_bio_X509(out, c->leaf) == 1;
	for (int i = 0; well && i < sk_X509_num(c->chain); i++)
		well = PEM_write_bio_X509(out, sk_X509_value(c->chain, i)) == 1;
	long bytes = well ? BIO_get_mem_data(out, &text) : 0;
	json_t *pem = well ? json_stringn(text, (size_t)bytes) : NULL;
	BIO_free(out);
	return pem;
}

static json_t *certificate_json(
	struct api_request *request, const struct certificate *c)
{
	int64_t now_s = trust_now_ms(request->parts->trust) / 1000;
	json_t *names = json_array();
	for (unsigned i = 0; i < c->names.count; i++)
		json_array_append_new(names, json_string(c->names.name[i]));
	return json_pack("{ss, ss, so, ss, so, so, sb, sb, so*}", "subject",
		c->subject, "issuer", c->issuer, "names", names, "fingerprint",
		c->fingerprint, "not_before", api_time(c->not_before_s * 1000),
		"not_after", api_time(c->not_after_s * 1000), "self_signed",
		c->ours, "due", certificate_due(c, now_s), "pem", pem_json(c));
}

static void tag_of(const struct certificate *c, char tag[TAG_BYTES])
{
	snprintf(tag, TAG_BYTES, "%.23s", c->fingerprint);
}

static void get_certificate_co(struct api_request *request)
{
	const struct certificate *c = request->api->certificate;
	char tag[TAG_BYTES];
	tag_of(c, tag);
	api_set_etag(request, tag);
	api_answer(request, 200, certificate_json(request, c));
}

/* Takes `next` over. */
static void change(struct api_request *request, struct certificate *next)
{
	struct api *api = request->api;
	struct err err = {0};
	json_t *before = certificate_json(request, api->certificate);
	json_t *after = certificate_json(request, next);
	if (request->dry_run) {
		certificate_free(next);
		trust_plan_answer(request, "certificate", "api", before, after);
		return;
	}
	if (api_certificate_replace(api, next, &err)) {
		json_decref(before);
		json_decref(after);
		api_fail(request, &err);
		return;
	}
	api_audit(request, "certificate", before, after);
	get_certificate_co(request);
}

static void replace_certificate_co(struct api_request *request)
{
	const char *chain, *key;
	char tag[TAG_BYTES];
	struct err err = {0};
	tag_of(request->api->certificate, tag);
	if (!api_match(request, tag) ||
		!body_has_only(request, "certificate key") ||
		!(chain = body_need_text(request, "certificate")) ||
		!(key = body_need_text(request, "key")))
		return;
	struct certificate *next = certificate_parse(
		chain, key, trust_now_ms(request->parts->trust) / 1000, &err);
	if (next)
		change(request, next);
	else
		api_fail(request, &err);
}

static void renew_certificate_co(struct api_request *request)
{
	struct err err = {0};
	struct certificate *next = api_certificate_make(request->api, &err);
	if (next)
		change(request, next);
	else
		api_fail(request, &err);
}

const struct api_route api_certificate_routes[] = {
	{"getCertificate", "GET", "/api/v1/certificate", API_VIEWER,
		.handle_co = get_certificate_co},
	{"replaceCertificate", "PUT", "/api/v1/certificate", API_ADMIN,
		API_BODY | API_NEEDS_MATCH | API_DRY_RUN,
		.handle_co = replace_certificate_co},
	{"renewCertificate", "POST", "/api/v1/certificate/renew", API_ADMIN,
		API_DRY_RUN | API_IDEMPOTENT,
		.handle_co = renew_certificate_co},
	{0},
};
