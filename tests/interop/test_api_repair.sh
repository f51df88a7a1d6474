#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A volume whose flush failed: what hosts and REST see, and how it is served again.

. "$(dirname "$0")/lib.sh"
needs curl qemu-io

write_settings 0
write_document <<'END'
disk source: {protocol: {type: file, path: d.raw, size: 16MiB, cache: writeback}}
END

api() { # STATUS METHOD PATH [BODY]
	local status
	status=$(curl -s -m 60 -X "$2" --unix-socket "$work/run/cairn.sock" -o "$work/body" \
		-w '%{http_code}' ${4:+-H 'Content-Type: application/json' -d "$4"} \
		"http://cairn/api/v1/volumes/disk$3")
	[ "$status" = "$1" ] && return 0
	echo "status $status, not $1:"
	cat "$work/body"
	return 1
}
is_state() { api 200 GET "" && grep -qF "\"state\":\"$1\"" "$work/body"; }
writes() { qemu-io -f raw -c 'write -P 7 0 4096' -c flush "$url:disk/0" >"$work/io" 2>&1 && ! grep -qi error "$work/io"; }
write_fails() { ! writes; }

check "the daemon starts" start_daemon
check "a host writes and flushes" writes
check "nothing is to be repaired" api 409 POST /repair
check "a flush shall fail" api 201 POST /faults \
	'{"op": "flush", "error": "EIO", "count": 1, "duration_seconds": 600}'
check "the host is told" write_fails
check "the volume has failed" is_state failed
check "what a repair would do" api 200 POST '/repair?dryRun=true'
check "it has done nothing" is_state failed
check "an operator has looked" api 200 POST /repair
check "the volume is served" is_state online
check "a host writes and flushes again" writes
finish
