#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Ending: SIGINT and SIGTERM within two seconds, with hosts at work or without;
# a second signal at once; a free state directory afterwards, and after kill -9.

. "$(dirname "$0")/lib.sh"

write_settings 0
write_document <<'DOC'
disk source: {protocol: {type: file, path: disk.raw, size: 64M}}
DOC

now_ms() { echo $(($(date +%s%N) / 1000000)); }
# ends_by SIGNAL: it ends with status 0 (and no leak: the sanitizer's status) in
# time. Sanitizers are slow, so this allows the daemon four seconds there.
limit_ms=2000
case $BUILD in *asan* | *tsan*) limit_ms=4000 ;; esac
ends_by() {
	local begun status=0
	begun=$(now_ms)
	kill "-$1" "$daemon_pid"
	wait "$daemon_pid" || status=$?
	daemon_pid=
	local took=$(($(now_ms) - begun))
	echo "status $status after $took ms"
	tail -n 20 "$work/daemon.log"
	[ $status -eq 0 ] && [ $took -le $limit_ms ]
}
# A host that is logged in and does not answer any more.
stuck_host() {
	start_daemon || return 1
	coproc QEMU { exec qemu-io -f raw "$url:disk/0" 2>&1; }
	host=$QEMU_PID
	wait_until grep -q 'host any login' "$work/daemon.log"
	kill -STOP "$host"
}
free_host() {
	kill -KILL "$host" 2>/dev/null
	wait "$host" 2>/dev/null
}

start_daemon || exit 1
check "SIGTERM" ends_by TERM
start_daemon || exit 1
check "SIGINT" ends_by INT
start_daemon || exit 1
check "SIGHUP, as a closed terminal sends it" ends_by HUP

start_daemon || exit 1
timeout 60 qemu-img bench -w -c 100000 -d 8 -f raw "$url:disk/0" >/dev/null 2>&1 &
host=$!
: >"$work/daemon.log"
wait_until grep -q 'host any login' "$work/daemon.log"
check "SIGTERM while a host writes" ends_by TERM
kill "$host" 2>/dev/null
wait "$host" 2>/dev/null

start_daemon || exit 1
kill_daemon
check "after kill -9 the state directory is free" start_daemon
check "and it works" timeout 30 iscsi-inq "$url:disk/0"

check "it ends" ends_by TERM

: >"$work/daemon.log"
check "a host logs in and falls silent" stuck_host
check "SIGTERM does not wait for it for ever" ends_by TERM
free_host

# While the daemon gives such a host its second, another signal ends it at once.
second_signal() {
	local begun status=0
	begun=$(now_ms)
	kill -TERM "$daemon_pid"
	wait_until grep -q 'cairnd stop' "$work/daemon.log"
	until [ $(($(now_ms) - begun)) -gt 300 ]; do :; done
	kill -TERM "$daemon_pid"
	wait "$daemon_pid" || status=$?
	daemon_pid=
	local took=$(($(now_ms) - begun))
	echo "status $status after $took ms"
	[ $status -eq 143 ] && grep -q 'ended at once' "$work/daemon.log"
}
: >"$work/daemon.log"
check "a host falls silent again" stuck_host
check "a second signal ends it at once" second_signal
free_host

# One key press may arrive twice (a shell and its job, timeout(1)).
twins() {
	kill -INT "$daemon_pid"
	kill -INT "$daemon_pid"
	ends_by INT
}
start_daemon || exit 1
check "twins of a signal are one" twins
finish
