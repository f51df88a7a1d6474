#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a user gets: the demo's own files start a daemon that says how to reach
# it, its commands work as printed, and what was written is there after a restart.

. "$(dirname "$0")/lib.sh"

# etc/cairn.yaml and etc/demo.yaml, on free ports and in a folder of our own.
sed -e "s|var/|$work/var/|" -e 's/port: 3260/port: 0/' \
	-e 's/port: 8443/port: 0/' etc/cairn.yaml \
	>"$work/cairn.yaml"
cp etc/demo.yaml "$work/document.yaml"
start() {
	rm -f "$work/ports"
	"$BUILD/cairnd" --config "$work/cairn.yaml" "$@" \
		--port-file "$work/ports" >"$work/daemon.log" 2>&1 &
	daemon_pid=$!
	is_ready "$work/daemon.log" 1 || { cat "$work/daemon.log"; return 1; }
	v4=$(sed -n 's/^main=//p' "$work/ports")
	v6=$(sed -n 's/^main6=//p' "$work/ports")
	disk=iscsi://$v4/$iqn:demo/0
}
says() { grep -qF -- "$1" "$work/daemon.log"; }
sees_disk() { timeout 30 iscsi-ls -s "iscsi://$1" | tee /dev/stderr | grep -q 'Lun:0 .*Size:'; }
is_sparse() {
	local file=$work/var/data/demo.raw
	[ "$(stat -c %s "$file")" = 1073741824 ] && [ "$(stat -c %b "$file")" -lt 2048 ]
}
io() {
	timeout 60 qemu-io -f raw "${@/#/-c}" "$disk" >"$work/io" 2>&1 || return 1
	cat "$work/io"
	! grep -q 'failed\|error' "$work/io"
}
printed() { # WORD: runs the command that the daemon printed and that begins so
	timeout 30 $(grep -F -- "    $1 " "$work/daemon.log" | head -n 1)
}
serial() { timeout 30 iscsi-inq -e 1 -c 128 "$disk" | sed -n 's/.*Serial.*: *//p'; }

check "the demo starts" start --apply "$work/document.yaml"
check "it says where it is" says "$iqn:demo"
check "and what there is" says 'LUN 0    demo, 1 GiB; hosts: loopback'
check "qemu-img as printed" printed 'qemu-img info'
check "iscsi-ls as printed" printed 'iscsi-ls -s'
check "the commands for Linux name the portal" \
	says "iscsiadm -m discovery -t sendtargets -p $v4"
check "IPv4" sees_disk "$v4"
check "IPv6" sees_disk "$v6"
check "the file is sparse and 1 GiB" is_sparse
check "a write" io 'write -P 7 1M 64k' 'flush'
# Where io_uring drives the disks.
policies() {
	local found
	found=$(ps -L -o lwp=,cls=,comm= -p "$daemon_pid")
	echo "$found"
	! says 'disks by io_uring' ||
		awk -v main="$daemon_pid" '$1 == main { control = $2 }
			$3 ~ /^reactor-/ { reactors++; others += $2 != "TS" }
			END { exit !(control == "B" && reactors && !others) }' <<<"$found"
}
check "the control thread gives way to those that carry I/O" policies
check "a login is told" daemon_says 'info host loopback login:'
check "a logout is told" daemon_says 'info host loopback logout:'
serial >"$work/serial.1"
check "it ends in good order" stop_daemon
check "it starts again with the document that it keeps" start
check "what was written is there" io 'read -P 7 1M 64k' 'read -P 0 2M 64k'
serial >"$work/serial.2"
check "the disk has the same serial number" cmp "$work/serial.1" "$work/serial.2"
check "its serial number is none of chance" grep -q '[0-9a-f]\{32\}' "$work/serial.1"
not_twice() {
	"$BUILD/cairnd" --config "$work/cairn.yaml" >"$work/second" 2>&1
	[ $? -eq 1 ] && grep -q "another cairnd (process $daemon_pid)" "$work/second"
}
check "a second daemon is refused" not_twice
private() { ! find "$work/var" \( -name 'cairn.db*' -o -type d \) -perm /077 | grep -v "/var$" | grep .; }
beside() { # SED-SCRIPT WORDS: refused, a daemon with other directories says so
	sed -e "s|^state_directory:.*|state_directory: $work/other|" -e "$1" \
		"$work/cairn.yaml" >"$work/other.yaml"
	! timeout 60 "$BUILD/cairnd" --config "$work/other.yaml" >"$work/second" 2>&1 || return 1
	grep -F -- "$2" "$work/second" || { cat "$work/second"; return 1; }
}
cp "$work/var/run/bootstrap-token" "$work/token"
check "nor one with the same run directory" beside '' 'a run_directory of its own'
check "which leaves the first one's token alone" \
	cmp "$work/token" "$work/var/run/bootstrap-token"
taken="s|^api:.*|api: {address: 127.0.0.1, port: ${v4##*:}}|"
check "nor one whose https has a port that is taken" beside \
	"s|^run_directory:.*|run_directory: $work/other/run|; $taken" 'another port under api'
check "the state is private" private
finish
