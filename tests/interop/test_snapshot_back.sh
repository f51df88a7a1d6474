#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Back to external snapshots of a volume, by REST and by cairn, while a host writes: the
# volume shows what it was, what it showed is another snapshot that one can go back to,
# images that snapshots stand on are not written to, all of it comes back with a killed
# daemon, and one that is killed on the way back has gone there whole or not at all.
# BACK_KILL_ROUNDS=200 for the long form.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

rounds=${BACK_KILL_ROUNDS:-6}
write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 900000}, {type: fault, name: hits}], protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

at=/volumes/a/snapshots
cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
tree() { # WANTED: "NAME IMAGE PARENT" of each, by name
	gets 200 GET $at && says '[.items[] | "\(.name) \(.image) \(.parent)"] | join(", ")' "\"$1\""
}
connected() {
	gets 200 GET '/sessions?volume=a' >/dev/null && [ "$(jq '.items | length' "$work/body")" -ge 1 ]
}
comes_back() { kill_daemon; start_kept_daemon; }
back() { gets 200 POST "$at/$1/revert" "${2:-{\}}"; }
first() { io 'read -P 1 0 1M' 'read -P 0 1M 64k'; }
second() { io 'read -P 2 0 64k' 'read -P 1 64k 448k' 'read -P 3 1M 64k'; }
third() { io 'read -P 4 0 64k' 'read -P 1 64k 448k' 'read -P 3 1M 64k'; }
# sound FILE..., unhurt FILE...: for those who made the format; the latter after a kill,
# which may leave leaks.
sound() {
	local file
	for file; do qemu-img check -q "$work/data/$file" || return 1; done
}
unhurt() {
	local file status
	for file; do
		qemu-img check "$work/data/$file" >"$work/check" 2>&1
		status=$?
		[ $status = 0 ] || [ $status = 3 ] || { cat "$work/check"; return 1; }
	done
}
view_shows() { io_of view 'read -P 1 0 1M'; }
nothing_new() { [ "$(ls "$work/data")" = "$files" ]; }
files() { files=$(ls "$work/data"); }

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 1M'
check "monday" gets 201 POST $at '{"name": "monday", "external": true, "placement": {"hits": "head"}}'
check "later writes" io 'write -P 2 0 64k' 'write -P 3 1M 64k'
check "tuesday" gets 201 POST $at '{"name": "tuesday", "external": true, "placement": {"hits": "head"}}'
check "still later ones" io 'write -P 4 0 64k'
host_begins
check "a host is there" wait_until connected
files
check "without the word nothing happens to hosts" gets 422 POST $at/monday/revert '{}'
check "which is said" says '.errors[0].pointer' '"/destroy"'
check "nor under a name that is taken" gets 409 POST $at/monday/revert '{"destroy": true, "safety": "tuesday"}'
check "what it would be" gets 200 POST "$at/monday/revert?dryRun=true" '{"destroy": true}'
check "a change of the volume" says '.changes | map(.kind + " " + .id + " " + .operation) | join(", ")' '"volume a update"'
check "is said" says '[.impact[0].effect, (.impact[0].text | test("becomes snapshot before-monday;"))]' '["parked",true]'
check "nothing was made" nothing_new
check "a view of what would go" changes 201 POST /volumes '{"name": "view", "source": {"source": "a", "view": {"image": "a.monday.qcow2"}}}'
check "keeps it" gets 409 POST $at/monday/revert '{"destroy": true}'
check "and is named" says '.detail | test("volume view shows or stands on")' true
check "until it has gone" changes 204 DELETE /volumes/view
check "a view of what stays" changes 201 POST /volumes '{"name": "view", "source": {"source": "a", "view": {"image": "a.raw"}}}'
check "back while a host writes" back monday '{"destroy": true}'
check "the answer is what was there" says '[.name, .kind, .size_bytes, .image, .parent]' '["before-monday","external",16777216,"a.tuesday.qcow2","tuesday"]'
check "the host saw no error but other data" test -e "$work/host"
touch "$work/enough"
wait "$host_pid"
check "it is monday" first
check "the volume says what it went back from" gets 200 GET /volumes/a
check "as a record with its source" says '[.snapshots[] | select(.source).name]' '["before-monday"]'
check "listeners stay" gets 200 GET /volumes/a/source
check "with the name" says '.listeners | map(.name)' '["limit","hits"]'
check "all is one tree" tree "before-monday a.tuesday.qcow2 tuesday, monday a.raw null, tuesday a.monday.qcow2 monday"
check "the view is exported" gets 201 POST /targets "{\"iqn\": \"$iqn:view\", \"portals\": [\"main\"]}"
check "to hosts" gets 201 POST /exports "{\"volume\": \"view\", \"target\": \"$iqn:view\", \"lun\": 0, \"hosts\": [\"any\"]}"
read_only=-r
check "it shows what it did" view_shows
read_only=
check "it is written to" io 'write -P 5 2M 64k' 'write -P 5 8M 4M'
check "a killed daemon comes back" comes_back
check "with it" first
check "and what was written" io 'read -P 5 2M 64k'
check "and the tree" tree "before-monday a.tuesday.qcow2 tuesday, monday a.raw null, tuesday a.monday.qcow2 monday"
check "what was there is whole" sound a.monday.qcow2 a.tuesday.qcow2
check "a clone of what nobody has open" changes 409 POST $at/before-monday/clone '{"name": "copy"}'
check "says what to do" says '.detail | test("go back to it first")' true
check "its images are not written to" gets 409 POST /jobs '{"volume": "a", "kind": "commit"}'
check "which is said" says '.detail | test("snapshot before-monday of volume a stands on")' true
check "nor go from under it" changes 409 DELETE $at/tuesday
check "one is named" says '.detail | test("before-monday. stands on")' true
mv "$work/data/a.tuesday.qcow2" "$work/data/away"
check "one whose file is missing" gets 409 POST $at/before-monday/revert '{}'
check "is not made anew" test ! -e "$work/data/a.tuesday.qcow2"
mv "$work/data/away" "$work/data/a.tuesday.qcow2"
check "and back to what was, by cairn" cairn snapshot revert a before-monday --safety monday-2 --yes
check "it is what it was" third
check "with what the host wrote, or parts of it" io 'read 8M 4M'
check "the other is kept" tree "before-monday a.tuesday.qcow2 tuesday, monday a.raw null, monday-2 a.before-monday.qcow2 monday, tuesday a.monday.qcow2 monday"
check "to the middle" back tuesday '{"safety": "late"}'
check "it is tuesday" second
check "a killed daemon comes back" comes_back
check "with tuesday" second
check "one that is kept goes" changes 204 DELETE $at/monday-2
check "with its file" test ! -e "$work/data/a.before-monday.qcow2"
check "late goes, too" changes 204 DELETE $at/late
check "and what only it had" test ! -e "$work/data/a.monday-2.qcow2"
check "but not what is a snapshot itself" tree "before-monday a.tuesday.qcow2 tuesday, monday a.raw null, tuesday a.monday.qcow2 monday"
check "to the last" back before-monday '{"safety": "x"}'
check "it is what it was" third
check "x goes" changes 204 DELETE $at/x
check "the view goes" changes 204 DELETE '/volumes/view?cascade=true'
check "and now they merge" cairn snapshot delete a tuesday --yes
check "into what was shown" third
check "all files are sound" stop_daemon
check "for others, too" sound a.monday.qcow2

# -- killed on the way -------------------------------------------------------------

# Whole: the content is the snapshot's and what was there is kept; or neither.
whole() {
	gets 200 GET $at >/dev/null || return 1
	kept=$(jq '[.items[] | select(.name == "safe")] | length' "$work/body")
	case $kept in
	0) io 'read -P 9 0 64k' >/dev/null ;;
	1) io 'read -P 8 0 64k' >/dev/null &&
		back safe '{"safety": "unsafe"}' && io 'read -P 9 0 64k' ;;
	esac
}
killed() { # a daemon that goes back when it is killed after a while
	local asker
	write_document <<'VOLUMES'
a source: {protocol: {type: file, path: k.raw, size: 16M}}
VOLUMES
	rm -rf "$work/data"/* "$work/state"
	start_daemon || return 1
	io 'write -P 8 0 64k' && gets 201 POST $at '{"name": "monday", "external": true}' &&
		io 'write -P 9 0 64k' || return 1
	curl -s -m 60 -X POST --unix-socket "$work/run/cairn.sock" -o /dev/null \
		-H 'Content-Type: application/json' -w '%{http_code}' \
		-d '{"safety": "safe"}' "http://cairn/api/v1$at/monday/revert" >"$work/answered" 2>/dev/null &
	asker=$!
	# As it happens; a wait for nothing but chance.
	sleep "$(printf '0.0%02d' $((RANDOM % 60)))"
	kill_daemon
	wait "$asker"
	start_kept_daemon && whole || return 1
	[ "$(cat "$work/answered")" != 200 ] || [ "$kept" = 1 ] || { echo "it was acknowledged"; return 1; }
	kill_daemon
	unhurt a.monday.qcow2
}
kills() {
	local round
	for ((round = 0; round < rounds; round++)); do
		killed || { echo "round $round"; tail -n 20 "$work/daemon.log"; return 1; }
	done
}
check "$rounds daemons that are killed on the way" kills
finish
