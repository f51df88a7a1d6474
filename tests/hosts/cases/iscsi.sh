# SPDX-License-Identifier: Apache-2.0
# A Linux kernel's own initiator: discovery, login, file system, verified load,
# the daemon killed under it and started again, file system check.
. /lib.sh
target=iqn.2026-11.example.cairn:hosts
portal=10.0.2.2:@PORT@
disk=/dev/sda

load() { # fio's writes carry checksums, read back at the end
	fio --allow_file_create=0 --name=v --filename="$1" --size=48m --bs=4k \
		--ioengine=libaio --iodepth=8 --direct=1 --rw=randwrite \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --output=/tmp/fio.out ||
		{ cat /tmp/fio.out; return 1; }
}
# fio tells on a pipe that its files are laid out and writing begins.
load_in_background() {
	mkfifo /tmp/begun
	fio --exec_prerun='echo begun >/tmp/begun' --name=k --directory=/mnt --size=48m --bs=16k --ioengine=libaio \
		--iodepth=8 --direct=1 --rw=randwrite --verify=crc32c \
		--do_verify=1 --verify_fatal=1 --output=/tmp/fio.out &
	load_pid=$!
	timeout 60 cat /tmp/begun
}
load_ends_well() { wait $load_pid || { cat /tmp/fio.out; return 1; }; }
logged_in() {
	iscsiadm -m session | grep -q "$target" &&
		[ "$(cat /sys/class/iscsi_session/session*/state)" = LOGGED_IN ]
}
inquiry_ok() {
	sg_inq $disk && sg_vpd --page=di $disk && sg_vpd --page=bl $disk &&
		sg_vpd --page=lbpv $disk && sg_readcap --16 $disk
}
registered() {
	sg_persist --out --register --param-sark=0xabc $disk &&
		sg_persist --in --read-keys $disk | grep -qi 0xabc &&
		sg_persist --out --register --param-rk=0xabc --param-sark=0 $disk
}
trim_mounted() { mkdir -p /mnt && mount -o discard $disk /mnt && fstrim_all; }
fstrim_all() { fstrim -v /mnt; }

start_udev
step 'iscsid starts' start_iscsid
step 'discovery' iscsiadm -m discovery -t sendtargets -p $portal
step 'login' iscsiadm -m node -T $target -p $portal --login
step 'a disk appears' disk_appears $disk
step 'INQUIRY, VPD pages and capacity' inquiry_ok
step 'persistent reservation keys' registered
step 'fio with verification on the raw disk' load $disk
step 'mkfs.ext4' mkfs.ext4 -q -F $disk
step 'mount and trim' trim_mounted
step 'a load on the file system begins' load_in_background
step 'the daemon is killed under the load' outside kill
step 'the daemon starts again' outside start
step 'the load ends, verified' load_ends_well
step 'the session is there again' logged_in
step 'unmount' umount /mnt
step 'file system check is clean' e2fsck -f -n $disk
step 'logout' iscsiadm -m node -T $target -p $portal --logout
step 'no session is left' sessions_end
finish
