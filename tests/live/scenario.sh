#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Plays one workload against memtrace and compares the report with the truth:
#
#     scenario.sh VARIANT NAME
#
# VARIANT is of Go VERSION[-MODE], of C++ and C c++[-WORD...], c[-WORD...] (tests/build_native.sh).
#
# Prints unnumbered TAP. How it plays is said by the "run" line of the workload's .expect:
#     gc=N         after the truth, let the program collect N times
#     seconds=S    after that, memtrace goes on for so long, and the program collects a few times a
#                  second; without it, memtrace gets Ctrl-C when the program has played
#     attach=after the program acts first, then memtrace attaches
#     command=yes  memtrace starts the program (-- COMMAND)
#     budget=PCT   of the target's CPU time may be spent; without it there is no limit
#     options=A,B  further options of memtrace's
#     program=P    is played: the workload P, without an .expect of its own for this
#     argument=A   is given to the program
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh

variant=$1 name=$2
expect=$(source_of "$variant" "$name").expect
report=$scratch/report.json

run_value() { sed -n "s/^run .*\b$1=\([^ ]*\).*/\1/p" "$expect"; }

played=$(run_value program)
played=${played:-$name}
source=$(ls "$(source_of "$variant" "$played")".{go,cc,c,rs} 2>/dev/null)

budget=$(run_value budget)
budget=${budget:-100}

# A program that was started for the test is never past its start-up. Figures are exact only while the probes
# are always open, so the budget is lifted, except where the workload is about what it does (healthy.t and
# the bench hold it).
settings=(--max-overhead "$budget")

# Windows of minutes are shortened here, and nowhere else, and only those of the kinds that the .expect is
# about: on a busy machine what is filled at once grows for seconds, and is no leak.
while read -r kind values; do
	grep -q -- "$kind" "$expect" || continue
	for value in $values; do settings+=(--set "$kind.$value"); done
done <<-'END'
	retained-buckets seconds=1
	unfinished-growth seconds=1
	over-hint seconds=1
	oversized-channel looks=20
	blocked-goroutines seconds=2
	rebuilt-per-cycle startup_seconds=0
	unbounded-growth startup_seconds=0 seconds=3 slots=5
END

# For machines that are no ordinary ones (tests/vm): further options
read -ra more <<<"${SCENARIO_OPTIONS:-}"
settings+=("${more[@]}")
IFS=, read -ra more <<<"$(run_value options)"
settings+=("${more[@]}")

fail() {
	echo "not ok - $1"
	tail -n 5 "$scratch"/memtrace.err "$scratch"/workload.err 2>/dev/null | sed 's/^/# /'
	exit 0
}

attach() {
	memtrace_start "${settings[@]}" -q --format json -o "$report" -d "$((PATIENCE + ${seconds:-0}))" --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; fail "attaches (exit code $status)"; }
}

# Its first line tells whether it is done or goes on until it is told to stop.
act() {
	say go
	hear TRUTH running || fail "the program acts"
	truth=$heard
}

collect() {
	for _ in $(seq "${gc:-0}"); do
		say gc
		hear ok || fail "the program collects"
	done
}

# A finding about what lasts needs collections that began after it was first seen.
collect_for_long() {
	local end=$((${EPOCHREALTIME/[.,]/} + seconds * 1000000))

	if [ "$truth" = running ]; then
		! memtrace_ended "$seconds" || fail "memtrace goes on"
	fi
	while [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ]; do
		! memtrace_ended 0.3 || fail "memtrace goes on"
		gc=1
		collect
	done
}

finish() {
	[ -z "$seconds" ] || collect_for_long
	memtrace_stop
	[ "$status" = 0 ] && echo "ok - exit code 0" || fail "exit code 0, not $status"
	[ "$truth" != running ] && return
	say stop
	hear TRUTH || fail "the program tells its truth"
	truth=$heard
}

play_attached() {
	read -ra arguments <<<"$(run_value argument)"
	workload_start "$program" "${arguments[@]}" || fail "the program starts"
	if [ "$(run_value attach)" = after ]; then act; attach; else attach; act; fi
	collect
	finish
	workload_end
}

play_command() {
	memtrace "${settings[@]}" -q --format json -o "$report" -- "$program"
	truth=$(grep -a '^TRUTH' "$scratch/memtrace.out" || echo TRUTH)
	[ "$status" = 0 ] && echo "ok - exit code 0" || fail "exit code 0, not $status"
}

gc=$(run_value gc)
seconds=$(run_value seconds)
program=$(workload "$variant" "$played") || fail "builds"
if [ "$(run_value command)" = yes ]; then play_command; else play_attached; fi
"$live/check_expect.py" "$expect" "$source" "$variant" "$report" "$truth" ||
	{ [ -z "${KEEP_REPORTS:-}" ] || cp "$report" "$KEEP_REPORTS/$variant.$name.json"; }
exit 0
