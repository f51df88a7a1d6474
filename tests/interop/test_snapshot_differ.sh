#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where a volume is not as in a snapshot, or one not as an earlier one, by REST and by
# cairn: of snapshots in its image and of those that it stands on, across images,
# a page at a time, against a comparison of all bytes that hosts have read.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io python3

judge=$(dirname "$0")/differences.py
write_settings 0
write_document <<'VOLUMES'
a source: {format: {type: qcow2, size: 32M, file: {protocol: {type: file, path: a.qcow2, size: 4K}}}}
VOLUMES

at=/volumes/a/snapshots
cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
kept() { qemu-img convert -q -f raw -O raw "$url:a/0" "$work/is-$1"; } # NAME: what hosts read now
shot() { # NAME [external]
	kept "$1" && gets 201 POST $at "{\"name\": \"$1\"${2:+, \"external\": true}}"
}
list() { # FROM TO ("": now) LIMIT: all pages, as lines
	local to=${2:+&to=$2} next=
	pages=0
	while [ "$next" != null ]; do
		gets 200 GET "$at/$1/differences?limit=$3$to${next:+&after=$next}" >"$work/got" || { cat "$work/got"; return 1; }
		jq -r '.items[] | "\(.offset) \(.length) \(.kind)"' "$work/body" || return 1
		next=$(jq -r .next "$work/body")
		pages=$((pages + 1))
	done
}
differ() { # FROM TO
	list "$1" "$2" 1000 >"$work/list" || { cat "$work/list"; return 1; }
	local new=$2
	[ -n "$new" ] || { new=now && kept now; } || return 1
	sums=$(python3 "$judge" "$work/is-$1" "$work/is-$new" <"$work/list") || { cat "$work/list"; return 1; }
	[ -s "$work/list" ] && [ "${sums% *}" -le $((${sums#* } + 1048576)) ] || { echo "listed and differing: $sums"; return 1; }
}
one_by_one() { # FROM TO: pages of one extent are the same in all
	list "$1" "$2" 1000 >"$work/list" && list "$1" "$2" 1 >"$work/single" && [ "$pages" -gt 2 ] || return 1
	diff <(awk '{ for (i = $1; i < $1 + $2; i += 512) print i, $3 }' "$work/list") \
		<(awk '{ for (i = $1; i < $1 + $2; i += 512) print i, $3 }' "$work/single")
}
printed() { # what cairn says, without headers, is what REST says
	list monday tuesday 1000 >"$work/list" && cairn -H -p snapshot diff a monday --to tuesday &&
		diff "$work/list" <(tr '\t' ' ' <"$work/said")
}

check "the daemon starts" start_daemon
check "something to keep" io 'write -P 1 0 3M' 'write -P 2 20M 1M'
check "a snapshot" shot one
check "none differs yet" gets 200 GET $at/one/differences
check "of which the list is empty" says '[.from, .to, .size_bytes, .items, .next]' '["one",null,33554432,[],null]'
check "changes" io 'write -P 3 1M 64k' 'write -z 20M 128k' 'write -P 4 30M 3k'
check "from it to now" differ one ''
check "another" shot two
check "more changes" io 'write -P 5 0 4k' 'write -P 5 2M 1M' 'discard 1M 64k'
check "from one to the other" differ one two
check "and back" differ two one
check "from the second to now" differ two ''
check "a page at a time" one_by_one one ''
check "one in an image of its own" shot monday external
check "changes" io 'write -P 6 512k 64k' 'write -z 2M 64k' 'write -P 6 8M 1M' 'write -P 6 31M 4k'
check "from that to now" differ monday ''
check "another" shot tuesday external
check "changes" io 'write -P 7 576k 64k' 'write -P 7 8M 4k' 'write -z 31M 4k' 'write -P 7 12M 512k'
check "over two images" differ monday ''
check "from one to the other" differ monday tuesday
check "from the second to now" differ tuesday ''
check "a page at a time" one_by_one monday ''
check "one in the image on top" shot three
check "changes" io 'write -P 8 12M 64k' 'write -P 8 0 64k'
check "over two images to that" differ monday three
check "over one" differ tuesday three
check "from that to now" differ three ''
check "cairn prints it" printed
check "not the other way round" gets 409 GET "$at/three/differences?to=monday"
check "which is said" says '.detail | contains("ask for the differences from that one to this")' true
check "no such snapshot" gets 404 GET $at/none/differences
check "nor to one" gets 404 GET "$at/monday/differences?to=none"
check "no such page" gets 400 GET "$at/monday/differences?after=x"
check "it ends" stop_daemon
finish
