/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between a program and the daemon's unix socket and keeps what both say,
 * so that it can be judged by the contract (webui/tests/records.mjs).
 *
 *	tee_socket LISTEN TARGET PREFIX
 *
 * Connection N leaves PREFIX.N.sent (to the daemon) and PREFIX.N.got. Runs until
 * SIGTERM. Bytes are passed on as they come, and an end as an end, so that neither
 * side can tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS 64

/* One direction: from `in` to `out`, kept in `file`. */
struct way {
	int in, out, file;
	bool open;
};

static struct way way[2 * PAIRS];
static unsigned connections;
static volatile sig_atomic_t ended;

static _Noreturn void die(const char *text)
{
	fprintf(stderr, "tee_socket: %s: %s\n", text, strerror(errno));
	exit(1);
}

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(address.sun_path, path);
	return address;
}

static int listen_at(const char *path)
{
	struct sockaddr_un at = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) ||
		listen(fd, PAIRS))
		die(path);
	return fd;
}

static int open_file(const char *prefix, const char *end)
{
	char path[4096];
	snprintf(path, sizeof path, "%s.%u.%s", prefix, connections, end);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void take(int listener, const char *target, const char *prefix)
{
	struct sockaddr_un to = address_of(target);
	int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned i = 0;
	while (i < PAIRS && (way[2 * i].open || way[2 * i + 1].open))
		i++;
	if (near < 0 || far < 0 || i == PAIRS ||
		connect(far, (struct sockaddr *)&to, sizeof to)) {
		close(near);
		close(far);
		return;
	}
	connections++;
	way[2 * i] = (struct way){near, far, open_file(prefix, "sent"), true};
	way[2 * i + 1] =
		(struct way){far, near, open_file(prefix, "got"), true};
}

static bool write_all(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t done = write(fd, data, bytes);
		if (done < 0)
			return false;
		data += done;
		bytes -= (size_t)done;
	}
	return true;
}

static void pass_on(struct way *at, struct way *back)
{
	static char data[65536];
	ssize_t got = read(at->in, data, sizeof data);
	if (got > 0 && write_all(at->file, data, (size_t)got) &&
		write_all(at->out, data, (size_t)got))
		return;
	shutdown(at->out, SHUT_WR);
	close(at->file);
	at->open = false;
	if (!back->open) {
		close(at->in);
		close(at->out);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end};
	if (argc != 4) {
		fputs("usage: tee_socket LISTEN TARGET PREFIX\n", stderr);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	int listener = listen_at(argv[1]);
	while (!ended) {
		struct pollfd look[2 * PAIRS + 1];
		look[2 * PAIRS] = (struct pollfd){listener, POLLIN, 0};
		for (unsigned i = 0; i < 2 * PAIRS; i++)
			look[i] = (struct pollfd){
				way[i].open ? way[i].in : -1, POLLIN, 0};
		if (poll(look, 2 * PAIRS + 1, -1) < 0)
			continue;
		for (unsigned i = 0; i < 2 * PAIRS; i++) {
			if (look[i].revents && way[i].open)
				pass_on(&way[i], &way[i ^ 1]);
		}
		if (look[2 * PAIRS].revents)
			take(listener, argv[2], argv[3]);
	}
	unlink(argv[1]);
	return 0;
}
