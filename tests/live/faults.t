#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What brought bytes into RSS, against what the programs know themselves: every C workload about it with an .expect,
# under the default budget where it says so, and Go's growing containers. Nothing of it is above INFO: a start-up
# is no finding.
#
#     C_WORKLOADS="huge_pages" prove tests/live/faults.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

# Containers in C are native.t's, in more variants than this one.
names=${C_WORKLOADS:-$(ls workloads/c/*.expect | sed 's#.*/##; s/\.expect$//' | grep -vE '^(array|glib)_')}
export BUILD MEMTRACE PATIENCE

# shellcheck disable=SC2046,SC2086
if tests/build_native.sh c-O2 $(for name in $names; do [ ! -e "workloads/c/$name.c" ] || echo "$name"; done) >&2; then
	for name in $names; do echo "play c-O2 $name"; done
else
	echo "broken c-O2: workloads do not build"
fi >"$scratch/matrix"
play_matrix "$scratch/matrix"

# causes VERSION NAME FAMILY PLACE BUDGET: most of what RSS gained comes from its containers
causes() {
	program=$(workload "$1" "$2") || { not_ok "$2 builds"; return; }
	workload_start "$program" || { not_ok "$2 starts"; return; }
	memtrace_start -q --max-overhead "$5" --format json -o "$scratch/report.json" -d 600 --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; not_ok "attaches" "$(tail -n 3 "$scratch/memtrace.err")"; return; }
	say go && hear TRUTH
	memtrace_ended 0.3
	memtrace_stop
	workload_end
	is "$2 on $1, $5 %: rises by its ${3}s within 5 %" "$(jq -r --arg family "$3" '
		[.spikes[].delta_bytes] as $steps | [.spikes[].returned_bytes] as $returned |
		[.spikes[].causes[] | select(.family == $family and (.what | endswith("'"$4"'"))).bytes] |
		(add // 0) >= 0.95 * ($steps | add) and add <= 1.05 * ($steps + $returned | add)' "$scratch/report.json")" true
	[ "$(jq '.spikes | length' "$scratch/report.json")" -gt 0 ] || jq -c '.targets[0]' "$scratch/report.json" | sed 's/^/# /'
	jq -c '.spikes[] | {delta_bytes, returned_bytes, estimated, causes: [.causes[] | {what, bytes}]}' "$scratch/report.json" | sed 's/^/# /'
	is "$2 on $1, $5 %: nothing above INFO" "$(jq '[.findings[] | select(.severity != "INFO")] | length' "$scratch/report.json")" 0
}

# Huge pages, which 1.19 asks for, come with whoever touches them first
version=$(GO_VERSIONS="1.23 1.26 1.24 1.22" any_go) || { skip "growing containers of Go" "no Go toolchain"; done_testing; exit; }
causes "$version" map_grow map "at map_grow.go:12" 100
causes "$version" map_grow map "at map_grow.go:12" 1
causes "$version" slice_grow slice "at slice_grow.go:18" 100
done_testing
