#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mirror that looks after itself, while a host writes and remembers what was
# acknowledged: it gets what it lacks without being told; the folder of its leg is away
# when the daemon starts, and comes back; a kill -9 in the middle of a resync. The event
# stream, the volume, the tree, the doctor and the metrics say how it stands.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
needs curl jq

write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES
mkdir "$work/data/far"

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
state() { ask GET /volumes/a && jq -r '.status.mirrors[0].state' "$work/body"; }
is() { [ "$(state)" = "$1" ]; }
event() { # STATE: the last one of a mirror
	ask GET '/events?topics=volumes' &&
		[ "$(jq -r '[.items[] | select(.type | startswith("mirror_"))] | last.type' "$work/body")" = "mirror_$1" ]
}
event_says() { ask GET '/events?topics=volumes' && jq -c '[.items[] | select(.type == "mirror_degraded")] | last.data' "$work/body" >"$work/said" && grep -qF "$1" "$work/said"; }
tree_says() { cairn tree >"$work/said" && grep -qE "$1" "$work/said" || { cat "$work/said"; return 1; }; }
doctor_says() { ask GET /system/checks && [ "$(jq -r '.items[] | select(.name == "mirrors").state' "$work/body")" = "$1" ]; }
metric() { # NAME VALUE
	curl -s -m 60 --unix-socket "$work/run/cairn.sock" http://cairn/metrics >"$work/body" &&
		grep -qF "cairn_mirror_$1{volume=\"a\",mirror=\"m\"} $2" "$work/body" || { grep mirror "$work/body"; return 1; }
}
jobs_of() { # STATE: the numbers of resyncs in it
	ask GET /jobs && jq -r "[.items[] | select(.kind == \"resync\" and .state == \"$1\").id] | join(\" \")" "$work/body"
}
stands_on() { # FILE LEG
	ask GET /volumes/a/source && says '[.protocol.path, .listeners[0].leg.protocol.path]' "[\"$1\",\"$2\"]"
}
document_is_short() {
	ask GET /volumes/a && says .source.listeners[0].leg '{"protocol":{"type":"file","path":"a.raw","size":16777216}}'
}
equal() { cmp "$work/data/a.raw" "$work/data/far/$1"; }

check "the daemon starts" start_daemon
check "no mirror" doctor_says skipped
check "a host writes" survivor_starts
check "a mirror" wait_until cairn mirror attach a m far/b.raw --map a.map --yes
check "it gets what it lacks by itself" wait_until is "in sync"
check "that is an event" wait_until event in_sync
check "a job did it" [ -n "$(jobs_of done)" ]
check "the daemon's own" [ "$(jq -r '.items[0].user' "$work/body")" = cairnd ]
check "the doctor is content" doctor_says ok
check "the metrics, too" metric in_sync 1

kill_daemon
check "the daemon is killed" survivor_ends
mv "$work/data/far" "$work/far"
check "its leg is away: the volume is there" start_kept_daemon
check "with all that was acknowledged" survivor_verifies
check "it is degraded" is degraded
check "an event says so" wait_until event degraded
check "and why" wait_until event_says far/b.raw
check "so does the tree" tree_says 'a  online .*mirror m degraded \(.*far/b.raw'
check "and the doctor" doctor_says failed
check "and the metrics" metric degraded 1
check "a host" survivor_starts
done_before=$(jobs_of done)
check "no job has failed" [ -z "$(jobs_of failed)" ]
mv "$work/far" "$work/data/far"
check "the leg comes back by itself" wait_until is "in sync"
check "by another job" [ "$(jobs_of done)" != "$done_before" ]
check "an event, too" wait_until event in_sync
check "the host has written all the time" kill -0 $survivor

check "pivot" cairn mirror pivot a m
check "the leg is the old file" stands_on far/b.raw a.raw
check "it is still in sync" is "in sync"
check "the document is short" document_is_short
check "and back" cairn mirror pivot a m
check "which the leg is again" stands_on a.raw far/b.raw
check "and there" cairn mirror pivot a m
kill_daemon
check "killed behind a pivot" survivor_ends
mv "$work/data/a.raw" "$work/a.raw"
check "the old file is away" start_kept_daemon
check "and is not made anew" is degraded
check "all that was acknowledged is in the other" survivor_verifies
check "it is said which one" wait_until event_says a.raw
mv "$work/a.raw" "$work/data/a.raw"
check "it comes back, too" wait_until is "in sync"
check "a host, again" survivor_starts
check "pivot back" cairn mirror pivot a m

check "the volume grows" wait_until cairn volume resize a 24M --yes
check "its leg, too" [ "$(stat -c %s "$work/data/far/b.raw")" = 25165824 ]
check "and gets what is new" wait_until is "in sync"

check "the mirror goes" wait_until cairn mirror detach a m --yes
failures() { # COUNT
	ask GET '/events?topics=jobs&limit=500' && [ "$(jq '[.items[] | select(.type == "failed")] | length' "$work/body")" -ge "$1" ]
}
check "one whose leg fails again and again" wait_until gets 201 POST /volumes/a/listeners '{"type": "mirror",
	"name": "m", "retry": 1, "leg": {"listeners": [{"type": "fault", "rules": [{"op": "change", "error": "EIO"}]}],
	"protocol": {"type": "file", "path": "far/bad.raw", "size": "24M"}}}'
check "is tried again" wait_until failures 3
check "the latest failure is known, no other" [ "$(jobs_of failed | wc -w)" -le 1 ]
check "it goes, too" wait_until cairn mirror detach a m --yes

cat >"$work/leg.yaml" <<'LEG'
listeners: [{type: throttle, name: slow, bytes_write: 2M}]
protocol: {type: file, path: far/slow.raw, size: 24M}
LEG
check "one that is slow" wait_until cairn mirror attach a m -f "$work/leg.yaml" --map s.map --yes
is_at_work() { [ -n "$(jobs_of running)" ]; }
check "its resync is at work" wait_until is_at_work
job=$(jobs_of running)
kill_daemon
check "it is killed in the middle" survivor_ends
check "and back" start_kept_daemon
check "it gets there" wait_until is "in sync"
is_done() { [[ " $(jobs_of done) " = *" $job "* ]]; }
check "by the same job" wait_until is_done
check "with all that was acknowledged" survivor_verifies
check "it ends" stop_daemon
check "both are equal" equal slow.raw
finish
