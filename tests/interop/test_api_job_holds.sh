#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A job that has its volume to itself, over REST: what others it refuses, and who is
# named; a job for which there is no room does not begin; and one that was killed goes
# on behind what it had kept.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img

# More than there is room for; an image whose tables say so takes next to none.
free=$(df --output=avail -B1 "$work" | tail -n 1)
vast=$((free / 2097152 * 4194304))

write_settings 0
write_document <<VOLUMES
a source: {protocol: {type: file, path: a.raw, size: 16M}}
f source: {protocol: {type: file, path: f.raw}}
room source: {format: {type: qcow2, size: $vast, file: {protocol: {type: file, path: room, size: 64K}}}}
vast source: {format: {type: qcow2, size: $vast, cluster_size: 2M, preallocation: metadata, subclusters: "off", file: {protocol: {type: file, path: vast, size: 64K}}}}
VOLUMES
mkdir -p "$work/data"
head -c 33554432 /dev/urandom >"$work/data/f.raw"
cp "$work/data/f.raw" "$work/f.was"

to() { echo "{\"to\": {\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": \"$2\"}}}"; }
order() { # VOLUME KIND [OPTIONS [RATE]]
	echo "{\"volume\": \"$1\", \"kind\": \"$2\", \"options\": ${3:-{\}}, \"rate_bytes\": ${4:-0}}"
}
held() { says '.held_by | index("job 1") != null' true; }
job_is() { ask GET "/jobs/$1" && [ "$(jq -r .state "$work/body")" = "$2" ]; }
over() {
	ask GET "/volumes/$1/source" &&
		jq --arg path "$2" '{format: {type: "qcow2", file: {protocol:
			{type: "file", path: $path, size: "64KiB"}}, backing: .}}' <"$work/body"
}

check "the daemon starts" start_daemon

# -- alone on its volume -----------------------------------------------------------
check "a slow migration" gets 202 POST /jobs "$(order a migrate "$(to b.raw 16M)" 65536)"
check "that rests" changes 200 PATCH /jobs/1 '{"paused": true}'
check "another job like it" gets 409 POST /jobs "$(order a copy "$(to c.raw 16M)")"
check "is refused by its name" says .detail '"job 1 (migrate) is at work on volume a: start this one when it has ended, or cancel it"'
check "and as a member" held
check "so is its dry run" gets 409 POST '/jobs?dryRun=true' "$(order a copy "$(to c.raw 16M)")"
check "nothing was made of it" [ ! -e "$work/data/c.raw" ]
check "there is no second job" gets 404 GET /jobs/2
check "reading is no conflict" gets 202 POST /jobs "$(order a scrub)"
check "and ends" wait_until job_is 2 done
top=$(over a top)
check "an image on top" changes 409 PUT /volumes/a/source "$top"
check "is refused by name, too" held
check "which says what to do" says '.detail | test("job .migrate. is at work on it")' true
check "another size" changes 409 POST /volumes/a/resize '{"size": "32MiB"}'
check "is held" held
check "deleting the volume" changes 409 DELETE /volumes/a
check "is held" held
check "with all that is on it, too" changes 409 DELETE '/volumes/a?cascade=true'
check "another volume is free" gets 202 POST /jobs "$(order f scrub)"
check "cancelled" gets 202 POST /jobs/1/cancel
check "it ends" wait_until job_is 1 cancelled
check "then the image is put on top" changes 200 PUT /volumes/a/source "$top"

# -- no room -----------------------------------------------------------------------
check "what does not fit" gets 507 POST /jobs "$(order vast copy "$(to vast.raw $vast)")"
check "says what it needs, and what is there" says '.detail | test("^copy of volume vast needs '$vast' bytes where vast.raw is, [0-9]+ are free: make room there$")' true
check "and has made nothing" [ ! -e "$work/data/vast.raw" ]

# -- a kill ------------------------------------------------------------------------
moved() { ask GET "/jobs/$job" && [ "$(jq .done_bytes "$work/body")" -ge "$1" ]; }
begins_behind() { ask GET "/jobs/$job" && [ "$(jq .total_bytes "$work/body")" -gt 0 ]; }
check "a snapshot in the midst" gets 202 POST /jobs "$(order a flatten '{}' 65536)"
job=$(jq .id "$work/body")
check "is refused" gets 409 POST /volumes/a/snapshots '{"name": "monday", "external": true}'
check "by the job" says .held_by "[\"job $job\"]"
check "which goes" gets 202 POST "/jobs/$job/cancel"
top=$(over f f.top)
check "an image over f" changes 200 PUT /volumes/f/source "$top"
check "which is to stand by itself" gets 202 POST /jobs "$(order f flatten '{}' 2097152)"
job=$(jq .id "$work/body")
# 11 s: flushed after 5, kept after 5 more.
check "most of it is moved" wait_until moved 23068672
check "a copy that has room" gets 202 POST /jobs "$(order room copy "$(to room.raw $vast)" 1048576)"
full=$(jq .id "$work/body")
check "which rests" changes 200 PATCH "/jobs/$full" '{"paused": true}'
kill_daemon
check "there is more to copy now" cp --sparse=always "$work/data/vast" "$work/data/room"
check "after a kill" start_kept_daemon
check "it goes on" wait_until begins_behind
check "behind what it had kept" moved 8388608
check "at its speed" says .rate_bytes 2097152
check "which is set free" changes 200 PATCH "/jobs/$job" '{"rate_bytes": 0}'
check "it ends" wait_until job_is "$job" done
check "what has no room any more fails" wait_until job_is "$full" failed
check "and says what it needs" says '.error | test("^needs '$vast' bytes where .room.raw. is to be, [0-9]+ are free")' true
check "the daemon ends" stop_daemon
check "the image stands by itself" test "$(qemu-img info --output=json "$work/data/f.top" | jq 'has("backing-filename")')" = false
check "and holds everything" qemu-img compare -q "$work/data/f.top" "$work/f.was"

# -- a kill of a commit of what hosts write to ---------------------------------------
fill() { # OPTIONS
	gets 202 POST /jobs "{\"volume\": \"f\", \"kind\": \"fill\", \"destroy\": true, \"options\": $1}" &&
		job=$(jq .id "$work/body") && wait_until job_is "$job" done
}
smaller() { [ "$(qemu-img map --output=json "$work/data/f.over" | jq '[.[] | select(.depth == 0)] | map(.length) | add // 0')" -le 20971520 ]; }
check "it starts again" start_kept_daemon
top=$(over f f.over)
check "an image over it" changes 200 PUT /volumes/f/source "$top"
check "in which there is something" fill '{"length": "12MiB"}'
check "at its end, too" fill '{"offset": "16MiB"}'
check "and nobody has it open" stop_daemon
check "is what has to be there" qemu-img convert -O raw "$work/data/f.over" "$work/f.was"
check "a start" start_kept_daemon
check "its commit" gets 202 POST /jobs "$(order f commit '{}' 2097152)"
job=$(jq .id "$work/body")
check "most of it is moved down" wait_until moved 23068672
kill_daemon
check "that is not in it any more" smaller
check "after another kill" start_kept_daemon
check "it goes on, too" wait_until begins_behind
check "behind what has left" moved 8388608
check "it is set free" changes 200 PATCH "/jobs/$job" '{"rate_bytes": 0}'
check "and ends" wait_until job_is "$job" done
check "the daemon stops" stop_daemon
check "all is below" qemu-img compare -q "$work/data/f.top" "$work/f.was"

finish
