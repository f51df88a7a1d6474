# SPDX-License-Identifier: Apache-2.0
# The commands for Linux that `make run` prints, run as they stand. They are for the
# machine on which it runs: here that is played by a port of the guest's own loopback
# which leads to the same port of the machine outside.
. /lib.sh

ask_run() {
	ask_outside run >/tmp/printed && [ "$(grep -c ^iscsiadm /tmp/printed)" = 3 ] &&
		[ "$(grep -c . /tmp/printed)" = 3 ] || { cat /tmp/printed; return 1; }
}
local_port() { # every connection to it is one outside
	port=$(sed -n '1s/.* -p 127\.0\.0\.1:\([0-9]*\)$/\1/p' /tmp/printed)
	printf '#!/bin/sh\nexec nc 10.0.2.2 %s\n' "$port" >/tmp/outside
	chmod 755 /tmp/outside
	[ -n "$port" ] && { nc -ll -p "$port" -e /tmp/outside & }
}
printed() { sed -n "$1p" /tmp/printed >/tmp/line.sh && cat /tmp/line.sh && sh -e /tmp/line.sh; }
discovers() { printed 1 >/tmp/found && cat /tmp/found && grep -q '^127\.0\.0\.1:.*example\.cairn:demo$' /tmp/found; }
is_1_gib() { [ "$(cat /sys/block/sda/size)" = 2097152 ]; }
holds_files() {
	mkfs.ext4 -q -F /dev/sda && mkdir -p /mnt && mount /dev/sda /mnt &&
		fio --name=v --directory=/mnt --size=16m --bs=64k --ioengine=libaio --iodepth=8 \
			--direct=1 --rw=randwrite --verify=crc32c --do_verify=1 --verify_fatal=1 &&
		umount /mnt && e2fsck -f -n /dev/sda
}

start_udev
step 'iscsid starts' start_iscsid
step 'make run prints three commands for Linux' ask_run
step 'its port is reached' local_port
step 'the first one, as printed, finds the target' discovers
step 'the second one logs in' printed 2
step 'a disk appears' disk_appears /dev/sda
step 'of 1 GiB' is_1_gib
step 'it holds a file system, verified' holds_files
step 'the third one logs out' printed 3
step 'no session is left' sessions_end
step 'Ctrl-C ends make run' outside interrupt
finish
