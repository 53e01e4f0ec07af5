#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Several processes at once: two cgroups with different limits and thirteen programs of which one leaks, one
# that comes later, one that goes and its cgroup with it; a tree of processes that a shell starts.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
leak=$(workload "$version" map_leak) && idle=$(workload "$version" map_grow) ||
	{ echo "Bail out! the programs do not build"; exit 1; }

# field EXPRESSION: of the report r, as JSON
field() {
	python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
loud = [f for f in r["findings"] if f["severity"] != "INFO"]
print(json.dumps(eval(sys.argv[2])))' "$scratch/report.json" "$1"
}

# Chosen by their name, so that whoever runs a program of the same name is not: comm is that of the link.
ln -s "$(realpath "$leak")" "$scratch/t$$-leak"
ln -s "$(realpath "$idle")" "$scratch/t$$-idle"

# A memory cgroup of version 1 or 2, with a limit: its directory is in $cgroup.
cgroup_make() {
	local top=/sys/fs/cgroup/memory limit=memory.limit_in_bytes

	[ -d $top ] || { top=/sys/fs/cgroup limit=memory.max; }
	cgroup=$top/memtrace-test.$$.$1
	mkdir "$cgroup" 2>/dev/null && echo "$2" >"$cgroup/$limit" 2>/dev/null && cgroups="$cgroups $cgroup"
}

# in_background COMMAND...: with a pipe of its own as stdin; its pid is in $started_pid, its first line is awaited.
in_background() {
	local out

	mkfifo "$scratch/in.$((++programs))"
	exec {hold}<>"$scratch/in.$programs"
	exec {out}< <(exec "$@" <"$scratch/in.$programs")
	started_pid=$!
	started "$started_pid"
	IFS= read -r -t "$PATIENCE" first_line <&"$out"
	outputs[$started_pid]=$out holds[$started_pid]=$hold
}
# in_cgroup DIRECTORY PROGRAM
in_cgroup() { in_background sh -c 'echo $$ >"$1/cgroup.procs"; exec "$2"' sh "$1" "$2"; }
tell() { echo "$2" >&"${holds[$1]}"; }
# until_end PID: reads what it has to say
until_end() { while IFS= read -r -t "$PATIENCE" line <&"${outputs[$1]}"; do last_line=$line; done; }

declare -A outputs holds
cgroups= programs=0
trap 'cleanup; for cgroup in $cgroups; do rmdir "$cgroup" 2>/dev/null; done' EXIT
if cgroup_make a 1073741824 && a=$cgroup && cgroup_make b 536870912 && b=$cgroup; then
	for _ in 1 2 3 4 5 6 7 8 9 10 11; do in_cgroup "$a" "$scratch/t$$-idle"; done
	in_cgroup "$a" "$scratch/t$$-leak" && leaker=$started_pid
	in_cgroup "$b" "$scratch/t$$-idle" && other=$started_pid
	memtrace_start -q --format json -o "$scratch/report.json" -d 8 --comm "t$$-*" \
		--set unbounded-growth.startup_seconds=0 --set unbounded-growth.seconds=3 --set unbounded-growth.slots=5
	memtrace_attached && ok "attaches to all" || not_ok "attaches to all" "$(cat "$scratch/memtrace.err")"
	tell "$leaker" go
	tell "$other" go
	tell "$other" end
	until_end "$other"
	# Its exit is told before its cgroup is left
	for _ in $(seq 100); do rmdir "$b" 2>/dev/null && break; memtrace_ended 0.05 && break; done
	[ ! -d "$b" ] && ok "a cgroup is removed while it is looked at" || not_ok "a cgroup is removed while it is looked at"
	in_cgroup "$a" "$scratch/t$$-idle" && late=$started_pid
	memtrace_wait 8
	exits "memtrace ends well" 0
	is "thirteen processes, and the one that came" "$(field 'len(r["targets"])')" 14
	is "the late one is among them" "$(field "$late in [t[\"pid\"] for t in r[\"targets\"]]")" true
	is "the limit of the one cgroup" "$(field "[t[\"limit_bytes\"] for t in r[\"targets\"] if t[\"pid\"] == $leaker]")" "[1073741824]"
	is "the limit of the other" "$(field "[t[\"limit_bytes\"] for t in r[\"targets\"] if t[\"pid\"] == $other]")" "[536870912]"
	is "one process leaks, and no other is accused" "$(field '[f["pid"] for f in loud]')" "[$leaker]"
	is "the finding" "$(field 'loud[0]["kind"]')" '"unbounded-growth"'
	is "nothing is lost" "$(field 'r["events"]["lost"]')" 0
	is "what the cgroup uses, its page cache apart" "$(field "[0 < g[\"working_set_bytes\"] <= g[\"usage_bytes\"] for g in r[\"cgroups\"] if $leaker in g[\"pids\"] and len(g[\"pids\"]) == 13]")" "[true]"
	memtrace -q -d 0 --format json -o "$scratch/report.json" --cgroup "$a"
	is "by their cgroup, reading only" "$status $(field 'len(r["targets"])')" "0 13"
else
	skip "processes of two cgroups" "no memory cgroup can be made here"
fi
memtrace -q -d 0 --cgroup /memtrace-test-nowhere
exits "a cgroup that does not exist: exit code" 3
says "a cgroup that does not exist: why" "$scratch/memtrace.err" 'there is no cgroup /memtrace-test-nowhere'

# ---- a tree ----

printf 'go\nend\n' >"$scratch/words"
memtrace -q --follow --max-overhead 100 --format json -o "$scratch/report.json" -- \
	sh -c 'sh -c "\"$1\" <$2; true" sh "$1" "$2" & "$1" <"$2" & wait' sh "$idle" "$scratch/words"
exits "the shell's own exit code" 0
is "both programs below it" "$(field 'sorted(t["comm"] for t in r["targets"])')" '["map_grow", "map_grow"]'
is "how they ended" "$(field '[t["exit"]["status"] for t in r["targets"]]')" "[0, 0]"
is "their growths" "$(field 'len({s["pid"] for s in r["sites"] if s["function"] == "main.fill" and s["growths"] > 0})')" 2
is "nothing of it is lost" "$(field 'r["events"]["lost"]')" 0

# ---- an exec of a thread that is not the first ----

mkfifo "$scratch/words.late"
exec {late_in}<>"$scratch/words.late"
memtrace_start -q --format json -o "$scratch/report.json" -- sh -c 'exec python3 -c "import os, sys, threading
thread = threading.Thread(target=lambda: os.execv(sys.argv[1], sys.argv[1:]))
thread.start()
thread.join()" "$1" <"$2"' sh "$idle" "$scratch/words.late"
memtrace_attached && ok "follows the exec of a thread" || not_ok "follows the exec of a thread" "$(cat "$scratch/memtrace.err")"
printf 'go\nend\n' >&"$late_in"
memtrace_wait
exits "its exit code" 0
is "the program that it became" "$(field '[(t["comm"], t["exit"]["status"]) for t in r["targets"]]')" '[["map_grow", 0]]'
is "its growths" "$(field 'len([s for s in r["sites"] if s["function"] == "main.fill" and s["growths"] > 0])')" 1

# ---- a pid that is given to another process ----

ln -s "$(realpath "$idle")" "$scratch/t$$-same"

# again HOW: traces two programs, by "name" or "pid", of which one ends; another then has its pid, and waits
again() {
	local which="--comm t$$-same"

	in_background "$scratch/t$$-same" && former=$started_pid
	in_background "$scratch/t$$-same" && stays=$started_pid
	[ "$1" = name ] || which="--pid $former,$stays"
	# shellcheck disable=SC2086
	memtrace_start -q --max-overhead 100 --format json -o "$scratch/report.json" $which
	memtrace_attached || not_ok "attaches" "$(cat "$scratch/memtrace.err")"
	work "$former"
	truth=$(sed -n 's/.*\bgrowths=\([0-9]*\).*/\1/p' <<<"$last_line")
	in_background tests/live/as_pid.py "$former" "$scratch/t$$-same" && parent=$started_pid
	[ "$first_line" = ready ]
}
# work PID: a program does what it is there for, and ends
work() {
	tell "$1" go
	tell "$1" end
	last_line=
	until_end "$1"
	wait "$1"
}
# seen: how many processes of that pid a report of this moment knows
seen() {
	kill -USR1 "$memtrace_pid"
	memtrace_ended 0.1
	jq "[.targets[] | select(.pid == $former)] | length" "$(ls -t "$scratch"/report-*.json | head -n 1)" 2>/dev/null
}
# of_former EXPRESSION: its targets are T, its growths G
of_former() {
	field "(lambda T, G: $1)([t for t in r['targets'] if t['pid'] == $former],
		[s['growths'] for s in r['sites'] if s['function'] == 'main.fill' and s['family'] == 'map' and s['pid'] == $former])"
}
for how in name pid; do
	if ! again $how; then
		skip "a pid that comes again, by $how" "this kernel does not give it"
		memtrace_stop
		continue
	fi
	[ $how = pid ] || for _ in $(seq 50); do [ "$(seen)" = 2 ] && break; done
	work "$parent"
	kill -KILL "$stays"
	memtrace_stop
	exits "a pid that comes again, by $how: exit code" 0
	if [ $how = name ]; then
		is "both are known" "$(of_former "[len(T), len({t['start_time'] for t in T})]")" "[2, 2]"
		is "how they have ended" "$(of_former "[t['exit']['status'] for t in T]")" "[0, 0]"
		is "each with its own growths" "$(of_former G)" "[$truth, $truth]"
	else
		is "only the one that was meant is known" "$(of_former "[t['exit']['status'] for t in T]")" "[0]"
		is "with its growths, and not another's" "$(of_former G)" "[$truth]"
	fi
done

# ---- two tracers at once ----

# growths NAME: of the one map, as the report of that tracer says
growths() {
	cp "$scratch/$1.json" "$scratch/report.json"
	field '[s["growths"] for s in r["sites"] if s["function"] == "main.fill" and s["family"] == "map"]'
}
workload_start "$idle"
memtrace_start -q --max-overhead 100 --format json -o "$scratch/first.json" -p "$workload_pid"
memtrace_attached && ok "the first attaches" || not_ok "the first attaches" "$(cat "$scratch/memtrace.err")"
first=$memtrace_pid first_fd=$ready_fd
started "$first"
memtrace_start -q --max-overhead 100 --format json -o "$scratch/second.json" -p "$workload_pid"
memtrace_attached && ok "the second attaches" || not_ok "the second attaches" "$(cat "$scratch/memtrace.err")"
say go
hear TRUTH
truth=$(sed -n 's/.*\bgrowths=\([0-9]*\).*/[\1]/p' <<<"$heard")
memtrace_stop
memtrace_pid=$first ready_fd=$first_fd
memtrace_stop
workload_end
is "what the second has seen" "$(growths second)" "$truth"
is "what the first has seen" "$(growths first)" "$truth"
done_testing
