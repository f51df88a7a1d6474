#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a user types: cairn beside a real daemon, from the first volume to the
# edited configuration, with hosts (libiscsi, QEMU) that see what was done.

. "$(dirname "$0")/lib.sh"
needs jq iscsi-ls qemu-img qemu-io openssl

write_settings 0
export CAIRN_SOCKET=$work/run/cairn.sock HOME=$work NO_COLOR=1
unset CAIRN_URL CAIRN_TOKEN CAIRN_CA CAIRN_FINGERPRINT XDG_CONFIG_HOME
cairn() { timeout 120 "$BUILD/cairn" "$@"; }
# exits STATUS WORDS...: what cairn ends with; its words are in said.
exits() {
	local wanted=$1 status=0
	shift
	cairn "$@" >"$work/said" 2>&1 </dev/null || status=$?
	cat "$work/said"
	[ $status = "$wanted" ] || { echo "exit status $status, not $wanted"; return 1; }
}
said() { grep -qF -- "$1" "$work/said" || { cat "$work/said"; return 1; }; }
# shows JQ-FILTER VALUE WORDS...: what -o json of a command has there
shows() {
	local filter=$1 wanted=$2 found
	shift 2
	found=$(cairn "$@" -o json 2>&1 | jq -c "$filter" 2>&1)
	[ "$found" = "$wanted" ] || { echo "$filter is $found, not $wanted"; return 1; }
}
sees_size() { # NAME BYTES
	timeout 60 qemu-img info --output=json "$url:$1/0" | jq -e ".[\"virtual-size\"] == $2"
}
is_not_said() { ! said "$1"; }
is() { [ "$(cat "$work/said")" = "$1" ] || { cat "$work/said"; return 1; }; }

check "without a daemon: unreachable" exits 6 status
check "and it says what to do" said 'Does cairnd run?'
in_its_folder() { # without being told where
	(cd "$work" && mkdir -p elsewhere && cd elsewhere && unset CAIRN_SOCKET && exits 6 status)
}
check "nor where it is looked for" in_its_folder
check "which is told" said 'neither var/run/cairn.sock nor /run/cairn/cairn.sock'
check "so is setup" exits 6 setup --password-file /dev/null
check "the daemon starts" start_kept_daemon
check "nothing there yet" exits 0 volume list -H
check "really nothing" is ''
check "status" exits 0 status
check "in words" said '0 of 0 volumes online'

# The first volume.
check "a host" exits 0 host create web1 --iqn '*' --address 127.0.0.0/8
check "a dry run" exits 0 volume create db01 --size 8M --host web1 --dry-run
check "says what it would make" said '+ volume db01'
check "and the export" said '+ export'
check "but makes nothing" exits 3 volume show db01
check "one call for volume, target, export" exits 0 volume create db01 --size 8M --host web1 --thin
check "said so" is 'volume db01 created'
check "as a table for scripts" exits 0 volume list -Hp --columns name,state,size
check "tabs and exact numbers" is "$(printf 'db01\tonline\t8388608')"
check "every column has a value" exits 0 volume list -Hp \
	--columns used,block,sessions,faults,throttled
numbers() { grep -qxP '[0-9]+\t512\t[0-9]+\t0\tno' "$work/said" || { cat -A "$work/said"; return 1; }; }
check "also used, block and faults" numbers
check "names only" exits 0 volume list -o name
check "one name" is db01
check "JSON" shows '.[0].status.state' '"online"' volume list
check "one volume" shows '.size_bytes' null volume show db01
check "one volume in columns" exits 0 volume show db01 --columns name,state
check "is a table of one row" is "$(printf 'NAME  STATE\ndb01  online')"
check "the export" exits 0 export list -H --columns volume,lun,hosts
check "in its columns" is "$(printf 'db01\t0\tweb1')"
check "a host sees it" sees_size db01 8388608
check "the tree" exits 0 tree
check "shows its LUN" said "LUN 0 at $iqn:db01  for web1"
check "and the portal" said "\`- main  127.0.0.1:$port  open"
check "no schedule, no job" said 'schedules (0)'
check "all of it as JSON" shows '[.portals[0].name, (.schedules | length), (.jobs | length)]' '["main",0,0]' tree

# A volume that keeps snapshots.
check "an image in one call" exits 0 volume create img --size 8M --format qcow2
check "named after its format" shows '.source.format.file.protocol.path' \
	'"img.qcow2"' volume show img
check "a snapshot of it" exits 0 snapshot create img monday
check "is there" exits 0 snapshot list img -o name
check "by name" is monday
echo 'source: {protocol: {type: "null", size: 1M}}' >"$work/other.yaml"
check "a format without a size" exits 1 volume create other --format qcow2 \
	-f "$work/other.yaml"
check "is told where it belongs" said 'it goes with size'
check "a format that is none" exits 2 volume create other --size 8M --format vmdk
check "what has no image cannot" exits 4 snapshot create db01 monday
check "and is told what can" said 'qcow2'
check "it moves to another file" exits 0 volume migrate img img2.qcow2 --format qcow2
check "the old one stays, with the command that removes it" said "rm -- $work/data/img.qcow2"
remove_as_told() {
	sh -c "$(sed -n 's/^  \(rm -- .*\)/\1/p' "$work/said")"
	[ ! -e "$work/data/img.qcow2" ] && [ -e "$work/data/img2.qcow2" ]
}
check "which does" remove_as_told
echo "{format: {type: qcow2, size: 8M, file: {protocol: {type: file, path: \"it's.qcow2\", size: 64K}},
	backing: {protocol: {type: file, path: img2.raw, size: 8M}}}}" >"$work/image.yaml"
echo "source: $(cat "$work/image.yaml")" >"$work/volume.yaml"
check "an image on a file" exits 0 volume create top -f "$work/volume.yaml"
check "is written down" exits 0 volume commit top
check "and stays, itself" said "rm -- '$work/data/it'\\''s.qcow2'"
check "but not what it stands on" is_not_said 'img2.raw'
check "without its files it goes" exits 0 volume delete top --yes
check "which are named" said "rm -- $work/data/img2.raw"
check "the image goes" exits 0 volume delete img --purge --yes
check "with its file: nothing stays" is 'volume img deleted'

# Mistakes: what, where, what to do; each with its exit status.
check "no size: refused" exits 1 volume create db02
check "with the flag for it" said '/size (--size SIZE)'
check "once" is_not_said 'that is'
check "no such topic" exits 1 events --topic volume
check "and which there are" said 'allowed: '
check "the name again: conflict" exits 4 volume create db01 --size 8M
check "a wrong value: failed" exits 1 volume set db01 block_size=513
check "with its pointer" said 'at /block_size'
check "not there" exits 3 volume show nosuch
check "a word that is nearly right" exits 2 volume lst
check "is told" said 'did you mean "list"?'
check "what holds it" exits 4 volume delete db01 --yes
check "and the flag for it" said 'that is --cascade'
check "a flag that is needed" exits 1 fault add db01 --error EIO --yes
check "is named" said '--for TIME'
check "no terminal to ask on" exits 2 volume delete db01 --cascade
check "but the impact was shown" said '- volume db01'
check "and nothing was changed" exits 0 volume show db01

# Connect texts, executed.
check "the text for Linux" exits 0 connect db01
check "discovers" said "iscsiadm"
qemu_text_runs() {
	cairn connect db01 --os qemu --text >"$work/qemu.sh" 2>/dev/null
	cat "$work/qemu.sh"
	(cd "$work" && timeout 60 sh -c "$(awk '/^qemu-img info/ { on = 1 } on; on && !/\\$/ { exit }' qemu.sh)") |
		tee /dev/stderr | grep -F '8388608'
}
check "the text for qemu: qemu-img as printed" qemu_text_runs
linux_text() { cairn connect db01 --text 2>/dev/null; }
# The kernel's initiator needs a machine of its own (check-hosts); here the
# portal and target that the text names are those that libiscsi finds.
linux_names_what_is_there() {
	local portal target
	portal=$(linux_text | sed -n 's/.*-p \([^ ]*\).*/\1/p' | head -n 1)
	target=$(linux_text | sed -n 's/.*-T \([^ ]*\).*/\1/p' | head -n 1)
	echo "$portal $target"
	[ "$target" = "$iqn:db01" ] &&
		timeout 30 iscsi-ls -s "iscsi://$portal" | tee /dev/stderr |
		grep -F "Target:$target"
}
check "Linux finds what its text names" linux_names_what_is_there

# What a system does not do is said before somebody tries.
echo a-secret-of-more-than-16-bytes >"$work/long.secret"
check "a host with a long secret and no MD5" exits 0 host create odd --iqn iqn.1991-05.com.microsoft:odd
check "given" exits 0 host secret odd --user odd --secret-file "$work/long.secret" --weak-hashes forbidden
check "and a high LUN" exits 0 export create db01 "$iqn:db01" --host odd --lun 300
check "for Linux that is all right" exits 0 connect db01 --host odd
check "without a word" is_not_said 'LUN 0 to'
check "not for Windows" exits 0 connect db01 --host odd --os windows
check "because of its LUN" said 'looks at LUN 0 to 254 of a target only'
check "its secret" said 'takes CHAP secrets of 12 to 16 bytes'
check "and the hash" said 'knows only MD5'
check "nor for Kubernetes" exits 0 connect db01 --host odd --os kubernetes
check "because of the LUN" said 'looks at LUN 0 to 255'
check "the host goes" exits 0 host delete odd --cascade --yes

# Changes under I/O.
make_gate "$work/enough"
timeout 300 qemu-io -f raw "$url:db01/0" >"$work/io" 2>&1 < <(
	for i in $(seq 400); do echo "write -P $((i % 251)) $((i % 64 * 64))k 64k"; done
	echo "aio_flush"
	pass_gate "$work/enough"
	echo "read -P 149 1024k 64k") &
io=$!
check "a host that writes" wait_until shows length 1 session list
check "a listener may slow hosts down: it asks" exits 2 listener attach db01 throttle limit iops=200
check "with what it would do" said 'limit'
check "so does a smaller size" exits 2 volume resize db01 4M --shrink
check "with what it would do, too" said 'db01'
check "a size that nothing has" exits 1 volume resize db01 100P
check "is told what will not have it" said '112589990684262400 bytes: File too large'
check "and the largest that it will" said 'the largest file there has '
check "and no words about JSON" is_not_said JSON
each_host_once() { jq -e '.impact | length == 1 and (.[0].sessions | length) == 2 and .[0].hosts == ["web1"]' "$work/said"; }
make_gate "$work/second"
timeout 300 qemu-io -f raw "$url:db01/0" >"$work/io2" 2>&1 < <(pass_gate "$work/second") &
second=$!
check "a second session of the host" wait_until shows length 2 session list
check "a dry run of a size" exits 0 volume resize db01 16M -n -o json
check "names a host once, however many sessions it has" each_host_once
open_gate "$work/second"
wait $second
check "resize" exits 0 volume resize db01 16M
check "a host sees the size" sees_size db01 16777216
check "a throttle under I/O" exits 0 listener attach db01 throttle limit iops=200 --yes
check "attached" exits 0 listener list db01 -H --columns name,type
check "as named" is "$(printf 'limit\tthrottle')"
check "a dry run of another rate" exits 0 listener set db01 limit iops=500 -n
check "tells the old and the new" said '+ source.listeners'
check "another rate" exits 0 listener set db01 limit iops=5000
check "in force" shows '.iops' 5000 listener show db01 limit
check "the stack as text" exits 0 source show db01
check "the throttle on top" said '[throttle limit]'
check "the file below" said '(file'
check "with the size that it has now" said 'size=16777216'
check "rates, live" said 'writes'
check "a host that reads" timeout 120 qemu-io -f raw "$url:db01/0" < <(yes 'read 0 4k' | head -n 150)
layers_timed() {
	cairn volume figures db01 -o json | tee "$work/layers" |
		jq -e '[.layers[] | {(.layer): .}] | add |
			.transport.requests == .command.requests and
			.limit.requests >= 1 and .limit.kind == "throttle" and
			.limit.total_ns <= .command.total_ns and
			.file.total_ns <= .command.total_ns and
			.file.depth > .limit.depth' ||
		! cat "$work/layers" >&2
}
check "few requests are timed in each layer" layers_timed
check "shown beside the stack" exits 0 source show db01
check "with what each takes itself" said 'OWN_US'
layers_measured() {
	curl -sS --unix-socket "$work/run/cairn.sock" http://cairn/metrics |
		grep -F 'cairn_layer_io_duration_seconds_count{volume="db01",layer="limit",kind="throttle"}'
}
check "and in metrics" layers_measured
check "without measuring" exits 0 source show db01 --quick
# on_terminal COLUMNS WORDS...: what stands there in the end, on a terminal that wide
on_terminal() {
	local columns=$1
	shift
	script -qec "stty cols $columns rows 24; $(printf '%q ' timeout 120 "$BUILD/cairn" "$@")" \
		/dev/null </dev/null 2>&1 | tr -d '\r' | tee "$work/said"
}
no_line_beyond() { # COLUMNS WORDS...
	on_terminal "$@" >/dev/null
	[ -s "$work/said" ] &&
		! awk -v most="$1" 'length($0) > most { print; wide = 1 } END { exit !wide }' "$work/said"
}
for columns in 80 40; do
	for words in 'session list' 'volume list' 'event list' doctor 'volume delete db01 --cascade -n'; do
		# shellcheck disable=SC2086
		check "$columns columns are enough for $words" no_line_beyond $columns $words
	done
done
check "80 columns are enough for a stack" no_line_beyond 80 source show db01 --quick
top_redraws() {
	on_terminal 80 top --count 2 | od -c | head -60
	# Cleared once, then drawn from the corner, each line over the one before.
	[ "$(grep -c $'\033\\[H' "$work/said")" -ge 2 ] && [ "$(grep -c $'\033\\[2J' "$work/said")" = 1 ] &&
		[ "$(grep -c '^VOLUME\|\[HVOLUME' "$work/said")" = 2 ] && grep -q 'K$' "$work/said"
}
check "top draws over what was there" top_redraws
coloured() { on_terminal 80 volume list | grep -q $'\033\\['; }
check "no colours with NO_COLOR" eval '! coloured'
check "else there are" env -u NO_COLOR BUILD="$BUILD" work="$work" bash -c "$(declare -f on_terminal coloured); coloured"
check "no rates" is_not_said 'writes'
check "figures" exits 0 volume figures db01 -H --columns host,operation
check "of all hosts" said "$(printf '*\twrite')"
check "and of one" said "$(printf 'web1\twrite')"
check "top" exits 0 top -c 1
check "has the volume" said 'db01'
check "and no layers unless it is named" is_not_said 'OWN_US'
check "top of one volume" exits 0 top db01 --once
check "has the time in its layers" said 'db01: time in layers'
check "each below the other" said '  limit '
check "with what each takes itself" said 'OWN_US'
check "for scripts" shows '[.volumes[0].layers[] | select(.kind == "throttle").layer]' \
	'["limit"]' top db01 --once
check "the busiest first, or by name" shows '[.volumes[].volume] == ([.volumes[].volume] | sort)' \
	true top --once --sort name
check "or by nothing else" exits 2 top --sort size
check "detach" exits 0 listener detach db01 limit --yes
check "limits" exits 0 qos set db01 --iops 9000 --rate 100M
check "are in force" shows '.iops' 9000 qos show db01
check "the volume says so" shows '.status.throttled' true volume show db01
check "limits of nothing" exits 0 qos set db01
check "limit nothing" shows '.status.throttled' false volume show db01
check "no limits" exits 0 qos remove db01
open_gate "$work/enough"
io_went_well() { wait $io && ! grep -q 'failed\|error' "$work/io"; }
check "the host saw no error" io_went_well

# A session, kicked.
make_gate "$work/kicked"
timeout 300 qemu-io -f raw "$url:db01/0" >"$work/io" 2>&1 < <(pass_gate "$work/kicked") &
io=$!
check "a session" wait_until shows length 1 session list
session=$(cairn session list -o name)
check "counted for its host" shows '.[0].status.sessions' 1 host list
check "its target" shows '.[0].status.sessions' 1 target list
check "and its portal" shows '.status.sessions' 1 portal show main
check "no job destroys data under it" exits 4 job start db01 fill --yes
check "and says why" said 'sessions of hosts are open on it'
# Made of the time that has passed, it would waver by a millisecond.
since_once() {
	for _ in $(seq 25); do cairn session list -H --columns since; done | sort -u >"$work/since"
	cat "$work/since"
	[ "$(wc -l <"$work/since")" = 1 ]
}
check "since one moment, whenever one looks" since_once
check "all that was negotiated" shows '.host' '"web1"' session show "$session"
check "kicked" exits 0 session kick "$session" --yes
gone() { ! cairn session list -o name | grep -qx "$session"; }
check "it is gone" wait_until gone
open_gate "$work/kicked"
wait $io

# The whole configuration.
check "export" exits 0 export
cp "$work/said" "$work/config.yaml"
check "applied as it is" exits 0 apply -f "$work/config.yaml" --yes
check "changes nothing" said 'nothing changes'
sed -i 's/thin: true/thin: false/' "$work/config.yaml"
check "a diff" exits 0 apply -f "$work/config.yaml" --dry-run
check "of one line" said 'thin: false'
check "not without a yes" exits 2 apply -f "$work/config.yaml"
check "applied" exits 0 apply -f "$work/config.yaml" --yes
check "in force" shows '.thin // false' false volume show db01
check "a broken file" exits 2 apply -f "$work/cairn.yaml.nosuch" --yes
echo 'volumes: [{name: x}]' >"$work/bad.yaml"
check "a wrong document" exits 1 apply -f "$work/bad.yaml" --yes
check "with the place" said "at $work/bad.yaml:1:11, /volumes/0"
echo '# nothing' >"$work/empty.yaml"
check "an empty document" exits 2 apply -f "$work/empty.yaml" --yes
check "is told so" said 'nothing is in it'
printf '#!/bin/sh\nsed -i "s/thin: false/thin: true/" "$1"\n' >"$work/editor"
chmod +x "$work/editor"
check "an editor" env EDITOR="$work/editor" "$BUILD/cairn" config edit --yes
check "changed it" shows '.thin' true volume show db01
check "history" exits 0 history list -H --columns number,user,text
check "has several" [ "$(wc -l <"$work/said")" -ge 4 ]

# Faults end by themselves; jobs are followed; what happened is told.
check "a fault on purpose" exits 0 fault add db01 --op flush --error EIO --for 1h --yes
check "is named" said 'volume db01 has fault '
check "is listed" exits 0 fault list db01 -H --columns op,error
check "as told" is "$(printf 'flush\tEIO')"
check "the tree shows it" exits 0 tree
check "at its volume" said '1 fault on purpose'
check "so does the status" exits 0 status
check "with the volume" said 'db01  1 fault on purpose'
check "and the doctor" exits 0 doctor
check "with what to do" said 'cairn fault clear'
check "cleared" exits 0 fault clear db01
check "a job that destroys data asks" exits 2 job start db01 fill length=1MiB
check "in plain words" said 'This DESTROYS all data of db01. Do it?'
check "with its impact" said 'DESTROYS all data of db01 in the range of its options'
check "the help says so" exits 0 job start --help
check "too" said 'fill: DESTROYS all data'
check "and that it is read back" said 'reads it back and'
check "a job, to its end" exits 0 job start db01 fill length=1MiB --yes
check "done" said 'fill of db01: done, '
check "a job that goes on by itself" exits 0 job start db01 scrub --no-wait
check "with how to follow it" said '; to its end: cairn job wait '
check "which does" exits 0 job wait "$(cairn job list -o name | tail -n 1)"
check "in a pipe without a bar" is_not_said '['
# Each time over the one before, in one line of the terminal; in the end it is gone.
bar_grows() {
	on_terminal 50 job start db01 scrub --rate 8M | od -c | head -60
	sed 's/\x1b\[K/\n/g' "$work/said" >"$work/bars"
	grep -qE '^running \[\.{30}\] +0\.0%' "$work/bars" &&
		grep -qE '^running \[#+\.*\] +[1-9]' "$work/bars" &&
		grep -qE '^job [0-9]+, scrub of db01: done, 16 MiB' "$work/bars" &&
		! awk 'length($0) > 49 && /^running/ { print; wide = 1 } END { exit !wide }' "$work/bars"
}
check "on a terminal with one that grows" bar_grows
full() { # a disk: what was to be written is not done
	local status=0
	cairn "$@" >/dev/full 2>"$work/said" || status=$?
	cat "$work/said"
	[ $status = 1 ] && said 'standard output: No space left on device'
}
check "output that cannot be written fails, with words" full tree
check "a job in the list" exits 0 job list -H --columns volume,kind,state
check "with its end" said "$(printf 'db01\tfill\tdone')"
check "events" exits 0 events
check "of volumes" said 'db01'
follows() { # the first event of a stream, while something changes
	timeout 60 "$BUILD/cairn" events --follow -o json >"$work/stream" 2>"$work/stream.err" &
	local reader=$! good=0 i=0
	until [ -s "$work/stream" ] || [ $i -ge 200 ]; do
		cairn volume set db01 vendor=V$((i % 2)) >/dev/null || good=1
		i=$((i + 1))
	done
	kill $reader
	wait $reader 2>/dev/null
	cat "$work/stream.err"
	head -n 1 "$work/stream" | jq -e '.topic' && [ $good = 0 ]
}
check "events as they come" follows
check "the doctor" shows 'length > 3' true doctor
check "a bundle" exits 0 bundle --to "$work/bundle.tar.gz"
check "that unpacks" tar -tzf "$work/bundle.tar.gz"
check "the audit log" exits 0 audit list -H --columns operation
check "has the changes" said 'createVolume'
check "nothing was taken out of it" shows .valid true audit verify

# The first administrator.
echo 'correct horse battery staple' >"$work/password"
check "setup" exits 0 setup --user adm --password-file "$work/password"
check "makes the first admin" said 'user adm is admin'
check "once" exits 1 setup --user adm --password-file "$work/password"
check "and says why not again" said 'there is an admin already'

check "a token for a script" exits 0 token create --user adm --expires 1h -H
token_first() { cut -f 1 "$work/said" | tee "$work/token" | grep -q '^cairn_'; }
check "stands first: it is never shown again" token_first
check "who one is, for scripts" exits 0 user whoami -H --columns role,via
check "in columns" is "$(printf 'admin\tsocket')"
check "the audit log is whole, for scripts" exits 0 audit verify -H --columns valid
check "in one word" is yes
check "limits, for scripts" exits 0 qos show db01 -Hp --columns iops,rate
check "in numbers" is "$(printf '0\t0')"

# Over https: nothing without trust.
api=https://127.0.0.1:$api_port
print=$(openssl s_client -connect "127.0.0.1:$api_port" </dev/null 2>/dev/null |
	openssl x509 -noout -fingerprint -sha256 | sed 's/.*=//')
openssl s_client -connect "127.0.0.1:$api_port" </dev/null 2>/dev/null |
	openssl x509 >"$work/ca.pem"
unset CAIRN_SOCKET
check "an unknown certificate: untrusted" exits 6 status --url "$api"
check "it says how to trust it" said '--fingerprint sha256:'
check "another fingerprint" exits 6 status --url "$api" --fingerprint "sha256:$(printf '0%.0s' $(seq 64))"
check "the pinned one: but who are you?" exits 5 status --url "$api" --fingerprint "$print"
check "a file of authorities" exits 5 status --url "$api" --ca "$work/ca.pem"
echo nonsense >"$work/token"
check "a wrong token: denied" exits 5 status --url "$api" --fingerprint "$print" --token-file "$work/token"

# A user signs in, stays so, signs out.
echo 'correct horse battery staple' >"$work/password"
check "a user" exits 0 user create alice --role viewer --password-file "$work/password" \
	--socket "$work/run/cairn.sock"
check "signs in" exits 0 login --url "$api" --fingerprint "$print" --user alice \
	--password-file "$work/password"
check "and is known from then on" exits 0 user whoami
check "as a viewer" said 'role: viewer'
check "by a file that is private" [ "$(stat -c %a "$work/.config/cairn/login.json")" = 600 ]
check "a viewer changes nothing" exits 5 volume resize db01 32M
check "signs out" exits 0 logout
check "and the file is gone" [ ! -e "$work/.config/cairn/login.json" ]
echo wrong-password-of-hers >"$work/password"
check "a wrong password" exits 5 login --url "$api" --fingerprint "$print" --user alice \
	--password-file "$work/password"
check "without advice to do what was just done" is_not_said 'cairn login'

# Completion proposes from the table and from the daemon.
export CAIRN_SOCKET=$work/run/cairn.sock
check "a noun" exits 0 __complete volu
check "volume" said 'volume'
check "a name" exits 0 __complete volume show d
check "of what is there" said 'db01'
bash_completes() {
	PATH=$BUILD:$PATH bash -c 'source <(cairn completion bash)
		COMP_WORDS=(cairn volume resize d) COMP_CWORD=3
		_cairn
		echo "${COMPREPLY[@]}"' | grep -qx db01
}
check "in bash" bash_completes

check "gone at last" exits 0 volume delete db01 --cascade --purge --yes
check "with its file" [ ! -e "$work/data/db01.raw" ]
finish
