/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "blockcore/base/wall.h"

#include <stdbool.h>

static struct timespec set;
static bool is_set;

void wall_now(struct timespec *now)
{
	if (is_set)
		*now = set;
	else
		clock_gettime(CLOCK_REALTIME, now);
}

void wall_set(const struct timespec *shown)
{
	is_set = shown;
	if (shown)
		set = *shown;
}
