#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
exec "$(dirname "$0")/node" turns.mjs
