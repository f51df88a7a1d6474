/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views for tests of connect texts, and a shell that the texts are given to.
 */
#ifndef TESTS_LIB_CONNECT_TEXT_H
#define TESTS_LIB_CONNECT_TEXT_H

#include "target/control/connect/connect.h"

#define CONNECT_HOSTILE "o'b \"$(touch x)`,<&>"

extern const struct connect_portal connect_portals[2]; /* IPv4, IPv6 */
/* One portal and no conditions; two portals, all conditions, names that need quotes. */
extern const struct connect_view connect_plain, connect_strict;

/* To be freed. */
char *connect_text_for(const char *system, const struct connect_view *view);
/* Runs `before` and the text in a shell of its own, which answers its questions with
 * "secret"; gives what it prints, to be freed. Must succeed; a word that is a pattern
 * for the shell is a failure. */
char *connect_run(const char *before, const char *text);

#endif
