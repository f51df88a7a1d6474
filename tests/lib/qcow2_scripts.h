/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for the tables of scripts of power cuts in qcow2 images: options of images,
 * mixes of requests.
 */
#ifndef TESTS_LIB_QCOW2_SCRIPTS_H
#define TESTS_LIB_QCOW2_SCRIPTS_H

#include "tests/lib/qcow2_cuts.h"

#define PLAIN ", subclusters: \"off\", cluster_size: 4K"
#define SMALL ", subclusters: \"off\", cluster_size: 512"
#define PARTS ", subclusters: \"on\", cluster_size: 16K"
#define W(...) \
	{ \
		__VA_ARGS__ \
	}
#define FUAS W([LOAD_WRITE] = 3, [LOAD_FUA] = 8, [LOAD_FLUSH] = 1)
#define ZEROES \
	W([LOAD_WRITE] = 6, [LOAD_ZERO] = 3, [LOAD_UNMAP] = 3, [LOAD_FLUSH] = 3)
#define DISCARDS W([LOAD_WRITE] = 6, [LOAD_DISCARD] = 6, [LOAD_FLUSH] = 3)

#endif
