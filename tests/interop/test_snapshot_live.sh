#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A snapshot of a volume while a host writes to it, by nothing but the document of
# the source that is wanted: the host sees no error and reads what it wrote, the
# old image stays as it was, listeners are where the document has them, and a
# killed daemon comes back with it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 900000}, {type: fault, name: hits}], protocol: {type: file, path: a.raw, size: 16M}}
VOLUMES

image() { # PATH BACKING
	echo "\"format\": {\"type\": \"qcow2\", \"file\": {\"protocol\":
		{\"type\": \"file\", \"path\": \"$1\", \"size\": \"64KiB\"}},
		\"backing\": $2}"
}
limit='{"type": "throttle", "name": "limit", "iops": 900000}'
fault='{"type": "fault", "name": "hits"}'
bottom='"protocol": {"type": "file", "path": "a.raw", "size": "16M"}'
first="{\"listeners\": [$limit], $(image first "{\"listeners\": [$fault], $bottom}")}"
second="{\"listeners\": [$limit], $(image second "{$(image first \
	"{\"listeners\": [$fault], $bottom}")}")}"
listeners() { # BELOW WANTED
	gets 200 GET /volumes/a/source && says "$1.listeners | map(.name) | join(\" \")" "\"$2\""
}
old_image() { # what was written before the snapshot, and nothing later
	qemu-io -r -f raw -c 'read -P 1 0 1M' -c 'read -P 2 1M 1M' "$work/data/a.raw" >"$work/io" 2>&1 &&
		! grep -i -E 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
sound() { # a killed daemon may leave leaks (3), nothing worse
	qemu-img check -f qcow2 "$work/data/$1" || [ $? = 3 ]
}
online() { gets 200 GET /volumes/a && says .status.state '"online"'; }
# The kernel lets go of a killed one's locks when it gets round to it.
comes_back() { kill_daemon; start_kept_daemon && wait_until online; }

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 1M' 'write -P 2 1M 1M'
host_begins
check "what it would be" gets 200 PUT '/volumes/a/source?dryRun=true' "$first" -H 'If-Match: *'
check "is a snapshot" says '[.impact[0].effect, .impact[0].text]' \
	'["parked","put a new image over it: the same content; limit stays on top, hits goes down with the old image"]'
check "nothing was made" test ! -e "$work/data/first"
check "a snapshot while a host writes" changes 200 PUT /volumes/a/source "$first"
check "the limit is the volume's" listeners "" limit
check "the fault is the old image's" listeners .format.backing hits
check "later writes" io 'write -P 3 0 64k' 'write -P 4 1M 4k'
check "another one" changes 200 PUT /volumes/a/source "$second"
check "writes after it" io 'write -P 5 512k 4k'
check "all as a host reads it" io 'read -P 3 0 64k' 'read -P 1 64k 448k' 'read -P 5 512k 4k' \
	'read -P 4 1M 4k' 'read -P 2 1028k 1020k'
check "the host saw no error" host_ends
check "the old image is as it was" old_image
check "a killed daemon comes back" comes_back
check "with the same" io 'read -P 3 0 64k' 'read -P 1 64k 448k' 'read -P 5 512k 4k' \
	'read -P 4 1M 4k' 'read -P 2 1028k 1020k'
check "the fault lies below both" listeners .format.backing.format.backing hits
check "an image that is not empty" changes 409 PUT /volumes/a/source \
	"{\"listeners\": [$limit], $(image first "{$(image second "{$(image first \
	"{\"listeners\": [$fault], $bottom}")}")}")}"
check "it ends" stop_daemon
check "QEMU finds the first image sound" sound first
check "and the second" sound second

# A purge takes what the stack made, and says before what goes and what stays.
head -c 1M /dev/zero >"$work/data/template"
qemu-img create -q -f qcow2 -b template -F raw "$work/data/third"
check "it starts again" start_kept_daemon
check "a volume over a template" gets 201 POST /volumes "{\"name\": \"t\", \"source\": {$(image third \
	'{"protocol": {"type": "file", "path": "template", "read_only": true}}')}}"
check "what its purge would do" changes 200 DELETE '/volumes/t?purge=true&dryRun=true'
check "the template stays" says '.impact[0].text' '"hosts lose it; its data are gone: removes third; template stays: a backing that was there before"'
check "its purge" changes 204 DELETE '/volumes/t?purge=true'
check "the image has gone" [ ! -e "$work/data/third" ]
check "the template has not" [ -e "$work/data/template" ]
check "the snapshots with their volume" changes 204 DELETE '/volumes/a?cascade=true&purge=true'
for file in a.raw first second; do
	check "$file has gone" [ ! -e "$work/data/$file" ]
done
finish
