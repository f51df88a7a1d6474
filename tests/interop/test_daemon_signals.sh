#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Ending: SIGINT and SIGTERM within two seconds, with hosts at work or without;
# a second signal at once; a free state directory afterwards, and after kill -9.
# The two seconds are held by the optimised build, so what lies beside the build
# under test is asked, too.

. "$(dirname "$0")/lib.sh"

write_settings 0
write_document <<'DOC'
disk source: {protocol: {type: file, path: disk.raw, size: 64M}}
DOC

now_ms() { echo $(($(date +%s%N) / 1000000)); }
# ends_by SIGNAL: it ends with status 0 (and no leak: the sanitizer's status) in
# time.
ends_by() {
	local begun status=0
	begun=$(now_ms)
	kill "-$1" "$daemon_pid"
	wait "$daemon_pid" || status=$?
	daemon_pid=
	local took=$(($(now_ms) - begun))
	echo "status $status after $took ms"
	tail -n 20 "$work/daemon.log"
	[ $status -eq 0 ] && [ $took -le $limit_ms ] && says_the_end
}
# The last line: what was ended, and that nothing is owed.
says_the_end() {
	tail -n 1 "$work/daemon.log" | grep -qE \
		'cairnd stopped.* [01] connections of hosts ended, 1 volumes closed; all that hosts had written is durable'
}
# A host that is logged in and does not answer any more.
stuck_host() {
	start_daemon || return 1
	coproc QEMU { exec qemu-io -f raw "$url:disk/0" 2>&1; }
	host=$QEMU_PID
	daemon_says 'host any login'
	kill -STOP "$host"
}
busy_host() {
	start_daemon || return 1
	# By itself, not under timeout(1), which would leave it behind when it is killed.
	qemu-img bench -w -c 100000 -d 8 -f raw "$url:disk/0" \
		>/dev/null 2>&1 &
	host=$!
	daemon_says 'host any login'
}
end_host() {
	kill -KILL "$host" 2>/dev/null
	wait "$host" 2>/dev/null
}

# While the daemon gives such a host its second, another signal ends it at once:
# the first that comes too late to be a twin, so it is pressed until it counts.
pressed() {
	kill -TERM "$daemon_pid"
	grep -q 'ended at once' "$work/daemon.log"
}
second_signal() {
	local status=0
	kill -TERM "$daemon_pid"
	daemon_says 'cairnd stop' || return 1
	wait_until pressed || return 1
	wait "$daemon_pid" || status=$?
	daemon_pid=
	echo "status $status"
	[ $status -eq 143 ]
}
# One key press may arrive twice (a shell and its job, timeout(1)).
twins() {
	kill -INT "$daemon_pid"
	kill -INT "$daemon_pid"
	ends_by INT
}
# started COMMAND...: a new daemon with an empty log, before a check.
started() {
	: >"$work/daemon.log"
	"$@"
}

endings() { # NAME OF THE BUILD
	started start_daemon || exit 1
	check "$1: SIGTERM" ends_by TERM
	started start_daemon || exit 1
	check "$1: SIGINT" ends_by INT
	started start_daemon || exit 1
	check "$1: SIGHUP, as a closed terminal sends it" ends_by HUP
	started busy_host || exit 1
	check "$1: SIGTERM while a host writes" ends_by TERM
	end_host
	started stuck_host || exit 1
	check "$1: SIGTERM does not wait for ever for a silent host" ends_by TERM
	end_host
	started stuck_host || exit 1
	check "$1: a second signal ends it at once" second_signal
	end_host
	started start_daemon || exit 1
	check "$1: twins of a signal are one" twins
	started start_daemon || exit 1
	kill_daemon
	check "$1: after kill -9 the state directory is free" start_daemon
	check "$1: and it works" timeout 30 iscsi-inq "$url:disk/0"
	check "$1: it ends" ends_by TERM
}

release=$(dirname "$BUILD")/release
limit_ms=2000
case $BUILD in *asan* | *tsan*) limit_ms=4000 ;; esac # they are slow
endings "$(basename "$BUILD")"
if [ -x "$release/cairnd" ] && ! [ "$release" -ef "$BUILD" ]; then
	BUILD=$release limit_ms=2000
	endings release
fi
finish
