#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Who allocates, and what of it stays, by samples of malloc (--malloc), against what the program itself has counted:
# small and large blocks, calloc, realloc, new, aligned ones, those that another thread gives back. Each figure may
# be off by the error that it says itself; were weights or ends wrong, it would be off by many times that.
#
#     ALLOCATORS="libjemalloc.so.2 ... static"   those that are preloaded, if they are there; linked in
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

report=$scratch/report.json
field() { jq -r "$1" "$report"; }
told() { sed "s/.* $1=\([0-9]*\).*/\1/" <<<"$heard "; }

# of FUNCTION WHAT: bytes and their standard error, of all stacks in which it is
of() {
	field "[.allocations[] | select(any(.stack[].function; test(\"(^|::)$1(\\\\(|\$)\")))] |
		\"\([.[].$2_bytes] | add // 0) \([.[].$2_error_bytes | . * .] | add // 0 | sqrt)\""
}

# within NAME "ESTIMATE ERROR" TRUTH: what is smaller than some samples' worth may be missing
within() {
	awk -v t="$3" -v r="$(field '.targets[0].allocation_profile.rate_bytes')" \
		'{ d = $1 - t; if (d < 0) d = -d; exit !(d <= 4.5 * $2 + 16 * r) }' <<<"$2" &&
		ok "$1" || not_ok "$1" "is, and its error: $2" "truth: $3"
}

# percent NAME "ESTIMATE ERROR" TRUTH PERCENT: so far it may be off, or 4.5 times its error
percent() {
	awk -v t="$3" -v p="$4" '{ d = $1 - t; if (d < 0) d = -d; exit !(d <= t * p / 100 || d <= 4.5 * $2) }' <<<"$2" &&
		ok "$1" || not_ok "$1" "is, and its error: $2" "truth: $3, within $4 %"
}

sites="all:keep_all none:keep_none some:keep_some grown:grow aligned:align handed:hand_over large:keep_large"

# all_told NAME: what each place has allocated, and has in use
all_told() {
	local site sum=0
	for site in $sites; do
		within "$1: ${site#*:}() has allocated" "$(of "${site#*:}" allocated)" "$(told "${site%:*}_allocated")"
		within "$1: ${site#*:}() has in use" "$(of "${site#*:}" in_use)" "$(told "${site%:*}_in_use")"
		sum=$((sum + $(told "${site%:*}_allocated")))
	done
	percent "$1: all together" "$(field '.targets[0].allocation_profile | "\(.allocated_bytes) \(.allocated_error_bytes)"')" "$sum" 2
	sum=$(($(told all_allocated) + $(told none_allocated) + $(told some_allocated) + $(told handed_allocated)))
	percent "$1: small blocks together" "$(of '(keep_all|keep_none|keep_some|hand_over)' allocated)" "$sum" 4
	percent "$1: what is kept" "$(of keep_all in_use)" "$(told all_in_use)" 25
	awk '{ exit !($2 < $1 / 10) }' <<<"$(of keep_all in_use)" && ok "$1: that is known well" ||
		not_ok "$1: that is known well" "$(of keep_all in_use)"
}

# looked_at NAME ROUNDS THREADS: from the first block to the last
looked_at() {
	memtrace_start -q --malloc --max-overhead 100 --format json -o "$report" -d 600 --pid "$workload_pid"
	memtrace_attached || not_ok "$1: is attached to" "$(cat "$scratch/memtrace.err")"
	say go
	hear TRUTH || not_ok "$1: the program gets through"
	memtrace_stop
	exits "$1: exit code" 0
	is "$1: nothing lost" "$(field .events.lost)" 0
	is "$1: every end was seen" \
		"$(field '.targets[0].allocation_profile | .sampled and .paired and .complete and (.in_use_at_most | not) and .open_share == 1')" true
	is "$1: every call was seen to return" "$(field '[.skipped[] | select(.what == "malloc")] | length')" 0
	all_told "$1"
	workload_end
}

program=$(workload c++-O2 malloc_sites)
workload_start "$program" 12000 2
looked_at glibc
is "glibc: its line" "$(field '[.allocations[] | select(.function // "" | test("keep_all"))][0].line')" \
	"$(grep -n 'std::malloc(bytes)' workloads/cxx/malloc_sites.cc | head -n 1 | cut -d: -f1)"
shares=$heard

for library in ${ALLOCATORS:-libjemalloc.so.2}; do
	if [ "$library" = static ]; then
		program=$(workload c++-O2-static malloc_sites)
		workload_start "$program" 4000 2
		looked_at "glibc within"
		continue
	fi
	[ -e "/usr/lib/x86_64-linux-gnu/$library" ] || { skip "$library" "it is not there"; continue; }
	LD_PRELOAD=$library workload_start "$program" 4000 2
	looked_at "$library"
done

# Without its names nothing can be probed, and that is said; without the option nothing is
program=$(workload c++-O2-static-stripped malloc_sites)
workload_start "$program" 1000 1
memtrace_start -q --malloc --format json -o "$report" -d 600 --pid "$workload_pid"
memtrace_attached && say go && hear TRUTH
memtrace_stop
is "stripped: refused by name" "$(field '[.skipped[] | select(.what == "sampling of malloc") | .reason] | join(" ")')" \
	"glibc is in this file, but not the names of its functions"
is "stripped: no figures" "$(field '.allocations | length')" 0
workload_end
program=$(workload c++-O2 malloc_sites)
workload_start "$program" 1000 1
memtrace_start -q --max-overhead 100 --format json -o "$report" -d 600 --pid "$workload_pid"
memtrace_attached && say go && hear TRUTH
memtrace_stop
is "not asked for: no hit" "$(field '.events.by_source.allocation')" null
is "not asked for: no word" "$(field '[.skipped[] | select(.what | test("malloc"))] | length')" 0
workload_end

# Looked at for moments: parts are right within their errors, ends that were missed are not taken for leaks
workload_start "$program" 100000000 1 20
say go
memtrace -q --malloc --max-overhead 20 --format json -o "$report" -d "${MOMENTS_SECONDS:-5}" --pid "$workload_pid"
exits "moments: exit code" 0
is "moments: in use is a bound" "$(field '.targets[0].allocation_profile | .in_use_at_most and .open_share < 0.5')" true
is "moments: the budget was kept" "$(field '.overhead.target_pct <= 20')" true
heard=$shares sum=0
for site in $sites; do sum=$((sum + $(told "${site%:*}_allocated"))); done
for site in $sites; do
	part=$(of "${site#*:}" allocated)
	awk -v t="$(told "${site%:*}_allocated")" -v a="$sum" -v e="$(field '.targets[0].allocation_profile.allocated_bytes')" \
		'{ d = $1 / e - t / a; if (d < 0) d = -d; exit !(d <= 4.5 * $2 / e + 0.05) }' <<<"$part" &&
		ok "moments: the part of ${site#*:}()" || not_ok "moments: the part of ${site#*:}()" "$part of $(field '.targets[0].allocation_profile.allocated_bytes')"
done
is "moments: what is kept is all in use" "$(of keep_all in_use)" "$(of keep_all allocated | sed 's/ .*//') $(of keep_all in_use | sed 's/.* //')"
awk -v a="$(of keep_none allocated | cut -d ' ' -f 1)" '{ exit !($1 <= a / 20 && a > 0) }' <<<"$(of keep_none in_use)" &&
	ok "moments: what is given back at once is not" || not_ok "moments: what is given back at once is not" "$(of keep_none in_use)"
kill -KILL "$workload_pid"
exec {workload_in}>&- {workload_out}<&-
wait "$workload_pid" 2>/dev/null
workload_pid=
done_testing
