#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Users, tokens, the certificate and the audit over REST: what each role may, what
# a token may, and that what was done stands in the audit.

. "$(dirname "$0")/lib.sh"
needs curl jq openssl

write_settings 0
write_document <<'END'
disk source: {protocol: {type: mem, size: 16MiB}}
END

request() { # CURL OPTIONS... URL
	status=$(curl -sk -m 60 -o "$work/body" -D "$work/head" -w '%{http_code}' \
		-H 'Content-Type: application/json' "$@") || return 1
}
answers() { # STATUS WAY OPTIONS... PATH
	local wanted=$1
	shift
	"$@" || return 1
	[ "$status" = "$wanted" ] && return 0
	echo "status $status, not $wanted:"
	cat "$work/head" "$work/body"
	return 1
}
root() { request --unix-socket "$work/run/cairn.sock" "${@:1:$#-1}" "http://cairn/api/v1${!#}"; }
tls() { request "${@:1:$#-1}" "https://127.0.0.1:$api_port/api/v1${!#}"; }
as() { # TOKEN OPTIONS... PATH
	tls -H "Authorization: Bearer $1" "${@:2}"
}
body_has() { grep -qF -- "$1" "$work/body" || { cat "$work/body"; return 1; }; }
has_header() { grep -qi "^$1" "$work/head" || { cat "$work/head"; return 1; }; }
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/body"; }
tag() { sed -n 's/^[Ee][Tt]ag: \("[^"]*"\).*/\1/p' "$work/head"; }

check "the daemon starts" start_daemon
password='four words of our own'

check "what it would do" answers 200 root \
	-d '{"name":"eve","role":"viewer"}' '/users?dryRun=true'
check "is said" body_has '"operation":"create"'
check "and not done" answers 404 root /users/eve
check "a weak password" answers 422 root \
	-d '{"name":"eve","role":"viewer","password":"12345678901234"}' /users
check "is where it stands" body_has '"pointer":"/password"'
check "a name that is none" answers 422 root -d '{"name":"-","role":"viewer"}' /users
check "is where it stands" body_has '"pointer":"/name"'
check "a role that is none" answers 422 root \
	-d '{"name":"eve","role":"god"}' /users
check "those that are" body_has '"allowed":["viewer","operator","admin"]'
for role in viewer operator admin; do
	check "a user: $role" answers 201 root \
		-d "{\"name\":\"$role\",\"role\":\"$role\",\"password\":\"$password\"}" /users
done
check "where he is" has_header 'location: /api/v1/users/admin'
check "once only" answers 409 root -d '{"name":"admin","role":"viewer"}' /users
check "all users" answers 200 root /users
events() { # TOPIC JQ-FILTER WHO...: one of its events is so
	answers 200 "${@:3}" "/events?topics=$1&limit=1000" &&
		jq -e "[.items[] | select($2)] | length > 0" "$work/body"
}
check "the event that a user was made" wait_until events trust \
	'.type == "succeeded" and .data.operation == "createUser" and .data.object == "users/viewer" and .data.user == "root"' root
check "without a trace of passwords" eval '! grep -q scrypt "$work/body"'
check "in pages" answers 200 root '/users?limit=2'
check "two of them" eval '[ "$(grep -o "\"name\"" "$work/body" | wc -l)" = 2 ]'

check "a change needs If-Match" answers 428 root -X PATCH -d '{"enabled":false}' /users/viewer
check "of the present version" answers 412 root -X PATCH -H 'If-Match: "99"' \
	-d '{"enabled":false}' /users/viewer
check "the last administrator stays" answers 409 root -X DELETE -H 'If-Match: *' /users/admin
check "also as one" answers 409 root -X PATCH -H 'If-Match: *' \
	-d '{"role":"viewer"}' /users/admin

make_token() { # NAME OPTIONS: $NAME is the token, ${NAME}_id its id
	root -d "{$2}" /tokens && [ "$status" = 201 ] || { cat "$work/body"; return 1; }
	printf -v "$1" %s "$(member token)"
	printf -v "${1}_id" %s "$(member id)"
}
check "a token of the viewer" make_token viewer '"user":"viewer","comment":"test"'
check "of the operator" make_token operator '"user":"operator"'
check "of the administrator" make_token admin '"user":"admin","expires_seconds":3600'
check "a lesser one" make_token lesser '"user":"admin","role":"viewer"'
check "for one volume" make_token scoped '"user":"operator","volumes":["disk"]'
check "from elsewhere" make_token elsewhere '"user":"admin","networks":["192.0.2.0/24"]'
keyed() { root -H 'Idempotency-Key: once' -d '{"user":"viewer","expires_seconds":60}' /tokens; }
check "one with a key" answers 201 keyed
once=$(member token) once_id=$(member id)
check "is shown" eval '[ -n "$once" ]'
check "the request again" answers 201 keyed
check "is answered as kept" has_header 'idempotency-replayed: true'
check "names the same one" eval '[ "$(member id)" = "$once_id" ]'
check "and does not show it again" body_has '"token":null'
check "it is good all the same" answers 200 as "$once" /login
check "until it is revoked" answers 204 root -X DELETE -H 'If-Match: *' "/tokens/$once_id"
check "above its user: refused" answers 403 root \
	-d '{"user":"viewer","role":"admin"}' /tokens
check "a network that is none" answers 422 root \
	-d '{"user":"viewer","networks":["192.0.2.0/33"]}' /tokens

check "the viewer sees the system" answers 200 as "$viewer" /system
check "and no users" answers 403 as "$viewer" /users
check "nor the audit" answers 403 as "$viewer" /audit
check "the operator no users" answers 403 as "$operator" /users
check "the administrator does" answers 200 as "$admin" /users
check "his lesser token does not" answers 403 as "$lesser" /users
check "nor makes a greater one" answers 403 as "$lesser" -d '{"role":"admin"}' /tokens
check "not from elsewhere" answers 401 as "$elsewhere" /system
check "a forged one" answers 401 as "${admin%?}?" /system
check "none" answers 401 as "" /system
check "one for a volume sees who it is" answers 200 as "$scoped" /login
check "and for what" body_has '"volumes":["disk"]'
check "but no token list" answers 403 as "$scoped" /tokens

check "his own tokens" answers 200 as "$viewer" /tokens
check "only these" eval '[ "$(grep -o "\"id\"" "$work/body" | wc -l)" = 1 ]'
check "not those of others" answers 404 as "$viewer" "/tokens/$admin_id"
check "nor to revoke" answers 404 as "$viewer" -X DELETE -H 'If-Match: *' "/tokens/$admin_id"
check "his own he may" answers 204 as "$viewer" -X DELETE -H 'If-Match: *' "/tokens/$viewer_id"
check "gone at once" answers 401 as "$viewer" /system

check "the certificate" answers 200 root /certificate
etag=$(tag)
shown() {
	openssl s_client -connect "127.0.0.1:$api_port" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256 | sed 's/.*=//'
}
check "is the one that is shown" body_has "\"fingerprint\":\"$(shown)\""
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
	-subj /CN=mine -keyout "$work/key" -out "$work/crt" 2>/dev/null
openssl genpkey -algorithm ED25519 -out "$work/other" 2>/dev/null
pair() { # KEY
	printf '{"certificate":"%s","key":"%s"}' "$(sed 's/$/\\n/' "$work/crt" | tr -d '\n')" \
		"$(sed 's/$/\\n/' "$work/$1" | tr -d '\n')" >"$work/pair"
}
pair other
check "a key that does not fit" answers 422 root -X PUT -H "If-Match: $etag" \
	-d "@$work/pair" /certificate
pair key
check "for the operator: not" answers 403 as "$operator" -X PUT -H "If-Match: $etag" \
	-d "@$work/pair" /certificate
check "what it would do" answers 200 root -X PUT -H "If-Match: $etag" \
	-d "@$work/pair" '/certificate?dryRun=true'
check "another certificate" answers 200 root -X PUT -H "If-Match: $etag" \
	-d "@$work/pair" /certificate
mine=$(openssl x509 -in "$work/crt" -noout -fingerprint -sha256 | sed 's/.*=//')
check "is shown at once" eval '[ "$(shown)" = "$mine" ]'
check "an old version" answers 412 root -X PUT -H "If-Match: $etag" \
	-d "@$work/pair" /certificate
check "and that somebody may not" wait_until events audit '.type == "recorded" and .data.result == "refused"' as "$admin"
check "it stops" stop_daemon
check "and starts" start_daemon
check "with the same one" eval '[ "$(shown)" = "$mine" ]'
check "back to one of ours" answers 200 root -X POST /certificate/renew
check "is shown, too" eval '[ "$(shown)" != "$mine" ]'

check "the audit" answers 200 as "$admin" '/audit?limit=1000'
check "who made the user" body_has '"operation":"createUser"'
check "whom" body_has '"object":"users/admin"'
check "what the daemon was started with" body_has '"operation":"applyAtStart"'
check "that it was started" body_has '"operation":"startDaemon"'
check "by what token" body_has "\"credential\":\"$viewer_id\""
check "what was refused" body_has '"status":403'
check "is no success" eval \
	'! jq -e ".items[] | select(.status >= 400 and .result == \"ok\")" "$work/body"'
check "but refused" jq -e '.items[] | select(.status == 403 and .result == "refused")' "$work/body"
check "without secrets" eval \
	'! grep -qe "${admin##*_}" -e "four words" -e PRIVATE "$work/body"'
check "and how the daemon was started" wait_until events audit '.data.operation == "startDaemon"' as "$admin"
check "all without secrets" eval '! grep -qe "${admin##*_}" -e "four words" -e PRIVATE "$work/body"'
check "an admin alone hears of it" eval '! events trust,audit true as "$viewer"'
check "by user" answers 200 as "$admin" '/audit?user=viewer'
check "only his" eval '! grep -q "\"user\":\"root\"" "$work/body"'
check "in pages" answers 200 as "$admin" '/audit?limit=3'
check "of three" eval '[ "$(grep -o "\"number\"" "$work/body" | wc -l)" = 3 ]'
check "and on" answers 200 as "$admin" "/audit?limit=3&after=$(member next)"
check "it is whole" answers 200 as "$admin" /audit/verify
check "it says so" body_has '"valid":true'

check "a disabled user" answers 200 root -X PATCH -H 'If-Match: *' \
	-d '{"enabled":false}' /users/operator
check "is not let in" answers 401 as "$operator" /system
check "a removed one" answers 204 root -X DELETE -H 'If-Match: *' /users/operator
check "neither" answers 401 as "$operator" /system
finish
