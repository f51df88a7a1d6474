#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Jobs that make a volume stand on something else, over REST and `cairn volume`, while
# a host writes and remembers what was acknowledged: migrate to an image and back,
# commit of a snapshot, flatten of a clone. The document, the running stack and the
# files agree at the end. Then kill -9 at random points (PIVOT_ROUNDS, default 8): all
# that was acknowledged is there, before and after the job has come to its end.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
needs curl jq qemu-img

rounds=${PIVOT_ROUNDS:-8}
size=16777216
write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

# -- a host --------------------------------------------------------------------

# -- stacks --------------------------------------------------------------------
raw() { echo "{\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": $size}}"; }
file() { echo "\"file\": {\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": \"64KiB\"}}"; }
image() { echo "{\"format\": {\"type\": \"qcow2\", \"size\": $size, $(file "$1")}}"; }
source_of() { ask GET /volumes/a/source && cat "$work/body"; }
over() { echo "{\"format\": {\"type\": \"qcow2\", $(file "$1"), \"backing\": $(source_of)}}"; }
snapshot() { changes 200 PUT /volumes/a/source "$(over "$1")"; }
# The document and what runs name the same files, which are there.
files() { jq -r '.. | objects | .path? // empty' | tr '\n' ' '; }
agree() { # FILES
	local kept running
	# What the daemon adds when it opens files that were there is not the document's.
	! source_of | grep must_exist || return 1
	kept=$(source_of | files)
	ask GET '/volumes/a/source?status=true'
	# A copy that goes on after the restart has a listener of its own there.
	running=$(jq '.source | del(.listeners[]? | select(.type == "carry"))' <"$work/body" | files)
	[ "$kept" = "$1 " ] && [ "$running" = "$1 " ] && return 0
	echo "kept: $kept; running: $running; expected: $1"
	return 1
}

start_with_clone() {
	start_kept_daemon && gets 200 GET /config || return 1
	jq '.volumes += [{name: "c", source: {format: {type: "qcow2",
		file: {protocol: {type: "file", path: "clone"}},
		backing: {format: {type: "qcow2", file: {protocol: {type: "file", path: "over2", read_only: true}}}}}}}]' \
		<"$work/body" >"$work/document.yaml"
	stop_daemon && start_daemon
}

cairn() { CAIRN_SOCKET=$work/run/cairn.sock timeout 120 "$BUILD/cairn" "$@" </dev/null; }
refuses() { # STATUS WORDS...
	local wanted=$1 got=0
	shift
	cairn "$@" || got=$?
	[ $got = "$wanted" ]
}

# -- jobs ----------------------------------------------------------------------
start() { # KIND [OPTIONS [RATE]]
	gets 202 POST /jobs "{\"volume\": \"a\", \"kind\": \"$1\", \"options\": ${2:-{\}}, \"rate_bytes\": ${3:-0}}" &&
		job=$(jq .id "$work/body")
}
ends() { # STATE
	wait_until has_ended
	says .state "\"$1\""
}
has_ended() { ask GET "/jobs/$job?wait=20" && [ "$(jq .ended "$work/body")" != null ]; }
does() { start "$@" && ends done; }

check "the daemon starts" start_daemon
check "a host writes" survivor_starts

# Dry runs.
would() { cairn "$@" --dry-run | grep 'needs [0-9]* bytes where a1 is, [0-9]* are free'; }
check "what cairn would do, and what that needs" would volume migrate a a1 --format qcow2
check "two targets" refuses 2 volume migrate a a1 -f "$work/document.yaml"
check "no target" refuses 2 volume migrate a
check "what a migration would do" gets 200 POST '/jobs?dryRun=true' \
	"{\"volume\": \"a\", \"kind\": \"migrate\", \"options\": {\"to\": $(image a1)}}"
check "hosts wait a moment" says '.impact[0] | [.effect, .parked_ms_max > 0]' '["parked",true]'
check "and what it needs" says '.impact[0].text | test("needs [0-9]+ bytes where a1 is, [0-9]+ are free")' true
check "it has made nothing" [ ! -e "$work/data/a1" ]

# One after the other.
check "the source" gets 200 GET /volumes/a
before=$(etag)
check "migrate to an image" cairn volume migrate a a1 --format qcow2
check "is kept" agree a1
check "as another version" gets 200 GET /volumes/a
check "by its tag" [ "$(etag)" != "$before" ]
check "the history" gets 200 GET '/history?limit=1'
check "has it" says '.items[0] | [.text, .user]' '["volume a: end of a migrate","cairnd"]'
check "so have events" gets 200 GET '/events?topics=volumes'
check "of the volume" says '[.items[] | select(.type == "volume_updated" and .data.id == "a")] | length' 1
check "and the audit" gets 200 GET '/audit?limit=20'
check "with its change" says '[.items[] | select(.operation == "endJob" and .object == "volumes/a")] | length' 1
check "migrate back" cairn volume migrate a a2.raw
check "is kept, too" agree a2.raw
check "a snapshot" snapshot over1
check "what its commit would do" gets 200 POST '/jobs?dryRun=true' '{"volume": "a", "kind": "commit"}'
check "and need" says '.impact[0].text | test("needs [0-9]+ bytes where a2.raw is, [0-9]+ are free")' true
check "commit" cairn volume commit a
check "the volume stands on the base" agree a2.raw
check "a snapshot again" snapshot over2
check "flatten" cairn volume flatten a --rate 100M
check "what is read by a job is not asked about" cairn job start a scrub
check "the image stands by itself" agree over2
check "the host goes on" kill -0 $survivor
kill_daemon
check "until the daemon is killed" survivor_ends
check "it comes back" start_kept_daemon
check "with what the jobs have left" agree over2
check "and all that was acknowledged" survivor_verifies
done_all() { ask GET '/jobs?state=done' && says '.items | length' 5; }
check "no job does its work again" done_all

# What others stand on is not changed under them: c has a's base below it, and is
# offline, as its own image is not there.
check "a snapshot of a" snapshot over3
check "it ends" stop_daemon
check "it starts with a document that has a clone, which is missing" start_with_clone
check "commit would change its base" gets 409 POST /jobs '{"volume": "a", "kind": "commit"}'
check "it says so" says '.detail | test("commit of volume a would change over2, which volume c stands on: flatten that one first")' true
check "a dry run, too" gets 409 POST '/jobs?dryRun=true' '{"volume": "a", "kind": "commit"}'
check "nor is its file a target" gets 409 POST /jobs "{\"volume\": \"a\", \"kind\": \"migrate\", \"options\": {\"overwrite\": true, \"to\": $(image clone)}}"
check "nor its own" gets 409 POST /jobs "{\"volume\": \"a\", \"kind\": \"copy\", \"options\": {\"overwrite\": true, \"to\": $(raw over3)}}"
check "what is offline has no running stack" gets 409 GET '/volumes/c/source?status=true'
check "which is said" says '.detail | test("offline")' true
check "without the clone" changes 204 DELETE /volumes/c
check "it is committed" does commit
check "into its base" agree over2

# -- kill -9 ---------------------------------------------------------------------
reached() {
	ask GET "/jobs/$job" && [ "$(jq "if .ended then $size else .done_bytes end" "$work/body")" -ge "$goal" ]
}
there() { "$@" >"$work/agreed" 2>&1 || { cat "$work/agreed"; return 1; }; }
begin() { # ROUND: starts a job, says what the volume stands on before and after
	old=$(source_of | files) old=${old% }
	case $(($1 % 4)) in
	0) new=m$1; start migrate "{\"to\": $(image "$new")}" $size ;;
	1) new=m$1.raw; start migrate "{\"to\": $(raw "$new")}" $size ;;
	2) new=$old; snapshot "s$1" && old="s$1 $old" && start commit '{}' $size ;;
	3) new=s$1; snapshot "s$1" && old="s$1 $old" && start flatten '{}' $size ;;
	esac
}
round() {
	survivor_starts
	begin "$1" || return 1
	goal=$((RANDOM % 110 * size / 100))
	[ $goal -le $size ] || goal=$size
	wait_until reached || return 1
	kill_daemon
	survivor_ends && start_kept_daemon || return 1
	there agree "$old" || there agree "$new" || return 1
	survivor_verifies && ends done && there agree "$new" && survivor_verifies
}
for ((n = 0; n < rounds; n++)); do
	check "kill -9, round $n" round $n || break
done
echo "figure pivot-kill-rounds value=$n goal=>=8 $([ "$n" -ge 8 ] && echo met || echo short)"
finish
