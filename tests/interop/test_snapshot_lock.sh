#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots that are locked until a date, by REST and by cairn: nothing deletes or
# purges them or commits through them, also after the daemon was killed and under
# another volume's name; a lock is lengthened, lifted with an audit record, and ends.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
VOLUMES

at=/volumes/a/snapshots
cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
lock() { changes "$1" PUT "$at/$2/lock" "{\"until\": \"$3\"}"; } # STATUS SNAPSHOT UNTIL
refused() { changes 409 "$@" && says '.detail | contains("is locked until 2")' true; }
comes_back() { kill_daemon; start_kept_daemon; }
audited() { # OPERATION
	gets 200 GET '/audit?limit=100' && says "[.items[] | select(.operation == \"$1\" and .result == \"ok\")] | length" 1
}
over() { gets 200 GET "$at/short" && says .locked_until null; }
refuses_job() { # KIND [QUERY]
	local to='{"protocol": {"type": "file", "path": "other", "size": "16M"}}'
	local options=
	case $1 in pivot) options=', "options": {"listener": "m"}' ;; esac
	case $1 in migrate | rebase) options=", \"options\": {\"to\": $to}" ;; esac
	gets 409 POST "/jobs${2:-}" "{\"volume\": \"a\", \"kind\": \"$1\"$options}" &&
		says ".detail | contains(\"$1 of volume a would take an image away\") and contains(\"is locked until 2101\")" true
}
begins_commit() { gets "$1" POST /jobs '{"volume": "a", "kind": "commit"}'; }

check "the daemon starts" start_daemon
check "one in the image" gets 201 POST $at '{"name": "inside"}'
check "not locked" says .locked_until null
check "nor can that be lifted" changes 404 DELETE $at/inside/lock
check "not until what is over" lock 422 inside 2020-01-01T00:00:00Z
check "nor until some time" lock 422 inside soon
check "what is not there" lock 404 none 2100-01-01T00:00:00Z
check "what it would be" changes 200 PUT "$at/inside/lock?dryRun=true" '{"until": "2100-01-01T00:00:00Z"}'
check "nothing was locked" changes 404 DELETE $at/inside/lock
check "locked" lock 200 inside 2100-01-01T00:00:00Z
check "until then" says .locked_until '"2100-01-01T00:00:00.000Z"'
check "which lists say" gets 200 GET $at
check "of it" says '.items[0].locked_until' '"2100-01-01T00:00:00.000Z"'
check "it is not deleted" refused DELETE $at/inside
check "not shortened" lock 409 inside 2099-01-01T00:00:00Z
check "but lengthened, by cairn" cairn snapshot lock a inside 2101-01-01T00:00:00Z
check "which says until when" said "is locked until 2101-01-01T00:00:00.000Z"
check "a killed daemon comes back" comes_back
check "with the lock" refused DELETE $at/inside
check "its file is not purged" refused DELETE '/volumes/a?purge=true&cascade=true'
check "nor in a plan" refused DELETE '/volumes/a?purge=true&cascade=true&dryRun=true'
check "it is gone back to" gets 200 POST $at/inside/revert '{"destroy": true}'
check "and is locked still" refused DELETE $at/inside
check "an external one" gets 201 POST $at '{"name": "outside", "external": true}'
check "nothing is committed to an image with a locked one" begins_commit 409
check "and says why" says '.detail | contains("snapshot \"inside\" in a.qcow2 is locked until 2101")' true
check "the volume does not move away from it" refuses_job migrate
check "nor to a leg of a mirror" refuses_job pivot
check "nor does it without that image" refuses_job flatten
check "nor over another one" refuses_job rebase
check "nor in a plan" refuses_job flatten '?dryRun=true'
check "that is locked itself" lock 200 outside 2100-06-01T00:00:00Z
check "as it is" says '[.kind, .image, .locked_until]' '["external","a.qcow2","2100-06-01T00:00:00.000Z"]'
check "lifted, by cairn" cairn snapshot unlock a outside --yes
check "which is said" said "snapshot outside of volume a is not locked any more"
check "and audited" audited unlockSnapshot
check "a short one" gets 201 POST $at '{"name": "short"}'
check "for two seconds" lock 200 short "$(date -u -d '+2 seconds' +%FT%TZ)"
check "ends" wait_until over
check "then it may go" changes 204 DELETE $at/short
check "it ends" stop_daemon
finish
