# SPDX-License-Identifier: Apache-2.0
#
# For shell tests of REST, beside lib.sh: asking over the unix socket and over https,
# and looking at answers.

# local_api and tls_api [CURL OPTIONS] PATH: headers in $work/head, body in
# $work/body, the status in $status.
request() {
	status=$(curl -sk -m 90 -o "$work/body" -D "$work/head" \
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
# sends WAY METHOD PATH BODY [CURL OPTIONS]: JSON.
sends() { "$1" -X "$2" -H 'Content-Type: application/json' -d "$4" "${@:5}" "$3"; }

# With jq, below /api/v1 over the unix socket.
# ask METHOD PATH [BODY] [CURL OPTIONS]: $status, headers in head, body in body.
ask() {
	local method=$1 path=$2 body=${3:-}
	shift $(($# > 3 ? 3 : $#))
	status=$(curl -sg -m 60 -X "$method" --unix-socket "$work/run/cairn.sock" \
		-o "$work/body" -D "$work/head" -w '%{http_code}' \
		${body:+-H 'Content-Type: application/json' -d "$body"} "$@" \
		"http://cairn/api/v1$path")
}
gets() { # STATUS METHOD PATH [BODY] [CURL OPTIONS]
	local wanted=$1
	shift
	ask "$@"
	[ "$status" = "$wanted" ] && return 0
	echo "status $status, not $wanted:"
	cat "$work/head" "$work/body"
	return 1
}
changes() { local wanted=$1; shift; gets "$wanted" "$1" "$2" "${3:-}" -H 'If-Match: *'; }
says() { # JQ-FILTER VALUE: what the last body says there
	local found
	found=$(jq -c "$1" "$work/body" 2>&1)
	[ "$found" = "$2" ] && return 0
	echo "$1 is $found, not $2:"
	cat "$work/body"
	return 1
}
etag() { sed -n 's/^[Ee][Tt]ag: *\(.*\)\r$/\1/p' "$work/head"; }
