#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's conformance suite (iscsi-test-cu) over the fixtures: a thin volume of
# 512-byte blocks, one of 4096, one of 512 over 4096 (512e), a removable and a
# write-protected one; the same URL twice is a second session to the same unit.
#
# A test passes if it fails on no fixture and ran, not skipped, on one at least.
# Skips are allowed for the families below, which are not there yet. A test that
# asserts nothing shows nothing: each is listed in no_assertions.txt with the
# test of ours that covers it; an entry that is wrong fails.

. "$(dirname "$0")/lib.sh"

not_yet='^(Sanitize|ExtendedCopy|ReceiveCopyResults|WriteAtomic16|ReadDefectData10|ReadDefectData12)\.'
reads_only='^(Inquiry|Mandatory|ReadOnly|TestUnitReady|ReadCapacity10|ReadCapacity16|ModeSense6|ReportSupportedOpcodes)\.'
# Not where a physical block has several logical ones: it unmaps one of them and expects
# that the status of LBA n begins at n + 7.
not_emulated='^GetLBAStatus\.UnmapSingle$'
listed=$(dirname "$0")/no_assertions.txt

# One test on one fixture: "NAME verdict assertions", verdict ok, skip or fail.
run_one() { # FIXTURE NAME
	local log=$work/$1.$2.log status=0 verdict=ok asserts run=$2
	# Looks at a variable that only the test before it sets: the two together.
	[ "$2" != iSCSITMF.LUNResetSimpleAsync ] || run=iSCSITMF
	timeout -k 5 60 iscsi-test-cu -d -S -v -t "ALL.$run" "$url:$1/0" "$url:$1/0" \
		>"$log" 2>&1 </dev/null || status=$?
	# CUnit's own count; what is printed after the test is only its clean-up.
	asserts=$(awk '$1 == "tests" || $1 == "asserts" { bad += $5 }
		$1 == "asserts" { print $3 + 0 } END { exit bad > 0 }' "$log") ||
		verdict=fail
	[ -n "$asserts" ] && [ $status -lt 124 ] || verdict=fail
	if [ $verdict = ok ] && sed '1,/^Suite:/d' "$log" | grep -q '\[SKIPPED\]'; then
		verdict=skip
	fi
	echo "$2 $verdict ${asserts:-0}" >>"$work/$1.results"
}

run_fixture() { # FIXTURE NAMES...
	local fixture=$1 name
	shift
	for name in "$@"; do run_one "$fixture" "$name"; done
}

judge() { # NAME
	local verdicts fixture
	verdicts=$(cat "$work"/*.results | awk -v n="$1" '$1 == n { print $2 }')
	case $verdicts in
	*fail*)
		for fixture in thin large emulated removable readonly; do
			if grep -q "^$1 fail " "$work/$fixture.results"; then
				echo "on fixture $fixture:"
				sed '1,/^Suite:/d' "$work/$fixture.$1.log" | head -n 12
			fi
		done
		return 1
		;;
	*ok*) ;;
	*)
		echo "skipped on every fixture:"
		grep -h '\[SKIPPED\]' "$work/thin.$1.log" | sort -u
		return 1
		;;
	esac
	if [ "$(asserted "$1")" = 0 ] && ! grep -q "^$1 " "$listed"; then
		echo "passed without an assertion and is not in $listed"
		return 1
	fi
}

asserted() { # NAME: how much, on all fixtures
	cat "$work"/*.results | awk -v n="$1" '$1 == n && $2 == "ok" { s += $3 } END { print s + 0 }'
}

# An entry of the list is right as long as there is such a test, it asserts nothing,
# and the test of ours is there.
entry_is_right() { # NAME "REASON; FILE FUNCTION"
	local file function
	printf '%s\n' "${names[@]}" | grep -qxF "$1" || { echo "the suite has no test $1"; return 1; }
	[ "$(asserted "$1")" = 0 ] || { echo "it asserts something now: take it off the list"; return 1; }
	read -r file function <<<"${2##*; }"
	grep -q "^static void $function(" "$file.c" || { echo "$file.c has no $function"; return 1; }
}

report() { # NAME
	if echo "$1" | grep -Eq "$not_yet" &&
		cat "$work"/*.results | grep -q "^$1 skip " &&
		! cat "$work"/*.results | grep -q "^$1 ok "; then
		test_number=$((test_number + 1))
		echo "ok $test_number # SKIP $1: not built yet"
		return
	fi
	check "$1" judge "$1"
}

write_settings 0
write_document <<'DOC'
thin thin: true, source: {protocol: {type: file, path: thin.raw, size: 128M}}
large thin: true, block_size: 4096, source: {protocol: {type: file, path: large.raw, size: 128M}}
emulated thin: true, physical_block_size: 4096, source: {protocol: {type: file, path: emulated.raw, size: 128M}}
removable thin: true, removable: true, source: {protocol: {type: file, path: removable.raw, size: 128M}}
readonly thin: true, read_only: true, source: {protocol: {type: file, path: readonly.raw, size: 128M}}
DOC
start_daemon || exit 1

mapfile -t names < <(iscsi-test-cu -l | sed -n 's/^ALL\.\([^.]*\.[^.]*\)$/\1/p')
mapfile -t reading < <(printf '%s\n' "${names[@]}" | grep -E "$reads_only")
mapfile -t emulated < <(printf '%s\n' "${names[@]}" | grep -Ev "$not_emulated")
run_fixture thin "${names[@]}" &
jobs_started=$!
run_fixture large "${names[@]}" &
jobs_started="$jobs_started $!"
run_fixture removable "${names[@]}" &
jobs_started="$jobs_started $!"
run_fixture emulated "${emulated[@]}" &
jobs_started="$jobs_started $!"
run_fixture readonly "${reading[@]}" &
# shellcheck disable=SC2086
wait $jobs_started $!

for name in "${names[@]}"; do report "$name"; done
while read -r name why; do
	check "$name in ${listed##*/}" entry_is_right "$name" "$why"
done < <(grep -v '^#' "$listed")
finish
