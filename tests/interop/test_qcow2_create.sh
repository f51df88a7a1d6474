#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# New qcow2 images by cairn-stack create, with each option and preallocation: QEMU finds
# them sound, finds what was asked for in them, and a map as in its own. And how
# large one would become: measure says what qemu-img measure does, of raw files, images
# and chains.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io jq

tool=$BUILD/cairn-stack

image() { # NAME OPTIONS
	echo "format: {type: qcow2, size: 24M${2:+, $2}, file: {protocol: {type: file, path: $1, size: 4K}}}"
}
create() { # NAME OPTIONS
	rm -f "$work/$1"
	image "$1" "$2" >"$work/stack.yaml"
	"$tool" -d "$work" create "$work/stack.yaml" </dev/null
}
stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d "$work" "$work/stack.yaml" "${arguments[@]}"
}

# -- create -----------------------------------------------------------------------
# What is asked of us, of QEMU, and what info says then.
info() { # NAME
	qemu-img info --output json "$work/$1" | jq -c '[."virtual-size", ."cluster-size",
		."format-specific".data.compat, ."format-specific".data."refcount-bits",
		."format-specific".data."extended-l2" // false, ."format-specific".data.corrupt // false]'
}
# Neighbours that are alike are one.
map() { # NAME
	qemu-img map --output json "$work/$1" | jq -c '[.[] | {start, length, data, zero, present: (.present // true)}] |
		reduce .[] as $e ([]; if length > 0 and (.[-1] | .data == $e.data and .zero == $e.zero)
		then .[-1].length += $e.length else . + [$e] end) | map([.start, .length, .data, .zero])'
}
same() { # WHAT OURS THEIRS
	[ "$2" = "$3" ] && [ -n "$2" ] && return
	echo "$1: ours $2"
	echo "theirs $3"
	return 1
}
mapped() { # OUR-OPTIONS THEIR-OPTIONS
	create ours "$1" && rm -f "$work/theirs" &&
		qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/theirs" 24M &&
		same map "$(map ours)" "$(map theirs)"
}
# Where clusters are there without being written, what a map says hangs on holes of the
# file; QEMU allocates no subclusters ahead, we do. So not all have one map.
created() { # OUR-OPTIONS THEIR-OPTIONS
	create ours "$1" && rm -f "$work/theirs" &&
		qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/theirs" 24M &&
		qemu-img check -q -f qcow2 "$work/ours" &&
		same info "$(info ours)" "$(info theirs)" &&
		qemu-img compare -q -f qcow2 -F qcow2 "$work/ours" "$work/theirs" &&
		qemu-io -f qcow2 -c 'write -P 5 1M 3M' "$work/ours" >"$work/io" &&
		qemu-img check -q -f qcow2 "$work/ours"
}
takes() { # WHOLE (true: all its bytes are taken at once) OPTIONS
	local blocks bytes
	create ours "$2" || return
	blocks=$(($(stat -c %b "$work/ours") * 512))
	bytes=$(stat -c %s "$work/ours")
	[ "$1" = true ] && [ "$blocks" -ge $((24 << 20)) ] && return
	[ "$1" = false ] && [ "$blocks" -lt $((2 << 20)) ] && return
	echo "$blocks bytes taken, of $bytes"
	return 1
}
refuses() { # WORDS COMMAND...
	local words=$1
	shift
	! "$@" 2>"$work/said" && grep -qF -- "$words" "$work/said" || { cat "$work/said"; return 1; }
}

plain='subclusters: "off"'
check 'as it comes, without subclusters' created "$plain" ''
check 'version 2' created 'version: "2"' compat=0.10
check 'subclusters' created 'cluster_size: 64K, subclusters: "on"' extended_l2=on
check 'subclusters of 512' created 'cluster_size: 16K, subclusters: "on"' extended_l2=on,cluster_size=16k
for size in 512 4K 2M; do
	check "clusters of $size" created "$plain, cluster_size: $size" "cluster_size=$size"
done
for bits in 1 2 4 8 32 64; do
	check "refcounts of $bits bits" created "$plain, refcount_bits: $bits" "refcount_bits=$bits"
done
for mode in metadata falloc full; do
	check "preallocation $mode" created "$plain, preallocation: $mode" "preallocation=$mode"
	check "preallocation $mode, clusters of 512" created "$plain, cluster_size: 512, preallocation: $mode" "cluster_size=512,preallocation=$mode"
	check "preallocation $mode, version 2" created "version: \"2\", preallocation: $mode" "compat=0.10,preallocation=$mode"
	check "preallocation $mode, subclusters" created "cluster_size: 64K, subclusters: \"on\", preallocation: $mode" "extended_l2=on,preallocation=$mode"
done
check 'the map of a new one' mapped "$plain" ''
check 'of one with subclusters' mapped 'cluster_size: 64K, subclusters: "on"' extended_l2=on
for mode in falloc full; do
	check "of preallocation $mode" mapped "$plain, preallocation: $mode" "preallocation=$mode"
	check "of preallocation $mode, version 2" mapped "version: \"2\", preallocation: $mode" "compat=0.10,preallocation=$mode"
done
check 'metadata takes no space' takes false "$plain, preallocation: metadata"
check 'falloc does' takes true "$plain, preallocation: falloc"
check 'full does' takes true "$plain, preallocation: full"
backed() {
	head -c 24M /dev/urandom >"$work/base.raw" &&
		create ours 'backing_name: base.raw, backing_format: raw, backing: {protocol: {type: file, path: base.raw, read_only: true}}' &&
		qemu-img check -q "$work/ours" &&
		qemu-img compare -q -f qcow2 -F raw "$work/ours" "$work/base.raw"
}
check 'over a backing file' backed
check 'not over what is there' refuses 'it is there already' "$tool" -d "$work" create "$work/stack.yaml"
check 'which stays' qemu-img compare -q -f qcow2 -F raw "$work/ours" "$work/base.raw"
rm -f "$work/ours"
bad() { # OPTIONS: and nothing is left
	create bad "$1"
	local status=$?
	[ $status = 2 ] && [ ! -e "$work/bad" ]
}
check 'clusters of 3K' bad 'cluster_size: 3K'
check 'refcounts of 3 bits' bad 'refcount_bits: 3'
check 'version 2 with subclusters' bad 'version: "2", subclusters: "on"'

# -- measure ----------------------------------------------------------------------
raw='protocol: {type: file, path: sparse.raw, read_only: true}'
made='format: {type: qcow2, file: {protocol: {type: file, path: made.qcow2, read_only: true}}}'
over='format: {type: qcow2, file: {protocol: {type: file, path: over.qcow2, read_only: true}}}'
sources() {
	truncate -s 100M "$work/sparse.raw" &&
		qemu-io -f raw -c 'write -P 1 0 64k' -c 'write -P 2 5000k 1M' \
			-c 'write -P 3 77M 4k' -c 'write -P 4 102396k 4k' "$work/sparse.raw" >"$work/io" &&
		qemu-img create -q -f qcow2 "$work/made.qcow2" 200M &&
		qemu-io -c 'write -P 1 0 3M' -c 'write -z 1M 1M' -c 'write -P 2 150M 100k' \
			-c 'discard 64k 128k' "$work/made.qcow2" >"$work/io" &&
		qemu-img create -q -f qcow2 -b made.qcow2 -F qcow2 "$work/over.qcow2" 300M &&
		qemu-io -c 'write -P 3 150M 1M' -c 'write -P 4 250M 64k' "$work/over.qcow2" >"$work/io"
}
measured() { # DOCUMENT FORMAT PATH OUR-OPTIONS THEIR-OPTIONS
	stack "$1" "measure {type: qcow2${4:+, $4}}" >"$work/ours.txt" &&
		qemu-img measure -f "$2" -O qcow2 ${5:+-o "$5"} "$work/$3" |
		grep -v bitmaps >"$work/theirs.txt" &&
		diff "$work/ours.txt" "$work/theirs.txt"
}
check 'things to measure' sources
all() { # TITLE OUR-OPTIONS THEIR-OPTIONS
	check "measure a raw file: $1" measured "$raw" raw sparse.raw "$2" "$3"
	check "measure an image: $1" measured "$made" qcow2 made.qcow2 "$2" "$3"
	check "measure a chain: $1" measured "$over" qcow2 over.qcow2 "$2" "$3"
}
all 'as it comes' "$plain" ''
all 'clusters of 4K' "$plain, cluster_size: 4K" cluster_size=4k
all 'clusters of 512' "$plain, cluster_size: 512" cluster_size=512
all 'clusters of 2M' "$plain, cluster_size: 2M" cluster_size=2M
all 'subclusters' 'cluster_size: 64K, subclusters: "on"' extended_l2=on
all 'refcounts of 64 bits' "$plain, refcount_bits: 64" refcount_bits=64
all 'refcounts of 1 bit' "$plain, refcount_bits: 1" refcount_bits=1
all 'version 2' 'version: "2"' compat=0.10
all 'preallocation metadata' "$plain, preallocation: metadata" preallocation=metadata
all 'preallocation falloc' "$plain, preallocation: falloc" preallocation=falloc
to_raw() {
	[ "$(stack "$made" 'measure {type: raw}' | tr '\n' ' ')" = \
		"required size: 209715200 fully allocated size: 209715200 " ]
}
check 'a raw file is as large as it is' to_raw
enough() { # what is made so is no larger than was said
	local full
	full=$(stack "$raw" "measure {type: qcow2, $plain}" | sed -n 's/^fully.*: //p')
	stack "format: {type: qcow2, size: 100M, $plain, preallocation: full, file: {protocol: {type: file, path: full.qcow2, size: 4K}}}" info >"$work/io" &&
		qemu-img check --output json "$work/full.qcow2" >"$work/checked" &&
		[ "$(jq '."image-end-offset"' "$work/checked")" -le "$full" ] || { cat "$work/checked"; echo "$full"; return 1; }
}
check 'an image with all allocated is no larger' enough
finish
