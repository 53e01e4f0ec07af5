#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is left when a process is gone: the OOM killer takes one in a cgroup of 64 MiB, SIGKILL another; and
# reports of a moment, by SIGUSR1 and by --snapshot-at, after which the session goes on.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(GO_VERSIONS="1.23 1.26 1.24 1.22 1.19" any_go) || skip_all "no Go toolchain"
program=$(workload "$version" map_grow) || { echo "Bail out! the program does not build"; exit 1; }
report=$scratch/report.json

field() { jq -c "$1" "${2:-$report}"; }

# ---- a report of a moment ----

workload_start "$program" || { not_ok "the program starts"; done_testing; exit; }
memtrace_start --format json -o "$report" -d 600 --snapshot-at 16M --max-overhead 100 --pid "$workload_pid"
memtrace_attached || { memtrace_wait; not_ok "attaches" "$(tail -n 3 "$scratch/memtrace.err")"; }
# file NAME: is there, within the time that a look takes
file() { for _ in $(seq 200); do [ -s "$1" ] && return; memtrace_ended 0.02 && return 1; done; return 1; }
say go && hear TRUTH
file "$scratch/report-1.json" && ok "a report where RSS has risen" || not_ok "a report where RSS has risen" "$(cat "$scratch/memtrace.err")"
says "and why it was written" "$scratch/memtrace.err" "map_grow \(pid $workload_pid\) has .* of RSS: report in .*report-1.json"
kill -USR1 "$memtrace_pid"
file "$scratch/report-2.json" && ok "a report by SIGUSR1" || not_ok "a report by SIGUSR1" "$(cat "$scratch/memtrace.err")"
is "it is whole, and knows what grew last" "$(field '[.complete, (.targets[0].recent | map(select(.kind == "growth" and .family == "map")) | length > 0)]' "$scratch/report-2.json")" "[true,true]"
memtrace_stop
exits "the session goes on to its own end" 0
is "with its report" "$(field '[.sites[] | select(.family == "map" and .function == "main.fill").growths]')" "[$(echo "$heard" | sed 's/.*growths=\([0-9]*\).*/\1/')]"
reports=("$scratch"/report-*)
is "one report for one rise" "${#reports[@]}" 2

# ---- killed ----

kill -KILL "$workload_pid" 2>/dev/null
wait "$workload_pid" 2>/dev/null
workload_pid=
workload_start "$program" || not_ok "the program starts again"
memtrace_start -q -d 600 --max-overhead 100 --pid "$workload_pid"
memtrace_attached || { memtrace_wait; not_ok "attaches" "$(tail -n 3 "$scratch/memtrace.err")"; }
say go && hear TRUTH
# One look at what it holds
memtrace_ended 0.3
kill -KILL "$workload_pid"
memtrace_wait
wait "$workload_pid" 2>/dev/null
workload_pid=
tr '\n' ' ' <"$scratch/memtrace.out" >"$scratch/one-line"
exits "SIGKILL: exit code" 0
says "SIGKILL: how it ended" "$scratch/one-line" 'killed by signal 9'
says "SIGKILL: what RSS had gained" "$scratch/one-line" 'In its last 10 s RSS gained .*maps at map_grow.go:12'
says "SIGKILL: what it held" "$scratch/one-line" 'It held .* in map .*map\[int\]int at map_grow.go:12'
says "SIGKILL: what grew last" "$scratch/one-line" 'Last, .* before its end: .*map map\[int\]int at map_grow.go:12 grew to'

# ---- out of memory ----

top=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
[ -d $top ] || { top=/sys/fs/cgroup limit=memory.max; }
cgroup=$top/memtrace-test.$$
trap 'cleanup; rmdir "$cgroup" 2>/dev/null' EXIT
if mkdir "$cgroup" 2>/dev/null && echo 67108864 >"$cgroup/$limit" 2>/dev/null; then
	workload_start sh -c 'echo $$ >"$1/cgroup.procs"; exec "$2"' sh "$cgroup" "$program"
	memtrace_start -q --format json -o "$report" -d 600 --max-overhead 100 --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; not_ok "attaches" "$(tail -n 3 "$scratch/memtrace.err")"; }
	say go
	hear TRUTH && not_ok "64 MiB are too little for it" "$heard"
	memtrace_wait
	wait "$workload_pid" 2>/dev/null
	workload_pid=
	exits "OOM kill: exit code" 0
	is "OOM kill: who did it" "$(field '.targets[0].exit | [.signal, .oom]')" "[9,true]"
	is "OOM kill: the limit" "$(field '.targets[0].limit_bytes')" 67108864
	is "OOM kill: the container that grew last" "$(field '[.targets[0].recent[] | select(.kind == "growth" and .family == "map")][0] | [.type, .bytes > 1000000]')" '["map[int]int",true]'
	is "OOM kill: most of RSS came by it" "$(field '[.spikes[].causes[] | select(.what == "maps at map_grow.go:12").bytes] | add > 40000000')" true
else
	skip "OOM kill" "no memory cgroup can be made here"
fi
done_testing
