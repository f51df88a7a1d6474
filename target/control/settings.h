/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's settings (etc/cairn.yaml): what must be known before anything
 * runs and needs a restart to change. What the appliance exports is not here
 * but in the appliance document (document.h).
 *
 * Invariants
 *  1. Read strictly: an unknown key, a wrong type, a value out of range is an
 *     error that names file, line, column and key, and the daemon does not start.
 *  2. Portals are the first filling only: from then on they are objects of the
 *     configuration.
 *  3. A setting that is absent has the default of its table row; directories and
 *     portals have none and must be given.
 */
#ifndef TARGET_CONTROL_SETTINGS_H
#define TARGET_CONTROL_SETTINGS_H

#include "blockcore/base/doc.h"
#include "blockcore/base/err.h"
#include "blockcore/base/log.h"
#include "target/iscsi/iscsi.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SETTINGS_MAX_PORTALS 64u

/* Strings belong to the struct; settings_free. */
struct settings {
	char *data_directory; /* volumes' files; relative: to where we started */
	char *state_directory; /* database, lock */
	char *run_directory; /* socket of the command line */
	char *naming_authority; /* "iqn.2026-11.example.cairn" */
	enum log_level log_level;
	unsigned
		reactors; /* 1..BLOCK_MAX_LANES - 1: as many threads carry I/O */
	bool pin_reactors; /* each to one CPU of the affinity mask */
	uint32_t spin_us;
	const char *ring; /* NULL: choose; "io_uring", "threads" */
	uint64_t buffer_bytes; /* data buffers of each reactor */
	/* Of all images, of all caches: blockcore/memory.h. */
	uint64_t table_cache_bytes, read_cache_bytes;
	unsigned space_threshold_percent; /* see appliance_space.h; 0: none */
	struct iscsi_settings iscsi;
	struct settings_api {
		bool enabled; /* over TCP; the socket is always there */
		char *address;
		uint16_t port; /* 0: a free one */
		char *url; /* that hosts are told of; NULL: none */
		char *client_ca; /* PEM; NULL: no client certificates */
	} api;
	struct access_portal *portal;
	unsigned portals;
};

/* 0, or -errno with *err set and *settings empty. */
int settings_load(const char *path, struct settings *settings, struct err *err);
/* The same of a tree, which stays the caller's. No file is touched. */
int settings_read(
	const struct doc *root, struct settings *settings, struct err *err);
void settings_free(struct settings *settings);

/* Every key with its range, default and meaning. */
void settings_print_help(FILE *out);

#endif
