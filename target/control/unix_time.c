/* SPDX-License-Identifier: Apache-2.0 */
/* See unix_time.h. */
#include "target/control/unix_time.h"

#include <stdio.h>
#include <time.h>

json_t *unix_time_json(int64_t unix_ms)
{
	char text[40];
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + used, sizeof text - used, ".%03dZ",
		(int)(unix_ms % 1000));
	return json_string(text);
}

int64_t unix_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
