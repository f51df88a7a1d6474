/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: from files, standard input or the terminal without echo.
 * Invariant: what was read is wiped before its memory is given back.
 */
#include "webui/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MAX_FILE (64u << 20)

void secret_free(char *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
}

/* A larger block with the same bytes; the old one is wiped. */
static char *grow(char *text, size_t used, size_t room)
{
	char *larger = malloc(room);
	if (!larger)
		abort();
	if (text)
		memcpy(larger, text, used);
	if (text)
		OPENSSL_cleanse(text, used);
	free(text);
	return larger;
}

static int read_all(int fd, const char *name, char **text, struct err *err)
{
	size_t used = 0, room = 0;
	ssize_t n;
	do {
		if (room - used < 2)
			*text = grow(
				*text, used, room = room ? room * 2 : 4096);
		n = read(fd, *text + used, room - used - 1);
		used += n > 0 ? (size_t)n : 0;
		(*text)[used] = '\0';
		if (used > MAX_FILE)
			return err_set(err, EFBIG, "%s: more than %u MiB", name,
				MAX_FILE >> 20);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_set(err, errno, "%s: %s", name, strerror(errno));
	if (strlen(*text) != used)
		return err_set(err, EINVAL, "%s: it holds a zero byte", name);
	return 0;
}

char *secret_read_file(const char *file, struct err *err)
{
	bool input = !strcmp(file, "-");
	int fd = input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	if (fd < 0) {
		err_set(err, errno, "%s: %s", file, strerror(errno));
		return NULL;
	}
	int error = read_all(fd, input ? "standard input" : file, &text, err);
	if (!input)
		close(fd);
	if (!error)
		return text;
	secret_free(text);
	return NULL;
}

/* -- the terminal ------------------------------------------------------------ */

static void print_question(int fd, const char *what, const char *more)
{
	dprintf(fd, "%c%s%s: ",
		what[0] - ('a' <= what[0] && what[0] <= 'z' ? 'a' - 'A' : 0),
		what + 1, more);
}

static char *read_line(int fd, struct err *err)
{
	char *line = calloc(1, 1024);
	size_t used = 0;
	if (!line)
		abort();
	while (used < 1023 && read(fd, line + used, 1) == 1 &&
		line[used] != '\n')
		used++;
	line[used] = '\0';
	if (used)
		return line;
	free(line);
	err_set(err, EINVAL, "nothing was typed");
	return NULL;
}

static char *ask_once(
	int fd, const char *what, const char *more, struct err *err)
{
	struct termios old, quiet;
	if (tcgetattr(fd, &old)) {
		err_set(err, errno, "terminal: %s", strerror(errno));
		return NULL;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON;
	/* First the silence: who sees the question may answer it at once. */
	tcsetattr(fd, TCSAFLUSH, &quiet);
	print_question(fd, what, more);
	char *line = read_line(fd, err);
	tcsetattr(fd, TCSAFLUSH, &old);
	dprintf(fd, "\n");
	return line;
}

static char *ask_terminal(const char *what, bool twice, struct err *err)
{
	char label[64];
	snprintf(label, sizeof label, "%.*s", (int)strcspn(what, ",("), what);
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		err_set(err, EINVAL,
			"%s: there is no terminal to ask on; give a file "
			"(see --help), - is standard input",
			label);
		return NULL;
	}
	char *secret = ask_once(fd, label, "", err);
	char *again =
		secret && twice ? ask_once(fd, label, ", again", err) : NULL;
	close(fd);
	if (secret && twice && (!again || strcmp(secret, again))) {
		err_set(err, EINVAL, "the two are not the same");
		secret_free(secret);
		secret = NULL;
	}
	secret_free(again);
	return secret;
}

char *secret_read(
	const char *file, const char *what, bool twice, struct err *err)
{
	if (!file)
		return ask_terminal(what, twice, err);
	char *text = secret_read_file(file, err);
	if (!text)
		return NULL;
	size_t line = strcspn(text, "\r\n");
	const char *rest = text + line + strspn(text + line, "\r\n");
	if (!line || *rest) {
		err_set(err, EINVAL, "%s: one line with the secret is expected",
			file);
		secret_free(text);
		return NULL;
	}
	text[line] = '\0';
	return text;
}
