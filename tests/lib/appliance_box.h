/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An appliance in a stack rig: state in a folder of its own, an iSCSI server that
 * nobody reaches, and a configuration to change.
 */
#ifndef TESTS_LIB_APPLIANCE_BOX_H
#define TESTS_LIB_APPLIANCE_BOX_H

#include "target/control/config/config.h"
#include "tests/lib/stack_rig.h"

#define NS_PER_S 1000000000ull
#define BOX_TARGET "iqn.2026-11.example.cairn:t"

struct box {
	struct stack_rig *rig;
	struct settings settings;
	struct access_portal portal;
	char root[64];
	struct state *state;
	struct iscsi_server *server;
	struct appliance *appliance;
	struct config *config;
};

void box_open(struct box *box, struct stack_rig *rig);
void box_close_co(struct box *box);
/* As if the daemon ended and started: nothing is in force yet. */
void box_restart_co(struct box *box);

/* Volumes (a YAML list in one line) each as a LUN in turn, for any host. */
int box_apply_co(
	struct box *box, const char *volumes, bool strict, struct err *err);
void box_must_apply_co(struct box *box, const char *volumes);

struct volume *box_volume_at(const struct box *box, unsigned lun);
/* 0: offline. */
uint64_t box_size_at(const struct box *box, unsigned lun);
void box_wait_co(struct box *box, unsigned s);

/* clang-format off */
#define FILE_OF(name, size) \
	"{name: " name ", source: {protocol: {type: file, path: " name \
	".raw, size: " size "}}}"
#define MEM_OF(name, size) \
	"{name: " name ", source: {protocol: {type: mem, size: " size "}}}"
/* clang-format on */

#endif
