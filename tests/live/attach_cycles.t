#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Attaches and detaches CYCLES times (100; 1,000 in make bench) to a program that grows containers,
# recurses deeply and collects all the time. Its output must be, byte for byte, that of a run nobody watched.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
program=$(workload "$version" gc_pressure) || { echo "Bail out! gc_pressure does not build"; exit 1; }
cycles=${CYCLES:-100}

kernel_orphans >"$scratch/before"
workload_start "$program" && say go && hear running || { not_ok "the program runs"; done_testing; exit; }
failures=0
for cycle in $(seq "$cycles"); do
	memtrace_start -q --max-overhead 100 --format json -o /dev/null -d "$PATIENCE" --pid "$workload_pid"
	memtrace_attached
	attached=$?
	memtrace_stop
	[ "$attached$status" = 00 ] && continue
	failures=$((failures + 1))
	echo "# cycle $cycle: attached $attached, exit code $status: $(head -n 3 "$scratch/memtrace.err")"
	[ "$failures" -lt 5 ] || break
done
is "$cycles times attached, reported and detached" "$failures failures" "0 failures"

say stop
hear TRUTH && ok "the program lived through it" || not_ok "the program lived through it" "$(tail -n 5 "$scratch/workload.err")"
rounds=${heard#*rounds=}
wait "$workload_pid"
is "its exit code" $? 0
workload_pid=
"$program" "$rounds" 2>"$scratch/untraced"
if cmp -s "$scratch/untraced" "$scratch/workload.err" && [ "$(wc -l <"$scratch/untraced")" = "$rounds" ]; then
	ok "its output in $rounds rounds is that of an untraced run"
else
	not_ok "its output in $rounds rounds is that of an untraced run" "$(diff "$scratch/untraced" "$scratch/workload.err" | head -n 5)"
fi
if nothing_left "$scratch/before"; then ok "nothing is left in the kernel"; else not_ok "nothing is left in the kernel" "$left"; fi
done_testing
