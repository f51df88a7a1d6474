/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit that no target can pass: a bare server that answers each SCSI
 * command with a canned Data-In or Response of the right length, with one recv
 * and one gathered send per turn of a blocking epoll loop, and does nothing
 * else. It accepts any login. One connection at a time.
 *
 *	echo            prints the port it listens on
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_BYTES (2u << 20)
#define ANSWERS 512u
#define DATA_BYTES (256u << 10)

static uint8_t in[IN_BYTES], data[DATA_BYTES], header[ANSWERS][48];
static struct iovec out[ANSWERS * 2];
static size_t in_bytes;
static unsigned slices, answers;
static uint32_t status_sn;

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		(uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void answer(const uint8_t *command)
{
	uint8_t *h = header[answers++];
	uint32_t length = get32(command + 20);
	bool read = command[1] & 0x40;

	memset(h, 0, 48);
	h[1] = 0x80;
	memcpy(h + 16, command + 16, 4);
	put32(h + 24, status_sn++);
	put32(h + 28, get32(command + 24) + 1);
	put32(h + 32, get32(command + 24) + 256);
	out[slices++] = (struct iovec){h, 48};
	if (!read) {
		h[0] = 0x21;
		return;
	}
	h[0] = 0x25;
	h[1] = 0x81; /* F and S: the status travels with the data */
	put32(h + 4, length);
	out[slices++] = (struct iovec){data, length};
}

static void login_answer(const uint8_t *request)
{
	static const char keys[] =
		"InitialR2T=No\0ImmediateData=Yes\0"
		"MaxRecvDataSegmentLength=262144\0FirstBurstLength=262144\0"
		"MaxBurstLength=1048576\0TargetPortalGroupTag=1";
	uint8_t *h = header[answers++];

	memset(h, 0, 48);
	h[0] = 0x23;
	h[1] = request[1];
	put32(h + 4, sizeof keys);
	memcpy(h + 8, request + 8, 6);
	h[15] = 1;
	memcpy(h + 16, request + 16, 4);
	put32(h + 24, status_sn++);
	put32(h + 28, get32(request + 24));
	put32(h + 32, get32(request + 24) + 255);
	memcpy(data, keys, sizeof keys);
	out[slices++] = (struct iovec){h, 48};
	out[slices++] = (struct iovec){data, (sizeof keys + 3) & ~3u};
}

static void send_all(int fd)
{
	struct msghdr message = {.msg_iov = out, .msg_iovlen = slices};

	while (message.msg_iovlen) {
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n < 0)
			return;
		while (message.msg_iovlen &&
			(size_t)n >= message.msg_iov->iov_len) {
			n -= (ssize_t)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen) {
			message.msg_iov->iov_base =
				(uint8_t *)message.msg_iov->iov_base + n;
			message.msg_iov->iov_len -= (size_t)n;
		}
	}
	slices = answers = 0;
}

static void take(int fd)
{
	size_t at = 0;

	while (in_bytes - at >= 48) {
		const uint8_t *h = in + at;
		uint32_t bytes = get32(h + 4) & 0xffffff;
		size_t whole = 48 + ((bytes + 3) & ~3u);
		if (in_bytes - at < whole)
			break;
		if ((h[0] & 0x3f) == 0x01)
			answer(h);
		else if ((h[0] & 0x3f) == 0x03)
			login_answer(h);
		at += whole;
		if (answers == ANSWERS)
			send_all(fd);
	}
	memmove(in, in + at, in_bytes - at);
	in_bytes -= at;
	if (slices)
		send_all(fd);
}

static void serve(int fd)
{
	int poll = epoll_create1(0), one = 1;
	struct epoll_event event = {.events = EPOLLIN};

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
	in_bytes = 0;
	while (epoll_wait(poll, &event, 1, -1) >= 0 || errno == EINTR) {
		ssize_t n = recv(fd, in + in_bytes, IN_BYTES - in_bytes, 0);
		if (n <= 0)
			break;
		in_bytes += (size_t)n;
		take(fd);
	}
	close(poll);
	close(fd);
}

int main(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 8) ||
		getsockname(fd, (struct sockaddr *)&address, &length)) {
		perror("echo");
		return 1;
	}
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		int peer = accept(fd, NULL, NULL);
		if (peer >= 0)
			serve(peer);
	}
}
