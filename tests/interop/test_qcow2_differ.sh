#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where two snapshots in a qcow2 image differ, or one and what is shown now: found in the
# tables of images that QEMU and we have made, of many forms, against a comparison of
# all bytes; a page at a time; beside a host that writes.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io jq python3

tool=$BUILD/cairn-stack
judge=$(dirname "$0")/differences.py

stack() { # COMMAND...: on $work/disk
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	echo "format: {type: qcow2, file: {protocol: {type: file, path: disk}}}" >"$work/stack.yaml"
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}
io() { # COMMAND...
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f qcow2 "${arguments[@]}" "$work/disk" >"$work/io" 2>&1 || { cat "$work/io"; return 1; }
}
content() { # SNAPSHOT ("": now) FILE
	local options=()
	[ -z "$1" ] || options=(-l "snapshot.name=$1")
	qemu-img convert -q -f qcow2 "${options[@]}" -O raw "$work/disk" "$2"
}
list() { # FROM TO EXTENTS: all pages, as lines; *pages: how many
	local from=$1 to=${2:+, to: $2} next=0
	pages=0
	while [ "$next" != null ]; do
		stack "command qcow2 differences {from: $from$to, offset: $next, extents: $3}" >"$work/page" 2>&1 || { cat "$work/page"; return 1; }
		echo "{$(tail -n 1 "$work/page")}" >"$work/json"
		jq -r '.extents[] | "\(.offset) \(.length) \(.kind)"' "$work/json" || return 1
		next=$(jq .next "$work/json")
		pages=$((pages + 1))
	done
}
differ() { # FROM TO [AT-MOST]: of what is listed, bytes beside those that differ
	list "$1" "$2" 1000 >"$work/list" || { cat "$work/list"; return 1; }
	content "$1" "$work/old" && content "$2" "$work/new" || return 1
	sums=$(python3 "$judge" "$work/old" "$work/new" <"$work/list") || { cat "$work/list"; return 1; }
	[ -s "$work/list" ] && [ "${sums% *}" -le $((${sums#* } + ${3:-1048576})) ] || { echo "listed and differing: $sums"; return 1; }
}
none() { # FROM TO
	list "$1" "$2" 1000 >"$work/list" && [ ! -s "$work/list" ] || { cat "$work/list"; return 1; }
}
by_qemu() { # OPTIONS: three snapshots, with writes between
	rm -f "$work/disk"
	qemu-img create -q -f qcow2 -o "$1" "$work/disk" 64M &&
		io 'write -P 1 0 3M' 'write -P 2 40M 1M' &&
		qemu-img snapshot -c one "$work/disk" &&
		io 'write -P 3 1M 64k' 'discard 2M 64k' 'write -z 40M 128k' &&
		qemu-img snapshot -c two "$work/disk" && qemu-img snapshot -c same "$work/disk" &&
		io 'write -P 4 1M 4k' 'write -P 5 60M 3k' &&
		qemu-img snapshot -c three "$work/disk" &&
		io 'write -P 6 0 2M'
}
by_us() {
	rm -f "$work/disk"
	echo "format: {type: qcow2, size: 64M, $1, file: {protocol: {type: file, path: disk, size: 4K}}}" >"$work/new.yaml"
	"$tool" -d "$work" create "$work/new.yaml" >/dev/null &&
		stack 'write -P 1 0 3M' 'write -P 2 40M 1M' flush 'snapshot-inside one' \
			'write -P 3 1M 64K' 'discard 2M 64K' 'zero 40M 128K' flush 'snapshot-inside two' 'snapshot-inside same' \
			'write -P 4 1M 4K' 'write -P 5 60M 3K' flush 'snapshot-inside three' \
			'write -P 6 0 2M' flush
}
all_ways() { # each against each that is later, and now, and back
	differ one two && differ two three && differ one three && differ one '' && differ three '' && differ three one &&
		none two same && none one one
}
pages_agree() { # one extent at a time
	list one '' 1000 >"$work/list" && list one '' 1 >"$work/single" && [ "$pages" -ge "$(wc -l <"$work/list")" ] &&
		[ "$(wc -l <"$work/list")" -gt 2 ] || { cat "$work/list" "$work/single"; return 1; }
	diff <(awk '{ for (i = $1; i < $1 + $2; i += 512) print i, $3 }' "$work/list") \
		<(awk '{ for (i = $1; i < $1 + $2; i += 512) print i, $3 }' "$work/single")
}
refused() { # ARGUMENTS WORDS
	! stack "command qcow2 differences $1" >"$work/said" 2>&1 && grep -qF -- "$2" "$work/said" || { cat "$work/said"; return 1; }
}

for options in cluster_size=64k cluster_size=512,refcount_bits=64 cluster_size=2M compat=0.10 \
	extended_l2=on,cluster_size=64k; do
	check "made by QEMU: $options" by_qemu "$options"
	case $options in *2M) waste=33554432 ;; *) waste=1048576 ;; esac
	check "$options: from the first to the second" differ one two $waste
	check "$options: from the first to now" differ one '' $waste
	check "$options: from the third back to the first" differ three one $waste
	check "$options: none where nothing was written" none two same
done
check "made by us" by_us 'cluster_size: 64K, subclusters: "on"'
check "all ways" all_ways
check "a page at a time is the same" pages_agree
check "made by us, small clusters" by_us 'cluster_size: 4K, subclusters: "off"'
check "all ways" all_ways
check "4 KiB exactly where that was written" differ two three 1024
check "no such snapshot" refused '{from: none}' "there is no snapshot 'none'"
check "no such argument" refused '{form: one}' form
check "no extents" refused '{from: one, extents: 0}' extents

# Compressed clusters that others have taken the place of.
packed() {
	rm -f "$work/disk"
	head -c 4M /dev/urandom | base64 | head -c 4M >"$work/plain"
	qemu-img convert -q -c -f raw -O qcow2 "$work/plain" "$work/disk" && qemu-img snapshot -c one "$work/disk" &&
		io 'discard 1M 128k' 'write -c -P 7 1M 64k' 'write -P 9 3M 64k'
}
check "compressed" packed
check "compressed: from the snapshot to now" differ one ''

# Over a backing file: what is the image's own, and where it shows through again.
over() {
	rm -f "$work/disk"
	qemu-img create -q -f raw "$work/base" 32M && qemu-io -f raw -c 'write -P 9 0 32M' "$work/base" >/dev/null &&
		qemu-img create -q -f qcow2 -b base -F raw "$work/disk" 64M &&
		io 'write -P 1 1M 1M' 'write -P 1 33M 1M' && qemu-img snapshot -c one "$work/disk" &&
		io 'write -P 2 3M 64k' 'write -z 1M 64k' 'write -P 3 40M 64k'
}
own() { # without `from`: what the file has of its own (QEMU counts what is behind the end of the other)
	stack 'command qcow2 differences {}' >"$work/page" && echo "{$(tail -n 1 "$work/page")}" |
		jq -r '.extents[] | "\(.offset) \(.length) \(.kind)"' >"$work/list" &&
		qemu-img map --output json "$work/disk" | jq -r '.[] | select(.depth == 0 and (.data or .start < 33554432)) | "\(.start) \(.length) \(if .data then "data" else "zeroes" end)"' |
		diff "$work/list" -
}
check "over a backing file" over
check "from the snapshot to now" differ one ''
check "what is the image's own is what QEMU says" own

# A host writes meanwhile: what is read afterwards holds.
beside() {
	local commands=() i
	for ((i = 0; i < 20; i++)); do
		commands+=("aio-write -P $i $((i % 8))M 1M" 'command qcow2 differences {from: one}' wait)
	done
	by_us 'cluster_size: 4K, subclusters: "off"' && stack "${commands[@]}" flush >"$work/said" 2>&1 || { cat "$work/said"; return 1; }
	[ "$(grep -c '"extents"' "$work/said")" = 20 ] && differ one '' && qemu-img check -q -f qcow2 "$work/disk"
}
check "beside a host that writes" beside
finish
