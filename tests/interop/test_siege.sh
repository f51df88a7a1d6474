#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A host writes and checks what it wrote, while strangers besiege REST from many
# addresses. Each is refused as documented, and counted; the host sees no error, and
# whoever may gets through:
#
#	wrong passwords		10,000: five are looked at, then one now and then; 429
#	idle TLS connections	5,000: at most 512 stay, those idle for longest go
#	slow requests		a byte a second, in the header or in the body: closed
#				30 s after their first byte, or before that for one
#				that comes where there are 512
#	huge requests		413; what is no request 400; no method of ours 405, 501
#	readers of events	20 that never read: dropped (how much memory they take
#				in webui/tests/test_readers.sh)
#	bad credentials		a revoked and an expired token 401; a cookie without its
#				CSRF token or from another site 403
#
# The guesses come beside each other: one after the other, each waiting for its
# scrypt, they would on a slow machine stay below the five a minute that anybody
# may have, and take a day.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq python3

tries=${SIEGE_TRIES:-10000}
idle=${SIEGE_IDLE:-5000}
guessers=8
readers=20
password='four words of our own'
write_settings 0
write_document <<'YAML'
disk source: {protocol: {type: file, path: disk.raw, size: 16M}}
YAML
check "the daemon starts" start_daemon
check "a user" answers 201 sends local_api POST /api/v1/users \
	"{\"name\": \"alice\", \"role\": \"admin\", \"password\": \"$password\"}"
api=https://127.0.0.1:$api_port
check "a volume that no host sees" gets 201 POST /volumes \
	'{"name": "aside", "source": {"protocol": {"type": "mem", "size": "1M"}}}'

record=$work/record
nice "$BUILD/tools/survive" write "$port" "$iqn:disk" "$record" 1 >"$work/writer.log" 2>&1 &
writer=$!
has_written() { # BYTES
	local bytes
	bytes=$(curl -s -m 60 --unix-socket "$work/run/cairn.sock" \
		http://cairn/api/v1/sessions | jq '[.items[].in_bytes] | add')
	[ "${bytes:-0}" -gt "$1" ] && echo "$bytes" >"$work/written"
}
its_session() { ask GET /sessions && jq -c '[.items[] | .id, .since]' "$work/body"; }
check "a host writes" wait_until has_written 0
at_first=$(cat "$work/written")
session=$(its_session)

# -- credentials that were good once ------------------------------------------------

new_token() { # EXPIRES_SECONDS: $token, $token_id
	gets 201 POST /tokens "{\"user\": \"alice\", \"role\": \"admin\", \"expires_seconds\": $1}" &&
		token=$(jq -r .token "$work/body") && token_id=$(jq -r .id "$work/body")
}
asks_with() { tls_api --interface 127.0.0.6 -H "Authorization: Bearer $1" /api/v1/volumes; }
check "a token" new_token 3600
revoked=$token
check "that is good" answers 200 asks_with "$revoked"
check "is revoked" changes 204 DELETE "/tokens/$token_id"
check "another one" new_token 1
expired=$token
check "runs out" wait_until answers 401 asks_with "$expired"
signs_in() { # ADDRESS
	answers 200 sends tls_api POST /api/v1/login \
		"{\"user\": \"alice\", \"password\": \"$password\"}" --interface "$1"
}
check "alice signs in" signs_in 127.0.0.7
cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: \([^;]*\).*/\1/p' "$work/head")
csrf=$(jq -r .csrf_token "$work/body")

# -- the besiegers ---------------------------------------------------------------

# Connections, to which nothing is said while this pipe is open.
mkfifo "$work/silence"
"$BUILD/tools/idle_tls" "$api_port" "$idle" 127.0.1.1 50 \
	<"$work/silence" >"$work/idle" 2>&1 &
silent=$!
exec 7>"$work/silence"

# Events, to a pipe that nobody reads.
mkfifo "$work/nobody"
exec 8<>"$work/nobody"
strangers=()
for ((i = 0; i < readers; i++)); do
	command curl -sN --unix-socket "$work/run/cairn.sock" -H 'Accept: text/event-stream' \
		http://cairn/api/v1/events >&8 2>/dev/null &
	strangers+=($!)
done

# A byte a second, until the server ends it: how many were ended, after how long.
slow() {
	python3 - "$api_port" <<'END'
import select, socket, ssl, sys, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
heads = [b"GET /api/v1/volumes HTTP/1.1\r\nX: ",
	b"PUT /api/v1/config HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"]
began, took = {}, []
for i in range(20):
	raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60,
		("127.0.0.4", 0))
	one = context.wrap_socket(raw)
	one.send(heads[i % 2])
	one.setblocking(False)
	began[one] = time.monotonic()
while began and time.monotonic() - min(began.values()) < 300:
	readable = select.select(list(began), [], [], 1)[0]
	for one in list(began):
		try:
			if one in readable and not one.recv(1000):
				raise ConnectionError
			one.send(b"x")
		except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
			pass
		except OSError:
			took.append(time.monotonic() - began.pop(one))
print(len(took), int(max(took)))
END
}
slow >"$work/slow" 2>&1 &
slow=$!

# besieges FILE CURL-OPTIONS...: one request; its status goes to that file.
head -c 20000000 /dev/zero >"$work/large"
besieges() {
	command curl -sk -m 60 -o /dev/null -w '%{http_code}\n' "${@:2}" >>"$work/got.$1"
}
besiege() {
	local from=(--interface 127.0.0.5) change=(-X PATCH -H 'If-Match: *' -d '{"thin": true}')
	while [ ! -e "$work/enough" ]; do
		besieges huge "${from[@]}" -X PUT --data-binary @"$work/large" "$api/api/v1/config"
		besieges method "${from[@]}" -X BREW "$api/api/v1/volumes"
		besieges nonsense "${from[@]}" -X 'NO METHOD' "$api/x"
		besieges revoked "${from[@]}" -H "Authorization: Bearer $revoked" \
			"${change[@]}" "$api/api/v1/volumes/disk"
		besieges expired "${from[@]}" -H "Authorization: Bearer $expired" \
			"${change[@]}" "$api/api/v1/volumes/disk"
		besieges bare "${from[@]}" -H "Cookie: $cookie" "${change[@]}" "$api/api/v1/volumes/disk"
		besieges foreign "${from[@]}" -H "Cookie: $cookie" -H "X-CSRF-Token: $csrf" \
			-H 'Origin: https://evil.example' "${change[@]}" "$api/api/v1/volumes/disk"
		besieges unmatched --unix-socket "$work/run/cairn.sock" -X PUT -d '{}' \
			http://cairn/api/v1/volumes/disk
	done
}
besiege &
siege=$!

# One curl for many, each for one status on a line.
guesses() { # FIRST LAST
	local i
	for ((i = $1; i <= $2; i++)); do
		printf '%s\n' "url = \"$api/api/v1/login\"" \
			"data = \"{\\\"user\\\": \\\"alice\\\", \\\"password\\\": \\\"wrong number $i\\\"}\"" \
			'header = "Content-Type: application/json"' \
			'interface = "127.0.0.3"' 'output = "/dev/null"' \
			'write-out = "%{http_code}\n"' insecure silent next
	done | sed '$d'
}
# Five tries, then one after a minute, and ever fewer.
guess_all() {
	local i each=$((tries / guessers)) pids=() from=$SECONDS looked_at
	for ((i = 0; i < guessers; i++)); do
		guesses $((i * each + 1)) $(((i + 1) * each)) >"$work/guesses.$i"
		command curl -K "$work/guesses.$i" >"$work/statuses.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	cat "$work"/statuses.* | sort | uniq -c | tee "$work/count"
	looked_at=$(cat "$work"/statuses.* | grep -c 401)
	[ "$(cat "$work"/statuses.* | wc -l)" = $((each * guessers)) ] &&
		! cat "$work"/statuses.* | grep -qvxE '401|429' &&
		[ "$looked_at" -ge 1 ] && [ "$looked_at" -le $((5 + (SECONDS - from) / 60)) ]
}
check "$tries wrong passwords: five are looked at, then told to wait" guess_all
sed 's/^/# /' "$work/count"
told_to_wait() {
	problem limited 429 sends tls_api POST /api/v1/login \
		'{"user": "alice", "password": "wrong again"}' --interface 127.0.0.3 &&
		grep -qiE '^retry-after: [1-9][0-9]*'$'\r?$' "$work/head"
}
check "and for how long" told_to_wait

# -- meanwhile, and afterwards ---------------------------------------------------

metric() { curl -s -m 60 --unix-socket "$work/run/cairn.sock" http://cairn/metrics | sed -n "s/^$1 //p"; }
all_came() { WAIT_SECONDS=240 line_comes "^$idle\$" "$work/idle"; }
check "all $idle idle connections came" all_came
few_stay() { # those beyond are closed, or (on a slow machine) have been idle for a minute
	local open closed
	open=$(metric cairn_http_connections)
	closed=$(metric cairn_http_connections_closed_total)
	echo "# $open connections open, $closed closed" | tee -a "$work/figures"
	[ "$open" -le 512 ] && [ "$closed" -ge 1 ]
}
check "512 are the most that stay" few_stay
check "an administrator gets through" answers 200 local_api /api/v1/system
check "and sees what is there" answers 200 local_api /api/v1/volumes/disk
check "https answers, too" answers 200 tls_api /healthz
check "alice goes on with her cookie" answers 200 tls_api -H "Cookie: $cookie" /api/v1/volumes
check "and signs in from where she was before" signs_in 127.0.0.7

wait $slow
sed 's/^/# slow requests that were ended, after at most so many seconds: /' "$work/slow"
slow_ended() {
	local count most
	read -r count most <"$work/slow"
	[ "$count" = 20 ] && [ "$most" -lt 120 ]
}
check "slow requests are ended, after 30 s or when there is no room" slow_ended
touch "$work/enough"
wait $siege

# Changes, each of which is an event, on one connection. Not of the host's volume: it
# would be told.
changes() { # COUNT
	local i
	for ((i = 0; i < $1; i++)); do
		printf '%s\n' 'url = "http://cairn/api/v1/volumes/aside"' 'request = PATCH' \
			"data = \"{\\\"vendor\\\": \\\"V$((i % 2))\\\"}\"" 'header = "If-Match: *"' \
			'header = "Content-Type: application/json"' 'output = "/dev/null"' \
			"unix-socket = \"$work/run/cairn.sock\"" 'write-out = "%{http_code}\n"' silent next
	done | sed '$d' | command curl -K - >"$work/changed"
	[ "$(sort "$work/changed" | uniq -c | tr -s ' ')" = " $1 200" ] || { sort "$work/changed" | uniq -c; return 1; }
}
all_dropped() {
	local rounds=0
	until [ "$(metric cairn_event_streams_dropped_total)" -ge $readers ]; do
		rounds=$((rounds + 1))
		[ $rounds -le 100 ] && changes 100 || return 1
	done
	echo "# $readers readers dropped within $((rounds * 100)) changes" | tee -a "$work/figures"
}
check "readers of events that never read are dropped" all_dropped

got() { # FILE STATUS: each was answered so
	sort "$work/got.$1" | uniq -c
	[ -s "$work/got.$1" ] && ! grep -qvxE "$2" "$work/got.$1"
}
check "huge requests were refused" got huge 413
check "so was a method that there is not" got method '405|501'
check "and what is no request" got nonsense 400
check "a token that was revoked" got revoked 401
check "one that ran out" got expired 401
check "a cookie without its CSRF token" got bare 403
check "one from another site" got foreign 403
check "a change that names no version" got unmatched 428
check "none of them changed a thing" answers 200 local_api /api/v1/volumes/disk
check "as it says" eval 'jq -e ".thin != true" "$work/body"'

check "the host wrote all the time" wait_until has_written "$at_first"
check "it is there" answers 200 local_api /api/v1/sessions
no_errors() { jq -e '[.items[].errors] | length == 1 and add == 0' "$work/body"; }
check "and has seen no error" no_errors
check "in one session from the first to the last" [ "$(its_session)" = "$session" ]
check "the writer goes on" kill -0 $writer
sed 's/^# *//; s/^/# /' "$work/figures"
kill $writer "${strangers[@]}" 2>/dev/null
exec 7>&-
wait $writer "${strangers[@]}" $silent 2>/dev/null
check "all that was acknowledged is there" \
	"$BUILD/tools/survive" verify "$port" "$iqn:disk" "$record"
finish
