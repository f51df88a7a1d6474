/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strangers who open TLS connections and say nothing: one after the other, each
 * kept open on this side whatever the server does.
 *
 *	idle_tls PORT COUNT SOURCE_ADDRESS [SPREAD]	until standard input ends
 *
 * SPREAD addresses from SOURCE_ADDRESS on take turns (1). Prints how many were made,
 * with a handshake, when all were tried. Exit status 0: at least one was.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_from(in_addr_t source, uint16_t port)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
	struct sockaddr_in there = {
		.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&here, sizeof here) &&
		!connect(fd, (struct sockaddr *)&there, sizeof there))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The session is let go of, the socket stays open: 1 if there was a handshake. */
static unsigned stay(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);
	unsigned made = ssl && SSL_set_fd(ssl, fd) && SSL_connect(ssl) == 1;
	SSL_free(ssl);
	return made;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	unsigned made = 0;
	char byte;
	if (argc != 4 && argc != 5)
		return 2;
	in_addr_t source = ntohl(inet_addr(argv[3]));
	unsigned spread = argc == 5 ? (unsigned)atoi(argv[4]) : 1;
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	for (int left = atoi(argv[2]); ctx && left > 0; left--) {
		int fd = connect_from(source + (unsigned)left % spread,
			(uint16_t)atoi(argv[1]));
		if (fd >= 0)
			made += stay(ctx, fd);
	}
	printf("%u\n", made);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	SSL_CTX_free(ctx);
	return made ? 0 : 1;
}
