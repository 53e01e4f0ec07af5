#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# System calls that map memory are told where they are asked for, and only there: every process of the
# machine pays for them. Without them, too, all of RSS has its place.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
program=$(workload "$version" map_grow) || { echo "Bail out! the program does not build"; exit 1; }
report=$scratch/report.json

field() { jq -r "$1" "$report"; }

# trace OPTION...: the program from its attach until it has done its work
trace() {
	workload_start "$program" || { not_ok "the program starts"; return 1; }
	memtrace_start -q --max-overhead 100 --format json -o "$report" -d 600 "$@" --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; not_ok "attaches" "$(tail -n 3 "$scratch/memtrace.err")"; return 1; }
	say go && hear TRUTH
	memtrace_stop
	exits "exit code" 0
	workload_end
}

trace && is "not asked for: not one call" "$(field '.events.by_source["memory calls"].hits // 0')" 0
is "and all parts of RSS sum to it" "$(field '.targets[0] | ([.waterfall[]] | add) == .rss_bytes')" true
trace --memory-calls && is "asked for: the runtime maps its heap" "$(field '.events.by_source["memory calls"].hits > 0')" true
is "none of them is lost" "$(field '.events.by_source["memory calls"] | .produced == .delivered and .lost == 0')" true
done_testing
