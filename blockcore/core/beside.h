/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source a listener has beside it (the leg of a mirror, the target of a backup),
 * over stops and while it is away. What a map says is true of one only: by its document,
 * as far as that says where it lies, and by the file that is there.
 */
#ifndef BLOCKCORE_CORE_BESIDE_H
#define BLOCKCORE_CORE_BESIDE_H

#include <stdint.h>

struct block_driver;
struct block_source;

/* By what stands at `key` of the driver's document: the same for the same place, whoever
 * has written it. Another number each time for what does not outlive a stop. Control
 * lane. */
uint64_t block_beside_print(const struct block_driver *driver, const char *key);
/* By the file that it is in, whatever is written there; 0: nobody knows. Blocks. Control
 * lane. */
uint64_t block_beside_file(struct block_source *source);

#endif
