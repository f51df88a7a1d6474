#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Schedules of external snapshots on a file system that is full (a tmpfs in a mount
# namespace of its own): a run that finds no room fails, and says so, and takes nothing
# away; the next one makes its snapshot when there is room; where retention merges an
# image, the snapshot is made in the room that comes of that, in the same run.

if [ -z "${CAIRN_SPACE_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	CAIRN_SPACE_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/clock.sh"
. "$(dirname "$0")/host.sh"
. "$(dirname "$0")/schedules.sh"
needs curl jq qemu-io

write_settings 0
mount -t tmpfs -o size=24m cairn-schedule "$work/data" 2>/dev/null ||
	skip_all "no file system can be mounted here"
trap 'stop_daemon; umount "$work/data"; cleanup' EXIT
write_document <<'END'
a source: {protocol: {type: file, path: a.raw, size: 4MiB, preallocate: true, cache: writeback}}
END

fill() { dd if=/dev/zero of="$work/data/filler" bs=4k 2>/dev/null; [ "$(df --output=avail "$work/data" | tail -n 1)" -eq 0 ]; }
fails_at() { # TIME
	local from
	from=$(next_line "$work/daemon.log")
	set_clock "$1" && line_comes 'schedule nightly: .*No space left' "$work/daemon.log" "$daemon_pid" "$from"
}

set_clock '2027-03-01 12:00:00'
check "the daemon starts" start_daemon
check "each night" gets 201 POST /schedules '{"name": "nightly", "volumes": ["a"], "every": "day", "at": "02:30", "kind": "external", "keep": {"latest": 2}}'
check "data" io 'write -P 1 0 1M'
check "the first" runs_at '2027-03-02 02:30:03' nightly
check "other data" io 'write -P 2 0 1M'
check "the second" runs_at '2027-03-03 02:30:03' nightly
check "other data" io 'write -P 3 0 1M'
check "the disk is full" fill
full_by_hand() { # as soon as it may: not in the second of the last run
	local tries=0
	until gets 507 POST /schedules/nightly/run >"$work/run.out"; do
		[ "$status" = 409 ] && [ $((tries += 1)) -lt 1200 ] || { cat "$work/run.out"; return 1; }
	done
}
check "by hand it is said at once" full_by_hand
check "there is no room for a third" fails_at '2027-03-04 02:30:03'
check "those that are kept stay" has a nightly "02 03"
check "the status says why" status nightly '[.last_result, .made, .deleted, (.reason | contains("No space left"))]' '["failed",0,0,true]'
check "an event, too" event schedule_failed .schedule '"nightly"'
check "the volume is as it was" io 'read -P 3 0 1M'
rm "$work/data/filler"
check "there is room again" runs_at '2027-03-05 02:30:03' nightly
check "nothing is left to go" settles nightly
check "two stay" has a nightly "03 05"
check "and the content" io 'read -P 3 0 1M' 'write -P 4 0 1M'
check "one less to keep" changes 200 PATCH /schedules/nightly '{"keep": {"latest": 1}}'
check "and the disk is full" fill
check "what goes makes room, in the same run" runs_at '2027-03-06 02:30:03' nightly
check "nothing is left to go" settles nightly
check "one stays" has a nightly "06"
check "and the content" io 'read -P 4 0 1M'
check "it ends" stop_daemon
finish
