#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The doctor finds what is really wrong: one thing after the other is broken, found with
# its cure, mended as the cure says, and in order again. What other tests break, they ask
# the doctor of: io_uring (test_no_uring.sh), libevent, portals, file systems.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs jq openssl python3 prlimit setpriv iscsi-inq

write_settings 0
write_document <<'DOC'
disk source: {protocol: {type: file, path: disk.raw, size: 16M}}
DOC
export CAIRN_SOCKET=$work/run/cairn.sock HOME=$work
unset CAIRN_URL CAIRN_TOKEN CAIRN_CA CAIRN_FINGERPRINT XDG_CONFIG_HOME
BUILD=$(realpath "$BUILD")
export PATH=$BUILD:$PATH
cd "$(dirname "$0")/../.." || exit 1

doctor() { cairn doctor -o json >"$work/doctor" || [ $? = 1 ]; }
# finds NAME STATE [WORDS]: the check of that name; the words are in its text or cure.
finds() {
	doctor && jq -e --arg name "$1" --arg state "$2" --arg words "${3:-}" '.[] |
		select(.name == $name) | if .state == $state and
			((.text + "\n" + (.cure // "")) | contains($words)) then true
		else error(tostring) end' "$work/doctor"
}
exits() { # STATUS
	local status=0
	cairn doctor >"$work/said" || status=$?
	cat "$work/said"
	[ $status = "$1" ]
}
# The cure, typed as it stands.
cured() { # NAME
	jq -r --arg name "$1" '.[] | select(.name == $name).cure' "$work/doctor" | tee "$work/cure"
	sh -ec "$(cat "$work/cure")"
}

check "the daemon starts" start_daemon
check "each check has a name of its own, a title and words" eval 'doctor && jq -e "
	(map(.name) | unique | length) == length and length >= 15 and
	all(.title != \"\" and .text != \"\")" "$work/doctor"'
check "what is wrong has a cure" jq -e \
	'all(if .state == "warning" or .state == "failed" then .cure != null else true end)' "$work/doctor"

# -- who may read and write ---------------------------------------------------------

check "permissions are in order" finds permissions ok
for path in state/cairn.db state/secrets; do
	chmod 755 "$work/$path"
	check "$path, open to others" finds permissions failed "$work/$path has mode 755"
	check "fails" exits 1
	check "is cured as told" cured permissions
	check "and in order" finds permissions ok
done
chmod 777 "$work/data"
check "a folder in which others may put volumes" finds permissions failed "$work/data has mode 777"
check "is cured" cured permissions
chmod 755 "$work/data"
check "one that they may enter is none of their business" finds permissions ok
chmod 644 "$work/data/disk.raw"
check "but for a file that they may read" finds permissions warning 'read what hosts have written'
chmod 666 "$work/data/disk.raw"
check "or write" finds permissions failed 'change what hosts have written'
check "is cured" cured permissions
check "and in order" finds permissions ok
chmod 700 "$work/data"

# -- clock ----------------------------------------------------------------------------

# What the kernel says, by another way: 5 is TIME_ERROR.
clock_agrees() {
	local state
	state=$(python3 -c 'import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))')
	echo "adjtimex: $state"
	case $state in
	5) finds clock warning 'chrony' ;;
	-1) finds clock skipped ;;
	*) finds clock ok ;;
	esac
}
check "the clock is kept right, or not, as the kernel says" clock_agrees

# -- the certificate ------------------------------------------------------------------

make_certificate() { # DAYS [NAME]
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=cairn \
		-addext "subjectAltName=DNS:${2:-localhost}" -days "$1" -keyout "$work/key.pem" \
		-out "$work/cert.pem" 2>&1
}
check "the certificate is good" finds certificate ok
check "one for five days" make_certificate 5
check "is put in" cairn certificate replace --certificate "$work/cert.pem" \
	--key "$work/key.pem" --yes
check "it will run out" finds certificate warning 'cairn certificate renew'
check "warnings do not fail" exits 0
check "a new one" cairn certificate renew --yes
check "is good" finds certificate ok

# -- hosts ----------------------------------------------------------------------------

check "everybody may connect" finds access warning 'give it a CHAP secret'
check "nobody was refused" finds logins ok
check "a host asks for what is not there" eval '! iscsi-inq "iscsi://127.0.0.1:$port/$iqn:nothing/0"'
check "which is found" finds logins warning 'cairn session refused'
check "by the command of the cure" eval 'cairn session refused | tee /dev/stderr | grep -F 127.0.0.1'

# -- listeners, jobs ------------------------------------------------------------------

check "listeners are in order" finds listeners ok
check "a mirror that nobody brings what it lacks" cairn mirror attach disk half half.raw --resync manual --yes
check "is found" finds mirrors warning 'cairn mirror resync'
tells() { cairn "$1" | tee /dev/stderr | grep -qF -- "$2"; }
check "the tree has it at its volume" tells tree 'mirror > file  mirror half behind'
check "so has the status" tells status 'disk  mirror half behind'
check "is brought what it lacks" cairn mirror resync disk half --yes
check "no trouble is none of the status" eval '! tells status "mirror half"'
check "and all is in order" finds mirrors ok
check "it goes: what cannot be read would be read from it" cairn mirror detach disk half --yes
check "no job has failed" finds jobs ok
check "a fault on purpose" cairn fault add disk --op read --error EIO --for 1h --yes
check "is found" finds faults warning 'cairn fault clear'
check "a job that cannot be done" eval '! cairn job start disk scrub --yes'
check "is found" finds jobs warning 'scrub of disk, failed: '
check "without the fault" cairn fault clear disk
check "all is in order" finds faults ok
check "and done the next time" cairn job start disk scrub --yes
check "no job has failed since" finds jobs ok

check "schedules are in order" finds schedules ok
check "one of a volume that keeps no snapshots" cairn schedule create nightly --volumes disk --every day --keep-daily 1
check "is run" eval '! cairn schedule run nightly'
check "which is found" finds schedules warning 'the last run of nightly failed: '
check "it goes" cairn schedule delete nightly --yes
check "and all is in order" finds schedules ok

# -- limits ---------------------------------------------------------------------------

limited_daemon() { # what it may open and lock is less than it wants
	daemon_under=(prlimit --nofile=1500:1500 --memlock=65536:65536)
	[ "$(id -u)" != 0 ] || daemon_under=(setpriv --bounding-set=-ipc_lock "${daemon_under[@]}")
	stop_daemon && start_kept_daemon
}
check "files may be open" finds files ok
sed -i "s|^api: .*|api: {port: 0, url: 'https://san.example:8443'}|" "$work/cairn.yaml"
check "a daemon with less" limited_daemon
check "hosts are told a name that the certificate has not" finds certificate warning \
	'hosts are told https://san.example,'
check "one for it" make_certificate 90 san.example
check "is put in" cairn certificate replace --certificate "$work/cert.pem" --key "$work/key.pem" --yes
check "is good" finds certificate ok
check "is told of files" finds files warning 'only 1500 files may be open'
memory_found() { # where io_uring is; else there is nothing to lock
	finds ring ok && finds memory warning LimitMEMLOCK || finds memory skipped
}
check "and of memory" memory_found
finish
