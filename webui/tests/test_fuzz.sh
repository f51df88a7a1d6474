#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# API_FUZZ_RUNS requests (10000), divided among four daemons with a seed each: 1 to 4,
# and others in longer runs; API_FUZZ_SEED is the only one if it is given.

set -u
here=$(dirname "$0")
runs=${API_FUZZ_RUNS:-10000}
if [ -n "${API_FUZZ_SEED:-}" ]; then
	exec "$here/node" fuzz.mjs
fi
first=1
[ "$runs" -le 10000 ] || first=$(date +%s)
export API_FUZZ_RUNS=$(((runs + 3) / 4)) API_FUZZ_SEED
status=0
for API_FUZZ_SEED in "$first" $((first + 1)) $((first + 2)) $((first + 3)); do
	"$here/node" fuzz.mjs || status=1
done
exit $status
