#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A host writes and checks what it wrote, while strangers besiege REST from several
# addresses: 10,000 wrong passwords, 5,000 idle TLS connections, bodies that are too
# large or too slow, requests that are none, 20 readers of events that never read.
# They are refused as documented; the host sees no error, an administrator gets
# through.
#
# The guesses come beside each other: one after the other, each waiting for its
# scrypt, they would on a slow machine stay below the five a minute that anybody
# may have, and take a day.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq

tries=${SIEGE_TRIES:-10000}
idle=${SIEGE_IDLE:-5000}
guessers=8
write_settings 0
write_document <<'YAML'
disk source: {protocol: {type: file, path: disk.raw, size: 16M}}
YAML
check "the daemon starts" start_daemon
check "a user" answers 201 sends local_api POST /api/v1/users \
	'{"name": "alice", "role": "admin", "password": "four words of our own"}'

record=$work/record
nice "$BUILD/tools/survive" write "$port" "$iqn:disk" "$record" 1 >"$work/writer.log" 2>&1 &
writer=$!
has_written() { # BYTES
	local bytes
	bytes=$(curl -s -m 60 --unix-socket "$work/run/cairn.sock" \
		http://cairn/api/v1/sessions | jq '[.items[].in_bytes] | add')
	[ "${bytes:-0}" -gt "$1" ] && echo "$bytes" >"$work/written"
}
check "a host writes" wait_until has_written 0
at_first=$(cat "$work/written")

# -- the besiegers ---------------------------------------------------------------

# Connections, to which nothing is said while this pipe is open.
mkfifo "$work/silence"
"$BUILD/tools/idle_tls" "$api_port" "$idle" 127.0.0.2 \
	<"$work/silence" >"$work/idle" 2>&1 &
silent=$!
exec 7>"$work/silence"

# Events, to a pipe that nobody reads.
mkfifo "$work/nobody"
exec 8<>"$work/nobody"
strangers=()
for _ in {1..20}; do
	command curl -sN --unix-socket "$work/run/cairn.sock" -H 'Accept: text/event-stream' \
		http://cairn/api/v1/events >&8 2>/dev/null &
	strangers+=($!)
done

# Bodies a kilobyte a second: the server ends them.
head -c 20000000 /dev/zero >"$work/large"
for _ in {1..10}; do
	command curl -sk --interface 127.0.0.4 --limit-rate 1k -o /dev/null -T "$work/large" \
		"https://127.0.0.1:$api_port/api/v1/config" &
	strangers+=($!)
done

besiege() {
	while [ ! -e "$work/enough" ]; do
		command curl -sk --interface 127.0.0.5 -m 30 -o /dev/null -X PUT \
			--data-binary @"$work/large" \
			"https://127.0.0.1:$api_port/api/v1/config"
		command curl -sk --interface 127.0.0.5 -m 30 -o /dev/null -X 'NO METHOD' \
			"https://127.0.0.1:$api_port/x"
		command curl -s -m 30 -o /dev/null --unix-socket "$work/run/cairn.sock" \
			-X PUT -d '{}' http://cairn/api/v1/volumes/disk
	done
}
besiege &
siege=$!

# One curl for many, each for one status on a line.
guesses() { # FIRST LAST
	local i
	for ((i = $1; i <= $2; i++)); do
		printf '%s\n' "url = \"https://127.0.0.1:$api_port/api/v1/login\"" \
			"data = \"{\\\"user\\\": \\\"alice\\\", \\\"password\\\": \\\"wrong number $i\\\"}\"" \
			'header = "Content-Type: application/json"' \
			'interface = "127.0.0.3"' 'output = "/dev/null"' \
			'write-out = "%{http_code}\n"' insecure silent next
	done | sed '$d'
}
guess_all() {
	local i each=$((tries / guessers)) pids=()
	for ((i = 0; i < guessers; i++)); do
		guesses $((i * each + 1)) $(((i + 1) * each)) >"$work/guesses.$i"
		command curl -K "$work/guesses.$i" >"$work/statuses.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	cat "$work"/statuses.* | sort | uniq -c | tee "$work/count"
	[ "$(cat "$work"/statuses.* | wc -l)" = $((each * guessers)) ] &&
		! cat "$work"/statuses.* | grep -qvxE '401|429' &&
		[ "$(cat "$work"/statuses.* | grep -c 401)" -le 50 ]
}
check "$tries wrong passwords: a few are looked at, then told to wait" guess_all
sed 's/^/# /' "$work/count"

# -- meanwhile, and afterwards ---------------------------------------------------

check "all idle connections came" line_comes . "$work/idle"
echo "# idle connections made: $(cat "$work/idle")"
check "an administrator gets through" answers 200 local_api /api/v1/system
check "and sees what is there" answers 200 local_api /api/v1/volumes/disk
check "https answers, too" answers 200 tls_api /healthz
signs_in() {
	answers 200 sends tls_api POST /api/v1/login \
		'{"user": "alice", "password": "four words of our own"}'
}
touch "$work/enough"
wait $siege
check "alice signs in from another place" signs_in

check "the host wrote all the time" wait_until has_written "$at_first"
check "it is there" answers 200 local_api /api/v1/sessions
no_errors() { jq -e '[.items[].errors] | length == 1 and add == 0' "$work/body"; }
check "and has seen no error" no_errors
check "the writer goes on" kill -0 $writer
kill $writer "${strangers[@]}" 2>/dev/null
exec 7>&-
wait $writer "${strangers[@]}" $silent 2>/dev/null
check "all that was acknowledged is there" \
	"$BUILD/tools/survive" verify "$port" "$iqn:disk" "$record"
finish
