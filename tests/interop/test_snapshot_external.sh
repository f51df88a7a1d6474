#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# External snapshots of a volume by name, by REST and by cairn, while a host writes:
# listeners go where a dry run shows, the old images stay as they were, lists have
# both kinds as one tree, a killed daemon comes back with it, and a name goes as soon
# as its image is merged.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {listeners: [{type: throttle, name: limit, iops: 900000}, {type: fault, name: hits}], protocol: {type: file, path: a.raw, size: 16M}}
b source: {source: a}
VOLUMES

at=/volumes/a/snapshots
cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
tree() { # WANTED: "NAME KIND IMAGE PARENT" of each, by name
	gets 200 GET $at && says '[.items[] | "\(.name) \(.kind) \(.image) \(.parent)"] | join(", ")' "\"$1\""
}
listeners() { # BELOW WANTED
	gets 200 GET /volumes/a/source && says "$1.listeners | map(.name) | join(\" \")" "\"$2\""
}
old_image() { # what was written before the first, and nothing later
	qemu-io -r -f raw -c 'read -P 1 0 1M' -c 'read -P 2 1M 1M' "$work/data/a.raw" >"$work/io" 2>&1 &&
		! grep -i -E 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
old_image_is_there() { [ -s "$work/data/a.raw" ]; }
content() { io 'read -P 5 0 64k' 'read -P 3 64k 448k' 'read -P 1 512k 512k' 'read -P 4 1M 4k' 'read -P 2 1028k 1020k'; }
comes_back() { kill_daemon; start_kept_daemon; }
owned() { # what du says of the image, once nothing writes to it
	gets 200 GET $at/monday && says .owned_bytes "$(($(stat -c %b "$work/data/a.raw") * 512))"
}
refused_job() { # KIND
	gets 409 POST /jobs "{\"volume\": \"a\", \"kind\": \"$1\"}"
}

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 1M' 'write -P 2 1M 1M'
host_begins
both='{"name": "monday", "external": true, "placement": {"hits": "both"}}'
check "what it would be" gets 200 POST "$at?dryRun=true" "$both"
check "shows where listeners go" says '[.impact[0].effect, .impact[0].text]' \
	'["parked","put a new image over it: the same content; limit stays on top, hits stays on top, another like it goes down"]'
check "for programs, too" says '.impact[0].placement' '{"limit":"head","hits":"both"}'
check "by their kinds if nobody says" gets 200 POST "$at?dryRun=true" '{"name": "monday", "external": true}'
check "the limit with the name, the fault with the image" says '.impact[0].placement' '{"limit":"head","hits":"image"}'
check "dropped" gets 200 POST "$at?dryRun=true" '{"name": "monday", "external": true, "placement": {"limit": "drop", "hits": "head"}}'
check "as that says" says '[.impact[0].placement, (.impact[0].text | contains("limit is dropped"))]' '[{"limit":"drop","hits":"head"},true]'
check "nothing was made" test ! -e "$work/data/a.monday.qcow2"
check "no place of that name" gets 422 POST $at '{"name": "monday", "external": true, "placement": {"hits": "up"}}'
check "which is said" says '.errors[0].pointer' '"/placement/hits"'
check "no listener of that name" gets 422 POST $at '{"name": "monday", "external": true, "placement": {"none": "head"}}'
check "no place without a new image" gets 422 POST $at '{"name": "monday", "placement": {"hits": "head"}}'
check "an alias has no image" gets 409 POST /volumes/b/snapshots '{"name": "monday", "external": true}'
check "one while a host writes" changes 201 POST $at "$both"
check "as it is" says '[.name, .kind, .id, .size_bytes, .image, .parent]' '["monday","external",null,16777216,"a.raw",null]'
check "the head has both listeners" listeners "" "limit hits"
check "the image has its own" listeners .format.backing hits
check "it says what it owns" owned
check "later writes" io 'write -P 3 0 512k' 'write -P 4 1M 4k'
check "not twice" gets 409 POST $at "$both"
check "nor in the image" gets 409 POST $at '{"name": "monday"}'
check "one in the new image" gets 201 POST $at '{"name": "noon"}'
check "whose name is taken, too" gets 409 POST $at '{"name": "noon", "external": true}'
check "both as one tree" tree "monday external a.raw null, noon internal a.monday.qcow2 monday"
check "another one, by cairn" cairn snapshot create a tuesday --external --placement limit=head --placement hits=drop
check "it says so" said 'snapshot tuesday of volume a made'
check "a listener is dropped" listeners "" limit
check "writes after it" io 'write -P 5 0 64k'
check "the host saw no error" host_ends
check "all of it" content
check "the old image is as it was" old_image
check "one above the other" tree "monday external a.raw null, tuesday external a.monday.qcow2 monday"
check "cairn shows that" cairn snapshot list a
check "with parents" said monday
check "as a tree" cairn snapshot tree a
check "the one under the other" grep -qE '^   `- tuesday  external in a.monday.qcow2  [^ ]*Z  owns ' "$work/said"
check "a killed daemon comes back" comes_back
check "with both" tree "monday external a.raw null, tuesday external a.monday.qcow2 monday"
check "and the content" content
check "a clone of it" changes 201 POST $at/tuesday/clone '{"name": "copy"}'
check "over its image" gets 200 GET /volumes/copy/source
check "as a is" says '[.format.backing, .format.backing_name]' '[{"source":"a","view":{"image":"a.monday.qcow2"}},"a.monday.qcow2"]'
check "a read-only volume of the first" changes 201 POST /volumes '{"name": "old", "source": {"source": "a", "view": {"image": "a.raw"}}}'
check "what stands on it keeps it" changes 409 DELETE $at/tuesday
check "and is named" says '.held_by' '["volume copy"]'
check "the tree says so" cairn snapshot tree a
check "under it" grep -q 'tuesday .*  in use by volume copy$' "$work/said"
check "what shows it, too" changes 409 DELETE $at/monday
check "is named" says '.held_by' '["volume old"]'
check "cairn shows the view" cairn source show old
check "by its image" said '-> image a.raw of a'
check "it is not merged under them" refused_job commit
check "nor made to do without" refused_job flatten
check "the clone is exported" gets 201 POST /targets "{\"iqn\": \"$iqn:copy\", \"portals\": [\"main\"]}"
check "to hosts" gets 201 POST /exports "{\"volume\": \"copy\", \"target\": \"$iqn:copy\", \"lun\": 0, \"hosts\": [\"any\"]}"
check "it shows what was there" io_of copy 'read -P 3 0 512k' 'read -P 4 1M 4k' 'read -P 2 1028k 1020k'
check "it is written to" io_of copy 'write -P 7 0 64k' 'read -P 7 0 64k'
check "a killed daemon comes back" comes_back
check "with the clone" io_of copy 'read -P 7 0 64k' 'read -P 3 64k 448k'
check "and the content" content
check "the clone goes" changes 204 DELETE '/volumes/copy?cascade=true'
check "the view, too" changes 204 DELETE /volumes/old
check "what deleting it would do" cairn snapshot delete a tuesday --dry-run
check "is said" said 'a job (commit) begins'
check "it is deleted, by cairn" cairn snapshot delete a tuesday --yes
check "its image is gone" test ! -e "$work/data/a.tuesday.qcow2"
check "and its name" tree "monday external a.raw null, noon internal a.monday.qcow2 monday"
check "the content is not" content
check "the name is free again" gets 201 POST $at '{"name": "tuesday"}'

# -- their names, in documents ----------------------------------------------------------
inside='noon internal a.monday.qcow2'
without() { # FILTER OF-PATH: the last body, less something, is put there
	gets 200 GET "$2" && jq -c "$1" "$work/body" >"$work/less" &&
		changes 200 PUT "$2" "@$work/less"
}
check "a PUT of the volume that does not speak of names" without '{name, source}' /volumes/a
check "keeps them" tree "monday external a.raw null, $inside monday, tuesday internal a.monday.qcow2 monday"
check "so does one that says them" without '{name, source, snapshots}' /volumes/a
check "as before" tree "monday external a.raw null, $inside monday, tuesday internal a.monday.qcow2 monday"
check "the whole document tells them" gets 200 GET /config
cp "$work/body" "$work/whole"
check "by name" says '[.volumes[] | select(.name == "a") | .snapshots[0].name]' '["monday"]'
check "one without them" without 'del(.volumes[].snapshots)' /config
check "says that there are none" tree "$inside null, tuesday internal a.monday.qcow2 null"
check "the content stays" content
check "and the image" old_image_is_there
check "with them they are there again" changes 200 PUT /config "@$work/whole"
check "as before" tree "monday external a.raw null, $inside monday, tuesday internal a.monday.qcow2 monday"
in_units() { # as a person would write it
	gets 200 GET /config && jq -c '(.volumes[] | select(.snapshots).snapshots[].size) = "16MiB"' "$work/body" >"$work/units" &&
		changes 200 PUT /config "@$work/units"
}
check "a size may be a text with a unit" in_units
check "it is told" gets 200 GET $at
check "as a number" says '[.items[] | select(.kind == "external").size_bytes]' '[16777216]'
check "a PATCH that takes them away" changes 200 PATCH /volumes/a '{"snapshots": null}'
check "does" tree "$inside null, tuesday internal a.monday.qcow2 null"
check "and the content stays" content
too_many() { # as deep as it may be, then one more
	local i
	for i in $(seq 30); do
		ask POST $at "{\"name\": \"deep$i\", \"external\": true}"
		[ "$status" = 201 ] || break
	done
	[ "$status" = 409 ] || { cat "$work/body"; return 1; }
}
check "images above each other have an end" too_many
check "which is said, with what to do" says '.detail | contains("stands on 24 images above each other, the most: delete some external snapshots or flatten it")' true
check "the content is what it was" content
check "it ends" stop_daemon
check "the old image is still as it was" old_image
finish
