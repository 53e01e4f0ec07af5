#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What tracing costs a Go program: pairs of runs, traced and not, in turn.
#
#     tests/bench/go_bench.sh [PAIRS]      default 5; 20 for figures to rely on
#
# Programs: 3 M map inserts, append of 10 M ints, 20,000 maps of 200, an HTTP/JSON server under load.
# For each: the paired ratio of CPU time with its 95 % interval, what memtrace itself accounts for (hits x
# calibrated ns of the target's CPU time), the share of the time the probes were open, memtrace's RSS, times
# of attaching and detaching, the census. Fails where hits x ns is above 1 %, or where even the lower end
# of the interval is above 1.01: on a noisy machine the ratio alone cannot resolve 1 %.
set -u
cd "$(dirname "$0")/../.."
. tests/live/lib.sh
needs_root
needs_memtrace
pairs=${1:-5}
requests=${REQUESTS:-60000}
report=$scratch/report.json

# Attaches to the program that runs; the report of the last traced run stays.
trace() {
	memtrace_start -q --format json -o "$report" -d 600 --pid "$workload_pid"
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
	workload_start "$program" || return 1
	[ "$1" = bare ] || trace || return 1
	local before
	before=$(cpu_us)
	"$load" "$facts" /order "$requests" 4 >>"$scratch/load.$1" || return 1
	cost=$(($(cpu_us) - before))
	[ "$1" = bare ] || memtrace_stop
	workload_end
}

# summary NAME: reads lines "BARE TRACED" of one program; the gate's verdict is its exit code.
summary() {
	python3 - "$1" "$scratch/pairs" "$report" <<-'END'
		import json, math, statistics, sys
		name, pairs, report = sys.argv[1:]
		# Student's t, two-sided 95 %, by degrees of freedom
		T = [12.7, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09, 2.08]
		ratios = [math.log(int(traced) / int(bare)) for bare, traced in (line.split() for line in open(pairs))]
		mean, half = statistics.fmean(ratios), float("inf")
		if len(ratios) > 1:
		    half = T[min(len(ratios) - 2, len(T) - 1)] * statistics.stdev(ratios) / math.sqrt(len(ratios))
		low, middle, high = (math.exp(x) for x in (mean - half, mean, mean + half))
		data = json.load(open(report))
		cost, target = data["overhead"], data["targets"][0]
		shares = sorted({round(site["open_share"], 3) for site in data["sites"] if site.get("open_share") is not None})
		ns = cost.get("ns_per_hit")
		print(f"{name}: CPU x {middle:.3f} [{low:.3f}, {high:.3f}] of {len(ratios)} pairs; "
		      f"{cost['probe_hits']:,} hits x {ns if ns is None else round(ns)} ns = {cost['target_pct']:.2f} % of "
		      f"{cost['target_cpu_s']:.1f} s (budget {cost['budget_pct']:g} %); open {shares or 'never hit'}; "
		      f"lost {data['events']['lost']}; own CPU {cost['tracer_cpu_s']:.2f} s, RSS {cost['tracer_rss_bytes'] / 2**20:.0f} MiB; "
		      f"attach {cost['attach_ns'] / 1e6:.0f} ms, detach {cost['detach_ns'] / 1e6:.0f} ms")
		census = target.get("census")
		if census and census["duration_ns"]:
		    print(f"{name}: census of {census['objects']:,} objects in {census['duration_ns'] / 1e6:.1f} ms "
		          f"({census['objects'] / census['duration_ns'] * 1e3:.1f} M/s)")
		bad = []
		if cost["target_pct"] > 1.0:
		    bad.append("hits x ns is above 1 % of the target's CPU time")
		if low > 1.01:
		    bad.append("the lower end of the interval is above 1.01")
		for sentence in bad:
		    print(f"{name}: FAIL: {sentence}")
		sys.exit(1 if bad else 0)
	END
}

latency() {
	for how in bare traced; do
		python3 - "$how" "$scratch/load.$how" <<-'END'
			import re, statistics, sys
			text = open(sys.argv[2]).read()
			def median(key):
			    return statistics.median(int(value) for value in re.findall(rf"{key}=(\d+)", text))
			print(f"json server, {sys.argv[1]}: {median('per_second'):,.0f} requests/s, p50 {median('p50_us'):.0f} us, "
			      f"p99 {median('p99_us'):.0f} us (medians)")
		END
	done
}

# compare NAME COMMAND...: the order of each pair changes, so that neither side is always the warm one.
failed=0
compare() {
	local name=$1 bare traced
	shift
	: >"$scratch/pairs"
	for pair in $(seq "$pairs"); do
		bare= traced=
		for how in $([ $((pair % 2)) = 0 ] && echo bare traced || echo traced bare); do
			"$1" "$how" "${@:2}" || { echo "$name: FAIL: a run broke off: $(tail -n 1 "$scratch/memtrace.err")"; failed=1; return; }
			printf -v "$how" %s "$cost"
		done
		echo "$bare $traced" >>"$scratch/pairs"
	done
	summary "$name" || failed=1
}

for version in ${GO_VERSIONS:-1.23 1.26}; do
	tests/go_toolchains.sh "$version" | grep -q missing && { echo "Go $version: skipped, no such toolchain here"; continue; }
	program=$(workload "$version" bench) || exit 1
	compare "3 M map inserts x 4, Go $version" batch map 4
	compare "append 10 M ints x 16, Go $version" batch append 16
	compare "20,000 maps of 200 x 8, Go $version" batch small 8
	program=$(workload "$version" api) && load=$(workload "$version" apiload) || exit 1
	rm -f "$scratch"/load.*
	compare "json server, $requests requests, Go $version" serve
	latency
done
exit "$failed"
