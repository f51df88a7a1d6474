#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Schedules of snapshots, by REST and by cairn: run by hand and by the clock, of one
# volume and of several at one moment; retention lets go what a schedule has made and
# nothing else, never what is locked or in use; failures are told; all of it is there
# after the daemon was killed.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq

write_settings 0
image() { echo "source: {format: {type: qcow2, size: 4M, file: {protocol: {type: file, path: $1.qcow2, size: 4K}}}}"; }
write_document <<VOLUMES
a $(image a)
b $(image b)
plain source: {protocol: {type: mem, size: 1M}}
VOLUMES

cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
fails() { # WORDS COMMAND: not because it ran in this second
	local words=$1 tries=0
	shift
	while ! cairn "$@" >"$work/run.out"; do
		said "has run in this second" >/dev/null && [ $((tries += 1)) -lt 1200 ] ||
			break
	done
	said "$words"
}
status() { gets 200 GET "/schedules/$1" && says ".status | $2" "$3"; } # NAME FILTER VALUE
again() { # of one second the second run is refused, and nothing of the first is lost
	local tries=0
	until runs one && gets 409 POST /schedules/one/run >"$work/run.out"; do
		[ $((tries += 1)) -lt 50 ] || { cat "$work/run.out"; return 1; }
	done
	says '.detail | contains("has run in this second")' true &&
		status one '[.last_result, .made]' '["done",1]'
}
runs() { # NAME: as soon as it may
	local tries=0
	until gets 200 POST "/schedules/$1/run" >"$work/run.out"; do
		[ "$status" = 409 ] && [ $((tries += 1)) -lt 1200 ] || { cat "$work/run.out"; return 1; }
	done
}
snapshots() { # VOLUME: their names
	gets 200 GET "/volumes/$1/snapshots" >/dev/null && jq -r '.items[].name' "$work/body"
}
has() { # VOLUME COUNT PREFIX
	local found
	found=$(snapshots "$1" | grep -c "^$3")
	[ "$found" = "$2" ] && return 0
	echo "$1 has $found of $3, not $2:"
	snapshots "$1"
	return 1
}
last() { gets 200 GET "/schedules/$1" >/dev/null && jq -r .status.snapshot "$work/body"; }
same_in_both() { [ "$(snapshots a | grep ^both)" = "$(snapshots b | grep ^both)" ]; }
audited() { # OPERATION
	gets 200 GET '/audit?limit=100' && [ "$(jq "[.items[] | select(.operation == \"$1\")] | length" "$work/body")" -ge 1 ]
}
comes_back() { kill_daemon; start_kept_daemon; }
# At the next minute: a wait for a line ends a little too early for some.
by_the_clock() { daemon_says 'schedule clock, by the clock' || daemon_says 'schedule clock, by the clock'; }

check "the daemon starts" start_daemon

# -- what is refused ---------------------------------------------------------------
refused() { # POINTER BODY
	gets 422 POST /schedules "$2" && says '.errors[0].pointer' "\"$1\""
}
check "a volume that is not there" gets 422 POST /schedules '{"name": "x", "volumes": ["none"], "every": "day", "keep": {"daily": 1}}'
check "a period that is none" refused /every '{"name": "x", "volumes": ["a"], "every": "sometimes", "keep": {"daily": 1}}'
check "nothing to keep" refused /keep '{"name": "x", "volumes": ["a"], "every": "day", "keep": {}}'
check "a time of day that is none" refused /at '{"name": "x", "volumes": ["a"], "every": "day", "at": "25:00", "keep": {"daily": 1}}'
check "no schedule by that name" gets 404 POST /schedules/x/run

# -- by hand -----------------------------------------------------------------------
check "a dry run makes none" cairn schedule create one --volumes a --every day --at 02:30 --keep-latest 2 --dry-run
check "it is not there" gets 404 GET /schedules/one
check "made, by cairn" cairn schedule create one --volumes a --every day --at 02:30 --zone Europe/Berlin --keep-latest 2
check "listed" cairn schedule list
check "with its period" said day
check "enabled, as nobody said otherwise" gets 200 GET /schedules/one
check "which is told" says '[.enabled, .group]' '[true,true]'
check "when it runs next is told" status one '.next_run | type' '"string"'
check "it never ran" status one .last_result '"never"'
check "a dry run of a run" gets 200 POST '/schedules/one/run?dryRun=true'
check "makes nothing" has a 0 one-
check "by somebody" gets 201 POST /volumes/a/snapshots '{"name": "mine"}'
check "a first run" runs one
check "is done" status one '[.last_result, .made, .deleted]' '["done",1,0]'
check "its snapshot is there" has a 1 one-
first=$(last one)
check "a second run" runs one
check "a third" runs one
check "lets the first go" status one '[.made, .deleted]' '[1,1]'
gone() { ! snapshots a | grep -qx "$1"; }
check "which is gone" gone "$first"
check "two stay" has a 2 one-
check "and what it did not make" has a 1 mine
check "twice in a second" again
check "two stay" has a 2 one-
check "audited" audited runSchedule
check "what went, too" audited deleteSnapshot

# -- what stays though it should go -------------------------------------------------
locked=$(last one)
check "one is locked" changes 200 PUT "/volumes/a/snapshots/$locked/lock" '{"until": "2100-01-01T00:00:00Z"}'
check "a run" runs one
shown=$(last one)
check "one is shown" gets 201 POST "/volumes/a/snapshots/$shown/clone" '{"name": "shows"}'
check "more runs" runs one
check "more runs" runs one
check "more runs" runs one
kept() { # SNAPSHOT WORDS
	gets 200 GET /schedules/one && says "[.status.kept[] | select(.snapshot == \"$1\" and (.reason | contains(\"$2\")))] | length" 1
}
check "the locked one stays, and why" kept "$locked" "is locked until 2100"
check "the shown one stays, and by whom" kept "$shown" "volume shows"
check "with two that are wanted" has a 4 one-

# -- several at one moment ------------------------------------------------------------
check "of two volumes" cairn schedule create both --volumes a,b --every 24h --keep-latest 3
check "run by cairn" cairn schedule run both
check "which names them" said "snapshot both-"
check "one in each" has b 1 both-
check "of one name" same_in_both
check "of one that keeps none" gets 201 POST /schedules '{"name": "half", "volumes": ["b", "plain"], "every": "day", "keep": {"latest": 1}}'
check "its run fails" fails "source 'plain'" schedule run half
check "which the status says" status half '[.last_result, .made]' '["failed",0]'
check "and makes none in the other" has b 0 half-
check "alone it would" changes 200 PATCH /schedules/half '{"group": false}'
check "and still fails as a whole" fails "source 'plain'" schedule run half
check "but makes what it can" has b 1 half-
check "a volume of a schedule is not deleted" changes 409 DELETE /volumes/b
check "nor with all that hangs on it" changes 409 DELETE '/volumes/b?cascade=true'

# -- by the clock, and after a kill ----------------------------------------------------
check "every minute" cairn schedule create clock --volumes b --every 1m --keep-latest 5
check "a killed daemon comes back" comes_back
check "it still owns what it made" runs one
check "and lets go of no other" has a 1 mine
check "the lock holds" kept "$locked" "is locked until 2100"
check "it runs by the clock" by_the_clock
check "which made one" has b 1 clock-
check "by nobody's hand" status clock '[.last_result, .made]' '["done",1]'
check "disabled" cairn schedule set clock enabled=false
check "it runs no more" status clock .next_run null
check "removed" cairn schedule delete clock --yes
check "what it made stays" has b 1 clock-
check "a new one of that name" cairn schedule create clock --volumes b --every day --keep-latest 1 enabled=false
check "runs" runs clock
check "and does not let go of what it did not make" has b 2 clock-
check "it ends" stop_daemon
finish
