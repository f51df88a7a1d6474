#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is discarded in a qcow2 image leaves the file, so that thin volumes give space back
# to their file system; not what a snapshot shows, nor space reserved on purpose.

. "$(dirname "$0")/lib.sh"
needs qemu-img qemu-io
. "$(dirname "$0")/qcow2.sh"

takes() { du -k "$work/$1" | cut -f1; } # NAME: KiB on disk
at_most() { # NAME KIB
	[ "$(takes "$1")" -le "$2" ] || { echo "$(takes "$1") KiB"; return 1; }
}
at_least() {
	[ "$(takes "$1")" -ge "$2" ] || { echo "$(takes "$1") KiB"; return 1; }
}
fills() { stack "$(image "$1" "size: 64M${2-}")" 'write -P 1 0 12M' 'write -P 1 12M 12M' flush; }
discards() { stack "$(image "$1" "size: 64M${2-}")" 'discard 0 24M' flush flush; }

# Without holes in files there is nothing to see.
truncate -s 1M "$work/holes" && dd if=/dev/urandom of="$work/holes" bs=1M count=1 conv=notrunc status=none
fallocate -p -o 0 -l 1M "$work/holes" 2>/dev/null || skip_all "the file system makes no holes"

for more in '' ', cluster_size: 512' ', cluster_size: 2M, subclusters: off' ', version: 2'; do
	name=d.qcow2
	rm -f "$work/$name"
	check "24 MiB${more#,}" fills $name "$more"
	check "are there" at_least $name 24000
	check "are discarded" discards $name "$more"
	# The tables stay.
	check "and go" at_most $name 10300
	check "which QEMU finds well" qemu-img check -q "$work/$name"
done

check "an image with a snapshot" fills s.qcow2
check "of all of it" qemu-img snapshot -c s "$work/s.qcow2"
check "is discarded" discards s.qcow2
check "the snapshot's space stays" at_least s.qcow2 24000
check "it shows what it did" eval 'qemu-img convert -q -l snapshot.name=s -O raw "$work/s.qcow2" "$work/s.raw" &&
	qemu-io -f raw -c "read -P 1 0 24M" "$work/s.raw" >"$work/said" && ! grep -q failed "$work/said"'
check "one that was written to beside it" stack "$(image s.qcow2)" 'write -P 2 0 8M' flush 'discard 0 8M' flush flush
check "gives back what was its own" at_most s.qcow2 27000
check "it is well" qemu-img check -q "$work/s.qcow2"

check "space reserved on purpose" fills f.qcow2 ', preallocation: falloc'
check "is discarded" discards f.qcow2 ', preallocation: falloc'
check "and stays" at_least f.qcow2 65000
finish
