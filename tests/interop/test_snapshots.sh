#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots that a volume's image keeps, by REST and by cairn, while a host writes and
# checks what it reads: made, shown by another volume, cloned, gone back to, deleted,
# and all of it there after the daemon was killed.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io python3

write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
plain source: {protocol: {type: file, path: plain.raw, size: 1M}}
VOLUMES

view_io() { local read_only=-r; io_of "$@"; }
names() { gets 200 GET "/volumes/${2:-a}/snapshots" && says '[.items[].name] | join(" ")' "\"$1\""; }
cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
export_of() { # VOLUME
	gets 201 POST /targets "{\"name\": \"$1\"}" &&
		gets 201 POST /exports "{\"volume\": \"$1\", \"target\": \"$1\", \"lun\": 0, \"hosts\": $hosts}"
}
shown() { # VOLUME SNAPSHOT: a read-only volume of it
	gets 201 POST /volumes "{\"name\": \"$1\", \"source\": {\"source\": \"a\",
		\"view\": {\"snapshot\": \"$2\"}}, \"export\": {\"hosts\": $hosts}}"
}
gone() { gets 200 GET /sessions && says '[.items[] | select(.target | endswith("a"))] | length' 0; }
gates() { # COUNT: at least, and for how long is said
	gets 200 GET '/volumes/a/source?status=true' &&
		says ".gate.closed >= $1 and .gate.last_us > 0 and (.gate.below_us | add) == .gate.closed" true
}
counted() { # "NAME OWNED SHARED" of each
	gets 200 GET /volumes/a/snapshots >/dev/null &&
		jq -e '[.items[].owned_bytes | numbers] | length == 3' "$work/body" >/dev/null &&
		jq -r '.items[] | "\(.name) \(.owned_bytes) \(.shared_bytes)"' "$work/body" | sort >"$work/counted"
}
comes_back() { kill_daemon; start_kept_daemon; }
sound() { # a killed daemon may leave leaks (3), nothing worse
	qemu-img check -f qcow2 "$work/data/$1" || [ $? = 3 ]
}

check "the daemon starts" start_daemon
gets 200 GET /exports
hosts=$(jq -c '[.items[] | select(.volume == "a")][0].hosts' "$work/body")
check "something to keep" io 'write -P 1 0 1M' 'write -P 2 1M 1M'
check "there is none yet" names ""
host_begins
check "what it would be" gets 200 POST '/volumes/a/snapshots?dryRun=true' '{"name": "monday"}'
check "is a pause" says '.impact[0].effect' '"parked"'
check "nothing was made" names ""
check "one while a host writes" gets 201 POST /volumes/a/snapshots '{"name": "monday"}'
check "as it is" says '[.name, .id, .size_bytes, .vm_state_bytes]' '["monday","1",16777216,0]'
check "not twice" gets 409 POST /volumes/a/snapshots '{"name": "monday"}'
check "not with any name" gets 422 POST /volumes/a/snapshots '{"name": "a/b"}'
check "not in a raw file" gets 409 POST /volumes/plain/snapshots '{"name": "monday"}'
check "writes after it" io 'write -P 3 0 512k' 'write -P 4 1M 4k'
check "another one, by cairn" cairn snapshot create a tuesday
check "it says so" said 'snapshot tuesday of volume a made'
check "the gate was closed for each" gates 2
check "both are listed" names "monday tuesday"
check "cairn lists them" cairn snapshot list a
check "by name" said monday
check "more writes" io 'write -P 5 0 64k'
check "the first as a volume" shown old monday
check "it shows what was" view_io old 'read -P 1 0 1M' 'read -P 2 1M 1M'
check "a shown one stays" changes 409 DELETE /volumes/a/snapshots/monday
check "and says who shows it" says '[.held_by[0], (.held_by[1] | test("^LUN 0 of iqn.*:old$")), (.detail | contains("in use by volume old, LUN 0 of"))]' '["volume old",true,true]'
check "so does the list" gets 200 GET /volumes/a/snapshots
check "of that one only" says '[.items[] | .in_use_by | length]' '[2,0]'
check "a clone of the second, by cairn" cairn snapshot clone a tuesday copy
check "exported" export_of copy
check "it shows what was, too" io_of copy 'read -P 3 0 512k' 'read -P 1 512k 512k' \
	'read -P 4 1M 4k' 'read -P 2 1028k 1020k'
check "and can be written" io_of copy 'write -P 6 256k 64k' 'read -P 6 256k 64k'
check "the volume does not see that" io 'read -P 5 0 64k' 'read -P 3 64k 448k'
check "its snapshot stays" changes 409 DELETE /volumes/a/snapshots/tuesday
check "nobody else's file becomes a clone" gets 409 POST /volumes/a/snapshots/monday/clone '{"name": "copy"}'
check "a third" gets 201 POST /volumes/a/snapshots '{"name": "third"}'
check "is deleted while a host writes" changes 204 DELETE /volumes/a/snapshots/third
check "and is no more" gets 404 GET /volumes/a/snapshots/third
check "connected hosts are not robbed" gets 422 POST /volumes/a/snapshots/monday/revert '{}'
check "unless that is said" says '.errors[0].pointer' '"/destroy"'
check "the host saw no error" host_ends
check "a killed daemon comes back" comes_back
check "with both" names "monday tuesday"
check "the clone has all" io_of copy 'read -P 6 256k 64k' 'read -P 3 0 256k' 'read -P 4 1M 4k'
check "the view, too" view_io old 'read -P 1 0 1M'
check "nobody is connected" wait_until gone
check "back to the first" gets 200 POST /volumes/a/snapshots/monday/revert '{}'
check "what was there is kept" says .name '"before-monday"'
check "hosts read what was" io 'read -P 1 0 1M' 'read -P 2 1M 1M'
check "and write" io 'write -P 7 0 64k'
check "the view is as before" view_io old 'read -P 1 0 1M'
check "the clone, too" io_of copy 'read -P 6 256k 64k' 'read -P 3 0 256k'
check "forth again, by cairn" cairn snapshot revert a before-monday --safety second --yes
check "it says what is kept" said 'what was there is snapshot second'
check "hosts read what was then" io 'read -P 5 0 64k' 'read -P 3 64k 448k' 'read -P 4 1M 4k'
check "the view goes" changes 204 DELETE '/volumes/old?cascade=true'
check "then its snapshot may" cairn snapshot delete a monday --yes
check "the others stay" names "before-monday second tuesday"
check "a killed daemon comes back again" comes_back
check "with these" names "before-monday second tuesday"
check "and the content" io 'read -P 5 0 64k' 'read -P 3 64k 448k' 'read -P 4 1M 4k'
check "of two volumes at one moment, by cairn" cairn snapshot group pair --volumes a,copy
check "the first has it" gets 200 GET /volumes/a/snapshots/pair
check "and the second" gets 200 GET /volumes/copy/snapshots/pair
check "not again" gets 409 POST /snapshot-groups '{"name": "pair", "volumes": ["copy", "a"]}'
check "one that cannot: none" gets 409 POST /snapshot-groups '{"name": "odd", "volumes": ["a", "plain"]}'
check "none is there" gets 404 GET /volumes/a/snapshots/odd
check "nobody's volume" gets 422 POST /snapshot-groups '{"name": "odd", "volumes": ["a", "none"]}'
check "which is said" says '.errors[0].pointer' '"/volumes/1"'
check "it goes again" changes 204 DELETE /volumes/a/snapshots/pair
check "what each holds alone is counted" wait_until counted
check "and when" says '[.items[] | .counted | type] | unique' '["string"]'
check "a dry run of deleting tells it" changes 200 DELETE '/volumes/a/snapshots/second?dryRun=true'
check "in bytes" says ".impact[0].text | contains(\" $(awk '$1 == "second" { print $2 }' "$work/counted") bytes\")" true
check "it ends" stop_daemon
check "as its tables say" diff "$work/counted" <(python3 "$(dirname "$0")/qcow2_owned.py" "$work/data/a.qcow2" | sort)
check "QEMU finds the image sound" sound a.qcow2
check "and lists them" test "$(qemu-img snapshot -l "$work/data/a.qcow2" | awk 'NR > 2 {print $2}' | sort | xargs)" = 'before-monday second tuesday'
alone() { # the clone's file is refused without what it stands on
	! qemu-io -r -f qcow2 -c 'read 0 4k' "$work/data/copy.qcow2" >"$work/io" 2>&1 &&
		echo 'format: {type: qcow2, file: {protocol: {type: file, path: copy.qcow2}}}' >"$work/alone.yaml" &&
		! "$BUILD/cairn-stack" -d "$work/data" -c 'read 0 4K' "$work/alone.yaml" >"$work/said" 2>&1 &&
		said "'cairn:a@tuesday', which is no file"
}
check "the clone is nothing alone" alone
finish
