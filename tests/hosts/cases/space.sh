# SPDX-License-Identifier: Apache-2.0
# A thin volume on a file system of 96 MiB: as it reaches the threshold (80 %) the
# kernel is told by a unit attention (38h/07h), I/O goes on all the time, and what is
# discarded comes back.
. /lib.sh
target=iqn.2026-11.example.cairn:thin
portal=10.0.2.2:@PORT@
disk=/dev/sda
told='thin provisioning soft threshold'

is_thin() { [ "$(cat /sys/block/sda/queue/discard_max_bytes)" -gt 0 ]; }
used_kib() { ask_outside used; }
not_told() { ! dmesg | grep "$told"; }
fill() { # 81 of 96 MiB
	tr '\0' x </dev/zero | dd of=$disk bs=1M count=81 iflag=fullblock oflag=direct
	[ "$(used_kib)" -ge $((81 * 1024)) ]
}
# An attention comes with a command: one read after another until it has come.
told_under_reads() {
	(while dd if=$disk of=/dev/null bs=4k count=1 iflag=direct 2>/tmp/read.err; do :; done
	echo "a read failed: $(cat /tmp/read.err)" >/tmp/reads.failed) &
	reads=$!
	kernel_says "$told"
	heard=$?
	kill $reads
	cat /tmp/reads.failed 2>/dev/null && return 1
	return $heard
}
writes_go_on() {
	fio --allow_file_create=0 --name=v --filename=$disk --size=16m --bs=64k \
		--ioengine=libaio --iodepth=8 --direct=1 --rw=randwrite \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --output=/tmp/fio.out ||
		{ cat /tmp/fio.out; return 1; }
}
space_comes_back() {
	blkdiscard $disk && used=$(used_kib) && echo "$used KiB" && [ "$used" -lt 1024 ]
}

start_udev
step 'iscsid starts' start_iscsid
step 'discovery' iscsiadm -m discovery -t sendtargets -p $portal
step 'login' iscsiadm -m node -T $target -p $portal --login
step 'a disk appears' disk_appears $disk
step 'the kernel finds it thin' is_thin
step 'nothing was told yet' not_told
step 'it is filled' fill
step 'the kernel is told of the threshold, reads go on' told_under_reads
step 'verified writes go on' writes_go_on
step 'discard brings the space back' space_comes_back
step 'verified writes go on' writes_go_on
step 'logout' iscsiadm -m node -T $target -p $portal --logout
step 'no session is left' sessions_end
finish
