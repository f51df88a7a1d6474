#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A file system under two volumes runs full (a tmpfs of 64 MiB in a mount namespace
# of its own): one warning that names it and both of them, in the log, as an event,
# for the doctor; the same when there is room again; a look at once when a host finds
# no space; who cannot grow is not named. A volume that waits for space goes on when
# there is some.

if [ -z "${CAIRN_SPACE_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	CAIRN_SPACE_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
needs curl qemu-io truncate

write_settings 0
mount -t tmpfs -o size=64m,nr_inodes=256 cairn-space "$work/data" 2>/dev/null ||
	skip_all "no file system can be mounted here"
trap 'stop_daemon; umount "$work/data"; cleanup' EXIT
write_document <<'END'
one thin: true, source: {protocol: {type: file, path: one.raw, size: 96MiB, cache: writeback}}
two space_wait: 120, source: {format: {type: qcow2, size: 96MiB, file: {protocol: {type: file, path: two.qcow2, size: 1MiB}}}}
full source: {protocol: {type: file, path: full.raw, size: 4MiB, preallocate: true, cache: writeback}}
END

get() { # PATH
	curl -s -m 60 --unix-socket "$work/run/cairn.sock" "http://cairn/api/v1/$1" >"$work/body"
}
lines() { grep -c "file system .* $1:" "$work/daemon.log"; }
warned() { [ "$(lines 'runs full')" = "$1" ]; }
relieved() { [ "$(lines 'has room')" = "$1" ]; }
warning_names() {
	grep 'runs full:' "$work/daemon.log" | tail -n 1 | tee "$work/line"
	grep -qF "file system $work/data runs full:" "$work/line" &&
		grep -qF 'that grow there: one, two;' "$work/line"
}
event() { # TYPE COUNT
	get 'events?topics=volumes' && [ "$(grep -oF "\"type\":\"$1\"" "$work/body" | wc -l)" = "$2" ]
}
event_names() {
	get 'events?topics=volumes' && grep -qF '"volumes":["one","two"]' "$work/body" &&
		grep -qF "\"file_system\":\"$work/data\"" "$work/body"
}
status_says() { # REACHED
	get volumes/one && grep -qF "\"reached\":$1" "$work/body" && grep -qF '"threshold_percent":80' "$work/body"
}
status_in_use() { get volumes/one && grep -qE "\"used_percent\":$1[0-9]," "$work/body"; } # TENS OF PERCENT
doctor_says() { # STATE
	get system/checks && grep -oE '"name":"space"[^}]*' "$work/body" | grep -qF "\"state\":\"$1\""
}
# The room of the data directory, as the doctor finds it.
room_is() { # STATE WORDS
	get system/checks && grep -oE '"name":"data-room"[^}]*' "$work/body" | tee "$work/room"
	grep -qF "\"state\":\"$1\"" "$work/room" && grep -qF "$2" "$work/room"
}
takes_all_files() {
	mkdir "$work/data/many"
	for ((i = 0; i < 300; i++)); do : 2>/dev/null >"$work/data/many/$i" || return 0; done
	return 1
}
# Any change of the document has the appliance look.
change() {
	curl -s -f -m 60 -X PATCH --unix-socket "$work/run/cairn.sock" -H 'If-Match: *' \
		-H 'Content-Type: application/json' -d "{\"product\": \"$1\"}" \
		http://cairn/api/v1/volumes/two >"$work/body"
}
ballast() { head -c "$1" /dev/zero >"$work/data/ballast"; }
fill_fails() { qemu-io -f raw -c 'write -P 7 0 64M' -c 'write -P 7 64M 24M' "$url:one/0" 2>&1 | grep -i 'no space'; }

waiter_has_read() {
	cat "$work/waiter.log"
	! grep -qiE 'error|failed' "$work/waiter.log" && grep -q 'read 8388608/8388608' "$work/waiter.log"
}

check "the daemon starts" start_daemon
check "the doctor finds room" wait_until doctor_says ok
check "but not much in the data directory" room_is failed 'writes will fail'
check "as many files as there may be" takes_all_files
check "are found, too" room_is failed 'no file can be made there'
rm -r "$work/data/many"
check "and that there are fewer" room_is failed 'writes will fail'
check "there is room for the volume's status" status_says false
check "nobody was warned" warned 0
ballast 54M
check "an operator changes something" change A
check "at 84 % the operator is warned" wait_until warned 1
check "the warning names file system and volumes, not what cannot grow" warning_names
check "it is an event" event space_low 1
check "that names them too" event_names
check "the volume's status says so" status_says true
check "and the doctor" doctor_says warning
ballast 45M
check "an operator changes something again" change B
check "it is below the threshold" wait_until status_in_use 7
check "but not by enough to be over" status_says true
check "nobody is told anything" relieved 0
ballast 40M
check "with room again that is said, by itself" wait_until relieved 1
check "as an event" event space_back 1
check "a host finds no space left" fill_fails
check "that is looked at and warned of" wait_until warned 2
check "as an event again" event space_low 2
qemu-io -f raw -c 'write -P 9 0 8M' -c flush -c 'read -P 9 0 8M' "$url:two/0" >"$work/waiter.log" 2>&1 &
waiter=$!
check "a write to the other one waits" daemon_says 'volume two no space:'
check "it is not answered" kill -0 "$waiter"
rm "$work/data/ballast"
check "with room it goes on" wait "$waiter"
check "and all is there" waiter_has_read
finish
