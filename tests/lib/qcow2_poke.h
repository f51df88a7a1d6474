/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a qcow2 image: opened, read, mapped, written to, checked and closed
 * in the simulator. Nothing may crash, hang or take unbounded memory; what cannot
 * be opened is refused with a text.
 */
#ifndef TESTS_LIB_QCOW2_POKE_H
#define TESTS_LIB_QCOW2_POKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qcow2_poked {
	bool opened, read, written, corrupt, clean;
	char text[512]; /* why not opened */
};

/* The content of a good image of 1 MiB, to be freed: data, zeroes, subclusters if
 * asked for. `options` are those of the format; `snapshot`: it keeps one, "1". */
uint8_t *qcow2_poke_image(const char *options, bool snapshot, size_t *bytes);

struct qcow2_poked qcow2_poke(const uint8_t *image, size_t bytes);

#endif
