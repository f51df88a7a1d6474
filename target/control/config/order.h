/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a document in the order of its schema, however they were written: two
 * exports of the same are the same text, and an editor shows what matters first.
 *
 * Invariant: only the order is another; what the schema does not know stays, by name,
 * behind what it does.
 */
#ifndef TARGET_CONTROL_CONFIG_ORDER_H
#define TARGET_CONTROL_CONFIG_ORDER_H

#include <jansson.h>

struct order;

/* From the schemas that the tables print (document.h, spec.h). NULL without memory. */
struct order *order_new(void);
void order_free(struct order *order); /* NULL is fine */

/* An appliance document, put in order: a new reference; NULL without memory. */
json_t *order_document(const struct order *order, const json_t *document);

#endif
