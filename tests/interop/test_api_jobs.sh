#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Jobs over REST: started, watched, slowed, paused, cancelled, refused; the same key
# twice; and after the daemon was killed.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl

write_settings 0
write_document <<END
disk source: {protocol: {type: file, path: disk.raw, size: 256MiB}}
END

# The first "NAME":VALUE of the answer, without quotes.
value() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" "$work/body"; }
start_job() { sends local_api POST /api/v1/jobs "$@"; }
change_job() { sends local_api PATCH "/api/v1/jobs/$1" "$2" -H 'If-Match: *'; }
is() { # NAME VALUE
	[ "$(value "$1")" = "$2" ] && return 0
	cat "$work/body"
	return 1
}
state_is() { local_api "/api/v1/jobs/$1" && is state "$2" 2>/dev/null >&2; }

check "the daemon starts" start_daemon
check "no job yet" answers 200 local_api /api/v1/jobs
check "an empty list" body_has '{"items":[],"next":null}'

check "what destroys data is not started unasked" problem invalid 422 start_job '{"volume": "disk", "kind": "fill"}'
check "that is said" body_has 'DESTROYS all data of disk'
check "where to say it is meant" body_has '"/destroy"'
check "nothing began" answers 404 local_api /api/v1/jobs/1
check "a job" answers 202 start_job '{"volume": "disk", "kind": "fill", "destroy": true, "options": {"length": "8MiB"}}'
check "where it is" has_header 'location: /api/v1/jobs/1'
check "waiting for its end" answers 200 local_api '/api/v1/jobs/1?wait=60'
check "it is done" is state done
check "all of it" is done_bytes 16777216
check "it has ended" body_has '"ended":"20'
check "it is listed" answers 200 local_api '/api/v1/jobs?state=done&volume=disk'
check "by state" body_has '"id":1'
check "not under another" answers 200 local_api '/api/v1/jobs?state=failed'
check "that list is empty" body_has '"items":[]'
check "events tell" answers 200 local_api '/api/v1/events?topics=jobs'
check "of its start and its end" body_has '"type":"done"'
check "what has ended cannot be cancelled" problem conflict 409 local_api -X POST /api/v1/jobs/1/cancel
check "nor changed" problem conflict 409 change_job 1 '{"paused": true}'

check "no such job" problem not-found 404 local_api /api/v1/jobs/99
check "no number" problem not-found 404 local_api /api/v1/jobs/x
check "no such volume" problem not-found 404 start_job '{"volume": "none", "kind": "fill", "destroy": true}'
check "no such kind" problem invalid 422 start_job '{"volume": "disk", "kind": "magic"}'
check "no such option" problem invalid 422 start_job '{"volume": "disk", "kind": "fill", "options": {"colour": 1}}'
check "a target that is none" problem invalid 422 start_job '{"volume": "disk", "kind": "migrate", "options": {"to": {"protocol": {"type": "file", "path": "../x"}}}}'
check "it says where" body_has '"/options/to/protocol/path"'
check "the name of a volume" problem invalid 422 start_job '{"volume": "disk", "kind": "copy", "options": {"to": "disk"}}'
check "nothing to flatten" problem invalid 422 sends local_api POST '/api/v1/jobs?dryRun=true' '{"volume": "disk", "kind": "flatten"}'
check "nor to commit" problem invalid 422 sends local_api POST '/api/v1/jobs?dryRun=true' '{"volume": "disk", "kind": "commit"}'
check "that is said, too" body_has 'is no image with a backing file'
check "no such member" problem invalid 422 start_job '{"volume": "disk", "kind": "fill", "sped": 1}'
check "a member is missing" problem invalid 422 start_job '{"volume": "disk"}'
check "no JSON" problem syntax 400 start_job '{"volume": "disk",'
check "a member twice" problem syntax 400 start_job '{"volume": "disk", "volume": "disk", "kind": "fill"}'
deep() { start_job "$(printf '{"volume":%s1%s}' "$(printf '[%.0s' {1..100})" "$(printf ']%.0s' {1..100})")"; }
check "too deep" problem syntax 400 deep
check "no body" problem media-type 415 local_api -X POST /api/v1/jobs
check "no JSON by its type" problem media-type 415 local_api -X POST -d 'a=b' /api/v1/jobs
large() { head -c 1100000 /dev/zero | tr '\0' ' ' >"$work/large"; start_job "@$work/large"; }
check "too large" problem too-large 413 large
huge() { head -c 17000000 /dev/zero | tr '\0' ' ' >"$work/large"; start_job "@$work/large"; }
check "far too large" answers 413 huge
check "a wrong dryRun" problem syntax 400 sends local_api POST '/api/v1/jobs?dryRun=yes' '{}'
check "a mistyped one starts nothing" problem syntax 400 sends local_api POST '/api/v1/jobs?dryrun=true' '{"volume": "disk", "kind": "fill"}'
check "a dry run" answers 200 sends local_api POST '/api/v1/jobs?dryRun=true' '{"volume": "disk", "kind": "fill"}'
check "says what hosts notice" body_has '"effect":"live"'
check "and what is lost" body_has 'DESTROYS all data of disk: write a pattern over all data, read it back'
check "and starts nothing" answers 404 local_api /api/v1/jobs/2

slow='{"volume": "disk", "kind": "fill", "destroy": true, "rate_bytes": "4MiB"}'
check "a slow job" answers 202 start_job "$slow" -H 'Idempotency-Key: k1'
check "its limit" is rate_bytes 4194304
check "the same key again" answers 202 start_job "$slow" -H 'Idempotency-Key: k1'
check "is the same job" is id 2
check "and says so" has_header 'idempotency-replayed: true'
check "where it is, again" has_header 'location: /api/v1/jobs/2'
check "the key for another request" problem key-reused 422 start_job '{"volume": "disk", "kind": "fill", "destroy": true}' -H 'Idempotency-Key: k1'
check "there was no third" answers 404 local_api /api/v1/jobs/3
check "another one that destroys, too" problem conflict 409 start_job '{"volume": "disk", "kind": "fill", "destroy": true, "options": {"seed": 2}}'
check "is refused by its name" body_has 'job 2 (fill) is at work on volume disk'
check "and as a member" body_has '"held_by":["job 2"]'
check "so is its dry run" problem conflict 409 sends local_api POST '/api/v1/jobs?dryRun=true' '{"volume": "disk", "kind": "fill"}'
check "there was none" answers 404 local_api /api/v1/jobs/3
check "a pause" answers 200 change_job 2 '{"paused": true}'
check "it is paused" is state paused
check "waiting has an end" answers 200 local_api '/api/v1/jobs/2?wait=1'
check "it is still paused" is state paused
check "another limit" answers 200 change_job 2 '{"rate_bytes": 2097152}'
check "it goes on" answers 200 change_job 2 '{"paused": false}'
check "an unknown member" problem invalid 422 change_job 2 '{"pause": true}'
check "nothing to change" problem invalid 422 change_job 2 '{}'
check "a wrong value" problem invalid 422 change_job 2 '{"paused": "yes"}'
more_than_nothing() { local_api /api/v1/jobs/2 && [ "$(value done_bytes)" -gt 4000000 ]; }
check "it gets on" wait_until more_than_nothing
figures_come() {
	timeout 20 curl -sN --unix-socket "$work/run/cairn.sock" \
		-H 'Accept: text/event-stream' 'http://c/api/v1/events?topics=stats' |
		grep -q -m 1 '"jobs":\[{"id":2,'
}
check "figures of it come each second" figures_come

check "it ends in good order, with the job" stop_daemon
check "and starts again" start_daemon
check "the job goes on" wait_until state_is 2 running
went_on() { [ "$(value done_bytes)" -gt 4000000 ] || { cat "$work/body"; return 1; }; }
check "from where it was" went_on
kill_daemon
check "after a kill" start_daemon
check "it goes on, too" wait_until state_is 2 running
check "the older one is known" answers 200 local_api /api/v1/jobs/1
check "as done" is state done
check "a cancel" answers 202 local_api -X POST /api/v1/jobs/2/cancel
check "it is cancelled" wait_until state_is 2 cancelled
check "another job" answers 202 start_job "$slow"
check "it runs" wait_until state_is 3 running
curl -s -m 90 --unix-socket "$work/run/cairn.sock" \
	"http://c/api/v1/jobs/3?wait=60" >"$work/waited" &
waiter=$!
somebody_waits() { local_api /metrics && body_has 'cairn_http_requests_running 2'; }
check "somebody waits for it" wait_until somebody_waits
check "the daemon stops nevertheless" stop_daemon
wait $waiter
check "and he has an answer" grep -q '"id":3' "$work/waited"

finish
