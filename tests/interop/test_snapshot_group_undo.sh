#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A daemon that was killed while it made a group of snapshots undoes it at the next start.
# Here that start is killed, too: at each change that it makes in an image
# (tests/tools/preload/die_at.c); the one after it finds what is left, and none of the group
# stays. GROUP_UNDO_LONG=1: in each image, and twice at each place.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/group.sh"
needs curl jq qemu-img

die_at=$(realpath "$BUILD")/tools/die_at.so
[ -e "$die_at" ] || skip_all "no $die_at: make helpers"
most=60 # more changes than a start makes
write_settings 0
echo 'ring: threads' >>"$work/cairn.yaml" # what io_uring does die_at does not see
named="op: write, offset: 0, length: 512" # the header: marks the image, names the snapshot

# A group that is whole in a and c and not in b, with nobody to end it; kept.
half_made() {
	local asker
	documents "{$named, after: $((first + 1)), hold: true}"
	start_daemon || return 1
	group half &
	asker=$!
	wait_until held half || return 1
	kill_daemon
	wait "$asker"
	documents
	cp -a "$work/data" "$work/data.half" && cp -a "$work/state" "$work/state.half"
}
half_again() {
	rm -rf "$work/data" "$work/state"
	cp -a "$work/data.half" "$work/data" && cp -a "$work/state.half" "$work/state"
}
# A start that ends at change N of that file: 0; at none: 1.
dies_at() { # FILE N
	daemon_under=(env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0" "LD_PRELOAD=$die_at"
		"DIE_FILE=/$1" "DIE_AT=$2")
	start_daemon >"$work/dying" 2>&1
	died=$((!$?))
	daemon_under=()
	if [ $died = 1 ]; then
		kill_daemon
		return 1
	fi
	wait "$daemon_pid" 2>/dev/null
	[ $? = 137 ] || { cat "$work/dying"; return 2; }
	wait_until files_are_free
}
undone() { # all of it
	start_daemon && all_or_none half && [ "$found" = 000 ] && kill_daemon
}
# Ends with the first start that nothing of ends at; $again: twice at the same place.
undo_is_cut() { # FILE
	local n status=0
	for ((n = 1; n < most; n++)); do
		half_again && dies_at "$1" "$n"
		status=$?
		[ $status = 0 ] || break
		[ -z "$again" ] || dies_at "$1" "$n"
		undone || { echo "at change $n of $1"; return 1; }
	done
	echo "cut at $((n - 1)) changes of $1"
	[ $status = 1 ] && [ "$n" -gt 4 ] && grep -q 'snapshot half of volume a.*is undone' "$work/daemon.log"
}
nothing_is_left() {
	half_again && dies_at a.qcow2 "$((most / 12))" && undone && start_daemon &&
		gets 200 POST /snapshot-groups '{"name": "half", "volumes": ["a", "b", "c"]}' &&
		all_or_none half && [ "$found" = 111 ] && stop_daemon && sound
}

documents
check "the daemon starts" start_daemon
stop_daemon
check "what opening does" opening "$named"
check "a group that was cut off" half_made
files=a again=
[ -z "${GROUP_UNDO_LONG:-}" ] || files="a b c" again=yes
for name in $files; do
	check "its undo is killed at each change of $name: none" undo_is_cut $name.qcow2
done
check "and can be made after such an undo" nothing_is_left
finish
