/* SPDX-License-Identifier: Apache-2.0 */
/* See portal_socket.h. */
#include "target/iscsi/portal_socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

static int bind_and_listen(
	int fd, const struct addrinfo *info, bool listens, uint16_t *bound_port)
{
	struct sockaddr_storage local = {0};
	socklen_t bytes = sizeof local;
	char port[NI_MAXSERV];
	int one = 1, zero = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* "::" means both families. */
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 ||
		(listens && listen(fd, BACKLOG) < 0) ||
		getsockname(fd, (struct sockaddr *)&local, &bytes) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&local, bytes, NULL, 0, port,
		    sizeof port, NI_NUMERICSERV))
		return -EINVAL;
	*bound_port = (uint16_t)atoi(port);
	return 0;
}

static int refuse(
	const struct access_portal *portal, int error, struct err *err)
{
	const char *advice = "";

	if (error == EADDRINUSE)
		advice = "; another program listens there: stop it or choose "
			 "another port";
	else if (error == EADDRNOTAVAIL)
		advice = "; this machine has no such address";
	else if (error == EACCES)
		advice = "; ports below 1024 need privileges";
	return err_set(err, error, "cannot listen on %s port %u: %s%s",
		portal->address, portal->port, strerror(error), advice);
}

int portal_socket_open(const struct access_portal *portal, bool listens,
	uint16_t *bound_port, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *info;
	char port[8];
	int fd, result;

	snprintf(port, sizeof port, "%u", portal->port);
	if (getaddrinfo(portal->address, port, &hints, &info))
		return err_set(err, EINVAL, "'%s' is not a numeric address",
			portal->address);
	fd = socket(
		info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	result = fd < 0 ? -errno
			: bind_and_listen(fd, info, listens, bound_port);
	freeaddrinfo(info);
	if (result == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return refuse(portal, -result, err);
}
