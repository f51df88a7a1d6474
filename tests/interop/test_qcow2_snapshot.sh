#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# External snapshots by cairn-stack: QEMU follows the chain from the new image to
# the old ones by the names written in it, finds them sound, and reads what was
# written to the source as a whole.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/../interop/lib.sh"
needs qemu-img qemu-io

tool=$BUILD/cairn-stack

stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}
overlay() { # PATH [FORMAT OPTIONS]
	echo "snapshot {format: {type: qcow2${2:+, $2}, file: {protocol: {type:" \
		"file, path: $1, size: 4K}}}}"
}

before=('write -P 1 0 1M' 'write -P 2 3M 64K' 'zero 512K 64K' flush)
between=('write -P 3 768K 512K' 'write -P 4 8M 3K' 'discard 3M 32K')
after=('write -P 5 100K 1K' 'zero 8M 2K' 'write -P 6 15M 1M' flush
	'read -P 1 0 100K' 'read -P 5 100K 1K' 'read -P 3 768K 512K')

model() { # NAME COMMAND...: the same on a raw file
	local name=$1
	shift
	rm -f "$work/$name"
	stack "{protocol: {type: file, path: $name, size: 16M}}" "$@"
}
chain() { # BOTTOM FORMAT SECOND-PATH THIRD-PATH
	mkdir -p "$work/deep"
	rm -f "$work/one" "$work/two" "$work/$3" "$work/$4"
	stack "$1" "${before[@]}" "$(overlay "$3")" "${between[@]}" \
		"$(overlay "$4" 'cluster_size: 64K, subclusters: "off"')" \
		"${after[@]}" || return 1
	model m1 "${before[@]}" && model m2 "${before[@]}" "${between[@]}" &&
		model m3 "${before[@]}" "${between[@]}" "${after[@]}" &&
		qemu-img check -f qcow2 "$work/$3" &&
		qemu-img check -f qcow2 "$work/$4" &&
		qemu-img compare -f "$2" -F raw "$work/one" "$work/m1" &&
		qemu-img compare -f qcow2 -F raw "$work/$3" "$work/m2" &&
		qemu-img compare -f qcow2 -F raw "$work/$4" "$work/m3"
}
names() { # IMAGE NAME FORMAT
	qemu-img info --output json "$work/$1" >"$work/info" &&
		grep -q "\"backing-filename\": \"$2\"" "$work/info" &&
		grep -q "\"backing-filename-format\": \"$3\"" "$work/info"
}
reopened() { # we follow the names as well
	stack "format: {type: qcow2, file: {protocol: {type: file, path: $1}}}" \
		'read -P 1 0 100K' 'read -P 5 100K 1K' 'read -P 3 768K 512K'
}
not_over() { # what is there is not written over
	cp "$work/deep/two" "$work/kept" &&
		! stack '{protocol: {type: file, path: one}}' \
			"$(overlay deep/two)" >"$work/said" 2>&1 &&
		grep -q 'there is something in it already' "$work/said" &&
		cmp "$work/deep/two" "$work/kept"
}

raw='{protocol: {type: file, path: one, size: 16M}}'
qcow2='format: {type: qcow2, size: 16M, file: {protocol: {type: file,
  path: one, size: 4K}}}'

check 'over a raw file' chain "$raw" raw two three
check 'the names of images beside each other' names two one raw
check 'of qcow2 ones, too' names three two qcow2
check 'opened again by its names' reopened three
check 'over a qcow2 image' chain "$qcow2" qcow2 two three
check 'its name' names two one qcow2
check 'in another folder' chain "$raw" raw deep/two deep/three
check 'names from the root, and beside' names deep/two "$(realpath "$work")/one" raw
check 'a file that is not empty' not_over
finish
