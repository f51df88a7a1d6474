/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in the languages of connect texts: each writes one complete literal. (Words of
 * a shell are blockcore/base/shell.h's.)
 */
#ifndef TARGET_CONTROL_CONNECT_CONNECT_QUOTE_H
#define TARGET_CONTROL_CONNECT_CONNECT_QUOTE_H

#include <stdint.h>
#include <stdio.h>

/* In single quotes. */
void quote_powershell(FILE *out, const char *text);
/* As the value of an attribute, without the quotes around it. */
void quote_xml(FILE *out, const char *text);
/* A value of QEMU's key=value lists, where a comma is doubled; then for a shell. */
void quote_qemu(FILE *out, const char *key, const char *text);
/* ADDRESS:PORT, [ADDRESS]:PORT for IPv6: bare, for a shell, as text. */
#define QUOTE_PORTAL_BYTES 80u
void quote_portal(FILE *out, const char *address, uint16_t port);
void quote_portal_word(FILE *out, const char *address, uint16_t port);
void quote_portal_text(
	char text[QUOTE_PORTAL_BYTES], const char *address, uint16_t port);

#endif
