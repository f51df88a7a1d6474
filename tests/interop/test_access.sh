#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Who may reach what, with libiscsi's clients: deny by default, discovery shows a
# host its own targets only, CHAP one-way and mutual, weak hashes forbidden (these
# clients know MD5 only; the other hashes are asked for in tests/wire/test_login.c).

. "$(dirname "$0")/lib.sh"

plain=iqn.2026-11.example.cairn:plain
keyed=iqn.2026-11.example.cairn:keyed
both=iqn.2026-11.example.cairn:both
strict=iqn.2026-11.example.cairn:strict
stranger=iqn.2026-11.example.cairn:stranger

write_settings 0
cat >"$work/document.yaml" <<YAML
volumes:
  - {name: one, source: {protocol: {type: mem, size: 16M}}}
  - {name: two, source: {protocol: {type: mem, size: 32M}}}
hosts:
  - {name: plain, addresses: [127.0.0.0/8], iscsi: {iqn: ['$plain']}}
  - {name: elsewhere, addresses: [192.0.2.0/24], iscsi: {iqn: ['$stranger']}}
  - {name: keyed, iscsi: {iqn: ['$keyed'], chap: {user: keyed, secret: open-sesame-1}}}
  - name: both
    iscsi:
      iqn: ['$both']
      chap: {user: both, secret: open-sesame-2, mutual: {user: cairn, secret: open-sesame-3}}
  - {name: strict, iscsi: {iqn: ['$strict'], chap: {user: strict, secret: open-sesame-4, weak_hashes: forbidden}}}
targets:
  - {iqn: '$iqn:one', portals: [main]}
  - {iqn: '$iqn:two', portals: [main]}
exports:
  - {volume: one, target: '$iqn:one', lun: 0, hosts: [plain, keyed, both, strict]}
  - {volume: two, target: '$iqn:two', lun: 0, hosts: [keyed]}
  - {volume: two, target: '$iqn:one', lun: 5, hosts: [keyed]}
YAML
start_daemon || exit 1
at=127.0.0.1:$port

inquire() { timeout 30 iscsi-inq -i "$1" "$2"; }
discover() { timeout 30 iscsi-ls -i "$1" "iscsi://${2:-}$at"; }
refused() { ! "$@"; }
shows_only_one() { discover $plain | tee "$work/list" | grep -q "$iqn:one" && ! grep -q "$iqn:two" "$work/list"; }
shows_both() {
	discover $keyed keyed%open-sesame-1@ | tee "$work/list"
	grep -q "$iqn:one" "$work/list" && grep -q "$iqn:two" "$work/list"
}
shows_nothing() { ! discover $stranger | grep -q "$iqn"; }
sees_luns() { # INITIATOR URL COUNT
	timeout 30 iscsi-ls -s -i "$1" "$2" | tee "$work/list"
	[ "$(grep -c 'Lun:' "$work/list")" = "$3" ]
}

check "a named host gets in" inquire $plain "iscsi://$at/$iqn:one/0"
check "a stranger does not" refused inquire $stranger "iscsi://$at/$iqn:one/0"
check "a host not named for the target does not" \
	refused inquire $plain "iscsi://$at/$iqn:two/0"
check "an unknown target" refused inquire $plain "iscsi://$at/$iqn:none/0"
check "discovery shows a host its targets only" shows_only_one
check "discovery shows a stranger nothing" shows_nothing
check "discovery by CHAP" shows_both
check "CHAP with the right secret" \
	inquire $keyed "iscsi://keyed%open-sesame-1@$at/$iqn:one/0"
check "CHAP with a wrong secret" \
	refused inquire $keyed "iscsi://keyed%open-sesame-9@$at/$iqn:one/0"
check "CHAP with a wrong name" \
	refused inquire $keyed "iscsi://other%open-sesame-1@$at/$iqn:one/0"
check "CHAP left out" refused inquire $keyed "iscsi://$at/$iqn:one/0"
check "mutual CHAP" inquire $both \
	"iscsi://both%open-sesame-2@$at/$iqn:one/0?target_user=cairn&target_password=open-sesame-3"
check "mutual CHAP, we prove the wrong secret to the host" refused inquire $both \
	"iscsi://both%open-sesame-2@$at/$iqn:one/0?target_user=cairn&target_password=open-sesame-9"
forgets_log() { # but what a secret must not be in
	cat "$work/daemon.log" >>"$work/all.log"
	: >"$work/daemon.log"
}
log_says_weak() {
	grep -F 'login refused' "$work/daemon.log" |
		grep -F 'host strict forbids CHAP with MD5 or SHA-1, the initiator offers nothing stronger than MD5 (CHAP_A=5)'
}
forgets_log
check "a host that forbids weak hashes refuses MD5" \
	refused inquire $strict "iscsi://strict%open-sesame-4@$at/$iqn:one/0"
check "and the log says so" log_says_weak
forgets_log
check "discovery refuses MD5 to it, too" \
	refused discover $strict strict%open-sesame-4@
check "and the log says so again" log_says_weak
forgets_log
check "who may use MD5 is not told so" \
	inquire $keyed "iscsi://keyed%open-sesame-1@$at/$iqn:one/0"
check "the log neither" refused log_says_weak
check "each host sees its own LUNs: keyed two" \
	sees_luns $keyed "iscsi://keyed%open-sesame-1@$at/" 3
no_secret() { ! grep -q open-sesame "$work/all.log"; }
forgets_log
check "no secret is in the log" no_secret
finish
