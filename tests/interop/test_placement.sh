#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where listeners go at a live external snapshot, by effect, through the daemon: the
# throttle still makes the name's hosts wait, whichever image they reach; the fault still
# hits the old image, and nothing that was written since. Then the other way round, as
# the call asks for. Both outlive kill -9.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 100000}, {type: fault, name: bad}], protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
# Of the throttle on top: how often somebody waited.
waited() { gets 200 GET /volumes/a/listeners/limit && jq .status.waited "$work/body"; }
reads() { for ((i = 0; i < 40; i++)); do echo "read -q $((8 << 20)) 4k"; done; } # of what no fault is for
is_throttled() { # in as few requests a second that 40 have to wait
	local before
	before=$(waited)
	cairn listener set a limit iops=40 && reads | qemu-io -f raw "$url:a/0" >"$work/io" 2>&1 &&
		! grep -iE 'fail|error' "$work/io" && [ "$(waited)" -gt "$before" ] || { cat "$work/io"; waited; return 1; }
	cairn listener set a limit iops=100000
}
fails() { ! io "$@" >/dev/null && grep -iE 'input/output error' "$work/io"; }
# Of a fault at a place of the stack: requests that it was for.
hits() { # JQ-PATH
	gets 200 GET '/volumes/a/source?status=true' &&
		jq "[.source$1.listeners[] | select(.name == \"bad\") | .status.rules[].hits] | add" "$work/body"
}
comes_back() { kill_daemon; start_kept_daemon; }

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 1M' 'write -P 1 8M 64k'
check "the throttle makes hosts wait" is_throttled
check "a place that cannot be read" cairn listener set a bad 'rules=[{"op": "read", "offset": 0, "length": 65536, "error": "EIO"}]'
check "the fault hits it" fails 'read 0 4k'
check "a snapshot" cairn snapshot create a monday --external

check "the throttle still throttles the name" is_throttled
check "the fault still hits the old image" fails 'read 4k 4k'
was=$(hits .format.backing)
check "that counts there" [ "$was" -gt 0 ]
check "what is new is written" io 'write -P 2 0 64k'
check "and read: it is not in the old image" io 'read -P 2 0 64k'
check "which nobody asked" [ "$(hits .format.backing)" = "$was" ]
check "elsewhere both are read" io 'read -P 1 64k 960k' 'read -P 1 8M 64k'
check "after kill -9" comes_back
check "the throttle still does" is_throttled
check "what was written is" io 'read -P 2 0 64k'
check "the new image is new again there" cairn snapshot create a tuesday --external

check "a fault on top" cairn listener attach a fault worse 'rules=[{"op": "read", "offset": 131072, "length": 4096, "error": "EIO"}]' --yes
check "hits" fails 'read 128k 4k'
check "the other way round" cairn snapshot create a wednesday --external --placement limit=image --placement worse=head
check "the throttle is the old image's" gets 404 GET /volumes/a/listeners/limit
check "the fault is the name's" fails 'read 128k 4k'
check "also of what is new" io 'write -P 3 128k 4k'
check "it is" fails 'read 128k 4k'
check "all else is read" io 'read -P 2 0 64k' 'read -P 1 256k 64k'
check "it ends" stop_daemon
finish
