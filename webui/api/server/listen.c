/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where it listens: https on TCP, http on a unix socket that only root and the
 * daemon's own user can open. evhttp speaks both; its limits are set here.
 *
 * Invariants
 *  1. The socket is made 0600 before anybody can connect, and belongs to one
 *     daemon: one that answers is left alone, one that nobody serves is replaced.
 *  2. Without the repairs of libevent (libevent_version.h) there is no socket, and
 *     connections over https have one answer each.
 */
#include "blockcore/base/log.h"
#include "target/reactor/reactor.h"
#include "webui/api/server/certificate.h"
#include "webui/api/server/connection.h"
#include "webui/api/server/early.h"
#include "webui/api/server/libevent_version.h"
#include "webui/api/server/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static struct evhttp *new_http(struct api *api,
	void (*call)(struct evhttp_request *, void *), ev_ssize_t body_bytes,
	struct err *err)
{
	struct evhttp *http =
		evhttp_new(reactor_event_base(api->parts.control));
	if (!http) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	evhttp_set_max_headers_size(http, API_MAX_HEADERS_BYTES);
	evhttp_set_max_body_size(http, body_bytes);
	evhttp_set_timeout(http, API_IDLE_S);
	/* All, known or not: what is not allowed is answered by us, in our way. */
	evhttp_set_allowed_methods(http, 0xffff);
	evhttp_set_gencb(http, call, api);
	return http;
}

/* Takes over the socket. */
static int serve(
	struct evhttp *http, int fd, const char *where, struct err *err)
{
	if (!listen(fd, BACKLOG) && evhttp_accept_socket_with_handle(http, fd))
		return 0;
	int failed = errno ? errno : ENOMEM;
	close(fd);
	return err_set(err, failed, "%s: %s", where, strerror(failed));
}

/* -- https ------------------------------------------------------------------ */

static socklen_t parse_address(
	const struct settings_api *settings, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, settings->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(settings->port);
		return sizeof *v4;
	}
	inet_pton(AF_INET6, settings->address, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(settings->port);
	return sizeof *v6;
}

/* A bound socket, with the port filled in; or -errno. */
static int bind_tcp(struct settings_api *settings)
{
	struct sockaddr_storage address;
	socklen_t bytes = parse_address(settings, &address);
	int one = 1, failed;
	int fd = socket(address.ss_family,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address, bytes) ||
		getsockname(fd, (struct sockaddr *)&address, &bytes)) {
		failed = errno;
		close(fd);
		return -failed;
	}
	settings->port = ntohs(address.ss_family == AF_INET
			? ((struct sockaddr_in *)&address)->sin_port
			: ((struct sockaddr_in6 *)&address)->sin6_port);
	return fd;
}

/* Clients may show one; with one that is not good there is no connection. What it
 * is good for is asked at each request (guard.c). */
static int ask_for_certificates(struct api *api, struct err *err)
{
	static const unsigned char context[] = "cairn";
	const char *path = api->parts.settings->api.client_ca;
	if (!path)
		return 0;
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
	if (!names || SSL_CTX_load_verify_file(api->ctx, path) != 1) {
		const char *why = ERR_reason_error_string(ERR_peek_error());
		ERR_clear_error();
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return err_set(err, EINVAL,
			"api.client_ca: %s: no certificates of authorities "
			"(PEM) there: %s",
			path, why ? why : "unknown");
	}
	SSL_CTX_set_client_CA_list(api->ctx, names);
	SSL_CTX_set_session_id_context(api->ctx, context, sizeof context - 1);
	SSL_CTX_set_verify(api->ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

static int make_context(struct api *api, struct err *err)
{
	api->ctx = SSL_CTX_new(TLS_server_method());
	if (!api->ctx)
		return err_set(err, ENOMEM, "no TLS: %s",
			ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_min_proto_version(api->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(api->ctx,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_NO_COMPRESSION);
	/* Idle connections give their buffers back. */
	SSL_CTX_set_mode(api->ctx, SSL_MODE_RELEASE_BUFFERS);
	int failed = ask_for_certificates(api, err);
	return failed ? failed : api_certificate_use(api, err);
}

static int refuse_tls(const char *where, int error, struct err *err)
{
	const char *advice = "";
	if (error == EADDRINUSE)
		advice = "; another program listens there: stop it or set "
			 "another port under api in the settings";
	else if (error == EADDRNOTAVAIL)
		advice = "; this machine has no such address";
	else if (error == EACCES)
		advice = "; ports below 1024 need privileges";
	return err_set(err, error, "%s: %s%s", where, strerror(error), advice);
}

int api_listen_tls(struct api *api, struct err *err)
{
	struct settings_api *settings = &api->parts.settings->api;
	char where[96];
	snprintf(where, sizeof where, "api: %s port %u", settings->address,
		settings->port);
	int failed = make_context(api, err);
	if (failed)
		return failed;
	api->tls = new_http(api, api_call_tls, API_MAX_LARGE_BODY_BYTES, err);
	if (!api->tls)
		return -ENOMEM;
	evhttp_set_bevcb(api->tls, api_connection_accept, api->connections);
	int fd = bind_tcp(settings);
	if (fd < 0)
		return refuse_tls(where, -fd, err);
	return serve(api->tls, fd, where, err);
}

/* -- the unix socket -------------------------------------------------------- */

static bool somebody_answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 &&
		!connect(fd, (const struct sockaddr *)address, sizeof *address);
	if (fd >= 0)
		close(fd);
	return answers;
}

/* A bound socket, or -errno. */
static int bind_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (somebody_answers(&address))
		return -EADDRINUSE;
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(); the mode is there first. */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) ||
		chmod(path, 0600)) {
		int failed = errno;
		close(fd);
		return -failed;
	}
	return fd;
}

int api_listen_local(struct api *api, struct err *err)
{
	const char *directory = api->parts.settings->run_directory;
	char words[96];
	api->repaired = libevent_look(words, sizeof words);
	if (!api->repaired) {
		log_warning("api", "no socket",
			"libevent %s has holes that a unix socket opens, and "
			"https closes each connection after one answer: %s",
			words, LIBEVENT_CURE);
		return 0;
	}
	if (snprintf(api->socket_path, sizeof api->socket_path, "%s/cairn.sock",
		    directory) >= (int)sizeof api->socket_path)
		return err_set(err, ENAMETOOLONG,
			"%s/cairn.sock: too long for a socket", directory);
	api->local =
		new_http(api, api_call_local, API_MAX_LOCAL_BODY_BYTES, err);
	if (!api->local)
		return -ENOMEM;
	evhttp_set_bevcb(api->local, api_early_accept, api);
	int fd = bind_unix(api->socket_path);
	if (fd < 0) {
		int failed = err_set(err, -fd, "%s: %s%s", api->socket_path,
			strerror(-fd),
			fd == -EADDRINUSE
				? "; another cairnd answers there: stop it, "
				  "or give this one a run_directory of its "
				  "own"
				: "");
		api->socket_path[0] = '\0'; /* not ours */
		return failed;
	}
	return serve(api->local, fd, api->socket_path, err);
}

void api_listen_close(struct api *api)
{
	if (api->tls)
		evhttp_free(api->tls);
	if (api->local)
		evhttp_free(api->local);
	if (api->ctx)
		SSL_CTX_free(api->ctx);
	if (*api->socket_path)
		unlink(api->socket_path);
	api->tls = api->local = NULL;
	api->ctx = NULL;
}
