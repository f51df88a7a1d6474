/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/api/server/check.h"

#include <stdarg.h>
#include <stdio.h>

void check_find(struct check_finding *finding, enum check_state state,
	const char *cure, const char *format, ...)
{
	va_list arguments;
	finding->state = state;
	snprintf(finding->cure, sizeof finding->cure, "%s", cure);
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof finding->text, format, arguments);
	va_end(arguments);
}
