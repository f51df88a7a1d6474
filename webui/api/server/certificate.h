/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of https in use: loaded at the start, replaced while everything
 * runs, renewed by itself when it is ours and its time nears the end.
 *
 * New connections get a new pair; those that are there keep theirs.
 */
#ifndef WEBUI_API_SERVER_CERTIFICATE_H
#define WEBUI_API_SERVER_CERTIFICATE_H

#include "target/control/trust/certificate.h"
#include "webui/api/server/private.h"

/* Loads it (makes it, the first time) and looks twice a day from then on. */
int api_certificate_start(struct api *api, struct err *err);
void api_certificate_stop(struct api *api);
/* Puts the present one into api->ctx, which was just made. */
int api_certificate_use(struct api *api, struct err *err);

/* Keeps it and puts it into use; takes it over, whatever comes of it. */
int api_certificate_replace(
	struct api *api, struct certificate *certificate, struct err *err);
/* A new one of ours. NULL with *err. */
struct certificate *api_certificate_make(struct api *api, struct err *err);

#endif
