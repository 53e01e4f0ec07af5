#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The state of a Go heap, read from outside, is what the program's own runtime.ReadMemStats() says.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

compare() {
	version=$1
	program=$(workload "$version" memstats) || { not_ok "Go $version: memstats builds"; return; }
	workload_start "$program" && say go && hear TRUTH || { not_ok "Go $version: the program acts"; return; }
	truth=$heard
	memtrace -q -d 0 --format json -o "$scratch/report.json" --pid "$workload_pid"
	kill -CONT "$workload_pid"
	exits "Go $version: exit code" 0
	check tests/live/memstats.expect memstats "$version"
	workload_end
}

for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		compare "$version"
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
