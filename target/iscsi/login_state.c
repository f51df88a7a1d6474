/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a login: what all files login*.c need.
 */
#include "target/iscsi/login_state.h"

#include <stdarg.h>
#include <stdio.h>

enum iscsi_verdict login_refuse(struct iscsi_login_answer *answer,
	enum iscsi_login_status status, enum iscsi_refusal refusal,
	const char *format, ...)
{
	va_list ap;

	answer->status_class = (uint8_t)(status >> 8);
	answer->status_detail = (uint8_t)status;
	answer->refusal = refusal;
	answer->text_bytes = 0;
	va_start(ap, format);
	vsnprintf(answer->reason, sizeof answer->reason, format, ap);
	va_end(ap);
	return ISCSI_LOGIN_FAILED;
}

bool login_needs_chap(const struct iscsi_login *login)
{
	return login->host->chap.secret != NULL;
}

bool login_is_proven(const struct iscsi_login *login)
{
	return login->proof == PROOF_DONE || !login_needs_chap(login);
}

struct iscsi_login_names iscsi_login_names(const struct iscsi_login *login)
{
	return (struct iscsi_login_names){.initiator = login->initiator,
		.target = login->target_name,
		.host = login->host ? login->host->name : "",
		.discovery = login->keys.discovery};
}
