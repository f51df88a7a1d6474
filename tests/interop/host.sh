# SPDX-License-Identifier: Apache-2.0
#
# For shell tests with hosts that are qemu-io, beside lib.sh: one that does a few
# things, and one that works until it is told to end.

# io_of VOLUME COMMAND..., io COMMAND... (volume a). qemu-io says what was wrong, but
# ends well. $read_only: -r.
read_only=
io_of() {
	local volume=$1 arguments=()
	shift
	for command; do arguments+=(-c "$command"); done
	# shellcheck disable=SC2086
	qemu-io $read_only -f raw "${arguments[@]}" "$url:$volume/0" >"$work/io" 2>&1 &&
		! grep -i -E 'fail|error' "$work/io" || { cat "$work/io"; return 1; }
}
io() { io_of a "$@"; }

# Writes and reads 4 MiB of volume a from 8 MiB on, until host_ends.
host_begins() {
	host & host_pid=$!
}
host() {
	local round=0
	while [ ! -e "$work/enough" ]; do
		round=$((round % 250 + 1))
		for at in 8 9 10 11; do
			printf 'write -q -P %d %dM 256k\nread -q -P %d %dM 256k\n' \
				$round $at $round $at
		done
	done | qemu-io -f raw "$url:a/0" >"$work/host" 2>&1
	! grep -i -E 'fail|error' "$work/host"
}
host_ends() { # without an error
	touch "$work/enough"
	wait "$host_pid" || { cat "$work/host"; return 1; }
}
