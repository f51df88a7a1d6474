#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sizes of volumes on files while they run: larger, smaller, back by the history, and
# written in other words. What a dry run says is what happens.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img qemu-io

write_settings 0

sees() { # NAME SIZE: what a host finds there
	qemu-img info --output=json "$url:$1/0" >"$work/info" 2>&1
	jq -e ".[\"virtual-size\"] == $2" "$work/info" >/dev/null || { cat "$work/info"; return 1; }
}
has_bytes() { [ "$(stat -c %s "$work/data/a.raw")" = "$1" ]; }
io() { # COMMAND: quiet, as a host
	qemu-io -f raw -c "$1" "$url:a/0" >"$work/io" 2>&1 && ! grep -qi "failed\|error" "$work/io" ||
		{ cat "$work/io"; return 1; }
}
newest() { # the number of the newest change
	ask GET '/history?limit=1'
	jq '.items[0].number' "$work/body"
}

check "the daemon starts" start_kept_daemon
check "a host that may come" gets 201 POST /hosts '{"name": "any", "iscsi": {"iqn": ["*"]}}'
check "a volume" gets 201 POST /volumes \
	'{"name": "a", "size": 8388608, "export": {"hosts": ["any"]}}'
large=$(newest)
check "its data" io "write -P 165 0 8M"

# Smaller.
smaller='{"size": "4MiB", "shrink": true}'
cut='["parked","cut it to 4194304 bytes: the data beyond are lost"]'
check "a smaller size, dry" gets 200 POST '/volumes/a/resize?dryRun=true' "$smaller"
check "it says what is lost" says '.impact[0] | [.effect, .text]' "$cut"
check "nothing happened" sees a 8388608
check "the same in earnest" gets 200 POST /volumes/a/resize "$smaller"
check "a host sees it" sees a 4194304
check "so is the file" has_bytes 4194304
check "its data are there" io "read -P 165 0 4M"

# Larger: what comes back is zeroes.
check "larger again" gets 200 POST /volumes/a/resize '{"size": "16MiB"}'
check "a host sees that" sees a 16777216
check "without the old data" io "read -P 0 4M 12M"

# Back to a state before both.
check "the state with 8 MiB, dry" gets 200 POST "/history/$large/restore?dryRun=true" "" \
	-H 'If-Match: *'
check "it says what it cuts" says '[.impact[] | select(.object == "/volumes/a" or
	(.text | startswith("cut"))) | .text]' '["cut it to 8388608 bytes: the data beyond are lost"]'
check "back" changes 200 POST "/history/$large/restore"
check "a host sees 8 MiB" sees a 8388608
check "with its data" io "read -P 165 0 4M"

# Other words for the same.
wordy='{"protocol": {"type": "file", "path": "a.raw", "size": "8MiB", "cache": "direct"}}'
check "the source in other words, dry" gets 200 PUT '/volumes/a/source?dryRun=true' "$wordy" \
	-H 'If-Match: *'
check "nothing is swapped" says '[.impact[].effect]' '["none"]'
check "taken" changes 200 PUT /volumes/a/source "$wordy"
snapshot='{"format": {"type": "qcow2",
	"file": {"protocol": {"type": "file", "path": "a-2.qcow2", "size": "64KiB"}},
	"backing": {"protocol": {"type": "file", "path": "a.raw", "size": 8388608}}}}'
check "a snapshot over it, dry" gets 200 PUT '/volumes/a/source?dryRun=true' "$snapshot" \
	-H 'If-Match: *'
check "is one" says '.impact[0].text' '"put a new image over it: the same content"'
check "taken, too" changes 200 PUT /volumes/a/source "$snapshot"
check "all data are there" io "read -P 165 0 4M"

# The image has a size of its own, which its document does not say.
check "a larger image" gets 200 POST /volumes/a/resize '{"size": "16MiB"}'
check "a host sees its size" sees a 16777216
check "all data are there, still" io "read -P 165 0 4M"
check "and zeroes behind" io "read -P 0 8M 8M"
check "which take data" io "write -P 77 12M 64k"
check "a size that cuts them is refused" gets 409 POST /volumes/a/resize \
	'{"size": "8MiB", "shrink": true}'
check "a host sees no other" sees a 16777216
check "larger once more, dry" gets 200 POST '/volumes/a/resize?dryRun=true' '{"size": "32MiB"}'
check "is growth" says '.impact[0] | [.effect, .text]' '["live","grow it"]'
check "larger once more" gets 200 POST /volumes/a/resize '{"size": "32MiB"}'
check "a host sees that, too" sees a 33554432
check "the daemon stops" stop_daemon
check "and comes back" start_kept_daemon
check "with that size" sees a 33554432
check "and those data" io "read -P 77 12M 64k"
check "the daemon still answers" gets 200 GET /volumes/a
finish
