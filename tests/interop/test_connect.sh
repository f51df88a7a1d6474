#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What `cairn connect` prints for Linux and for QEMU, executed: a host that is known by
# its name only, and one with CHAP both ways.
#
# QEMU's are run by QEMU: qemu-img as it stands, the disk of a guest by
# qemu-storage-daemon, which takes the same options. Linux' needs a kernel of its own
# (tests/hosts runs it there); here iscsiadm is a stand-in that keeps node records as the
# text sets them and logs in by libiscsi with what they say.

. "$(dirname "$0")/lib.sh"
needs jq qemu-img qemu-io qemu-storage-daemon iscsi-inq iscsi-ls

write_settings 0
write_document <<'DOC'
none source: {protocol: {type: "null", size: 1M}}
DOC
export CAIRN_SOCKET=$work/run/cairn.sock HOME=$work
unset CAIRN_URL CAIRN_TOKEN CAIRN_CA CAIRN_FINGERPRINT XDG_CONFIG_HOME
export PATH=$(realpath "$BUILD"):$PATH
cd "$work" || exit 1
own='open-sesame-of-it' its='open-sesame-of-us'

# -- a host with an iscsiadm ----------------------------------------------------------

mkdir host host/nodes
cat >host/iscsiadm <<'END'
#!/bin/bash
# iscsiadm -m discovery -t sendtargets -p PORTAL
# iscsiadm -m node -T TARGET -p PORTAL -o new | -o update -n NAME -v VALUE | --login | --logout
set -eu
cd "$HOST"
initiator=$(sed -n 's/^InitiatorName=//p' initiatorname.iscsi)
what="$*" mode='' target='' portal='' operation='' name='' value='' way=''
while [ $# -gt 0 ]; do
	case $1 in
	-m) mode=$2 ;; -T) target=$2 ;; -p) portal=$2 ;; -o) operation=$2 ;;
	-n) name=$2 ;; -v) value=$2 ;; -t) [ "$2" = sendtargets ] ;;
	--login | --logout) way=$1; shift; continue ;;
	*) echo "iscsiadm: what is $1?" >&2; exit 7 ;;
	esac
	shift 2
done
record() { echo "nodes/$(echo "$1,$2" | tr '/:[]' '____')"; }
of() { sed -n "s/^$1 = //p" "$node" | tail -n 1; }
escaped() { jq -rn --arg text "$1" '$text | @uri'; }
if [ "$mode" = discovery ]; then
	for found in $(iscsi-ls -i "$initiator" "iscsi://$portal" | sed -n 's/^Target:\([^ ]*\) Portal:\([^ ]*\),[0-9]*$/\1=\2/p'); do
		: >"$(record "${found%%=*}" "${found#*=}")"
		echo "${found#*=} ${found%%=*}"
	done
	exit
fi
node=$(record "$target" "$portal")
[ "$operation" = new ] || [ -e "$node" ] || { echo "iscsiadm: no records found ($what)" >&2; exit 21; }
case $operation$way in
new) : >"$node" ;;
update) echo "$name = $value" >>"$node" ;;
--login)
	user=$(of node.session.auth.username) user_in=$(of node.session.auth.username_in)
	[ -z "$user" ] || [ "$(of node.session.auth.authmethod)" = CHAP ]
	url="iscsi://${user:+$(escaped "$user")%$(escaped "$(of node.session.auth.password)")@}$portal/$target/$LUN"
	url+=${user_in:+"?target_user=$(escaped "$user_in")&target_password=$(escaped "$(of node.session.auth.password_in)")"}
	iscsi-inq -i "$initiator" "$url" >"$node.session" || { rm "$node.session"; exit 24; }
	;;
--logout) rm "$node.session" ;;
*) exit 7 ;;
esac
END
# Whoever asks for the disk gets it if there is a session.
printf '#!/bin/sh\nexit 0\n' >host/systemctl
printf '#!/bin/sh\ncp "$HOST"/nodes/*.session "$HOST/disk"\n' >host/udevadm
printf '#!/bin/sh\ncase $2 in /dev/disk/by-id/wwn-0x*) [ -s "$HOST/disk" ];; *) exit 2;; esac\n' >host/ls
chmod +x host/*

text() { # VOLUME SYSTEM
	cairn connect "$1" --os "$2" --text >"$1.$2" 2>"$1.$2.said"
	cat "$1.$2.said" "$1.$2"
	[ -s "$1.$2" ] && ! grep -F -e "$own" -e "$its" "$1.$2"
}
# As a shell reads it, in the host's place.
as_linux() { # VOLUME; standard input: what is typed
	sed 's|/etc/iscsi/|"$HOST"/|' "$1.linux" >"$1.sh"
	HOST=$work/host LUN=0 PATH=$work/host:$PATH bash -eu "$1.sh"
}
sessions() { # COUNT
	find host/nodes -name '*.session' >sessions
	cat sessions
	[ "$(wc -l <sessions)" = "$1" ]
}
typed() { printf '%s\n' "$@" >typed; }
parts() { # the way back, which stands there as a comment
	sed -n 's/^#   \(iscsiadm .*--logout\)/\1/p' "$1.linux" >"$1.parts"
	[ -s "$1.parts" ] && HOST=$work/host LUN=0 PATH=$work/host:$PATH bash -eu "$1.parts"
}
sets_at_start() { grep -q '^node.startup = automatic$' host/nodes/*:*"$1"* host/nodes/*"$1"* 2>/dev/null; }

# -- QEMU -------------------------------------------------------------------------------

looks() { # VOLUME: the first command, as it stands
	awk '/^qemu-img info/ { on = 1 } on; on && !/\\$/ { exit }' "$1.qemu" >"$1.info"
	timeout 60 sh -e "$1.info" | tee /dev/stderr | grep -F '8388608'
}
# Options of a guest, its disk at an NBD socket.
serves() { # VOLUME
	local options
	options=$(sed -n 's/^#   \(.*-blockdev .*\) -device virtio-blk-pci,drive=.*/\1/p' "$1.qemu" |
		sed 's/\(^\| \)-\(object\|blockdev\)/\1--\2/g')
	echo "$options"
	[ -n "$options" ] || return 1
	rm -f disk.sock
	eval "exec qemu-storage-daemon $options --nbd-server addr.type=unix,addr.path=disk.sock \
		--export nbd,id=e,node-name=$1,writable=on" >guest.log 2>&1 &
	guest=$!
	wait_until eval '[ -S disk.sock ] || ! kill -0 $guest' && [ -S disk.sock ] || { cat guest.log; return 1; }
}
guest_writes() { # VOLUME
	timeout 60 qemu-io -f raw -c 'write -P 7 1M 64k' -c flush -c 'read -P 7 1M 64k' \
		"nbd+unix:///$1?socket=disk.sock" | tee said
	! grep -qi 'error\|failed' said && grep -q 'read 65536' said
}
guest_ends() { # however: by a signal
	kill $guest && wait $guest
	! kill -0 $guest
}

check "the daemon starts" start_daemon
check "a host with a name" cairn host create named --iqn iqn.2026-11.example.host:named --address 127.0.0.0/8
check "and its volume" cairn volume create plain --size 8M --host named
check "a host with secrets" cairn host create keyed --iqn iqn.2026-11.example.host:keyed --address 127.0.0.0/8
echo "$own" >own && echo "$its" >its
check "both ways" cairn host secret keyed --user the-host --secret-file own \
	--mutual-user the-target --mutual-secret-file its
check "and its volume" cairn volume create locked --size 8M --host keyed

check "the text for Linux" text plain linux
check "runs as it stands" as_linux plain
check "with a session for its portal" sessions 1
check "that would be there at every start" sets_at_start plain
check "the way back runs, too" parts plain
check "no session is left" sessions 0
check "the text for Linux, with CHAP, has no secret" text locked linux
typed wrong-secret-of-it "$its"
check "with a wrong secret it ends" eval '! as_linux locked <typed'
check "without a session" sessions 0
typed "$own" wrong-secret-of-us
check "so it does if the target cannot prove itself" eval '! as_linux locked <typed'
check "without a session" sessions 0
typed "$own" "$its"
check "with both it runs" as_linux locked <typed
check "with a session for its portal" sessions 1
check "the way back runs, too" parts locked
check "no session is left" sessions 0

check "the text for QEMU" text plain qemu
check "shows the disk" looks plain
check "the options of a guest open it" serves plain
check "it writes and reads" guest_writes plain
check "it ends" guest_ends
check "the text for QEMU, with CHAP, has no secret" text locked qemu
printf %s wrong-secret-of-it >chap.secret
check "with a wrong secret there is no disk" eval '! looks locked'
printf %s "$own" >chap.secret
check "with the right one it is shown" looks locked
check "the options of a guest open it" serves locked
check "it writes and reads" guest_writes locked
check "it ends" guest_ends
finish
