#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# qemu as a host: convert, compare, map, bench, write zeroes, discard, FUA over
# iscsi://; what was written is there, to the byte, after a restart of the daemon.
# Volumes with blocks of 512 bytes, of 4096, and of 512 on 4096 (512e); over IPv6.

. "$(dirname "$0")/lib.sh"

needs qemu-img qemu-io iscsi-ls

disk() { echo "$url:$1/0"; }
io() { # VOLUME COMMAND...
	local volume=$1
	shift
	qemu-io -f raw "${@/#/-c}" "$(disk "$volume")" >"$work/io" 2>&1
	local status=$?
	cat "$work/io"
	! grep -qi 'error\|failed\|differ' "$work/io" && [ $status -eq 0 ]
}
make_image() { # random places of a sparse image, some data, some zeroes
	truncate -s 64M "$work/image.raw"
	for place in 0 3 17 40 63; do
		dd if=/dev/urandom of="$work/image.raw" bs=1M count=1 seek=$place \
			conv=notrunc status=none
	done
}
maps_as_sparse() {
	qemu-img map -f raw --output=json "$(disk "$1")" | tee "$work/map"
	grep -q '"zero": true' "$work/map" && grep -q '"data": true' "$work/map"
}
# Looked at in the file: qemu 7.2 itself aborts when it reads what it discarded
# on blocks of 4096 (iscsi_co_block_status asserts a length it made up).
zeroed() { # VOLUME MEGABYTE COUNT
	dd if="$work/data/$1.raw" bs=1M skip="$2" count="$3" status=none |
		cmp -n $(($3 << 20)) - /dev/zero
}
restart() { stop_daemon && start_daemon; }
bench() { # OPTIONS...
	qemu-img bench -f raw -c 2000 -d 32 -s 4096 "$@" "$(disk thin)"
}

says_512e() {
	timeout 60 iscsi-readcapacity16 "$(disk emulated)" | tee "$work/capacity"
	grep -q '^LOGICAL BLOCK LENGTH IN BYTES:512$' "$work/capacity" &&
		grep -q 'PER PHYSICAL BLOCK EXPONENT:3$' "$work/capacity"
}
over_ipv6() { # both ways, beside what IPv4 sees
	local url6="iscsi://[::1]:$port6/$iqn:six/0"
	qemu-img convert -n -f raw -O raw "$work/image.raw" "$url6" &&
		qemu-img compare -f raw -F raw "$work/image.raw" "$url6" &&
		qemu-img convert -f raw -O raw "$url6" "$work/six.out" &&
		cmp "$work/image.raw" "$work/six.out" &&
		qemu-img compare -f raw -F raw "$work/image.raw" "$(disk six)"
}

# LUN 300 by its number, and as what REPORT LUNS says of it reads: 4000h more.
far_lun() {
	qemu-img convert -n -f raw -O raw "$work/image.raw" "$url:far/300" &&
		qemu-img compare -f raw -F raw "$work/image.raw" "$url:far/16684" &&
		iscsi-ls -s "iscsi://127.0.0.1:$port" | tee "$work/luns" | grep -A 1 ":far " |
		grep -q 'Lun:16684 '
}
no_other_lun() { ! qemu-img info "$url:far/$1" && ! qemu-img info "$url:far/0"; }

write_settings 0 "  - {name: main6, address: '::1', port: 0}"
portals="main, main6"
write_document <<'DOC'
thin thin: true, source: {protocol: {type: file, path: thin.raw, size: 64M}}
large thin: true, block_size: 4096, source: {protocol: {type: file, path: large.raw, size: 64M}}
emulated thin: true, physical_block_size: 4096, source: {protocol: {type: file, path: emulated.raw, size: 64M}}
six thin: true, source: {protocol: {type: file, path: six.raw, size: 64M}}
far thin: true, source: {protocol: {type: file, path: far.raw, size: 64M}}
DOC
sed -i '/volume: far,/s/lun: 0/lun: 300/' "$work/document.yaml"
start_daemon || exit 1
make_image
for volume in thin large emulated; do
	check "$volume: convert to the volume" \
		qemu-img convert -n -f raw -O raw "$work/image.raw" "$(disk $volume)"
	check "$volume: compare" \
		qemu-img compare -f raw -F raw "$work/image.raw" "$(disk $volume)"
	check "$volume: map shows data and holes" maps_as_sparse $volume
	check "$volume: write zeroes, with and without unmap" io $volume \
		'write -P 7 8M 1M' 'write -z 8M 512k' 'write -z -u 8704k 512k' \
		'read -P 0 8M 1M'
	check "$volume: discard" io $volume 'write -P 9 10M 1M' 'discard 10M 1M'
	check "$volume: what was discarded is zero" zeroed $volume 10 1
	check "$volume: FUA write and flush" io $volume \
		'write -f -P 5 12M 64k' 'flush' 'read -P 5 12M 64k'
	check "$volume: writes of odd length and place" io $volume \
		'write -P 3 13M 12k' 'write -P 4 13639680 4096' \
		'read -P 4 13639680 4096'
	check "$volume: back out again" \
		qemu-img convert -f raw -O raw "$(disk $volume)" "$work/$volume.out"
done
check "emulated: 512 bytes on 4096, said by READ CAPACITY" says_512e
check "emulated: writes within a physical block" io emulated \
	'write -P 6 14M 8k' 'write -P 8 14680576 512' 'write -P 9 14681600 1k' \
	'read -P 6 14680064 512' 'read -P 8 14680576 512' \
	'read -P 6 14681088 512' 'read -P 9 14681600 1k' 'read -P 6 14682624 512' \
	'write -f -z 14M 8k'
check "IPv6: data both ways" over_ipv6
check "LUN 300: by either number" far_lun
check "LUN 300: no other is taken for it" no_other_lun 44
check "restart" restart
for volume in thin large emulated; do
	check "$volume: the same after a restart" \
		qemu-img compare -f raw -F raw "$work/$volume.out" "$(disk $volume)"
	check "$volume: the file itself is the same" \
		cmp "$work/$volume.out" "$work/data/$volume.raw"
done
check "bench: reads" bench
check "bench: writes" bench -w
check "bench: writes with flushes" bench -w --flush-interval=64
# Held by the daemon with QEMU's own locks: qemu refuses to open the file.
locked() { ! qemu-io -c 'write 0 4k' "$work/data/thin.raw" 2>"$work/err" && grep -qi lock "$work/err"; }
check "qemu refuses the image while the daemon has it" locked
finish
