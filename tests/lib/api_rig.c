/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/api_rig.h"

#include "target/control/trust/trust.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "target/control/state.h"
#include "target/reactor/reactor.h"
#include "webui/api/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define READ_S 20

/* -- the control thread ----------------------------------------------------- */

struct task {
	struct loop_message message;
	void (*work_co)(void *argument);
	void *argument;
	sem_t done;
};

static void task_co(void *argument)
{
	struct task *task = argument;
	task->work_co(task->argument);
	sem_post(&task->done);
}

static void start_task(struct loop_message *message)
{
	co_start(task_co, container_of(message, struct task, message));
}

void api_rig_run(
	struct api_rig *rig, void (*work_co)(void *argument), void *argument)
{
	struct task task = {.message.run = start_task,
		.work_co = work_co,
		.argument = argument};
	sem_init(&task.done, 0, 0);
	loop_post(reactor_loop(rig->reactor), &task.message);
	sem_wait(&task.done);
	sem_destroy(&task.done);
}

static void start_co(void *argument)
{
	struct api_rig *rig = argument;
	struct daemon_parts parts = {.settings = &rig->settings,
		.control = rig->reactor,
		.state = rig->state};
	struct trust_world world = {
		.state = rig->state, .loop = reactor_loop(rig->reactor)};
	struct err err = {0};
	void *face = NULL;
	parts.trust = rig->trust = trust_open(&world, &err);
	if (api_face.start_co(&parts, &face, &err))
		fprintf(stderr, "api: %s\n", err.text);
	rig->api = face;
}

static void stop_co(void *argument)
{
	struct api_rig *rig = argument;
	api_face.stop_co(rig->api);
	trust_close(rig->trust);
}

void api_rig_start(struct api_rig *rig)
{
	struct err err = {0};
	char path[96];
	memset(rig, 0, sizeof *rig);
	signal(SIGPIPE, SIG_IGN);
	snprintf(rig->folder, sizeof rig->folder, "/tmp/cairn-api.XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	snprintf(path, sizeof path, "%s/state", rig->folder);
	rig->settings.state_directory = strdup(path);
	rig->settings.run_directory = strdup(rig->folder);
	rig->settings.naming_authority = strdup("iqn.2026-11.example.cairn");
	rig->settings.reactors = 1;
	rig->settings.api.enabled = true;
	rig->settings.api.address = strdup("127.0.0.1");
	rig->state = state_open(path, &err);
	assert_non_null(rig->state);
	rig->reactor = reactor_new("control", 0, &err);
	assert_non_null(rig->reactor);
	assert_int_equal(reactor_start(rig->reactor, -1, &err), 0);
	api_rig_run(rig, start_co, rig);
	assert_non_null(rig->api);
}

void api_rig_stop(struct api_rig *rig)
{
	char command[128];
	api_rig_run(rig, stop_co, rig);
	reactor_stop(rig->reactor);
	reactor_join(rig->reactor);
	reactor_free(rig->reactor);
	state_close(rig->state);
	settings_free(&rig->settings);
	snprintf(command, sizeof command, "rm -rf %s", rig->folder);
	assert_int_equal(system(command), 0);
}

/* -- clients ---------------------------------------------------------------- */

static int set_up(int fd)
{
	struct timeval patience = {.tv_sec = READ_S};
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

int api_rig_local(struct api_rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = set_up(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	snprintf(address.sun_path, sizeof address.sun_path, "%s/cairn.sock",
		rig->folder);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

int api_rig_tcp(struct api_rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(rig->settings.api.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = set_up(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

SSL *api_rig_tls(struct api_rig *rig)
{
	static SSL_CTX *ctx;
	if (!ctx)
		ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, api_rig_tcp(rig));
	if (SSL_connect(ssl) == 1)
		return ssl;
	api_rig_tls_close(ssl);
	return NULL;
}

void api_rig_tls_close(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);
	SSL_free(ssl);
	close(fd);
}

void api_rig_send(int fd, const char *text)
{
	size_t bytes = strlen(text);
	while (bytes) {
		ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the test sees what was answered */
		text += sent;
		bytes -= (size_t)sent;
	}
}

char *api_rig_read_until(int fd, const char *text)
{
	size_t used = 0, room = 65536;
	char *all = malloc(room);
	all[0] = '\0';
	while (!text || !strstr(all, text)) {
		if (used + 1 == room) {
			char *larger = realloc(all, room *= 2);
			if (!larger)
				break;
			all = larger;
		}
		ssize_t got = recv(fd, all + used, room - used - 1, 0);
		if (got <= 0)
			break;
		used += (size_t)got;
		all[used] = '\0';
	}
	return all;
}

static void keep(
	const char *folder, unsigned number, const char *end, const char *text)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s.%d.%u.%s", folder,
		program_invocation_short_name, (int)getpid(), number, end);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

/* Left for the judge of answers: webui/tests/records.mjs. */
static void record(const char *request, const char *answer)
{
	static unsigned number;
	const char *folder = getenv("API_RECORD");
	if (!folder)
		return;
	keep(folder, number, "sent", request);
	keep(folder, number++, "got", answer);
}

int api_rig_ask(struct api_rig *rig, const char *request, char **answer)
{
	int fd = api_rig_local(rig), status = 0;
	api_rig_send(fd, request);
	char *text = api_rig_read_until(fd, NULL);
	close(fd);
	record(request, text);
	sscanf(text, "HTTP/1.1 %d", &status);
	if (answer)
		*answer = text;
	else
		free(text);
	return status;
}

size_t api_rig_allocated(void)
{
#ifdef __SANITIZE_ADDRESS__
	return __sanitizer_get_current_allocated_bytes();
#else
	return mallinfo2().uordblks;
#endif
}
