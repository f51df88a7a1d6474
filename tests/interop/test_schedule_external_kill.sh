#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 while a schedule makes external snapshots of two volumes, or merges those that
# it does not keep any more (SCHEDULE_KILL_ROUNDS, default 3): the daemon comes back, all
# that a host was told is written is there, both volumes have the snapshots of the same
# moments, and in the end just those that are wanted.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/clock.sh"
. "$(dirname "$0")/schedules.sh"
. "$(dirname "$0")/survivor.sh"
needs curl jq qemu-img

rounds=${SCHEDULE_KILL_ROUNDS:-3}
write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 16M}}
c source: {format: {type: qcow2, size: 4M, file: {protocol: {type: file, path: c.qcow2, size: 64K}}}}
VOLUMES

set_clock '2027-03-01 12:00:00'
check "the daemon starts" start_daemon
check "each night" gets 201 POST /schedules '{"name": "nightly", "volumes": ["a", "c"], "every": "day", "at": "02:30", "kind": "external", "directory": "nights", "keep": {"latest": 2}}'
day=9
began() { ask GET /schedules/nightly && jq -r .status.last_run "$work/body" | grep -q "^2027-03-$day"; }
logged_in() { ask GET /sessions && [ "$(jq '.items | length' "$work/body")" -ge 1 ]; }
round() {
	local a
	survivor_starts
	wait_until logged_in || return 1
	day=$((day + 1))
	set_clock "2027-03-$day 02:30:03"
	# As it happens; a wait for nothing but chance: before the snapshot, in a merge, after.
	sleep "0.$((RANDOM % 10))"
	kill_daemon
	survivor_ends && start_kept_daemon || return 1
	wait_until began && settles nightly || return 1
	a=$(days a nightly)
	[ "$a" = "$(days c nightly)" ] || { echo "$a"; days c nightly; return 1; }
	# It was killed before its moment: that run is over.
	case $a in *$day) ;; *) runs nightly && settles nightly || return 1 ;; esac
	wait_until only_two && survivor_verifies
}
only_two() { # of both the same, of which one is the last
	local a
	a=$(days a nightly)
	[ "$a" = "$(days c nightly)" ] && [ "$(wc -w <<<"$a")" -le 2 ] && case $a in *$day) ;; *) false ;; esac
}
for ((n = 0; n < rounds; n++)); do
	check "kill -9, round $n" round || break
done
echo "figure schedule-external-kill-rounds value=$n goal=>=3 $([ "$n" -ge 3 ] && echo met || echo short)"
files() { # of both; what a killed daemon has left over is not used
	gets 200 GET /config && jq -r '.volumes[].source | .. | .path? // empty' "$work/body" | sort -u >"$work/files" &&
		[ "$(wc -l <"$work/files")" -ge 4 ]
}
check "the images that there are" files
check "it ends" stop_daemon
sound() { # leaks at worst
	local file
	grep qcow2 "$work/files" | while read -r file; do
		qemu-img check -q -f qcow2 "$work/data/$file" || [ $? = 3 ] || { echo "$file"; return 1; }
	done
}
check "QEMU finds the images sound" sound
finish
