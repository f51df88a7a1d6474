#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of the daemon under writes, 20 rounds (KILL_ROUNDS): every write that was
# acknowledged is there after the restart.

. "$(dirname "$0")/lib.sh"

rounds=${KILL_ROUNDS:-20}
record=$work/record

# The daemon is killed once the writer's record has grown by a random amount.
acknowledged() { # sum of all acknowledged generations
	od -An -v -tu4 -N 16384 "$record" | awk '{ for (i = 1; i <= NF; i++) s += $i } END { print s + 0 }'
}
grown() { [ "$(acknowledged)" -ge "$goal" ] || ! kill -0 "$writer" 2>/dev/null; }

one_round() { # NUMBER
	local before
	before=$(acknowledged 2>/dev/null || echo 0)
	goal=$((before + 200 + RANDOM % 2000))
	"$BUILD/tools/survive" write "$port" "$iqn:kill" "$record" "$1" \
		>"$work/writer.log" 2>&1 &
	writer=$!
	wait_until grown || return 1
	kill_daemon
	wait "$writer" || { cat "$work/writer.log"; return 1; }
	start_daemon || return 1
	"$BUILD/tools/survive" verify "$port" "$iqn:kill" "$record"
}

write_settings 0
write_document <<'DOC'
kill source: {protocol: {type: file, path: kill.raw, size: 16M}}
DOC
truncate -s 32768 "$record"
start_daemon || exit 1
for round in $(seq "$rounds"); do
	check "kill -9, round $round" one_round "$round" || break
done
echo "figure kill-rounds value=$rounds goal=>=20 $([ $failures -eq 0 ] && echo met || echo short)"
finish
