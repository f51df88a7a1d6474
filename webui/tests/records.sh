#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Run when all others have ended: judges what they left in API_RECORD.
exec "$(dirname "$0")/node" check_records.mjs
