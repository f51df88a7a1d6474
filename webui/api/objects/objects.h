/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the configuration over REST: what all kinds have in common. A kind is
 * one row that says what its answers have beside what is kept, and what its
 * requests are brought to.
 *
 *	GET	value + what runs (status) + generation, which is also the ETag
 *	POST	value - what only answers have -> one change -> 201
 *	PUT	the same for an object that is there; its name must be the same
 *	PATCH	RFC 7396 on what is kept, then as PUT
 *	DELETE	refused (409) naming who holds it, unless cascade takes that along
 *
 * Invariants
 *  1. Every mutation is one config_change_co: all of it happens or nothing.
 *  2. Members that only answers have are taken and ignored; what else is not known
 *     is refused by the document's own checks, with its pointer.
 *  3. No answer has a secret: what is kept of an object has none.
 *  4. What is changed is what is there when the change has its turn: two who change an
 *     object at the same time both do, and of two who name one version (If-Match) one
 *     is refused. Who makes a value of what is there waits for his turn before
 *     (api_turn_co), or names the version that it was made of (object_edit_of).
 */
#ifndef WEBUI_API_OBJECTS_OBJECTS_H
#define WEBUI_API_OBJECTS_OBJECTS_H

#include "target/control/config/config.h"
#include "target/control/config/object_edits.h"
#include "webui/api/handler.h"

struct object_kind {
	enum config_kind kind;
	const char *collection; /* "volumes" */
	const char *parameter; /* of the path: "name" */
	const char *id_member; /* of the value, NULL: none is the id alone */
	/* Adds what only answers have. */
	void (*complete)(struct api_request *request,
		const struct config_object *object, json_t *json);
	/* Adds to answers what it takes time to find out; objects may have gone
	 * then. NULL: nothing. */
	void (*measure_co)(struct api_request *request, json_t *items);
	/* Brings a whole value to what is kept: what only answers have is gone
	 * already. `present` NULL: a new one. False: answered. */
	bool (*prepare)(struct api_request *request,
		const struct config_object *present, json_t *value);
	/* A member that a PUT keeps if it does not speak of it; NULL: none. */
	const char *keeps;
	/* Fills in edits for who holds the object: with `cascade` they let go.
	 * Names of holders go to `held_by`. */
	void (*release)(struct api_request *request,
		const struct config_object *object, struct object_edits *edits,
		json_t *held_by);
};

/* -- looking ----------------------------------------------------------------- */

/* A new reference. */
json_t *object_json(struct api_request *request, const struct object_kind *kind,
	const struct config_object *object);
/* What the path names, NULL: 404 is answered. */
const struct config_object *object_find(
	struct api_request *request, const struct object_kind *kind);
void object_set_etag(
	struct api_request *request, const struct config_object *object);
/* If-Match; false: 412 is answered. */
bool object_match(
	struct api_request *request, const struct config_object *object);
/* The object's key in a page of them (handler.h). */
const char *object_page_key(const struct config_object *object, char key[24]);
/* All that `wants` (NULL: all), in pages. */
void object_list_co(struct api_request *request, const struct object_kind *kind,
	bool (*wants)(struct api_request *request,
		const struct config_object *object));
void object_get_co(struct api_request *request, const struct object_kind *kind);

/* -- changing: in a coroutine ------------------------------------------------- */

/* Answers it, sorted (object_sort_error). The body is the part of an object that `prefix`
 * points to ("" or NULL: all of it): places lose that. */
void object_fail(
	struct api_request *request, const char *prefix, struct err *err);
/* The changes that a plan of it has, the caller's; NULL: refused, and answered. */
json_t *object_rehearse_co(struct api_request *request,
	const struct object_edits *edits, const char *prefix);
/* One change, in the request's turn if it has one, which ends with it. Pointers of errors lose `prefix` ("" or "/source"), as the body is
 * that part of the object. False: answered, with a problem or (dry run) with the
 * plan. True: *id is what the first edit is called now, events and audit are told. */
bool object_change_co(struct api_request *request, struct object_edits *edits,
	const char *verb, const char *prefix, char id[OBJECT_ID_BYTES]);

void object_create_co(
	struct api_request *request, const struct object_kind *kind);
void object_replace_co(
	struct api_request *request, const struct object_kind *kind);
void object_patch_co(
	struct api_request *request, const struct object_kind *kind);
void object_delete_co(
	struct api_request *request, const struct object_kind *kind);
/* Answers 201 with the object and where it is. */
void object_created_co(struct api_request *request,
	const struct object_kind *kind, const char *id);
/* Answers 200 with the object as it is now. */
void object_answer_co(struct api_request *request,
	const struct object_kind *kind, const char *id);

/* A new one whose name is taken, or another name than the present one: answered. */
bool object_check_name(struct api_request *request, enum config_kind kind,
	const struct config_object *present, json_t *value);
/* RFC 7396. A new reference. */
json_t *object_merge(const json_t *target, const json_t *patch);

extern const struct object_kind object_volumes, object_hosts, object_targets,
	object_exports;

/* -- exports (objects_targets.c) ---------------------------------------------- */

/* The folded IQN that `text` means: whole, or the end behind the naming authority.
 * False: it is none. */
bool object_target_iqn(struct api_request *request, const char *text,
	char iqn[ACCESS_NAME_BYTES]);
/* The IQN of an export's target. */
void object_export_iqn(struct api_request *request,
	const struct config_object *object, char iqn[ACCESS_NAME_BYTES]);
/* The one that "IQN,LUN" names; NULL: none, or several for different hosts. */
const struct config_object *object_find_export(
	struct api_request *request, const char *id);
/* The lowest number that no export has at that target. */
unsigned object_free_lun(struct api_request *request, const char *iqn);
/* True if the list of texts `member` of an object's value has `text`. */
/* The objects of that kind that name `id`, as config_next_user; `prefix`: of its keys,
 * 'v' a volume, 'h' a host, 'p' a portal, 't' a target. */
const struct config_object *object_next_user(struct api_request *request,
	enum config_kind kind, char prefix, const char *id,
	const struct config_link **cursor);
bool object_lists(const struct config_object *object, const char *member,
	const char *text);

#endif
