#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Signing in as a browser and as a program do: the bootstrap token, cookies and
# their CSRF tokens, other sites, wrong passwords, restarts; and what the audit
# says of it.

. "$(dirname "$0")/lib.sh"
needs curl openssl

write_settings 0
write_document <<'END'
disk source: {protocol: {type: mem, size: 16MiB}}
END

request() { # CURL OPTIONS... PATH
	status=$(curl -sk -m 60 -o "$work/body" -D "$work/head" -w '%{http_code}' \
		-H 'Content-Type: application/json' "${@:1:$#-1}" \
		"https://127.0.0.1:$api_port${!#}") || return 1
}
answers() { # STATUS CURL OPTIONS... PATH
	local wanted=$1
	shift
	request "$@" || return 1
	[ "$status" = "$wanted" ] && return 0
	echo "status $status, not $wanted:"
	cat "$work/head" "$work/body"
	return 1
}
has_header() { grep -qi "^$1" "$work/head" || { cat "$work/head"; return 1; }; }
body_has() { grep -qF -- "$1" "$work/body" || { cat "$work/body"; return 1; }; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/body"; }
remember() {
	cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: \([^;]*\);.*/\1/p' "$work/head")
	csrf=$(member csrf_token)
	[ -n "$cookie" ] && [ -n "$csrf" ]
}
sign_in() { # USER PASSWORD
	request -d "{\"user\":\"$1\",\"password\":\"$2\"}" /api/v1/login
}

check "the daemon starts" start_daemon
token=$(cat "$work/run/bootstrap-token")
check "the token is printed" daemon_says "$token"
check "its file is private" \
	[ "$(stat -c %a "$work/run/bootstrap-token")" = 600 ]
check "nobody is signed in" answers 401 /api/v1/login

first='"user":"alice","password":"four words of our own"'
check "a wrong token" answers 401 -d "{\"token\":\"no\",$first}" /api/v1/setup
check "an unknown member" \
	answers 422 -d "{\"token\":\"no\",\"more\":1,$first}" /api/v1/setup
check "it is named" body_has '"pointer":"/more"'
weak='"user":"alice","password":"short"'
check "a short password" answers 422 -d "{\"token\":\"$token\",$weak}" /api/v1/setup
check "is named" body_has '"pointer":"/password"'
check "from another site" answers 403 -H 'Origin: https://other.example' \
	-d "{\"token\":\"$token\",$first}" /api/v1/setup
check "the first administrator" \
	answers 201 -d "{\"token\":\"$token\",$first}" /api/v1/setup
check "a cookie for this host alone" has_header 'set-cookie: __Host-cairn=.*; Path=/; Secure; HttpOnly; SameSite=Strict'
check "with its CSRF token" remember
check "the token is used up" \
	answers 404 -d "{\"token\":\"$token\",$first}" /api/v1/setup
check "its file is gone" [ ! -e "$work/run/bootstrap-token" ]

check "who am I" answers 200 -b "$cookie" /api/v1/login
check "alice" body_has '"user":"alice"'
check "by a session" body_has '"via":"session"'
check "the same CSRF token" [ "$(member csrf_token)" = "$csrf" ]
check "she sees the system" answers 200 -b "$cookie" /api/v1/system
check "roles" answers 200 -b "$cookie" /api/v1/roles

check "a change without CSRF token" answers 403 -b "$cookie" -X DELETE /api/v1/login
check "with a wrong one" answers 403 -b "$cookie" -H "X-CSRF-Token: $csrf-" \
	-X DELETE /api/v1/login
check "from another site" answers 403 -b "$cookie" -H "X-CSRF-Token: $csrf" \
	-H 'Origin: https://other.example' -X DELETE /api/v1/login
check "as a browser says it" answers 403 -b "$cookie" -H "X-CSRF-Token: $csrf" \
	-H 'Sec-Fetch-Site: cross-site' -X DELETE /api/v1/login
check "still signed in" answers 200 -b "$cookie" /api/v1/login

lose_secret() { # a host's secret lies in a file, which is gone at the next start
	mkdir -p "$work/state/secrets" &&
		(umask 077 && echo 'a secret of a host' >"$work/state/secrets/lost") &&
		answers 201 -b "$cookie" -H "X-CSRF-Token: $csrf" -X POST -d '{"name": "lost",
			"iscsi": {"iqn": ["iqn.2026-11.example:lost"],
			"chap": {"user": "lost", "secret_file": "lost"}}}' /api/v1/hosts &&
		rm "$work/state/secrets/lost"
}
check "a host's secret is lost" lose_secret
check "it stops" stop_daemon
check "and starts again" start_kept_daemon
check "the session is still there" answers 200 -b "$cookie" /api/v1/login
check "the audit" answers 200 -b "$cookie" /api/v1/audit
check "has the stop" body_has '"operation":"stopDaemon"'
made() { # OPERATION OBJECT: the daemon's own, so often
	grep -o "{[^{}]*\"operation\":\"$1\"[^{}]*" "$work/body" |
		grep '"user":"cairnd"' | grep '"via":"daemon"' |
		grep -c "\"object\":\"$2\""
}
check "what was made: the first token, once" [ "$(made makeBootstrapToken bootstrap-token)" = 1 ]
check "and the certificate" [ "$(made makeCertificate 'certificate/[0-9A-F:]*')" = 1 ]
check "and a secret that keeps the host out" [ "$(made lockOutHost hosts/lost)" = 1 ]
check "by its fingerprint" body_has \
	"$(openssl s_client -connect "127.0.0.1:$api_port" </dev/null 2>&1 |
		openssl x509 -noout -fingerprint -sha256 | sed 's/.*=//')"
check "not the token itself" eval '! grep -qF "$token" "$work/body"'
check "and both starts" eval \
	'[ "$(grep -o "\"operation\":\"startDaemon\"" "$work/body" | wc -l)" = 2 ]'
check "no new token" [ ! -e "$work/run/bootstrap-token" ]
check "she signs out" answers 204 -b "$cookie" -H "X-CSRF-Token: $csrf" \
	-H "Origin: https://127.0.0.1:$api_port" -X DELETE /api/v1/login
check "and is out" answers 401 -b "$cookie" /api/v1/login

# scrypt takes its time, so a try or two may come back meanwhile.
guess_until_limited() {
	local i wrong=0
	for ((i = 0; i < 30; i++)); do
		sign_in alice "wrong number $i" || return 1
		[ "$status" = 401 ] || break
		wrong=$((wrong + 1))
	done
	echo "$wrong were looked at, then $status"
	[ "$status" = 429 ] && [ "$wrong" -ge 4 ]
}
check "some wrong passwords, then a wait" guess_until_limited
check "it says how long" has_header 'retry-after: [1-6]'
check "root at the socket is not slowed" [ "$(curl -s -m 30 -o /dev/null \
	-w '%{http_code}' --unix-socket "$work/run/cairn.sock" \
	http://cairn/api/v1/login)" = 200 ]

secrets_are_nowhere() {
	! grep -rqaF -e 'four words of our own' -e "${cookie#*=}" \
		"$work/state" "$work/daemon.log" &&
		! grep -rqaF -e "$token" "$work/state"
}
check "it ends in good order" stop_daemon
check "no secret is in the state or the log" secrets_are_nowhere
finish
