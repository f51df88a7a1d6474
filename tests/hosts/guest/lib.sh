# SPDX-License-Identifier: Apache-2.0
# For the cases: each step is one TAP line with its time; a failed step shows
# what it printed. Sourced in the guest.
step_number=0
failures=0

step() { # NAME COMMAND...
	step_number=$((step_number + 1))
	name=$1
	shift
	read -r begun _ </proc/uptime
	if "$@" >/tmp/step.out 2>&1; then verdict=ok; else verdict='not ok'; fi
	read -r ended _ </proc/uptime
	echo "$verdict $step_number - host: $name # $(awk "BEGIN { printf \"%.1f\", $ended - $begun }") s"
	if [ "$verdict" != ok ]; then
		failures=$((failures + 1))
		sed 's/^/#   /' /tmp/step.out
	fi
	[ "$verdict" = ok ]
}

# Waits until a command succeeds, at most 60 s.
wait_until() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		usleep 100000
	done
}

start_udev() {
	/usr/lib/systemd/systemd-udevd --daemon
	udevadm trigger --action=add
	udevadm settle -t 60
}

start_iscsid() {
	modprobe -a iscsi_tcp sd_mod sg ext4 && iscsid
}

# Asks the machine outside to kill or to start the daemon; answers "done".
outside() {
	[ "$(echo "$1" | nc 10.0.2.100 1234)" = done ]
}

finish() {
	echo "1..$step_number"
	exit "$failures"
}
