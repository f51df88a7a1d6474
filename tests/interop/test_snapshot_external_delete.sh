#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# External snapshots are deleted while a host writes and remembers what was
# acknowledged: the lowest, one in the middle, the latest; their images are merged, the
# other snapshots keep their content, their locks and their clones. Then kill -9 at
# random points (DELETE_ROUNDS, default 8): the daemon comes back, the merge goes on to
# its end, all that was acknowledged is there and no file is left over.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

rounds=${DELETE_ROUNDS:-8}
write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

at=/volumes/a/snapshots

tree() { # WANTED: "NAME IMAGE PARENT" of each, by name
	gets 200 GET $at && says '[.items[] | "\(.name) \(.image) \(.parent)"] | join(", ")' "\"$1\""
}
# On a loaded machine requests may take longer than the gate waits.
snapshot() { wait_until makes "$1" || { cat "$work/body"; return 1; }; }
makes() { gets 201 POST $at "{\"name\": \"$1\", \"external\": true}"; }
files() { # WANTED: what is in the folder of images
	local there
	there=$(cd "$work/data" && echo *)
	[ "$there" = "$1" ] || { echo "there are: $there"; return 1; }
}
deletes() { # SNAPSHOT: and waits
	changes 202 DELETE "$at/$1" && job=$(jq .id "$work/body") && ends done
}
ends() { # STATE
	wait_until has_ended
	says .state "\"$1\""
}
has_ended() { ask GET "/jobs/$job?wait=20" && [ "$(jq .ended "$work/body")" != null ]; }
keeps() { # IMAGE BYTE: where it is read from once the daemon has ended
	qemu-io -r -f raw "$work/data/$1" -c "read -P $2 0 64k" >"$work/io" 2>&1 &&
		! grep -i -E 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
backing() { # IMAGE NAME FORMAT: as QEMU finds it
	qemu-img info -U --output json "$work/data/$1" >"$work/info" &&
		[ "$(jq -r '."backing-filename" + " " + ."backing-filename-format"' "$work/info")" = "$2 $3" ] ||
		{ cat "$work/info"; return 1; }
}

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 4M'
n=1
for name in one two three four; do
	n=$((n + 1))
	check "snapshot $name" snapshot $name
	check "other data" io "write -P $n 0 1M" "write -P $n ${n}M 128k"
done
host_begins
check "a clone of the third" changes 201 POST $at/three/clone '{"name": "copy"}'
check "its own is not deleted" changes 409 DELETE $at/three
check "nor the second: the third would be in another file" changes 409 DELETE $at/two
check "which is said" says '.detail | test("volume copy shows or stands on an image under volume a")' true
check "the clone goes" changes 204 DELETE '/volumes/copy?purge=true'
check "the third is locked" changes 200 PUT $at/three/lock '{"until": "2099-01-01T00:00:00Z"}'
check "and is not deleted" changes 409 DELETE $at/three
check "what deleting the second would do" changes 200 DELETE "$at/two?dryRun=true"
check "is said" says '.impact[0] | [.effect, (.text | test("needs [0-9]+ bytes where a.one.qcow2 is"))]' '["parked",true]'
check "it is deleted" deletes two
check "the others stay, the third in its file" tree "four a.three.qcow2 three, one a.raw null, three a.one.qcow2 one"
check "locked as before" says '[.items[] | select(.locked_until) | .name]' '["three"]'
check "a file is gone" files 'a.four.qcow2 a.one.qcow2 a.raw a.three.qcow2'
check "QEMU finds the way" backing a.three.qcow2 a.one.qcow2 qcow2
check "the first" deletes one
check "the third is in the first image now" tree "four a.three.qcow2 three, three a.raw null"
check "locked there" says '[.items[] | select(.locked_until) | .name]' '["three"]'
check "QEMU finds that, too" backing a.three.qcow2 a.raw raw
check "the latest" deletes four
check "the volume goes on in its image" tree "three a.raw null"
check "the lock is lifted" changes 204 DELETE $at/three/lock
check "the host saw no error" host_ends
check "all of it" io 'read -P 5 0 1M' 'read -P 2 2M 128k' 'read -P 3 3M 128k' 'read -P 4 4M 128k' 'read -P 5 5M 128k'
check "it ends" stop_daemon
check "the third was not changed" keeps a.raw 3
check "QEMU finds the image sound" qemu-img check -q -f qcow2 "$work/data/a.three.qcow2"
check "it comes back" start_kept_daemon

# One that is cancelled is not what it was, and says so.
slowed() { gets 200 GET "/jobs/$job" && tag=$(etag) && ask PATCH "/jobs/$job" '{"rate_bytes": 65536}' -H "If-Match: $tag"; }
check "more data" io 'write -P 6 0 8M'
check "a job" changes 202 DELETE $at/three
job=$(jq .id "$work/body")
slowed
gets 202 POST "/jobs/$job/cancel" >"$work/out"
wait_until has_ended
if [ "$(jq -r .state "$work/body")" = cancelled ]; then
	check "the snapshot of one that is cancelled" gets 200 GET $at/three
	check "says so" says .merging true
	check "it is not cloned" gets 409 POST $at/three/clone '{"name": "copy"}'
	check "nor locked" changes 409 PUT $at/three/lock '{"until": "2099-01-01T00:00:00Z"}'
	check "to delete it goes on" deletes three
fi
check "it is gone" tree ""
check "with its file" files a.raw
check "the data are there" io 'read -P 6 0 8M'

# -- kill -9 -----------------------------------------------------------------------
check "an empty volume" io 'write -z 0 16M'
reached() {
	ask GET "/jobs/$job" && [ "$(jq 'if .ended then 16777216 else .done_bytes end' "$work/body")" -ge "$goal" ]
}
round() { # NUMBER
	local victim=second name
	[ $(($1 % 3)) != 0 ] || victim=first
	[ $(($1 % 3)) != 1 ] || victim=third
	survivor_starts
	snapshot first && snapshot second && snapshot third || return 1
	changes 202 DELETE $at/$victim || return 1
	job=$(jq .id "$work/body")
	goal=$((RANDOM % 110 * 16777216 / 100))
	[ $goal -le 16777216 ] || goal=16777216
	wait_until reached || return 1
	kill_daemon
	survivor_ends && start_kept_daemon && survivor_verifies || return 1
	wait_until has_ended && says .state '"done"' || return 1
	gets 404 GET $at/$victim && survivor_verifies || return 1
	for name in first second third; do
		[ $name = $victim ] || deletes $name || return 1
	done
	files a.raw && survivor_verifies
}
for ((n = 0; n < rounds; n++)); do
	check "kill -9, round $n" round $n || break
done
echo "figure snapshot-delete-kill-rounds value=$n goal=>=8 $([ "$n" -ge 8 ] && echo met || echo short)"
check "it ends" stop_daemon
finish
