#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Objects over REST: made, seen by a host, changed while they run, refused with the
# place of the mistake, gone; the whole as a document; the history and back.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img

write_settings 0

sees() { # NAME SIZE: what a host finds there
	qemu-img info --output=json "$url:$1/0" >"$work/info" 2>&1
	jq -e ".[\"virtual-size\"] == $2" "$work/info" >/dev/null || { cat "$work/info"; return 1; }
}
reads_work() { qemu-img convert -O raw "$url:a/0" "$work/copy"; }
reads_fail() { ! reads_work; }
sees_nothing() { ! qemu-img info "$url:$1/0" >/dev/null 2>&1; }
runs() { # LISTENERS: names of those that run, top first
	gets 200 GET /volumes/a/listeners && says '[.items[].name] | join(" ")' "\"$1\""
}

check "the daemon starts" start_kept_daemon
check "no volume" gets 200 GET /volumes
check "as an empty page" says . '{"items":[],"next":null}'

check "a host that may come" gets 201 POST /hosts \
	'{"name": "any", "iscsi": {"iqn": ["*"]}}'
check "a dry run of a volume and its export" gets 200 POST '/volumes?dryRun=true' \
	'{"name": "a", "size": "4MiB", "export": {"hosts": ["any"]}}'
check "it would make three objects" says '[.dry_run, (.changes | length)]' '[true,3]'
check "nothing was made" gets 404 GET /volumes/a
check "not even a file" [ ! -e "$work/data/a.raw" ]
check "the volume and its export in one call" gets 201 POST /volumes \
	'{"name": "a", "size": "4MiB", "export": {"hosts": ["any"]}}'
check "it says where it is" grep -qi '^location: /api/v1/volumes/a' "$work/head"
check "online" says '.status | [.state, .size_bytes]' '["online",4194304]'
check "with an identity" says '.uuid | length' 36
check "a host finds it" sees a 4194304
tells() { # TOPIC FILTER: an event of that topic passes the filter
	gets 200 GET "/events?topics=$1&limit=1000" &&
		jq -e "[.items[] | select(.topic == \"$1\" and ($2))] | length > 0" "$work/body" >/dev/null
}
check "events tell of the host" tells hosts '.type == "host_created" and .data.id == "any"'
check "and of its login" wait_until tells sessions \
	".type == \"session_opened\" and .data.host == \"any\" and .data.target == \"$iqn:a\""
check "and of its logout, with the reason" wait_until tells sessions \
	'.type == "session_closed" and .data.host == "any" and .data.reason != ""'
check "its export" gets 200 GET "/exports/$iqn:a,0"
check "with its parts" says '[.volume, .target, .lun]' "[\"a\",\"$iqn:a\",0]"
check "its target, by the end of its name" gets 200 GET /targets/a
check "what the host sees" gets 200 GET /hosts/any/luns
check "one LUN" says '[.items[] | [.volume, .lun, .state]]' '[["a",0,"online"]]'

check "the name again" gets 409 POST /volumes '{"name": "a", "size": "1MiB"}'
echo old >"$work/data/old.raw"
check "nor is its file another's" gets 409 POST /volumes \
	'{"name": "thief", "source": {"protocol": {"type": "file", "path": "a.raw"}}}'
check "who has it is said" says '.detail | test("a.raw.*volume \"a\" has it")' true
check "nor is its LUN" gets 409 POST /volumes '{"name": "second", "source": {"protocol": {"type": "mem", "size": "1M"}},
	"export": {"hosts": ["any"], "target": "iqn.2026-11.example.cairn:a", "lun": 0}}'
check "who has that is said" body_has 'host \"any\" sees volume \"a\" as LUN 0'
check "a file that is there is not taken over" gets 409 POST /volumes \
	'{"name": "old", "size": "1MiB"}'
check "it says which" says '.detail | contains("old.raw is there already")' true
check "it is as it was" [ "$(cat "$work/data/old.raw")" = old ]
check "a size that is no whole block" gets 422 POST /volumes \
	'{"name": "b", "size": 1000}'
check "its pointer is the size" says '.errors[0].pointer' '"/size"'
check "neither size nor source" gets 422 POST /volumes '{"name": "b"}'
check "its pointer is the size, too" says '.errors[0].pointer' '"/size"'
check "an unknown format of the file" gets 422 POST /volumes \
	'{"name": "b", "size": "1MiB", "format": "vhd"}'
check "those that are known" says '.errors[0].allowed' '["raw","qcow2"]'
check "a format without a size" gets 422 POST /volumes \
	'{"name": "b", "format": "raw", "source": {"protocol": {"type": "mem", "size": "1MiB"}}}'
check "of large blocks, too" gets 422 POST /volumes \
	'{"name": "b", "size": 1536, "block_size": 4096}'
check "no file of it was made" [ ! -e "$work/data/b.raw" ]
check "a member that is not known" gets 422 POST /volumes \
	'{"name": "b", "size": "1MiB", "colour": 1}'
check "its pointer" says '.errors[0].pointer' '"/colour"'
check "a wrong member deep down" gets 422 POST /volumes \
	'{"name": "b", "source": {"protocol": {"type": "mem", "size": "x"}}}'
check "its pointer, too" says '.errors[0].pointer' '"/source/protocol/size"'
check "a host that is not there" gets 422 POST /volumes \
	'{"name": "b", "size": "1MiB", "export": {"hosts": ["nobody"]}}'
check "storage that is not there" gets 409 POST /volumes \
	'{"name": "b", "source": {"protocol": {"type": "file", "path": "none.raw"}}}'
check "nothing of all that was made" gets 200 GET /volumes
check "but the first" says '[.items[].name]' '["a"]'

check "a change without If-Match" gets 428 PATCH /volumes/a '{"read_only": true}'
check "with an old one" gets 412 PATCH /volumes/a '{"read_only": true}' -H 'If-Match: "999"'
check "the present one" gets 200 GET /volumes/a
tag=$(etag)
check "is taken" gets 200 PATCH /volumes/a '{"read_only": true}' -H "If-Match: $tag"
check "it is read-only" says '[.read_only, .status.write_protected]' '[true,true]'
check "once only" gets 412 PATCH /volumes/a '{"read_only": false}' -H "If-Match: $tag"
check "null takes the default" changes 200 PATCH /volumes/a '{"read_only": null}'
check "another identity" changes 422 PATCH /volumes/a \
	'{"uuid": "00000000-0000-0000-0000-000000000001"}'
check "its pointer" says '.errors[0].pointer' '"/uuid"'
gets 200 GET /volumes/a
identity=$(jq -r .uuid "$work/body")
check "the same for a second one" gets 409 POST /volumes "{\"name\": \"twin\", \"size\": \"1MiB\", \"uuid\": \"$identity\"}"
check "whose it is" says '[.errors[0].pointer, (.detail | contains("volume \"a\" has the same"))]' '["/uuid",true]'
check "there is none" gets 404 GET /volumes/twin
check "it keeps its own" gets 200 GET /volumes/a
check "as before" says .uuid "\"$identity\""
ask GET /volumes/a
check "what was read may be put" changes 200 PUT /volumes/a "$(cat "$work/body")"

check "a size that is smaller" gets 422 POST /volumes/a/resize '{"size": "1MiB"}'
check "a larger one" gets 200 POST /volumes/a/resize '{"size": "8MiB"}'
check "which it shows" says .status.size_bytes 8388608
check "and hosts" sees a 8388608

check "a listener" gets 201 POST /volumes/a/listeners \
	'{"type": "throttle", "name": "limit", "iops": 1000000}'
check "another, where it belongs" gets 201 POST /volumes/a/listeners '{"type": "stats"}'
check "both run" runs "stats limit"
check "an option, live" changes 200 PATCH /volumes/a/listeners/limit '{"iops": 900000}'
check "is in force" says .iops 900000
check "a wrong one" changes 422 PATCH /volumes/a/listeners/limit '{"iops": -1}'
check "its pointer" says '.errors[0].pointer' '"/iops"'
check "off again" changes 204 DELETE /volumes/a/listeners/limit
check "the other stays" runs stats
check "none of that name" changes 404 DELETE /volumes/a/listeners/limit
check "limits" changes 200 PUT /volumes/a/qos '{"iops": 5000000, "bytes_per_second": "1GiB"}'
check "as numbers" says '[.iops, .bytes_per_second, .active]' '[5000000,1073741824,true]'
check "run as a throttle" runs "stats qos"
check "a group has a name" changes 422 PUT /volumes/a/qos '{"iops": 6000000, "group": "\u0001"}'
check "other ones" changes 200 PUT /volumes/a/qos '{"iops": 6000000}'
check "none" changes 204 DELETE /volumes/a/qos
check "run no more" runs stats
check "a whole stack" changes 200 PUT /volumes/a/source \
	'{"listeners": [{"type": "fault", "name": "f"}], "protocol": {"type": "file", "path": "a.raw", "size": "8MiB"}}'
check "is what runs" runs f
check "a verb" gets 200 POST /volumes/a/listeners/f/commands '{"verb": "hold"}'
check "and its end" gets 200 POST /volumes/a/listeners/f/commands '{"verb": "release"}'
check "a verb that is none" gets 422 POST /volumes/a/listeners/f/commands '{"verb": "sing"}'

check "a fault for ever" gets 422 POST /volumes/a/faults '{"op": "read", "error": "EIO"}'
check "its pointer" says '.errors[0].pointer' '"/duration_seconds"'
check "a rule that is none" gets 422 POST /volumes/a/faults \
	'{"op": "sing", "duration_seconds": 600}'
check "its pointer, too" says '.errors[0].pointer' '"/op"'
check "a fault for a time" gets 201 POST /volumes/a/faults \
	'{"op": "read", "error": "EIO", "offset": "1MiB", "duration_seconds": 600}'
check "it has a name" says '[.id, .user]' '["f1","root"]'
check "another one" gets 201 POST /volumes/a/faults \
	'{"name": "short", "op": "write", "hold": true, "duration_seconds": 1}'
check "they strike" reads_fail
no_short() { ask GET /volumes/a/faults && says '[.items[].id]' '["f1"]' >/dev/null; }
check "the short one ends by itself" wait_until no_short
check "the other strikes on" reads_fail
check "it is removed" changes 204 DELETE /volumes/a/faults/f1
check "once only" changes 404 DELETE /volumes/a/faults/f1
check "reads are well" reads_work
check "the stack is as before" runs f
check "one that goes with its stack" gets 201 POST /volumes/a/faults \
	'{"name": "f9", "op": "read", "error": "EIO", "offset": "1MiB", "duration_seconds": 600}'
check "it is in the history" gets 200 GET /history
with_fault=$(jq '.items[0].number' "$work/body")
check "the stack is another one" changes 200 PUT /volumes/a/source \
	'{"listeners": [{"type": "fault", "name": "f"}], "protocol": {"type": "file", "path": "a.raw", "size": "8MiB"}}'
check "its name is free again" gets 201 POST /volumes/a/faults \
	'{"name": "f9", "op": "read", "error": "EIO", "offset": "1MiB", "duration_seconds": 600}'
check "it goes" changes 204 DELETE /volumes/a/faults/f9
check "the history brings it back" changes 200 POST "/history/$with_fault/restore" ''
check "it is listed" gets 200 GET /volumes/a/faults
check "and has an end" says '[.items[] | [.id, .duration_seconds, .user]]' '[["f9",3600,"root"]]'
check "it strikes" reads_fail
check "till it is taken away" changes 204 DELETE /volumes/a/faults/f9
check "a fault that ends while the daemon is away" gets 201 POST /volumes/a/faults \
	'{"op": "read", "error": "EIO", "duration_seconds": 1}'
kill_daemon
check "it starts again" start_kept_daemon
check "the fault has ended" wait_until runs f
check "the audit has it" gets 200 GET '/audit?limit=1000'
check "by whom, of what, as which change" says '[.items[] |
	select(.operation == "expireFault") | [.user, .via, .object, .change > 0]]' \
	'[["cairnd","daemon","volumes/a",true],["cairnd","daemon","volumes/a",true]]'
check "reads are well again" reads_work

check "a secret" changes 200 PUT /hosts/any/secret \
	'{"user": "any", "secret": "not-to-be-seen"}'
check "is not shown" says .iscsi.chap.secret null
check "a host needs it now" sees_nothing a
check "no answer and no log has it" \
	[ "$(grep -c not-to-be-seen "$work/body" "$work/daemon.log" | cut -d: -f2 | tr '\n' ' ')" = "0 0 " ]
check "away with it" changes 204 DELETE /hosts/any/secret
check "its name is enough again" sees a 8388608

check "a volume that is exported stays" changes 409 DELETE /volumes/a
check "who holds it" says .held_by "[\"export 1\"]"
check "a host that sees it stays" changes 409 DELETE /hosts/any
check "a second volume" gets 201 POST /volumes '{"name": "b", "size": "1MiB"}'
check "exported at the next LUN" gets 201 POST /exports \
	"{\"volume\": \"b\", \"target\": \"a\", \"hosts\": [\"any\"]}"
check "which is 1" says '[.lun, .id]' "[1,\"2\"]"

check "the whole" gets 200 GET /config
cp "$work/body" "$work/whole"
check "has all" says '[.volumes, .hosts, .targets, .exports | length]' '[2,1,1,2]'
check "as YAML" gets 200 GET /config '' -H 'Accept: application/yaml'
cp "$work/body" "$work/whole.yaml"
check "that may be put, and changes nothing" gets 200 PUT /config '' -H 'If-Match: *' \
	-H 'Content-Type: application/yaml' --data-binary "@$work/whole.yaml"
check "nothing" says '.changes' '[]'
check "a whole with a mistake" changes 422 PUT /config \
	'{"volumes": [{"name": "a", "source": {"protocol": {"type": "mem", "size": 0}}}]}'
check "its pointer" says '.errors[0].pointer' '"/volumes/0/source/protocol/size"'
check "a whole whose storage is not there" changes 409 PUT /config \
	'{"volumes": [{"name": "a", "source": {"protocol": {"type": "file", "path": "no"}}}]}'
check "what would go" changes 200 PUT '/config?dryRun=true' '{}'
check "all" says '[.changes[].operation] | unique' '["delete"]'
check "the newest change" gets 200 GET '/history?limit=1'
check "made by root" says '.items[0].user' '"root"'
number=$(jq '.items[0].number' "$work/body")
check "a volume has an identity" gets 200 GET /volumes/a
uuid=$(jq .uuid "$work/body")
check "all goes" changes 200 PUT /config '{}'
check "a host finds nothing" sees_nothing a
check "who waits for changes hears of it" tells changes \
	'.type == "config_changed" and .data.history > 0'
check "events tell that it was sent away" wait_until tells logins \
	'.type == "login_refused" and .data.refusal != "" and .data.peer != ""'
check "back" changes 200 POST "/history/$number/restore"
check "it is there again" sees a 8388608
check "that comes back" gets 200 GET /volumes/a
check "as the disk that hosts know" says .uuid "$uuid"
check "the same as before" gets 200 GET /config
check "whole" [ "$(jq -S . "$work/body")" = "$(jq -S . "$work/whole")" ]

kill_daemon
check "the daemon starts again, after kill -9" start_kept_daemon
check "all is as it was" gets 200 GET /config
check "whole" [ "$(jq -S . "$work/body")" = "$(jq -S . "$work/whole")" ]
check "and a host finds it" sees a 8388608
check "with cascade it goes" changes 204 DELETE '/volumes/a?cascade=true'
check "with its export" gets 404 GET "/exports/$iqn:a,0"
check "its file stays" [ -e "$work/data/a.raw" ]
moved_away() { # under a's name lies now what b has open, and b's name is gone
	changes 201 POST /volumes '{"name": "c", "source": {"protocol":
		{"type": "file", "path": "c.raw", "size": "1MiB"}}}' &&
		ln -f "$work/data/b.raw" "$work/data/c.raw" &&
		mv "$work/data/b.raw" "$work/data/elsewhere"
}
check "a file gets another one's name" moved_away
check "what a purge of that name would do" changes 200 DELETE '/volumes/c?purge=true&dryRun=true'
check "who has it open is known" says '.impact[] | select(.object == "volume c").text' '"hosts lose it; c.raw stays: volume b uses it"'
check "purged, it stays" changes 204 DELETE '/volumes/c?purge=true'
check "really" [ -e "$work/data/c.raw" ]
check "it gets its name back" mv "$work/data/elsewhere" "$work/data/b.raw"
check "what a purge removes" changes 200 DELETE '/volumes/b?cascade=true&purge=true&dryRun=true'
check "is said" says '.impact[] | select(.object == "volume b").text' '"hosts lose it; its data are gone: removes b.raw"'
check "and not done" [ -e "$work/data/b.raw" ]
check "purged it does not" changes 204 DELETE '/volumes/b?cascade=true&purge=true'
check "that file" [ ! -e "$work/data/b.raw" ]
holds_none() { ! ls -l "/proc/$daemon_pid/fd" | grep -F '(deleted)'; }
check "nobody holds its blocks" wait_until holds_none

finish
