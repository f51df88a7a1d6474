/* SPDX-License-Identifier: Apache-2.0 */
#include "webui/cli/link.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct link {
	int fd;
	SSL_CTX *context;
	SSL *tls; /* NULL: a unix socket */
	char name[300]; /* for messages */
};

bool link_read_fingerprint(const char *text, uint8_t out[32])
{
	size_t digits = 0;
	memset(out, 0, 32);
	if (!strncasecmp(text, "sha256:", 7))
		text += 7;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == ':' && digits % 2 == 0)
			continue;
		if (!isxdigit(c) || digits == 64)
			return false;
		unsigned value = (unsigned)(isdigit(c) ? c - '0'
						       : tolower(c) - 'a' + 10);
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | value);
		digits++;
	}
	return digits == 64;
}

/* -- waiting ---------------------------------------------------------------- */

static int wait_for(
	struct link *link, short events, int timeout_ms, struct err *err)
{
	struct pollfd poll_fd = {.fd = link->fd, .events = events};
	int n;
	do
		n = poll(&poll_fd, 1, timeout_ms);
	while (n < 0 && errno == EINTR && timeout_ms < 0);
	if (n > 0)
		return 0;
	if (n < 0)
		return err_set(
			err, errno, "%s: %s", link->name, strerror(errno));
	return err_set(err, ETIMEDOUT,
		"%s does not answer within %d s; --timeout waits longer",
		link->name, timeout_ms / 1000);
}

/* -- sockets ---------------------------------------------------------------- */

static int connect_fd(struct link *link, const struct sockaddr *address,
	socklen_t bytes, int timeout_ms, struct err *err)
{
	int error = 0;
	socklen_t error_bytes = sizeof error;
	link->fd = socket(address->sa_family,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return err_set(err, errno, "socket: %s", strerror(errno));
	if (connect(link->fd, address, bytes) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return err_set(
			err, errno, "%s: %s", link->name, strerror(errno));
	if (wait_for(link, POLLOUT, timeout_ms, err))
		return -err->code;
	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
	if (error)
		return err_set(
			err, error, "%s: %s", link->name, strerror(error));
	return 0;
}

static int connect_unix(
	struct link *link, const char *path, int timeout_ms, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(link->name, sizeof link->name, "%s", path);
	if (strlen(path) >= sizeof address.sun_path)
		return err_set(err, ENAMETOOLONG,
			"%s: a socket's path has at most %zu bytes", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect_fd(link, (struct sockaddr *)&address, sizeof address,
		timeout_ms, err);
}

static int connect_tcp(struct link *link, const struct link_place *place,
	int timeout_ms, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char port[8];
	int result = -1;
	snprintf(port, sizeof port, "%u", place->port);
	snprintf(
		link->name, sizeof link->name, "%s port %s", place->host, port);
	int error = getaddrinfo(place->host, port, &hints, &list);
	if (error)
		return err_set(err, EHOSTUNREACH, "%s: %s", place->host,
			gai_strerror(error));
	for (struct addrinfo *at = list; at && result; at = at->ai_next) {
		if (link->fd >= 0)
			close(link->fd);
		link->fd = -1;
		result = connect_fd(
			link, at->ai_addr, at->ai_addrlen, timeout_ms, err);
	}
	freeaddrinfo(list);
	if (!result)
		setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
			sizeof(int));
	return result;
}

/* -- TLS -------------------------------------------------------------------- */

static int tls_error(struct link *link, const char *what, struct err *err)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	ERR_clear_error();
	return err_set(err, EPROTO, "%s: %s: %s", link->name, what,
		reason ? reason : "the connection broke off");
}

static int tls_retry(
	struct link *link, int result, int timeout_ms, struct err *err)
{
	switch (SSL_get_error(link->tls, result)) {
	case SSL_ERROR_WANT_READ:
		return wait_for(link, POLLIN, timeout_ms, err);
	case SSL_ERROR_WANT_WRITE:
		return wait_for(link, POLLOUT, timeout_ms, err);
	default: return tls_error(link, "TLS", err);
	}
}

static int tls_check_pin(struct link *link, const char *fingerprint,
	const uint8_t digest[32], const char *shown, struct err *err)
{
	uint8_t wanted[32];
	if (!link_read_fingerprint(fingerprint, wanted))
		return err_set(err, EINVAL,
			"--fingerprint: 64 hex digits (SHA-256), not \"%s\"",
			fingerprint);
	if (CRYPTO_memcmp(wanted, digest, 32))
		return err_set(err, EKEYREJECTED,
			"%s has another certificate than the pinned one: "
			"sha256:%s. If it was replaced, look at its "
			"fingerprint there (cairn certificate show)",
			link->name, shown);
	return 0;
}

/* Invariant 1. */
static int tls_check(
	struct link *link, const struct link_place *place, struct err *err)
{
	X509 *certificate = SSL_get0_peer_certificate(link->tls);
	uint8_t digest[32];
	unsigned bytes = sizeof digest;
	char shown[65];
	if (!certificate ||
		!X509_digest(certificate, EVP_sha256(), digest, &bytes))
		return err_set(err, EKEYREJECTED, "%s shows no certificate",
			link->name);
	for (int i = 0; i < 32; i++)
		snprintf(shown + 2 * i, 3, "%02x", digest[i]);
	if (place->fingerprint)
		return tls_check_pin(
			link, place->fingerprint, digest, shown, err);
	long verdict = SSL_get_verify_result(link->tls);
	if (verdict == X509_V_OK)
		return 0;
	return err_set(err, EKEYREJECTED,
		"%s: its certificate is not trusted (%s). Give --ca FILE, or, "
		"after comparing with `cairn certificate show` there, "
		"--fingerprint sha256:%s",
		link->name, X509_verify_cert_error_string(verdict), shown);
}

static int tls_prepare(
	struct link *link, const struct link_place *place, struct err *err)
{
	struct in6_addr number;
	link->context = SSL_CTX_new(TLS_client_method());
	if (!link->context)
		return tls_error(link, "TLS", err);
	SSL_CTX_set_min_proto_version(link->context, TLS1_2_VERSION);
	if (place->ca && !SSL_CTX_load_verify_file(link->context, place->ca))
		return tls_error(link, place->ca, err);
	if (!place->ca)
		SSL_CTX_set_default_verify_paths(link->context);
	link->tls = SSL_new(link->context);
	if (!link->tls || !SSL_set_fd(link->tls, link->fd))
		return tls_error(link, "TLS", err);
	/* Looked at in tls_check, so that it can say how to trust it. */
	SSL_set_verify(link->tls, SSL_VERIFY_NONE, NULL);
	X509_VERIFY_PARAM *param = SSL_get0_param(link->tls);
	if (inet_pton(AF_INET, place->host, &number) == 1 ||
		inet_pton(AF_INET6, place->host, &number) == 1) {
		if (!X509_VERIFY_PARAM_set1_ip_asc(param, place->host))
			return tls_error(link, "TLS", err);
	} else if (!X509_VERIFY_PARAM_set1_host(param, place->host, 0) ||
		!SSL_set_tlsext_host_name(link->tls, place->host)) {
		return tls_error(link, "TLS", err);
	}
	return 0;
}

static int tls_open(struct link *link, const struct link_place *place,
	int timeout_ms, struct err *err)
{
	int result;
	if (tls_prepare(link, place, err))
		return -err->code;
	while ((result = SSL_connect(link->tls)) != 1)
		if (tls_retry(link, result, timeout_ms, err))
			return -err->code;
	return tls_check(link, place, err);
}

/* -- the interface ---------------------------------------------------------- */

struct link *link_open(
	const struct link_place *place, int timeout_ms, struct err *err)
{
	struct link *link = calloc(1, sizeof *link);
	if (!link) {
		err_set(err, ENOMEM, "no memory");
		return NULL;
	}
	link->fd = -1;
	signal(SIGPIPE, SIG_IGN);
	int error = place->socket
		? connect_unix(link, place->socket, timeout_ms, err)
		: connect_tcp(link, place, timeout_ms, err);
	if (!error && !place->socket)
		error = tls_open(link, place, timeout_ms, err);
	if (!error)
		return link;
	link_close(link);
	return NULL;
}

void link_close(struct link *link)
{
	if (!link)
		return;
	if (link->tls && SSL_is_init_finished(link->tls))
		SSL_shutdown(link->tls);
	SSL_free(link->tls);
	SSL_CTX_free(link->context);
	if (link->fd >= 0)
		close(link->fd);
	free(link);
}

/* One try; bytes, or -1 after waiting, or -errno. */
static ssize_t write_some(struct link *link, const void *data, size_t bytes,
	int timeout_ms, struct err *err)
{
	if (link->tls) {
		int part = bytes > 65536 ? 65536 : (int)bytes;
		int n = SSL_write(link->tls, data, part);
		return n > 0 ? n : tls_retry(link, n, timeout_ms, err);
	}
	ssize_t n = send(link->fd, data, bytes, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		return wait_for(link, POLLOUT, timeout_ms, err);
	return err_set(err, errno, "%s: %s", link->name, strerror(errno));
}

int link_write(struct link *link, const void *data, size_t bytes,
	int timeout_ms, struct err *err)
{
	const char *at = data;
	while (bytes) {
		ssize_t n = write_some(link, at, bytes, timeout_ms, err);
		if (n < 0)
			return (int)n;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static ssize_t tls_read(struct link *link, void *data, size_t bytes,
	int timeout_ms, struct err *err)
{
	for (;;) {
		int n = SSL_read(
			link->tls, data, bytes > 65536 ? 65536 : (int)bytes);
		if (n > 0)
			return n;
		if (SSL_get_error(link->tls, n) == SSL_ERROR_ZERO_RETURN)
			return 0;
		int error = tls_retry(link, n, timeout_ms, err);
		if (error)
			return error;
	}
}

ssize_t link_read(struct link *link, void *data, size_t bytes, int timeout_ms,
	struct err *err)
{
	if (link->tls)
		return tls_read(link, data, bytes, timeout_ms, err);
	for (;;) {
		ssize_t n = recv(link->fd, data, bytes, 0);
		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return err_set(err, errno, "%s: %s", link->name,
				strerror(errno));
		int error = wait_for(link, POLLIN, timeout_ms, err);
		if (error)
			return error;
	}
}
