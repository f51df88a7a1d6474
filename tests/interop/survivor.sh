# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tests, after lib.sh: a host that writes to volume a and keeps a record of
# what was acknowledged, over daemons that are killed (tools/survive).

survivor_record=$work/record
truncate -s 32768 "$survivor_record"
survivor_seed=0

# Its process is $survivor, its words are in $work/survivor.
survivor_starts() {
	survivor_seed=$((survivor_seed + 1))
	"$BUILD/tools/survive" force "$port" "$iqn:a" "$survivor_record" $survivor_seed \
		>"$work/survivor" 2>&1 &
	survivor=$!
}
# It ends by itself when it can reach nobody any more.
survivor_ends() { wait "$survivor" || { cat "$work/survivor"; return 1; }; }
# All that was acknowledged is there.
survivor_verifies() { "$BUILD/tools/survive" verify "$port" "$iqn:a" "$survivor_record"; }
