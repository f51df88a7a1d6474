#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Schedules when all is not well, by a clock that the test sets: days of runs and what
# is kept of them; runs that were missed while the daemon was away or its clock was set;
# a volume that is not there yet; I/O that does not end in time; a run that is due while
# the last is under way; an image without room. Each with its event, its line of the
# log, and what the doctor says.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/clock.sh"
. "$(dirname "$0")/host.sh"
. "$(dirname "$0")/schedules.sh"
needs curl jq qemu-io

write_settings 0
# b has no room for a third snapshot until one is deleted.
room='[{purpose: snapshot_l1_write, op: write, state: 1, after: 2, error: ENOSPC}, {purpose: header_snapshots, op: write, state: 1, after: 2, new_state: 2}]'
write_document <<VOLUMES
a source: {format: {type: qcow2, size: 4M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
b source: {format: {type: qcow2, size: 4M, file: {listeners: [{type: fault, name: full, rules: $room}], protocol: {type: file, path: b.qcow2, size: 4K}}}}
VOLUMES
# What the image of a lies on can be told to hold what comes.
sed -i -e 's/^  - {name: a, .*/  - {name: a, source: {format: {type: qcow2, size: 4M, file: {source: low}}}}/' \
	-e 's/^volumes:$/&\n  - {name: low, source: {listeners: [{type: fault, name: stuck}], protocol: {type: file, path: a.qcow2, size: 4K}}}/' \
	"$work/document.yaml"

since_says() { line_comes "$2" "$work/daemon.log" "$daemon_pid" "$1"; } # FROM PATTERN
nights() { # FIRST LAST: each day's run
	local day
	for ((day = $1; day <= $2; day++)); do
		runs_at "2027-03-$day 02:30:03" nightly || { echo "day $day"; return 1; }
	done
}
doctor() { # STATE WORDS
	gets 200 GET /system/checks &&
		says '.items[] | select(.name == "schedules") | [.state, (.text | contains("'"$2"'"))]' "[\"$1\",true]"
}

# -- days go by ----------------------------------------------------------------------
set_clock '2027-03-01 12:00:00'
check "the daemon starts" start_daemon
check "each night" gets 201 POST /schedules '{"name": "nightly", "volumes": ["a"], "every": "day", "at": "02:30", "keep": {"daily": 3, "weekly": 2}}'
check "the first is tomorrow's" status nightly .next_run '"2027-03-02T02:30:00.000Z"'
check "a week and a day" nights 2 9
check "three days stay, and the last of the week before" has a nightly "07 08 09"
check "eight more" nights 10 17
check "three days stay, and the last of the week before" has a nightly "14 15 16 17"
check "the doctor is content" doctor ok "last run has failed"

# -- missed --------------------------------------------------------------------------
missed() { # TIME: while the daemon was away; what it says of that
	from=$(next_line "$work/daemon.log")
	kill_daemon
	set_clock "$1"
	start_kept_daemon && since_says "$from" 'schedule nightly was due at '
}
check "five nights without a daemon" missed '2027-03-22 09:00:00'
check "are one run" since_says "$from" 'schedule nightly, by the clock: snapshot nightly-20270322T0900'
check "which is told" event schedule_missed '[.schedule, .since, .count]' '["nightly","2027-03-18T02:30:00.000Z",5]'
check "once" status nightly '[.made, .next_run]' '[1,"2027-03-23T02:30:00.000Z"]'
check "two weeks and three days" has a nightly "16 17 22"
check "the clock jumps" runs_at '2027-03-24 18:00:00' nightly
check "over two nights" event schedule_missed .count 2
check "the clock is set back" set_clock '2027-03-23 01:00:00'
back() { ask GET /schedules/nightly && [ "$(jq -r .status.next_run "$work/body")" = 2027-03-23T02:30:00.000Z ]; }
check "which it counts from" wait_until back
check "and runs at the next one" runs_at '2027-03-23 02:30:02' nightly
check "three days, each once, and the week before" has a nightly "17 22 23 24"

# -- a volume that is not there --------------------------------------------------------
kill_daemon
mv "$work/data/a.qcow2" "$work/data/away"
set_clock '2027-03-26 09:00:00'
from=$(next_line "$work/daemon.log")
check "a start without the file" start_kept_daemon
check "the missed run finds the volume offline" since_says "$from" 'schedule nightly: volume a is offline: .*tried again'
check "another run has to wait for it" gets 409 POST /schedules/nightly/run
check "which is said" says '.detail | contains("runs already")' true
mv "$work/data/away" "$work/data/a.qcow2"
check "once it is there the snapshot is made" since_says "$from" 'schedule nightly, by the clock: snapshot nightly-20270326T0900'
check "as the status says" status nightly '[.last_result, .made]' '["done",1]'

# -- I/O that does not end in time -----------------------------------------------------
verb() { gets 200 POST /volumes/low/listeners/stuck/commands "{\"verb\": \"$1\", \"arguments\": {$2}}"; }
hold() { # one read of a host
	verb hold '"name": "it", "op": "read", "count": 1' || return 1
	qemu-io -r -f raw -c 'read -P 1 0 4k' "$url:a/0" >"$work/io" 2>&1 &
	host_pid=$!
	wait_until held
}
held() { gets 200 GET '/volumes/low/source?status=true' && [ "$(jq '[.. | .held? // empty | numbers] | add' "$work/body")" -ge 1 ]; }
release() {
	verb remove '"name": "it"' && verb release '' || return 1
	wait "$host_pid" && ! grep -i -E 'fail|error' "$work/io"
}
check "something to read" io 'write -P 1 0 4k'
check "a read that does not end" hold
set_clock '2027-03-26 09:10:00'
check "by hand it is tried for some seconds, then it has failed" gets 503 POST /schedules/nightly/run
check "the status says why" status nightly '[.last_result, (.reason | contains("did not finish"))]' '["failed",true]'
check "the doctor, too" doctor warning "the last run of nightly failed"
check "a listener that needs a moment without it is tried for some seconds, too" gets 503 POST /volumes/a/listeners '{"type": "fault"}'
check "then that is said" says '.detail | (contains("did not finish") and contains("tried "))' true
check "and when to come again" has_header 'retry-after: 5'
check "so does an event" event schedule_failed .schedule '"nightly"'
from=$(next_line "$work/daemon.log")
check "each minute" gets 201 POST /schedules '{"name": "often", "volumes": ["a"], "every": "1m", "keep": {"latest": 2}}'
set_clock '2027-03-26 10:00:10'
check "a run by the clock is tried again" since_says "$from" 'schedule often: .*tried again'
set_clock '2027-03-26 10:01:10'
check "the next one is left out meanwhile" since_says "$from" 'schedule often is due, but its last run is under way'
check "which is told" event schedule_skipped '[.schedule, .reason]' '["often","its last run is under way"]'
check "the read ends" release
check "then the snapshot is made" since_says "$from" 'schedule often, by the clock: snapshot often-20270326T1000'
check "one" status often '[.last_result, .made]' '["done",1]'
check "no more of these" changes 204 DELETE /schedules/often

# -- no room --------------------------------------------------------------------------
check "of b" gets 201 POST /schedules '{"name": "full", "volumes": ["b"], "every": "day", "at": "12:00", "keep": {"latest": 2}}'
check "one" runs_at '2027-03-27 12:00:01' full
check "two" runs_at '2027-03-28 12:00:01' full
from=$(next_line "$work/daemon.log")
set_clock '2027-03-29 12:00:01'
check "there is no room for a third" since_says "$from" 'schedule full: volume b: .*No space left'
check "those that are kept stay" has b full "27 28"
check "the status says why" status full '[.last_result, .made, .deleted, (.reason | contains("No space left"))]' '["failed",0,0,true]'
check "the doctor, too" doctor warning "schedules"
check "one less to keep" changes 200 PATCH /schedules/full '{"keep": {"latest": 1}}'
check "makes room, in which the snapshot is made" runs_at '2027-03-30 12:00:01' full
check "the others have gone" has b full "30"
check "as the status says" status full '[.last_result, .made, .deleted]' '["done",1,2]'
check "it ends" stop_daemon
finish
