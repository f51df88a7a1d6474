#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 while a volume goes back to a snapshot: afterwards it is what it was, or what
# the snapshot was, as a whole, and what was there is kept by name if it is the latter;
# one that was acknowledged has gone back. At each I/O of the image: a fault holds the
# n-th one for ever, so that the kill hits exactly there.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

most=80 # more I/Os than going back does
write_settings 0

document() { # [RULE]: the image's file holds what it says
	local listeners=
	[ $# = 0 ] || listeners="listeners: [{type: fault, name: deep, rules: [$1]}], "
	write_document <<VOLUMES
a source: {format: {type: qcow2, file: {${listeners}protocol: {type: file, path: a.qcow2}}}}
VOLUMES
}
template() { # 1 in the snapshot, 2 now, each in places of its own, too; sizes differ
	mkdir -p "$work/data" && qemu-img create -q -f qcow2 -o cluster_size=4k "$work/template" 4M &&
		qemu-io -f qcow2 -c 'write -P 1 0 256k' -c 'write -P 1 1M 64k' "$work/template" &&
		qemu-img snapshot -c old "$work/template" &&
		qemu-io -f qcow2 -c 'write -P 2 0 256k' -c 'discard 1M 64k' -c 'write -P 2 2M 64k' "$work/template"
}
as_it_was() { io 'read -P 2 0 256k' 'read -P 0 1M 64k' 'read -P 2 2M 64k'; }
gone_back() { io 'read -P 1 0 256k' 'read -P 1 1M 64k' 'read -P 0 2M 64k'; }
names() { gets 200 GET /volumes/a/snapshots >/dev/null && jq -r '[.items[].name] | sort | join(" ")' "$work/body"; }
old_or_new() { # sets $found
	case $(names) in
	old) found=old && as_it_was ;;
	'before-old old') found=new && gone_back && forth ;;
	*) echo "snapshots: $(names)" && return 1 ;;
	esac
}
forth() { # what was there is whole, too
	changes 200 POST /volumes/a/snapshots/before-old/revert '{"safety": "again", "destroy": true}' && as_it_was
}
goes_back() { # in the background; its status in $work/answered
	: >"$work/answered"
	curl -s -m 60 -X POST --unix-socket "$work/run/cairn.sock" -o /dev/null \
		-H 'Content-Type: application/json' -w '%{http_code}' -d '{"destroy": true}' \
		http://cairn/api/v1/volumes/a/snapshots/old/revert >"$work/answered" 2>/dev/null
}
held() { # a request of the image, or all is done
	[ -s "$work/answered" ] ||
		{ gets 200 GET '/volumes/a/source?status=true' >/dev/null &&
			[ "$(jq '[.. | .held? // empty | numbers] | add' "$work/body")" -ge 1 ]; }
}
cut() { # OP N: killed when the n-th request of the kind is under way
	local asker
	cp "$work/template" "$work/data/a.qcow2" || return 1
	document "{op: $1, after: $2, hold: true}"
	start_daemon || return 1
	goes_back &
	asker=$!
	wait_until held || return 1
	kill_daemon
	wait "$asker"
	document
	start_daemon && old_or_new || { echo "$1 number $2"; return 1; }
	[ "$(cat "$work/answered")" != 200 ] || [ $found = new ] || { echo "$1 number $2: acknowledged"; return 1; }
	seen="$seen $found"
	kill_daemon
}
cuts() { # OP: until there are no more; the opening's are passed by the same count
	local n
	seen=
	for ((n = first; n < most; n++)); do
		cut "$1" "$n" || return 1
		[ "$(cat "$work/answered")" != 200 ] || break
	done
	[ "$n" -gt "$first" ] && [ "$n" -lt "$most" ] || { echo "ended at $n"; return 1; }
}
# Requests of the kind that opening the image makes are not of going back.
opening() { # OP
	cp "$work/template" "$work/data/a.qcow2" || return 1
	document "{op: $1, delay_us: 0, error: none, name: count}"
	start_daemon && gets 200 GET '/volumes/a/source?status=true' || return 1
	first=$(jq '[.. | .matches? // empty | numbers] | add' "$work/body")
	stop_daemon
}
both() { # it was the one and the other
	case $seen in *old*new*) ;; *) echo "$seen" && return 1 ;; esac
}
sound() { qemu-img check -f qcow2 "$work/data/a.qcow2" || [ $? = 3 ]; }

check "an image with a snapshot" template
for op in write flush; do
	check "what opening does" opening "$op"
	check "killed at each $op: the old or the new, whole" cuts "$op"
	check "first the one, then the other" both
	check "QEMU finds the last image sound" sound
done
finish
