#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# External snapshots of several volumes at one moment, by REST and by cairn: all are made
# or none, also if the daemon is killed meanwhile. GROUP_KILL_ROUNDS=1000 for the long
# form.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

rounds=${GROUP_KILL_ROUNDS:-6}
write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 900000}, {type: fault, name: hits}], protocol: {type: file, path: a.raw, size: 16M}}
b source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: b.qcow2, size: 64K}}}}
c source: {protocol: {type: file, path: c.raw, size: 16M}}
d source: {source: a}
VOLUMES

cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
images() { # SNAPSHOT WANTED: the image of it in each of a, b, c
	local found=
	for volume in a b c; do
		gets 200 GET "/volumes/$volume/snapshots" >/dev/null || return 1
		found+=$(jq -r "[.items[] | select(.name == \"$1\") | .image] | join(\" \")" "$work/body")/
	done
	[ "$found" = "$2" ] || { echo "$found"; return 1; }
}
listeners() { # BELOW WANTED
	gets 200 GET /volumes/a/source && says "$1.listeners | map(.name) | join(\" \")" "\"$2\""
}
comes_back() { kill_daemon; start_kept_daemon; }
all() { printf '{"name": "%s", "volumes": ["a", "b", "c"], "external": true}' "$1"; }
contents() { for volume in a b c; do io_of $volume "read -P $1 0 64k" || return 1; done; }
written() { for volume in a b c; do io_of $volume "write -P $1 0 64k" || return 1; done; }

check "the daemon starts" start_daemon
check "something to keep" written 1
check "what it would be" gets 200 POST '/snapshot-groups?dryRun=true' "$(all monday)"
check "for all three" says '[.impact[] | .object] | sort' '["volume a","volume b","volume c"]'
check "nothing was made" test ! -e "$work/data/b.monday.qcow2"
host_begins
check "a group while a host writes" gets 200 POST /snapshot-groups "$(all monday)"
check "in each a new image" images monday a.raw/b.qcow2/c.raw/
check "listeners go where their kinds do" listeners "" limit
check "with the image" listeners .format.backing hits
check "the host saw no error" host_ends
check "later writes" written 2
check "not twice" gets 409 POST /snapshot-groups "$(all monday)"
check "a file in the way of one" touch "$work/data/c.tuesday.qcow2"
check "is said" gets 409 POST /snapshot-groups "$(all tuesday)"
check "and none is made" images tuesday ///
rm "$work/data/c.tuesday.qcow2"
check "an alias has no image" gets 409 POST /snapshot-groups '{"name": "x", "volumes": ["a", "d"], "external": true}'
check "and none is made" images x ///
check "by cairn" cairn snapshot group tuesday --volumes a,b,c --external
check "in each another one" images tuesday a.monday.qcow2/b.monday.qcow2/c.monday.qcow2/
check "a killed daemon comes back" comes_back
check "with them" images tuesday a.monday.qcow2/b.monday.qcow2/c.monday.qcow2/
check "and the content" contents 2
check "one goes back by itself" gets 200 POST /volumes/c/snapshots/monday/revert '{}'
check "to what it was" io_of c 'read -P 1 0 64k'
check "the others are as they were" io_of b 'read -P 2 0 64k'
check "it ends" stop_daemon

all_or_none() { # SNAPSHOT
	images "$1" a.raw/b.qcow2/c.raw/ >/dev/null && { found=all; return; }
	found=none
	images "$1" ///
}
killed() {
	local asker
	rm -rf "$work/data"/* "$work/state"
	start_daemon && written 7 || return 1
	curl -s -m 60 -X POST --unix-socket "$work/run/cairn.sock" -o /dev/null \
		-H 'Content-Type: application/json' -w '%{http_code}' -d "$(all safe)" \
		http://cairn/api/v1/snapshot-groups >"$work/answered" 2>/dev/null &
	asker=$!
	# As it happens; a wait for nothing but chance.
	sleep "$(printf '0.0%02d' $((RANDOM % 90)))"
	kill_daemon
	wait "$asker"
	start_kept_daemon && all_or_none safe && contents 7 || return 1
	[ "$(cat "$work/answered")" != 200 ] || [ $found = all ] || { echo "it was acknowledged"; return 1; }
	kill_daemon
}
kills() {
	local round
	for ((round = 0; round < rounds; round++)); do
		killed || { echo "round $round"; tail -n 20 "$work/daemon.log"; return 1; }
	done
}
check "$rounds daemons that are killed on the way" kills
finish
