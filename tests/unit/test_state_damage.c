/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged database, from a seed: whatever happened to its files, it is refused with
 * words that say which file and what to do, or what it has is one of the states that
 * were committed, whole. STATE_DAMAGE_SEEDS says how many, STATE_DAMAGE_SEED is one
 * that is to be seen again.
 */
#include "target/control/database.h"
#include "target/control/state.h"
#include "tests/lib/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS 8
#define PAGE 4096u
#define FILE_MAX_BYTES (4u << 20)

enum { DATABASE, LOG, FILES };
static const char *const suffix[FILES] = {"", "-wal"};

struct content {
	uint8_t *data;
	size_t bytes;
	bool absent;
};
/* Files as a power cut would leave them at some time. */
struct image {
	struct content file[FILES];
};

static char root[64], directory[80];
static char *committed[2 * STEPS]; /* the first: nothing yet */
static unsigned commits;
static struct image early, late, closed;
static uint64_t seed, random_state;
static unsigned refused, served;

static unsigned below(size_t limit)
{
	random_state =
		random_state * 6364136223846793005u + 1442695040888963407u;
	return limit ? (unsigned)((random_state >> 33) % limit) : 0;
}

/* -- files ------------------------------------------------------------------ */

static void path_of(int file, char path[120])
{
	snprintf(path, 120, "%s/cairn.db%s", directory, suffix[file]);
}

static void read_file(int file, struct content *content)
{
	char path[120];
	path_of(file, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	*content = (struct content){.absent = fd < 0};
	if (fd < 0)
		return;
	content->data = malloc(FILE_MAX_BYTES);
	ssize_t got = read(fd, content->data, FILE_MAX_BYTES);
	assert_true(got >= 0 && got < FILE_MAX_BYTES);
	content->bytes = (size_t)got;
	close(fd);
}

static void write_file(int file, const struct content *content)
{
	char path[120];
	path_of(file, path);
	unlink(path);
	if (content->absent)
		return;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(
		write(fd, content->data, content->bytes), content->bytes);
	close(fd);
}

static void take_image(struct image *image)
{
	for (int file = 0; file < FILES; file++)
		read_file(file, &image->file[file]);
}

static void copy_image(struct image *copy, const struct image *image)
{
	for (int file = 0; file < FILES; file++) {
		copy->file[file] = image->file[file];
		if (image->file[file].absent)
			continue;
		copy->file[file].data = malloc(FILE_MAX_BYTES);
		memcpy(copy->file[file].data, image->file[file].data,
			image->file[file].bytes);
	}
}

static void put_image(const struct image *image)
{
	char path[120];
	for (int file = 0; file < FILES; file++)
		write_file(file, &image->file[file]);
	snprintf(path, sizeof path, "%s/cairn.db-shm", directory);
	unlink(path);
}

static void free_image(struct image *image)
{
	for (int file = 0; file < FILES; file++)
		free(image->file[file].data);
}

/* -- what is kept, as text --------------------------------------------------- */

static void print_table(sqlite3 *db, const char *table, FILE *out)
{
	char sql[80];
	sqlite3_stmt *stmt;
	snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY 1, 2", table);
	assert_int_equal(
		sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		fprintf(out, "%s", table);
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const uint8_t *at = sqlite3_column_blob(stmt, i);
			int bytes = sqlite3_column_bytes(stmt, i);
			fprintf(out, " %d:", sqlite3_column_type(stmt, i));
			for (int k = 0; k < bytes; k++)
				fprintf(out, "%02x", at[k]);
		}
		fputc('\n', out);
	}
	sqlite3_finalize(stmt);
}

/* Not the audit log: its chain is its own witness, and there is a test of it. */
static char *print_state(struct state *state)
{
	char *text;
	size_t bytes;
	sqlite3_stmt *stmt;
	sqlite3 *db = state_database(state);
	FILE *out = open_memstream(&text, &bytes);
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT name FROM sqlite_schema WHERE type = 'table'"
			" AND name NOT LIKE 'audit%' ORDER BY name",
			-1, &stmt, NULL),
		SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		print_table(
			db, (const char *)sqlite3_column_text(stmt, 0), out);
	sqlite3_finalize(stmt);
	fclose(out);
	return text;
}

/* -- something to damage ------------------------------------------------------ */

static struct state *open_state(void)
{
	struct err err = {0};
	struct state *state = state_open(directory, &err);
	if (!state)
		fail_msg("%s", err.text);
	return state;
}

static char *document(int number)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	fputs("volumes:\n", out);
	for (int i = 0; i < 12 + number; i++)
		fprintf(out,
			"- {name: v%d, source: {listeners: [{type: throttle, "
			"name: t, iops: %d}], protocol: {type: 'null', size: "
			"1G}}}\n",
			i, 1000 * number + i);
	fputs("hosts:\n", out);
	for (int i = 0; i < 6; i++)
		fprintf(out,
			"- {name: h%d, iscsi: {iqn: ['iqn.1993-08.org.debian:"
			"01:%d-%d'], chap: {user: u, secret: "
			"twelve-bytes-%d-%d}}}\n",
			i, i, number, i, number);
	fputs("targets:\n- {name: t}\nexports:\n", out);
	for (int i = 0; i < 12; i++)
		fprintf(out,
			"- {volume: v%d, target: t, lun: %d, hosts: [h%d]}\n",
			i, i, (i + number) % 6);
	fclose(out);
	return text;
}

/* Two commits: of the configuration, and of what others keep. */
static void step(struct state *state, int number)
{
	static struct settings settings = {
		.naming_authority = "iqn.2026-11.example.cairn"};
	char sql[400], *text = document(number);
	struct err err = {0};
	int failed = kept_save(state, text, &settings, root, &err);
	free(text);
	snprintf(sql, sizeof sql,
		"BEGIN; INSERT INTO trust_user(name, role, enabled, created)"
		" VALUES ('user%d', %d, 1, 1);"
		"INSERT INTO blob SELECT uuid, 'reservation', zeroblob(%d)"
		" FROM volume WHERE name = 'v%d';"
		"INSERT INTO job(json) VALUES ('{\"number\":%d}'); COMMIT;",
		number, 1 + number % 3, 600 * number, number, number);
	committed[commits++] = print_state(state);
	if (!failed)
		failed = database_run(state_database(state), sql, &err);
	if (failed)
		fail_msg("%s", err.text);
	committed[commits++] = print_state(state);
}

static int make_images(void **nothing)
{
	(void)nothing;
	/* In memory if that can be: nothing here is about what a disk keeps. */
	snprintf(root, sizeof root, "%s/cairn-damage.XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(root))
		return -1;
	snprintf(directory, sizeof directory, "%s/state", root);
	struct state *state = open_state();
	committed[commits++] = print_state(state);
	for (int i = 1; i < STEPS; i++) {
		if (i == STEPS / 2) {
			sqlite3_wal_checkpoint_v2(state_database(state), NULL,
				SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
			take_image(&early);
		}
		step(state, i);
	}
	take_image(&late);
	state_close(state);
	take_image(&closed);
	return 0;
}

static int remove_images(void **nothing)
{
	char command[80];
	(void)nothing;
	for (unsigned i = 0; i < commits; i++)
		free(committed[i]);
	free_image(&early);
	free_image(&late);
	free_image(&closed);
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

/* -- damage ------------------------------------------------------------------ */

static void flip_bit(struct image *image, struct content *c)
{
	(void)image;
	if (c->bytes)
		c->data[below(c->bytes)] ^= (uint8_t)(1u << below(8));
}

static void scribble(struct image *image, struct content *c)
{
	(void)image;
	size_t at = below(c->bytes), length = 1 + below(200);
	for (size_t i = at; i < c->bytes && i < at + length; i++)
		c->data[i] = (uint8_t)below(256);
}

static uint8_t *page(struct content *c)
{
	return c->data + PAGE * below(c->bytes / PAGE);
}

static void zero_page(struct image *image, struct content *c)
{
	(void)image;
	if (c->bytes >= PAGE)
		memset(page(c), 0, PAGE);
}

static void fill_page(struct image *image, struct content *c)
{
	(void)image;
	uint8_t *at = c->bytes >= PAGE ? page(c) : NULL;
	for (unsigned i = 0; at && i < PAGE; i++)
		at[i] = (uint8_t)below(256);
}

static void misplace_page(struct image *image, struct content *c)
{
	(void)image;
	if (c->bytes >= PAGE)
		memmove(page(c), page(c), PAGE);
}

/* A write that never reached the disk: a page as it was before. */
static void lose_write(struct image *image, struct content *c)
{
	const struct content *old = &early.file[DATABASE];
	(void)c;
	struct content *db = &image->file[DATABASE];
	if (db->absent || db->bytes < PAGE)
		return;
	size_t at = PAGE * below(db->bytes / PAGE);
	if (at + PAGE <= old->bytes)
		memcpy(db->data + at, old->data + at, PAGE);
}

static void cut_off(struct image *image, struct content *c)
{
	(void)image;
	c->bytes = below(2) ? below(c->bytes) : PAGE * below(c->bytes / PAGE);
}

static void lengthen(struct image *image, struct content *c)
{
	(void)image;
	size_t more = below(2) ? PAGE : below(3000);
	for (size_t i = 0; !c->absent && i < more; i++)
		c->data[c->bytes++] = (uint8_t)below(256);
}

static void take_away(struct image *image, struct content *c)
{
	(void)image;
	c->absent = true;
	c->bytes = 0;
}

/* What a hasty hand puts back: the one file of then, the other of now. */
static void put_old_database(struct image *image, struct content *c)
{
	(void)c;
	struct content *db = &image->file[DATABASE];
	if (db->absent)
		return;
	memcpy(db->data, early.file[DATABASE].data, early.file[DATABASE].bytes);
	db->bytes = early.file[DATABASE].bytes;
}

static void (*const damages[])(struct image *image, struct content *c) = {
	flip_bit, flip_bit, scribble, scribble, zero_page, fill_page,
	misplace_page, lose_write, cut_off, lengthen, take_away,
	put_old_database};

/* -- the test ------------------------------------------------------------------ */

static void check_refusal(const struct err *err)
{
	static const char *const cures[] = {"a copy from a backup",
		"choose another state_directory", "restore a backup",
		"its directory must be writable", "look for failures"};
	bool cured = false;
	for (size_t i = 0; i < sizeof cures / sizeof *cures; i++)
		cured = cured || strstr(err->text, cures[i]);
	if (!strstr(err->text, directory) || !cured)
		fail_msg("seed %llu: \"%s\"", (unsigned long long)seed,
			err->text);
	refused++;
}

static void check_served(struct state *state)
{
	char *text = print_state(state);
	bool known = false;
	for (unsigned i = 0; i < commits; i++)
		known = known || !strcmp(text, committed[i]);
	if (!known)
		fail_msg("seed %llu: what is served was never committed:\n%s",
			(unsigned long long)seed, text);
	free(text);
	served++;
}

static void damage_once(void)
{
	const struct image *whole[] = {&early, &late, &late, &closed};
	struct image image;
	struct err err = {0};
	random_state = seed;
	copy_image(&image, whole[below(4)]);
	for (unsigned left = 1 + below(2); left; left--) {
		int file = below(3) ? DATABASE : LOG;
		if (image.file[file].absent)
			file = DATABASE;
		damages[below(sizeof damages / sizeof *damages)](
			&image, &image.file[file]);
	}
	put_image(&image);
	free_image(&image);
	struct state *state = state_open(directory, &err);
	if (!state)
		check_refusal(&err);
	else
		check_served(state);
	state_close(state);
}

static void damage_is_known(void **nothing)
{
	const char *count = getenv("STATE_DAMAGE_SEEDS");
	const char *one = getenv("STATE_DAMAGE_SEED");
	uint64_t last = count ? strtoull(count, NULL, 10) : 60;
	(void)nothing;
	seed = one ? strtoull(one, NULL, 10) : 1;
	for (last = one ? seed : last; seed <= last; seed++)
		damage_once();
	print_message("# figure state-damage-seeds value=%u refused=%u\n",
		refused + served, refused);
	assert_true(one || (refused > last / 3 && served > 0));
}

static void whole_images_are_served(void **nothing)
{
	const struct image *whole[] = {&early, &late, &closed};
	(void)nothing;
	for (int i = 0; i < 3; i++) {
		put_image(whole[i]);
		struct state *state = open_state();
		char *text = print_state(state);
		assert_string_equal(
			text, committed[i ? commits - 1 : STEPS - 2]);
		free(text);
		state_close(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_images_are_served),
		cmocka_unit_test(damage_is_known),
	};
	return cmocka_run_group_tests(tests, make_images, remove_images);
}
