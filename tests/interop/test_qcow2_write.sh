#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qcow2 images that cairn-stack writes: of its own making and of QEMU's. After a
# clean close qemu-img check finds nothing, and QEMU reads what the same commands
# have left in a raw image.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io

. "$(dirname "$0")/qcow2.sh"

ours() { # NAME OPTIONS
	stack "$(image "$1" "size: 24M${2:+, $2}")" "${commands[@]}" &&
		same "$1" && theirs_after "$1"
}
theirs_after() { # QEMU goes on with it, then we
	io "$1" 'write -P 20 20M 100k' 'discard 1M 64k' \
		'write -P 21 2M 1k' || return
	qemu-img check -q -f qcow2 "$work/$1" || return
	stack "$(image "$1")" 'read -P 20 20M 100K' 'read -P 21 2M 1K' \
		'write -P 22 20500K 9K' 'read -P 20 20M 20K' || return
	qemu-img check -q -f qcow2 "$work/$1"
}
theirs() { # NAME OPTIONS
	qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/$1" 24M &&
		stack "$(image "$1")" "${commands[@]}" && same "$1"
}
packed() { # overwriting compressed clusters
	cp "$work/model" "$work/plain.raw"
	qemu-img convert -c -O qcow2 ${2:+-o "$2"} "$work/plain.raw" \
		"$work/$1" &&
		stack "$(image "$1")" "${commands[@]}" && same "$1"
}
backed() { # NAME OPTIONS: over a longer and a shorter one
	head -c 11M /dev/urandom >"$work/base.raw"
	stack "protocol: {type: file, path: base.raw}" "zero 10M 512" >/dev/null
	{ cat "$work/base.raw" && head -c 13M /dev/zero; } >"$work/whole"
	stack 'protocol: {type: file, path: whole}' "${commands[@]}" || return
	stack "$(image "$1" "size: 24M, backing_name: base.raw,
  backing_format: raw, $2, backing: {protocol: {type: file, path: base.raw,
  read_only: true}}")" "${commands[@]}" || return
	qemu-img check -f qcow2 "$work/$1" &&
		qemu-img compare -f qcow2 -F raw "$work/$1" "$work/whole"
}
snapshots() { # they stay as they were
	qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/$1" 24M &&
		io "$1" 'write -P 30 0 4M' 'write -P 31 8M 2M' &&
		qemu-img snapshot -c one "$work/$1" &&
		qemu-img convert -l snapshot.name=one -O raw "$work/$1" \
			"$work/before" &&
		stack "$(image "$1")" 'write -P 40 1M 300K' \
			'write -P 41 8M 512' 'zero 0 24M' "${commands[@]}" &&
		same "$1" &&
		qemu-img convert -l snapshot.name=one -O raw "$work/$1" \
			"$work/after" &&
		cmp "$work/before" "$work/after"
}
inside() { # snapshots of ours, in images of ours: QEMU lists, reads, applies, deletes
	stack "$(image "$1" "size: 24M${2:+, $2}")" 'write -P 1 0 4M' \
		'write -P 2 8M 100K' 'snapshot-inside monday' "${commands[@]}" \
		'snapshot-inside tuesday' 'write -P 3 1M 9M' \
		'command qcow2 check' >"$work/said" &&
		grep -q '"leaks": 0, "errors": 0,' "$work/said" &&
		qemu-img check "$work/$1" &&
		qemu-img snapshot -l "$work/$1" >"$work/said" &&
		grep -qE '^1 +monday ' "$work/said" &&
		grep -qE '^2 +tuesday ' "$work/said" &&
		qemu-img convert -l snapshot.name=monday -O raw "$work/$1" \
			"$work/monday" &&
		stack 'protocol: {type: file, path: monday}' 'read -P 1 0 4M' \
			'read -P 2 8M 100K' 'read -P 0 9M 15M' &&
		qemu-img snapshot -a monday "$work/$1" &&
		qemu-img check -q "$work/$1" &&
		qemu-img compare -f qcow2 -F raw "$work/$1" "$work/monday" &&
		qemu-img snapshot -d tuesday "$work/$1" &&
		stack "$(image "$1")" 'read -P 1 0 4M' 'write -P 4 0 2M' \
			'snapshot-inside third' 'write -P 5 0 1M' &&
		qemu-img check "$work/$1"
}
deleted() { # snapshots, of ours and of QEMU: QEMU sees that they have gone
	stack "$(image "$1" "size: 24M${2:+, $2}")" 'write -P 1 0 4M' \
		'snapshot-inside first' 'write -P 2 1M 5M' \
		'snapshot-inside second' 'write -P 3 3M 300K' || return
	qemu-img snapshot -c third "$work/$1" || return
	stack "$(image "$1")" "${commands[@]}" 'snapshot-delete second' \
		'command qcow2 check' >"$work/said" &&
		grep -q '"leaks": 0, "errors": 0,' "$work/said" &&
		qemu-img check "$work/$1" &&
		qemu-img snapshot -l "$work/$1" >"$work/said" &&
		grep -q ' first ' "$work/said" && grep -q ' third ' "$work/said" &&
		! grep -q ' second ' "$work/said" &&
		qemu-img convert -l snapshot.name=third -O raw "$work/$1" \
			"$work/third" &&
		stack 'protocol: {type: file, path: third}' 'read -P 1 0 1M' \
			'read -P 2 1M 2M' 'read -P 3 3M 300K' || return
	stack "$(image "$1")" 'snapshot-delete third' 'write -P 4 0 2M' \
		'snapshot-delete first' 'write -P 5 1M 2M' 'read -P 4 0 1M' &&
		qemu-img check "$work/$1" &&
		[ -z "$(qemu-img snapshot -l "$work/$1")" ] &&
		! stack "$(image "$1")" 'snapshot-delete first' 2>"$work/said" &&
		grep -q "there is no snapshot 'first'" "$work/said"
}
reverted() { # to ours and to QEMU's: QEMU reads all three, and goes back itself
	stack "$(image "$1" "size: 24M${2:+, $2}")" 'write -P 1 0 4M' \
		'snapshot-inside first' 'write -P 2 1M 5M' || return
	qemu-img snapshot -c theirs "$work/$1" || return
	stack "$(image "$1")" 'write -P 3 2M 1M' 'resize 32M' \
		'write -P 4 30M 1M' 'snapshot-revert first before' \
		'read -P 1 0 4M' 'read -P 0 4M 16M' 'write -P 5 512K 9K' \
		'snapshot-revert theirs again' 'read -P 2 1M 5M' \
		'write -P 6 3M 5K' 'snapshot-revert before third' \
		'read -P 3 2M 1M' 'read -P 4 30M 1M' 'read -P 2 3M 3M' \
		'write -P 7 0 64K' 'command qcow2 check' >"$work/said" &&
		grep -q '"leaks": 0, "errors": 0,' "$work/said" &&
		qemu-img check "$work/$1" &&
		io "$1" 'read -P 7 0 64k' 'read -P 4 30M 1M' &&
		! grep -q failed "$work/io" &&
		qemu-img convert -l snapshot.name=again -O raw "$work/$1" \
			"$work/again" &&
		stack 'protocol: {type: file, path: again}' \
			'read -P 5 512K 9K' 'read -P 1 1M 3M' &&
		qemu-img snapshot -a before "$work/$1" &&
		qemu-img check -q "$work/$1" &&
		io "$1" 'write -P 8 2M 64k' 'read -P 1 0 1M' \
			'read -P 3 2200k 100k' &&
		! grep -q failed "$work/io" &&
		qemu-img snapshot -d before "$work/$1" &&
		qemu-img check "$work/$1"
}
preallocated() { # MODE
	stack "$(image "p$1" "size: 24M, preallocation: $1")" 'read -P 0 0 1M' \
		'command qcow2 check' >"$work/said" &&
		grep -q '"allocated": 192,' "$work/said" &&
		qemu-img check "$work/p$1" &&
		stack "$(image "p$1")" "${commands[@]}" && same "p$1"
}
grown() {
	stack "$(image grown "size: 1M, cluster_size: 512")" \
		'write -P 1 0 1M' 'resize 64M' 'read -P 0 1M 1M' \
		'write -P 2 63M 1M' 'read -P 1 0 1M' 'read -P 2 63M 1M' &&
		qemu-img check "$work/grown" &&
		qemu-img info "$work/grown" | grep -q '67108864'
}
shrunk() {
	! stack "$(image grown)" 'resize 32M' 2>"$work/said" &&
		grep -q 'data lies behind' "$work/said" &&
		stack "$(image grown)" 'discard 32M 32M' 'resize 32M' \
			'read -P 1 0 1M' && qemu-img check "$work/grown"
}
shrunk_beside() { # not while there are snapshots, which are named
	stack "$(image grown)" 'snapshot-inside monday' 'snapshot-inside tuesday' &&
		! stack "$(image grown)" 'resize 16M' 2>"$work/said" &&
		grep -q "snapshots 'monday', 'tuesday', .*: delete them first, or copy" "$work/said" &&
		stack "$(image grown)" 'snapshot-delete monday' 'snapshot-delete tuesday' 'resize 16M' &&
		qemu-img check "$work/grown"
}
hidden() { # a longer backing file does not show through what has grown
	head -c 8M /dev/urandom >"$work/long.raw"
	stack "$(image short "size: 1M, backing_name: long.raw,
  backing_format: raw, backing: {protocol: {type: file, path: long.raw,
  read_only: true}}")" 'resize 8M' 'read -P 0 1M 7M' &&
		qemu-io -r -c 'read -P 0 1M 7M' "$work/short" >"$work/io" &&
		! grep -q failed "$work/io"
}
dirty() { # refcounts that were put off are counted anew
	local block first
	qemu-img create -q -f qcow2 -o lazy_refcounts=on "$work/dirty" 24M &&
		io dirty 'write -P 1 0 1M' || return
	block=$((16#$(bytes_at dirty $((16#$(bytes_at dirty 48 8))) 8)))
	put dirty $((block + 12)) 0000000000000000 &&
		put dirty 72 0000000000000001 || return
	stack "$(image dirty)" 'read -P 1 0 1M' 'write -P 2 2M 1M' &&
		[ "$(bytes_at dirty 72 8)" = 0000000000000000 ] &&
		qemu-img check "$work/dirty" &&
		io dirty 'read -P 1 0 1M' 'read -P 2 2M 1M' &&
		! grep -q failed "$work/io"
}
autoclear() { # kept until the first write, and so are unknown extensions
	qemu-img create -q -f qcow2 "$work/auto" 1M && put auto 88 \
		8000000000000003 || return
	stack "$(image auto)" 'read 0 4K' &&
		[ "$(bytes_at auto 88 8)" = 8000000000000003 ] &&
		stack "$(image auto)" 'write 0 4K' &&
		[ "$(bytes_at auto 88 8)" = 0000000000000000 ] &&
		qemu-img check "$work/auto"
}
leaks() { # what a killed process leaves is found and mended
	echo "$(image leaky 'size: 24M')" >"$work/leaky.yaml"
	mkfifo "$work/commands"
	"$tool" -d "$work" "$work/leaky.yaml" <"$work/commands" \
		>"$work/said" &
	local pid=$!
	exec 7>"$work/commands"
	echo 'write -f -P 1 0 1M' >&7
	line_comes '^write' "$work/said" $pid || return
	kill -KILL $pid
	wait $pid 2>/dev/null
	exec 7>&-
	# The kernel may hold the file of a killed process, and its locks, a moment.
	wait_until qemu-img info "$work/leaky" || return
	qemu-img check "$work/leaky"
	[ $? -eq 3 ] || return
	stack "$(image leaky)" 'command qcow2 check' >"$work/said" &&
		! grep -q '"leaks": 0,' "$work/said" &&
		grep -q '"errors": 0,' "$work/said" &&
		stack "$(image leaky)" 'read -P 1 0 1M' \
			'command qcow2 check {repair: leaks}' &&
		qemu-img check "$work/leaky"
}
damaged() { # refcounts too low: found as errors, mended on demand
	qemu-img create -q -f qcow2 "$work/low" 4M &&
		io low 'write -P 1 0 1M' || return
	local block
	block=$((16#$(bytes_at low $((16#$(bytes_at low 48 8))) 8)))
	put low $((block + 14)) 00000000 || return
	stack "$(image low)" 'command qcow2 check' >"$work/said" &&
		grep -q '"errors": 4,' "$work/said" &&
		stack "$(image low)" 'command qcow2 check {repair: all}' &&
		qemu-img check "$work/low" && io low 'read -P 1 0 1M'
}

check 'an image of ours' ours o
check 'clusters of 512' ours o512 'cluster_size: 512'
check 'clusters of 2M' ours o2m 'cluster_size: 2M, subclusters: "off"'
check 'subclusters of 512' ours ox16 'cluster_size: 16K, subclusters: "on"'
check 'subclusters in clusters of 2M' ours ox2m 'cluster_size: 2M'
check 'version 2' ours ov2 'version: "2"'
for bits in 1 2 8 32 64; do
	check "refcounts of $bits bits" ours "or$bits" "refcount_bits: $bits"
done
check 'an image of QEMU' theirs t ''
check 'an image of QEMU, version 2' theirs tv2 compat=0.10
check 'an image of QEMU, subclusters' theirs tx extended_l2=on
check 'an image of QEMU, clusters of 4K' theirs t4 cluster_size=4k
check 'an image of QEMU, preallocated' theirs tp preallocation=metadata
check 'an image of QEMU, lazy refcounts' theirs tl lazy_refcounts=on
check 'deflate' packed deflate ''
check 'zstd and subclusters' packed zstd compression_type=zstd,extended_l2=on
check 'over a backing file' backed b 'subclusters: "off"'
check 'over a backing file, subclusters' backed bx 'cluster_size: 128K'
check 'over a backing file, version 2' backed bv2 'version: "2"'
check 'beside snapshots' snapshots s ''
check 'beside snapshots, refcounts of 2 bits' snapshots s2 refcount_bits=2
check 'beside snapshots, subclusters' snapshots sx extended_l2=on
check 'snapshots inside' inside i 'subclusters: "off"'
check 'snapshots inside, clusters of 512' inside i512 'cluster_size: 512'
check 'snapshots inside, subclusters' inside ix ''
check 'snapshots deleted' deleted d 'subclusters: "off"'
check 'snapshots deleted, clusters of 512' deleted d512 'cluster_size: 512'
check 'snapshots deleted, subclusters' deleted dx ''
check 'back to snapshots' reverted r 'subclusters: "off"'
check 'back to snapshots, clusters of 512' reverted r512 'cluster_size: 512'
check 'back to snapshots, subclusters' reverted rx ''
for mode in metadata falloc full; do
	check "preallocation $mode" preallocated $mode
done
check 'a larger image' grown
check 'a smaller image' shrunk
check 'not beside snapshots' shrunk_beside
check 'nothing shows through what has grown' hidden
check 'a dirty image' dirty
check 'unknown autoclear bits' autoclear
check 'leaks of a killed process' leaks
check 'damaged refcounts' damaged
finish
