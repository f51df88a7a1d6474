#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Spin searches all states of reuse.pml, case by case: the design as it is must be
# sound, and each mistake of mutants.txt must be found. README.md says what for.
#
#   tests/model/test_model.sh [--long]	--long (or MODEL_LONG=1): the larger cases, too
#
# Needs spin and gcc. MODEL_MB: the memory that one search may take (default 2000,
# with --long 8000).

set -uo pipefail
cd "$(dirname "$0")" || exit 2
for tool in spin gcc; do
	command -v "$tool" >/dev/null || {
		echo "1..0 # SKIP no $tool: packaging/install-deps check"
		exit 0
	}
done
[ "${1:-}" = --long ] && MODEL_LONG=1
MODEL_MB=${MODEL_MB:-${MODEL_LONG:+8000}}
model=$PWD/reuse.pml mistakes=$PWD/mutants.txt
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# The requests of a case; what it leaves out is none.
requests() { # CASE
	case $1 in
	read) echo -DDISCARDS=1 -DREADS=1 -DWRITES_C=1 -DFLUSHES=1 ;;
	write) echo -DDISCARDS=1 -DWRITES_A=1 -DWRITES_B=1 -DFLUSHES=1 ;;
	snapshot) echo -DSNAPSHOT -DWRITES_A=1 -DWRITES_B=1 ;;
	again) echo -DDISCARDS=2 -DREADS=1 -DWRITES_C=1 -DFLUSHES=2 ;;
	shared) echo -DSNAPSHOT -DDISCARDS=1 -DWRITES_A=1 -DFLUSHES=1 ;;
	*) return 1 ;;
	esac
}

# "sound" or "unsound"; anything else: the search was not done, or not whole.
verdict() { # CASE [BUG]
	local flags
	rm -rf "$work/run" && mkdir "$work/run" && cd "$work/run" || return 1
	flags=$(requests "$1") || return 1
	# Spin's checker knows its indices; gcc's warnings about them are its own. A mistake
	# is found long before what gcc takes to optimise has come back.
	# shellcheck disable=SC2086
	spin $flags ${2:+"-DBUG_$2"} -a "$model" >spin.log 2>&1 &&
		gcc -w "-O$([ $# = 2 ] && echo 0 || echo 1)" -DSAFETY -DCOLLAPSE -DMEMLIM="${MODEL_MB:-2000}" -o pan pan.c &&
		./pan -m100000 >out 2>&1 || { cat spin.log; return 1; }
	if grep -q 'errors: 0$' out && ! grep -qi 'search not completed\|max search depth' out; then
		echo sound
	elif grep -q 'assertion violated' out; then
		echo unsound
	else
		cat out
	fi
}

number=0
expect() { # VERDICT CASE [BUG]
	local found word=ok
	number=$((number + 1))
	found=$(verdict "${@:2}")
	if [ "$found" != "$1" ]; then
		word="not ok"
		sed 's/^/# /' <<<"${found:-no answer}"
	fi
	echo "$word $number - ${2}: ${3:-as it is} is $1"
	[ "$word" = ok ] || failed=yes
}

failed=
for each in read write snapshot ${MODEL_LONG:+again shared}; do
	expect sound "$each"
done
while read -r bug each; do
	expect unsound "$each" "$bug"
done < <(grep -v '^#' "$mistakes")
echo "1..$number"
[ -z "$failed" ]
