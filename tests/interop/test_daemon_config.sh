#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Settings and documents with mistakes: refused with file, line, column and key,
# by --check-config and at start; nothing of them is applied.

. "$(dirname "$0")/lib.sh"

cairnd() { timeout 60 "$BUILD/cairnd" "$@"; }
write_settings 0
write_document <<'DOC'
a source: {protocol: {type: mem, size: 1M}}
DOC
good=$work/document.yaml

status() { # STATUS COMMAND...
	local wanted=$1 got=0
	shift
	"$@" || got=$?
	[ $got -eq "$wanted" ] || { echo "status $got"; return 1; }
}
ours() { # our own files are right
	cairnd --config etc/cairn.yaml --apply etc/demo.yaml --check-config
}
says_ok() { ours | grep -c ': ok$' | grep -qx 2; }
# refused_with TEXT FILE ARGUMENTS...: exit 1 and a message that has the text.
refused_with() {
	local text=$1
	shift
	status 1 cairnd "$@" >"$work/said" 2>&1
	local result=$?
	cat "$work/said"
	[ $result -eq 0 ] && grep -qF -- "$text" "$work/said" &&
		[ "$(grep -c '^cairnd: ' "$work/said")" = 1 ]
}
settings_with() { { cat "$work/cairn.yaml"; echo "$1"; } >"$work/bad.yaml"; }
document_with() { # a sed expression
	sed -e "$1" "$good" >"$work/bad-document.yaml"
}

check "our own files are right" says_ok
check "--version" status 0 cairnd --version
check "--help names settings and drivers" \
	bash -c "'$BUILD/cairnd' --help | grep -c 'state_directory\|^file:\|^throttle:' | grep -qx 3"
check "no arguments: usage, status 2" status 2 cairnd
check "an unknown option: status 2" status 2 cairnd --config x --frobnicate
check "a word too much: status 2" status 2 cairnd --config x y

settings_with 'colour: red'
check "an unknown setting, by the check" refused_with \
	"$work/bad.yaml:8:1: colour: unknown key" \
	--config "$work/bad.yaml" --check-config
check "an unknown setting, at start" refused_with \
	"$work/bad.yaml:8:1: colour: unknown key" --config "$work/bad.yaml"
settings_with 'spin_us: [1'
check "broken YAML" refused_with "$work/bad.yaml:9:1: did not find expected" --config "$work/bad.yaml"
check "no settings" refused_with "$work/none.yaml: No such file" --config "$work/none.yaml"

document_with 's/volume: a/volume: b/'
check "an export of no volume, by the check" refused_with \
	"$work/bad-document.yaml:8:14: exports[0].volume: there is no volume \"b\"" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
check "an export of no volume, at start" refused_with \
	"$work/bad-document.yaml:8:14: exports[0].volume" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"
document_with 's/type: mem/type: tape/'
check "a source that does not exist" refused_with \
	"$work/bad-document.yaml:2:41: volumes[0].source.protocol.type: there is no protocol 'tape'" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
document_with 's/portals: \[main\]/portals: [side]/'
check "a portal that does not exist" refused_with \
	"$work/bad-document.yaml:6:52: targets[0].portals[0]: there is no portal \"side\"" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"
document_with "s/iqn: \['\*'\]/iqn: ['*'], chap: {user: u, secret: short}/"
check "a weak secret" refused_with \
	"$work/bad-document.yaml:4:94: hosts[0].iscsi.chap.secret: a CHAP secret has 12 to 255 bytes" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"
printf 'secret-of-a-host\n' >"$work/open.chap"
chmod 644 "$work/open.chap"
document_with "s|iqn: \['\*'\]|iqn: ['*'], chap: {user: u, secret_file: $work/open.chap}|"
check "a secret that others can read" refused_with \
	"$work/bad-document.yaml:4:99: hosts[0].iscsi.chap.secret_file: $work/open.chap can be read by others: chmod 600 it" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"


# What a driver alone knows: said by the check and at start, with its place.
document_with 's/type: mem, size: 1M/type: file, path: ..\/up/'
check "a path out of the data directory" refused_with \
	"$work/bad-document.yaml:2:53: volumes[0].source.protocol.path: ../up" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
check "and at start" refused_with \
	"$work/bad-document.yaml:2:53: volumes[0].source.protocol.path: ../up" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"
document_with "s/type: mem, size: 1M}/type: mem, size: 1M}, listeners: [{type: fault, name: f, rules: [{op: sing}]}]/"
check "a rule that is none" refused_with \
	"$work/bad-document.yaml:2:105: volumes[0].source.listeners[0].rules[0].op" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
document_with "s/type: mem, size: 1M}/type: mem, size: 1M}, listeners: [{type: fault, name: f, rules: [{error: EWHAT}]}]/"
check "an error that is none" refused_with \
	"$work/bad-document.yaml:2:108: volumes[0].source.listeners[0].rules[0].error: EWHAT" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
document_with 's/size: 1M/size: 1000/'
check "a size that is no number of sectors" refused_with \
	"$work/bad-document.yaml:2:52: volumes[0].source.protocol.size: size 1000" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
document_with 's/type: mem, size: 1M/type: file, path: up, preallocate: true/'
check "space for a file that is not made" refused_with \
	"$work/bad-document.yaml:2:70: volumes[0].source.protocol.preallocate: is for" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml" --check-config
# Mistakes that only the start finds have a place too.
document_with 's/source:/block_size: 4096, source:/; s/size: 1M/size: 512/'
check "a source smaller than a block" refused_with \
	"$work/bad-document.yaml:2:41: volumes[0].source: volume a: the source has 512 bytes, not one block of 4096" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"

# What is refused leaves what was in force.
check "a good document" start_daemon
check "it ends" stop_daemon
document_with 's/size: 1M/size: 1M, colour: red/'
check "then a bad one is refused" refused_with \
	"$work/bad-document.yaml:2:56: volumes[0].source.protocol.colour: unknown key" \
	--config "$work/cairn.yaml" --apply "$work/bad-document.yaml"
kept() {
	rm -f "$work/ports"
	"$BUILD/cairnd" --config "$work/cairn.yaml" --port-file "$work/ports" \
		>"$work/daemon.log" 2>&1 &
	daemon_pid=$!
	is_ready "$work/daemon.log" 1
	port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$work/ports")
	timeout 30 iscsi-ls -s "iscsi://127.0.0.1:$port" | grep -q "$iqn:a"
}
check "and the good one is still in force" kept
finish
