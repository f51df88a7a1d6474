# SPDX-License-Identifier: Apache-2.0
# What `cairn connect VOLUME --os linux` prints, run as it stands: the disk is there
# under the name that the text says, holds a file system, and the way back is the
# text's, too.
. /lib.sh

text() { # VOLUME: asks the machine outside, where cairn runs
	ask_outside "$1" >"/tmp/$1.sh" && grep -q '^iscsiadm' "/tmp/$1.sh"
}
runs() { # VOLUME; standard input: the secrets that it asks for
	sh -e "/tmp/$1.sh"
}
keyed_runs() { printf 'open-sesame-17\nopen-sesame-18\n' | runs keyed; }
wrong_runs() { printf 'open-sesame-99\nopen-sesame-18\n' | runs keyed; }
refused() { ! "$@" && no_session; }
disk_of() { sed -n 's/^ls -l //p' "/tmp/$1.sh"; }
session_of() { iscsiadm -m session | grep -q ":$1"; }
no_session() { ! iscsiadm -m session 2>/dev/null; }
holds_files() { # DISK
	mkfs.ext4 -q -F "$1" && mkdir -p /mnt && mount "$1" /mnt &&
		echo data >/mnt/file && umount /mnt && e2fsck -f -n "$1"
}
at_every_start() { iscsiadm -m node -T "iqn.2026-11.example.cairn:$1" | grep -q 'node.startup = automatic'; }
parts() { sed -n 's/^#   \(iscsiadm .*--logout\)/\1/p' "/tmp/$1.sh" >/tmp/part.sh && grep -q logout /tmp/part.sh && sh -e /tmp/part.sh; }
secret_is_absent() { ! grep -q open-sesame /tmp/keyed.sh; }

start_udev
step 'iscsid starts' start_iscsid
step 'cairn connect plain' text plain
step 'its text runs' runs plain
step 'there is a session' session_of plain
step 'the disk has the name that the text says' test -b "$(disk_of plain)"
step 'and holds a file system' holds_files "$(disk_of plain)"
step 'it would be there after a start' at_every_start plain
step 'the way back runs' parts plain
step 'no session is left' sessions_end
step 'cairn connect keyed' text keyed
step 'the text has no secret' secret_is_absent
step 'with a wrong secret there is no session' refused wrong_runs
iscsiadm -m node -T iqn.2026-11.example.cairn:keyed -o delete >/dev/null 2>&1
step 'with both secrets its text runs' keyed_runs
step 'there is a session' session_of keyed
step 'the disk has the name that the text says' test -b "$(disk_of keyed)"
step 'and holds a file system' holds_files "$(disk_of keyed)"
step 'the way back runs' parts keyed
step 'no session is left' sessions_end
finish
