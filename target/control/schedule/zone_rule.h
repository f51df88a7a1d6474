/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule at the end of a TZif file, for all times behind its table: RFC 9636 3.3.
 *
 *	CET-1CEST,M3.5.0,M10.5.0/3
 */
#ifndef TARGET_CONTROL_SCHEDULE_ZONE_RULE_H
#define TARGET_CONTROL_SCHEDULE_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

struct zone_date {
	enum { ZONE_JULIAN, ZONE_DAY, ZONE_MONTH } kind; /* Jn, n, Mm.w.d */
	int day, month, week;
	int32_t seconds; /* after midnight; may be negative or of another day */
};

struct zone_rule {
	int32_t standard, summer; /* seconds ahead of UTC */
	bool changes; /* else it is always standard time */
	struct zone_date start, end; /* of summer time */
};

/* False: it is none. */
bool zone_rule_parse(const char *text, struct zone_rule *rule);
int32_t zone_rule_offset(const struct zone_rule *rule, int64_t instant);

#endif
