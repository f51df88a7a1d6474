#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# `make run` as a user types it, but with settings of our own (free ports, a
# folder of our own): it builds, starts the demo, prints commands that work as
# they stand, and Ctrl-C, which the terminal sends to make, too, ends all of it
# within two seconds.

. "$(dirname "$0")/lib.sh"
needs setsid qemu-img iscsi-ls

sed -e "s|var/|$work/var/|" -e 's/port: 3260/port: 0/' \
	-e 's/port: 8443/port: 0/' etc/cairn.yaml \
	>"$work/cairn.yaml"
log=$work/run.log
variant=$(basename "$BUILD")
limit_ms=2000
case $variant in *asan* | *tsan*) limit_ms=4000 ;; esac # they are slow

# A process group of its own, in which SIGINT counts, as in a terminal.
begin() {
	: >"$log"
	env --default-signal=INT -u MAKEFLAGS -u MAKELEVEL setsid make \
		--no-print-directory O="$(dirname "$BUILD")" V="$variant" \
		CONFIG="$work/cairn.yaml" run >"$log" 2>&1 &
	daemon_pid=$!
	is_ready "$log" 1 || { cat "$log"; return 1; }
}
printed() { # WORDS: runs the command that was printed and that begins so
	local line
	line=$(grep -F -- "    $1 " "$log" | head -n 1)
	[ -n "$line" ] || { echo "no command '$1'"; return 1; }
	timeout 60 bash -c "$line"
}
is_not_logged() { ! grep -F "$1" "$log"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
pressed() {
	local from took
	from=$(now_ms)
	kill -INT -- "-$daemon_pid"
	wait "$daemon_pid"
	took=$(($(now_ms) - from))
	daemon_pid=
	echo "after $took ms"
	tail -n 5 "$log"
	[ $took -le $limit_ms ] && ! pgrep -f "$work/cairn.yaml" >/dev/null
}

check "make run starts the demo" begin
check "it says what there is" grep -q 'LUN 0    demo, 1 GiB' "$log"
check "and how the first admin is made" grep -qF 'cairn setup' "$log"
check "not that anything was left out" is_not_logged 'not applied'
check "qemu-img as printed" printed 'qemu-img info'
check "iscsi-ls as printed" printed 'iscsi-ls -s'
check "a host that logs in is told" line_comes 'host loopback login:' "$log"
check "and that it has left" line_comes 'host loopback logout:' "$log"
check "Ctrl-C ends make and daemon" pressed
check "in good order" grep -q 'cairnd stop' "$log"
check "it starts again" begin
check "and says that the document is not read again" grep -qF \
	'etc/demo.yaml not applied' "$log"
check "with what it had" printed 'qemu-img info'
check "Ctrl-C ends it" pressed
finish
