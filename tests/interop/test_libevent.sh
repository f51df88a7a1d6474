#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A libevent without the repairs of 2026 is known at the start, by what dpkg says of it
# (another list of packages lies over the real one, in a mount namespace of its own):
# no socket, one answer for each https connection, and what to do stands in the log and
# in what the doctor finds.

if [ -z "${CAIRN_LIBEVENT_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	CAIRN_LIBEVENT_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl jq openssl qemu-io

write_settings 0
write_document <<'END'
disk source: {protocol: {type: mem, size: 16MiB}}
END
list() { # VERSION: what dpkg is to say
	printf 'Package: libevent-extra-2.1-7\nStatus: install ok installed\nVersion: %s\n\n' "$1" >"$work/status"
}
list 2.1.12-stable-8
mount --bind "$work/status" /var/lib/dpkg/status 2>/dev/null ||
	skip_all "no list of packages can be laid over the real one here"
trap 'stop_daemon; umount /var/lib/dpkg/status; cleanup' EXIT
pkg-config --exact-version=2.1.12-stable libevent 2>/dev/null ||
	skip_all "this libevent is known by its number"

# Two requests in one connection: how many are answered?
answers_to_two() {
	printf 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
		timeout 30 openssl s_client -quiet -ign_eof -connect "127.0.0.1:$api_port" 2>/dev/null |
		grep -c '^HTTP/1.1 200'
}
token() { jq -r .token "$work/body"; }
check "with them" list 2.1.12-stable-8+deb12u1
check "the daemon starts" start_daemon
check "with its socket" gets 201 POST /users '{"name": "ann", "role": "operator"}'
check "and a token" gets 201 POST /tokens '{"user": "ann"}'
secret=$(token)
check "the doctor is content" gets 200 GET /system/checks
check "and says with what" says '.items[] | select(.name == "libevent") | .state' '"ok"'
check "two requests are answered in one connection" eval '[ "$(answers_to_two)" = 2 ]'
check "it stops" stop_daemon

record_socket() { :; } # there will be none
list 2.1.12-stable-8
check "without them it starts, too" start_daemon
check "and hosts reach their volumes" qemu-io -f raw -c 'write -P 7 0 1M' -c 'read -P 7 0 1M' "$url:disk/0"
check "the log says why there is no socket" daemon_says 'no socket.*libevent 2.1.12-stable, package 2.1.12-stable-8 has holes.*2.1.12-stable-8\+deb12u1'
check "there is none" eval '[ ! -e "$work/run/cairn.sock" ]'
check "one request is answered in one connection" eval '[ "$(answers_to_two)" = 1 ]'
check "https goes on" answers 200 tls_api -H "Authorization: Bearer $secret" /api/v1/system/checks
check "and says that it closes" has_header 'connection: close'
check "the doctor warns" says '.items[] | select(.name == "libevent") | .state' '"warning"'
check "and says what to install" body_has '2.1.12-stable-8+deb12u1'
finish
