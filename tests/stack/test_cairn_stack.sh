#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tool cairn-stack: commands, exit status, texts; an image that it writes is
# what others read.

. "$(dirname "$0")/../interop/lib.sh"

tool=$BUILD/cairn-stack

# status EXPECTED COMMAND...: runs it, keeps what it printed in $work/said.
status() {
	local expected=$1
	shift
	"$@" >"$work/said" 2>&1 </dev/null
	local got=$?
	cat "$work/said"
	[ $got -eq "$expected" ]
}
says() { grep -qF -- "$1" "$work/said"; }
stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}

mem='protocol: {type: mem, size: 4M, max_size: 8M}'

data() {
	status 0 stack "$mem" 'write -P 7 4K 8K' 'read -P 7 4K 8K' \
		'zero 4K 4K' 'read -P 0 4K 4K' 'discard 8K 4K' \
		'read -P 0 4K 8K' flush 'resize 8M' 'write 7M 1M' map info &&
		says 'read 8192 bytes at 4096' &&
		maps '0 65536 data' '65536 7274496 hole zero' '7340032 1048576 data' &&
		says '"size_bytes": 8388608,' &&
		says '"source": {"protocol": {"type": "mem", "name": "mem", "size": 8388608,' &&
		info_is_json
}
maps() { # "OFFSET LENGTH WHAT"...: these extents and no others
	printf '%s\n' "$@" >"$work/extents"
	diff "$work/extents" <(sed -nE 's/^ *([0-9]+) +([0-9]+) ((data|hole).*)/\1 \2 \3/p' "$work/said")
}
info_is_json() { # with no key twice in one object
	grep '^{' "$work/said" | python3 -c '
import json, sys
def once(pairs):
    keys = [key for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        sys.exit("%s stands twice in %s" % (twice, keys))
    return dict(pairs)
json.loads(sys.stdin.read(), object_pairs_hook=once)'
}
images_info() { # each kind of driver tells of itself once
	status 0 stack 'listeners: [{type: stats, name: s}, {type: delay, name: d}]
format: {type: qcow2, size: 4M, file: {protocol: {type: file, path: info.qcow2, size: 4K}}}' \
		'write 1M 64K' map info &&
		maps '0 1048576 hole zero' '1048576 65536 data' '1114112 3080192 hole zero' &&
		info_is_json && says '"allocated_clusters": ' &&
		says '"path": "info.qcow2", "size": 4096'
}
bench() {
	status 0 stack "$mem" 'bench write -d 8 -f 8 -n 100' \
		'bench read -b 64K -n 10' 'bench read -n 20 -S 20K' &&
		says 'bench write bytes=4096 depth=8 flush_every=8 requests=100' &&
		says 'bench read bytes=65536 depth=32 flush_every=0 requests=10' &&
		status 1 stack "$mem" 'bench read -n 0' 'bench copy' \
			'bench read -b 1000' 'bench read -l 1G' 'bench read -d' \
			'bench read -S 1000' &&
		says '-n: 1 to' && says "not 'copy'" && says 'multiples of 512' &&
		says 'there are 4194304 bytes' && says 'has no value' &&
		says 'multiples of -b'
}
differs() {
	status 1 stack "$mem" 'write -P 7 0 1K' 'read -P 8 0 1K' &&
		says 'byte at 0 is 0x07, not 0x08'
}
compare() {
	status 1 stack "$mem" 'compare-and-write -P 1 0 512' \
		'compare-and-write -E 1 -P 2 0 512' \
		'compare-and-write -E 1 0 512' 'read -P 2 0 512' &&
		says 'compare-and-write at 0: byte 0 differs'
}
change() {
	status 0 stack "$mem" 'attach {type: stats, name: s}' \
		'attach {type: fault, name: f}' 'command f hold {op: write}' \
		'aio-write 0 4K' 'aio-write 4K 4K' 'detach f' wait \
		'swap {protocol: {type: null, size: 1M}}' 'read -P 0 0 4K' \
		'attach {type: delay, name: d}' 'configure d {write_us: 5}' info &&
		says '"size_bytes": 1048576,' && says '"gate": {"closed": 3,' &&
		says '"source": {"listeners": [{"type": "stats", "name": "s",' &&
		says '"write": {"requests": 2, "bytes": 8192, "errors": 0,' &&
		says '{"type": "delay", "name": "d", "read_us": 0, "write_us": 5,' &&
		says '"protocol": {"type": "null",' && ! says '"name": "f",' && info_is_json
}
let_go() { # the swap's gate ends the hold, nothing is left to wait for
	status 0 stack "$mem" 'attach {type: fault, name: f}' \
		'command f hold {op: write}' 'aio-write 0 4K' \
		'swap {protocol: {type: null}}' wait &&
		says 'write 4096 bytes at 0'
}
unaligned() {
	status 1 stack "$mem" 'read 0 1' && says 'multiples of 512'
}
no_size() { # the word is told
	status 1 stack "$mem" 'write 0 4k' 'resize many' &&
		says "'4k' is no size" && says "'many' is no size"
}
once() { # eight writes that all fail alike
	local commands=() i
	for i in $(seq 8); do commands+=("aio-write $((i * 512)) 512"); done
	status 1 stack "listeners: [{type: fault, name: f, rules: [{op: write, error: ENOSPC, count: 8}]}]
$mem" "${commands[@]}" wait 'write 0 4K' &&
		says '(and 7 more like it)' &&
		[ "$(grep -c 'No space left' "$work/said")" = 1 ]
}
beyond() {
	status 1 stack "$mem" 'read 1G 4K' && says 'beyond the end'
}
job() {
	status 0 stack "$mem" 'job start fill {length: 2M}' 'job pause fill' \
		'job resume fill' 'job wait fill' &&
		says 'job fill: done, 4194304 of 4194304 bytes'
}
replay() {
	local traced="listeners: [{type: trace, name: t},
  {type: delay, name: d, write_us: 100000}]"
	rm -f "$work/a.rec"
	status 0 stack "$traced
$mem" 'write 0 4K' 'write 3M 1M' flush 'read 3M 4K' \
		'compare-and-write -P 1 8K 512' 'zero 64K 1M' map \
		'command t save {file: a.rec}' && says '"requests": 7' &&
		status 0 stack "$mem" "replay $work/a.rec" \
			'read -P 0xcd 3M 1M' 'read -P 0xcd 8K 512' &&
		says 'replay requests=7 failed=0 results_differ=0' &&
		status 0 stack "$mem" "replay $work/a.rec -t -d 1" &&
		grep -qE 'replay .* seconds=0[.][4-9]|seconds=[1-9]' \
			"$work/said" &&
		status 1 stack 'protocol: {type: mem, size: 2M}' \
			"replay $work/a.rec" &&
		says 'results_differ=3' && says 'ended otherwise' &&
		status 1 stack "$mem" "replay $work/stack.yaml" \
			"replay $work/a.rec -d 0" "replay $work/a.rec -q" &&
		says 'is no recording' && says '-d: 1 to' && says "'-q' is no"
}
input() {
	echo "$mem" >"$work/stack.yaml"
	printf '# a comment\n\nwrite -P 3 0 4K\nread -P 3 0 4K\n' |
		"$tool" "$work/stack.yaml"
}
unknown() {
	status 1 stack "$mem" 'wirte 0 4K' 'write 0 4K' &&
		says "'wirte': there is no such command" && says 'write 4096'
}
document() {
	status 2 stack 'protocol: {type: flie}' info &&
		says 'stack.yaml:1:'
}
table_cache() { # no image has a bound of its own unless it says so
	local image='format: {type: qcow2, size: 1M, file: {protocol: {type: file, path: tables.qcow2, size: 4K}}}'
	status 0 stack "$image" info && says '"memory_limit_bytes": 536870912' &&
		! says '"type": "qcow2", "cache":' &&
		status 0 "$tool" -d "$work" --table-cache 3M -c info "$work/stack.yaml" &&
		says '"memory_limit_bytes": 3145728' &&
		status 2 "$tool" --table-cache 1023K "$work/stack.yaml" &&
		says 'a size of at least 1M' &&
		status 2 "$tool" --table-cache much "$work/stack.yaml" &&
		says 'a size of at least 1M, like 1G, not much'
}
usage() {
	status 2 "$tool" && status 2 "$tool" --lanes 0 x &&
		status 0 "$tool" --help && says 'Exit status: 0 all well'
}
described() {
	status 0 "$tool" drivers && says 'throttle:' && says 'max_size' &&
		"$tool" schema | grep -qF '"const": "throttle"'
}
image() {
	stack 'format: {type: raw, offset: 1M, size: 1M, file:
  {protocol: {type: file, path: image.raw, size: 4M}}}' \
		'write -P 0xab 0 1M' flush || return
	head -c 1M /dev/zero | tr '\0' '\253' >"$work/expected"
	cmp <(tail -c +1048577 "$work/image.raw" | head -c 1M) "$work/expected" &&
		cmp <(head -c 1M "$work/image.raw") <(head -c 1M /dev/zero)
}

check 'reads, writes, zeroes, discards, resizes' data
check 'map and info of an image' images_info
check 'bench' bench
check 'a pattern that is not there is an error' differs
check 'compare and write' compare
check 'a stack changes under requests' change
check 'a swap ends what a fault holds' let_go
check 'pieces of blocks are refused in words' unaligned
check 'so is what lies beyond the end' beyond
check 'a size that is none is named' no_size
check 'failures of one kind are told once' once
check 'jobs' job
check 'a recording is played on another stack' replay
check 'commands from standard input' input
check 'an unknown command fails, the others run' unknown
check 'a wrong document is named with its line' document
check 'memory for tables is bounded for all images at once' table_cache
check 'usage' usage
check 'drivers and schema' described
check 'an image in a part of a file' image
finish
