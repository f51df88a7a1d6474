# SPDX-License-Identifier: Apache-2.0
#
# For shell tests: waiting for what happens, without looking again and again. Sourced.

# line_comes PATTERN FILE [PID [FROM]]: waits for a line of FILE, which may be there
# already or come, and prints it. 1: there is none within 60 s (or WAIT_SECONDS), or
# process PID has ended without it. FROM: the first line that counts. The words of
# grep -E. (tail hears of what is written by inotify, and ends when its reader has.)
line_comes() {
	grep -m 1 -E -- "$1" < <(timeout "${WAIT_SECONDS:-60}" \
		tail -n "+${4:-1}" -F ${3:+--pid="$3"} "$2" 2>/dev/null)
}
# The line after the last one that FILE has now: for FROM.
next_line() { echo $(($(wc -l 2>/dev/null <"$1" || echo 0) + 1)); }

# A process started with its descriptor 7 as <>FIFO is alive as long as FIFO has a
# writer. end_process SIGNAL PID FIFO: sends the signal, waits until it has ended; 1: it
# has not within 60 s.
end_process() {
	local status=0
	kill -0 "$2" 2>/dev/null || return 0
	exec 8<>"$3" 9<"$3" 8>&-
	kill "-$1" "$2" 2>/dev/null || true
	timeout 60 cat <&9 || status=1
	exec 9<&-
	return $status
}

# A gate holds a process until another one opens it: make_gate FILE, then pass_gate FILE
# in the one, open_gate FILE in the other (1: nobody came to it within 60 s).
make_gate() { rm -f "$1" && mkfifo "$1"; }
pass_gate() { read -r _ <"$1"; }
# shellcheck disable=SC2016
open_gate() { timeout 60 bash -c 'echo >"$1"' open_gate "$1"; }
