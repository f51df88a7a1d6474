#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A block device as a volume: a loop device on a file of this test's own. What a host
# writes, zeroes and discards is on it, after a flush and kill -9 too; it grows with the
# device, is nobody else's meanwhile, and is let go of at the end.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs losetup curl jq qemu-img qemu-io cmp

# Where loop devices are forbidden (most containers) there is none to show, in CI too.
disk=$work/disk
truncate -s 64M "$disk"
device=$(losetup --find --show "$disk" 2>"$work/why") || device=
if [ ! -b "$device" ] || [ ! -w "$device" ]; then
	echo "1..0 # SKIP no loop device can be made: $(head -n 1 "$work/why")"
	exit 0
fi
release() {
	cleanup
	[ -z "$device" ] || losetup --detach "$device"
}
trap release EXIT

write_settings 0
write_document <<DOC
a thin: true, source: {protocol: {type: file, path: $device}}
DOC

io() { # COMMAND...: as a host
	local command arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f raw "${arguments[@]}" "$url:a/0" >"$work/io" 2>&1 &&
		! grep -qi "failed\|error" "$work/io" || { cat "$work/io"; return 1; }
}
sees() { # BYTES
	qemu-img info --output=json "$url:a/0" >"$work/info" 2>&1
	jq -e ".[\"virtual-size\"] == $1" "$work/info" >/dev/null || { cat "$work/info"; return 1; }
}
used_kib() { du -k "$disk" | cut -f 1; }
is_less() { [ "$(used_kib)" -lt "$1" ] || { echo "$(used_kib) KiB, as before"; return 1; }; }
# same: what a host reads is what lies in the file below, and what is expected.
same() { qemu-img compare -f raw -F raw "$url:a/0" "$work/expected"; }
is_below() { cmp "$disk" "$work/expected"; }
expect() { # COMMAND...: of qemu-io, on a plain file
	local command arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f raw "${arguments[@]}" "$work/expected" >/dev/null
}
is_refused() { # PROGRAM...: with a word of who has it
	! "$@" >"$work/refused" 2>&1 && grep -qi 'resource busy\|write" lock' "$work/refused" ||
		{ cat "$work/refused"; return 1; }
}
restart() { stop_daemon && start_kept_daemon; }

truncate -s 64M "$work/expected"
check "the daemon starts" start_daemon || finish
check "a host sees the device's size" sees $((64 << 20))

check "a host writes, also what fits no page" \
	io "write -P 165 0 8M" "write -P 90 16777728 512" "write -P 91 33554432 1536"
expect "write -P 165 0 8M" "write -P 90 16777728 512" "write -P 91 33554432 1536"
check "a host reads it" same
full=$(used_kib)
check "a host discards" io "discard 4M 2M" "flush"
check "the device was told to" is_less "$full"
check "a host writes zeroes" io "write -z 1M 64k" "write -z -u 2M 64k" "flush"
expect "write -z 4M 2M" "write -z 1M 64k" "write -z 2M 64k"
check "both read as zeroes" same
check "the file below has it all" is_below

check "another program cannot write there" is_refused qemu-io -f raw -c "write 0 512" "$device"

check "it is there after a restart" restart
check "with its data" same
check "a write that is flushed" io "write -P 77 20M 1M" "flush"
expect "write -P 77 20M 1M"
check "a write with FUA" io "write -f -P 78 22M 64k"
expect "write -P 78 22M 64k"
kill_daemon
check "kill -9: both are on the device" is_below
check "the daemon starts again" start_kept_daemon
check "a host finds them" same

check "larger than the device is refused" changes 507 POST /volumes/a/resize '{"size": "96MiB"}'
check "with what to do" says '.detail | contains("grow it first")' true
truncate -s 96M "$disk" "$work/expected"
losetup --set-capacity "$device"
check "the device has grown, then so has the volume" \
	changes 200 POST /volumes/a/resize '{"size": "96MiB"}'
check "a host sees it" sees $((96 << 20))
check "and writes behind the old end" io "write -P 33 90M 1M" "flush"
expect "write -P 33 90M 1M"
check "all of it is right" same
check "after another restart, too" restart
check "with the size" sees $((96 << 20))
check "and the data" same
check "the daemon ends" stop_daemon
check "the device is anybody's again" qemu-io -f raw -c "read -P 33 90M 1M" "$device"
check "the file below is right" is_below
finish
