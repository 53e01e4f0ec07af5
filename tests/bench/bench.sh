#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What memtrace costs and how long it takes, as one table: measured, budget, verdict, figure. Exit code 1
# where a budget is missed.
#
#     bench.sh                  PAIRS=20: figures to rely on (default 3: a quick look)
#
# A traced program is judged by its hits x their calibrated cost, which is to be at most 1 % of its own CPU
# time. The ratio to runs that nobody watched is shown, and judged only where even the lower end of its 95 %
# interval is above 1.01: noise between two runs of the same program is larger than what we look for.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
pairs=${PAIRS:-3}
requests=${REQUESTS:-120000}
versions=${GO_VERSIONS:-1.23 1.26}
programs=${BENCH:-hit ring fault recording symbols census polling lock go native}
missed=0

judge() { "$@" || missed=1; }
rows() { judge python3 tests/bench/rows.py "$@"; }
broken() {
	printf '%-46s %-22s %-7s %s\n' "$1" "" MISSED "did not run: ${2:-no reason given}"
	missed=1
}

# Runs memtrace on the workload that runs, in the foreground: report SECONDS FILE.
report() {
	PATIENCE=120 memtrace -q -d "$1" --format json -o "$2" --pid "$workload_pid"
	# 4: it says itself what is missing
	[ "$status" = 0 ] || [ "$status" = 4 ] || broken "memtrace -d $1" "exit code $status, $(tail -n 1 "$scratch/memtrace.err")"
}

# ---- reading ----

compiler_of() { echo "$(tests/go_toolchains.sh --root "$1")/pkg/tool/linux_amd64/compile"; }

# A large Go program that is there wherever Go is: its compiler, which waits for its source.
bench_symbols() {
	local binary start

	binary=$(compiler_of "$newest")
	tests/native_samples.sh
	for file in $binary "$BUILD"/native-samples/lines-* ${BENCH_BINARIES:-}; do
		judge "$BUILD/bench/symbols" "$file"
	done
	mkfifo "$scratch/source.go"
	exec {source}<>"$scratch/source.go"
	HOME=$scratch "$binary" -p main -o "$scratch/object" "$scratch/source.go" >"$scratch/compiler" 2>&1 {source}>&- &
	workload_pid=$!
	for _ in $(seq 100); do
		readlink "/proc/$workload_pid"/fd/* | grep -q 'source\.go$' && break
		sleep 0.05
	done
	start=${EPOCHREALTIME/[.,]/}
	report 0 "$scratch/compiler.json"
	rows first $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) $((($(stat -L -c %s "$binary") + 500000) / 1000000))
	kill "$workload_pid"
	wait "$workload_pid" 2>/dev/null
	workload_pid=
	exec {source}>&-
}

bench_census() {
	program=$(workload "$newest" census) && workload_start "$program" still && say go && hear TRUTH ||
		{ broken census; return; }
	for run in 1 2 3 4 5; do report 0 "$scratch/census.$run"; done
	rows census "a heap of maps" "$scratch"/census.[1-5]
	workload_end
	program=$(workload "$newest" bench) && workload_start "$program" objects 1500000 || { broken census; return; }
	for run in 1 2 3 4 5; do report 0 "$scratch/objects.$run"; done
	rows census "a heap of other objects" "$scratch"/objects.[1-5]
	workload_end
}

# Tables are walked every 10 s: runs of less poll headers only.
bench_polling() {
	program=$(workload "$newest" bench) && workload_start "$program" headers 1000 || { broken polling; return; }
	for run in 2.1 9.1 2.2 9.2 21.1; do report "${run%.*}" "$scratch/polling.$run"; done
	workload_end
	workload_start "$program" headers 0 || { broken polling; return; }
	for run in 2.1 9.1 2.2 9.2; do report "${run%.*}" "$scratch/empty.$run"; done
	workload_end
	rows polling "$scratch"
}

# How long another thread of a program with 40 GiB of address space has to wait for its lock: it maps and unmaps all the time.
bench_lock() {
	local how run

	tests/build_native.sh c-O2 sparse_40g >&2 && program=$BUILD/workloads/c-O2/sparse_40g || { broken lock "its program does not build"; return; }
	for run in 1 2 3; do
		for how in bare 0 1; do
			workload_start "$program" && say go && hear running || { broken lock; return; }
			if [ $how = bare ]; then read -r -t 1 <&"$workload_out"; else report $how "$scratch/lock.json"; fi
			say stop && hear TRUTH || { broken lock; return; }
			echo "$heard" >>"$scratch/lock.$how"
			workload_end
		done
	done
	rows lock "$scratch/lock.bare" "$scratch/lock.0" "$scratch/lock.1"
}

bench_recording() { judge "$BUILD/bench/recording" "$scratch"; }

# ---- pairs of runs, traced and not ----

# Attaches to the program that runs with the defaults.
trace() {
	# shellcheck disable=SC2086
	memtrace_start -q ${tracing:-} --format json -o "$scratch/report.json" -d 600 --pid "$workload_pid"
	memtrace_attached
}

value() { sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"; }

# Work that the program times itself.
batch() {
	workload_start "$program" "$2" "$3" || return 1
	[ "$1" = bare ] || trace || return 1
	say go && hear TRUTH || return 1
	cost=$(value cpu_us "$heard")
	[ "$1" = bare ] || memtrace_stop
	workload_end
}

cpu_us() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print int(($12 + $13) * 1e6 / hz) }' "/proc/$workload_pid/stat"; }

# Work that another process asks for: CPU time of the server, latency as its customers see it.
serve() {
	local before

	workload_start "$program" || return 1
	[ "$1" = bare ] || trace || return 1
	before=$(cpu_us)
	"$load" "$facts" /order "$requests" 4 >>"$scratch/load.$1" || return 1
	cost=$(($(cpu_us) - before))
	[ "$1" = bare ] || memtrace_stop
	workload_end
}

# compare NAME COMMAND...: the order changes from pair to pair, so that neither side is always the warm one.
compare() {
	local name=$1 bare traced

	shift
	: >"$scratch/pairs"
	for pair in $(seq "$pairs"); do
		bare=0 traced=0
		for how in $([ $((pair % 2)) = 0 ] && echo bare traced || echo traced bare); do
			"$1" "$how" "${@:2}" || { broken "$name" "$(tail -n 1 "$scratch/memtrace.err")"; return; }
			printf -v "$how" %s "$cost"
		done
		echo "$bare $traced" >>"$scratch/pairs"
	done
	rows pairs "$name" "$scratch/pairs" "$scratch/report.json"
	cp "$scratch/report.json" "$scratch/report.$((++compared)).json"
}

bench_go() {
	compared=0
	for version in $versions; do
		program=$(workload "$version" bench) || { broken "Go $version" "its programs do not build"; continue; }
		compare "Go $version, 3 M map inserts" batch map 6
		compare "Go $version, append 10 M ints" batch append 40
		compare "Go $version, 20,000 maps of 200" batch small 12
		program=$(workload "$version" api) && load=$(workload "$version" apiload) ||
			{ broken "Go $version" "its server does not build"; continue; }
		rm -f "$scratch"/load.*
		compare "Go $version, JSON server" serve
		rows latency "$scratch/load.bare" "$scratch/load.traced"
	done
	rows rss "$scratch"/report.[0-9]*.json
}

. tests/bench/native.sh

# ---- the table ----

available=
for version in $versions; do
	tests/go_toolchains.sh "$version" >"$scratch/toolchain"
	if grep -q ' missing: ' "$scratch/toolchain"; then sed 's/^/no Go /' "$scratch/toolchain"; else available="$available $version"; fi
done
versions=$available
newest=${versions##* }
[ -n "$newest" ] || { echo "bench.sh: no Go toolchain"; exit 1; }

echo "memtrace $("$MEMTRACE" -V | sed 's/^memtrace //'), Linux $(uname -r), $(nproc) CPUs, load $(cut -d ' ' -f 1-3 /proc/loadavg), $pairs pairs"
printf '%-46s %-22s %-7s %s\n' measured budget verdict figure
for what in $programs; do
	case $what in
	hit | ring | fault) [ ! -x "$BUILD/bench/$what" ] || judge "$BUILD/bench/$what" ;;
	*) "bench_$what" ;;
	esac
done
[ "$missed" = 0 ] && echo "every budget is kept" || echo "budgets are missed: see MISSED above"
exit "$missed"
