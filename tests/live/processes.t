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

# in_cgroup DIRECTORY PROGRAM: in the background, with a pipe of its own as stdin; its pid is in $started_pid.
in_cgroup() {
	local out

	mkfifo "$scratch/in.$((++programs))"
	exec {hold}<>"$scratch/in.$programs"
	exec {out}< <(exec sh -c 'echo $$ >"$1/cgroup.procs"; exec "$2" <"$3"' sh "$1" "$2" "$scratch/in.$programs")
	started_pid=$!
	started "$started_pid"
	IFS= read -r -t "$PATIENCE" _ <&"$out"
	outputs[$started_pid]=$out holds[$started_pid]=$hold
}
tell() { echo "$2" >&"${holds[$1]}"; }

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
	while IFS= read -r -t "$PATIENCE" _ <&"${outputs[$other]}"; do :; done
	# Its exit is told before its cgroup is left
	for _ in $(seq 100); do rmdir "$b" 2>/dev/null && break; memtrace_ended 0.05 && break; done
	[ ! -d "$b" ] && ok "a cgroup is removed while it is looked at" || not_ok "a cgroup is removed while it is looked at"
	in_cgroup "$a" "$scratch/t$$-idle" && late=$started_pid
	memtrace_wait 8
	is "memtrace ends well" "$status" 0
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
is "a cgroup that does not exist: exit code" "$status" 3
says "a cgroup that does not exist: why" "$scratch/memtrace.err" 'there is no cgroup /memtrace-test-nowhere'

# ---- a tree ----

printf 'go\nend\n' >"$scratch/words"
memtrace -q --follow --max-overhead 100 --format json -o "$scratch/report.json" -- \
	sh -c 'sh -c "\"$1\" <$2; true" sh "$1" "$2" & "$1" <"$2" & wait' sh "$idle" "$scratch/words"
is "the shell's own exit code" "$status" 0
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
is "its exit code" "$status" 0
is "the program that it became" "$(field '[(t["comm"], t["exit"]["status"]) for t in r["targets"]]')" '[["map_grow", 0]]'
is "its growths" "$(field 'len([s for s in r["sites"] if s["function"] == "main.fill" and s["growths"] > 0])')" 1

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
