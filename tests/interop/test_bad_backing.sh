#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Backing that is missing, locked, full, broken or no image, at the start and under way:
# that volume says so to its hosts and to the administrator; all others run, which a
# host shows that writes and reads all the while; nothing is acknowledged that is not
# stored.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"

# A small file system of our own, seen by the daemon only.
if [ "${IN_NAMESPACE:-}" != yes ]; then
	if unshare -m true 2>/dev/null; then
		IN_NAMESPACE=yes exec unshare -m "$0"
	fi
	skip_all "no mount namespaces here"
fi
needs qemu-io iscsi-readcapacity16 curl jq

write_settings 0
mkdir "$work/data/small"
mount -t tmpfs -o size=4m tmpfs "$work/data/small"
truncate -s 16M "$work/data/locked.raw" "$work/data/short.raw"
write_document <<'DOC'
good source: {protocol: {type: file, path: good.raw, size: 16M}}
missing source: {protocol: {type: file, path: missing.raw}}
locked source: {protocol: {type: file, path: locked.raw}}
full thin: true, source: {protocol: {type: file, path: small/full.raw, size: 64M}}
broken source: {protocol: {type: file, path: broken.raw, size: 16M}, listeners: [{type: fault, name: bad, rules: [{op: read, offset: 1M, length: 64K, error: EIO}, {op: write, offset: 2M, length: 64K, error: EIO}]}]}
short source: {protocol: {type: file, path: short.raw}}
image source: {format: {type: qcow2, size: 16M, file: {protocol: {type: file, path: image.qcow2, size: 64K}}}}
cut source: {protocol: {type: file, path: cut.raw, size: 16M}}
unlinked source: {protocol: {type: file, path: unlinked.raw, size: 16M}}
DOC
coproc QEMU { qemu-io -f raw "$work/data/locked.raw" 2>&1; }
qemu=$QEMU_PID # gone from there as soon as it ends
echo 'write 0 512' >&"${QEMU[1]}"
read -r -u "${QEMU[0]}" _
start_daemon || exit 1

disk() { echo "$url:$1/0"; }
io() {
	local volume=$1
	shift
	timeout 60 qemu-io -f raw "${@/#/-c}" "$(disk "$volume")" >"$work/io" 2>&1
	local status=$?
	cat "$work/io"
	# QEMU does not ask again when it is told first that little space is left.
	sed -i '/Failed MODE_SENSE(6), LUN assumed writable/d' "$work/io"
	[ $status -eq 0 ] && ! grep -qi 'error\|failed' "$work/io"
}
# It fails, and the host makes this of the sense.
refused() { # WORDS COMMAND...
	local words=$1
	shift
	! "$@" && grep -q "$words" "$work/io"
}
# 02/04/03: manual intervention required.
not_ready() { timeout 60 iscsi-readcapacity16 "$(disk "$1")" 2>&1 | tee /dev/stderr | grep -q 'NOT READY.*0x0403'; }
# One event of that type and volume says that, and what to do.
tells() { # TYPE VOLUME TEXT [CURE]
	gets 200 GET '/events?topics=volumes&limit=1000' && jq -e --arg text "$3" --arg cure "${4:-}" \
		"[.items[] | select(.type == \"volume_$1\" and .data.volume == \"$2\")] | length == 1 and
		(.[0].data | (.text | contains(\$text)) and ((.cure // \"\") | contains(\$cure)))" "$work/body"
}
doctor_says() { # TEXT CURE
	"$BUILD/cairn" --socket "$work/run/cairn.sock" doctor -o json >"$work/doctor" || true
	jq -e -s --arg text "$1" --arg cure "$2" \
		'.[0] | map(select(.state == "failed" and (.text | contains($text)) and (.cure | contains($cure)))) | length == 1' \
		"$work/doctor" || { cat "$work/doctor"; return 1; }
}
log_says() { grep -i "$1" "$work/daemon.log" | grep -qi "$2"; }

stored_or_refused() {
	! io short 'write -P 4 8M 64k' 'flush' ||
		io short 'read -P 4 8M 64k'
}

# A host beside all that; each round is counted, the first that fails is the last.
beside() {
	local round=0 log
	until [ -e "$work/enough" ]; do
		round=$((round + 1))
		log=$(timeout 60 qemu-io -f raw -c "write -P $((round % 250 + 1)) 8M 64k" -c flush \
			-c "read -P $((round % 250 + 1)) 8M 64k" "$(disk good)" 2>&1) || return 1
		grep -qi 'error\|failed' <<<"$log" && { echo "$log" >"$work/beside.log"; return 1; }
		echo "$round" >"$work/rounds"
	done
}
went_on() {
	touch "$work/enough"
	wait "$beside" && [ "$(cat "$work/rounds")" -ge 3 ] || { cat "$work/beside.log"; return 1; }
}
beside &
beside=$!

check "a volume whose file is missing is not ready" not_ready missing
check "the log says which file" log_says missing 'missing.raw'
check "a volume whose file qemu holds is not ready" not_ready locked
check "the log says that it is locked" log_says locked lock
check "another volume works" io good 'write -P 1 0 64k' 'flush' 'read -P 1 0 64k'
check "a full file system refuses" refused 'No space left on device' io full 'write -P 2 0 8M' 'flush'
check "the log says so" log_says 'volume full I/O error' 'no space left'
check "what fits before is kept" io full 'write -P 3 0 64k' 'flush' 'read -P 3 0 64k'
check "a bad place cannot be read" refused 'Input/output error' io broken 'read 1M 4k'
check "the log says that, too" log_says 'volume broken I/O error' 'a read failed'
check "its neighbours can" io broken 'read 0 4k' 'read 1088k 4k'
check "a bad place cannot be written" refused 'Input/output error' io broken 'write 2M 4k'
truncate -s 1M "$work/data/short.raw"
check "a file cut short under us refuses" refused 'Input/output error' io short 'read 8M 64k'
check "a write behind its end is stored, or refused" stored_or_refused
check "a volume takes data" io cut 'write -P 9 0 64k' 'flush'
check "a volume works" io unlinked 'write -P 6 0 64k' 'flush'
rm "$work/data/unlinked.raw"
check "and goes on when its file is removed" io unlinked 'read -P 6 0 64k' 'write -P 7 1M 64k' 'flush' \
	'read -P 7 1M 64k'
check "the others still work" io good 'write -P 5 1M 64k' 'flush' 'read -P 5 1M 64k'
back() { iscsi-readcapacity16 "$(disk locked)" 2>/dev/null | grep -q 'Total size'; }
exec {QEMU[1]}>&-
wait "$qemu" 2>/dev/null
check "the locked one comes back when qemu lets go" wait_until back
check "all the while another host's I/O went on" went_on
stop_daemon || failures=$((failures + 1))

# A file that was made once is not made again: a disk that is not mounted is not
# an empty volume. What is there may be something else.
mv "$work/data/good.raw" "$work/away.raw"
truncate -s 8M "$work/data/cut.raw"
rm "$work/data/short.raw"
mkdir "$work/data/short.raw"
head -c 64K /dev/zero | tr '\0' x | dd of="$work/data/image.qcow2" conv=notrunc status=none
start_kept_daemon || exit 1
check "a volume whose file went away is not ready" not_ready good
check "the log says that none was made" log_says 'volume good offline' 'not made in its place'
check "an event tells of it from the start on, and what to do" tells offline good 'not made in its place' 'tried again'
check "of each of them" tells offline image qcow2 'put right'
check "the doctor finds it, and says what to do" doctor_says 'is offline: ' 'put right what stands there'
check "and none was" test ! -e "$work/data/good.raw"
check "nor is the one whose file was removed" not_ready unlinked
check "nor the one that has a folder instead" not_ready short
check "the log says so" log_says 'volume short offline' 'regular file'
check "nor the one whose file was cut meanwhile" not_ready cut
check "the log says what it has and what it had" log_says 'volume cut offline' \
	'8388608 bytes only, the document says 16777216: data are missing'
check "nor the one whose image is none" not_ready image
check "the log says that, too" log_says 'volume image offline' 'qcow2'
check "the others run" io broken 'read 0 4k' 'write -P 8 0 4k' 'flush' 'read -P 8 0 4k'
mv "$work/away.raw" "$work/data/good.raw"
back() { iscsi-readcapacity16 "$(disk good)" 2>/dev/null | grep -q 'Total size'; }
check "it comes back with its file" wait_until back
check "which an event tells" tells online good 'there again'
truncate -s 16M "$work/data/cut.raw"
back() { iscsi-readcapacity16 "$(disk cut)" 2>/dev/null | grep -q 'Total size'; }
check "so does the one that was cut" wait_until back
check "with its data" io cut 'read -P 9 0 64k'
check "and with its data" io good 'read -P 5 1M 64k'
stop_daemon || failures=$((failures + 1))
umount "$work/data/small"
finish
