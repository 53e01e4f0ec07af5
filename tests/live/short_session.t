#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a session of a second says of what was made while it ran: an iterator that keeps a map, and how nobody
# can know by then whether it will move.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

watch() {
	program=$(workload "$1" "$2" 2>/dev/null) || { skip "$2 on Go $1" "this version cannot compile it"; return; }
	workload_start "$program" || { not_ok "Go $1: $2 starts"; return; }
	memtrace_start -q --format json -o "$scratch/report.json" --pid "$workload_pid"
	memtrace_attached && say go && hear TRUTH || { not_ok "Go $1: $2 acts"; return; }
	truth=$heard
	memtrace_stop
	exits "Go $1: exit code" 0
	check "tests/live/short_session_${2#map_iter_}.expect" "$2" "$1"
	workload_end
}

for version in ${GO_VERSIONS:-1.19 1.26}; do
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		watch "$version" map_iter_held
		watch "$version" map_iter_pull
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
