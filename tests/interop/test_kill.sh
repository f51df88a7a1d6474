#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 of the daemon: under writes, 20 rounds (KILL_ROUNDS) spread over the three
# ways of caching, every write that was acknowledged is there after the restart (a
# killed process loses no page of the kernel's cache); so are a registration with
# APTPL, its reservation and a saved mode page.

. "$(dirname "$0")/lib.sh"

rounds=${KILL_ROUNDS:-20}
caches=(direct writeback writethrough)

# The daemon is killed once the writer's record has grown by a random amount.
acknowledged() { # sum of all acknowledged generations
	od -An -v -tu4 -N 16384 "$record" | awk '{ for (i = 1; i <= NF; i++) s += $i } END { print s + 0 }'
}
grown() { [ "$(acknowledged)" -ge "$goal" ] || ! kill -0 "$writer" 2>/dev/null; }

# Starts it again. The kernel lets go of a killed one's locks when it gets round to
# it; until then its volumes are offline.
comes_back() { # VOLUME
	start_daemon && wait_until "$BUILD/tools/keep" show "$port" "$iqn:$1" 1 >"$work/back"
}

one_round() { # NUMBER VOLUME
	local before
	record=$work/$2.record
	before=$(acknowledged 2>/dev/null || echo 0)
	goal=$((before + 200 + RANDOM % 2000))
	"$BUILD/tools/survive" write "$port" "$iqn:$2" "$record" "$1" \
		>"$work/writer.log" 2>&1 &
	writer=$!
	wait_until grown || return 1
	kill_daemon
	wait "$writer" || { cat "$work/writer.log"; return 1; }
	comes_back "$2" || return 1
	"$BUILD/tools/survive" verify "$port" "$iqn:$2" "$record"
}

# keep ACTION HOST: of the volume "kept", see tests/tools/keep.c.
keep() { "$BUILD/tools/keep" "$1" "$port" "$iqn:kept" "$2"; }
shows() { # LINE..., and nothing else
	keep show 1 >"$work/shown"
	printf '%s\n' "$@" | diff - "$work/shown"
}
conflicts() {
	local status=0
	keep write "$1" || status=$?
	[ $status -eq 1 ]
}
restart() { kill_daemon && comes_back kept; }
key=c0ffee5eed

write_settings 0
write_document <<'DOC'
direct source: {protocol: {type: file, path: direct.raw, size: 16M, cache: direct}}
writeback source: {protocol: {type: file, path: writeback.raw, size: 16M, cache: writeback}}
writethrough source: {protocol: {type: file, path: writethrough.raw, size: 16M, cache: writethrough}}
kept source: {protocol: {type: file, path: kept.raw, size: 16M, cache: writeback}}
DOC
for cache in "${caches[@]}"; do
	truncate -s 32768 "$work/$cache.record"
done
start_daemon || exit 1
for round in $(seq "$rounds"); do
	cache=${caches[round % 3]}
	check "kill -9, round $round, cache $cache" one_round "$round" "$cache" || break
done
echo "figure kill-rounds value=$rounds goal=>=20 $([ $failures -eq 0 ] && echo met || echo short)"

check "the write cache is on at first, nothing is reserved" shows 'WCE 1'
check "a mode page is saved: the write cache off" keep cache 1
check "kill -9 and restart" restart
check "the write cache is still off" shows 'WCE 0'
check "a host registers with APTPL and reserves" keep reserve 1
check "kill -9 and restart again" restart
check "its key and its reservation are there" \
	shows "key $key" "reservation $key type 1" 'WCE 0'
check "the holder writes" keep write 1
check "another host does not" conflicts 2
finish
