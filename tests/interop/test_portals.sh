#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Portals made, changed and removed while hosts use others.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq iscsi-ls qemu-io python3 ss

# Nothing here ends a login by its time.
write_settings 0 'iscsi: {login_timeout_s: 300}'

# A port that nobody has now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
finds() { # PORT: libiscsi logs in there and sees the target
	timeout 30 iscsi-ls -s "iscsi://127.0.0.1:$1" | tee /dev/stderr | grep -F "Target:$iqn:a"
}
refused() { ! timeout 30 iscsi-ls "iscsi://127.0.0.1:$1" 2>&1 | grep -F "Target:"; }
lists() { # PORT OTHER: what SendTargets at PORT tells of the other
	timeout 30 iscsi-ls "iscsi://127.0.0.1:$1" | tee /dev/stderr | grep -F ":$2,"
}

check "the daemon starts" start_kept_daemon
check "a host" gets 201 POST /hosts '{"name": "any", "iscsi": {"iqn": ["*"]}}'
check "a volume it sees" gets 201 POST /volumes '{"name": "a", "size": "8MiB", "export": {"hosts": ["any"]}}'
check "the settings' portals are there" gets 200 GET /portals/main
check "with the port that is bound" says '.status.port' "$port"

side=$(free_port)
check "a dry run of a new one" gets 200 POST '/portals?dryRun=true' "{\"name\": \"side\", \"address\": \"127.0.0.1\", \"port\": $side}"
check "says what it is" says '.impact[0].object' '"portal side"'
check "nothing listens" refused "$side"
check "a new one" gets 201 POST /portals "{\"name\": \"side\", \"address\": \"127.0.0.1\", \"port\": $side}"
check "where it says" says '.status.port' "$side"
check "a host logs in there" finds "$side"
check "the first portal tells of it" lists "$port" "$side"
check "its name again" gets 409 POST /portals '{"name": "side", "address": "127.0.0.1", "port": 0}'
check "its port again" gets 409 POST /portals "{\"name\": \"b\", \"address\": \"127.0.0.1\", \"port\": $side}"
check "that is said" says '.detail | contains("address and port already")' true

# What cannot be bound refuses the whole.
make_gate "$work/done"
python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
print(s.getsockname()[1], flush=True); sys.stdin.read()' < <(pass_gate "$work/done") >"$work/taken" &
holder=$!
check "another program listens" line_comes . "$work/taken" $holder
taken=$(cat "$work/taken")
check "a dry run with its port" gets 409 POST '/portals?dryRun=true' "{\"name\": \"b\", \"address\": \"127.0.0.1\", \"port\": $taken}"
check "says so before" says ".detail | contains(\"port $taken: Address already in use\")" true
check "its port" gets 409 POST /portals "{\"name\": \"b\", \"address\": \"127.0.0.1\", \"port\": $taken}"
check "is refused with place and reason" says \
	".detail | contains(\"cannot listen on 127.0.0.1 port $taken: Address already in use\")" true
check "an address that is not here" gets 409 POST /portals '{"name": "b", "address": "192.0.2.1", "port": 0}'
check "too" says '.detail | contains("no such address")' true
check "none of that is there" gets 404 GET /portals/b
check "no address" gets 422 POST /portals '{"name": "b", "address": "localhost"}'
check "its pointer" says '.errors[0].pointer' '"/address"'
check "nor a change to it" changes 409 PATCH /portals/side "{\"port\": $taken}"
check "the old port goes on" finds "$side"

# A change under a host that writes.
timeout 300 qemu-io -f raw "iscsi://127.0.0.1:$side/$iqn:a/0" >"$work/io" 2>&1 < <(
	i=0
	until [ -e "$work/enough" ] || [ $i -ge 4000 ]; do
		echo "write -P $((i % 251)) $((i % 64 * 64))k 64k"
		i=$((i + 1))
	done
	echo "aio_flush") &
io=$!
has_session() { gets 200 GET /portals/side && says '.status.sessions' 1; }
check "a host that writes through it" wait_until has_session
check "another group, at the same port" changes 200 PATCH /portals/side '{"group": 7}'
check "is told" lists "$port" "$side"
check "with the group" grep -q "$side,7" <(timeout 30 iscsi-ls "iscsi://127.0.0.1:$port")
check "hosts still log in there" finds "$side"
moved=$(free_port)
check "another port" changes 200 PATCH /portals/side "{\"port\": $moved}"
check "is where hosts log in" finds "$moved"
check "and no more at the old one" refused "$side"
check "a target that names it" gets 201 POST /targets '{"name": "t", "portals": ["side"]}'
check "holds it" changes 409 DELETE /portals/side
check "by its name" says '.held_by' "[\"target $iqn:t\"]"
check "without it" changes 204 DELETE /targets/t
check "who came through it" gets 200 GET /portals/side
tag=$(etag)
check "a dry run of the end" gets 200 DELETE '/portals/side?dryRun=true' '' -H "If-Match: $tag"
check "says who came through it" says '.impact[0] | [.effect, (.sessions | length)]' '["live",1]'
half_open() { # a connection there that never logs in; closed: it has ended
	exec {half}<>"/dev/tcp/127.0.0.1/$moved" && wait_until knows_it
}
knows_it() { ss -Htn state established "( sport = :$moved )" | grep -q .; }
closed() { read -r -t 60 -u "$half" -n 1 _; [ $? = 1 ]; }
check "somebody who never logs in" half_open
check "the end" changes 204 DELETE /portals/side
check "is the end of him" closed
check "no login any more" refused "$moved"
check "the first portal tells of it no more" [ "$(timeout 30 iscsi-ls "iscsi://127.0.0.1:$port" | grep -c ":$moved,")" = 0 ]
touch "$work/enough"
io_went_well() { wait $io && ! grep -q 'failed\|error' "$work/io"; }
check "the host saw no error" io_went_well
check "the last portal stays" changes 409 DELETE /portals/main
check "for no host could log in" says '.detail | contains("last portal")' true

# As a whole, and back.
check "the configuration" gets 200 GET /config
check "has the portals" says '[.portals[].name] | index("main") != null' true
jq -c "del(.portals) | .targets[0].alias = \"x\"" "$work/body" >"$work/config.json"
check "a document without them" changes 200 PUT /config "$(cat "$work/config.json")"
check "leaves them" finds "$port"
jq -c ".portals = []" "$work/config.json" >"$work/none.json"
check "one with none" changes 422 PUT /config "$(cat "$work/none.json")"
check "is refused" says '.errors[0].pointer' '"/portals"'
check "one more" gets 201 POST /portals "{\"name\": \"side\", \"address\": \"127.0.0.1\", \"port\": $side}"
check "the history" gets 200 GET /history
before=$(jq '.items[1].number' "$work/body")
check "goes back" changes 200 POST "/history/$before/restore"
check "and it is gone" refused "$side"
check "it comes again" gets 201 POST /portals "{\"name\": \"side\", \"address\": \"127.0.0.1\", \"port\": $side}"

# One that cannot be bound at the start keeps nobody else out.
hold() { # PORT: another program listens there until release
	make_gate "$work/released" && rm -f "$work/held"
	python3 -c 'import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(1)
print("held", flush=True); sys.stdin.read()' "$1" < <(pass_gate "$work/released") >"$work/held" &
	held_by=$!
	line_comes held "$work/held" $held_by
}
release() { open_gate "$work/released" && wait $held_by; }
check "the daemon ends, and another takes the port" eval 'stop_daemon && hold "$side"'
check "the daemon starts all the same" start_kept_daemon
check "with the other portal" finds "$port"
check "which tells of no other" eval '! timeout 30 iscsi-ls "iscsi://127.0.0.1:$port" | grep -F ":$side,"'
check "the portal is there" gets 200 GET /portals/side
check "closed" says '.status.state' '"closed"'
check "and why" says ".status.reason | contains(\"port $side: Address already in use\")" true
check "the first one is open" gets 200 GET /portals/main
check "as it says" says '.status.state' '"open"'
said_once() { [ "$(grep -c "portal side closed" "$work/daemon.log")" = 1 ]; }
check "the log has said it, once" said_once
check "its status" eval 'CAIRN_SOCKET=$work/run/cairn.sock "$BUILD/cairn" status | grep -F "portal side  closed"'
check "the doctor" gets 200 GET /system/checks
check "finds it" says '.items[] | select(.name == "portals").state' '"failed"'
check "another try, dry" gets 409 POST '/portals/side/open?dryRun=true'
check "another try" gets 409 POST /portals/side/open
check "says why" says ".detail | contains(\"Address already in use\")" true
check "some other change" changes 200 PATCH /targets/a '{"alias": "y"}'
check "the whole again" gets 200 GET /config
check "is no reason to refuse" changes 200 PUT /config "$(jq -c '.targets[0].alias = "z"' "$work/body")"
check "the other lets go" release
check "it opens when it is asked to" gets 200 POST /portals/side/open
check "as it says then" says '.status.state' '"open"'
check "and hosts log in" finds "$side"
check "again it is open" gets 200 POST /portals/side/open
check "the same again" eval 'stop_daemon && hold "$side" && start_kept_daemon'
check "when the port is free" release
check "it opens by itself" wait_until finds "$side"
check "and is told of" lists "$port" "$side"

# They are kept; what the settings say is only the first filling.
check "the daemon ends" stop_daemon
check "and starts" start_kept_daemon
check "with the portal" finds "$side"
quiet() { ! grep -q 'portal main of the settings' "$work/daemon.log"; }
check "no word of settings that say the same" quiet
check "the daemon ends again" stop_daemon
sed -i "s/{name: main,.*/{name: main, address: 127.0.0.1, port: $moved}/" "$work/cairn.yaml"
check "and starts with another port in the settings" start_kept_daemon
check "which it does not use" refused "$moved"
check "but says what to do" grep -q \
	"portal main of the settings (127.0.0.1 port $moved) is not what is kept" "$work/daemon.log"
open_gate "$work/done"
wait $holder
finish
