#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The man pages: two formatters find nothing wrong with them, and what a reader looks
# for is on the page as it is shown.

. "$(dirname "$0")/lib.sh"
needs mandoc groff

make_pages() {
	"$BUILD/cairn" man cairn >"$work/cairn.1" &&
		"$BUILD/cairnd" --help >"$work/help" &&
		"$BUILD/cairn" man cairnd <"$work/help" >"$work/cairnd.8" &&
		"$BUILD/cairn" man cairn.yaml <"$work/help" >"$work/cairn.yaml.5"
}
says_nothing() { # COMMAND...
	"$@" >"$work/said" 2>&1
	cat "$work/said"
	[ ! -s "$work/said" ]
}
shown() { # PAGE COLUMNS
	mandoc -T utf8 -O "width=$2" "$work/$1" | sed 's/.\x08//g' | tee "$work/shown"
}
has() { grep -qF -- "$1" "$work/shown" || { cat "$work/shown"; return 1; }; }
# Each exit status that the help has, with the same words.
same_statuses() {
	"$BUILD/cairn" help | sed -n '/^Exit status:/,$s/^ *\([0-9]\)  */\1 /p' >"$work/statuses"
	[ "$(wc -l <"$work/statuses")" = 7 ] || return 1
	while read -r number words; do
		tr -s ' \n' ' ' <"$work/shown" | grep -qF "$number $words" || { echo "$number $words"; return 1; }
	done <"$work/statuses"
}

check "they are made" make_pages
for page in cairn.1 cairnd.8 cairn.yaml.5; do
	check "mandoc finds nothing in $page" says_nothing mandoc -T lint -W warning "$work/$page"
	check "groff neither" says_nothing groff -man -Tutf8 -ww -z "$work/$page"
done
check "cairn(1) is shown" shown cairn.1 78
check "with a command" has 'cairn volume resize VOLUME SIZE'
check "and every exit status of the help" same_statuses
check "cairnd(8) is shown" shown cairnd.8 78
check "with an option" has '--check-config'
check "cairn.yaml(5) is shown" shown cairn.yaml.5 78
check "with a key" has 'data_directory: TEXT'
finish
