#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The other half of the rounds of test_config_kill.sh: which changes are cut off is
# random, so they are other ones.

exec "$(dirname "$0")/test_config_kill.sh" "$@"
