/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows that what was acknowledged survives: writes with many commands in
 * flight, remembers for each unit what was acknowledged and what was only sent,
 * and afterwards reads all of it back.
 *
 *	survive write  PORT TARGET RECORD SEED   until the connection breaks
 *	survive force  PORT TARGET RECORD SEED   the same, each write forced (FUA): of
 *						 a volume that keeps more in memory
 *						 than the kernel's cache
 *	survive verify PORT TARGET RECORD
 *
 * What the unit has to tell (UNIT ATTENTION) is heard, and the command sent again.
 * RECORD is a shared mapping: it holds even when this process is killed. Exit
 * status 0: write ended by a broken connection after at least one answer, or
 * every unit reads as its last acknowledged value or one sent after it.
 */
#include "tests/lib/initiator.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNITS 4096u
#define UNIT_BYTES 4096u
#define DEPTH 32u

struct record {
	uint32_t acknowledged[UNITS];
	uint32_t sent[UNITS]; /* >= acknowledged */
};

static struct initiator initiator;
static struct record *record;
static struct initiator_io io[DEPTH];
static uint32_t unit_of[DEPTH], generation_of[DEPTH], idle[DEPTH], idles;
static bool
	again[DEPTH]; /* the unit told something first: the same once more */
static bool force;
static uint64_t answers, refused;

static void fill(uint8_t *data, uint32_t unit, uint32_t generation)
{
	for (uint32_t at = 0; at < UNIT_BYTES; at += 8) {
		uint32_t pair[2] = {unit, generation};
		memcpy(data + at, pair, 8);
	}
}

static unsigned ended(struct initiator *i, struct initiator_io *done, void *a)
{
	uint32_t slot = done->slot;

	(void)i;
	(void)a;
	again[slot] = done->attention;
	if (done->status)
		refused += !done->attention;
	else
		record->acknowledged[unit_of[slot]] = generation_of[slot];
	answers++;
	idle[idles++] = slot;
	return 0;
}

/* A unit belongs to one slot, so its writes never overtake each other. */
static void start(uint32_t slot)
{
	uint32_t unit = (uint32_t)random() % (UNITS / DEPTH) * DEPTH + slot;

	if (again[slot]) {
		initiator_queue(&initiator, &io[slot]);
		return;
	}
	unit_of[slot] = unit;
	generation_of[slot] = ++record->sent[unit];
	fill(io[slot].data, unit, generation_of[slot]);
	io[slot].slot = slot;
	initiator_io_read_write(&io[slot], true, unit * (UNIT_BYTES / 512u),
		UNIT_BYTES / 512u, 512, io[slot].data);
	if (force)
		io[slot].cdb[1] |= 0x08; /* FUA: SBC-4 5.43 */
	initiator_queue(&initiator, &io[slot]);
}

static int write_until_broken(void)
{
	initiator.done = ended;
	for (uint32_t slot = 0; slot < DEPTH; slot++)
		idle[idles++] = slot;
	for (;;) {
		while (idles && initiator_has_room(&initiator))
			start(idle[--idles]);
		if (initiator_turn(&initiator))
			break;
	}
	printf("%llu answers, %llu refused, then: %s\n",
		(unsigned long long)answers, (unsigned long long)refused,
		initiator.error);
	return answers && !refused ? 0 : 1;
}

static bool unit_is_right(uint32_t unit, const uint8_t *data)
{
	uint32_t pair[2];
	uint8_t expected[UNIT_BYTES];

	memcpy(pair, data, 8);
	if (!record->sent[unit])
		return true;
	if (pair[1] == 0 && record->acknowledged[unit] == 0)
		return pair[0] == 0;
	if (pair[1] < record->acknowledged[unit] ||
		pair[1] > record->sent[unit])
		return false;
	fill(expected, unit, pair[1]);
	return !memcmp(expected, data, UNIT_BYTES);
}

static int read_unit(uint32_t unit, uint8_t *data)
{
	int error = 0;

	do {
		io[0].attention = false;
		initiator_io_read_write(&io[0], false,
			unit * (UNIT_BYTES / 512u), UNIT_BYTES / 512u, 512,
			data);
		error = initiator_execute(&initiator, &io[0]);
	} while (!error && io[0].status && io[0].attention);
	return error || io[0].status ? -1 : 0;
}

/* After the check a unit's value is what was read: the next round starts there. */
static int verify(void)
{
	uint8_t *data = io[0].data;
	unsigned wrong = 0, written = 0;

	for (uint32_t unit = 0; unit < UNITS; unit++) {
		if (read_unit(unit, data)) {
			printf("unit %u: cannot read: %s\n", unit,
				initiator.error);
			return 1;
		}
		if (!unit_is_right(unit, data)) {
			uint32_t pair[2];
			memcpy(pair, data, 8);
			printf("unit %u: has %u, acknowledged %u, sent %u\n",
				unit, pair[1], record->acknowledged[unit],
				record->sent[unit]);
			wrong++;
		}
		written += record->sent[unit] != 0;
		if (record->sent[unit])
			memcpy(&record->acknowledged[unit], data + 4, 4);
	}
	printf("%u units checked, %u wrong\n", written, wrong);
	return wrong || !written ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	int fd = open(argv[4], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *record))
		return 2;
	record = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0);
	srandom(argc > 5 ? (unsigned)atoi(argv[5]) : 1);
	for (uint32_t slot = 0; slot < DEPTH; slot++)
		io[slot].data = calloc(1, UNIT_BYTES);
	if (initiator_connect(&initiator, "127.0.0.1", (uint16_t)atoi(argv[2]),
		    "iqn.2026-11.example.cairn:survive", argv[3]) ||
		initiator_ready(&initiator)) {
		printf("login: %s\n", initiator.error);
		return 2;
	}
	force = !strcmp(argv[1], "force");
	int status =
		strcmp(argv[1], "verify") ? write_until_broken() : verify();
	initiator_close(&initiator);
	for (uint32_t slot = 0; slot < DEPTH; slot++)
		free(io[slot].data);
	return status;
}
