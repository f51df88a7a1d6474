/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of https in use; see certificate.h. */
#include "webui/api/server/certificate.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/own_audit.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#define HALF_DAY_NS (12ull * 3600 * 1000000000)

static int64_t now_s(struct api *api)
{
	return trust_now_ms(api->parts.trust) / 1000;
}

static void name_file(const struct api *api, char path[4096])
{
	snprintf(
		path, 4096, "%s/api.pem", api->parts.settings->state_directory);
}

/* On the heap: too large for a coroutine's stack. NULL with *err. */
static struct certificate_names *collect_names(
	const struct api *api, struct err *err)
{
	struct certificate_names *names = calloc(1, sizeof *names);
	if (names)
		certificate_collect_names(
			names, api->parts.settings->api.address);
	else
		err_set(err, ENOMEM, "out of memory");
	return names;
}

static int use(SSL_CTX *ctx, const struct certificate *c, struct err *err)
{
	if (!ctx ||
		SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) ==
			1)
		return 0;
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	ERR_clear_error();
	return err_set(err, EINVAL, "the certificate cannot be used: %s",
		reason ? reason : "unknown");
}

int api_certificate_use(struct api *api, struct err *err)
{
	return use(api->ctx, api->certificate, err);
}

int api_certificate_replace(
	struct api *api, struct certificate *certificate, struct err *err)
{
	char path[4096];
	name_file(api, path);
	int failed = use(api->ctx, certificate, err);
	if (!failed) {
		failed = certificate_save(certificate, path, err);
		if (failed) /* back to what is kept */
			use(api->ctx, api->certificate, NULL);
	}
	if (failed) {
		certificate_free(certificate);
		return failed;
	}
	certificate_free(api->certificate);
	api->certificate = certificate;
	log_info("certificate", "in use", "SHA-256 %s",
		certificate->fingerprint);
	return 0;
}

struct certificate *api_certificate_make(struct api *api, struct err *err)
{
	struct certificate_names *names = collect_names(api, err);
	if (!names)
		return NULL;
	struct certificate *made = certificate_make(names, now_s(api), err);
	free(names);
	return made;
}

/* A key of ours is in use that nobody asked for. */
static void note_made(struct api *api)
{
	char object[128];
	snprintf(object, sizeof object, "certificate/%s",
		api->certificate->fingerprint);
	own_audit_note(api->parts.trust, "makeCertificate", object);
}

static void look(struct loop_timer *timer)
{
	struct api *api = container_of(timer, struct api, renew);
	struct err err = {0};
	loop_timer_set(api->loop, timer, HALF_DAY_NS);
	if (!certificate_due(api->certificate, now_s(api)))
		return;
	if (!api->certificate->ours) {
		log_warning("certificate", "due",
			"%s: most of its time has passed; replace it",
			api->certificate->subject);
		return;
	}
	struct certificate *made = api_certificate_make(api, &err);
	if (!made || api_certificate_replace(api, made, &err))
		log_error("certificate", "not renewed", "%s", err.text);
	else
		note_made(api);
}

int api_certificate_start(struct api *api, struct err *err)
{
	char path[4096];
	struct certificate_names *names = collect_names(api, err);
	if (!names)
		return -ENOMEM;
	name_file(api, path);
	api->certificate = certificate_load(path, names, now_s(api), err);
	free(names);
	if (!api->certificate)
		return -EIO;
	if (api->certificate->fresh)
		note_made(api);
	api->renew.expired = look;
	loop_timer_set(api->loop, &api->renew, HALF_DAY_NS);
	return 0;
}

void api_certificate_stop(struct api *api)
{
	loop_timer_clear(api->loop, &api->renew);
	certificate_free(api->certificate);
	api->certificate = NULL;
}
