#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The listener backup with a map through the daemon, while a host writes and remembers
# what was acknowledged: kill -9, restart, a clean stop; the moment, a volume of its own,
# stays byte for byte what it was, the job makes it whole, and its target is that without
# the daemon. Who writes to the image while the daemon stands still breaks it.

# Nothing here hangs on what a disk does: memory will do.
[ -d /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

rounds=${BACKUP_ROUNDS:-3}
write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
VOLUMES

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
status() { gets 200 GET /volumes/a/listeners/b && says ".status.$1" "$2"; }
is_durable() { status durable true; }
has_copied() { # more than COUNT granules
	gets 200 GET /volumes/a/listeners/b && [ "$(jq .status.copied_granules "$work/body")" -gt "$1" ]
}
copied() { gets 200 GET /volumes/a/listeners/b && jq .status.copied_granules "$work/body"; }
shown() { # the moment as a read-only volume
	gets 200 GET /exports && gets 201 POST /volumes "{\"name\": \"old\", \"source\": {\"source\": \"a\",
		\"view\": {\"backup\": \"b\"}}, \"export\": {\"hosts\": $(jq -c '.items[0].hosts' "$work/body")}}"
}
remembered() { qemu-img convert -f raw -O raw "$url:old/0" "$work/moment.raw"; }
is_the_same() { qemu-img compare -f raw -F raw "$work/moment.raw" "$url:old/0"; }
sound() { # a killed daemon may leave leaks (3), nothing worse
	qemu-img check -q -f qcow2 "$work/data/copy.qcow2" || [ $? = 3 ]
}
target='{"format": {"type": "qcow2", "size": "16M", "file": {"protocol": {"type": "file", "path": "copy.qcow2", "size": "4K"}}}}'
attached() { # NAME
	gets 201 POST /volumes/a/listeners "{\"type\": \"backup\", \"name\": \"$1\", \"map\": \"a.moment\", \"granularity\": 4096, \"target\": $target}"
}

broken_events() { # COUNT TEXT
	ask GET '/events?topics=volumes' && jq -c '[.items[] | select(.type == "backup_broken").data]' "$work/body" >"$work/said" &&
		[ "$(jq length "$work/said")" = "$1" ] && grep -q "$2" "$work/said" || { cat "$work/said"; return 1; }
}

check "the daemon starts" start_daemon
check "a host" survivor_starts
check "a backup while it writes" attached b
check "its moment" shown
check "is remembered" remembered
check "it is durable soon" wait_until is_durable
for ((round = 1; round <= rounds; round++)); do
	before=$(copied)
	[ "$before" -lt 4096 ] || break
	check "old data are copied ($round)" wait_until has_copied "$before"
	kill_daemon
	check "until the daemon is killed ($round)" survivor_ends
	check "it comes back ($round)" start_kept_daemon
	check "with all that was acknowledged ($round)" survivor_verifies
	check "the backup goes on ($round)" status 'state | IN("active", "complete")' true
	check "the moment is what it was ($round)" is_the_same
	check "the host writes again ($round)" survivor_starts
done
check "the rest is copied, while it writes" cairn job start a backup listener=b --wait
check "all of it" status state '"complete"'
check "the moment is the same" is_the_same
kill_daemon
check "killed again" survivor_ends
check "and back" start_kept_daemon
check "it is complete still" status state '"complete"'
check "and the same" is_the_same
check "a clean stop" stop_daemon
check "the target alone is the moment" qemu-img compare -f raw -F qcow2 "$work/moment.raw" "$work/data/copy.qcow2"
check "which QEMU finds sound" sound

check "a start" start_kept_daemon
check "the view goes" changes 204 DELETE '/volumes/old?cascade=true'
check "the backup goes" cairn listener detach a b --yes
rm "$work/data/copy.qcow2"
check "another one" attached b
check "a change" io 'write -P 9 0 64k'
check "it is durable, too" wait_until is_durable
check "it stops" stop_daemon
check "somebody writes to the image" qemu-io -f qcow2 -c 'write -P 7 1M 64k' "$work/data/a.qcow2"
check "the daemon starts again" start_kept_daemon
check "the backup is broken" status state '"broken"'
check "an event says so" broken_events 1 'image was changed'
check "and says why" status 'broken | test("image was changed")' true
check "there is nothing to be shown" gets 409 POST /volumes '{"name": "old", "source": {"source": "a", "view": {"backup": "b"}}}'
check "hosts go on" io 'write -P 8 0 1M' 'read -P 8 0 1M' 'read -P 7 1M 64k'
doctor_says() { gets 200 GET /system/checks && [ "$(jq -r '.items[] | select(.name == "backups").state' "$work/body")" = "$1" ]; }
check "so does the doctor" doctor_says failed
check "it is detached" cairn listener detach a b --yes
rm -f "$work/data/copy.qcow2"
check "and attached again" attached b
check "the doctor finds nothing any more" doctor_says ok
check "it keeps a moment" io 'write -P 5 0 64k'
check "the daemon stops" stop_daemon
check "its target is away" mv "$work/data/copy.qcow2" "$work/away"
check "the daemon starts without it" start_kept_daemon
check "hosts have their volume" io 'read -P 5 0 64k' 'write -P 4 0 64k'
check "the backup alone is broken" status state '"broken"'
check "an event says so from the start on" broken_events 1 'target'
check "as its target is not there" status 'broken | test("target")' true
check "which the doctor says" doctor_says failed
check "it ends" stop_daemon
finish
