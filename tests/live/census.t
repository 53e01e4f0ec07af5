#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The census: 5,000 maps of four types and 150 channels among a million other objects, 200,000 of them
# decoys; once while the program stands still and once while it allocates and collects.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

count() {
	version=$1 how=$2
	program=$(workload "$version" census) || { not_ok "Go $version: census builds"; return; }
	workload_start "$program" "$how" && say go && hear TRUTH || { not_ok "Go $version: the program acts"; return; }
	truth=$heard
	memtrace -q -d 0 --format json -o "$scratch/report.json" --pid "$workload_pid"
	exits "Go $version, $how: exit code" 0
	[ "$how" = still ] || local -x BUSY=1
	check tests/live/census.expect census "$version"
	workload_end
}

for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		count "$version" still
		count "$version" churn
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
