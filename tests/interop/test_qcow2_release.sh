#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What is discarded in a qcow2 image leaves the file, so that thin volumes give space back
# to their file system; not what a snapshot shows, nor space reserved on purpose. So does
# what a deleted snapshot alone had, what leaked, and what a smaller size leaves behind.

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

# What the host writes in the order 1, 2, 3, lies in the file in another than in the disk.
overwrites() { stack "$(image "$1")" 'write -P 2 8M 8M' 'write -P 2 0 8M' 'write -P 2 16M 8M' flush; }
for more in ', cluster_size: 2M, subclusters: off' ', version: 3'; do
	rm -f "$work/n.qcow2"
	check "snapshots of${more#,}" fills n.qcow2 "$more"
	check "a first" stack "$(image n.qcow2)" 'snapshot-inside one'
	check "and a second of the same" stack "$(image n.qcow2)" 'snapshot-inside two'
	check "all of it is written anew" overwrites n.qcow2
	check "which takes twice as much" at_least n.qcow2 48000
	check "one goes" stack "$(image n.qcow2)" 'snapshot-delete one'
	check "the other has it still" at_least n.qcow2 48000
	check "and shows it" eval 'qemu-img convert -q -l snapshot.name=two -O raw "$work/n.qcow2" "$work/s.raw" &&
		stack "protocol: {type: file, path: s.raw}" "read -P 1 0 12M" "read -P 1 12M 12M"'
	check "it goes, too" stack "$(image n.qcow2)" 'snapshot-delete two'
	check "what nobody has goes to the file system" at_most n.qcow2 35000
	check "the disk is as it was" stack "$(image n.qcow2)" 'read -P 2 0 12M' 'read -P 2 12M 12M'
	check "and the image well" sound n.qcow2
done

check "back to a snapshot" stack "$(image n.qcow2)" 'snapshot-inside one' 'write -P 3 0 12M' 'write -P 3 12M 12M' flush \
	'snapshot-revert one before' 'read -P 2 0 12M' 'read -P 2 12M 12M'
check "what was there is kept" at_least n.qcow2 48000
check "until it is deleted" stack "$(image n.qcow2)" 'snapshot-delete before' 'read -P 2 0 12M' 'read -P 2 12M 12M'
check "which gives it back" at_most n.qcow2 35000

# Leaks: what is counted and named by nothing, as after a crash of another program.
check "an image" fills l.qcow2
leak_all() { # the only L1 entry that names anything goes
	local l1
	l1=$((16#$(bytes_at "$1" 40 8)))
	put "$1" $l1 0000000000000000
}
check "whose map is lost" leak_all l.qcow2
check "leaks" eval '! qemu-img check -q "$work/l.qcow2" && at_least l.qcow2 24000'
check "which are repaired" stack "$(image l.qcow2)" 'command qcow2 check {repair: leaks}'
check "and given back" at_most l.qcow2 1000
check "it is well again" sound l.qcow2
damage() { # the entry of the first 2 MiB points to no cluster
	local l1 table
	l1=$((16#$(bytes_at "$1" 40 8)))
	table=$((16#$(bytes_at "$1" $l1 8) & 0xfffffffffffe00))
	put "$1" $table 8000000000010200
}
rm -f "$work/l.qcow2"
check "one of large clusters" fills l.qcow2 ', cluster_size: 2M, subclusters: off'
check "whose map is damaged" damage l.qcow2
before=$(takes l.qcow2)
check "says so, and its leak is repaired" eval 'stack "$(image l.qcow2)" "command qcow2 check {repair: leaks}" >"$work/said" &&
	grep -q "\"fixed_leaks\": 1, .*\"first_error\": \"[^\"]" "$work/said" || { cat "$work/said"; false; }'
check "but the space stays that the map may have named" at_least l.qcow2 "$before"

check "a disk with zeroes at its end" stack "$(image z.qcow2 'size: 64M, subclusters: off')" 'write -P 1 0 12M' 'write -P 1 12M 12M' flush
check "that keep their space" io z.qcow2 'write -z 16M 8M'
check "is so large" at_least z.qcow2 24000
check "becomes smaller" stack "$(image z.qcow2)" 'resize 16M' 'read -P 1 0 16M'
check "which gives that back" at_most z.qcow2 17500
check "it is well, too" sound z.qcow2
finish
