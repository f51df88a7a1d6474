#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# REST as a client sees it, over the unix socket and over https: what there is,
# what is refused and how.

. "$(dirname "$0")/lib.sh"
needs curl openssl

write_settings 0
write_document <<'END'
disk source: {protocol: {type: mem, size: 16MiB}}
END

# local_api and tls_api [CURL OPTIONS] PATH: headers in $work/head, body in
# $work/body, the status in $status.
request() {
	status=$(curl -sk -m 30 -o "$work/body" -D "$work/head" \
		-w '%{http_code}' "$@") || return 1
}
local_api() { request --unix-socket "$work/run/cairn.sock" "${@:1:$#-1}" "http://cairn${!#}"; }
tls_api() { request "${@:1:$#-1}" "https://127.0.0.1:$api_port${!#}"; }
answers() { # STATUS WAY ARGUMENTS...
	local wanted=$1
	shift
	"$@" || return 1
	[ "$status" = "$wanted" ] && return 0
	echo "status $status, not $wanted:"
	cat "$work/head" "$work/body"
	return 1
}
problem() { # NAME STATUS WAY ARGUMENTS...
	local name=$1
	shift
	answers "$@" && has_header 'content-type: application/problem+json' &&
		grep -q "\"type\":\"/problems/$name\"" "$work/body"
}
has_header() { grep -qi "^$1"$'\r'"\?$" "$work/head" || { cat "$work/head"; return 1; }; }
body_has() { grep -qF -- "$1" "$work/body" || { cat "$work/body"; return 1; }; }
no_body() { [ ! -s "$work/body" ]; }

check "the daemon starts" start_daemon
check "the port file names the interface" [ -n "$api_port" ]

check "the socket is private" [ "$(stat -c %a "$work/run/cairn.sock")" = 600 ]
check "alive, at the socket" answers 200 local_api /healthz
check "ready, at the socket" answers 200 local_api /readyz
check "alive, over TLS" answers 200 tls_api /healthz
check "which versions there are" answers 200 tls_api /api
check "the contract" answers 200 tls_api /api/v1/openapi.json
check "it is OpenAPI 3.1" body_has '"openapi": "3.1'
check "the schema of sources" answers 200 tls_api /api/v1/schemas/source
check "it is JSON" has_header 'content-type: application/schema+json'
check "what a problem means" answers 200 tls_api /problems/stale
check "as a page" answers 200 tls_api -H 'Accept: text/html' /problems/stale
check "the page has a cure" body_has '<h2>Cure</h2>'
check "no other problems" problem not-found 404 tls_api /problems/x

check "root at the socket sees the system" answers 200 local_api /api/v1/system
check "nobody does not" problem unauthenticated 401 tls_api /api/v1/system
check "he is told how" has_header 'www-authenticate: Bearer'

check "a path that is not there" problem not-found 404 local_api /api/v1/none
check "a method that is not there" problem method 405 local_api -X PUT /healthz
check "which ones there are" has_header 'allow: GET, HEAD, OPTIONS'
check "a method of nobody's" problem method 405 local_api -X BREW /healthz
check "OPTIONS" answers 204 local_api -X OPTIONS /healthz
check "HEAD" answers 200 local_api -I /healthz
check "a query parameter that is not there" \
	problem syntax 400 local_api '/healthz?dryrun=true'
check "a wrong escape" problem syntax 400 local_api '/healthz%zz'
check "a path that is no path" problem syntax 400 local_api --path-as-is '/%00'
check "headers that forbid" answers 200 tls_api /healthz
check "no sniffing" has_header 'x-content-type-options: nosniff'
check "no keeping" has_header 'cache-control: no-store'
check "every answer has a number" grep -qi '^x-request-id: ' "$work/head"

gone() { [ ! -e "$work/run/cairn.sock" ]; }
check "it ends in good order" stop_daemon
check "the socket is gone" gone
check "it starts again" start_daemon
kill_daemon
check "after a kill, too" start_daemon
check "and answers" answers 200 local_api /healthz

finish
