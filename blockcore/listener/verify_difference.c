/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener verify: what becomes of a difference; see verify.c.
 */
#include "blockcore/listener/verify.h"

#include "blockcore/base/doc.h"
#include "blockcore/base/log.h"

#include <errno.h>
#include <string.h>

static void print_difference(
	const struct verify_driver *verify, char *text, size_t room)
{
	const struct verify_difference *d = &verify->first;
	const char *other =
		block_source_name(verify->driver.others[d->other - 1]);

	if (d->result[0] == d->result[1])
		snprintf(text, room,
			"at byte %llu there is 0x%02x, in '%s' 0x%02x",
			(unsigned long long)d->offset_bytes, d->byte[0], other,
			d->byte[1]);
	else
		snprintf(text, room, "%s at byte %llu: %s, in '%s' %s",
			block_op_name(d->op),
			(unsigned long long)d->offset_bytes,
			d->result[0] ? strerror(-d->result[0]) : "done", other,
			d->result[1] ? strerror(-d->result[1]) : "done");
}

void verify_differs(
	struct verify_op *op, const struct verify_difference *difference)
{
	struct verify_driver *verify = op->lane->verify;
	const struct verify_options *o = verify->driver.options;
	char text[160];

	pthread_mutex_lock(&verify->mutex);
	bool first = verify->differences++ == 0;
	if (first)
		verify->first = *difference;
	print_difference(verify, text, sizeof text);
	pthread_mutex_unlock(&verify->mutex);
	if (first)
		block_driver_notice(&verify->driver, "difference", text);
	if (o->action == VERIFY_STOP &&
		!atomic_exchange(&verify->stopped, true))
		block_driver_failed(&verify->driver, -EIO, text);
	else if (first)
		log_error(verify->driver.name, "verify", "%s", text);
	if (o->action != VERIFY_LOG && !op->result[0])
		op->result[0] = -EIO;
}

void verify_results_differ(struct verify_op *op, unsigned other, int there)
{
	const struct verify_difference d = {.op = op->request->op,
		.offset_bytes = op->request->offset_bytes,
		.other = other,
		.result = {op->result[0], there}};

	verify_differs(op, &d);
}

void verify_print_differences(struct verify_driver *verify, FILE *out)
{
	char text[160];

	pthread_mutex_lock(&verify->mutex);
	fprintf(out, "\"differences\": %llu",
		(unsigned long long)verify->differences);
	if (verify->differences) {
		print_difference(verify, text, sizeof text);
		fprintf(out, ", \"first_offset_bytes\": %llu, \"first\": ",
			(unsigned long long)verify->first.offset_bytes);
		json_print_string(out, text);
	}
	pthread_mutex_unlock(&verify->mutex);
}
