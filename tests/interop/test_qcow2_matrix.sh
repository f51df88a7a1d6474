#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qcow2, widths of refcounts, versions, preallocations, both ways. Theirs: qemu-img makes an image,
# cairn-stack writes to it, qemu-img check finds nothing and compare the same as in a raw
# file. Ours: cairn-stack makes it and writes, qemu-io writes, cairn-stack finds it sound
# and reads what is there, writes again, and check and compare once more. README.md has
# the table of features and tests.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
needs qemu-img qemu-io
. "$(dirname "$0")/qcow2.sh"

for bits in 1 2 4 8 16 32 64; do
	check "refcounts of $bits bits, theirs" theirs_then_ours "tr$bits" "refcount_bits=$bits"
	check "refcounts of $bits bits, ours" ours_then_theirs "or$bits" "refcount_bits: $bits, subclusters: \"off\""
done
check "version 2, theirs" theirs_then_ours tv2 compat=0.10
check "version 2, ours" ours_then_theirs ov2 'version: "2"'
check "version 2, clusters of 512, theirs" theirs_then_ours tv512 compat=0.10,cluster_size=512
for mode in off metadata falloc full; do
	check "preallocation $mode, theirs" theirs_then_ours "tp$mode" "preallocation=$mode"
	check "preallocation $mode, ours" ours_then_theirs "op$mode" "preallocation: $mode"
done
check "lazy refcounts, theirs" theirs_then_ours tl lazy_refcounts=on
finish
