#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The daemon where the kernel forbids io_uring, as many containers do: it starts, says
# that threads drive the disks and why, serves hosts, and keeps what they wrote. With
# `ring: io_uring` it refuses to start and says why.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/host.sh"
needs qemu-io jq
forbid=$BUILD/tools/forbid_uring

says() { grep -F -- "$1" "$work/daemon.log"; }
doctor() {
	"$BUILD/cairn" doctor -o json >"$work/doctor" || true
	cat "$work/doctor"
	jq -e -s '.[0] | map(select(.text | contains("driven by threads")))
		| length == 1 and .[0].state == "warning" and
		(.[0].cure | contains("io_uring_disabled"))' "$work/doctor"
}
no_ring() {
	find "/proc/$daemon_pid/fd" -lname 'anon_inode:*' >"$work/fds" && grep -q . "$work/fds" &&
		! find "/proc/$daemon_pid/fd" -lname '*io_uring*' | grep .
}
refused() {
	! "$forbid" "$BUILD/cairnd" --config "$work/insisting.yaml" >"$work/insisting" 2>&1 &&
		cat "$work/insisting" && grep -q 'io_uring cannot be used: .*kernel.io_uring_disabled' "$work/insisting"
}

write_settings 0
{ cat "$work/cairn.yaml"; echo 'ring: io_uring'; } >"$work/insisting.yaml"
write_document <<'DOC'
a thin: true, source: {format: {type: qcow2, size: 64M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
DOC
daemon_under=("$forbid")
check "it starts" start_daemon
check "it says that threads drive the disks" says 'disk I/O is done by threads'
check "and why" says 'Operation not permitted; see kernel.io_uring_disabled'
check "it has no ring" no_ring
check "the doctor warns of it and names the cure" doctor
check "a host writes and reads" io 'write -P 5 3M 1M' 'write -z -u 8M 1M' 'flush' \
	'read -P 5 3M 1M' 'read -P 0 8M 1M'
check "a host that works" host_begins
check "a snapshot under it" "$BUILD/cairn" snapshot create a monday
check "and never sees an error" host_ends
check "it ends in good order" stop_daemon
check "it starts again" start_kept_daemon
check "with what was written" io 'read -P 5 3M 1M'
check "it ends in good order" stop_daemon
check "where io_uring is insisted on it refuses and says why" refused
finish
