# SPDX-License-Identifier: Apache-2.0
# For the cases: each step is one TAP line with its time; a failed step shows
# what it printed. Sourced in the guest. What is waited for is an event, at most 60 s.
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

disk_appears() { udevadm wait --timeout=60 "$1"; }

# All sessions that there are have ended.
sessions_end() {
	for session in /sys/class/iscsi_session/*; do
		[ ! -e "$session" ] ||
			udevadm wait --removed --timeout=60 "$session" || return 1
	done
	! iscsiadm -m session 2>/dev/null
}

# A line of the kernel's log, told already or to come.
kernel_says() { timeout 60 grep -m 1 "$1" /dev/kmsg; }

start_udev() {
	/usr/lib/systemd/systemd-udevd --daemon
	udevadm trigger --action=add
	udevadm settle -t 60
}

# iscsid keeps the pipe open for writing, so who reads it comes to its end when
# iscsid has ended.
alive=/run/iscsid.alive
run_iscsid() {
	[ -p $alive ] || mkfifo $alive
	iscsid 9<>$alive
}
end_iscsid() {
	exec 8<$alive
	iscsiadm -k 0 2>/dev/null
	timeout 60 cat <&8
	ended=$?
	exec 8<&-
	return $ended
}
start_iscsid() { modprobe -a iscsi_tcp sd_mod sg ext4 && run_iscsid; }

# Asks the machine outside; its answer.
ask_outside() { echo "$1" | nc 10.0.2.100 1234; }
# Has it kill or start the daemon; answers "done".
outside() { [ "$(ask_outside "$1")" = done ]; }

finish() {
	echo "1..$step_number"
	exit "$failures"
}
