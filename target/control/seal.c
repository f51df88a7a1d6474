/* SPDX-License-Identifier: Apache-2.0 */
/* See seal.h. SQL is made from the tables that there are. */
#include "target/control/seal.h"

#include "target/control/database.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define SUM_BYTES 32

/* -- sums -------------------------------------------------------------------- */

static void add(uint8_t sum[SUM_BYTES], const uint8_t other[SUM_BYTES])
{
	unsigned carry = 0;
	for (int i = SUM_BYTES; i-- > 0;) {
		carry += (unsigned)sum[i] + other[i];
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static void subtract(uint8_t sum[SUM_BYTES], const uint8_t other[SUM_BYTES])
{
	unsigned borrow = 0;
	for (int i = SUM_BYTES; i-- > 0;) {
		unsigned from = 0x100u + sum[i] - other[i] - borrow;
		sum[i] = (uint8_t)from;
		borrow = from < 0x100u;
	}
}

/* Type and length stand before each value: no two rows read the same. */
static bool take(EVP_MD_CTX *ctx, sqlite3_value *value)
{
	int type = sqlite3_value_type(value);
	sqlite3_int64 number = 0;
	double real = 0;
	const void *data = &number;
	size_t bytes = sizeof number;
	if (type == SQLITE_INTEGER) {
		number = sqlite3_value_int64(value);
	} else if (type == SQLITE_FLOAT) {
		real = sqlite3_value_double(value);
		data = &real;
	} else if (type != SQLITE_NULL) {
		data = sqlite3_value_blob(value);
		bytes = (size_t)sqlite3_value_bytes(value);
	}
	uint8_t head[5] = {(uint8_t)type, (uint8_t)(bytes >> 24),
		(uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes};
	return EVP_DigestUpdate(ctx, head, sizeof head) &&
		(!bytes || EVP_DigestUpdate(ctx, data, bytes));
}

static bool digest(int count, sqlite3_value **row, uint8_t out[SUM_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool well = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (int i = 0; well && i < count; i++)
		well = take(ctx, row[i]);
	well = well && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	return well;
}

/* -- functions of SQL --------------------------------------------------------- */

/* seal_add(sum, columns...), seal_subtract(sum, columns...): the new sum. */
static void move_sum(sqlite3_context *context, int count, sqlite3_value **value)
{
	void (*move)(uint8_t *, const uint8_t *) =
		sqlite3_user_data(context) ? subtract : add;
	uint8_t sum[SUM_BYTES], row[SUM_BYTES];
	if (count < 1 || sqlite3_value_bytes(value[0]) != SUM_BYTES ||
		!digest(count - 1, value + 1, row)) {
		sqlite3_result_error(context, "a seal cannot be moved", -1);
		return;
	}
	memcpy(sum, sqlite3_value_blob(value[0]), SUM_BYTES);
	move(sum, row);
	sqlite3_result_blob(context, sum, SUM_BYTES, SQLITE_TRANSIENT);
}

/* seal_sum(columns...): of all rows. */
static void sum_step(sqlite3_context *context, int count, sqlite3_value **value)
{
	uint8_t row[SUM_BYTES];
	uint8_t *sum = sqlite3_aggregate_context(context, SUM_BYTES);
	if (sum && digest(count, value, row))
		add(sum, row);
	else
		sqlite3_result_error_nomem(context);
}

static void sum_final(sqlite3_context *context)
{
	static const uint8_t none[SUM_BYTES];
	const uint8_t *sum = sqlite3_aggregate_context(context, 0);
	sqlite3_result_blob(
		context, sum ? sum : none, SUM_BYTES, SQLITE_TRANSIENT);
}

int seal_prepare(sqlite3 *db, struct err *err)
{
	static int yes;
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
	bool failed = sqlite3_create_function(db, "seal_add", -1, flags, NULL,
			      move_sum, NULL, NULL) ||
		sqlite3_create_function(db, "seal_subtract", -1, flags, &yes,
			move_sum, NULL, NULL) ||
		sqlite3_create_function(db, "seal_sum", -1, flags, NULL, NULL,
			sum_step, sum_final);
	return failed ? database_error(db, "cannot be used", err) : 0;
}

/* -- SQL for every table ------------------------------------------------------- */

static void print_columns(
	sqlite3 *db, sqlite3_str *sql, const char *table, const char *prefix)
{
	struct statement s;
	const char *comma = "";
	statement_begin(
		&s, db, "SELECT name FROM pragma_table_info(?1) ORDER BY cid");
	statement_text(&s, 1, table);
	for (; statement_row(&s); comma = ", ")
		sqlite3_str_appendf(sql, "%s%s\"%w\"", comma, prefix,
			sqlite3_column_text(s.stmt, 0));
	statement_end(&s, NULL);
}

static void print_sum(sqlite3 *db, sqlite3_str *sql, const char *table)
{
	sqlite3_str_appendall(sql, "(SELECT seal_sum(");
	print_columns(db, sql, table, "");
	sqlite3_str_appendf(sql, ") FROM \"%w\")", table);
}

static void print_renew(sqlite3 *db, sqlite3_str *sql, const char *table)
{
	sqlite3_str_appendf(sql, "INSERT INTO seal VALUES (%Q, ", table);
	print_sum(db, sql, table);
	sqlite3_str_appendall(sql, ");");
}

static void print_check(sqlite3 *db, sqlite3_str *sql, const char *table)
{
	sqlite3_str_appendf(sql,
		"%s SELECT %Q WHERE (SELECT sum FROM seal WHERE name = %Q)"
		" IS NOT ",
		sqlite3_str_length(sql) ? " UNION ALL" : "", table, table);
	print_sum(db, sql, table);
}

static void print_follow(sqlite3 *db, sqlite3_str *sql, const char *table)
{
	static const struct {
		const char *event, *sum, *row, *more;
	} triggers[] = {
		{"INSERT", "seal_add(sum, ", "NEW.", NULL},
		{"DELETE", "seal_subtract(sum, ", "OLD.", NULL},
		{"UPDATE", "seal_add(seal_subtract(sum, ", "OLD.", "NEW."},
	};
	for (size_t i = 0; i < sizeof triggers / sizeof *triggers; i++) {
		sqlite3_str_appendf(sql,
			"CREATE TEMP TRIGGER \"seal %s %w\" AFTER %s ON"
			" main.\"%w\" BEGIN UPDATE seal SET sum = %s",
			triggers[i].event, table, triggers[i].event, table,
			triggers[i].sum);
		print_columns(db, sql, table, triggers[i].row);
		if (triggers[i].more) {
			sqlite3_str_appendall(sql, "), ");
			print_columns(db, sql, table, triggers[i].more);
		}
		sqlite3_str_appendf(sql, ") WHERE name = %Q; END;", table);
	}
}

/* What `print` makes of each table: to be freed with sqlite3_free. NULL with *err. */
static char *for_each_table(sqlite3 *db,
	void (*print)(sqlite3 *db, sqlite3_str *sql, const char *table),
	struct err *err)
{
	struct statement s;
	sqlite3_str *sql = sqlite3_str_new(db);
	statement_begin(&s, db,
		"SELECT name FROM sqlite_schema WHERE type = 'table'"
		" AND name NOT GLOB 'sqlite_*'"
		" AND name NOT IN ('seal', 'audit', 'audit_chain')"
		" ORDER BY name");
	while (statement_row(&s))
		print(db, sql, (const char *)sqlite3_column_text(s.stmt, 0));
	int failed = statement_end(&s, err);
	char *text = sqlite3_str_finish(sql);
	if (!text && !failed)
		err_set(err, ENOMEM, "out of memory");
	if (!failed)
		return text;
	sqlite3_free(text);
	return NULL;
}

static int run_for_each_table(sqlite3 *db,
	void (*print)(sqlite3 *db, sqlite3_str *sql, const char *table),
	struct err *err)
{
	char *sql = for_each_table(db, print, err);
	int failed = sql ? database_run(db, sql, err) : -EIO;
	sqlite3_free(sql);
	return failed;
}

/* -- the door ------------------------------------------------------------------ */

int seal_renew(sqlite3 *db, struct err *err)
{
	int failed = database_run(db, "DELETE FROM seal", err);
	return failed ? failed : run_for_each_table(db, print_renew, err);
}

int seal_follow(sqlite3 *db, struct err *err)
{
	return run_for_each_table(db, print_follow, err);
}

int seal_check(sqlite3 *db, struct err *err)
{
	struct statement s;
	char *sql = for_each_table(db, print_check, err);
	char table[64] = "";
	if (!sql)
		return -EIO;
	statement_begin(&s, db, sql);
	sqlite3_free(sql);
	if (statement_row(&s))
		sqlite3_snprintf(sizeof table, table, "%s",
			sqlite3_column_text(s.stmt, 0));
	int failed = statement_end(&s, err);
	if (failed || !*table)
		return failed;
	return err_set(err, EIO,
		"rows of \"%s\" are not those that were written", table);
}
