#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Idempotency-Key over the end of the daemon: killed after each of its writes to the
# medium while a request with a key runs (tools/preload/die_at_sync), started again, and
# asked with the same key: the first answer, and it is done once. Where it cannot know it
# says so, and has not done it twice.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq

most=25 # syncs of one request
# More than there is room for; an image whose tables say so takes next to none.
free=$(df --output=avail -B1 "$work" | tail -n 1)
vast=$((free / 2097152 * 4194304))
library=$PWD/$BUILD/tools/die_at_sync.so
case $BUILD in /*) library=$BUILD/tools/die_at_sync.so ;; esac
daemon_under=(env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0"
	"LD_PRELOAD=$library" "DIE_AT_SYNC=$work/die")

write_settings 0
cat >"$work/document.yaml" <<-END
	volumes:
	  - {name: disk, source: {protocol: {type: file, path: disk.raw, size: 1MiB}}}
	  - name: image
	    source: {format: {type: qcow2, size: 1MiB, file: {protocol: {type: file, path: image.qcow2, size: 64KiB}}}}
	  - name: vast
	    source: {format: {type: qcow2, size: $vast, cluster_size: 2M, preallocation: metadata, subclusters: "off",
	      file: {protocol: {type: file, path: vast.qcow2, size: 64KiB}}}}
	hosts: [{name: web1, iscsi: {iqn: ["*"]}}]
	targets: [{name: db01}]
	exports: [{volume: disk, target: db01, lun: 0, hosts: [web1]}]
	END

key=0
# keyed PATH BODY: with the key $key; $status is 000 if the daemon has ended meanwhile.
keyed() { ask POST "$1" "$2" -H "Idempotency-Key: k$key" || true; }
counted() { # PATH FILTER: how many there are
	gets 200 GET "$1" && jq "$2" "$work/body" >"$work/counted" && count=$(cat "$work/counted")
}
once() { # before the request there were $before
	counted "$1" "$2" || return 1
	[ "$count" = $((before + 1)) ] && return 0
	echo "there were $before, and now $count"
	return 1
}
never_twice() {
	counted "$1" "$2" || return 1
	[ "$count" -le $((before + 1)) ] && return 0
	echo "there were $before, and now $count"
	return 1
}
# cut NUMBER EXACT PATH BODY LIST FILTER: it dies after so many syncs, or has answered.
cut() {
	local exact=$2
	key=$((key + 1))
	counted "$5" "$6" || return 1
	before=$count
	echo "$1" >"$work/die"
	keyed "$3" "$4"
	rm "$work/die"
	first=$status
	[ "$first" = 000 ] || cp "$work/body" "$work/first"
	[ "$first" = 000 ] || kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null
	wait_until files_are_free && start_kept_daemon || return 1
	keyed "$3" "$4"
	cp "$work/body" "$work/second"
	case $first-$status in
	"$first-$first" | 000-20?) once "$5" "$6" ;;
	000-409)
		[ "$exact" = no ] && grep -q 'is not known\|look at what' "$work/second" &&
			never_twice "$5" "$6"
		;;
	*) false ;;
	esac || { echo "first $first, then $status:" && cat "$work/second" && return 1; }
	[ "$first" = 000 ] || cmp <(jq -S 'del(.token)' "$work/first") <(jq -S 'del(.token)' "$work/second")
}
# cuts EXACT PATH BODY LIST FILTER: until it lives to answer. @ is another number each time.
cuts() {
	local n
	for ((n = 1; n < most; n++)); do
		cut "$n" "$1" "$2" "${3//@/$((key + 1))}" "$4" "$5" || { echo "cut off after sync $n"; return 1; }
		[ "$first" = 000 ] || break
	done
	[ "$n" -gt 1 ] && [ "$n" -lt $most ] || { echo "ended at $n"; return 1; }
}
replayed() { ask POST "$1" "$2" -H "Idempotency-Key: k$key" && has_header 'idempotency-replayed: true'; }
other_request() { gets 422 POST "$1" "$2" -H "Idempotency-Key: k$key" && grep -q key-reused "$work/body"; }
# fails_again STATUS PATH BODY: each time it is tried, none is a replay.
fails_again() {
	local n
	for n in 1 2; do
		gets "$1" POST "$2" "$3" -H 'Idempotency-Key: fails' || return 1
		! has_header 'idempotency-replayed: true' >"$work/said" || return 1
	done
}

start_daemon
check "a volume" cuts yes /volumes '{"name": "v@", "source": {"protocol": {"type": "mem", "size": 1048576}}}' '/volumes?limit=1000' '.items | length'
check "again, says so" replayed /volumes "{\"name\": \"v$key\", \"source\": {\"protocol\": {\"type\": \"mem\", \"size\": 1048576}}}"
check "another request with the key" other_request /volumes '{"name": "other"}'
check "an export" cuts yes /exports '{"volume": "disk", "target": "db01", "lun": @, "hosts": ["web1"]}' '/exports?limit=1000' '.items | length'
check "a listener that was given no name" cuts yes /volumes/disk/listeners '{"type": "stats"}' '/volumes/disk/listeners?limit=1000' '.items | length'
check "a fault" cuts no /volumes/disk/faults '{"op": "read", "duration_seconds": 3600, "delay_us": 1}' '/volumes/disk/faults?limit=1000' '.items | length'
check "an external snapshot" cuts no /volumes/disk/snapshots '{"name": "s@", "external": true}' '/volumes/disk/snapshots?limit=1000' '.items | length'
check "an internal one" cuts no /volumes/image/snapshots '{"name": "s@"}' '/volumes/image/snapshots?limit=1000' '.items | length'
check "a user" gets 201 POST /users '{"name": "ann", "role": "admin", "password": "Rather-long-and-not-guessed-7"}'
check "a token" cuts no /tokens '{"user": "ann"}' '/tokens?limit=1000' '.items | length'
room='{"volume": "vast", "kind": "copy", "options": {"to": {"protocol": {"type": "file", "path": "copy.raw", "size": '$vast'}}}}'
check "what fails is not kept" fails_again 507 /jobs "$room"
check "a job" cuts no /jobs '{"volume": "disk", "kind": "scrub"}' '/jobs?limit=1000' '.items | length'
finish
