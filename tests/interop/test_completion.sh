#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Completion as it is typed: bash, zsh and fish load what `cairn completion` prints and
# propose nouns, verbs, options, choices, and names that the daemon knows; all of them
# what the command table has, and files only where nothing else fits.

. "$(dirname "$0")/lib.sh"
needs zsh fish

write_settings 0
write_document <<'DOC'
db01 source: {protocol: {type: mem, size: 1M}}
web1 source: {protocol: {type: mem, size: 1M}}
DOC
export CAIRN_SOCKET=$work/run/cairn.sock HOME=$work NO_COLOR=1 LC_ALL=C.UTF-8
export PATH=$(realpath "$BUILD"):$PATH
unset CAIRN_URL CAIRN_TOKEN XDG_CONFIG_HOME
cd "$work" || exit 1
mkdir zone
touch zone.yaml

# -- what a shell proposes for a line ---------------------------------------------

in_bash() { # LINE: words, one a line
	bash -c 'source <(cairn completion bash)
		read -ra COMP_WORDS <<<"$1"
		[[ $1 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_cairn
		printf "%s\n" "${COMPREPLY[@]}"' bash "$1"
}
in_fish() { # LINE...: words, one a line, those of each line after "= LINE"
	fish --no-config -c 'cairn completion fish | source
		for line in $argv
			echo "= $line"
			complete -C "$line"
		end' "$@" | cut -f 1
}
# zsh has no way to ask; so somebody types: TAB, then a key that keeps the line. What
# the typist does not do in time fails.
in_zsh() { # LINE...: what each has become, one a line
	: >"$work/typed"
	cat >"$work/rc" <<-END
		PS1=
		autoload -Uz compinit
		compinit -u -d $work/dump
		source <(cairn completion zsh)
		keep() { print -r -- "\$BUFFER" >>$work/typed; BUFFER=; }
		zle -N keep
		bindkey "^X" keep
		print READ""Y
	END
	timeout 120 zsh -f -c 'zmodload zsh/zpty
		zpty typist "TERM=dumb exec zsh -f -i"
		zpty -w typist "source $1/rc"
		zpty -r typist told "*READY*"
		n=0
		for line in "${@:2}"; do
			zpty -w -n typist "$line"$'\''\t\x18'\''
			n=$((n + 1))
			until [ "$(wc -l <$1/typed)" -ge $n ]; do
				zpty -r -t typist told || read -r -t 0.05 <> <(:)
			done
		done
		zpty -d typist' zsh "$work" "$@" </dev/null >&2
	cat "$work/typed"
}

# -- the same as the table has ---------------------------------------------------

lines_of_all() { # nouns; the verbs of each; the options of each verb
	local noun verb
	echo 'cairn '
	for noun in $(cairn help | sed -n '/^Nouns/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		echo "cairn $noun "
		for verb in $(cairn __complete "$noun" '' | cut -f 1); do
			echo "cairn $noun $verb --"
		done
	done
}
proposed() { # LINE...: as in_fish, by cairn itself
	local line words
	for line; do
		echo "= $line"
		read -ra words <<<"$line"
		[[ $line != *' ' ]] || words+=('')
		cairn __complete "${words[@]:1}" | cut -f 1
	done
}
in_order() { awk '/^= / { line = $0 } { print line "\t" $0 }' | sort; }
fish_agrees() {
	local lines
	mapfile -t lines < <(lines_of_all)
	echo "${#lines[@]} lines"
	[ "${#lines[@]}" -gt 100 ] &&
		diff <(proposed "${lines[@]}" | in_order) <(in_fish "${lines[@]}" | in_order)
}
verbs_of_help() { # each verb that the help of a noun has is proposed, and no other
	local noun
	for noun in volume host job snapshot portal; do
		diff <(cairn help "$noun" | sed -n 's/^  \([a-z-]*\)  .*/\1/p' | sort) \
			<(cairn __complete "$noun" '' | cut -f 1 | sort) || return 1
	done
}

# -- what is typed ---------------------------------------------------------------

gives() { # WAY LINE WORDS: exactly these, in any order
	local got
	got=$("in_$1" "$2" | grep -v '^= ' | sort | paste -sd' ')
	[ "$got" = "$3" ] && return 0
	echo "$2 in $1: $got; wanted: $3"
	return 1
}
all_of() { # WAY
	gives "$1" 'cairn volu' volume &&
		gives "$1" 'cairn volume res' resize &&
		gives "$1" 'cairn volume delete db01 --pu' --purge &&
		gives "$1" 'cairn volume show ' 'db01 web1' &&
		gives "$1" 'cairn volume create x --host ' any &&
		gives "$1" 'cairn connect db01 --os l' 'libvirt linux' &&
		gives "$1" 'cairn portal show m' main
}
bash_has_files() { gives bash 'cairn apply -f zo' ''; } # -o default: readline has them
fish_has_files() { gives fish 'cairn apply -f zo' 'zone.yaml zone/'; }
zsh_types() {
	in_zsh 'cairn volu' 'cairn volume res' 'cairn volume delete db01 --pu' \
		'cairn volume show d' 'cairn connect web1 --os win' \
		'cairn apply -f zone.' | tee "$work/zsh"
	diff - "$work/zsh" <<-'END'
		cairn volume 
		cairn volume resize 
		cairn volume delete db01 --purge 
		cairn volume show db01 
		cairn connect web1 --os windows 
		cairn apply -f zone.yaml 
	END
}
without_daemon() { # nothing is proposed, nothing is said
	[ -z "$(CAIRN_SOCKET=$work/nowhere in_bash 'cairn volume show ' 2>&1)" ] &&
		[ "$(CAIRN_SOCKET=$work/nowhere in_fish 'cairn volume res' 2>&1)" = "$(printf '= cairn volume res\nresize')" ]
}

check "the daemon starts" start_daemon
check "bash: nouns, verbs, options, names, choices" all_of bash
check "and files where nothing fits" bash_has_files
check "fish: the same" all_of fish
check "and files where nothing fits" fish_has_files
check "fish proposes for each noun and verb what the table has" fish_agrees
check "which is what the help has" verbs_of_help
check "zsh: TAB completes what is typed" zsh_types
check "without a daemon there are no names, and no noise" without_daemon
finish
