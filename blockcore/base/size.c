/* SPDX-License-Identifier: Apache-2.0 */
/* See size.h. */
#include "blockcore/base/size.h"

#include <stdbool.h>
#include <stdio.h>

const char *size_print(char out[SIZE_TEXT_BYTES], uint64_t bytes)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned unit = 0;
	while (value >= 1024 && unit < 6) {
		value /= 1024;
		unit++;
	}
	bool whole = value == (double)(uint64_t)value;
	snprintf(out, SIZE_TEXT_BYTES, "%.*f %s",
		whole		     ? 0
			: value < 10 ? 2
				     : 1,
		value, units[unit]);
	return out;
}
