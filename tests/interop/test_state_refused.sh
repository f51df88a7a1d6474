#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A database that cannot be trusted or written: the daemon says which file, what is
# wrong and what to do, exports nothing, and leaves the file as it is. A change for which
# there is no room is refused, and what was there goes on. State lies on a small file
# system in a mount namespace of its own.

if [ -z "${CAIRN_STATE_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	CAIRN_STATE_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq qemu-io python3

write_settings 0
mount -t tmpfs -o size=3m cairn-state "$work/state" 2>/dev/null ||
	skip_all "no file system can be mounted here"
trap 'stop_daemon; umount "$work/state"; cleanup' EXIT
write_document <<'END'
disk source: {protocol: {type: file, path: disk.raw, size: 16MiB}}
END
database=$work/state/cairn.db

# The daemon ends with status 1, has listened nowhere, says each of the WORDS.
refused() { # WORDS...
	local words status=0
	rm -f "$work/ports"
	timeout -s KILL 60 "$BUILD/cairnd" --config "$work/cairn.yaml" \
		--port-file "$work/ports" >"$work/refusal" 2>&1 || status=$?
	for words; do
		grep -qF -- "$words" "$work/refusal" || status="without \"$words\""
	done
	[ "$status" = 1 ] && [ ! -s "$work/ports" ] &&
		! grep -q 'portal .*: listens\|is ready\|Ctrl-C ends it' "$work/refusal" && return 0
	echo "status $status"
	cat "$work/refusal"
	return 1
}
# refuses NAME WORDS...: and the database is as it was.
refuses() {
	local name=$1 before
	before=$(sha256sum "$database")
	check "$name: refused, with what to do" refused "${@:2}"
	check "$name: and left as it is" [ "$before" = "$(sha256sum "$database")" ]
	cp "$work/kept.db" "$database"
	rm -f "$database-wal" "$database-shm"
}
cure='a copy from a backup in the place of both'

check "the daemon starts" start_daemon
check "with something to keep" gets 201 POST /hosts '{"name": "web1", "iscsi": {"iqn": ["iqn.1993-08.org.debian:01:ab"]}}'
check "and stops" stop_daemon
cp "$database" "$work/kept.db"

poke() { # OFFSET BYTES: in hexadecimal
	printf "$(sed 's/../\\x&/g' <<<"$2")" | dd of="$database" bs=1 seek="$1" conv=notrunc status=none
}
poke 60 00000fa0 # user_version
refuses "a newer one" "$database was written by a newer cairnd (schema 4000, this one knows " 'run that version, or restore a backup made before the upgrade'
poke 68 00000007 # application_id
refuses "another program's" "$database belongs to another program" 'choose another state_directory'
head -c 20000 /dev/urandom >"$database"
refuses "what is no database" "$database: cannot be used: file is not a database: stop here" "$cure"
truncate -s 8192 "$database"
refuses "a short one" "$database" "$cure"
flip() { # of the text of a host: a well-formed name of another
	python3 - "$database" <<-'END'
		import sys
		data = open(sys.argv[1], "rb").read()
		old, new = b"iqn.1993-08.org.debian:01:ab", b"iqn.1993-08.org.debian:01:ac"
		assert old in data
		open(sys.argv[1], "wb").write(data.replace(old, new))
	END
}
check "one letter of a host is another one" flip
refuses "a letter" "$database is damaged (rows of \"" '" are not those that were written): stop here' "$cure"

check "as it was, it starts" start_kept_daemon
check "something more to keep" gets 201 POST /hosts '{"name": "later", "iscsi": {"iqn": ["*"]}}'
backup() { # beside the daemon, as sqlite3(1) does by .backup
	python3 - "$database" "$work/backup.db" <<-'END'
		import sqlite3, sys
		source, copy = (sqlite3.connect(path) for path in sys.argv[1:])
		source.backup(copy)
	END
}
check "a copy is made while it runs" backup
check "it stops" stop_daemon
head -c 20000 /dev/urandom >"$database"
check "damaged" refused "$database: cannot be used: file is not a database" "$cure"
rm -f "$database" "$database-wal" "$database-shm"
cp "$work/backup.db" "$database"
check "with the copy in its place it starts" start_kept_daemon
check "and has all" gets 200 GET /hosts/later
check "killed" kill_daemon
check "there is a log" test -s "$database-wal"
check "without its database" truncate -s 0 "$database"
check "it is refused" refused "$database is empty, but $database-wal is there" "$cure"
cp "$work/kept.db" "$database"
rm -f "$database-wal" "$database-shm"

mount -o remount,ro "$work/state"
check "a directory that cannot be written" refused "$work/state/lock: Read-only file system"
mount -o remount,rw "$work/state"
head -c 100M /dev/zero >"$work/state/filler" 2>/dev/null
check "no room at the start" refused "$work/state" 'make room'
rm "$work/state/filler"

check "with room it starts" start_kept_daemon
check "and is whole" gets 200 GET /hosts/web1
fill() { head -c 100M /dev/zero >"$work/state/filler" 2>/dev/null; [ -s "$work/state/filler" ]; }
check "no room left while it runs" fill
more() { # until the log's own room is used up
	local n
	for ((n = 0; n < 400; n++)); do
		ask POST /hosts "{\"name\": \"more$n\", \"iscsi\": {\"iqn\": [\"*\"]}}"
		[ "$status" = 201 ] || break
	done
	echo "$n hosts, then:"
	cat "$work/body"
	[ "$status" = 409 ]
}
check "a change is refused in the end" more
check "with the file" body_has "$database"
check "and what to do" body_has 'make room on its file system; nothing was changed'
check "reading goes on" gets 200 GET /config
jq -S . "$work/body" >"$work/before"
check "hosts go on" qemu-io -f raw -c 'write -P 7 0 1M' -c 'read -P 7 0 1M' "$url:disk/0"
rm "$work/state/filler"
check "with room again, so do changes" gets 201 POST /hosts '{"name": "web3", "iscsi": {"iqn": ["*"]}}'
check "it stops" stop_daemon
check "and starts" start_kept_daemon
check "with all of it" gets 200 GET /config
check "as it was acknowledged" eval 'jq -S "del(.hosts[] | select(.name == \"web3\"))" "$work/body" | diff "$work/before" -'
finish
