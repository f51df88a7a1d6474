#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qcow2, one feature after the other, both ways: snapshots of either in images of either,
# compressed clusters, bitmaps, amended images, a machine's state; and what is refused by
# its name. README.md has the table of features and tests.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
needs qemu-img qemu-io qemu-system-x86_64 jq
. "$(dirname "$0")/qcow2.sh"

snapshots() { # NAME THEIR-OPTIONS OUR-OPTIONS: made by either in images of either
	local options name=$1
	for options in "$2" ours; do
		rm -f "$work/$name"
		if [ "$options" = ours ]; then
			stack "$(image "$name" "size: 24M${3:+, $3}")" 'write -P 30 0 4M' \
				'snapshot-inside one' || return
		else
			qemu-img create -q -f qcow2 ${options:+-o "$options"} "$work/$name" 24M &&
				io "$name" 'write -P 30 0 4M' &&
				qemu-img snapshot -c one "$work/$name" || return
		fi
		stack "$(image "$name")" 'write -P 31 1M 1M' 'snapshot-inside two' 'zero 2M 64K' &&
			sound "$name" && qemu-img snapshot -c three "$work/$name" &&
			io "$name" 'write -P 32 0 512k' && sound "$name" &&
			holds "$name" one 'read -P 30 0 4M' && holds "$name" two 'read -P 31 1M 1M' &&
			holds "$name" three 'read -P 0 2M 64k' &&
			stack "$(image "$name")" 'snapshot-delete one' 'read -P 32 0 512K' &&
			qemu-img snapshot -d two "$work/$name" && sound "$name" &&
			stack "$(image "$name")" 'snapshot-revert three four' 'read -P 31 1M 1M' \
				'read -P 30 0 512K' 'read -P 0 2M 64K' &&
			sound "$name" && holds "$name" four 'read -P 32 0 512k' || return
	done
}
holds() { # NAME SNAPSHOT COMMAND: QEMU finds in it
	rm -f "$work/shot"
	qemu-img convert -l "snapshot.name=$2" -O raw "$work/$1" "$work/shot" &&
		qemu-io -r -f raw -c "$3" "$work/shot" >"$work/io" &&
		! grep -iE 'failed|error' "$work/io"
}
packed() { # NAME OPTIONS: clusters that QEMU wrote compressed, one by one and all
	qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/$1" 24M &&
		io "$1" 'write -c -P 1 0 128k' 'write -c -P 2 4M 128k' 'write -P 3 8M 64k' &&
		stack "$(image "$1")" 'read -P 1 0 128K' 'read -P 2 4M 128K' 'read -P 3 8M 64K' \
			'write -P 4 4100K 9K' 'read -P 2 4M 4K' &&
		sound "$1" &&
		qemu-img convert -c -O qcow2 ${2:+-o "$2"} "$work/$1" "$work/$1.2" &&
		stack "$(image "$1.2")" 'read -P 1 0 128K' 'read -P 4 4100K 9K' "${commands[@]}" &&
		same_where_written "$1.2" && sound "$1.2"
}
same_where_written() { io "$1" 'read -P 1 0 512' 'read -P 11 16M 1M' && ! grep -q failed "$work/io"; }
bitmaps() { # not kept up to date, which is said in the image: theirs may leak then
	qemu-img create -q -f qcow2 "$work/bits" 24M && io bits 'write -P 1 0 1M' &&
		qemu-img bitmap --add "$work/bits" one &&
		qemu-img bitmap --add -g 1M "$work/bits" two && io bits 'write -P 2 1M 1M' &&
		stack "$(image bits)" 'read -P 2 1M 1M' &&
		[ "$(qemu-img info --output=json "$work/bits" | jq '."format-specific".data.bitmaps | length')" = 2 ] &&
		stack "$(image bits)" 'write -P 3 2M 1M' &&
		[ "$(bytes_at bits 88 8)" = 0000000000000000 ] || return
	qemu-img check "$work/bits" 2>&1 | grep -E 'errors were found|corrupt' && return 1
	io bits 'read -P 1 0 1M' 'read -P 3 2M 1M' && ! grep -q failed "$work/io"
}
old_snapshot() { # NAME OPTIONS: of QEMU's in version 2, whose entries are short; none of ours
	qemu-img create -q -f qcow2 -o "$2" "$work/$1" 24M && io "$1" 'write -P 30 0 4M' &&
		qemu-img snapshot -c one "$work/$1" && io "$1" 'write -P 31 1M 1M' &&
		stack "$(image "$1")" 'read -P 31 1M 1M' 'write -P 32 0 512K' "${commands[@]}" &&
		same_where_written "$1" && sound "$1" && holds "$1" one 'read -P 30 0 4M' &&
		stack "format: {type: qcow2, file: {protocol: {type: file, path: $1, read_only: true}}}
view: {snapshot: one}" 'read -P 30 0 4M' &&
		! stack "$(image "$1")" 'snapshot-inside two' >"$work/said" 2>&1 &&
		grep -q 'amend -o compat=1.1' "$work/said" && sound "$1" &&
		qemu-img snapshot -a one "$work/$1" &&
		stack "$(image "$1")" 'read -P 30 0 4M' && qemu-img snapshot -d one "$work/$1" && sound "$1"
}
refused() { # NAME TEXT
	! stack "$(image "$1")" info >"$work/said" 2>&1 && grep -qF -- "$2" "$work/said" ||
		{ cat "$work/said"; return 1; }
}
encrypted() { # METHOD NAME
	qemu-img create -q --object secret,id=s,data=secret -f qcow2 \
		-o "encrypt.format=$1,encrypt.key-secret=s" "$work/$1" 4M &&
		refused "$1" "encrypted ($2)"
}
data_file() { # MODE
	qemu-img create -q -f qcow2 -o "data_file=$work/data.$1,data_file_raw=$1" "$work/outside.$1" 4M &&
		refused "outside.$1" 'external data file'
}
amended() { # by QEMU, to and fro, in images of ours
	stack "$(image amend 'size: 24M, subclusters: "off"')" "${commands[@]}" &&
		qemu-img amend -o compat=0.10 "$work/amend" && [ "$(bytes_at amend 4 4)" = 00000002 ] &&
		sound amend && both_written amend &&
		qemu-img amend -o compat=1.1 "$work/amend" && sound amend &&
		qemu-img amend -o refcount_bits=64 "$work/amend" && sound amend &&
		qemu-img amend -o lazy_refcounts=on "$work/amend" &&
		stack "$(image amend)" 'write -P 9 6M 1M' && sound amend &&
		qemu-img resize -q "$work/amend" 40M &&
		stack "$(image amend)" 'read -P 9 6M 1M' 'read -P 0 24M 16M' 'write -P 8 39M 1M' &&
		sound amend && qemu-img resize -q --shrink "$work/amend" 20M &&
		stack "$(image amend)" 'read -P 9 6M 1M' && sound amend
}

# -- a machine's state ---------------------------------------------------------------

machine() { # [OPTION...]: of QEMU, with the image; commands come from standard input
	timeout 120 qemu-system-x86_64 -accel tcg -S -nodefaults -display none -m 16 -machine pc \
		-drive "file=$work/machine,format=qcow2,if=ide,id=d" "$@" -qmp stdio
}
vm_state() {
	qemu-img create -q -f qcow2 "$work/machine" 24M && io machine 'write -P 1 0 1M' || return
	{
		echo '{"execute": "qmp_capabilities"}'
		echo '{"execute": "human-monitor-command", "arguments": {"command-line": "savevm whole"}}'
		echo '{"execute": "quit"}'
	} | machine >"$work/qmp" 2>&1 || { cat "$work/qmp"; return 1; }
	size=$(qemu-img info --output=json "$work/machine" | jq '.snapshots[0]."vm-state-size"')
	[ "$size" -gt 0 ] || { qemu-img info "$work/machine"; return 1; }
	stack "$(image machine)" 'read -P 1 0 1M' 'write -P 2 0 4M' 'snapshot-inside ours' \
		"${commands[@]}" 'snapshot-delete ours' && sound machine &&
		[ "$(qemu-img info --output=json "$work/machine" | jq '.snapshots[0]."vm-state-size"')" = "$size" ] &&
		holds machine whole 'read -P 1 0 1M' || return
	stack "$(image machine)" 'snapshot-revert whole later' 'read -P 1 0 1M' && sound machine &&
		qemu-img snapshot -a later "$work/machine" && sound machine || return
	printf '{"execute": "qmp_capabilities"}\n{"execute": "query-status"}\n{"execute": "quit"}\n' |
		machine -loadvm whole >"$work/qmp" 2>&1 && grep -q '"status": ' "$work/qmp" &&
		! grep -qi 'error' "$work/qmp" || { cat "$work/qmp"; return 1; }
}

for bits in 4 8 16 32 64; do
	check "refcounts of $bits bits, snapshots" snapshots "s$bits" "refcount_bits=$bits" "refcount_bits: $bits"
done
check "subclusters, snapshots" snapshots sx extended_l2=on 'subclusters: "on"'
check "clusters of 512, snapshots" snapshots s512 cluster_size=512 'cluster_size: 512'
check "version 2, beside a snapshot" old_snapshot sv2 compat=0.10
check "version 2, clusters of 2M, beside a snapshot" old_snapshot sv2m compat=0.10,cluster_size=2M
check "deflate" packed deflate ''
check "deflate, version 2" packed deflate2 compat=0.10
check "zstd" packed zstd compression_type=zstd
check "zstd, subclusters" packed zstdx compression_type=zstd,extended_l2=on
check "bitmaps" bitmaps
check "amended by QEMU" amended
check "LUKS is refused by name" encrypted luks LUKS
check "AES is refused by name" encrypted aes AES
check "a data file is refused by name" data_file off
check "a raw one, too" data_file on
check "a machine's state is kept whole" vm_state
finish
