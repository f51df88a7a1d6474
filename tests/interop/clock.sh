# SPDX-License-Identifier: Apache-2.0
#
# For shell tests of what happens by the wall clock, beside lib.sh: the daemon's stands
# where the test has put it, and goes on from there (tests/tools/preload/).

[ -e "$BUILD/tools/clock_shift.so" ] || skip_all "no $BUILD/tools/clock_shift.so: make helpers"
# A sanitizer would be the first library of the process, which nothing of this matters to.
daemon_under=(env "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0"
	"LD_PRELOAD=$PWD/$BUILD/tools/clock_shift.so" "CLOCK_SHIFT=$work/clock")
case $BUILD in /*) daemon_under[2]="LD_PRELOAD=$BUILD/tools/clock_shift.so" ;; esac

# set_clock TIME: now it is that time, as date(1) reads it, in UTC.
set_clock() {
	echo $(($(date -u -d "$1" +%s) - $(date +%s))) >"$work/clock.new" &&
		mv "$work/clock.new" "$work/clock"
}
