#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A recording says what its session said: record, report, diff, pprof and folded, on a program that knows the
# truth. Also where memtrace is killed, still writes, or runs out of disk.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
program=$(workload "$version" map_emptied) || { echo "Bail out! map_emptied does not build"; exit 1; }
recording=$scratch/a.mtrace

value() { sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"; }

# As a user that may do nothing but read files.
report_unprivileged() { # FILE ARG...
	cp "$1" /tmp/"${scratch##*/}".mtrace
	chmod 644 /tmp/"${scratch##*/}".mtrace
	setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
		"$MEMTRACE" report "${@:2}" /tmp/"${scratch##*/}".mtrace >"$scratch/report.out" 2>"$scratch/report.err"
	report_status=$?
	rm -f /tmp/"${scratch##*/}".mtrace
}

report() {
	"$MEMTRACE" report "$@" >"$scratch/report.out" 2>"$scratch/report.err"
	report_status=$?
}

# Waits until a report of it has the finding, and not as a candidate: then it is proven alive.
wait_for_finding() {
	for _ in $(seq 200); do
		"$MEMTRACE" report --format jsonl "$recording" 2>/dev/null |
			grep -q '^{"type":"finding".*"kind":"retained-buckets"' && return 0
		sleep 0.05
	done
	return 1
}

# The map may be too young yet for a finding: what there is is compared.
same_report() {
	workload_start "$program" || { not_ok "the program starts"; return; }
	memtrace_start --set retained-buckets.gcs=1 -d 60 -o "$recording" --pid "$workload_pid"
	memtrace_attached
	say go && hear TRUTH || not_ok "the program acts"
	truth=$heard
	memtrace_stop
	exits "exit code of the recorded run" 0
	is "nothing but its report is on stdout, nothing on stderr" "$(cat "$scratch/memtrace.err")" ""
	is "the recording is one file, for its owner" "$(cd "$scratch" && stat -c '%n %a' a.mtrace*)" "a.mtrace 600"
	workload_end
	report_unprivileged "$recording"
	is "exit code of its report" "$report_status" 0
	if diff -u "$scratch/memtrace.out" "$scratch/report.out" >"$scratch/diff"; then ok "the same report, without privileges"; else
		not_ok "the same report, without privileges" "$(head -50 "$scratch/diff")"; fi
	says "and it names the map" "$scratch/report.out" 'map main\.cache +map\[int\]main\.session'
	for format in json jsonl folded pprof; do
		report --format "$format" "$recording"
		is "a report as $format" "$report_status$(cat "$scratch/report.err")" 0
	done
	report "$recording" "$recording"
	is "a report of two recordings" "$report_status" 0
	report --format json "$recording" "$recording"
	is "has both processes" "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)["targets"]))' <"$scratch/report.out")" 2
}

# Its bytes are those of the program, in the line that made them; live and from a recording.
profiles() {
	local go wanted shown live=$scratch/live.pb.gz

	go=$(command -v go) || go=$(tests/go_toolchains.sh --root "$version")/bin/go
	program=$(workload "$version" map_grow) && workload_start "$program" || { not_ok "map_grow starts"; return; }
	memtrace_start -q -d 60 -o "$live" --pid "$workload_pid"
	memtrace_attached
	say go && hear TRUTH || not_ok "map_grow acts"
	memtrace_stop
	workload_end
	wanted=$(value allocated "$heard")
	HOME=$scratch "$go" tool pprof -unit=B -sample_index=growth_bytes -top "$live" >"$scratch/top" 2>&1
	shown=$(sed -n 's/^ *\([0-9]*\)B .* main\.fill$/\1/p' "$scratch/top")
	[ -n "$shown" ] && [ "$((shown * 100))" -ge "$((wanted * 97))" ] && [ "$((shown * 97))" -le "$((wanted * 100))" ] &&
		ok "go tool pprof -top shows what grew ($shown of $wanted)" ||
		not_ok "go tool pprof -top shows what grew" "wanted $wanted" "$(cat "$scratch/top")"
	HOME=$scratch "$go" tool pprof -sample_index=growth_bytes -list 'main\.fill' "$live" >"$scratch/list" 2>&1
	says "go tool pprof -list shows the line" "$scratch/list" '[0-9.]+MB +[0-9.]+MB +[0-9]+:.*// SITE'
	report --format pprof -o "$scratch/a.pb.gz" "$recording"
	HOME=$scratch "$go" tool pprof -sample_index=growth_bytes -top -diff_base "$scratch/a.pb.gz" "$scratch/a.pb.gz" >"$scratch/top" 2>&1
	says "go tool pprof -diff_base takes it" "$scratch/top" 'nodes accounting for 0, 0%'
	HOME=$scratch "$go" tool pprof -unit=B -nodecount=500 -nodefraction=0 -sample_index=growth_bytes -top -diff_base "$scratch/a.pb.gz" "$live" >"$scratch/top" 2>&1
	is "and takes nothing of another program for the same" "$(awk '$NF == "main.fill" { print $1 } $NF == "main.(*Cache).put" { print $1 < 0 ? "less" : "more" }' "$scratch/top" | sort | paste -sd ' ')" "${shown}B less"
	"$MEMTRACE" report --format folded --sample growth_bytes "$recording" >"$scratch/folded"
	says "folded has the stack" "$scratch/folded" \
		'^map_emptied;(runtime\.[^;]*;)*main\.main;main\.\(\*Cache\)\.put;map\[int\]main\.session [0-9]+$'
	program=$(workload "$version" map_emptied)
}

# What a library called is in the library's mapping, with its build id.
libraries() {
	local go id libc program profile=$scratch/native.pb.gz

	program=$(workload c++-O2 umap_storm) && workload_start "$program" || { skip "mappings of libraries" "umap_storm does not build"; return; }
	libc=$(awk '/libc\.so\.6$/ { print $6; exit }' "/proc/$workload_pid/maps")
	id=$(readelf -n "$libc" | sed -n 's/ *Build ID: //p')
	memtrace_start -q -d 60 -o "$profile" --pid "$workload_pid"
	memtrace_attached
	say go && hear TRUTH || not_ok "umap_storm acts"
	memtrace_stop
	workload_end
	go=$(command -v go) || go=$(tests/go_toolchains.sh --root "$version")/bin/go
	HOME=$scratch "$go" tool pprof -raw "$profile" >"$scratch/raw" 2>&1
	says "pprof: the program's own mapping is the first" "$scratch/raw" '^1: .* [^ ]*/umap_storm [0-9a-f]+ '
	says "pprof: libc has its own, with its build id" "$scratch/raw" "^2: .* $libc $id "
	says "pprof: main is in the program" "$scratch/raw" '^ +[0-9]+: 0x0 M=1 main '
	says "pprof: what called it is in libc" "$scratch/raw" '^ +[0-9]+: 0x0 M=2 __libc_start'
}

# Two looks at one program: before it emptied its map, and after.
differences() {
	local a=$scratch/before.mtrace b=$scratch/after.mtrace held

	workload_start "$program" || { not_ok "the program starts"; return; }
	memtrace record -d 0 -o "$a" --pid "$workload_pid"
	exits "record: exit code" 0
	is "record: no report" "$(cat "$scratch/memtrace.out")" ""
	says "record: says what it wrote" "$scratch/memtrace.err" 'before\.mtrace holds [0-9,]+ rows'
	say go && hear TRUTH || not_ok "the program acts"
	memtrace record -q -d 0 -o "$b" --pid "$workload_pid"
	# The same, as if it were another machine
	timeout "$PATIENCE" unshare -u sh -c 'echo other >/proc/sys/kernel/hostname && exec "$@"' sh \
		"$MEMTRACE" record -q -d 0 -o "$scratch/other.mtrace" --pid "$workload_pid"
	workload_end
	report --format json "$b" "$scratch/other.mtrace"
	is "two hosts: each has its part of the finding" "$(jq -c '[.host.name, .host.others[].name, (.findings[] | select(.kind == "retained-buckets") |
		([.hosts[] | .host, .processes], (.bytes == ([.hosts[].bytes] | add))))]' "$scratch/report.out")" \
		"[\"$(uname -n)\",\"other\",[\"$(uname -n)\",1,\"other\",1],true]"
	report "$b" "$scratch/other.mtrace"
	says "two hosts: in words, too" "$scratch/report.out" "By host: +$(uname -n) [0-9.]+ MiB in 1 process, other [0-9.]+ MiB in 1\."
	"$MEMTRACE" diff "$a" "$b" >"$scratch/diff"
	is "diff: exit code" "$?" 0
	says "diff: what got worse" "$scratch/diff" '^  worse .*retained-buckets +map main\.cache map\[int\]main\.session .* new$'
	says "diff: the load of both" "$scratch/diff" '^   [0-9.]+ s, [0-9.]+ CPUs, RSS [0-9.]+ MiB; [0-9,]+ growths'
	"$MEMTRACE" diff --format json "$b" "$a" >"$scratch/diff.json"
	held=$(value held "$heard")
	is "diff: what got better, as json" "$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
f = [f for f in d["findings"] if f["kind"] == "retained-buckets"][0]
print(f["change"], f["b"], abs(f["a"] - int(sys.argv[2])) <= int(sys.argv[2]) / 50, d["better_bytes"] == f["a"])' "$scratch/diff.json" "$held")" "better None True True"
	"$MEMTRACE" diff --gate 1M "$a" "$b" >"$scratch/diff"
	is "diff: a gate that fails" "$?" 1
	"$MEMTRACE" diff --gate 1M "$b" "$a" >"$scratch/diff"
	is "diff: a gate that holds" "$?" 0
}

# memtrace dies: what it has seen until a moment before is there.
killed() {
	workload_start "$program" && say go && hear TRUTH || { not_ok "the program acts"; return; }
	memtrace_start -q --set retained-buckets.seconds=1 -d 60 -o "$recording" --pid "$workload_pid"
	memtrace_attached
	wait_for_finding && ok "a recording can be read while it grows" || not_ok "a recording can be read while it grows"
	report "$recording"
	is "and the report is incomplete" "$report_status" 4
	says "and says so" "$scratch/report.out" "a\.mtrace is still being written, by process $memtrace_pid"
	memtrace -q -d 0 -o "$recording" --pid "$workload_pid"
	exits "another one leaves it alone" 3
	says "and says why" "$scratch/memtrace.err" "process $memtrace_pid uses it"
	kill -KILL "$memtrace_pid"
	memtrace_wait
	workload_end
	report "$recording"
	is "after kill -9: incomplete" "$report_status" 4
	says "after kill -9: says so" "$scratch/report.out" 'a\.mtrace was not closed'
	says "after kill -9: what was found" "$scratch/report.out" 'retained-buckets +map main\.cache'
}

full_disk() {
	mkdir "$scratch/disk"
	mount -t tmpfs -o size=500k none "$scratch/disk" 2>/dev/null || { skip "a full disk" "no mount here"; return; }
	workload_start "$program" && say go && hear TRUTH || not_ok "the program acts"
	head -c 300000 /dev/zero >"$scratch/disk/filler"
	memtrace_start --set retained-buckets.seconds=1 -d 60 -o "$scratch/disk/a.mtrace" --pid "$workload_pid"
	memtrace_attached
	head -c 300000 /dev/zero >>"$scratch/disk/filler" 2>/dev/null
	"$MEMTRACE" -q -d 1.5 --pid "$workload_pid" >/dev/null 2>&1
	memtrace_stop
	workload_end
	exits "a full disk: exit code" 3
	says "a full disk: says so, once" "$scratch/memtrace.err" 'cannot write .*a\.mtrace: .*(full|space)'
	says "a full disk: the report is there all the same" "$scratch/memtrace.out" 'retained-buckets +map main\.cache'
	report "$scratch/disk/a.mtrace"
	is "a full disk: what was written can be read" "$report_status" 4
	umount "$scratch/disk"
}

same_report
profiles
libraries
differences
killed
full_disk
done_testing
