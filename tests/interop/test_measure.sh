#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How large an image of a volume would become, by REST and by cairn: what qemu-img
# measure says of the same files; wrong options are named; a volume
# that does not answer is not waited for.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-img qemu-io

write_settings 0
write_document <<'VOLUMES'
a source: {protocol: {type: file, path: a.raw, size: 96M}}
b source: {format: {type: qcow2, size: 96M, file: {protocol: {type: file, path: b.qcow2, size: 64K}}}}
VOLUMES

cairn() { "$BUILD/cairn" --socket "$work/run/cairn.sock" "$@" >"$work/said" 2>&1 || { cat "$work/said"; return 1; }; }
# Each is asked while the daemon runs, and of qemu-img when it has ended.
rows=(
	'|'
	'cluster_size=4K|cluster_size=4k'
	'cluster_size=65536|cluster_size=64k'
	'cluster_size=2M|cluster_size=2M'
	'cluster_size=64K&subclusters=on|cluster_size=64k,extended_l2=on'
	'cluster_size=64K&subclusters=off&refcount_bits=1|cluster_size=64k,refcount_bits=1'
	'cluster_size=64K&subclusters=off&preallocation=metadata|cluster_size=64k,preallocation=metadata'
	'version=2|compat=0.10'
)
ours() { # VOLUME INDEX
	local query=${rows[$2]%|*}
	gets 200 GET "/volumes/$1/measure?format=qcow2${query:+&$query}" &&
		jq -r '"required size: \(.required_bytes)\nfully allocated size: \(.fully_allocated_bytes)"' \
			"$work/body" >"$work/ours.$1.$2"
}
raw_ours() { # VOLUME
	gets 200 GET "/volumes/$1/measure?format=raw" &&
		says '[.volume, .format, .required_bytes, .fully_allocated_bytes]' "[\"$1\",\"raw\",100663296,100663296]"
}
same() { # VOLUME INDEX FORMAT FILE
	local options=${rows[$2]#*|}
	# What is made as it comes has subclusters here.
	[ -n "$options" ] || options=extended_l2=on,cluster_size=128k
	qemu-img measure -f "$3" -O qcow2 -o "$options" "$work/data/$4" |
		grep -v bitmaps | diff "$work/ours.$1.$2" -
}

check "the daemon starts" start_daemon
check "data in one" io 'write -P 1 0 64k' 'write -P 2 5000k 1M' 'write -P 3 77M 4k'
check "and in the other" io_of b 'write -P 1 0 3M' 'write -z 1M 1M' 'write -P 2 50M 100k' 'discard 64k 128k'
check "which are flushed" io_of b flush
for i in "${!rows[@]}"; do
	check "a raw volume: ${rows[$i]%|*}" ours a "$i"
	check "an image: ${rows[$i]%|*}" ours b "$i"
done
check "as a raw file" raw_ours a
check "an image as one" raw_ours b
check "by cairn" cairn volume measure a --cluster-size 64K --refcount-bits 64 -o json
check "the same as by REST" gets 200 GET '/volumes/a/measure?cluster_size=64K&refcount_bits=64'
check "to the byte" says '.fully_allocated_bytes' "$(jq .fully_allocated_bytes "$work/said")"
check "clusters of 3K" gets 422 GET '/volumes/a/measure?cluster_size=3K'
check "are named" says '.detail | test("cluster")' true
check "no such format" gets 422 GET '/volumes/a/measure?format=vmdk'
check "no such word" gets 422 GET '/volumes/a/measure?subclusters=maybe'
check "raw has no clusters" gets 422 GET '/volumes/a/measure?format=raw&cluster_size=4K'
check "no such volume" gets 404 GET /volumes/none/measure

check "a volume whose I/O is held" gets 201 POST /volumes \
	'{"name": "held", "source": {"listeners": [{"type": "fault", "name": "f"}], "protocol": {"type": "mem", "size": "1M"}}}'
check "by a verb" gets 200 POST /volumes/held/listeners/f/commands '{"verb": "hold"}'
check "is not waited for without end" gets 503 GET /volumes/held/measure
check "which is said" says '.detail | test("fault that holds")' true
check "nor by a job that asks for its space" gets 503 POST /jobs \
	'{"kind": "copy", "volume": "held", "options": {"to": {"protocol": {"type": "file", "path": "copy.raw", "size": "1M"}}}}'
check "neither leaves a request behind" gets 200 GET /volumes/held/listeners/f
check "that is held" says .status.held 0
check "it is let go" gets 200 POST /volumes/held/listeners/f/commands '{"verb": "release"}'
check "and says how large it is" gets 200 GET /volumes/held/measure
check "one whose storage fails" gets 201 POST /volumes \
	'{"name": "bad", "source": {"listeners": [{"type": "fault", "name": "f", "rules": [{"op": "extents", "error": "EAGAIN"}]}], "protocol": {"type": "mem", "size": "1M"}}}'
check "whatever it calls that" gets 409 GET /volumes/bad/measure
check "it is the storage" says '[.type, (.detail | test("cannot be read"))]' '["/problems/storage",true]'
check "it ends" stop_daemon
for i in "${!rows[@]}"; do
	check "qemu-img says the same of the file: ${rows[$i]#*|}" same a "$i" raw a.raw
	check "and of the image" same b "$i" qcow2 b.qcow2
done
finish
