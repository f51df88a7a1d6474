/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wall-clock time as records keep it and answers show it: milliseconds since 1970, in
 * UTC. Any thread.
 */
#ifndef TARGET_CONTROL_UNIX_TIME_H
#define TARGET_CONTROL_UNIX_TIME_H

#include <jansson.h>
#include <stdint.h>

int64_t unix_now_ms(void); /* since 1970 */
/* RFC 3339 with milliseconds ("2026-11-28T01:02:03.004Z"); a new text, NULL: no
 * memory. */
json_t *unix_time_json(int64_t unix_ms);

#endif
