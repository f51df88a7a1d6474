# SPDX-License-Identifier: Apache-2.0
#
# For shell tests of schedules by a clock that they set, beside lib.sh, api.sh, clock.sh.

status() { gets 200 GET "/schedules/$1" && says ".status | $2" "$3"; } # NAME FILTER VALUE
days() { # VOLUME SCHEDULE: the days of the month of its snapshots
	gets 200 GET "/volumes/$1/snapshots" >/dev/null &&
		jq -r ".items[].name | select(startswith(\"$2-\"))" "$work/body" |
		sed -E 's/.*-[0-9]{6}([0-9]{2})T.*/\1/' | sort | paste -sd ' '
}
has() { # VOLUME SCHEDULE DAYS
	local found
	found=$(days "$1" "$2")
	[ "$found" = "$3" ] || { echo "$1 has $2 of the days $found, not $3"; return 1; }
}
# The end of a run that begins at that time, in the log from then on.
runs_at() { # TIME SCHEDULE
	local from stamp
	from=$(next_line "$work/daemon.log")
	stamp=$(date -u -d "$1" +%Y%m%dT%H%M)
	set_clock "$1" &&
		line_comes "schedule $2, by the clock: snapshot $2-$stamp" "$work/daemon.log" "$daemon_pid" "$from"
}
runs() { # NAME: by hand, as soon as it may
	local tries=0
	until gets 200 POST "/schedules/$1/run" >"$work/run.out"; do
		[ "$status" = 409 ] && [ $((tries += 1)) -lt 1200 ] || { cat "$work/run.out"; return 1; }
	done
}
# Nothing runs, and nothing is left to go but so many.
settled() { # SCHEDULE [COUNT]
	ask GET "/schedules/$1" &&
		[ "$(jq -c '.status | [.running, (.kept | length)]' "$work/body")" = "[false,${2:-0}]" ]
}
settles() { wait_until settled "$@" || { cat "$work/body"; tail -n 5 "$work/daemon.log"; return 1; }; }
event() { # TYPE FILTER VALUE: the latest of the type
	gets 200 GET '/events?topics=schedules&limit=1000' &&
		says "[.items[] | select(.type == \"$1\")] | last | .data | $2" "$3"
}
