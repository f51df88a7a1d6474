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
	fio --exec_prerun='echo begun >/tmp/begun' --name=k --directory=/mnt --size=48m \
		--bs=16k --ioengine=libaio --iodepth=8 --direct=1 --rw=randwrite --verify=crc32c \
		--do_verify=1 --verify_fatal=1 --output=/tmp/fio.out --output-format=normal,json &
	load_pid=$!
	timeout 60 cat /tmp/begun
}
# From here on the daemon answers no write: as it is killed it owes the kernel some.
writes_are_owed() {
	held=$(ask_outside hold)
	owed=$(awk '{ print $2 }' /sys/block/sda/inflight)
	owed_since=$(uptime_ms)
	echo "the daemon holds $held, the kernel waits for $owed"
	[ "$held" -gt 0 ] && [ "$owed" -ge "$held" ]
}
uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
connection_breaks() { kernel_says 'detected conn error' && away_ms=$(($(uptime_ms) - owed_since)); }
load_waits() { kill -0 $load_pid && [ ! -s /tmp/fio.out ]; }
load_ends_well() { wait $load_pid || { cat /tmp/fio.out; return 1; }; }
# The longest write waited at least as long as the daemon was away, and every one of
# the 48 MiB was read back.
pause_is_seen() {
	longest_ms=$(awk '/"write" :/ { write = 1 } write && /"lat_ns"/ { lat = 1 }
		lat && /"max"/ { printf "%d", $3 / 1000000; exit }' /tmp/fio.out)
	echo "away for $away_ms ms, the longest write took $longest_ms ms"
	[ "$longest_ms" -ge "$away_ms" ]
}
all_was_verified() {
	grep -E '^ *(READ|WRITE): bw=' /tmp/fio.out
	[ "$(grep -cE '^ *(READ|WRITE): bw=.* io=48\.0MiB ' /tmp/fio.out)" = 2 ] &&
		grep -q 'err= 0' /tmp/fio.out
}
logged_in() {
	iscsiadm -m session | grep -q "$target" &&
		[ "$(cat /sys/class/iscsi_session/session*/state)" = LOGGED_IN ]
}
shows() { # "COMMAND" PATTERN...: it ends well and prints a line like each
	$1 >/tmp/shown || { cat /tmp/shown; return 1; }
	cat /tmp/shown
	shift
	for pattern; do
		grep -qE -- "$pattern" /tmp/shown || { echo "no line is like '$pattern'"; return 1; }
	done
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
step 'sg_inq' shows "sg_inq $disk" 'Vendor identification: CAIRN ' \
	'Product identification: VOLUME ' 'version=0x06 ' 'TPGS=1 ' 'CmdQue=1$'
step 'sg_vpd: identity' shows "sg_vpd --page=di $disk" 'designator type: NAA' \
	'naa\.[0-9A-F]{16}$' 'Target port group: 0x1$' "^ *$target,t,0x0001\$" "^ *$target\$"
step 'sg_vpd: block limits' shows "sg_vpd --page=bl $disk" 'Maximum transfer length: 0x4000$' \
	'Maximum compare and write length: 0xff$' 'Maximum unmap LBA count: 0x100000$'
step 'sg_vpd: provisioning' shows "sg_vpd --page=lbpv $disk" 'LBPU=1' 'LBPWS=1' 'LBPRZ=0x1' \
	'Provisioning type: thin provisioned'
step 'sg_readcap' shows "sg_readcap --16 $disk" 'Device size: 268435456 bytes' \
	'Logical block length=512 bytes' 'lbpme=1, lbprz=1'
step 'sg_rtpg' shows "sg_rtpg --decode $disk" 'target port group id : 0x1 ' \
	'access state : 0x00 \(active/optimized\)' 'AO_SUP : 1' '^ *0x01$'
step 'sg_opcodes' shows "sg_opcodes $disk" ' 42 .*Unmap$' ' 89 .*Compare and write$' \
	' 93 .*Write same\(16\)$' ' a3 .*Report target port groups$'
step 'persistent reservation keys' registered
step 'fio with verification on the raw disk' load $disk
step 'mkfs.ext4' mkfs.ext4 -q -F $disk
step 'mount and trim' trim_mounted
step 'a load on the file system begins' load_in_background
step 'the daemon has writes that it does not answer' writes_are_owed
step 'it is killed' outside kill
step 'the kernel sees the connection break' connection_breaks
step 'the load waits' load_waits
step 'the daemon starts again' outside start
step 'the load ends without an error' load_ends_well
step 'its longest write waited for the daemon' pause_is_seen
step 'all that it wrote was read back and right' all_was_verified
step 'the session is there again' logged_in
step 'unmount' umount /mnt
step 'file system check is clean' e2fsck -f -n $disk
step 'logout' iscsiadm -m node -T $target -p $portal --logout
step 'no session is left' sessions_end
finish
