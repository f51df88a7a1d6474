#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Client certificates (setting api.client_ca): who shows one of that authority is the
# user who has its name; all others are nobody, or get no connection at all.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
needs curl openssl

# authority NAME: a key and a certificate of an authority.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.pem"
}
# certificate FILE AUTHORITY SUBJECT DAYS [SAN]: for a client, key and all in FILE.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" \
		-keyout "$work/$1" -out "$work/$1.csr" &&
		openssl x509 -req -in "$work/$1.csr" -CA "$work/$2.pem" -CAkey "$work/$2.key" \
			-CAcreateserial -days "$4" -out "$work/$1.crt" \
			-extfile <(echo "extendedKeyUsage=${6:-clientAuth}"
				[ -z "${5:-}" ] || echo "subjectAltName=$5") &&
		cat "$work/$1.crt" >>"$work/$1"
}
make_all() {
	authority ours && authority theirs &&
		certificate alice ours /CN=alice@example.org 1 &&
		certificate bob ours /CN=something 1 email:bob@example.org &&
		certificate mallory ours /CN=mallory 1 &&
		certificate foreign theirs /CN=alice@example.org 1 &&
		certificate expired ours /CN=alice@example.org -1 &&
		certificate server ours /CN=alice@example.org 1 '' serverAuth
}
by() { tls_api --cert "$work/$1" "${@:2}"; }
shut_out() { ! by "$@"; }
user() { # NAME ROLE CERTIFICATE
	sends local_api POST /api/v1/users \
		"{\"name\": \"$1\", \"role\": \"$2\", \"certificate\": \"$3\"}"
}
patch() { local_api -X PATCH -H 'If-Match: *' -H 'Content-Type: application/json' -d "$2" "$1"; }

check "authorities and certificates" make_all
write_settings 0
sed -i "s|^api:.*|api: {port: 0, client_ca: $work/ours.pem}|" "$work/cairn.yaml"
check "the daemon starts" start_kept_daemon
check "a user with a certificate" answers 201 user alice operator alice@example.org
check "and one by another of its names" answers 201 user bob viewer bob@example.org

check "without a certificate: nobody" problem unauthenticated 401 tls_api /api/v1/login
check "yet what is public is there" answers 200 tls_api /healthz
check "her certificate signs her in" answers 200 by alice /api/v1/login
check "as herself" body_has '"user":"alice"'
check "in her role" body_has '"role":"operator"'
check "she may change something" answers 200 by alice -X POST -H 'Content-Type: application/json' \
	-d '{"name": "a", "size": "1MiB"}' '/api/v1/volumes?dryRun=true'
check "she does" answers 201 by alice -X POST -H 'Content-Type: application/json' \
	-d '{"name": "h", "iscsi": {"iqn": ["*"]}}' /api/v1/hosts
check "not from a page of another site" problem origin 403 by alice -X POST \
	-H 'Origin: https://evil.example' -H 'Content-Type: application/json' \
	-d '{"name": "a", "size": "1MiB"}' '/api/v1/volumes?dryRun=true'
check "his, by its e-mail address" answers 200 by bob /api/v1/login
check "as himself" body_has '"user":"bob"'
check "a viewer changes nothing" problem forbidden 403 by bob -X DELETE \
	-H 'If-Match: *' /api/v1/volumes/a
check "one of ours that nobody has" problem unauthenticated 401 by mallory /api/v1/login
check "a wrong token is not made up for" problem unauthenticated 401 \
	by alice -H 'Authorization: Bearer cairn_abcdefgh_x' /api/v1/login
check "another authority's: no connection" shut_out foreign /api/v1/login
check "one that has expired: no connection" shut_out expired /healthz
check "one for servers: no connection" shut_out server /healthz

check "she is disabled" answers 200 patch /api/v1/users/alice '{"enabled": false}'
check "and gets in no more" problem unauthenticated 401 by alice /api/v1/login
check "he has another certificate" answers 200 patch /api/v1/users/bob '{"certificate": "x"}'
check "the old one is nobody's" problem unauthenticated 401 by bob /api/v1/login
check "the audit" answers 200 local_api /api/v1/audit
check "says who came by certificate" grep -q '"user":"alice","via":"certificate"' "$work/body"
check "it ends in good order" stop_daemon

sed -i "s|^api:.*|api: {port: 0}|" "$work/cairn.yaml"
check "without the setting" start_kept_daemon
check "nobody is asked for one" problem unauthenticated 401 by alice /api/v1/login
check "again in good order" stop_daemon
sed -i "s|^api:.*|api: {port: 0, client_ca: $work/ours.key}|" "$work/cairn.yaml"
refused() { ! start_kept_daemon && grep -F 'api.client_ca' "$work/daemon.log"; }
check "a file without certificates is refused by name" refused
daemon_pid=
finish
