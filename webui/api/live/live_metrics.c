/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs, as metrics: volumes, sessions, threads, rings.
 *
 * Cardinality: for each volume, host that has used it (at most 65) and operation
 * that it has asked for (of 5): 25 lines of latency; for each volume and layer that a
 * request was timed in (at most 66): 26. What was never asked for has no line.
 */
#include "webui/api/live/live_metrics.h"
#include "blockcore/figures.h"
#include "blockcore/memory.h"
#include "target/control/appliance/appliance.h"
#include "target/volume/view.h"

#include <stdio.h>
#include <stdlib.h>

/* -- volumes, with figures for each host ------------------------------------ */

typedef void print_op(struct exposition *exposition,
	const struct exposition_label *labels,
	const struct volume_figures_op *op);

static void each_operation(struct exposition *exposition,
	const struct volume *volume, const struct volume_book_host *host,
	print_op *print)
{
	struct volume_figures figures;
	volume_book_host_sum(host, &figures);
	for (unsigned i = 0; i < VOLUME_OPS; i++) {
		const struct exposition_label labels[] = {
			{"volume", volume->settings.name},
			{"op", volume_op_name(i)},
			{"host", *host->name ? host->name : "others"},
			{NULL, NULL}};
		if (figures.op[i].requests || figures.op[i].in_flight)
			print(exposition, labels, &figures.op[i]);
	}
}

static void each_host(struct exposition *exposition,
	const struct appliance *appliance, print_op *print)
{
	const struct volume *volume;
	const void *at = NULL;
	while ((volume = appliance_next_volume(appliance, &at))) {
		const struct volume_book_host *host;
		unsigned cursor = 0;
		while ((host = volume_book_next(&volume->book, &cursor)))
			each_operation(exposition, volume, host, print);
	}
}

static void print_latency(struct exposition *exposition,
	const struct exposition_label *labels,
	const struct volume_figures_op *op)
{
	exposition_histogram(exposition, labels, VOLUME_BUCKETS, op->latency,
		volume_bucket_bound_ns, op->total_ns);
}

static void print_bytes(struct exposition *exposition,
	const struct exposition_label *labels,
	const struct volume_figures_op *op)
{
	exposition_count(exposition, labels, op->bytes);
}

static void print_in_flight(struct exposition *exposition,
	const struct exposition_label *labels,
	const struct volume_figures_op *op)
{
	exposition_count(exposition, labels, op->in_flight);
}

static void print_errors(struct exposition *exposition,
	const struct exposition_label *labels,
	const struct volume_figures_op *op)
{
	for (unsigned i = VOLUME_ERROR_NONE + 1; i < VOLUME_ERRORS; i++) {
		const struct exposition_label all[] = {labels[0], labels[1],
			labels[2], {"class", volume_error_name(i)},
			{NULL, NULL}};
		if (op->errors[i])
			exposition_count(exposition, all, op->errors[i]);
	}
}

/* -- layers ----------------------------------------------------------------- */

struct layers {
	struct exposition *exposition;
	const char *volume;
};

static void print_layer(const struct layers *layers, const char *layer,
	const char *kind, const struct block_times_sum *times)
{
	const struct exposition_label labels[] = {{"volume", layers->volume},
		{"layer", layer}, {"kind", kind}, {NULL, NULL}};
	if (times->requests)
		exposition_histogram(layers->exposition, labels,
			BLOCK_TIMES_BUCKETS, times->bucket,
			block_times_bound_ns, times->total_ns);
}

static void print_driver(const struct block_layer *layer, void *argument)
{
	print_layer(argument, layer->path, layer->kind, &layer->times);
}

static void print_layers(
	struct exposition *exposition, const struct appliance *appliance)
{
	const struct volume *volume;
	const void *at = NULL;
	exposition_family(exposition, "cairn_layer_io_duration_seconds",
		EXPOSITION_HISTOGRAM,
		"How long about one request in 64 was in each layer and below");
	while ((volume = appliance_next_volume(appliance, &at))) {
		struct layers layers = {exposition, volume->settings.name};
		struct block_source *source = volume->source;
		struct volume_figures figures;
		volume_book_sum(&volume->book, &figures);
		for (unsigned i = 0; i < VOLUME_LAYERS; i++)
			print_layer(&layers, volume_layer_name(i),
				volume_layer_name(i), &figures.layer[i]);
		if (source)
			block_layers_visit(source, print_driver, &layers);
	}
}

/* -- volumes as they are ---------------------------------------------------- */

static double size_of(const struct volume_view *view)
{
	return (double)view->size_bytes;
}

static double online_of(const struct volume_view *view)
{
	return view->online;
}

static double failed_of(const struct volume_view *view)
{
	return view->failed;
}

static double nexuses_of(const struct volume_view *view)
{
	return (double)view->nexuses;
}

static const struct {
	const char *name, *help;
	double (*get)(const struct volume_view *view);
} gauges[] = {
	{"cairn_volume_capacity_bytes", "Size as hosts see it", size_of},
	{"cairn_volume_online", "1 while it is served", online_of},
	{"cairn_volume_failed", "1 after a flush that failed", failed_of},
	{"cairn_volume_sessions", "Sessions that see it", nexuses_of},
};

static void print_volumes(
	struct exposition *exposition, const struct appliance *appliance)
{
	for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++) {
		const struct volume *volume;
		const void *at = NULL;
		exposition_family(exposition, gauges[i].name, EXPOSITION_GAUGE,
			gauges[i].help);
		while ((volume = appliance_next_volume(appliance, &at))) {
			struct volume_view view;
			const struct exposition_label labels[] = {
				{"volume", volume->settings.name},
				{NULL, NULL}};
			volume_view_get(volume, &view);
			exposition_value(
				exposition, labels, gauges[i].get(&view));
		}
	}
}

static void print_io(
	struct exposition *exposition, const struct appliance *appliance)
{
	exposition_family(exposition, "cairn_volume_io_duration_seconds",
		EXPOSITION_HISTOGRAM, "How long requests of hosts took");
	each_host(exposition, appliance, print_latency);
	exposition_family(exposition, "cairn_volume_bytes", EXPOSITION_COUNTER,
		"Bytes read, written, discarded");
	each_host(exposition, appliance, print_bytes);
	exposition_family(exposition, "cairn_volume_in_flight",
		EXPOSITION_GAUGE, "Requests not answered yet");
	each_host(exposition, appliance, print_in_flight);
	exposition_family(exposition, "cairn_volume_errors", EXPOSITION_COUNTER,
		"Requests that did not succeed");
	each_host(exposition, appliance, print_errors);
}

/* -- sessions --------------------------------------------------------------- */

static void print_sessions(
	struct exposition *exposition, const struct iscsi_server *server)
{
	static const struct exposition_label iscsi[] = {
		{"protocol", "iscsi"}, {NULL, NULL}};
	struct iscsi_figures figures;
	iscsi_server_figures(server, &figures);
	exposition_family(exposition, "cairn_sessions", EXPOSITION_GAUGE,
		"Sessions that are up");
	exposition_count(exposition, iscsi, figures.sessions);
	exposition_family(exposition, "cairn_connections", EXPOSITION_GAUGE,
		"Sockets of hosts that are open, logged in or not");
	exposition_count(exposition, iscsi, figures.connections);
	exposition_family(exposition, "cairn_session_logins",
		EXPOSITION_COUNTER, "Logins by how they ended");
	for (unsigned i = 0; i <= ISCSI_REFUSALS; i++) {
		const struct exposition_label labels[] = {iscsi[0],
			{"result",
				i < ISCSI_REFUSALS ? iscsi_refusal_name(i)
						   : "accepted"},
			{NULL, NULL}};
		exposition_count(exposition, labels,
			i < ISCSI_REFUSALS ? figures.refused[i]
					   : figures.logins);
	}
}

/* -- threads ---------------------------------------------------------------- */

static double busy_of(const struct block_lane_figures *f)
{
	return (double)f->busy_ns / 1e9;
}

static double up_of(const struct block_lane_figures *f)
{
	return (double)f->up_ns / 1e9;
}

static double turns_of(const struct block_lane_figures *f)
{
	return (double)f->turns;
}

static double submits_of(const struct block_lane_figures *f)
{
	return (double)f->ring.submits;
}

static double queued_of(const struct block_lane_figures *f)
{
	return (double)f->ring.queued;
}

static double buffers_of(const struct block_lane_figures *f)
{
	return (double)f->buffer_bytes;
}

static double used_of(const struct block_lane_figures *f)
{
	return (double)f->buffer_used_bytes;
}

static const struct {
	const char *name, *help;
	enum exposition_type type;
	double (*get)(const struct block_lane_figures *figures);
} lane_figures[] = {
	{"cairn_reactor_busy_seconds", "CPU time of the thread",
		EXPOSITION_COUNTER, busy_of},
	{"cairn_reactor_up_seconds", "Time since it started",
		EXPOSITION_COUNTER, up_of},
	{"cairn_reactor_turns", "Turns of its loop", EXPOSITION_COUNTER,
		turns_of},
	{"cairn_ring_submits", "Calls that gave the kernel work",
		EXPOSITION_COUNTER, submits_of},
	{"cairn_ring_operations", "Disk operations", EXPOSITION_COUNTER,
		queued_of},
	{"cairn_buffer_bytes", "Memory for data on its way", EXPOSITION_GAUGE,
		buffers_of},
	{"cairn_buffer_used_bytes", "What of it is in use", EXPOSITION_GAUGE,
		used_of},
};

static void print_lanes_co(
	struct exposition *exposition, struct block_core *core)
{
	unsigned lanes = block_core_lanes(core);
	struct block_lane_figures figures[BLOCK_MAX_LANES];
	block_figures_co(core, figures);
	for (size_t i = 0; i < sizeof lane_figures / sizeof *lane_figures;
		i++) {
		exposition_family(exposition, lane_figures[i].name,
			lane_figures[i].type, lane_figures[i].help);
		for (unsigned n = 0; n < lanes; n++) {
			char name[24];
			const struct exposition_label labels[] = {
				{"reactor", name}, {NULL, NULL}};
			snprintf(name, sizeof name, n ? "%u" : "control", n);
			exposition_value(exposition, labels,
				lane_figures[i].get(&figures[n]));
		}
	}
}

static void print_tables(
	struct exposition *exposition, const struct block_memory *memory)
{
	static const struct exposition_label none[] = {{NULL, NULL}};
	exposition_family(exposition, "cairn_table_cache_bytes",
		EXPOSITION_GAUGE, "Tables of images in memory");
	exposition_value(exposition, none, (double)memory->used_bytes);
	exposition_family(exposition, "cairn_table_cache_limit_bytes",
		EXPOSITION_GAUGE, "How much that may be");
	exposition_value(exposition, none, (double)memory->limit_bytes);
}

void live_metrics_print_co(
	struct exposition *exposition, const struct daemon_parts *parts)
{
	print_volumes(exposition, parts->appliance);
	print_io(exposition, parts->appliance);
	print_layers(exposition, parts->appliance);
	live_mirrors_print(exposition, parts->appliance);
	print_sessions(exposition, parts->server);
	print_lanes_co(exposition, parts->core);
	print_tables(exposition, block_memory_of(parts->core));
	live_caches_print(exposition, parts);
}
