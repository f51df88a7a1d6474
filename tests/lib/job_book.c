/* SPDX-License-Identifier: Apache-2.0 */
/* See job_book.h. */
#include "tests/lib/job_book.h"

#include "blockcore/base/list.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static struct job_book *book_of(struct job_keeper *keeper)
{
	return container_of(keeper, struct job_book, keeper);
}

static char *copy_of(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	CHECK(!text || copy);
	return copy;
}

static int begun_co(struct job_keeper *keeper, struct job *job, uint64_t cursor,
	struct err *err)
{
	(void)job;
	(void)err;
	book_of(keeper)->cursor = cursor;
	return 0;
}

static void begin_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	(void)keeper;
	(void)pivot;
}

static int disown_co(
	struct job_keeper *keeper, const char *source, struct err *err)
{
	struct job_book *book = book_of(keeper);

	(void)source;
	(void)err;
	free(book->carry);
	book->carry = NULL;
	book->disowned++;
	return 0;
}

static int keep_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct job_book *book = book_of(keeper);

	free(book->kept);
	book->kept = copy_of(pivot->document);
	return disown_co(keeper, NULL, err);
}

static int carry_co(struct job_keeper *keeper, const char *source,
	const char *listener, struct err *err)
{
	struct job_book *book = book_of(keeper);

	(void)source;
	(void)err;
	free(book->carry);
	book->carry = copy_of(listener);
	return 0;
}

static int carried_co(struct job_keeper *keeper, const char *source,
	char **listener, struct err *err)
{
	(void)source;
	(void)err;
	*listener = copy_of(book_of(keeper)->carry);
	return 0;
}

void job_book_open(struct job_book *book, struct block_core *core)
{
	*book = (struct job_book){.keeper = {.begun_co = begun_co,
					  .begin_co = begin_co,
					  .keep_co = keep_co,
					  .end_co = begin_co,
					  .carry_co = carry_co,
					  .carried_co = carried_co,
					  .disown_co = disown_co}};
	job_set_keeper(core, &book->keeper);
}

void job_book_copy(struct job_book *book, const struct job_book *from)
{
	book->cursor = from->cursor;
	book->carry = copy_of(from->carry);
	book->kept = copy_of(from->kept);
}

void job_book_close(struct job_book *book)
{
	free(book->carry);
	free(book->kept);
	book->carry = book->kept = NULL;
}
