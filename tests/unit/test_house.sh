#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tools that judge everything else: tests/run must not call a suite good
# that is not, tests/lint/floors must find what points up. Both work on a small
# tree of their own.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
number=0

is() { # name expected found
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '# expected: %s\n# found:    %s\n' "$2" "$3" | sed 's/^[^#]/# &/'
	fi
}

# -- tests/run -----------------------------------------------------------------
mkdir -p "$tree/tests" "$tree/build/tests/unit"
cp "$root/tests/run" "$tree/tests/run"

suite() { # name, body on standard input
	{
		echo '#!/bin/sh'
		cat
	} >"$tree/build/tests/unit/$1"
	chmod +x "$tree/build/tests/unit/$1"
}

# The closing line and the exit status of a run of suites.
totals() {
	local names=() name out status
	for name; do
		names+=("tests/unit/$name")
	done
	out=$(cd "$tree" && TEST_TIMEOUT=${LIMIT:-60} tests/run build -j 2 "${names[@]}")
	status=$?
	echo "$(tail -n 1 <<<"$out"), $status"
}

suite good <<<'printf "1..2\nok 1 - a\nok 2 - b\n"'
suite more <<<'printf "1..2\nok 1 - a\nnot ok 2 # SKIP b\n"'
suite bad <<<'printf "1..2\nok 1 - a\nnot ok 2 - b\n"; exit 1'
suite crash <<<'echo "ok 1 - a"; kill -SEGV $$'
suite status <<<'echo "ok 1 - a"; exit 3'
suite mute <<<'exit 0'
suite short <<<'printf "1..3\nok 1 - a\n"'
suite slow <<<'echo "ok 1 - a"; exec tail -f /dev/null'
suite report <<<'echo "==1==ERROR: AddressSanitizer: x"; echo "ok 1 - a"'
suite absent <<<'echo "1..0 # SKIP no kernel module"'
suite echoes <<<'echo "ok 1 - $CMOCKA_MESSAGE_OUTPUT $BUILD" | grep "TAP /"'

is "passed tests add up" "3 passed, 0 failed, 1 skipped, 0" "$(totals good more)"
is "a failed test is counted once" "1 passed, 1 failed, 0 skipped, 1" "$(totals bad)"
is "a crash is a failure" "1 passed, 1 failed, 0 skipped, 1" "$(totals crash)"
is "an exit status is a failure" "1 passed, 1 failed, 0 skipped, 1" "$(totals status)"
is "no test is a failure" "0 passed, 1 failed, 0 skipped, 1" "$(totals mute)"
is "a missing test is a failure" "1 passed, 1 failed, 0 skipped, 1" "$(totals short)"
is "a sanitizer's report is a failure" "1 passed, 1 failed, 0 skipped, 1" \
	"$(totals report)"
is "a missing suite is a failure" "2 passed, 1 failed, 0 skipped, 1" \
	"$(totals good nowhere)"
is "a suite may skip itself" "2 passed, 0 failed, 1 skipped, 0" \
	"$(totals absent good)"
is "the time limit is a failure" "1 passed, 1 failed, 0 skipped, 1" \
	"$(LIMIT=1 totals slow)"
is "suites get their environment" "1 passed, 0 failed, 0 skipped, 0" \
	"$(totals echoes)"
is "results are kept" "1 1 0" "$(cut -d ' ' -f 1-3 "$tree/build/results/tests/unit/bad")"
is "logs are kept" "not ok 2 - b" "$(tail -n 1 "$tree/build/logs/tests/unit/bad.log")"

# -- tests/lint/floors ---------------------------------------------------------
mkdir -p "$tree/tests/lint" "$tree/blockcore/base" "$tree/blockcore/core" \
	"$tree/blockcore/format" "$tree/blockcore/protocol" "$tree/target/scsi" "$tree/target/iscsi"
cp "$root/tests/lint/floors" "$tree/tests/lint/floors"
for header in base/err loop block spec format/raw format/qcow2 format/qcow2_map \
	protocol/file core/source; do
	: >"$tree/blockcore/$header.h"
done
: >"$tree/target/scsi/scsi.h"
: >"$tree/target/iscsi/iscsi.h"

# Complaints about one file that includes what is named.
floors() { # file include...
	local file=$1 include
	shift
	for include; do
		case $include in
		'<'*) echo "#include $include" ;;
		*) echo "#include \"$include\"" ;;
		esac
	done >"$tree/$file"
	(cd "$tree" && tests/lint/floors "$file" | sed '$d')
	rm "$tree/$file"
}

is "down is allowed" "" "$(floors blockcore/format/qcow2.c blockcore/block.h \
	blockcore/base/err.h blockcore/loop.h blockcore/format/qcow2.h \
	blockcore/format/qcow2_map.h '<stdio.h>')"
is "a driver includes no other" \
	"blockcore/format/qcow2.c:1: must not include blockcore/format/raw.h" \
	"$(floors blockcore/format/qcow2.c blockcore/format/raw.h)"
is "a driver includes no other kind" \
	"blockcore/format/qcow2.c:1: must not include blockcore/protocol/file.h" \
	"$(floors blockcore/format/qcow2.c blockcore/protocol/file.h)"
is "the base includes nothing above" \
	"blockcore/base/err.c:2: must not include blockcore/loop.h" \
	"$(floors blockcore/base/err.c blockcore/base/err.h blockcore/loop.h)"
is "the core does not know the spec" \
	"blockcore/core/source.c:1: must not include blockcore/spec.h" \
	"$(floors blockcore/core/source.c blockcore/spec.h)"
is "the target uses the doors" "" "$(floors target/scsi/scsi.c \
	blockcore/spec.h blockcore/block.h target/scsi/scsi.h)"
is "the target uses the doors only" \
	"target/scsi/scsi.c:1: must not include blockcore/core/source.h" \
	"$(floors target/scsi/scsi.c blockcore/core/source.h)"
is "scsi does not know iscsi" \
	"target/scsi/scsi.c:1: must not include target/iscsi/iscsi.h" \
	"$(floors target/scsi/scsi.c target/iscsi/iscsi.h)"
is "the core includes no libevent" \
	"blockcore/core/source.c:1: blockcore includes no libevent: event2/event.h" \
	"$(floors blockcore/core/source.c '<event2/event.h>')"
is "the target includes no io_uring" \
	"target/scsi/scsi.c:1: target includes no io_uring: liburing.h" \
	"$(floors target/scsi/scsi.c '<liburing.h>')"
is "includes are written from the root" \
	"blockcore/core/source.c:1: not written from the root, or missing: block.h" \
	"$(floors blockcore/core/source.c block.h)"

echo '#include "blockcore/core/source.h"' >"$tree/blockcore/core/gate.h"
echo '#include "blockcore/core/gate.h"' >"$tree/blockcore/core/source.c"
is "a circle is found" "circle:" "$(cd "$tree" && tests/lint/floors \
	blockcore/core/gate.h blockcore/core/source.[ch] | head -n 1)"
echo '#include "blockcore/core/gate.h"' >"$tree/blockcore/block.h"
echo '#include "blockcore/block.h"' >"$tree/blockcore/core/gate.h"
is "a circle through a door is found" "circle:" "$(cd "$tree" && tests/lint/floors \
	blockcore/core/gate.h blockcore/block.h | head -n 1)"
# -- tests/lint/binaries -------------------------------------------------------
# Each flag of the Makefile that is left out is missed.
cp "$root/tests/lint/binaries" "$tree/tests/lint/binaries"
cat >"$tree/program.c" <<'C'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	char large[100000], small[16];
	memset(large, argc, sizeof large);
	return snprintf(small, argc, "%s", argv[0]) + large[argc * 10];
}
C
mapfile -t flags < <(make -C "$root" -s --no-print-directory -f - <<<'include Makefile
flags: ; @printf "%s\n" $(CFLAGS_release) $(LDFLAGS_release)' flags | grep -v '^-g$')
# Complaints about a program that is made without a flag and with others.
binaries() { # FLAG-LEFT-OUT [FLAG...]
	local left_out=$1 flag kept=()
	shift
	for flag in "${flags[@]}"; do
		[ "$flag" = "$left_out" ] || kept+=("$flag")
	done
	gcc "${kept[@]}" "$@" -o "$tree/program" "$tree/program.c" || return
	"$tree/tests/lint/binaries" "$tree/program" | sed -n "s|FAIL $tree/program: ||p"
}
is "there are flags" yes "$([ ${#flags[@]} -ge 8 ] && echo yes)"
is "a program as it is delivered" "" "$(binaries none)"
is "without PIE" "is not position independent (-fPIE, -pie)" \
	"$(binaries -pie -no-pie -fno-pie)"
is "without RELRO" "has no RELRO (-z relro)" "$(binaries none -Wl,-z,norelro)"
is "bound late" "does not bind at its start (-z now)" \
	"$(binaries -Wl,-z,relro,-z,now -Wl,-z,relro,-z,lazy)"
is "with an executable stack" "has an executable stack" "$(binaries none -Wl,-z,execstack)"
is "without stack protector" "has no stack protector" \
	"$(binaries -fstack-protector-strong -fno-stack-protector)"
is "without stack clash protection" "does not touch the pages of large frames" \
	"$(binaries -fstack-clash-protection -fno-stack-clash-protection)"
is "without fortified functions" "is not fortified" \
	"$(binaries -D_FORTIFY_SOURCE=2 -U_FORTIFY_SOURCE)"
is "without landing pads" "has no landing pads (-fcf-protection)" \
	"$(binaries -fcf-protection -fcf-protection=none)"
echo "1..$number"
