#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The job check over REST: what it says of images that QEMU has made and somebody has
# damaged, and that it repairs them while no host is there.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-img qemu-io

mkdir -p "$work/data"
# An image of 64 KiB clusters with data in the first one: header, refcount table, its
# block, L1 table, L2 table, data.
image() { # NAME
	qemu-img create -q -f qcow2 "$work/data/$1" 16M &&
		qemu-io -f qcow2 -c 'write -q -P 7 0 64k' "$work/data/$1"
}
count() { # NAME CLUSTER COUNT: in the refcount block
	printf "\\x00\\x$3" | dd of="$work/data/$1" bs=1 seek=$((0x20000 + 2 * $2)) conv=notrunc status=none
}
check "a sound image" image sound
check "one to leak" image leaky
truncate -s 2M "$work/data/leaky"
count leaky 20 01
check "one to break" image broken
count broken 5 00

write_settings 0
write_document <<'VOLUMES'
raw source: {protocol: {type: file, path: a.raw, size: 16M}}
sound source: {format: {type: qcow2, file: {protocol: {type: file, path: sound}}}}
leaky source: {format: {type: qcow2, file: {protocol: {type: file, path: leaky}}}}
broken source: {format: {type: qcow2, file: {protocol: {type: file, path: broken}}}}
VOLUMES
checks() { # VOLUME STATE [OPTIONS]
	gets 202 POST /jobs "{\"volume\": \"$1\", \"kind\": \"check\", \"options\": ${3:-{\}}}" &&
		gets 200 GET "/jobs/$(jq .id "$work/body")?wait=60" && says .state "\"$2\""
}
note_has() { says "[.note // \"\", .error // \"\"] | join(\" \") | test(\"$1\")" true; }
idle() { ask GET /volumes/leaky && [ "$(jq .status.sessions "$work/body")" = 0 ]; }
busy() { ! idle; }

check "the daemon starts" start_daemon
check "a raw volume" checks raw failed
check "has no image" note_has 'stands on no image'
check "the sound one" checks sound done
check "is sound" note_has 'sound; no leaks'
check "the leaky one" checks leaky done
check "leaks" note_has '1 clusters are leaked: repair=leaks'
check "the broken one" checks broken failed
check "has an error, and it says what to do" note_has 'has [1-9] errors .*repair=all'
check "another repair" gets 422 POST /jobs '{"volume": "leaky", "kind": "check", "options": {"repair": "most"}}'

"$BUILD/tools/survive" write "$port" "$iqn:leaky" "$work/record" 1 >"$work/host" 2>&1 &
host=$!
check "a host comes" wait_until busy
check "no repair under it" gets 409 POST /jobs '{"volume": "leaky", "kind": "check", "options": {"repair": "leaks"}}'
check "nor a dry run of one" gets 409 POST '/jobs?dryRun=true' '{"volume": "leaky", "kind": "check", "options": {"repair": "leaks"}}'
check "a check under it" checks leaky done
kill $host
check "the host goes" wait_until idle
check "the leak is repaired" checks leaky done '{"repair": "leaks"}'
check "it says so" note_has '1 leaked clusters and 0 errors put right'
check "the error is repaired" checks broken done '{"repair": "all"}'
check "it says so, too" note_has '0 leaked clusters and [1-9] errors put right'
check "sound again" checks broken done
check "it stays known" gets 200 GET '/jobs?volume=broken&state=done'
check "in words" says '.items | map(.note | test("put right|sound")) | all' true
check "it ends" stop_daemon
for name in sound leaky broken; do
	check "QEMU finds $name sound" qemu-img check -q -f qcow2 "$work/data/$name"
done
check "its data are there" qemu-io -r -f qcow2 -c 'read -P 7 0 64k' "$work/data/broken"
finish
