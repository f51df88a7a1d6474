#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# `make run` as a user types it, but with settings of our own (free ports, a
# folder of our own): it builds, starts the demo, prints commands that work as
# they stand, and Ctrl-C, which the terminal sends to make, too, ends all of it
# within two seconds.

. "$(dirname "$0")/lib.sh"
needs setsid qemu-img iscsi-ls

sed -e "s|var/|$work/var/|" -e 's/port: 3260/port: 0/' \
	-e 's/port: 8443/port: 0/' etc/cairn.yaml \
	>"$work/cairn.yaml"
. "$(dirname "$0")/make_run.sh"
MAKE+=(O="$(dirname "$BUILD")" V="$(basename "$BUILD")" CONFIG="$work/cairn.yaml")

check "make run starts the demo" begin
check "it says what there is" grep -q 'LUN 0    demo, 1 GiB' "$log"
check "and how the first admin is made" grep -qF 'cairn setup' "$log"
check "not that anything was left out" is_not_logged 'not applied'
check "qemu-img as printed" printed 'qemu-img info'
check "iscsi-ls as printed" printed 'iscsi-ls -s'
check "a host that logs in is told" line_comes 'host loopback login:' "$log"
check "and that it has left" line_comes 'host loopback logout:' "$log"
check "Ctrl-C ends make and daemon" pressed
check "in good order" grep -q 'cairnd stop' "$log"
check "it starts again" begin
check "and says that the document is not read again" grep -qF \
	'etc/demo.yaml not applied' "$log"
check "with what it had" printed 'qemu-img info'
check "Ctrl-C ends it" pressed
finish
