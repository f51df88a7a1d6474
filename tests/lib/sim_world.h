/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the simulated world share: sim_io.c (operations),
 * sim_files.c (files, locks), sim_power.c (cuts, from outside).
 */
#ifndef TESTS_LIB_SIM_WORLD_H
#define TESTS_LIB_SIM_WORLD_H

#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_ring.h"

#define SIM_FAULTS_MAX 8u

struct sim_file; /* an open one */

struct sim_inode {
	char *path;
	uint64_t number;
	struct sim_disk *disk;
	struct sim_traffic traffic;
	LIST_HEAD(, sim_file) opens;
	LIST_ENTRY(sim_inode) link;
};

struct sim_file {
	struct ring_file file;
	struct sim_inode *inode;
	uint64_t taken, refused; /* locks */
	uint32_t out; /* operations */
	LIST_ENTRY(sim_file) link;
};

/* An operation takes effect in two pieces, then it ends. */
enum sim_stage { SIM_STAGE_FIRST, SIM_STAGE_SECOND, SIM_STAGE_END };

/* An operation on its way. */
struct sim_io {
	struct sim_event event; /* its next stage */
	struct ring_op *op;
	struct sim_ring *ring;
	struct sim_inode *inode;
	uint64_t number; /* of the write, in sim_disk.h */
	uint64_t epoch; /* the world's, when it was submitted */
	uint64_t stamp; /* DATASYNC: what it covers */
	uint64_t end_ns;
	unsigned stage; /* the next */
	uint64_t split_bytes; /* length of the first piece */
	bool second_first;
	int error; /* injected */
	uint64_t bytes; /* it will move: less than asked at an end or failure */
	TAILQ_ENTRY(sim_io) link; /* world->out */
};

struct sim_world {
	struct ring_world world;
	struct sim *sim;
	struct sim_world_options options;
	LIST_HEAD(, sim_inode) inodes;
	uint64_t inode_numbers, io_numbers, stamps, points, cut_point, epoch;
	uint64_t others_bytes; /* see sim_world_limit */
	bool off;
	void (*look)(void *arg, uint64_t point);
	void *look_arg;
	struct sim_fault *faults[SIM_FAULTS_MAX];
	TAILQ_HEAD(, sim_io) out; /* in order of submission */
};

struct sim_world *sim_world_of(const struct ring_world *world);
struct sim_inode *sim_inode_find(
	const struct sim_world *self, const char *path);
struct sim_inode *sim_inode_make(
	struct sim_world *self, const char *path, struct sim_disk *disk);
void sim_inode_free(struct sim_inode *inode);

/* The entries of ring_world_ops of these names (sim_files.c). */
int sim_files_open(struct ring_world *world, const char *path, unsigned flags,
	uint64_t create_bytes, struct ring_file **file, struct err *err);
void sim_files_close(struct ring_file *file);
int sim_files_resize(struct ring_file *file, uint64_t bytes, struct err *err);
int sim_files_lock(struct ring_file *file, uint64_t taken, uint64_t refused,
	struct err *err);
int sim_files_extent(
	struct ring_file *file, uint64_t offset, uint64_t *length, bool *data);
int sim_files_space(struct ring_file *file, struct ring_space *space);

/* Space that is taken, by all files. */
uint64_t sim_world_used_bytes(const struct sim_world *self);
/* One more point is passed: looks, and maybe cuts (sim_power.c). */
void sim_world_pass_point(struct sim_world *self);

/* Bytes [from, from + bytes) of a WRITE, PUNCH or ZERO_RANGE take effect on
 * `disk` (sim_io.c). */
void sim_io_change(const struct sim_io *io, struct sim_disk *disk,
	uint64_t from, uint64_t bytes);
/* The piece of FIRST or SECOND; false if it is empty or has taken effect. */
bool sim_io_piece(const struct sim_io *io, unsigned stage, uint64_t *from,
	uint64_t *bytes);
/* True if it changes content. */
bool sim_io_changes(const struct sim_io *io);

#endif
