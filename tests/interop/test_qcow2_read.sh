#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qcow2 images that QEMU has made, read by cairn-stack: every byte is what QEMU
# reads there. And the images that must be refused, with words that help.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io

tool=$BUILD/cairn-stack

# image NAME: the document of an image that lies in $work.
image() {
	echo "format: {type: qcow2, file: {protocol: {type: file, path: $1}}}"
}
stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}
# refused DOCUMENT TEXT...: cannot be built, and the message has each TEXT.
refused() {
	local document=$1 said text
	shift
	said=$(stack "$document" info 2>&1) && return 1
	echo "$said"
	for text; do grep -qF -- "$text" <<<"$said" || return 1; done
}
# reads NAME [OPTION...]: it reads as qemu-img does.
reads() {
	local name=$1
	shift
	stack "$(image "$name")" "save $work/ours" || return
	qemu-img convert "$@" -O raw "$work/$name" "$work/theirs" || return
	cmp "$work/ours" "$work/theirs"
}
# io NAME COMMAND...
io() {
	local name=$1
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f qcow2 "${arguments[@]}" "$work/$name" >"$work/io" || {
		cat "$work/io"
		return 1
	}
	! grep -i 'failed' "$work/io"
}
# Data, zeroes, holes, odd places; everywhere in 24 MiB.
fill() {
	io "$1" 'write -P 1 0 512' 'write -P 2 64k 200k' 'write -P 3 1M 3M' \
		'write -P 4 5000k 1536' 'write -z 2M 64k' \
		'write -z 2500k 9k' 'write -P 5 12M 1k' 'discard 3M 128k' \
		'write -P 6 24574k 2k' 'write -P 7 9M 700k'
}
# made NAME OPTIONS: created, filled, compared.
made() {
	qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/$1" 24M && fill "$1" &&
		reads "$1"
}
packed() { # NAME OPTIONS: compressed by convert, then written to
	made "$1.plain" "$2" &&
		qemu-img convert -c -O qcow2 ${2:+-o "$2"} "$work/$1.plain" \
			"$work/$1" &&
		reads "$1" && io "$1" 'write -P 9 1100k 9k' && reads "$1"
}
put() { # NAME OFFSET HEX
	printf '%b' "$(sed 's/../\\x&/g' <<<"$3")" |
		dd of="$work/$1" bs=1 seek="$2" conv=notrunc status=none
}
patched() { # NAME OFFSET HEX: a copy of a good image with other bytes
	cp "$work/good" "$work/$1" && put "$@"
}
where() { # NAME PATTERN: the offset of the first such bytes
	LC_ALL=C grep -aboP -m1 "$2" "$work/$1" | head -n1 | cut -d: -f1
}
chain() { # overlay over a shorter overlay over a shorter raw
	head -c 5M /dev/urandom >"$work/base.raw"
	qemu-img create -q -f qcow2 -b base.raw -F raw "$work/middle" 9M &&
		qemu-img create -q -f qcow2 -b middle -F qcow2 \
			-o extended_l2=on "$work/top" 12M &&
		io middle 'write -P 3 4M 2M' 'write -z 1M 64k' &&
		io top 'write -P 4 5M 3k' 'write -z 3M 128k' \
			'write -P 5 8M 64k' && reads top && reads middle
}
explicit() { # the document says what lies below
	stack "format: {type: qcow2, file: {protocol: {type: file, path: top}},
  backing: {protocol: {type: mem, size: 1M}}}" 'read -P 0 0 64K' \
		'read -P 5 8M 64K'
}
mapped() {
	stack "$(image top)" map >"$work/map" && cat "$work/map" &&
		grep -q '^ *8388608 *65536 data$' "$work/map" &&
		grep -q '^ *8454144 .*hole zero$' "$work/map"
}
missing() {
	qemu-img create -q -f qcow2 -u -b nowhere.raw -F raw "$work/lost" 1M &&
		refused "$(image lost)" 'backing file' 'nowhere.raw' \
			'no such file'
}
no_format() {
	qemu-img create -q -f qcow2 -u -b base.raw -F raw "$work/vague" 1M &&
		put vague "$(where vague '\xe2\x79\x2a\xca')" 11 &&
		refused "$(image vague)" base.raw 'not its format'
}
outside() {
	qemu-img create -q -f qcow2 -u -b ../../etc/passwd -F raw \
		"$work/out1" 1M &&
		qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw \
			"$work/out2" 1M &&
		qemu-img create -q -f qcow2 -u -b nbd://host/x -F raw \
			"$work/out3" 1M &&
		refused "$(image out1)" ../../etc/passwd \
			'outside of the data directory' 'backing:' &&
		refused "$(image out2)" 'outside of the data directory' &&
		refused "$(image out3)" 'nbd://host/x' 'backing:'
}
absolute() { # QEMU needs it so, where it lies in the data directory
	qemu-img create -q -f qcow2 -b "$work/base.raw" -F raw "$work/abs" 6M &&
		reads abs
}
aside() { # base images in a folder of their own, as libvirt's pools have them
	mkdir -p "$work/pool/vm" "$work/pool/base" &&
		cp "$work/base.raw" "$work/pool/base" &&
		qemu-img create -q -f qcow2 -b ../base/base.raw -F raw \
			"$work/pool/base/middle" 9M &&
		qemu-img create -q -f qcow2 -b ./../vm/../base/middle -F qcow2 \
			"$work/pool/vm/up" 9M &&
		io pool/base/middle 'write -P 3 4M 2M' &&
		io pool/vm/up 'write -P 4 5M 3k' && reads pool/vm/up &&
		qemu-img create -q -f qcow2 -b "$work/pool/vm/../base/middle" \
			-F qcow2 "$work/pool/vm/rooted" 9M && reads pool/vm/rooted
}
by_link() { # where the kernel's ".." is not the one of the name
	mkdir -p "$work/far/away" && ln -s far/away "$work/near" &&
		cp "$work/base.raw" "$work/far" &&
		qemu-img create -q -f qcow2 -b ../base.raw -F raw \
			"$work/near/linked" 5M &&
		refused "$(image near/linked)" ../base.raw 'near, which is a symbolic link'
}
circle() {
	qemu-img create -q -f qcow2 -u -b round2 -F qcow2 "$work/round1" 1M &&
		qemu-img create -q -f qcow2 -u -b round1 -F qcow2 \
			"$work/round2" 1M
	echo "format: {type: qcow2, file: {protocol: {type: file, path: round1,
  read_only: true}}}" >"$work/circle.yaml"
	refused "$(cat "$work/circle.yaml")" "'round1' lead back to itself: 'round2' names it" &&
		refused "$(image round1)" "'round1' lead back to itself: 'round2' names it"
}
long_chain() {
	local i
	qemu-img create -q -f qcow2 "$work/link0" 2M && io link0 \
		'write -P 1 0 2M' || return
	for i in $(seq 12); do
		qemu-img create -q -f qcow2 -b link$((i - 1)) -F qcow2 \
			"$work/link$i" && io "link$i" \
			"write -P $((i + 1)) $((i * 64))k 64k" || return
	done
	reads link12
}
unknown_bit() {
	patched feature 72 0000000000000080 &&
		put feature $(($(where feature 'extended L2 entries') - 1)) 07 &&
		refused "$(image feature)" "'extended L2 entries'" 'bit 7' &&
		patched nameless 72 8000000000000000 &&
		refused "$(image nameless)" 'without a name' 'bit 63'
}
refusals() {
	patched magic 0 00 && refused "$(image magic)" 'no qcow2 image' &&
		patched version 4 00000004 &&
		refused "$(image version)" 'version 4' &&
		patched crypt 32 00000002 &&
		refused "$(image crypt)" encrypted &&
		patched bits 20 00000016 && refused "$(image bits)" cluster_bits &&
		patched datafile 72 0000000000000004 &&
		refused "$(image datafile)" 'external data file' &&
		patched l1 36 ffffffff && refused "$(image l1)" '32 MiB' &&
		patched short 36 00000000 && refused "$(image short)" 'too small'
}
corrupt_bit() {
	patched corrupt 72 0000000000000002 &&
		stack "$(image corrupt)" 'read -P 1 0 512' info >"$work/said" &&
		grep -q '"corrupt": true' "$work/said" &&
		! stack "$(image corrupt)" 'write 0 4K'
}
snapshot() { # an image with snapshots: what is current
	made snap "" && qemu-img snapshot -c one "$work/snap" &&
		io snap 'write -P 11 1M 300k' && reads snap
}

for size in 512 4k 64k 2M; do
	check "clusters of $size" made "c$size" "cluster_size=$size"
done
check 'version 2' made v2 compat=0.10
for bits in 1 64; do
	check "refcounts of $bits bits" made "r$bits" "refcount_bits=$bits"
done
for size in 16k 2M; do
	check "subclusters of $size" made "x$size" \
		"extended_l2=on,cluster_size=$size"
done
for mode in metadata full; do
	check "preallocation $mode" made "p$mode" "preallocation=$mode"
done
check 'lazy refcounts' made lazy lazy_refcounts=on
check 'deflate' packed deflate ''
check 'deflate, clusters of 512' packed deflate512 cluster_size=512
check 'deflate, clusters of 2M' packed deflate2m cluster_size=2M
check 'zstd' packed zstd compression_type=zstd
check 'zstd and subclusters' packed zstdx compression_type=zstd,extended_l2=on
check 'a chain of shorter images' chain
check 'the map of a chain' mapped
check 'a backing source of the document' explicit
check 'a chain of 13 images' long_chain
check 'an absolute name in the data directory' absolute
check 'backing files in a folder beside' aside
check 'a way up from a folder that is a link' by_link
check 'snapshots beside' snapshot
check 'a missing backing file' missing
check 'a backing file without a format' no_format
check 'backing files outside' outside
check 'images in a circle' circle
made good '' >"$work/log" || cat "$work/log"
check 'an unknown feature is named' unknown_bit
check 'what is not supported is said' refusals
check 'a corrupt image is read-only' corrupt_bit
finish
