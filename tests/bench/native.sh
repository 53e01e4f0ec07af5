# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The native rows of bench.sh, which reads this file: programs in C++, Redis, a compiler; and beside them what else a
# user would run, where it is installed.

# How the CPU time of all that a shell has waited for reads: the second line of times.
children_us() { awk 'NR == 2 { gsub(/[ms]/, " "); print int((($1 + $3) * 60 + $2 + $4) * 1e6) }' "$1"; }

serve_redis() { # bare|traced
	local socket=$scratch/redis.sock before

	exec {redis_out}< <(exec redis-server --port 0 --unixsocket "$socket" --save '' --dir "$scratch" 2>&1)
	workload_pid=$!
	while IFS= read -r -t "$PATIENCE" line <&"$redis_out"; do
		case $line in *"ready to accept connections"*) break ;; esac
	done
	[ "$1" = bare ] || trace || return 1
	before=$(cpu_us)
	redis-benchmark -s "$socket" -t set -n "$requests" -r 1000000 --csv >"$scratch/redis.$1" 2>&1 || return 1
	cost=$(($(cpu_us) - before))
	[ "$1" = bare ] || memtrace_stop
	redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1
	wait "$workload_pid" 2>/dev/null
	exec {redis_out}<&-
	workload_pid=
}

compile() { # bare|traced
	local run="'$compiler' -quiet -O1 '$scratch/compiled.ii' -o '$scratch/compiled.s'; times >'$scratch/times'"

	if [ "$1" = bare ]; then
		sh -c "$run"
	else
		"$MEMTRACE" -q --follow --format json -o "$scratch/report.json" -- sh -c "$run" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err"
	fi
	cost=$(children_us "$scratch/times")
	[ "${cost:-0}" -gt 0 ]
}

# ---- what else there is ----

# Starts a tool on the program that runs and returns when it watches: no tool says when. What it prints may be more
# than a pipe holds.
watch_with() { # COMMAND...
	"$@" >"$scratch/tool.out" 2>&1 </dev/null &
	tool_pid=$!
	for _ in $(seq "$((PATIENCE * 5))"); do
		[ "$("$(bpftool_bin)" perf show 2>/dev/null | grep -c "^pid $tool_pid .* uprobe .*libc")" -lt 2 ] || return 0
		sleep 0.2
	done
	return 1
}

with_bpftrace() {
	local libc

	libc=$(awk '/libc\.so\.6$/ { print $6; exit }' "/proc/$workload_pid/maps")
	watch_with env --default-signal=INT bpftrace -p "$workload_pid" -e "
		uprobe:$libc:malloc { @bytes[ustack(8)] = sum(arg0); } uprobe:$libc:free { @frees = count(); }"
}

with_memleak() { watch_with env --default-signal=INT "$memleak" -p "$workload_pid" 600 1; }

tool_end() {
	kill -INT "$tool_pid" 2>/dev/null
	wait "$tool_pid" 2>/dev/null
	tool_pid=
}

# other bare|TOOL KIND ROUNDS COUNT
other() {
	case $1 in
	bare | bpftrace | memleak) workload_start "$program" "${@:2}" || return 1 ;;
	heaptrack) workload_start heaptrack -r -o "$scratch/heaptrack" "$program" "${@:2}" || return 1 ;;
	esac
	case $1 in bpftrace | memleak) "with_$1" || return 1 ;; esac
	say go && hear TRUTH || return 1
	cost=$(value cpu_us "$heard")
	case $1 in bpftrace | memleak) tool_end ;; esac
	workload_end
}

# What did not come to its end must not slow the next one.
other_end() {
	[ -z "${tool_pid:-}" ] || tool_end
	[ -z "$workload_pid" ] || kill -KILL "$workload_pid"
	workload_end
}

# That is no budget of ours.
too_slow() {
	printf '%-46s %-22s %-7s %s\n' "  the same under $1" none - "not done after $PATIENCE s"
}

# beside KIND ROUNDS COUNT: the same work under each tool that is there. Little of it: some make it 1,000 times slower.
beside() {
	local tool bare

	for tool in bpftrace memleak heaptrack; do
		case $tool in
		memleak) memleak=$(command -v memleak-bpfcc || command -v memleak) ;;
		*) command -v "$tool" >/dev/null ;;
		esac || continue
		: >"$scratch/pairs"
		for _ in $(seq "$pairs"); do
			other bare "$@" && bare=$cost && other "$tool" "$@" || { too_slow "$tool"; other_end; continue 2; }
			echo "$bare $cost" >>"$scratch/pairs"
		done
		rows beside "  the same under $tool" "$scratch/pairs"
	done
}

bench_native() {
	compared=0
	program=$(workload c++-O2 bench) || { broken "C++" "its programs do not build"; return; }
	compare "C++, 1 M unordered_map inserts and erases" batch umap 48
	beside umap 1 100000
	compare "C++, vectors of 100,000" batch vector 50
	beside vector 10 100
	compare "C++, malloc and free" batch malloc 150
	beside malloc 1 100000
	tracing=--malloc
	compare "C++, malloc and free, sampled" batch malloc 150
	tracing=
	if command -v redis-server redis-benchmark >/dev/null; then
		compare "Redis, SET" serve_redis
	fi
	compiler=$(g++ -print-prog-name=cc1plus)
	g++ -E -o "$scratch/compiled.ii" tests/bench/compiled.cc || { broken "g++ compiles"; return; }
	compare "g++ compiles" compile
	rows rss "$scratch"/report.[0-9]*.json
}
