#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# -d 0: a program emptied its map before anybody watched. Reading alone must find it, within 2 s, with
# nothing loaded into the kernel and without touching a page that the program has not.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

resident_kb() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$workload_pid/status"; }

look() {
	version=$1
	program=$(workload "$version" map_emptied) || { not_ok "Go $version: map_emptied builds"; return; }
	workload_start "$program" && say go && hear TRUTH || { not_ok "Go $version: the program acts"; return; }
	truth=$heard
	before=$(resident_kb)
	start=${EPOCHREALTIME/[.,]/}
	memtrace -q -d 0 --format json -o "$scratch/report.json" --pid "$workload_pid"
	took=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	exits "Go $version: exit code" 0
	[ "$took" -le 2000 ] && ok "Go $version: within 2 s ($took ms)" || not_ok "Go $version: within 2 s" "$took ms"
	grown=$(($(resident_kb) - before))
	[ "$grown" -le 1024 ] && ok "Go $version: the program's RSS is as before" ||
		not_ok "Go $version: the program's RSS is as before" "grown by $grown kB"
	check tests/live/read_only.expect map_emptied "$version"
	workload_end
}

# A program that serves its allocation profile: it knows where the map grew before anybody looked.
profile() {
	version=$1
	program=$(workload "$version" shop) || { not_ok "Go $version: shop builds"; return; }
	workload_start "$program" && say go && hear TRUTH || { not_ok "Go $version: the shop opens"; return; }
	truth=$heard
	memtrace -q -d 0 --format json -o "$scratch/report.json" --pid "$workload_pid"
	exits "Go $version: exit code for the shop" 0
	check tests/live/profile.expect shop "$version"
	workload_end
}

for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		look "$version"
		profile "$version"
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
