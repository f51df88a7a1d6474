#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a snapshot in a qcow2 image takes up: images that QEMU and we have made, of many
# forms, against a count that reads all their tables anew; what deleting one gives back;
# beside a host that writes.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io jq python3

tool=$BUILD/cairn-stack
oracle=$(dirname "$0")/qcow2_owned.py

stack() { # COMMAND...: on $work/disk
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	echo "format: {type: qcow2, file: {protocol: {type: file, path: disk}}}" >"$work/stack.yaml"
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}
ours() { # "NAME OWNED SHARED" of each
	stack 'command qcow2 owned' >"$work/said" || { cat "$work/said"; return 1; }
	echo "{$(tail -n 1 "$work/said")}" | jq -r '.snapshots[] | "\(.name) \(.owned_bytes) \(.shared_bytes)"'
}
agrees() { # [owned]: only those, as sectors of compressed clusters count as such
	local field=1-3
	[ $# = 0 ] || field=1,2
	ours >"$work/ours" || { cat "$work/ours"; return 1; }
	python3 "$oracle" "$work/disk" >"$work/theirs" || return 1
	[ -s "$work/theirs" ] || return 1
	diff <(cut -d ' ' -f $field "$work/ours") <(cut -d ' ' -f $field "$work/theirs")
}
owned() { awk -v name="$1" '$1 == name { print $2 }' "$work/theirs"; }
some() { # SNAPSHOT: it holds something alone
	[ "$(owned "$1")" -gt 0 ] || { cat "$work/theirs"; return 1; }
}
io() { # COMMAND...
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f qcow2 "${arguments[@]}" "$work/disk" >"$work/io" 2>&1 || { cat "$work/io"; return 1; }
}
by_qemu() { # OPTIONS: three snapshots, with writes between
	rm -f "$work/disk"
	qemu-img create -q -f qcow2 -o "$1" "$work/disk" 64M &&
		io 'write -P 1 0 3M' 'write -P 2 40M 1M' &&
		qemu-img snapshot -c one "$work/disk" &&
		io 'write -P 3 1M 64k' 'discard 2M 64k' 'write -z 40M 128k' &&
		qemu-img snapshot -c two "$work/disk" &&
		io 'write -P 4 1M 4k' 'write -P 5 60M 3k' &&
		qemu-img snapshot -c three "$work/disk" &&
		io 'write -P 6 0 2M'
}
packed() { # compressed clusters, of which some go
	rm -f "$work/disk" "$work/plain"
	head -c 4M /dev/urandom | base64 | head -c 4M >"$work/plain"
	qemu-img convert -q -c -f raw -O qcow2 "$work/plain" "$work/disk" &&
		qemu-img snapshot -c one "$work/disk" &&
		io 'write -P 1 64k 128k' 'write -P 2 1M 1M' &&
		qemu-img snapshot -c two "$work/disk" &&
		io 'write -P 3 2M 2M'
}
by_us() {
	rm -f "$work/disk"
	echo "format: {type: qcow2, size: 64M, $1, file: {protocol: {type: file, path: disk, size: 4K}}}" >"$work/new.yaml"
	"$tool" -d "$work" create "$work/new.yaml" >/dev/null &&
		stack 'write -P 1 0 3M' 'write -P 2 40M 1M' flush 'snapshot-inside one' \
			'write -P 3 1M 64K' 'discard 2M 64K' 'zero 40M 128K' flush 'snapshot-inside two' \
			'write -P 4 1M 4K' 'write -P 5 60M 3K' flush 'snapshot-revert one before' \
			'write -P 6 0 2M' flush
}
# Clusters in use before and after: what a deletion gives back. The table of snapshots
# becomes shorter by less than a cluster, or goes with the last one.
used() { qemu-img check --output json -f qcow2 "$work/disk" >"$work/check" && python3 - "$work/disk" <<'PYTHON'
import struct, sys
image = open(sys.argv[1], "rb").read()
bits, = struct.unpack_from(">I", image, 20)
table, clusters = struct.unpack_from(">QI", image, 48)
order, = struct.unpack_from(">I", image, 96)
assert order == 4
used = 0
for (block,) in struct.iter_unpack(">Q", image[table : table + (clusters << bits)]):
    if block:
        used += sum(1 for (n,) in struct.iter_unpack(">H", image[block : block + (1 << bits)]) if n)
print(used << bits)
PYTHON
}
gives_back() { # SNAPSHOT
	local before after wanted
	agrees owned && before=$(used) && stack "snapshot-delete $1" && after=$(used) || return 1
	wanted=$(owned "$1")
	[ "$(wc -l <"$work/theirs")" -gt 1 ] || wanted=$((wanted + cluster))
	[ $((before - after)) = "$wanted" ] ||
		{ echo "it gave back $((before - after)), not $wanted"; return 1; }
}

for options in cluster_size=64k cluster_size=512,refcount_bits=64 cluster_size=2M \
	compat=0.10 extended_l2=on,cluster_size=64k refcount_bits=4,cluster_size=4k preallocation=metadata; do
	check "made by QEMU: $options" by_qemu "$options"
	check "$options: we count as the tables are" agrees
	check "$options: the first holds something alone" some one
done
check "made by us" by_us 'cluster_size: 64K, subclusters: "on"'
check "we count as the tables are" agrees
check "gone back to, and the way back kept" some before
check "made by us, small clusters" by_us 'cluster_size: 4K, subclusters: "off"'
check "we count as the tables are" agrees
cluster=4096
for snapshot in two one before; do
	check "deleted, $snapshot gives back that much" gives_back $snapshot
done
check "compressed clusters" packed
check "of which the first holds some alone" agrees owned
check "some" some one
cluster=65536
for snapshot in one two; do
	check "deleted, $snapshot gives back that much" gives_back $snapshot
done
check "QEMU finds it sound" qemu-img check -q -f qcow2 "$work/disk"

# -- beside hosts -----------------------------------------------------------------
# A host writes and snapshots come and go meanwhile: a figure or "try again", no more.
beside() {
	local commands=() i
	for ((i = 0; i < 20; i++)); do
		commands+=("aio-write -P $i $((i % 8))M 1M" 'command qcow2 owned' "aio-write -P $i 20M 64K" wait)
	done
	by_us 'cluster_size: 4K, subclusters: "off"' && stack "${commands[@]}" flush >"$work/said" 2>&1 &&
		[ "$(grep -c '"owned_bytes"' "$work/said")" = 20 ] && agrees &&
		qemu-img check -q -f qcow2 "$work/disk"
}
check "counted while a host writes" beside
finish
