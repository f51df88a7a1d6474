#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 while the configuration changes, in part and as a whole, portals and schedules
# among it, and while snapshots of two volumes are made and deleted: afterwards it is as
# the last change that was acknowledged left it, or as the one that was under way would
# have, whole, and the audit has a record of each. Then the whole is exported, imported
# into another appliance, and equal. Half of the KILL_ROUNDS (50; 1000 in the long form)
# are here, the others in test_config_kill_more.sh, beside it.

. "$(dirname "$0")/lib.sh"
needs curl jq

rounds=$(((${KILL_ROUNDS:-50} + 1) / 2))
write_settings 0

# One change of six objects of four kinds, all with the same number.
document() { # NUMBER
	local n=$1 name
	echo '{"volumes": ['
	for name in a b; do
		echo "{\"name\": \"$name\", \"source\":
			{\"listeners\": [{\"type\": \"throttle\", \"name\": \"t\", \"iops\": $((n + 1000))}],
			\"protocol\": {\"type\": \"file\", \"path\": \"$name.raw\", \"size\": \"1MiB\"}}}$([ $name = b ] || echo ,)"
	done
	for name in 1 2; do
		echo ", {\"name\": \"shot$name\", \"source\": {\"format\": {\"type\": \"qcow2\", \"size\": \"1MiB\", \"pool\": 0,
			\"file\": {\"protocol\": {\"type\": \"file\", \"path\": \"shot$name.qcow2\", \"size\": \"4K\"}}}}}"
	done
	echo "], \"hosts\": [{\"name\": \"h$n\", \"iscsi\": {\"iqn\": [\"*\"]}}],
		\"targets\": [{\"name\": \"t\", \"alias\": \"P$n\"}],
		\"exports\": [{\"volume\": \"a\", \"target\": \"t\", \"lun\": $((n % 100)), \"hosts\": [\"h$n\"]}]}"
}
ask() { # METHOD PATH [CURL OPTIONS]
	curl -s -m 60 -X "$1" --unix-socket "$work/run/cairn.sock" "${@:3}" "http://cairn/api/v1$2"
}
send() { # METHOD PATH: the body from $work/body; status
	ask "$1" "$2" -o /dev/null -w '%{http_code}' -H 'If-Match: *' \
		-H 'Content-Type: application/json' --data-binary "@$work/body"
}
# A number, the volumes that were added since, portals, schedules, snapshots: what is to
# be found, in this order.
words() { xargs -n 1 <"$work/acked" | grep "$@" | paste -sd' '; }
ask_for() { xargs <<<"$*" >"$work/asked"; }
put() { # NUMBER
	document "$1" >"$work/body"
	ask_for "$1" "$(words '^[pk]')" # which the document leaves alone
	send PUT /config
}
add() { # NUMBER: a volume, its target and its export, in one change
	echo "{\"name\": \"x$1\", \"source\": {\"protocol\": {\"type\": \"mem\", \"size\": \"1MiB\"}},
		\"export\": {\"hosts\": [\"h$(cut -d' ' -f1 "$work/acked")\"]}}" >"$work/body"
	ask_for "$(words -v '^[psk]')" "x$1" "$(words '^[psk]')"
	send POST /volumes
}
# turn LETTER PATH NUMBER BODY BEHIND: one more of what is called by that letter, or of
# three the first is no more; words that begin as BEHIND says stand behind it.
turn() {
	local first
	first=$(words "^$1" | cut -d' ' -f1)
	if [ "$(words "^$1" | wc -w)" -ge 3 ]; then
		ask_for "$(words -vx "$first")"
		ask DELETE "$2/$first" -o /dev/null -w '%{http_code}' -H 'If-Match: *'
	else
		echo "$4" >"$work/body"
		ask_for "$(words -v "$5")" "$1$3" "$(words "$5")"
		send POST "$2"
	fi
}
portal() { turn p /portals "$1" "{\"name\": \"p$1\", \"address\": \"127.0.0.1\", \"port\": 0}" '^[sk]'; }
schedule() {
	turn s /schedules "$1" "{\"name\": \"s$1\", \"volumes\": [\"a\", \"shot1\"],
		\"every\": \"day\", \"enabled\": false, \"keep\": {\"latest\": 1}}" '^k'
}
# Of both volumes at once; each is deleted by itself, so one may be left half.
shot() { # NUMBER
	local first status
	first=$(words '^k' | cut -d' ' -f1)
	[ "$(words '^k' | wc -w)" -ge 3 ] || {
		echo "{\"name\": \"k$1\", \"volumes\": [\"shot1\", \"shot2\"]}" >"$work/body"
		ask_for "$(cat "$work/acked")" "k$1"
		send POST /snapshot-groups
		return
	}
	echo "$first" >"$work/half"
	ask_for "$(words -vx "$first")"
	status=$(ask DELETE "/volumes/shot1/snapshots/$first" -o /dev/null -w '%{http_code}' -H 'If-Match: *')
	case $status in 20?) ;; *) echo "$status" && return ;; esac
	ask DELETE "/volumes/shot2/snapshots/$first" -o /dev/null -w '%{http_code}' -H 'If-Match: *'
}
change_on() {
	local n status
	n=$(cat "$work/count")
	while :; do
		n=$((n + 1))
		case $((RANDOM % 7)) in
		0) status=$(put "$n" 2>/dev/null) ;;
		1) status=$(portal "$n" 2>/dev/null) ;;
		2 | 3) status=$(schedule "$n" 2>/dev/null) ;;
		4) status=$(shot "$n" 2>/dev/null) ;;
		*) status=$(add "$n" 2>/dev/null) ;;
		esac
		case $status in 20?) ;; *) return 0 ;; esac
		cp "$work/asked" "$work/acked.new" && mv "$work/acked.new" "$work/acked"
		echo "$n" >"$work/count.new" && mv "$work/count.new" "$work/count"
	done
}
reached() { [ "$(cat "$work/count")" -ge "$1" ]; }
# The number that all has, and volumes with their target and their export; what has
# another number, or lacks a part, stands there too.
found() {
	ask GET /config | jq -r '. as $all |
		([(.volumes[] | select(.source.listeners) | .source.listeners[0].iops - 1000 | tostring),
		  (.hosts[].name[1:]), (.targets[] | .alias // empty | .[1:]),
		  (.exports[] | .hosts[0][1:])] | unique) +
		[.volumes[].name | select(startswith("x"))] +
		([.volumes[].name | select(startswith("x"))] -
		 [$all.exports[].volume] | map("no export of " + .)) +
		([.targets[] | .iqn // empty | split(":")[1]] -
		 [$all.exports[].volume] | map("only a target " + .)) +
		[.portals[].name | select(startswith("p"))] + [.schedules[]?.name] | join(" ")'
}
# Snapshots that both volumes have; one that only one has is to go.
found_shots() {
	local one two name
	one=$(ask GET /volumes/shot1/snapshots | jq -r '.items[].name' | sort -V)
	two=$(ask GET /volumes/shot2/snapshots | jq -r '.items[].name' | sort -V)
	for name in $(comm -3 <(sort <<<"$one") <(sort <<<"$two")); do
		[ "$name" = "$(cat "$work/half")" ] || echo "only one has $name"
		ask DELETE "/volumes/shot2/snapshots/$name" -o /dev/null -H 'If-Match: *'
	done
	comm -12 <(sort <<<"$one") <(sort <<<"$two") | sort -V | xargs
}
# Each portal that is kept is bound, and no other.
bound() {
	local named
	named=$(words '^p')
	[ "$(sed -n 's/^\(p[0-9]*\)=127.0.0.1:[1-9].*/\1/p' "$work/ports" | xargs)" = "$named" ] && return 0
	echo "bound, of $named:"
	cat "$work/ports"
	return 1
}
# The newest of the history is the newest record of the audit, and none is missing.
witnessed() {
	local newest changes records
	newest=$(ask GET '/history?limit=1' | jq .items[0].number)
	records=$(ask GET '/audit?limit=100' | jq -c '[.items[].change // empty]')
	changes=$(jq 'length' <<<"$records")
	[ "$(jq '.[0]' <<<"$records")" = "$newest" ] &&
		[ "$(jq '(.[0] - .[-1]) + 1' <<<"$records")" = "$changes" ] && return 0
	echo "newest change: $newest; records: $(jq -c . <<<"$records")"
	return 1
}
whole() {
	local now acked asked
	acked=$(cat "$work/acked") asked=$(cat "$work/asked")
	now=$(xargs <<<"$(found) $(found_shots)")
	if [ "$now" = "$acked" ] || [ "$now" = "$asked" ]; then
		echo "$now" >"$work/acked"
		bound && witnessed
		return
	fi
	echo "kept: $now; acknowledged: $acked; asked for: $asked"
	return 1
}
round() {
	local first
	first=$(cat "$work/count")
	change_on &
	local changer=$!
	wait_until reached $((first + 1 + RANDOM % 3)) || return 1
	kill_daemon
	wait "$changer"
	echo $(($(cat "$work/count") + 1)) >"$work/count"
	start_kept_daemon && whole
}
all_rounds() {
	local n
	for ((n = 1; n <= rounds; n++)); do
		round || { echo "round $n of $rounds"; return 1; }
	done
}
start_empty() {
	mv "$work/state" "$work/state.first"
	start_kept_daemon
}
import() {
	cp "$work/exported" "$work/body"
	[ "$(send PUT /config)" = 200 ] &&
		ask GET /config | jq -S . >"$work/again" &&
		diff "$work/exported" "$work/again"
}
refuse() { # WORDS: the daemon does not start, and says this
	! timeout -s KILL 60 "$BUILD/cairnd" --config "$work/cairn.yaml" >"$work/refusal" 2>&1 &&
		grep -q "$1" "$work/refusal" && ! grep -q 'is ready' "$work/refusal" || {
		cat "$work/refusal"
		return 1
	}
}
damage() { # every page but the first
	dd if=/dev/urandom of="$work/state/cairn.db" bs=4096 seek=1 \
		count=$(($(stat -c %s "$work/state/cairn.db") / 4096 - 1)) \
		conv=notrunc status=none
}

check "the daemon starts" start_kept_daemon
echo 0 | tee "$work/acked" >"$work/asked"
echo 0 >"$work/count"
echo none >"$work/half"
check "a first configuration" [ "$(put 0)" = 200 ]
check "$rounds times kill -9: the old or the new one, whole, and witnessed" all_rounds
echo "# at last: $(cat "$work/acked")"
ask GET /config | jq -S . >"$work/exported"
stop_daemon
check "an empty appliance" start_empty
check "imported there, it is equal" import
stop_daemon
damage
check "a damaged database is refused, and nothing exported" refuse 'damaged\|malformed'
finish
