/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a volume's requests goes, from the few that are timed.
 *
 *	LAYER           KIND      TIMED  MEAN_US  P99_US  OWN_US
 *	transport       transport    12       40      64      40
 *	command         command      12     5210   8.19k      10
 *	  limit         throttle     12     5200   8.19k    5000
 *	    file        file         12      200     256     200
 *
 * Mean and percentile hold what is below; the layer's own is without that.
 */
#ifndef WEBUI_CLI_LAYERS_H
#define WEBUI_CLI_LAYERS_H

#include "webui/cli/output.h"

/* From two answers of getFigures, for scripts: layer, depth, kind, timed, and of
 * what was timed between them mean_us, p99_us, own_us. A new array. */
json_t *layers_rows(const json_t *before, const json_t *after);
/* From two answers of getFigures; if nothing was timed between them, since the
 * drivers were opened. Nothing if nothing ever was. `title` begins the line above. */
void layers_print(const struct output *output, const char *title,
	const json_t *before, const json_t *after);

#endif
