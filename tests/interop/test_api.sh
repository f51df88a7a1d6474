#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# REST as a client sees it, over the unix socket and over https: what there is,
# what is refused and how.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl openssl

write_settings 0
write_document <<'END'
disk source: {protocol: {type: mem, size: 16MiB}}
END

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
check "a header that is none" problem syntax 400 tls_api -H 'Content-Length: x' -X POST /healthz
check "an expectation that nobody meets" \
	problem syntax 400 local_api -H 'Expect: wonders' -X PUT -d '{}' /api/v1/config
head -c 17000000 /dev/zero | tr '\0' ' ' >"$work/large"
check "a body above 16 MiB, by its length" problem too-large 413 \
	tls_api -X PUT -H 'Expect: 100-continue' --data-binary @"$work/large" /api/v1/config
check "at the socket, where it is read" problem too-large 413 \
	local_api -X PUT -H 'If-Match: *' -H 'Content-Type: application/json' \
	--data-binary @"$work/large" /api/v1/config
check "there, too, one without end is not" problem too-large 413 \
	local_api -X PUT -H 'Expect: 100-continue' -H 'Content-Length: 70000000' -d x /api/v1/config
unasked() { tls_api -X PUT -H 'Expect:' --data-binary @"$work/large" /api/v1/config; }
check "to who sends it without asking, and reads then" problem too-large 413 unasked
check "each time" eval 'for _ in 1 2 3 4 5 6 7 8 9; do answers 413 unasked || return 1; done'
rm "$work/large"
check "http where https is spoken" problem syntax 400 request "http://127.0.0.1:$api_port/healthz"
check "which is said" body_has 'ask for https://'
check "the root leads to the page" answers 200 tls_api /
check "that describes the interface" body_has 'href="/docs"'
check "headers that forbid" answers 200 tls_api /healthz
check "no sniffing" has_header 'x-content-type-options: nosniff'
check "no keeping" has_header 'cache-control: no-store'
check "every answer has a number" grep -qi '^x-request-id: ' "$work/head"

check "the page of the contract" answers 200 tls_api /docs
allowed_by_digest() { # TAG: the policy names the digest of what stands in it
	local digest
	digest=$(sed -n "/^<$1>/,/^<\/$1>/p" "$work/body" | sed "1s/^<$1>//; \$d" |
		head -c -0 | openssl dgst -sha256 -binary | base64)
	grep -qiF "$1-src 'sha256-$digest'" "$work/head" || {
		echo "$digest"; grep -i security-policy "$work/head"; return 1; }
}
check "its script is the one that the policy allows" allowed_by_digest script
check "and its style" allowed_by_digest style
nothing_from_elsewhere() { ! grep -nE "(src|href)=[\"']?(https?:)?//" "$work/body"; }
check "nothing in it is from elsewhere" nothing_from_elsewhere

check "nobody reads figures" problem unauthenticated 401 tls_api /metrics
check "figures" answers 200 local_api /metrics
check "as OpenMetrics" has_header \
	'content-type: application/openmetrics-text; version=1.0.0; charset=utf-8'
ends_well() { [ "$(tail -n 1 "$work/body")" = '# EOF' ]; }
check "they end as they must" ends_well
check "which cairnd this is" body_has 'cairn_build_info{version="'
check "requests by operation and status" \
	body_has 'cairn_http_requests_total{operation="getHealth",status="200"}'
check "space in use" body_has 'cairn_volume_allocated_bytes{volume="disk"} '
check "who was refused" grep -q '^cairn_auth_failures_total [1-9]' "$work/body"
well_formed() { # each family is named before its samples, no sample twice
	awk '
	/^# EOF$/ { next }
	/^# TYPE / { if ($3 in kind) { print "twice: " $3; wrong = 1 } kind[$3] = $4; family = $3; next }
	/^# (HELP|UNIT) / { if ($3 != family) { print "not of its family: " $0; wrong = 1 } next }
	/^#/ { print "unknown: " $0; wrong = 1; next }
	{
		name = $0; sub(/[{ ].*/, "", name)
		series = $0; sub(/ [^ ]*$/, "", series)
		if (index(name, family) != 1) { print "not of " family ": " $0; wrong = 1 }
		if (series in seen) { print "twice: " series; wrong = 1 }
		seen[series] = 1
		if ($NF !~ /^[-+0-9.eE]+$|^NaN$|^\+Inf$/) { print "no number: " $0; wrong = 1 }
	}
	END { exit wrong }' "$work/body"
}
check "they are well formed" well_formed
check "in the classic format" answers 200 local_api -H 'Accept: text/plain' /metrics
check "it says so" has_header 'content-type: text/plain; version=0.0.4; charset=utf-8'
check "well formed too" well_formed
no_end() { ! grep -q '# EOF' "$work/body"; }
check "without the end of the other" no_end

gone() { [ ! -e "$work/run/cairn.sock" ]; }
check "it ends in good order" stop_daemon
check "the socket is gone" gone
check "it starts again" start_daemon
kill_daemon
check "after a kill, too" start_daemon
check "and answers" answers 200 local_api /healthz

finish
