#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Images that come to stand on another backing file, by the job rebase of cairn-stack:
# qemu-img compare finds the same content before and after, check nothing, info the new
# name; only what differs has been copied up. Then through the daemon, while a host
# writes and remembers what was acknowledged: paused, slowed, cancelled, and with kill -9
# at random points (REBASE_ROUNDS, default 4).

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

tool=$BUILD/cairn-stack
rounds=${REBASE_ROUNDS:-4}
mkdir -p "$work/data"
cd "$work/data" || exit 1

stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d . "$work/stack.yaml" "${arguments[@]}"
}
file() { echo "{protocol: {type: file, path: $1, read_only: true}}"; }
over() { # BACKING OPTIONS: the document of image.qcow2 on it
	echo "format: {type: qcow2, file: {protocol: {type: file, path: image.qcow2, size: 4K}}${1:+, backing: $1}${2:+, $2}}"
}
io() { # FILE COMMAND...
	local file=$1 arguments=()
	shift
	for command; do arguments+=(-c "$command"); done
	qemu-io -f "${file##*.}" "${arguments[@]}" "$file" >"$work/io" 2>&1 &&
		! grep -i -E 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
# Old and new backing files: like each other in parts, and one of them is longer.
bases() {
	rm -f -- *.raw *.qcow2
	truncate -s 8M old.raw new.raw && truncate -s 10M long.raw && truncate -s 6M short.raw &&
		io old.raw 'write -P 1 0 3M' 'write -P 2 5M 1M' 'write -P 8 7M 512k' &&
		io new.raw 'write -P 1 0 1M' 'write -P 3 2M 4M' &&
		io long.raw 'write -P 1 0 2M' 'write -P 4 6M 4M' &&
		io short.raw 'write -P 1 0 3M' 'write -P 2 5M 1M' &&
		qemu-img create -q -f qcow2 packed.qcow2 8M &&
		io packed.qcow2 'write -P 1 0 2500k' 'write -z 3M 1M' 'write -P 5 7M 1M'
}
commands=('write -P 6 1M 300K' 'zero 2M 64K' 'discard 2560K 200K' 'write -P 7 5500K 3K' 'zero 8600K 100K')
made() { # OPTIONS: an image of 9M over old.raw, and what it shows
	stack "$(over "$(file old.raw)" "size: 9M, backing_name: old.raw, backing_format: raw${1:+, $1}")" "${commands[@]}" >"$work/said" &&
		qemu-img convert -f qcow2 -O raw image.qcow2 before.raw
}
named() { # NAME FORMAT
	[ "$(qemu-img info --output json image.qcow2 | jq -r '."backing-filename" + " " + ."backing-filename-format"')" = "$1 $2" ] ||
		{ qemu-img info image.qcow2; return 1; }
}
rebased() { # NEW FORMAT [OPTIONS]: all of it, both ways
	bases && made "${3:-}" || return
	local to
	to=$(file "$1")
	[ "$2" = raw ] || to="{format: {type: qcow2, file: $to}}"
	stack "$(over "$(file old.raw)")" "job start rebase {to: $to}" 'job wait rebase' \
		'read -P 7 5500K 3K' 'write -P 9 100K 10K' 'write -P 0 100K 10K' \
		"save $work/ours" >"$work/said" && grep -q 'job rebase: done' "$work/said" || { cat "$work/said"; return 1; }
	rm old.raw
	qemu-io -f raw -c 'write -P 0 100k 10k' before.raw >"$work/io" &&
		cmp "$work/ours" before.raw &&
		qemu-img check -q -f qcow2 image.qcow2 && named "$1" "$2" &&
		qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw
}
theirs() { # an image of QEMU's, with names from another folder; QEMU goes on with it
	bases && mkdir -p deep && mv new.raw deep/ &&
		qemu-img create -q -f qcow2 -b old.raw -F raw image.qcow2 8M &&
		io image.qcow2 'write -P 6 1M 300k' 'discard 2M 64k' &&
		qemu-img convert -f qcow2 -O raw image.qcow2 before.raw &&
		stack "$(over '')" "job start rebase {to: $(file deep/new.raw)}" 'job wait rebase' >"$work/said" &&
		grep -q 'job rebase: done' "$work/said" && named "$(realpath deep/new.raw)" raw &&
		qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw &&
		qemu-img rebase -f qcow2 -b short.raw -F raw image.qcow2 &&
		qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw &&
		qemu-img check -q image.qcow2 &&
		stack "$(over '')" "job start rebase {to: $(file old.raw)}" 'job wait rebase' >"$work/said" &&
		qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw && named old.raw raw
}
little() { # what both show is not copied
	bases && qemu-img create -q -f qcow2 -b old.raw -F raw image.qcow2 8M &&
		stack "$(over '')" "job start rebase {to: $(file short.raw)}" 'job wait rebase' >"$work/said" &&
		qemu-img map --output json image.qcow2 >"$work/map" &&
		[ "$(jq '[.[] | select(.depth == 0 and .data) | .length] | add' "$work/map")" = $((512 << 10)) ] ||
		{ cat "$work/map"; return 1; }
}
from_none() { # an image that stood on nothing
	bases && stack "$(over '' 'size: 9M')" 'write -P 6 1M 300K' >"$work/said" &&
		qemu-img convert -f qcow2 -O raw image.qcow2 before.raw &&
		stack "$(over '')" "job start rebase {to: $(file new.raw)}" 'job wait rebase' 'discard 2M 1M' 'read -P 0 2M 1M' >"$work/said" &&
		named new.raw raw && qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw &&
		qemu-img check -q image.qcow2
}
unsafe() { # the pointer only
	bases && made && cp old.raw moved.raw &&
		stack "$(over "$(file old.raw)")" "job start rebase {unsafe: true, to: $(file moved.raw)}" 'job wait rebase' >"$work/said" &&
		grep -q 'job rebase: done, 0 of' "$work/said" && named moved.raw raw &&
		qemu-img compare -q -f qcow2 -F raw image.qcow2 before.raw &&
		stack "$(over "$(file moved.raw)")" "job start rebase {unsafe: true, to: $(file new.raw)}" 'job wait rebase' 'read -P 3 4M 1M' >"$work/said" &&
		named new.raw raw && qemu-img check -q image.qcow2
}
fails() { # WORDS DOCUMENT COMMAND...
	local words=$1
	shift
	stack "$@" >"$work/said" 2>&1
	grep -qF -- "$words" "$work/said" || { cat "$work/said"; return 1; }
}
inside() { bases && made && stack "$(over "$(file old.raw)")" 'snapshot-inside one' >"$work/said" &&
	fails '1 snapshots inside of the image stand on the same backing file' "$(over "$(file old.raw)")" "job start rebase {to: $(file new.raw)}" 'job wait rebase' &&
	named old.raw raw; }

plain='subclusters: "off"'
check 'onto another raw file' rebased new.raw raw "$plain"
check 'onto a longer one' rebased long.raw raw "$plain"
check 'onto a shorter one' rebased short.raw raw "$plain"
check 'onto an image' rebased packed.qcow2 qcow2 "$plain"
check 'with subclusters' rebased long.raw raw 'cluster_size: 16K, subclusters: "on"'
check 'with clusters of 2M' rebased new.raw raw "$plain, cluster_size: 2M"
check 'with clusters of 4K' rebased long.raw raw "$plain, cluster_size: 4K"
check 'of version 2' rebased long.raw raw 'version: "2"'
check 'an image of QEMU, there and back' theirs
check 'only what differs is copied' little
check 'one that stood on nothing' from_none
check 'unsafe' unsafe
check 'not while a snapshot needs the old one' inside
check 'not a raw file' fails 'is no image with a backing file' "$(file old.raw)" "job start rebase {to: $(file new.raw)}" 'job wait rebase'
check 'an image again' eval 'bases && made'
check 'not onto itself' fails 'image.qcow2' "$(over "$(file old.raw)")" "job start rebase {to: {protocol: {type: file, path: image.qcow2}}}" 'job wait rebase'

# -- through the daemon ------------------------------------------------------------
rm -f -- *.raw *.qcow2
truncate -s 16M one.raw && truncate -s 20M two.raw
qemu-io -f raw -c 'write -P 3 3M 12M' two.raw >"$work/io"
write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 64K}}, backing: {protocol: {type: file, path: one.raw, read_only: true}}}}
VOLUMES
start() { # PATH [RATE]
	gets 202 POST /jobs "{\"volume\": \"a\", \"kind\": \"rebase\", \"rate_bytes\": ${2:-0}, \"options\": {\"to\": {\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"read_only\": true}}}}" &&
		job=$(jq .id "$work/body")
}
has_ended() { ask GET "/jobs/$job?wait=20" && [ "$(jq .ended "$work/body")" != null ]; }
ends() { wait_until has_ended && says .state "\"$1\""; }
stands_on() { gets 200 GET /volumes/a/source && says .format.backing.protocol.path "\"$1\""; }
patch() { gets 200 GET "/jobs/$job" && tag=$(etag) && gets 200 PATCH "/jobs/$job" "$1" -H "If-Match: $tag"; }
done_bytes() { ask GET "/jobs/$job" && jq .done_bytes "$work/body"; }
moves() { [ "$(done_bytes)" -gt 0 ]; }
check 'the daemon starts' start_daemon
check 'what it would do' gets 200 POST '/jobs?dryRun=true' '{"volume": "a", "kind": "rebase", "options": {"to": {"protocol": {"type": "file", "path": "two.raw", "read_only": true}}}}'
check 'is said' says '.impact[0] | [.effect, (.text | test("stand on another backing file"))]' '["parked",true]'
survivor_starts
check 'a slow one' start two.raw 1048576
check 'begins' wait_until moves
check 'is paused' patch '{"paused": true}'
check 'is cancelled' gets 202 POST "/jobs/$job/cancel"
check 'and ends so' ends cancelled
check 'on the old one' stands_on one.raw
cairn() { CAIRN_SOCKET=$work/run/cairn.sock "$BUILD/cairn" "$@" </dev/null; }
check 'another one, by cairn' cairn volume rebase a two.raw
check 'on the new one' stands_on two.raw
check 'cairn asks for one' eval '! cairn volume rebase a'
check 'unsafe is not for hosts that look' gets 409 POST /jobs '{"volume": "a", "kind": "rebase", "options": {"unsafe": true, "to": {"protocol": {"type": "file", "path": "one.raw", "read_only": true}}}}'
check 'which is said' says '.detail | test("sessions of hosts are open on it")' true
kill_daemon
check 'the host goes with the daemon' survivor_ends
check 'it comes back' start_kept_daemon
check 'with all that was acknowledged' survivor_verifies
round() { # NUMBER
	local to=one.raw
	[ $(($1 % 2)) = 0 ] || to=two.raw
	survivor_starts
	start $to $(((RANDOM % 32 + 4) << 20)) || return 1
	goal=$((RANDOM % 16))000000
	wait_until reached || return 1
	kill_daemon
	survivor_ends && start_kept_daemon && survivor_verifies && ends done && stands_on $to && survivor_verifies
}
reached() { ask GET "/jobs/$job" && [ "$(jq 'if .ended then 16777216 else .done_bytes end' "$work/body")" -ge "$goal" ]; }
for ((n = 0; n < rounds; n++)); do
	check "kill -9, round $n" round $n || break
done
echo "figure rebase-kill-rounds value=$n goal=>=4 $([ "$n" -ge 4 ] && echo met || echo short)"
check 'it ends' stop_daemon
sound() { qemu-img check -q a.qcow2 || [ $? = 3 ]; } # leaks, after kills, at worst
check 'QEMU finds the image sound' sound
check 'and standing on the last one' test "$(qemu-img info --output json a.qcow2 | jq -r '."backing-filename"')" = two.raw
cd /
finish
