/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small texts: sizes, durations, names in URLs, words that are nearly right.
 * Pure functions.
 */
#ifndef WEBUI_CLI_TEXT_H
#define WEBUI_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "100G", "1.5TiB", "4096": powers of 1024, as the document has them. False: no
 * size, or 2^63 bytes or more. */
bool text_read_size(const char *text, uint64_t *bytes);
/* "90", "90s", "15m", "12h", "30d", "2w" in seconds; at most 10 years. */
bool text_read_duration(const char *text, uint64_t *seconds);
/* Digits only. */
bool text_read_number(const char *text, uint64_t *number);

/* These return `out`. "3 d 4 h", "12 m 5 s", "7 s" */
#define TEXT_SIZE_BYTES 24u /* of a size, too (blockcore/base/size.h) */
const char *text_print_duration(char out[TEXT_SIZE_BYTES], uint64_t seconds);
/* "950", "12.3k", "4.56M" */
const char *text_print_count(char out[TEXT_SIZE_BYTES], double count);

/* Percent-encodes everything but unreserved characters (RFC 3986 2.3), so also
 * "/". The caller frees. */
char *text_url_encode(const char *text);

/* https://HOST[:PORT][/]: host without brackets. False: none such. */
#define TEXT_HOST_BYTES 256u
bool text_read_url(const char *url, char host[TEXT_HOST_BYTES], uint16_t *port);

/* Edits (insert, remove, replace, swap neighbours) from a to b. */
unsigned text_distance(const char *a, const char *b);
/* Whether somebody who typed `word` may have meant `known`. */
bool text_is_near(const char *word, const char *known);

/* How many columns UTF-8 takes on a terminal, one per character; a broken byte
 * counts as one. */
size_t text_width(const char *text);

#endif
