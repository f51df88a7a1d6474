#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The suites of durability are worth something only if they fail when the code is
# wrong: each is built with one mistake at a time and has to find it.
#
# BUILD: the folder of a build that has the suites (build/asan).

set -u
cd "$(dirname "$0")/../.." || exit 2
build=${BUILD:-build/asan}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

mutants="NO_DATASYNC NO_FUA FLUSH_ORDER SCSI_FUA"

# The suite that has to fail, and what it says then.
suite_of() { # MUTANT
	case $1 in
	SCSI_FUA) echo tests/stack/test_scsi_fua ;;
	*) echo tests/sim/test_power_cut ;;
	esac
}

complaint_of() { # MUTANT
	case $1 in
	SCSI_FUA) echo 'not asked to be durable' ;;
	*) echo 'lost or made up' ;;
	esac
}

# Everything but the objects that have the mistake in them is linked to what the
# build has made.
build_mutant() { # MUTANT
	local folder=$work/$1 source
	mkdir "$folder" && cp -rlp "$build/obj" "$folder/obj" || return 1
	grep -rl --include='*.c' "CAIRN_MUTANT_$1\>" blockcore target |
		while read -r source; do
			rm -f "$folder/obj/${source%.c}".[do]
		done
	make -s --no-print-directory V="$(basename "$build")" B="$folder" \
		CPPFLAGS="-DCAIRN_MUTANT_$1" "$folder/$(suite_of "$1")"
}

is_found() { # MUTANT
	build_mutant "$1" >"$work/log" 2>&1 || return 1
	! "$work/$1/$(suite_of "$1")" >>"$work/log" 2>&1 &&
		grep -q "$(complaint_of "$1")" "$work/log"
}

echo "1..$(echo "$mutants" | wc -w)"
number=0 failed=0
for mutant in $mutants; do
	number=$((number + 1))
	if is_found "$mutant" 2>/dev/null; then
		echo "ok $number - $mutant is found"
	else
		failed=$((failed + 1))
		echo "not ok $number - $mutant is found"
		sed 's/^/# /' "$work/log"
	fi
done
[ $failed -eq 0 ]
