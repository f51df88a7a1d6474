/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session and its connection have agreed on: plain values, without
 * pointers, so that a later version can hand a session to a new process.
 * Names are those of RFC 7143 section 13.
 */
#ifndef TARGET_ISCSI_PARAMS_H
#define TARGET_ISCSI_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

struct iscsi_params {
	bool header_digest, data_digest; /* CRC32C, else none */
	bool initial_r2t, immediate_data;
	bool data_pdu_in_order, data_sequence_in_order;
	uint32_t max_connections;
	uint32_t max_receive_bytes; /* MaxRecvDataSegmentLength of ours */
	uint32_t max_send_bytes; /* the host's: limit for what we send */
	uint32_t max_burst_bytes, first_burst_bytes;
	uint32_t time2wait_s, time2retain_s;
	uint32_t max_outstanding_r2t;
	uint32_t error_recovery_level;
	uint32_t protocol_level; /* RFC 7144: 1 or 2 */
	bool fast_abort; /* TaskReporting=FastAbort */
	bool response_fence;
};

#endif
