/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of snapshots share. All answer when they return NULL or false.
 */
#ifndef WEBUI_API_OBJECTS_SNAPSHOTS_H
#define WEBUI_API_OBJECTS_SNAPSHOTS_H

#include "target/control/snapshots/snapshot_over.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/snapshots/snapshot_users.h"
#include "webui/api/objects/objects_source.h"

/* What runs of the volume of the path, with a reference; no group that was not whole has
 * left anything in it. */
struct block_source *snapshot_source_co(struct api_request *request);
/* A new list of all, as answers have them. */
json_t *snapshot_list_co(
	struct api_request *request, struct block_source *source);
/* The one of the path; a new reference. */
json_t *snapshot_find_co(
	struct api_request *request, struct block_source *source);
/* A name for a new one, or for a volume, in the words of the contract. */
bool snapshot_check_name(
	struct api_request *request, const char *member, const char *name);

/* Its ETag: another one of the same name, or another lock, is another. */
void snapshot_set_etag(struct api_request *request, const json_t *snapshot);
/* False: 412 is answered. */
bool snapshot_match(struct api_request *request, const json_t *snapshot);

/* Where a snapshot of the request's volume is asked for. */
#define SNAPSHOT_PLACE_BYTES (2 * OBJECT_ID_BYTES + 32)
void snapshot_print_place(const struct api_request *request, const char *name,
	char place[SNAPSHOT_PLACE_BYTES]);

/* Counts what those of the volume of the path hold, if that is to be known anew. */
void snapshot_look_space_co(
	struct api_request *request, struct block_source *source);

/* The plan of a dry run. */
void snapshot_answer_plan_co(
	struct api_request *request, const char *effect, const char *text);
/* Log, audit, event: `what` is "snapshot_created" ... References stay. */
void snapshot_tell(struct api_request *request, const char *what,
	const char *snapshot, json_t *before, json_t *after);
/* The same without the audit record. */
void snapshot_announce(
	struct api_request *request, const char *what, const char *snapshot);

/* -- external ones (snapshots_external.c) -------------------------------------- */

/* Adds those of the volume of the path to a list of internal ones, and to all their
 * place in the tree. */
void snapshot_make_tree(struct api_request *request, json_t *items);
/* False: it is being deleted, and is not what it was any more. */
bool snapshot_need_whole(struct api_request *request, const json_t *snapshot);
/* "raw", "qcow2": of the image that an external one of the volume of the path is; NULL:
 * it is internal. */
const char *snapshot_image_type(
	struct api_request *request, const json_t *snapshot);
/* False: an external snapshot of the volume has that name. */
bool snapshot_check_free(
	struct api_request *request, const char *volume, const char *name);
/* The same of both kinds. An image may have none that it keeps itself: then all are free
 * there. */
bool snapshot_check_names_co(struct api_request *request, const char *volume,
	struct block_source *source, const char *name);
/* False: the volume is in no file of its own, which is answered. */
bool snapshot_need_file(
	struct api_request *request, const struct config_object *volume);

/* Answers in any case. */
void snapshot_create_external_co(struct api_request *request,
	struct block_source *source, const char *name);

/* -- back to one (snapshots_back.c, snapshots_return.c) ------------------------- */

/* How it is asked for. */
struct snapshot_way {
	const char *snapshot;
	char safety[SNAPSHOT_NAME_BYTES]; /* what is there now becomes that */
	unsigned hosts; /* sessions that see the volume */
	bool destroy; /* meant also if there are some */
};
/* What dry runs say. Takes over `changes` of the document. */
void snapshot_plan_back_co(struct api_request *request,
	const struct snapshot_way *way, json_t *changes);
/* False: hosts would lose what they have mounted, which is answered. */
bool snapshot_may_destroy(
	struct api_request *request, const struct snapshot_way *way);
/* It is done: hosts are told; the answer. */
void snapshot_went_back_co(struct api_request *request,
	struct block_source *source, const struct snapshot_way *way,
	bool recorded);
/* To an external one; answers in any case. */
void snapshot_return_co(struct api_request *request,
	struct block_source *source, const json_t *items,
	const json_t *snapshot, const struct snapshot_way *way);

#endif
