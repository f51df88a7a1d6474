/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for a shell (sh; with control characters bash, ksh, zsh), to be copied from a
 * terminal.
 *
 * Invariant: what is printed is one word of exactly those bytes, and no control
 * character of C0 or (in UTF-8) C1 reaches a terminal.
 */
#ifndef BLOCKCORE_BASE_SHELL_H
#define BLOCKCORE_BASE_SHELL_H

#include <stdio.h>

/* Bare where a shell takes it as it is, else in quotes. */
void shell_print_word(FILE *out, const char *text);

#endif
