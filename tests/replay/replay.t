#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Replays every *.events beside this file through every sink and compares with what is expected.
# Needs no privileges; *.sql are recordings of sessions on real programs. Run by prove; TAP on standard output.
#
#   REPLAY=build/replay replay.t            compare
#   REPLAY=build/replay replay.t --update   write the expected files anew: read the diff before use

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
REPLAY=${REPLAY:-$root/build/replay}
validate=$root/tests/lint/validate_json.py
schema=$root/tests/schema.json
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
number=0
failed=0

# The version changes with every commit; nothing else may differ between two runs.
run() { # OUT OPTIONS... FILE
	out=$1
	shift
	"$REPLAY" "$@" >"$work/raw" 2>"$work/stderr" || return 1
	[ ! -s "$work/stderr" ] || return 1
	sed 's/"name":"memtrace","version":"[^"]*"/"name":"memtrace","version":"VERSION"/' \
		"$work/raw" >"$out"
}

result() { # STATUS NAME
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
		return
	fi
	echo "not ok $number - $2"
	sed 's/^/# /' "$work/stderr" "$work/diff" 2>/dev/null | head -60
	failed=1
}

# What the report must be, and is.
compare() { # NAME SUFFIX OPTIONS...
	expected=$here/$1.$2.expected
	case_file=$here/$1.events
	[ -e "$case_file" ] || case_file=$work/$1.mtrace
	label="$1 $2"
	suffix=$2
	shift 2
	: >"$work/diff"
	run "$work/$suffix" "$@" "$case_file"
	status=$?
	if [ "$status" -eq 0 ] && [ -n "$update" ]; then
		cp "$work/$suffix" "$expected"
	fi
	if [ "$status" -eq 0 ]; then
		diff -u "$expected" "$work/$suffix" >"$work/diff" 2>&1
		status=$?
	fi
	result "$status" "$label"
}

valid_json() { # NAME
	run "$work/jsonl" --sink jsonl "$here/$1.events" &&
		python3 "$validate" --jsonl "$schema" "$work/jsonl" "$work/json" >"$work/diff" 2>&1
	result $? "$1 json and jsonl are valid and say the same"
}

# No line is wider than it may be, in characters, none holds a control byte or ends in blanks.
narrow() { # WIDTH FILE...
	python3 - "$@" >"$work/diff" 2>&1 <<-'END'
		import sys
		bad = 0
		for width, path in zip(sys.argv[1::2], sys.argv[2::2]):
		    lines = open(path, "rb").read().decode("utf-8").split("\n")
		    for number, line in enumerate(lines, 1):
		        control = [c for c in line if ord(c) < 32 or 127 <= ord(c) < 160]
		        if len(line) > int(width) or control or line != line.rstrip():
		            print(f"line {number}: {len(line)} columns of {width}, controls {control}: {line}")
		            bad = 1
		sys.exit(bad)
	END
}

# A recording of the session says the same as the session, in every format.
recorded() { # NAME
	status=0
	run "$work/ignored" --record "$work/recorded.mtrace" "$here/$1.events" || status=1
	for sink in text json jsonl folded; do
		run "$work/live" --sink "$sink" "$here/$1.events" &&
			run "$work/again" --sink "$sink" "$work/recorded.mtrace" &&
			diff -u "$work/live" "$work/again" >>"$work/diff" || status=1
	done
	result $status "$1 recorded says the same"
}

# The same words at any width, with colours and without, in UTF-8 and in ASCII.
shapes() { # NAME
	events=$here/$1.events
	status=0
	for width in 60 80 132; do
		run "$work/wide.$width" --verbose --width "$width" "$events" || status=1
	done
	narrow 100 "$work/text" 60 "$work/wide.60" 80 "$work/wide.80" 132 "$work/wide.132" || status=1
	result $status "$1 fits 60, 80, 100 and 132 columns"
	escape=$(printf '\033')
	run "$work/color" --color "$events" &&
		sed "s/$escape\\[[0-9;]*m//g" "$work/color" | sed 's/ *$//' |
		diff -u "$work/text" - >"$work/diff"
	result $? "$1 says the same in colour"
	run "$work/ascii" --ascii "$events" &&
		! LC_ALL=C grep -n '[^ -~]' "$work/ascii" >"$work/diff"
	result $? "$1 is ASCII where it must be"
}

load() { # NAME
	rm -f "$work/$1.mtrace"
	python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(open(sys.argv[2]).read())' "$work/$1.mtrace" "$here/$1.sql"
}

# Sessions of several hosts, recorded there, are one report here.
merged() { # NAME
	status=0
	parts=
	for part in "$here/$1".*.host; do
		run "$work/ignored" --record "$work/$(basename "$part").mtrace" "$part" || status=1
		parts="$parts $work/$(basename "$part").mtrace"
	done
	result $status "$1 are recorded"
	for sink in text json jsonl; do
		# shellcheck disable=SC2086
		run "$work/$1.$sink" --sink "$sink" $parts
		status=$?
		expected=$here/$1.$sink.expected
		[ "$sink" = jsonl ] || [ -z "$update" ] || cp "$work/$1.$sink" "$expected"
		if [ "$status" -eq 0 ] && [ "$sink" != jsonl ]; then
			diff -u "$expected" "$work/$1.$sink" >"$work/diff" 2>&1
			status=$?
		fi
		result "$status" "$1 $sink"
	done
	python3 "$validate" --jsonl "$schema" "$work/$1.jsonl" "$work/$1.json" >"$work/diff" 2>&1
	result $? "$1 json and jsonl are valid and say the same"
	narrow 100 "$work/$1.text"
	result $? "$1 fits 100 columns"
}

update=
[ "$1" = --update ] && update=yes
for events in "$here"/*.events; do
	name=$(basename "$events" .events)
	compare "$name" text
	compare "$name" json --sink json
	valid_json "$name"
	shapes "$name"
	: >"$work/diff"
	recorded "$name"
done
for dump in "$here"/*.sql; do
	name=$(basename "$dump" .sql)
	load "$name"
	compare "$name" text
	compare "$name" folded --sink folded
done
merged hosts
compare example verbose --verbose
compare sampled verbose --verbose
compare blocks verbose --verbose
compare example jsonl --sink jsonl
compare example folded --sink folded
compare hostile folded --sink folded
compare example ascii-80-top1 --ascii --width 80 --top 1 --snapshot
echo "1..$number"
exit $failed
