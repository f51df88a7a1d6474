# SPDX-License-Identifier: Apache-2.0
#
# For shell tests of a group of snapshots that is cut off, beside lib.sh and api.sh: three
# volumes, each in an image of its own; which of them have a snapshot.

image() { # NAME LISTENERS: in a file of its own
	echo "source: {format: {type: qcow2, size: 4M, file: {$2protocol: {type: file, path: $1.qcow2, size: 4K}}}}"
}
documents() { # RULE: the second of three holds what it says
	local listeners=
	[ $# = 0 ] || listeners="listeners: [{type: fault, name: deep, rules: [$1]}], "
	write_document <<VOLUMES
a $(image a "")
b $(image b "$listeners")
c $(image c "")
VOLUMES
}
has() { # VOLUME SNAPSHOT: "1" or "0"
	gets 200 GET "/volumes/$1/snapshots" >/dev/null &&
		jq "[.items[] | select(.name == \"$2\")] | length" "$work/body"
}
all_or_none() { # SNAPSHOT
	found=$(has a "$1")$(has b "$1")$(has c "$1")
	case $found in 000 | 111) return 0 ;; esac
	echo "snapshot $1 is in a, b, c: $found"
	return 1
}
group() { # NAME: in the background; its status in $work/answered.NAME
	curl -s -m 60 -X POST --unix-socket "$work/run/cairn.sock" -o /dev/null \
		-H 'Content-Type: application/json' -w '%{http_code}' \
		-d "{\"name\": \"$1\", \"volumes\": [\"a\", \"b\", \"c\"]}" \
		http://cairn/api/v1/snapshot-groups >"$work/answered.$1" 2>/dev/null
}
held() { # a request of the image of b, or all is done
	[ -s "$work/answered.$1" ] ||
		{ gets 200 GET '/volumes/b/source?status=true' >/dev/null &&
			[ "$(jq '[.. | .held? // empty | numbers] | add' "$work/body")" -ge 1 ]; }
}

# What opening the image of b matches of a rule is none of the group's: into $first.
opening() { # RULE
	documents "{$1, delay_us: 0, error: none, name: count}"
	start_daemon && gets 200 GET '/volumes/b/source?status=true' || return 1
	first=$(jq '[.. | .matches? // empty | numbers] | add' "$work/body")
	stop_daemon
}
sound() { # leaks (3) at worst
	local name
	for name in a b c; do
		qemu-img check -f qcow2 "$work/data/$name.qcow2" || [ $? = 3 ] || return 1
	done
}

