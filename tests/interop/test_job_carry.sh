#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Copy and migrate of a volume that a host writes to, over kill -9 and an orderly stop:
# what was copied is not copied again, what the host changed meanwhile is, and nothing
# that was acknowledged is lost. Paused over a restart; cancelled behind one, running or
# waiting; another file, or none, where the target was.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/survivor.sh"
needs curl jq qemu-img

size=67108864 # of which the host writes the first quarter
write_settings 0
write_document <<END
a source: {protocol: {type: file, path: a.raw, size: 64M}}
END

image() { echo "{\"format\": {\"type\": \"qcow2\", \"size\": $size, \"file\": {\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": 65536}}}}"; }
raw() { echo "{\"protocol\": {\"type\": \"file\", \"path\": \"$1\", \"size\": $size}}"; }
start() { # KIND TARGET
	gets 202 POST /jobs "{\"volume\": \"a\", \"kind\": \"$1\", \"rate_bytes\": 6291456, \"options\": {\"to\": $2}}" &&
		job=$(jq .id "$work/body")
}
change() { sends local_api PATCH "/api/v1/jobs/$job" "$1" -H 'If-Match: *' >"$work/head"; }
field() { ask GET "/jobs/$job" && jq -r ".$1" "$work/body"; }
is() { [ "$(field state)" = "$1" ] || { cat "$work/body"; return 1; }; }
percent() { ask GET "/jobs/$job" && jq ".done_bytes * 100 / $size | floor" "$work/body"; }
reached() { [ "$(percent)" -ge "$1" ]; }
halfway() { wait_until reached 50 && change '{"paused": true}'; }
# What need not be copied again: of the half, less than what the host changes.
remembers() { [ "$(percent)" -ge 20 ] && [ "$(percent)" -lt 45 ]; }
noted() { # the map says so: a bit of what may differ for each 64 KiB, from byte 4096 on
	local map bits
	map=$(find "$work/data" -name 'carry-*.map')
	[ "$(od -An -tu4 -j12 -N4 "$map" | tr -d ' ')" = 1 ] || return 1
	bits=$(od -An -v -tx1 -j4096 -N128 "$map" | tr -d ' \n' |
		sed 's/[0]//g; s/[1248]/x/g; s/[3569ac]/xx/g; s/[7bde]/xxx/g; s/f/xxxx/g')
	[ ${#bits} -le 780 ] # of 1024
}
ends() { ask GET "/jobs/$job?wait=60" && is "$1"; }
fails() { ends failed && jq -r .error "$work/body" | grep -qF "$1" || { cat "$work/body"; return 1; }; }
maps() { # how many there are
	[ "$(find "$work/data" -name 'carry-*.map' | wc -l)" = "$1" ]
}
stands_on() { ask GET /volumes/a/source && [ "$(jq -r '.. | .path? // empty' "$work/body")" = "$1" ]; }
logged_in() { ask GET /sessions && [ "$(jq '.items | length' "$work/body")" -ge 1 ]; }
host() { survivor_starts && wait_until logged_in; }
again() { # killed, and there again with a host
	kill_daemon
	survivor_ends && start_kept_daemon && survivor_verifies && host
}

mkdir -p "$work/data" && truncate -s $size "$work/data/a.raw"
check "what is there" qemu-io -f raw -c "write -P 7 16M 48M" "$work/data/a.raw"
check "the daemon starts" start_daemon
check "a host writes" host

check "migrate" start migrate "$(image b.qcow2)"
check "half of it, and it is paused" halfway
check "there is a map" maps 1
check "which knows what was copied" wait_until noted
check "killed, it comes back" again
check "paused" is paused
check "a part is not to be copied again" wait_until remembers
check "killed once more" again
check "that part is still known" wait_until remembers
check "it goes on" change '{"paused": false, "rate_bytes": 0}'
check "to its end" ends done
check "the volume stands on the new image" stands_on b.qcow2
check "the map is gone" maps 0
check "the host has written all the time" kill -0 $survivor
check "killed behind it" again
check "it is not done again" is done

check "a copy" start copy "$(raw c.raw)"
check "a part of it" halfway
check "is noted" wait_until noted
check "the daemon ends" stop_daemon
check "and the host" survivor_ends
check "and starts" start_kept_daemon
check "that part is known" wait_until remembers
check "nobody writes: the copy ends" change '{"paused": false, "rate_bytes": 0}'
check "as it should" ends done
check "the map is gone, too" maps 0
same() { kill_daemon; qemu-img compare -U -f qcow2 -F raw "$work/data/b.qcow2" "$work/data/c.raw"; }
check "it is what the volume holds" same
check "again" start_kept_daemon
check "with all that was acknowledged" survivor_verifies

check "a copy that will be cancelled" start copy "$(raw d.raw)"
check "it begins" halfway
check "a host again" host
check "a kill" again
check "cancelled" gets 202 POST "/jobs/$job/cancel"
check "it is" wait_until is cancelled
check "its map goes" wait_until maps 0
check "nothing is left in the way" gets 201 POST /volumes/a/snapshots '{"name": "s"}'

check "a copy whose target is away" start copy "$(raw e.raw)"
check "half of it" halfway
kill_daemon
check "the host sees that" survivor_ends
check "another file is there" cp "$work/data/c.raw" "$work/data/e.new"
mv "$work/data/e.new" "$work/data/e.raw"
check "the daemon is there" start_kept_daemon
check "the job is not" fails "the target is another file than the one that the job began with"
check "the file is as it was" cmp "$work/data/c.raw" "$work/data/e.raw"
check "no map" wait_until maps 0

check "a migration" start migrate "$(raw f.raw)"
check "half of it, too" halfway
kill_daemon
rm "$work/data/f.raw"
check "its target is gone" start_kept_daemon
check "a host, again" host
check "it begins anew" change '{"paused": false, "rate_bytes": 0}'
check "and ends" ends done
check "on the new file" stands_on f.raw
kill_daemon
check "the end of the host" survivor_ends
check "the end" start_kept_daemon
check "all that was acknowledged is there" survivor_verifies
check "no map is left" maps 0
finish
