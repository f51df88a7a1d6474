#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 while a group of snapshots is made: afterwards all volumes have theirs or none
# has, and one that was acknowledged is there. First at each I/O of the second image: a
# fault holds the n-th one for ever, so that the kill hits exactly there; then at each
# change that undoes it at the next start (tests/tools/preload/die_at.c); then at random
# moments. GROUP_KILL_ROUNDS=1000 for the long form.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img

die_at=$(realpath "$BUILD")/tools/die_at.so
[ -e "$die_at" ] || skip_all "no $die_at: make helpers"
rounds=${GROUP_KILL_ROUNDS:-6}
most=60 # more I/Os than a group does in one image
write_settings 0

image() { # NAME LISTENERS: in a file of its own
	echo "source: {format: {type: qcow2, size: 4M, file: {$2protocol: {type: file, path: $1.qcow2, size: 4K}}}}"
}
documents() { # RULE: the second of three holds what it says
	local listeners=
	[ $# = 0 ] || listeners="listeners: [{type: fault, name: deep, rules: [$1]}], "
	write_document <<VOLUMES
a $(image a "")
b $(image b "$listeners")
c $(image c "")
VOLUMES
}
has() { # VOLUME SNAPSHOT: "1" or "0"
	gets 200 GET "/volumes/$1/snapshots" >/dev/null &&
		jq "[.items[] | select(.name == \"$2\")] | length" "$work/body"
}
all_or_none() { # SNAPSHOT
	found=$(has a "$1")$(has b "$1")$(has c "$1")
	case $found in 000 | 111) return 0 ;; esac
	echo "snapshot $1 is in a, b, c: $found"
	return 1
}
group() { # NAME: in the background; its status in $work/answered.NAME
	curl -s -m 60 -X POST --unix-socket "$work/run/cairn.sock" -o /dev/null \
		-H 'Content-Type: application/json' -w '%{http_code}' \
		-d "{\"name\": \"$1\", \"volumes\": [\"a\", \"b\", \"c\"]}" \
		http://cairn/api/v1/snapshot-groups >"$work/answered.$1" 2>/dev/null
}
held() { # a request of the image of b, or all is done
	[ -s "$work/answered.$1" ] ||
		{ gets 200 GET '/volumes/b/source?status=true' >/dev/null &&
			[ "$(jq '[.. | .held? // empty | numbers] | add' "$work/body")" -ge 1 ]; }
}

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
	last=$((n - 1))
	[ "$n" -gt "$first" ] && [ "$n" -lt "$most" ] || { echo "ended at $n"; return 1; }
}
# Requests of the kind that opening the image makes are none of the group's.
opening() { # OP
	documents "{op: $1, delay_us: 0, error: none, name: count}"
	start_daemon && gets 200 GET '/volumes/b/source?status=true' || return 1
	first=$(jq '[.. | .matches? // empty | numbers] | add' "$work/body")
	stop_daemon
}

sound() { # leaks (3) at worst
	local name
	for name in a b c; do
		qemu-img check -f qcow2 "$work/data/$name.qcow2" || [ $? = 3 ] || return 1
	done
}

# -- the undo is cut off ------------------------------------------------------------

# A group that is whole in a and c and not in b, with nobody to end it; kept.
half_made() {
	local asker
	documents "{op: write, after: $last, hold: true}"
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
for op in flush write; do
	check "what opening does" opening "$op"
	check "killed at each $op: all or none" cuts "$op"
done
check "a group that was cut off" half_made
sed -i 's/^ring:.*//' "$work/cairn.yaml" && echo 'ring: threads' >>"$work/cairn.yaml"
files=a again=
[ "$rounds" -le 6 ] || files="a b c" again=yes
for name in $files; do
	check "its undo is killed at each change of $name: none" undo_is_cut $name.qcow2
done
check "and can be made after such an undo" nothing_is_left
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
