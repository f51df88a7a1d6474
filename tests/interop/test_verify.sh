#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The listener verify through the daemon, with one and with three other sources of other
# formats: what a host writes is on all; a byte that is another one in one of them is told
# with its place and both values, in the status, in the log and as an event; log, fail and
# stop do to the host what they say.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-io qemu-img

write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
VOLUMES

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
raw() { echo "{\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": \"16M\"}}"; }
attached() { # NAME ACTION OTHER...
	local others
	others=$(IFS=, && echo "${*:3}")
	gets 201 POST /volumes/a/listeners "{\"type\": \"verify\", \"name\": \"$1\", \"action\": \"$2\", \"others\": [$others]}"
}
copied() { qemu-img convert -f raw -O raw "$url:a/0" "$work/data/$1"; }
byte_at() { # FILE OFFSET: another one
	printf '\x5a' | dd of="$work/data/$1" bs=1 seek="$2" conv=notrunc,fsync status=none
}
status() { gets 200 GET "/volumes/a/listeners/$1" && says ".status.$2" "$3"; }
event() { # TYPE LAYER PATTERN
	ask GET '/events?topics=volumes' && jq -e --arg type "$1" --arg layer "$2" --arg text "$3" \
		'[.items[] | select(.type == $type and .data.layer == $layer and .data.volume == "a") | .data.text | test($text)] == [true]' "$work/body"
}
fails() { ! io "$@" >/dev/null && grep -iE 'input/output error' "$work/io"; }
refused() { ! io "$@" && cat "$work/io"; }
same() { qemu-img compare -f "$1" -F raw "$work/data/$2" "$url:a/0"; }
another='{"format": {"type": "qcow2", "size": "16M", "cluster_size": "4K", "file": {"protocol": {"type": "file", "path": "d.qcow2", "size": "4K"}}}}'

check "the daemon starts" start_daemon
check "a new volume beside three others" attached three log "$(raw b.raw)" "$(raw c.raw)" "$another"
check "a host works on all" io 'write -P 1 0 1M' 'write -P 2 4095k 130k' 'write -z 512k 64k' 'write -P 3 15M 1M' flush \
	'read -P 1 0 512k' 'read -P 0 512k 64k' 'read -P 2 4095k 130k' 'read -P 3 15M 1M'
check "what it reads is compared" status three 'compared_bytes > 2000000' true
check "and equal" status three differences 0
check "one byte is another" byte_at c.raw 1234
check "elsewhere nothing is wrong" io 'read -P 1 4k 64k'
check "nothing is told" status three differences 0
check "there the host reads what it wrote" io 'read -P 1 0 4k'
check "it is counted" status three differences 1
check "with its place" status three first_offset_bytes 1234
check "and both bytes" status three 'first | test("at byte 1234 there is 0x01, in .*three.* 0x5a")' true
check "in the log, too" grep -q 'verify.*at byte 1234 there is 0x01' "$work/daemon.log"
check "as an event" wait_until event verify_difference three 'at byte 1234 there is 0x01, in .* 0x5a'
check "another byte of another" byte_at b.raw 5000
check "is read well" io 'read -P 1 4k 4k'
check "counted, too" status three differences 2
check "the first stays the first" status three first_offset_bytes 1234
check "it is told once" event verify_difference three 'at byte 1234'
check "it goes" cairn listener detach a three --yes
check "the third was equal all the time" same qcow2 d.qcow2

check "a copy" copied one.raw
check "beside it, to fail" attached one fail "$(raw one.raw)"
check "a host works" io 'write -P 4 2M 64k' 'read -P 4 2M 64k'
check "a byte is another" byte_at one.raw 2097159
check "who reads it fails" fails 'read 2M 4k'
check "with its place, as an event" wait_until event verify_difference one 'at byte 2097159 there is 0x04, in .* 0x5a'
check "who reads elsewhere does not" io 'read -P 4 2052k 4k' 'write -P 5 3M 4k' 'read -P 5 3M 4k'
check "what is written anew is equal again" io 'write -P 6 2M 64k' 'read -P 6 2M 64k'
check "it goes, too" cairn listener detach a one --yes

check "another copy" copied last.raw
check "beside it, to stop" attached last stop "$(raw last.raw)"
check "the host goes on" io 'write -P 7 2M 64k' 'read -P 7 2M 64k'
check "until a byte is another" byte_at last.raw 8388609
check "which stops it" fails 'read 8M 4k'
check "and all else" refused 'read 2M 4k'
check "writes, too" refused 'write -P 9 2M 4k'
check "the difference is an event" wait_until event verify_difference last 'at byte 8388609 there is 0x00, in .* 0x5a'
check "so is that it has failed" wait_until event verify_failed last 'at byte 8388609'
check "the volume says so" gets 200 GET /volumes/a
check "as its state" says .status.state '"failed"'
check "it ends" stop_daemon
check "nothing was written after the stop" bash -c "! qemu-io -r -f qcow2 -c 'read -P 7 2M 64k' '$work/data/a.qcow2' | grep -i fail"
check "the other has the same there" bash -c "! qemu-io -r -f raw -c 'read -P 7 2M 64k' '$work/data/last.raw' | grep -i fail"
finish
