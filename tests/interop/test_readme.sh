#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What README.md tells a new user to type is typed here, line by line, as it stands
# there: the first steps beside `make run`, then REST. What asks at a terminal is
# answered at one. Only the ports are others.

. "$(dirname "$0")/lib.sh"
needs script curl jq
record_socket() { :; } # what is typed goes where the delivered settings say

steps=$(sed -n '/^## First steps/,/^## The house/p' README.md |
	sed -n 's/^    //p' | sed -e ':a; /\\$/N; s/\\\n *//; ta' -e 's/ *#.*//')
sed -e 's/port: 3260/port: 0/' -e 's/port: 8443/port: 0/' etc/cairn.yaml \
	>"$work/cairn.yaml"
cp etc/demo.yaml "$work/document.yaml"
BUILD=$(realpath "$BUILD")
export PATH=$BUILD:$PATH HOME=$work
cd "$work" || exit 1
secret='correct horse battery staple'

# comes TEXT: waits until the terminal has shown it.
comes() {
	local shown='' byte
	while [[ $shown != *"$1" ]]; do
		IFS= read -r -N 1 -t 60 -u "${terminal[0]}" byte || return
		shown+=$byte
	done
	echo "$shown"
}
# typed QUESTION COMMAND ANSWER...: at a terminal, each answer once QUESTION is there.
typed() {
	local question=$1 answer
	coproc terminal { exec script -qec "$2" /dev/null; }
	local pid=$terminal_PID
	for answer in "${@:3}"; do
		comes "$question" && echo "$answer" >&"${terminal[1]}"
	done
	cat <&"${terminal[0]}"
	wait "$pid"
}

# watched COMMAND: shows what happens until Ctrl-C, while something does.
watched() {
	local i pid
	timeout 60 bash -c "exec $1" >"$work/events" &
	pid=$!
	for ((i = 0; i < 200; i++)); do
		[ ! -s "$work/events" ] || break
		cairn volume set demo "vendor=V$((i % 2))" >/dev/null
	done
	kill -INT "$pid"
	wait "$pid"
	cat "$work/events"
	grep -q volume_updated "$work/events"
}

does() { # LINE
	local line=${1//127.0.0.1:8443/127.0.0.1:$api_port}
	case $line in
	'cairn host secret'* | 'cairn setup'*) typed ': ' "$line" "$secret" "$secret" ;;
	'cairn login'*) typed ': ' "$line" "$secret" ;;
	'cairn events'*) watched "$line" ;;
	'cairn top'*) timeout 60 bash -c "$line --once" ;;
	'cairn apply'*) typed '[y/N] ' "$line" y ;;
	*) timeout 60 bash -c "$line" </dev/null ;;
	esac
}
prints() { # WORDS LINE
	does "$2" >"$work/printed" 2>&1 &&
		{ [ -z "$1" ] || grep -qF -- "$1" "$work/printed"; } ||
		{ cat "$work/printed"; return 1; }
}
# What each is for; the others say nothing of their own.
declare -A words=(
	['cairn status']='1 of 1 volumes online'
	['cairn connect']='iscsiadm -m node'
	['cairn events']='volume_updated'
	['cairn session']='SINCE'
	['cairn doctor']='ok       Disk'
	['cairn tree']='db01  online  10 GiB  qcow2'
	['cairn top']='READ/S'
	['cairn apply']='iops: 6000'
	['curl --unix-socket']='"name":"db01"'
	['curl --cacert']='"name":"db01"'
	['cairn login']='signed in'
)

check "the demo" start_daemon_with --init "$work/document.yaml"
first=$(head -n 1 <<<"$steps")
check "the path is set first" test "$first" = "PATH=\$PWD/build/release:\$PATH"
while read -r line; do
	[ "$line" != "$first" ] || continue
	case $line in 'cairn apply'*) sed -i 's/iops: 5000/iops: 6000/' my.yaml ;; esac
	noun=${line#* }
	check "$line" prints "${words[${line%% *} ${noun%% *}]:-}" "$line"
done <<<"$steps"
check "nothing was passed over" test "$test_number" -ge 20
check "what was edited is in force" prints 'iops: 6000' 'cairn export'
check "db01 is 20 GiB" prints 'db01  online  20 GiB' 'cairn tree'
check "its snapshot is there" prints monday 'cairn snapshot list db01'
check "who signed in is known over https" prints online 'cairn status'
finish
