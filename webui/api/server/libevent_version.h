/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the libevent that runs has the repairs of 2026: eight holes in evhttp,
 * one of them a write outside its memory when it listens on a unix socket.
 * The others let one request be taken for two (header lines, trailers, line ends),
 * which can matter where a proxy sends requests of several people over one connection.
 * So without the repairs there is no socket, and over https a connection is closed
 * after its first answer: what was smuggled in behind a request is never read.
 *
 * Upstream has them from 2.1.13 on. Debian put them into 2.1.12 without another
 * version of the library itself, so there the package's revision is what tells:
 * from 2.1.12-stable-8+deb12u1 (or another +debNuM) on.
 */
#ifndef WEBUI_API_SERVER_LIBEVENT_VERSION_H
#define WEBUI_API_SERVER_LIBEVENT_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `number` is event_get_version_number(), `package` Debian's version of the
 * package, "" if it is not known. */
bool libevent_is_repaired(uint32_t number, const char *package);

/* Finds the version of libevent-extra-2.1-7 in dpkg's database (the file `path`).
 * False, and "", if it is not there. */
bool libevent_find_package(const char *path, char *version, size_t bytes);

/* Of the library that runs, as words ("2.1.12-stable, package ..."); false without the
 * repairs. */
bool libevent_look(char *words, size_t bytes);
/* What to do then. */
#define LIBEVENT_CURE \
	"install libevent 2.1.12-stable-8+deb12u1 of Debian (apt-get " \
	"upgrade), " \
	"or 2.1.13, and restart"

#endif
