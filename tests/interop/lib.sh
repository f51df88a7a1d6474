# SPDX-License-Identifier: Apache-2.0
# For shell tests: a daemon of their own on free ports, TAP lines, waiting for
# events (wait.sh). Sourced with BUILD set to the folder of the build.
#
# Invariants: everything lives in $work and is gone at the end; the daemon is
# ended by its process id; nothing waits for time to pass, only for events.

set -u
. "$(dirname "${BASH_SOURCE[0]}")/wait.sh"
BUILD=${BUILD:-build/asan}
work=$(mktemp -d "${TMPDIR:-/tmp}/cairn.XXXXXX")
daemon_pid=
daemon_under=() # a program that becomes the daemon, if it is to be started by one
tee_pid=
test_number=0
failures=0
iqn=iqn.2026-11.example.cairn
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}

# What curl sends and gets is left in the folder API_RECORD, if there is one, to be
# judged by the contract (webui/tests/records.mjs).
curl() {
	[ -n "${API_RECORD:-}" ] || { command curl "$@"; return; }
	command curl --trace "$(mktemp "$API_RECORD/$(basename "$0" .sh).XXXXXXXX.trace")" "$@"
}

# The same of what a program says at the socket: $CAIRN_SOCKET is then a way there
# that is listened to.
record_socket() {
	export CAIRN_SOCKET=$work/run/cairn.sock
	[ -n "${API_RECORD:-}" ] && [ -x "$BUILD/tools/tee_socket" ] || return 0
	CAIRN_SOCKET=$work/run/tee.sock
	[ -z "$tee_pid" ] || return 0
	"$BUILD/tools/tee_socket" "$CAIRN_SOCKET" "$work/run/cairn.sock" \
		"$API_RECORD/$(basename "$0" .sh).$$" &
	tee_pid=$!
	wait_until test -S "$CAIRN_SOCKET"
}

cleanup() {
	stop_daemon
	[ -z "$tee_pid" ] || kill "$tee_pid"
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# check NAME COMMAND...: one TAP line; what a failed command printed is shown. With
# CHECK_ONLY set, those whose names do not match that pattern are left out.
check() {
	# shellcheck disable=SC2053
	[[ $1 == ${CHECK_ONLY:-*} ]] || return 0
	test_number=$((test_number + 1))
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $test_number - $name"
	else
		failures=$((failures + 1))
		echo "not ok $test_number - $name"
		sed 's/^/#   /' "$work/out" | tail -n 30
		return 1
	fi
}

# skip_all REASON: what these tests need is not there. Where all is meant to be
# installed (CI=true, as CI sets it) that is a failure, not a silent skip.
skip_all() {
	case ${CI:-} in
	true) echo "not ok 1 - $1" ;;
	*) echo "ok 1 # SKIP $1" ;;
	esac
	echo "1..1"
	case ${CI:-} in true) exit 1 ;; esac
	exit 0
}
# needs PROGRAM...: each of them, or skip_all.
needs() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip_all "$program is missing"
	done
}

finish() {
	echo "1..$test_number"
	stop_daemon || failures=$((failures + 1))
	exit $((failures > 0))
}

# Waits until COMMAND succeeds, at most 60 s: for states that nobody tells of, asked for
# 20 times a second. What stands in a log or a file is waited for by line_comes, what
# another process does by a gate (wait.sh).
wait_until() {
	local tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 1200 ] || return 1
		read -r -t 0.05 <> <(:) || true
	done
}

# Settings for one daemon; more YAML lines may be given.
write_settings() { # PORT [LINES]
	mkdir -p "$work/data" "$work/state" "$work/run"
	cat >"$work/cairn.yaml" <<YAML
data_directory: $work/data
state_directory: $work/state
run_directory: $work/run
api: {port: 0}
portals:
  - {name: main, address: 127.0.0.1, port: $1}
${2:-}
YAML
}

# One target for each "NAME VOLUME-YAML" line of standard input, LUN 0, open to
# every host from loopback, at the portals named in $portals.
write_document() {
	local names=() name rest
	: >"$work/volumes"
	while read -r name rest; do
		names+=("$name")
		echo "  - {name: $name, $rest}" >>"$work/volumes"
	done
	{
		echo "volumes:"
		cat "$work/volumes"
		echo "hosts:"
		echo "  - {name: any, addresses: [127.0.0.0/8, '::1'], iscsi: {iqn: ['*']}}"
		echo "targets:"
		for name in "${names[@]}"; do
			echo "  - {iqn: '$iqn:$name', portals: [${portals:-main}]}"
		done
		echo "exports:"
		for name in "${names[@]}"; do
			echo "  - {volume: $name, target: '$iqn:$name', lun: 0, hosts: [any]}"
		done
	} >"$work/document.yaml"
}

# daemon_says PATTERN: waits for a line of its log; 1: it ends without it.
daemon_says() { line_comes "$1" "$work/daemon.log" "$daemon_pid"; }
# is_ready LOG FROM: waits until $daemon_pid is; it says so when all is there.
is_ready() { line_comes '^Ctrl-C ends it' "$1" "$daemon_pid" "$2" >/dev/null; }

# Starts the daemon with the files written before; $port is where it listens,
# $port6 where its portal at ::1 does.
start_daemon() { start_daemon_with --apply "$work/document.yaml"; }
# The same with what was kept.
start_kept_daemon() { start_daemon_with; }
start_daemon_with() {
	local from
	rm -f "$work/ports"
	from=$(next_line "$work/daemon.log")
	"${daemon_under[@]}" "$BUILD/cairnd" --config "$work/cairn.yaml" "$@" \
		--port-file "$work/ports" >>"$work/daemon.log" 2>&1 &
	daemon_pid=$!
	if ! is_ready "$work/daemon.log" "$from"; then
		echo "# the daemon does not start:"
		sed 's/^/#   /' "$work/daemon.log"
		return 1
	fi
	port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$work/ports" | head -n 1)
	api_port=$(sed -n 's/^api=.*:\([0-9]*\)$/\1/p' "$work/ports")
	port6=$(sed -n 's/.*\[::1\]:\([0-9]*\)$/\1/p' "$work/ports")
	url="iscsi://127.0.0.1:$port/$iqn"
	record_socket
}

# Ends it in good order; a sanitizer report or another status fails.
stop_daemon() {
	[ -n "$daemon_pid" ] || return 0
	kill -TERM "$daemon_pid" 2>/dev/null
	local status=0
	wait "$daemon_pid" || status=$?
	daemon_pid=
	[ $status -eq 0 ] && return 0
	echo "# the daemon ended with status $status:"
	tail -n 40 "$work/daemon.log" | sed 's/^/#   /'
	return 1
}

kill_daemon() {
	kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null
	daemon_pid=
	wait_until files_are_free
}
# The kernel holds files that io_uring knew, with their locks, a little longer than the
# process: volumes of a next daemon would be offline until then.
files_are_free() {
	local files
	files=$(find "$work" -type f -printf ':%i \n')
	[ -z "$files" ] || ! grep -qF "$files" /proc/locks
}
