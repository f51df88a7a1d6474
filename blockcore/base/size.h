/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes for people. (Reading them is doc_size's.)
 */
#ifndef BLOCKCORE_BASE_SIZE_H
#define BLOCKCORE_BASE_SIZE_H

#include <stdint.h>

#define SIZE_TEXT_BYTES 24u

/* "512 B", "1.50 GiB", "65.2 GiB", "2 TiB": into `out`, which it returns. */
const char *size_print(char out[SIZE_TEXT_BYTES], uint64_t bytes);

#endif
