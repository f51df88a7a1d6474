#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An export that leads one host through an alias of the volume: its limits, faults and
# write protection hold for that host alone, while both see one disk: identity, content,
# size. What fails there fails nobody else, what changes there changes under I/O.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-io iscsi-inq

one=iqn.2026-11.example.host:one two=iqn.2026-11.example.host:two
write_settings 0
cat >"$work/document.yaml" <<YAML
volumes:
  - {name: a, source: {protocol: {type: file, path: a.raw, size: 16M}}}
  - name: slow
    source:
      source: a
      listeners: [{type: fault, name: hits, rules: [{op: read, offset: 1M, length: 64K, error: EIO}]}]
  - {name: guarded, read_only: true, source: {source: slow}}
  - {name: other, source: {protocol: {type: mem, size: 16M}}}
  - {name: blocks, block_size: 4096, source: {source: a}}
hosts:
  - {name: one, iscsi: {iqn: ['$one']}}
  - {name: two, iscsi: {iqn: ['$two']}}
targets:
  - {iqn: '$iqn:a', portals: [main]}
exports:
  - {volume: a, target: '$iqn:a', lun: 0, hosts: [one]}
  - {volume: a, through: slow, target: '$iqn:a', lun: 0, hosts: [two]}
YAML

cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
as() { # HOST COMMAND...
	local host=$1 arguments=()
	shift
	for command; do arguments+=(-c "$command"); done
	timeout 60 qemu-io --image-opts "${arguments[@]}" \
		"driver=iscsi,transport=tcp,portal=127.0.0.1:$port,target=$iqn:a,lun=0,initiator-name=$host" \
		>"$work/io" 2>&1 && ! grep -i -E 'fail|error|protected' "$work/io" || { cat "$work/io"; return 1; }
}
fails() { # HOST WORDS COMMAND...
	local words=$2
	! as "$1" "${@:3}" && grep -q "$words" "$work/io"
}
page() { timeout 60 iscsi-inq -i "$1" -e 1 -c "$2" "iscsi://127.0.0.1:$port/$iqn:a/0" | grep -v '^ *$'; }
same_page() { page $one "$1" >"$work/one" && page $two "$1" >"$work/two" && [ -s "$work/one" ] && diff "$work/one" "$work/two"; }
export_of() { # HOST: its id
	gets 200 GET /exports && id=$(jq -r ".items[] | select(.hosts == [\"$1\"]) | .id" "$work/body")
}
leads() { # HOST WAY
	export_of "$1" && changes 200 PATCH "/exports/$id" "{\"through\": $2}"
}
comes_back() { kill_daemon; start_kept_daemon; }
state_of() { gets 200 GET "/volumes/$1" && says .status.state "\"$2\""; }

start_daemon || exit 1
check "two hosts see one serial number" same_page 0x80
check "and one identity" same_page 0x83
check "what one writes" as $one 'write -P 1 0 2M' flush
check "the other reads" as $two 'read -P 1 0 1M'
check "the fault is for that one" fails $two 'Input/output error' 'read 1M 4k'
check "alone" as $one 'read -P 1 0 2M'
check "what it writes" as $two 'write -P 2 1M 64k' flush
check "the first reads" as $one 'read -P 2 1M 64k'
check "the volume is well" state_of a online

check "a flush that fails there" changes 200 PATCH /volumes/slow/listeners/hits \
	'{"rules": [{"op": "flush", "error": "EIO"}]}'
check "fails for that host" fails $two 'CACHE10 failed' 'write 0 4k' flush
check "who gets nothing any more" fails $two '' 'read 0 4k'
check "the alias has failed" state_of slow failed
check "the volume has not" state_of a online
check "nor its other host" as $one 'read -P 2 1M 64k' 'write -P 3 0 4k' flush
check "the fault goes" changes 200 PATCH /volumes/slow/listeners/hits '{"rules": []}'
check "and it is repaired" gets 200 POST /volumes/slow/repair
check "so the host goes on" as $two 'read -P 3 0 4k' 'write -P 4 0 4k' flush

check "it is kept" comes_back
check "and holds" as $two 'read -P 4 0 4k'
check "an alias of an alias that nobody may write to" leads two '"guarded"'
check "is write protected for that host" fails $two 'rotected' 'write 0 4k'
check "not for others" as $one 'write -P 5 0 4k' flush
check "no way at all" leads two null
check "is the volume itself" as $two 'read -P 5 0 4k' 'write -P 6 0 4k' flush
check "and back" leads two '"slow"'
check "a larger volume" gets 200 POST /volumes/a/resize '{"size": "32M"}'
check "is larger for both" as $one 'write -P 7 24M 64k' flush
check "of them" as $two 'read -P 7 24M 64k'

export_of two
check "no alias of it is refused" changes 422 PATCH "/exports/$id" '{"through": "other"}'
check "with what it has to be" says '.detail | contains("no alias of volume \"a\": its source has to be {source: a}")' true
check "so is the volume itself" changes 422 PATCH "/exports/$id" '{"through": "a"}'
check "and an alias with other blocks" changes 422 PATCH "/exports/$id" '{"through": "blocks"}'
check "and one that is not there" changes 422 PATCH "/exports/$id" '{"through": "none"}'
check "an alias that is in use stays" changes 409 DELETE /volumes/slow
check "for who uses it" says '.held_by | contains(["export '"$id"'"])' true
check "and stays one" changes 422 PUT /volumes/slow/source '{"source": "other"}'
check "the command line shows it" cairn export list --columns VOLUME,THROUGH,HOSTS
check "as it is" grep -Eq '^a +slow +two$' "$work/said"
check "and makes one" cairn export create a "$iqn:a" --host one --lun 4 --through slow
check "a LUN that another host sees otherwise" page $one 0x80
finish
