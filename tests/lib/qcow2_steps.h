/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what a qcow2 image does when one step of it fails: an image in the
 * simulator, in a source of its own that has a `fault`; a row says which step fails,
 * and what has to be true afterwards.
 *
 *	image ---> disk			fault, file
 *	  '------> base, if backed	fault, mem
 */
#ifndef TESTS_LIB_QCOW2_STEPS_H
#define TESTS_LIB_QCOW2_STEPS_H

#include "tests/lib/stack_rig.h"

/* Content is a function of the place: bytes up to KEPT, and a cluster at PACKED. */
#define QCOW2_STEPS_KEPT (64u << 10)
#define QCOW2_STEPS_PACKED (96u << 10)

enum qcow2_steps_then {
	QCOW2_STEPS_AGAIN, /* the next try works */
	QCOW2_STEPS_REFUSES, /* no changes until it is opened again */
	QCOW2_STEPS_HARMLESS /* nobody notices; as it is closed */
};

struct qcow2_steps_row;

struct qcow2_steps {
	struct stack_rig *rig;
	const char *options;
	bool backed;
	struct block_source *disk, *base, *image;
	unsigned tries; /* the script's */
};

struct qcow2_steps_row {
	enum block_purpose purpose;
	const char *op, *options; /* of the rule; of a new image */
	enum qcow2_steps_then then;
	/* 0 or -errno, the first that it meets. */
	int (*run_co)(struct qcow2_steps *s);
	bool backed; /* the fault is in the backing file if it is for that */
	bool unmade; /* there is no image before */
	void (*before_co)(struct qcow2_steps *s); /* without faults */
	void (*poke)(struct qcow2_steps *s); /* while it is closed */
	void (*after)(struct qcow2_steps *s); /* the next try, closed */
};

/* A row, in a world of its own. */
void qcow2_steps_run(const struct qcow2_steps_row *row);
/* A world for `body_co`: no image yet. */
void qcow2_steps_world(
	const char *options, void (*body_co)(struct qcow2_steps *s));

/* Opened, made and filled where there is none. */
void qcow2_steps_open_co(struct qcow2_steps *s);
void qcow2_steps_close_co(struct qcow2_steps *s);
/* The next request of that purpose and operation fails. */
void qcow2_steps_fail(
	struct qcow2_steps *s, enum block_purpose purpose, const char *op);
/* One request of content as above; READ compares. -errno or 0. */
int qcow2_steps_io_co(struct qcow2_steps *s, enum block_opcode op,
	uint64_t offset, uint64_t bytes);
/* That content, to be freed. */
uint8_t *qcow2_steps_content(uint64_t offset, uint64_t bytes);

/* The image's file, while it is closed. */
struct qcow2_steps_file {
	uint8_t *bytes;
	uint64_t size;
};
struct qcow2_steps_file qcow2_steps_file_get(struct qcow2_steps *s);
void qcow2_steps_file_put(struct qcow2_steps *s, struct qcow2_steps_file *f);
/* The L2 entry of a guest offset; not extended. */
uint8_t *qcow2_steps_entry(struct qcow2_steps_file *f, uint64_t offset);

#endif
