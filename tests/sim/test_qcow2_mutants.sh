#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests of qcow2 are worth something only if they fail when the code is wrong:
# each patch of tests/mutants/ is one mistake, and the test that it names has to
# find it. Its lines:
#
#	# What the mistake is.
#	# found by: SUITE[: PATTERN]	tests/sim/test_... (scripts of power cuts) or
#					tests/interop/test_....sh (checks)
#	# seeds: N			of power cuts, if one (the default) is too few
#	# short				in every run, not only in the long one
#
# BUILD: the folder of a build that has the suites (build/asan). MUTANTS: a pattern
# of names; by default the short ones, with MUTANTS_ALL=1 all.

set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath "${BUILD:-build/asan}")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

wanted() { # PATCH
	if [ -n "${MUTANTS:-}" ]; then
		# shellcheck disable=SC2053
		[[ $(basename "$1" .patch) == $MUTANTS ]]
	else
		[ -n "${MUTANTS_ALL:-}" ] || grep -q '^# short$' "$1"
	fi
}

# The changed files alone; everything else is the build's.
copy_changed() { # PATCH
	local source
	rm -rf "$work/tree"
	sed -n 's|^+++ b/||p' "$1" | sort -u | while read -r source; do
		mkdir -p "$work/tree/$(dirname "$source")" &&
			cp "$source" "$work/tree/$source" || return 1
	done
	patch -s -d "$work/tree" -p1 <"$1"
}
build_mutant() { # TARGET
	make -s --no-print-directory MUTANT="$work/tree" WERROR=-w \
		O="$(dirname "$build")" V="$(basename "$build")" "$work/tree/$1"
}

# Fails, as it should, and says that it has found something.
power_cuts_fail() { # SUITE PATTERN SEEDS
	build_mutant "$1" || return 1
	! QCOW2_SEEDS=$3 QCOW2_SCRIPT=$2 QCOW2_QEMU=0 "$work/tree/$1" &&
		grep -qE '^tests/.*[.]c:[0-9]+: ' \
			"$work/log"
}
checks_fail() { # SUITE PATTERN
	build_mutant cairn-stack || return 1
	! BUILD=$work/tree CHECK_ONLY=$2 "$1" &&
		grep -q '^not ok' "$work/log"
}

is_found() { # PATCH
	local suite pattern= seeds
	seeds=$(sed -n 's/^# seeds: //p' "$1")
	IFS=: read -r suite pattern < <(sed -n 's/^# found by: //p' "$1")
	pattern=${pattern# }
	copy_changed "$1" || return 1
	case $suite in
	*.sh) checks_fail "$suite" "${pattern:-*}" ;;
	*) power_cuts_fail "$suite" "${pattern:-*}" "${seeds:-1}" ;;
	esac
}

patches=()
for patch in tests/mutants/*.patch; do
	wanted "$patch" && patches+=("$patch")
done
echo "1..${#patches[@]}"
number=0 failed=0
for patch in "${patches[@]}"; do
	number=$((number + 1))
	name=$(basename "$patch" .patch)
	if is_found "$(realpath "$patch")" >"$work/log" 2>&1; then
		echo "ok $number - $name is found"
	else
		failed=$((failed + 1))
		echo "not ok $number - $name is found"
		tail -n 20 "$work/log" | sed 's/^/# /'
	fi
done
[ $failed -eq 0 ]
