#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mirror through the daemon, with `cairn mirror`, while a host writes and remembers
# what was acknowledged: its leg dies and comes back, kill -9, resync of what was under
# way, pivot to the leg. At the end both files were equal where they had to be, and
# all that was acknowledged is there.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
needs curl jq

write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
refuses() { # TEXT WORDS...
	local text=$1
	shift
	! cairn "$@" >"$work/said" 2>&1 && grep -q "$text" "$work/said" || { cat "$work/said"; return 1; }
}
state() { cairn mirror show a m -o json | jq -r .status.state; }
is_degraded() { [ "$(state)" = degraded ]; }
is_in_sync() { [ "$(state)" = "in sync" ]; }
files() { ask GET /volumes/a/source && jq -r '.. | objects | .path? // empty' "$work/body" | tr '\n' ' '; }

cat >"$work/leg.yaml" <<'LEG'
listeners: [{type: fault, name: bad, rules: [{op: flush, after: 1, error: EIO, count: 1}]}]
protocol: {type: file, path: dying.raw, size: 16M}
LEG

check "the daemon starts" start_daemon
check "a host writes" survivor_starts
check "what a mirror would do" cairn mirror attach a m b.raw --dry-run
check "it is not there" refuses "m" mirror show a m
check "a mirror, whose leg will die" wait_until cairn mirror attach a m -f "$work/leg.yaml" --resync manual --yes
check "it lacks everything" [ "$(cairn mirror show a m -o json | jq .status.behind_bytes)" = 16777216 ]
check "no pivot to it" refuses "start the job resync" mirror pivot a m
check "resync" cairn mirror resync a m --rate 1G
check "it dies" wait_until is_degraded
check "the log says so" grep -q "degraded" "$work/daemon.log"
check "the host goes on" kill -0 $survivor
check "no pivot to it, either" refuses "the leg has failed" mirror pivot a m
# Its rule counts anew: the first flush is the end of that.
check "it comes back" cairn mirror resync a m
check "and goes" wait_until cairn mirror detach a m --yes

check "another one, with a map" wait_until cairn mirror attach a m b.raw --map a.map --resync manual --retry 7 --yes
check "tried again soon" [ "$(cairn mirror show a m -o json | jq .retry)" = 7 ]
check "resync, too" cairn mirror resync a m
check "it is in sync" is_in_sync
check "the host still goes on" kill -0 $survivor
kill_daemon
check "until the daemon is killed" survivor_ends
check "it comes back, too" start_kept_daemon
check "with all that was acknowledged" survivor_verifies
check "what was under way is lacked, not all" [ "$(cairn mirror show a m -o json | jq .status.behind_bytes)" -le 16777216 ]
check "resync of that" cairn mirror resync a m
check "it is in sync again" is_in_sync
check "a host" survivor_starts
check "pivot, where it ends" cairn mirror pivot a m --end
check "the volume stands on the leg" [ "$(files)" = "b.raw " ]
check "without the mirror" refuses "m" mirror show a m
check "the old file is another's now" wait_until cairn mirror attach a m a.raw --map b.map --resync manual --yes
check "resync the other way" cairn mirror resync a m
kill_daemon
check "killed again" survivor_ends
check "and back" start_kept_daemon
check "all is there" survivor_verifies
check "resync, at last" cairn mirror resync a m
check "it ends" stop_daemon
check "both are equal" cmp "$work/data/a.raw" "$work/data/b.raw"
finish
