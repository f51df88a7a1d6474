/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts the byte stream into PDUs and hands them to the table of opcodes.
 */
#ifndef TARGET_ISCSI_FRAMING_H
#define TARGET_ISCSI_FRAMING_H

#include "target/stream/stream.h"

/* For connection_open. */
extern const struct stream_events framing_events;

#endif
