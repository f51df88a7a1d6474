#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The power cuts of qcow2 are worth something only if they fail when the code is
# wrong: each patch of tests/mutants/ is one mistake, and the script that it names
# has to find it.
#
# BUILD: the folder of a build that has the suites (build/asan).

set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath "${BUILD:-build/asan}")
suite=tests/sim/test_qcow2_power
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# A tree of its own; all objects but those of the patched files are the build's.
build_mutant() { # PATCH
	rm -rf "$work/tree"
	mkdir -p "$work/tree/b" && cp -r --preserve=timestamps Makefile \
		blockcore target tests "$work/tree" &&
		ln -s "$PWD/webui" "$PWD/packaging" "$work/tree" &&
		cp -rlp "$build/." "$work/tree/b" &&
		patch -s -d "$work/tree" -p1 <"$1" || return 1
	sed -n 's|^+++ b/\(.*\)[.]c$|\1|p' "$1" | while read -r source; do
		rm -f "$work/tree/b/obj/$source".[do]
	done
	rm -f "$work/tree/b/$suite"
	make -s --no-print-directory -C "$work/tree" B=b \
		V="$(basename "$build")" "b/$suite"
}

is_found() { # PATCH
	local script
	script=$(sed -n 's/^# found by: //p' "$1")
	build_mutant "$1" >"$work/log" 2>&1 || return 1
	! QCOW2_SCRIPT=$script QCOW2_QEMU=0 "$work/tree/b/$suite" \
		>>"$work/log" 2>&1 &&
		grep -qE 'lost or made up|has errors|what it may not' \
			"$work/log"
}

patches=(tests/mutants/*.patch)
echo "1..${#patches[@]}"
number=0 failed=0
for patch in "${patches[@]}"; do
	number=$((number + 1))
	name=$(basename "$patch" .patch)
	if is_found "$(realpath "$patch")" 2>/dev/null; then
		echo "ok $number - $name is found"
	else
		failed=$((failed + 1))
		echo "not ok $number - $name is found"
		tail -n 20 "$work/log" | sed 's/^/# /'
	fi
done
[ $failed -eq 0 ]
