#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The job stream: images in the midst of a chain that QEMU made go, those on either side
# stay. What is read stays the same, as qemu-img sees it, also where an image between is
# shorter than what it stands on, or says zeroes; over a kill; and the snapshot in what the
# volume comes to stand on keeps its name.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img qemu-io

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
image() { # FILE BACKING
	echo "{format: {type: qcow2, file: {protocol: {type: file, path: $1}}, backing: $2}}"
}
order() { # OPTIONS [RATE [VOLUME]]
	echo "{\"volume\": \"${3:-a}\", \"kind\": \"stream\", \"rate_bytes\": ${2:-0}, \"options\": $1}"
}
job_is() { ask GET "/jobs/$1" && [ "$(jq -r .state "$work/body")" = "$2" ]; }
moved() { ask GET "/jobs/$job" && [ "$(jq .done_bytes "$work/body")" -ge "$1" ]; }
files() { ask GET /volumes/a/source && [ "$(jq -r '.. | objects | .path? // empty' "$work/body" | tr '\n' ' ')" = "$1 " ]; }
stands_on() { [ "$(qemu-img info --output=json "$work/data/$1" | jq -r '."full-backing-filename"')" = "$(realpath "$work/data")/$2" ]; }

sound() { local got=0; qemu-img check "$work/data/top" >"$work/io" || got=$?; [ $got = 0 ] || [ $got = 3 ]; }

# base <- one (shorter, zeroes) <- two <- top
chain() (
	cd "$work/data" || exit 1
	head -c 16777216 /dev/urandom >base
	qemu-img create -q -f qcow2 -b base -F raw one 8M &&
		qemu-io -f qcow2 -c 'write -P 1 1M 64k' -c 'write -z 2M 1M' -c 'write -P 2 5M 3M' one >/dev/null &&
		qemu-img create -q -f qcow2 -b one -F qcow2 two 16M &&
		qemu-io -f qcow2 -c 'write -P 3 3M 100k' -c 'write -z 6M 64k' -c 'write -P 4 12M 192k' two >/dev/null &&
		qemu-img create -q -f qcow2 -b two -F qcow2 -o extended_l2=on,cluster_size=64k top 16M &&
		qemu-io -f qcow2 -c 'write -P 5 4M 6k' -c 'write -z 13M 2k' top >/dev/null &&
		qemu-img convert -O raw top ../expected && qemu-img convert -O raw two ../two.was
)
mkdir -p "$work/data"
check "a chain that QEMU made" chain
write_settings 0
write_document <<VOLUMES
a source: $(image top "$(image two "$(image one '{protocol: {type: file, path: base}}')")")
VOLUMES
check "the daemon starts" start_daemon

# -- refused -----------------------------------------------------------------------
check "it needs a base" gets 422 POST /jobs "$(order '{}')"
check "that is there" gets 404 POST /jobs "$(order '{"base": "else"}')"
check "which is said" says '.detail | test("stands on no image .else.")' true
check "and below" gets 404 POST /jobs "$(order '{"base": "top"}')"
check "with something between" gets 422 POST /jobs "$(order '{"base": "two"}')"
check "else it is done" says '.detail | test("stands on .two. already")' true
check "one that another one shows" changes 201 POST /volumes '{"name": "b", "source": {"source": "a", "view": {"image": "one"}}}'
check "does not go" gets 409 POST /jobs "$(order '{"base": "base"}')"
check "it says who" says '.detail | test("volume b shows or stands on an image under volume a")' true
check "what stays is free" gets 200 POST '/jobs?dryRun=true' "$(order '{"base": "one"}')"
check "without it" changes 204 DELETE /volumes/b

# -- done --------------------------------------------------------------------------
check "what it would do" gets 200 POST '/jobs?dryRun=true' "$(order '{"base": "one"}')"
check "is to copy what two holds" says '.impact[0].text | test("needs [0-9]+ bytes where top is")' true
check "no more than that" says '.impact[0].text | capture("needs (?<n>[0-9]+)").n | tonumber < 1048576' true
check "hosts wait for a moment" says '.impact[0].effect' '"parked"'
check "two goes" cairn volume stream a one
check "from the document" files "top one base"
check "one goes, slowly" gets 202 POST /jobs "$(order '{"base": "base"}' 2097152)"
job=$(jq .id "$work/body")
check "most of it is moved" wait_until moved 12582912
kill_daemon
check "after a kill" start_kept_daemon
check "it goes on" wait_until moved 8388608
check "is set free" changes 200 PATCH "/jobs/$job" '{"rate_bytes": 0}'
check "and ends" wait_until job_is "$job" done
check "on the base" files "top base"
check "a second end of the chain" gets 422 POST /jobs "$(order '{"base": "base"}')"
check "the daemon ends" stop_daemon
check "the image names its base" stands_on top base
check "and shows the same" qemu-img compare -q "$work/data/top" "$work/expected"
check "and is sound, but for what a kill leaves over" sound
check "what was between is as it was" qemu-img compare -q "$work/data/two" "$work/two.was"

# -- within a chain, and snapshots ---------------------------------------------------
check "it starts again" start_kept_daemon
snapshot() { gets 201 POST /volumes/a/snapshots "{\"name\": \"$1\", \"external\": true}"; }
names() { ask GET /volumes/a/snapshots && [ "$(jq -c '[.items[].name] | sort' "$work/body")" = "$1" ]; }
image_of() { ask GET /volumes/a/snapshots && jq -r ".items[] | select(.name == \"$1\") | .image" "$work/body"; }
for day in mo tu we th; do check "a snapshot, $day" snapshot $day; done
third=$(image_of th) second=$(image_of we)
check "one within the chain goes" cairn volume stream a "$(image_of mo)" --image "$second"
check "with its name; the others stay" names '["mo","th","we"]'
check "it is not in the way any more" files "$(ask GET /volumes/a/source && jq -r '[.. | objects | .path? // empty][0]' "$work/body") $third $second top base"
check "all but the last" cairn volume stream a top
check "one name is left" names '["mo"]'
check "it can be shown" changes 201 POST /volumes '{"name": "v", "source": {"source": "a", "view": {"image": "top"}}}'
top=$(ask GET /volumes/a/source && jq -r '[.. | objects | .path? // empty][0]' "$work/body")
check "the daemon ends, too" stop_daemon
check "all is still there" qemu-img compare -q "$work/data/$top" "$work/expected"

finish
