#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 while a group of snapshots is made: afterwards all volumes have theirs or none
# has, and one that was acknowledged is there. First at each I/O of the second image: a
# fault holds the n-th one for ever, so that the kill hits exactly there; then at
# random moments; what undoes it is in test_snapshot_group_undo.sh. GROUP_KILL_ROUNDS=1000
# for the long form.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/group.sh"
needs curl jq qemu-img

rounds=${GROUP_KILL_ROUNDS:-6}
most=60 # more I/Os than a group does in one image
write_settings 0

# -- at each I/O ------------------------------------------------------------------

cut() { # OP N: killed when b's n-th request of the kind is under way
	local name=$1-$2 asker
	documents "{op: $1, after: $2, hold: true}"
	start_daemon || return 1
	group "$name" &
	asker=$!
	wait_until held "$name" || return 1
	kill_daemon
	wait "$asker"
	documents
	start_daemon && all_or_none "$name" || return 1
	[ "$(cat "$work/answered.$name")" != 200 ] || [ "$found" = 111 ] || {
		echo "$name was acknowledged"
		return 1
	}
	kill_daemon
}
cuts() { # OP: until there are no more; the opening's are passed by the same count
	local n
	for ((n = first; n < most; n++)); do
		cut "$1" "$n" || return 1
		[ "$(cat "$work/answered.$1-$n")" != 200 ] || break
	done
	[ "$n" -gt "$first" ] && [ "$n" -lt "$most" ] || { echo "ended at $n"; return 1; }
}

# -- at random --------------------------------------------------------------------

asks_on() { # NUMBER: one group after the other, until there is no daemon
	local n=$1
	while :; do
		n=$((n + 1))
		group "g$n"
		[ "$(cat "$work/answered.g$n")" = 200 ] || return 0
		echo "$n" >"$work/count.new" && mv "$work/count.new" "$work/count"
	done
}
reached() { [ "$(cat "$work/count")" -ge "$1" ]; }
round() {
	local from n asker
	from=$(cat "$work/count")
	start_kept_daemon || return 1
	asks_on "$from" &
	asker=$!
	wait_until reached $((from + 1 + RANDOM % 2)) || return 1
	kill_daemon
	wait "$asker"
	start_kept_daemon || return 1
	for ((n = from + 1; n <= $(cat "$work/count") + 1; n++)); do
		all_or_none "g$n" || return 1
		[ "$n" -gt "$(cat "$work/count")" ] || [ "$found" = 111 ] || {
			echo "g$n was acknowledged and is $found"
			return 1
		}
	done
	echo $(($(cat "$work/count") + 1)) >"$work/count"
	kill_daemon
}
all_rounds() {
	local n
	for ((n = 1; n <= rounds; n++)); do
		round || { echo "round $n of $rounds"; return 1; }
	done
}

documents
check "the daemon starts" start_daemon
stop_daemon
for op in write flush; do
	check "what opening does" opening "op: $op"
	check "killed at each $op: all or none" cuts "$op"
done
echo 0 >"$work/count"
check "$rounds times kill -9 at random: all or none" all_rounds
check "a last start" start_kept_daemon
again() {
	gets 200 POST /snapshot-groups '{"name": "last", "volumes": ["a", "b", "c"]}' &&
		all_or_none last && [ "$found" = 111 ]
}
check "groups go on" again
check "it ends" stop_daemon
check "QEMU finds the images sound" sound
finish
