/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST server by itself: on a reactor of its own thread, with its sockets in a
 * folder of its own, without an appliance below. The test's thread is the client
 * and speaks bytes; what must happen on the control thread is sent there.
 */
#ifndef TESTS_LIB_API_RIG_H
#define TESTS_LIB_API_RIG_H

#include "target/control/settings.h"
#include "webui/api/server/private.h"

#include <openssl/ssl.h>

struct api_rig {
	char folder[64];
	struct settings settings;
	struct reactor *reactor;
	struct state *state;
	struct trust *trust;
	struct api *api;
};

/* Fails the test if it does not start. */
void api_rig_start(struct api_rig *rig);
void api_rig_stop(struct api_rig *rig);

/* Runs `work` on the control thread, in a coroutine, and waits for its end. */
void api_rig_run(
	struct api_rig *rig, void (*work_co)(void *argument), void *argument);

/* Connected; to be closed. Reads give up after 20 s. */
int api_rig_local(struct api_rig *rig);
int api_rig_tcp(struct api_rig *rig);
SSL *api_rig_tls(struct api_rig *rig);
void api_rig_tls_close(SSL *ssl);

void api_rig_send(int fd, const char *text);
/* Reads until `text` has come or the end: what came, to be freed. */
char *api_rig_read_until(int fd, const char *text);
/* One request (with "Connection: close") on a connection of its own: the status, and the whole answer if
 * `answer` is not NULL (to be freed). */
int api_rig_ask(struct api_rig *rig, const char *request, char **answer);

/* Bytes that this process has allocated. */
size_t api_rig_allocated(void);

#endif
