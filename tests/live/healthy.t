#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first negative control: a healthy HTTP/JSON service under load from a second process, traced with
# the defaults. Nothing above INFO, no request fails, and the budget of 1 % holds. Then the same
# settings against the shop, which has two real problems: both must be found.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
requests=${REQUESTS:-120000}

# serve VERSION NAME: traces NAME while it serves all requests; its report is in $scratch/report.json.
serve() {
	program=$(workload "$1" "$2") && load=$(workload "$1" apiload) || { not_ok "$2 builds"; return 1; }
	workload_start "$program" || { not_ok "$2 starts"; return 1; }
	memtrace_start -q --format json -o "$scratch/report.json" -d 600 --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; not_ok "attaches" "exit code $status" "$(tail -n 3 "$scratch/memtrace.err")"; return 1; }
	"$load" "$facts" /order "$requests" 4 >"$scratch/load"
	is "Go $1, $2: every request is answered ($(sed 's/^LOAD //' "$scratch/load"))" $? 0
	memtrace_stop
	exits "Go $1, $2: exit code" 0
	say go && hear TRUTH
	truth=$heard
	check "tests/live/$2.expect" "$2" "$1"
}

# The healthy form of the text report is four lines, and says what was looked at.
four_lines() {
	memtrace -q -d 1 --pid "$workload_pid"
	exits "Go $1, $2: exit code of the text report" 0
	is "Go $1, $2: lines of the healthy report" "$(grep -c . "$scratch/memtrace.out")" 4
	says "Go $1, $2: it says what was looked at" "$scratch/memtrace.out" 'Looked at [0-9,]+ maps'
}

for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		serve "$version" api && four_lines "$version" api
		workload_end
		serve "$version" shop
		workload_end
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
