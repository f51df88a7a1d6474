/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a volume's requests goes, from the few that are timed.
 *
 *	LAYER           KIND      TIMED  MEAN_US  OWN_US
 *	transport       transport    12       40      40
 *	command         command      12     5210      10
 *	  limit         throttle     12     5200    5000
 *	    file        file         12      200     200
 *
 * The mean holds what is below; the layer's own is without that.
 */
#ifndef WEBUI_CLI_LAYERS_H
#define WEBUI_CLI_LAYERS_H

#include "webui/cli/output.h"

/* From two answers of getFigures; if nothing was timed between them, since the
 * drivers were opened. Nothing if nothing ever was. */
void layers_print(
	const struct output *output, const json_t *before, const json_t *after);

#endif
