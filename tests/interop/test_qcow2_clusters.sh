#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qcow2, one size of clusters after the other, both ways. Theirs: qemu-img makes an image,
# cairn-stack writes to it, qemu-img check finds nothing and compare the same as in a raw
# file. Ours: cairn-stack makes it and writes, qemu-io writes, cairn-stack finds it sound
# and reads what is there, writes again, and check and compare once more. README.md has
# the table of features and tests.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
needs qemu-img qemu-io
. "$(dirname "$0")/qcow2.sh"

for size in 512 1K 2K 4K 8K 16K 32K 64K 128K 256K 512K 1M 2M; do
	check "clusters of $size, theirs" theirs_then_ours "t$size" "cluster_size=$size"
done
for size in 512 1K 4K 16K 64K 256K 2M; do
	check "clusters of $size, ours" ours_then_theirs "o$size" "cluster_size: $size, subclusters: \"off\""
done
for size in 16K 32K 64K 256K 2M; do
	check "subclusters in $size, theirs" theirs_then_ours "tx$size" "extended_l2=on,cluster_size=$size"
done
for size in 16K 64K 2M; do
	check "subclusters in $size, ours" ours_then_theirs "ox$size" "cluster_size: $size, subclusters: \"on\""
done
finish
