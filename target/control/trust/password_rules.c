/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a password must be: long, and not what everybody tries first.
 */
#include "target/control/trust/password.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LEAST_DIFFERENT 5u

/* What is left of the usual ones without digits and signs around them. */
static const char *const usual[] = {"password", "passwort", "passw", "letmein",
	"welcome", "changeme", "administrator", "admin", "adminadmin",
	"qwertyuiop", "qwertzuiop", "asdfghjkl", "qwerty", "qwertz", "iloveyou",
	"secret", "geheim", "master", "storage", "iscsi", "cairn", "cairnadmin",
	"cairncairn", "passwordpassword", "correcthorsebatterystaple", NULL};

static unsigned characters(const char *text)
{
	unsigned count = 0;
	for (; *text; text++)
		count += ((uint8_t)*text & 0xc0) != 0x80;
	return count;
}

static unsigned different(const char *text)
{
	bool seen[256] = {false};
	unsigned count = 0;
	for (; *text; text++) {
		count += !seen[(uint8_t)*text];
		seen[(uint8_t)*text] = true;
	}
	return count;
}

/* "123456789012", "abcdefghijkl": each one more (or less) than the one before. */
static bool is_run(const char *text)
{
	unsigned steps = 0, length = 0;
	for (; text[length + 1]; length++) {
		int step = text[length + 1] - text[length];
		steps += step == 1 || step == -1;
	}
	return steps * 10 >= length * 8;
}

static bool is_usual(const char *text)
{
	char core[64] = "";
	const char *end = text + strlen(text);
	while (*text && !isalpha((uint8_t)*text))
		text++;
	while (end > text && !isalpha((uint8_t)end[-1]))
		end--;
	if ((size_t)(end - text) >= sizeof core)
		return false;
	for (size_t i = 0; text + i < end; i++)
		core[i] = (char)tolower((uint8_t)text[i]);
	for (const char *const *one = usual; *one; one++)
		if (!strcmp(core, *one))
			return true;
	return false;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((uint8_t)*text < 32 || *text == 127)
			return true;
	return false;
}

static int check_rules(const char *user, const char *password, struct err *err)
{
	if (strlen(password) > PASSWORD_MOST_BYTES)
		return err_set(err, EINVAL, "a password has at most %u bytes",
			PASSWORD_MOST_BYTES);
	if (characters(password) < PASSWORD_LEAST_CHARACTERS)
		return err_set(err, EINVAL,
			"a password has at least %u characters",
			PASSWORD_LEAST_CHARACTERS);
	if (has_control(password))
		return err_set(
			err, EINVAL, "a password has no control characters");
	if (different(password) < LEAST_DIFFERENT)
		return err_set(err, EINVAL,
			"a password has at least %u different characters",
			LEAST_DIFFERENT);
	if (is_run(password) || is_usual(password))
		return err_set(err, EINVAL,
			"this password is among the first that are guessed: "
			"take another, such as four words of your own");
	if (strlen(user) > 3 && strcasestr(password, user) &&
		characters(password) <=
			strlen(user) + PASSWORD_LEAST_CHARACTERS / 2)
		return err_set(err, EINVAL,
			"a password is not the user's name and a little more");
	return 0;
}

int password_rules(const char *user, const char *password, struct err *err)
{
	int failed = check_rules(user, password, err);
	return failed ? err_point(err, "/password") : 0;
}
