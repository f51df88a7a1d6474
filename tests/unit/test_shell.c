/* SPDX-License-Identifier: Apache-2.0 */
/* Words for a shell: bash reads back the bytes that were meant, and no control
 * character is printed. */
#include "blockcore/base/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static char *word(const char *text)
{
	char *printed = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&printed, &bytes);
	assert_non_null(out);
	shell_print_word(out, text);
	fclose(out);
	return printed;
}

static void plain_words_stay_bare(void **state)
{
	static const char *const rows[][2] = {{"a.raw", "a.raw"},
		{"/var/x-1_2,3=4@%+:", "/var/x-1_2,3=4@%+:"}, {"", "''"},
		{"it's", "'it'\\''s'"}, {"$(id)", "'$(id)'"},
		{"\xc2\xa3", "'\xc2\xa3'"}, /* no control character */
		{"a\n'\\", "$'a\\x0a\\'\\\\'"},
		{"\xc2\x9b"
		 "b",
			"$'\\xc2\\x9bb'"}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *printed = word(rows[i][0]);
		assert_string_equal(printed, rows[i][1]);
		free(printed);
	}
}

/* Every byte but 0, in pieces, through bash. */
static void bash_reads_the_same_bytes(void **state)
{
	(void)state;
	for (unsigned first = 1; first < 256; first += 15) {
		char text[16] = "", got[16] = "", *printed, *command;
		for (unsigned i = 0; i < 15 && first + i < 256; i++)
			text[i] = (char)(first + i);
		printed = word(text);
		assert_true(asprintf(&command,
				    "LC_ALL=C exec bash -c \"$(cat <<'END'\n"
				    "printf %%s %s\nEND\n)\"",
				    printed) > 0);
		FILE *shell = popen(command, "r");
		assert_non_null(shell);
		got[fread(got, 1, sizeof got - 1, shell)] = '\0';
		assert_int_equal(pclose(shell), 0);
		assert_string_equal(got, text);
		free(command);
		free(printed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_words_stay_bare),
		cmocka_unit_test(bash_reads_the_same_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
