#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Schedules whose snapshots are external, by a clock that the test sets, while a host
# writes and reads what it has written: exactly those stay that grandfather, father and
# son want, each with the content of its moment by qemu-img; what is locked or shown
# stays, and why; several volumes show one moment; files are called as the schedule says
# and never take another's place.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/clock.sh"
. "$(dirname "$0")/host.sh"
. "$(dirname "$0")/schedules.sh"
needs curl jq qemu-img qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 900000}, {type: fault, name: hits}], protocol: {type: file, path: a.raw, size: 16M}}
b source: {format: {type: qcow2, size: 4M, file: {protocol: {type: file, path: b.qcow2, size: 64K}}}}
c source: {protocol: {type: file, path: c.raw, size: 4M}}
none source: {protocol: {type: mem, size: 1M}}
VOLUMES

cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
last() { gets 200 GET "/schedules/$1" >/dev/null && jq -r .status.snapshot "$work/body"; }
image_of() { # VOLUME SNAPSHOT: its file
	gets 200 GET "/volumes/$1/snapshots/$2" >/dev/null && jq -r .image "$work/body"
}

check "the daemon starts" start_daemon

# -- what is refused -----------------------------------------------------------------
refused() { # POINTER MORE
	gets 422 POST /schedules "{\"name\": \"x\", \"volumes\": [\"a\"], \"every\": \"day\", $2}" &&
		says '.errors[0].pointer' "\"$1\""
}
few='"keep": {"daily": 1}'
check "more images than can stand above each other" refused /keep '"kind": "external", "keep": {"daily": 15, "weekly": 6}'
check "a file that two moments would share" refused /file "\"kind\": \"external\", \"file\": \"{volume}.qcow2\", $few"
check "or two volumes" refused /file "\"kind\": \"external\", \"file\": \"x.{time}.qcow2\", $few"
check "a file elsewhere" refused /file "\"kind\": \"external\", \"file\": \"../{volume}.{time}\", $few"
check "a directory elsewhere" refused /directory "\"kind\": \"external\", \"directory\": \"a/../../b\", $few"
check "a place that there is not" refused /placement/limit "\"kind\": \"external\", \"placement\": {\"limit\": \"up\"}, $few"
check "a listener that there is not" refused /placement/other "\"kind\": \"external\", \"placement\": {\"other\": \"head\"}, $few"
check "files without images" refused /directory "\"directory\": \"x\", $few"
check "of what is in no file" gets 201 POST /schedules "{\"name\": \"none\", \"volumes\": [\"none\"], \"every\": \"day\", \"kind\": \"external\", $few}"
check "a run fails" gets 409 POST /schedules/none/run
check "and says why" status none '[.last_result, (.reason | contains("not in a file of its own"))]' '["failed",true]'
check "it goes" changes 204 DELETE /schedules/none

# -- days go by ----------------------------------------------------------------------
models=$work/models
mkdir "$models"
truncate -s 4M "$models/now"
runs_on() { # DAY: other data, then the run
	local day=$1 at=$((RANDOM % 60 * 64))
	io_of c "write -P $day ${at}k 64k" "write -P $day 0 4k" &&
		qemu-io -f raw -c "write -P $day ${at}k 64k" -c "write -P $day 0 4k" "$models/now" >/dev/null &&
		cp "$models/now" "$models/$day" && runs_at "2027-03-$day 02:30:03" nightly
}
night() { runs_on "$1" && settles nightly; } # DAY: and what it leaves
nights() { # FIRST LAST
	local day
	for ((day = $1; day <= $2; day++)); do night $day || { echo "day $day"; return 1; }; done
}
same_as_then() { # the latest of each volume is there: of one moment, by one name
	local name
	name=$(last nightly)
	[ "$(image_of a "$name")" != null ] && [ "$(image_of c "$name")" != null ]
}
listeners() { # BELOW WANTED
	gets 200 GET /volumes/a/source && says "$1.listeners | map(.name) | join(\" \")" "\"$2\""
}
set_clock '2027-03-09 12:00:00'
check "each night, of two volumes" cairn schedule create nightly --volumes a,c --every day --at 02:30 --keep-daily 3 \
	--keep-weekly 2 --kind external --directory nights/all --pattern '{volume}-{time}.qcow2' --placement limit=head --placement hits=both
check "a dry run of a run says so" gets 200 POST '/schedules/nightly/run?dryRun=true'
check "of both" says '[.impact[] | [.object, (.text | contains("a new image is put over it"))]]' '[["volume a",true],["volume c",true]]'
host_begins
check "the first nights" nights 10 12
check "all stay" has c nightly "10 11 12"
check "in their files" gets 200 GET /volumes/c/source
check "as the schedule says" says '[.. | .path? // empty | select(startswith("nights/all/c-202703")) | endswith("Z.qcow2")]' '[true,true,true]'
check "both are of one moment" same_as_then
check "listeners are where it says" listeners "" "limit hits"
check "in the image, too" listeners .format.backing hits
check "a week" nights 13 19
check "three days stay, and the last of the week before" has a nightly "14 17 18 19"
check "of both" has c nightly "14 17 18 19"
check "no job has failed" gets 200 GET '/jobs?state=failed'
check "none" says '.items | length' 0
check "of others nothing is left" gets 200 GET '/jobs?limit=200'
check "each merged one image" says '[.items[] | select(.kind == "commit" and .user == "cairnd" and .state == "done")] | length' 12
files() { [ "$(find "$work/data/nights" -type f | wc -l)" = "$1" ] || { find "$work/data"; return 1; }; }
check "of the files just those are there" files 8
check "audited" gets 200 GET '/audit?limit=1000'
check "made and deleted" says '[.items[] | .operation] | [any(. == "createSnapshotGroup"), any(. == "deleteSnapshot")]' '[true,true]'

# -- what stays though it should go -----------------------------------------------------
name_of() { # VOLUME DAY
	gets 200 GET "/volumes/$1/snapshots" >/dev/null &&
		jq -r ".items[].name | select(startswith(\"nightly-202703$2\"))" "$work/body"
}
kept() { # VOLUME SNAPSHOT WORDS
	gets 200 GET /schedules/nightly &&
		says "[.status.kept[] | select(.volume == \"$1\" and .snapshot == \"$2\" and (.reason | contains(\"$3\")))] | length" 1
}
locked=$(name_of a 17)
shown=$(name_of c 17)
check "one is locked" changes 200 PUT "/volumes/a/snapshots/$locked/lock" '{"until": "2100-01-01T00:00:00Z"}'
check "one is shown" gets 201 POST /volumes "{\"name\": \"shows\", \"source\": {\"source\": \"c\", \"view\": {\"image\": \"$(image_of c "$shown")\"}}}"
check "to hosts" gets 201 POST /targets "{\"iqn\": \"$iqn:shows\", \"portals\": [\"main\"]}"
check "as a LUN" gets 201 POST /exports "{\"volume\": \"shows\", \"target\": \"$iqn:shows\", \"lun\": 0, \"hosts\": [\"any\"]}"
check "another night" runs_on 20
check "two stay that are not wanted" settles nightly 2
check "the locked one, and why" kept a "$locked" "is locked until 2100"
check "the shown one, and by whom" kept c "$shown" "volume shows shows it"
check "an event tells of it" event schedule_kept .schedule '"nightly"'
told() { gets 200 GET '/events?topics=schedules&limit=1000' && says '[.items[] | select(.type == "schedule_kept")] | length' "$1"; }
check "of each" told 2
check "the next night" runs_on 21
check "they stay" settles nightly 2
check "which is no news" told 2
check "others have gone" has a nightly "14 17 19 20 21"
read_only=-r
check "hosts still see what was there" io_of shows 'read -P 17 0 4k'
read_only=
check "the lock is lifted" changes 204 DELETE "/volumes/a/snapshots/$locked/lock"
check "nobody shows the other" changes 204 DELETE '/volumes/shows?cascade=true'
check "the next night" runs_on 22
check "nothing is left to go" settles nightly
check "three days, of which one is the last of its week" has c nightly "20 21 22"

# -- another job has the volume -----------------------------------------------------------
check "a job of somebody" gets 202 POST /jobs '{"volume": "c", "kind": "flatten", "rate_bytes": 4096}'
job=$(jq .id "$work/body")
check "which rests" changes 200 PATCH "/jobs/$job" '{"paused": true}'
check "a run by hand fails" gets 409 POST /schedules/nightly/run
check "and names the job" says '.detail | test("job|flatten")' true
check "none was made in the other" has a nightly "20 21 22"
one_job() { gets 200 GET '/jobs?volume=c&limit=200' && says '[.items[] | select(.ended == null)] | length' 1; }
check "no other job was begun" one_job
check "it is cancelled" gets 202 POST "/jobs/$job/cancel"
check "which leaves all there" has c nightly "20 21 22"
check "the host saw no error" host_ends

# -- files that are there ------------------------------------------------------------------
check "into the data directory" gets 201 POST /schedules '{"name": "plain", "volumes": ["b"], "every": "day", "at": "12:00", "kind": "external", "file": "{volume}.{time}.qcow2", "keep": {"latest": 2}}'
for second in {01..59}; do echo mine >"$work/data/b.20270323T1200${second}Z.qcow2"; done
check "where files are in its way" runs_at '2027-03-23 12:00:02' plain
check "it takes another name" gets 200 GET /volumes/b/source
check "beside them" says '.format.file.protocol.path | test("^b.20270323T1200[0-9]{2}Z-2.qcow2$")' true
untouched() { [ "$(cat "$work/data"/b.20270323T1200??Z.qcow2 | sort | uniq -c | tr -d ' ')" = 59mine ]; }
check "which stay as they are" untouched
rm "$work/data"/b.20270323T1200??Z.qcow2
check "it goes" changes 204 DELETE /schedules/plain
check "and its snapshot stays" has b plain 23

# -- all images, by QEMU ---------------------------------------------------------------------
cp "$models/now" "$models/23"
check "the night that was missed meanwhile" settles nightly
check "is the third" has c nightly "21 22 23"
name_all() { # the files of what is kept of c
	local day
	for day in 21 22 23; do
		echo "$day $(image_of c "$(name_of c $day)")"
	done >"$work/images"
}
check "the images that are kept" name_all
check "the daemon ends" stop_daemon
sound() {
	local file
	for file in "$work/data"/nights/all/*; do
		qemu-img check -q -f qcow2 "$file" || { echo "$file: $?"; return 1; }
	done
}
check "QEMU finds all sound" sound
as_it_was() {
	local day file format
	while read -r day file; do
		case $file in *.raw) format=raw ;; *) format=qcow2 ;; esac
		qemu-img compare -f $format -F raw "$work/data/$file" "$models/$day" || { echo "day $day"; return 1; }
	done <"$work/images"
	[ "$(wc -l <"$work/images")" = 3 ]
}
check "each shows its moment, whole" as_it_was
finish
