# SPDX-License-Identifier: Apache-2.0
#
# For tests of qcow2 images, beside lib.sh: cairn-stack and qemu-io on images in $work,
# and what is done to every image, which $work/model shows as a raw one.

tool=$BUILD/cairn-stack

image() { # NAME [FORMAT OPTIONS]
	echo "format: {type: qcow2${2:+, $2}, file: {protocol: {type: file,
  path: $1, size: 4K}}}"
}
stack() { # DOCUMENT COMMAND...
	echo "$1" >"$work/stack.yaml"
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	"$tool" -d "$work" -l 2 "$work/stack.yaml" "${arguments[@]}"
}
io() { # NAME COMMAND...
	local name=$1
	shift
	local arguments=()
	for command; do arguments+=(-c "$command"); done
	qemu-io -f qcow2 "${arguments[@]}" "$work/$name" >"$work/io" || {
		cat "$work/io"
		return 1
	}
}
put() { # NAME OFFSET HEX
	printf '%b' "$(sed 's/../\\x&/g' <<<"$3")" |
		dd of="$work/$1" bs=1 seek="$2" conv=notrunc status=none
}
bytes_at() { # NAME OFFSET COUNT
	od -An -v -tx1 -j "$2" -N "$3" "$work/$1" | tr -d ' \n'
}

# What is done to every image: first touches, overwrites, odd edges, zeroes,
# discards, and what was discarded again.
commands=('write -P 1 0 512' 'write -P 2 64K 200K' 'write -P 3 1M 3M'
	'write -P 4 5000K 1536' 'zero 2M 64K' 'zero 2500K 9K' flush
	'write -P 5 12M 1K' 'discard 3M 128K' 'write -f -P 6 24574K 2K'
	'write -P 7 9M 700K' 'zero 9500K 512' 'discard 1100K 33K'
	'write -P 8 3100K 512' flush 'write -P 9 1104K 5K' 'discard 64K 200K'
	'write -P 10 100K 4K' 'zero 12M 1K' 'aio-write -P 11 16M 1M'
	'aio-write -P 12 17M 1M' 'aio-write -P 13 18M 512' wait)

same() { # NAME: what qemu-img finds and reads there
	qemu-img check -f qcow2 "$work/$1" &&
		qemu-img compare -f qcow2 -F raw "$work/$1" "$work/model"
}
sound() { # NAME: for us, and for QEMU
	stack "$(image "$1")" 'command qcow2 check' >"$work/said" &&
		grep -q '"leaks": 0, "errors": 0,' "$work/said" &&
		qemu-img check -q -f qcow2 "$work/$1" || { cat "$work/said"; return 1; }
}
as_raw() { # NAME MODEL: what we read there is what is in the raw file
	rm -f "$work/ours"
	stack "$(image "$1")" "save $work/ours" && cmp "$work/ours" "$work/$2"
}
# What QEMU does to an image, and to the raw file beside it.
their_commands=('write -P 20 20M 100k' 'write -z 1M 192k' 'write -P 21 2M 1k' 'write -P 22 0 3k'
	'write -P 23 11M 2M')
both_written() { # NAME: by QEMU, then by us
	cp "$work/model" "$work/model2"
	io "$1" "${their_commands[@]}" || return
	qemu-io -f raw "${their_commands[@]/#/-c}" "$work/model2" >"$work/io" || return
	sound "$1" && as_raw "$1" model2 &&
		stack "$(image "$1")" 'write -P 24 1M 5K' 'write -P 25 19M 2M' &&
		stack 'protocol: {type: file, path: model2}' 'write -P 24 1M 5K' 'write -P 25 19M 2M' &&
		sound "$1" && qemu-img compare -q -f qcow2 -F raw "$work/$1" "$work/model2"
}
# Made by QEMU and written by us; made by us, written by both.
theirs_then_ours() { # NAME OPTIONS
	qemu-img create -q -f qcow2 ${2:+-o "$2"} "$work/$1" 24M &&
		stack "$(image "$1")" "${commands[@]}" && same "$1" && sound "$1" &&
		rm "$work/$1"
}
ours_then_theirs() { # NAME OPTIONS
	stack "$(image "$1" "size: 24M${2:+, $2}")" "${commands[@]}" && same "$1" &&
		both_written "$1" && rm "$work/$1"
}

stack 'protocol: {type: file, path: model, size: 24M}' "${commands[@]}" \
	>"$work/log" 2>&1 || cat "$work/log"
