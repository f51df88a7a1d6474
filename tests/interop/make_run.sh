# SPDX-License-Identifier: Apache-2.0
#
# `make run` as a user types it, for tests that sourced lib.sh: MAKE may hold more words
# (V=release CONFIG=...), its output is in $log.

MAKE=(make)
log=$work/run.log
# How long Ctrl-C may take; where sanitizers make all slow, more.
limit_ms=2000
case $(basename "$BUILD") in *asan* | *tsan*) limit_ms=4000 ;; esac

# A process group of its own, in which SIGINT counts, as in a terminal.
begin() {
	: >"$log"
	env --default-signal=INT -u MAKEFLAGS -u MAKELEVEL setsid "${MAKE[@]}" \
		--no-print-directory run >"$log" 2>&1 &
	daemon_pid=$!
	is_ready "$log" 1 || { tail -n 60 "$log"; return 1; }
}
# printed WORDS: runs the command that was printed and that begins so.
printed() {
	local line
	line=$(grep -F -- "    $1 " "$log" | head -n 1)
	[ -n "$line" ] || { echo "no command '$1'"; return 1; }
	timeout 60 bash -c "$line"
}
is_not_logged() { ! grep -F -- "$1" "$log"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# Ctrl-C, which ends make and all that it started, soon.
pressed() {
	local from took group=$daemon_pid
	from=$(now_ms)
	kill -INT -- "-$group"
	wait "$group"
	took=$(($(now_ms) - from))
	daemon_pid=
	echo "after $took ms"
	tail -n 5 "$log"
	[ $took -le $limit_ms ] && ! kill -0 -- "-$group" 2>/dev/null
}
