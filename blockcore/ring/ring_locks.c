/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's locks on images, so that QEMU, its tools and we keep out of each other's
 * files. Open file description locks belong to the open file and not to the
 * process: two opens in one process exclude each other like two programs.
 *
 * Both sides take their locks first and look for contradicting ones then, so of
 * two that come at once at least one sees the other.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "blockcore/ring/ring_files.h"

#define LOCK_TAKEN_BYTE 100
#define LOCK_REFUSED_BYTE 200
#define LOCK_PERMISSIONS 4

static const char *const lock_names[LOCK_PERMISSIONS] = {
	"consistent read",
	"write",
	"write unchanged",
	"resize",
};

static int lock_byte(int fd, short type, off_t byte)
{
	struct flock lock = {.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1};
	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* 1 if somebody else has a lock there, 0 if not, -errno. */
static int lock_byte_others(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1};
	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	return lock.l_type != F_UNLCK;
}

/* Locks the bytes of `mask` that are not in `held`. */
static int lock_add(int fd, int first_byte, uint64_t mask, uint64_t held)
{
	int failed = 0;
	for (int n = 0; n < LOCK_PERMISSIONS && !failed; n++)
		if ((mask & ~held) >> n & 1)
			failed = lock_byte(fd, F_RDLCK, first_byte + n);
	return failed;
}

/* Unlocks the bytes of `mask` that are not in `kept`. */
static void lock_drop(int fd, int first_byte, uint64_t mask, uint64_t kept)
{
	for (int n = 0; n < LOCK_PERMISSIONS; n++)
		if ((mask & ~kept) >> n & 1)
			(void)lock_byte(fd, F_UNLCK, first_byte + n);
}

/* Does somebody refuse what we take, or take what we refuse? */
static int lock_look(struct ring_files_file *self, uint64_t mask,
	int others_first_byte, const char *what, struct err *err)
{
	for (int n = 0; n < LOCK_PERMISSIONS; n++) {
		if (!(mask >> n & 1))
			continue;
		int found = lock_byte_others(self->fd, others_first_byte + n);
		if (found < 0)
			return err_set(err, -found, "'%s': no lock: %s",
				self->path, strerror(-found));
		if (found)
			return err_set(err, EBUSY,
				"'%s' is in use: another program or volume (a "
				"virtual machine, qemu-img, cairnd) %s \"%s\" "
				"on it; stop it first",
				self->path, what, lock_names[n]);
	}
	return 0;
}

static int lock_change(struct ring_files_file *self, uint64_t taken,
	uint64_t refused, struct err *err)
{
	int fd = self->fd;
	int failed = lock_add(fd, LOCK_TAKEN_BYTE, taken, self->taken);
	if (!failed)
		failed =
			lock_add(fd, LOCK_REFUSED_BYTE, refused, self->refused);
	if (failed == -EAGAIN || failed == -EACCES)
		return err_set(err, EBUSY,
			"'%s' is in use: another program has it locked; stop "
			"that first",
			self->path);
	if (failed)
		return err_set(err, -failed,
			"'%s': its file system has no locks (%s); say locking: "
			"false if nobody else can use it",
			self->path, strerror(-failed));
	failed = lock_look(self, taken, LOCK_REFUSED_BYTE, "refuses", err);
	if (failed)
		return failed;
	return lock_look(self, refused, LOCK_TAKEN_BYTE, "uses", err);
}

int ring_files_lock(struct ring_file *file, uint64_t taken, uint64_t refused,
	struct err *err)
{
	struct ring_files_file *self = ring_files_file(file);
	assert((taken | refused) >> LOCK_PERMISSIONS == 0);
	int failed = lock_change(self, taken, refused, err);
	if (failed) {
		lock_drop(self->fd, LOCK_TAKEN_BYTE, taken, self->taken);
		lock_drop(self->fd, LOCK_REFUSED_BYTE, refused, self->refused);
		return failed;
	}
	lock_drop(self->fd, LOCK_TAKEN_BYTE, self->taken, taken);
	lock_drop(self->fd, LOCK_REFUSED_BYTE, self->refused, refused);
	self->taken = taken;
	self->refused = refused;
	return 0;
}
