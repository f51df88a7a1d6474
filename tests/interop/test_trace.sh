#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The listener trace under a host's I/O over iSCSI: what it has recorded is played by
# cairn-stack on a copy of the volume as it was, with the same results; as much as that
# is kept and not more, whatever hosts do; a file system that is full stops nobody.

if [ -z "${CAIRN_TRACE_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	CAIRN_TRACE_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-io qemu-img truncate

write_settings 0
mount -t tmpfs -o size=64m cairn-trace "$work/data" 2>/dev/null ||
	skip_all "no file system can be mounted here"
trap 'stop_daemon; umount "$work/data"; cleanup' EXIT
write_document <<'VOLUMES'
a source: {listeners: [{type: trace, name: t, records: 4096}], protocol: {type: file, path: a.raw, size: 16M, cache: writeback}}
VOLUMES

tool=$BUILD/cairn-stack
cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
save() { cairn listener command a t save file="$1"; }
plays() { # FILE PATTERN: on the copy
	echo "protocol: {type: file, path: copy.raw}" >"$work/stack.yaml"
	"$tool" -d "$work" "$work/stack.yaml" -c "replay $work/data/$1" >"$work/said" 2>&1
	grep -qE "$2" "$work/said" || { cat "$work/said"; return 1; }
}
read_again() { # data are not recorded: another pattern stands for them
	qemu-io -r -f raw -c 'read -P 0xcd 2M 64k' -c 'read -P 0xcd 512 1k' -c 'read -P 0 256k 64k' -c 'read -P 1 512k 512k' \
		"$work/copy.raw" >"$work/io" 2>&1 && ! grep -iE 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
ballast() { ! head -c 100M /dev/zero >"$work/data/ballast"; }
save_fails() { ! save full.rec >"$work/said" 2>&1 && grep -qi 'no space' "$work/said" || { cat "$work/said"; return 1; }; }

check "the daemon starts" start_daemon
check "something is there" io 'write -P 1 0 1M'
check "what came before is forgotten" cairn listener command a t clear
cp "$work/data/a.raw" "$work/copy.raw"
check "a host works" io 'write -P 5 2M 64k' 'read -P 1 0 512k' 'write -z 256k 64k' 'read -P 0 256k 64k' flush \
	'write -P 7 8M 1M' 'read -P 7 8M 4k' 'write -P 9 512 1k'
check "it is saved" save host.rec
check "played on a copy it does the same" plays host.rec 'replay requests=[1-9][0-9]* failed=0 results_differ=0'
check "in its places" read_again
check "on another one not" bash -c "truncate -s 1M '$work/copy.raw'"
check "which is told" plays host.rec 'results_differ=[1-9]'
check "not over a file that is there" bash -c "! CAIRN_SOCKET='$work/run/cairn.sock' '$BUILD/cairn' listener command a t save file=host.rec"
host_begins
check "while a host writes" save live.rec
check "a full file system" ballast
check "saving says that there is no space" save_fails
check "the host goes on" kill -0 "$host_pid"
check "and half a file is not left" test ! -e "$work/data/full.rec"
rm -f "$work/data/ballast"
check "it can be saved again" save again.rec
check "more I/O" io 'read 0 1M' 'read 1M 1M' 'read 2M 1M'
check "the host saw no error" host_ends
check "it is saved, once more" save last.rec
check "a recording has its bound" [ "$(stat -c %s "$work/data/last.rec")" -le $((64 + ($(nproc) + 1) * 4096 * 40)) ]
check "it ends" stop_daemon
finish
