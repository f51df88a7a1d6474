#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Incremental copies from the marks of the listener dirty, as backup programs make them,
# with `cairn` and over REST: two consumers at their own pace, a snapshot copied while a
# host writes, a consumer that dies, a restart, kill -9. After each turn the copy equals
# the source byte for byte, and it got nothing but what was marked.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

size=$((16 << 20))
write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
b source: {protocol: {type: file, path: b.raw, size: 16M}}
VOLUMES

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
tell() { cairn listener command "$1" d "$2" consumer="$3" >"$work/told" || { cat "$work/told"; return 1; }; }
tell_rest() { # VOLUME VERB CONSUMER [ARGUMENTS]
	gets 200 POST "/volumes/$1/listeners/d/commands" "{\"verb\": \"$2\", \"arguments\": {\"consumer\": \"$3\"${4:+, $4}}}"
}
# What was put aside for a consumer, a page of three extents at a time: "offset length"
# lines in $work/extents.
extents() { # VOLUME CONSUMER [ARGUMENTS]
	local at=0
	: >"$work/extents"
	while [ "$at" != null ]; do
		tell_rest "$1" list "$2" "\"offset\": $at, \"extents\": 3${3:+, $3}" || return 1
		jq -r '.result.extents[] | "\(.offset) \(.length)"' "$work/body" >>"$work/extents"
		at=$(jq '.result.next' "$work/body")
	done
}
marked() { awk '{ n += $2 } END { print n + 0 }' "$work/extents"; }
lists() { # VOLUME CONSUMER "OFFSET LENGTH"...: that and nothing else
	extents "$1" "$2" && printf '%s\n' "${@:3}" | sed '/^$/d' | diff - "$work/extents"
}
lists_all() { lists "$1" "$2" "0 $size"; }
lists_part() { # more than nothing, less than a quarter
	extents "$1" "$2" && [ "$(marked)" -gt 0 ] && [ "$(marked)" -lt $((size / 4)) ] || { cat "$work/extents"; return 1; }
}
# The extents alone get from what is shown there into the copy.
copies() { # SHOWN CONSUMER
	local offset length
	qemu-img convert -f raw -O raw "$url:$1/0" "$work/now.raw" || return 1
	[ -e "$work/$2.raw" ] || truncate -s $size "$work/$2.raw"
	while read -r offset length; do
		dd if="$work/now.raw" of="$work/$2.raw" bs=64K conv=notrunc status=none skip="$offset" \
			count="$length" seek="$offset" iflag=skip_bytes,count_bytes oflag=seek_bytes || return 1
	done <"$work/extents"
}
equals() { qemu-img compare -f raw -F raw "$url:$1/0" "$work/$2.raw"; } # SHOWN CONSUMER
has_changed() { gets 200 GET "/volumes/$1/listeners/d" && says "[.status.consumers[] | select(.name == \"$2\")][0].changed_blocks > 0" true; }
turn() { # VOLUME CONSUMER: a whole one
	tell "$1" freeze "$2" && extents "$1" "$2" && copies "$1" "$2" && equals "$1" "$2" && tell_rest "$1" done "$2"
}
consumers() { # VOLUME NAMES
	gets 200 GET "/volumes/$1/listeners/d" && says '[.status.consumers[].name] | join(" ")' "\"$2\""
}
sound() { # a killed daemon may leave leaks (3), nothing worse
	qemu-img check -q -f qcow2 "$work/data/a.qcow2" || [ $? = 3 ]
}
shown() { # VOLUME SNAPSHOT: a read-only volume of it
	gets 200 GET /exports && gets 201 POST /volumes "{\"name\": \"$2\", \"source\": {\"source\": \"$1\",
		\"view\": {\"snapshot\": \"$2\"}}, \"export\": {\"hosts\": $(jq -c '.items[0].hosts' "$work/body")}}"
}

check "the daemon starts" start_daemon
check "something is there" io 'write -P 1 0 2M' 'write -P 2 9M 1M'
check "marks that are kept" cairn listener attach a dirty d granularity=64K file=a.marks --yes
check "marks in memory" cairn listener attach b dirty d granularity=64K --yes
check "a consumer, by cairn" tell a add nightly
check "another, by REST" tell_rest a add hourly
check "not twice" gets 409 POST /volumes/a/listeners/d/commands \
	'{"verb": "add", "arguments": {"consumer": "hourly"}}'
check "they are there" consumers a "nightly hourly"

check "put aside" tell a freeze nightly
check "all has changed at first" lists_all a nightly
check "all is copied" copies a nightly
check "and equal" equals a nightly
check "that is done" tell a done nightly
check "the other one, too" turn a hourly

check "a host changes" io 'write -P 3 128k 64k' 'write -P 4 1000k 4k' 'write -z 9M 64k' 'write -z -u 9600k 128k' \
	'write -P 5 16380k 4k'
check "put aside for one" tell_rest a freeze hourly
check "that and no more" lists a hourly '131072 65536' '983040 65536' '9437184 65536' '9830400 131072' \
	'16711680 65536'
check "is copied" copies a hourly
check "and equal, too" equals a hourly
check "and done" tell a done hourly
check "nothing is left" lists a hourly
check "more changes" io 'write -P 6 3M 64k'
check "each has its own: one" turn a hourly
check "had little" lists a hourly
check "the other" tell a freeze nightly
check "has all since its own" lists a nightly '131072 65536' '983040 65536' '3145728 65536' '9437184 65536' \
	'9830400 131072' '16711680 65536'

# It dies here, before it has said "done".
check "later changes" io 'write -P 7 5M 64k'
check "a clean stop" stop_daemon
check "and start" start_kept_daemon
check "they are there still" consumers a "nightly hourly"
check "put aside again" tell a freeze nightly
check "it has lost nothing" lists a nightly '131072 65536' '983040 65536' '3145728 65536' '5242880 65536' \
	'9437184 65536' '9830400 131072' '16711680 65536'
check "that is all it needs" copies a nightly
check "to be equal" equals a nightly
check "done at last" tell a done nightly
check "one put aside what it had" tell a freeze hourly
check "no more than that" lists a hourly '5242880 65536'
check "what was in memory is gone" consumers b ""

check "a host that goes on" host_begins
check "put aside while it writes" tell a freeze hourly
check "a snapshot after that" cairn snapshot create a moment
check "shown" shown a moment
check "all that can differ from it" extents a hourly '"later": true'
check "the snapshot is copied" copies moment hourly
check "the copy is the snapshot" equals moment hourly
check "the host saw no error" host_ends
check "done" tell a done hourly
check "what it wrote since" tell a freeze hourly
check "is marked" lists_part a hourly
check "copied" copies a hourly
check "the copy is the volume" equals a hourly
check "done, too" tell a done hourly

# It expects zeroes at first.
check "all is zero" io 'write -z 0 16M'
check "and copied" turn a hourly
check "a host that remembers" survivor_starts
check "goes on" wait_until has_changed a hourly
kill_daemon
check "until the daemon is killed" survivor_ends
check "it comes back" start_kept_daemon
check "all that was acknowledged is there" survivor_verifies
check "the consumers, too" consumers a "nightly hourly"
check "put aside after a crash" tell a freeze nightly
check "all may have changed" lists_all a nightly
check "copied whole" copies a nightly
check "equal after a crash" equals a nightly
check "done with it" tell a done nightly
check "the other after a crash" turn a hourly
check "and little again" io 'write -P 8 7M 64k'
check "after a change" tell a freeze nightly
check "of little" lists a nightly '7340032 65536'
check "copied again" copies a nightly
check "equal again" equals a nightly

check "in memory: a consumer that has a copy" tell_rest b add clean '"clean": true'
check "has nothing to do" tell b freeze clean
check "at first" lists b clean
check "a change of it" io_of b 'write -P 9 0 4k'
check "is aside" tell b freeze clean
check "for it" lists b clean '0 65536'
check "a consumer goes" tell a remove nightly
check "the other stays" consumers a hourly
check "it ends" stop_daemon
check "QEMU finds the image sound" sound
finish
