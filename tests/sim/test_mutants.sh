#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The power cut suite is worth something only if it fails when the file driver is
# wrong: it is built with one mistake at a time and has to find each.
#
# BUILD: the folder of a build that has test_power_cut (build/asan).

set -u
cd "$(dirname "$0")/../.." || exit 2
build=${BUILD:-build/asan}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

mutants="NO_DATASYNC NO_FUA FLUSH_ORDER"
objects="protocol/file protocol/file_flush"

# Everything but the mutated objects is linked to what the build has made.
build_mutant() { # NAME
	local folder=$work/$1 object
	mkdir "$folder" && cp -rlp "$build/obj" "$folder/obj" || return 1
	for object in $objects; do
		rm -f "$folder/obj/blockcore/$object".[do]
	done
	make -s --no-print-directory V="$(basename "$build")" B="$folder" \
		CPPFLAGS="-DCAIRN_MUTANT_$1" "$folder/tests/sim/test_power_cut"
}

is_found() { # NAME
	build_mutant "$1" >"$work/log" 2>&1 || return 1
	! "$work/$1/tests/sim/test_power_cut" >>"$work/log" 2>&1 &&
		grep -q 'lost or made up' "$work/log"
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
