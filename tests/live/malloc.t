#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What glibc's malloc keeps, read from outside, against what it says of itself at the same moment: several
# arenas, fragments, after all was freed, after malloc_trim(); linked as a library and into the program.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

report=$scratch/report.json
field() { jq -r "$1" "$report"; }
# told KEY: a number of the workload's last TRUTH line
told() { sed "s/.* $1=\([0-9]*\).*/\1/" <<<"$heard"; }

# near NAME ACTUAL WANTED PERCENT, counted on SHARE_OF where that is larger
near() {
	if awk -v a="$2" -v w="$3" -v p="$4" 'BEGIN { d = a - w; if (d < 0) d = -d; exit !(d <= w * p / 100) }'; then
		ok "$1"
	else
		not_ok "$1" "is: $2" "wanted: $3 within $4 %"
	fi
}

malloc='.targets[0].allocators[] | select(.name == "glibc")'
kept='[.findings[] | select(.kind == "allocator-retained")] | .[0]'

# look NAME: reads the program once, and compares
look() {
	hear TRUTH || not_ok "$1: the workload goes on"
	memtrace -q -d 0 --format json -o "$report" --pid "$workload_pid"
	exits "$1: exit code" 0
	near "$1: system" "$(field "$malloc | .system_bytes")" "$(told system)" 1
	near "$1: mapped" "$(field "$malloc | .mapped_bytes")" "$(told mapped)" 1
	is "$1: all was walked" "$(field "$malloc | .estimated")" false
	awk -v a="$(field ".targets[0].waterfall.unexplained")" -v r="$(told rss)" 'BEGIN { exit !(a <= r / 50) }' &&
		ok "$1: RSS is explained" || not_ok "$1: RSS is explained" "$(field .targets[0].waterfall)"
}

phases() {
	look "$1 peak"
	is "$1 peak: no finding" "$(field '.findings | length')" 0
	say next
	look "$1 scattered"
	near "$1 scattered: free" "$(field "$malloc | .free_bytes")" "$(told free)" 1
	near "$1 scattered: it is all resident" "$(field "$malloc | .retained_bytes")" "$(told free)" 1
	is "$1 scattered: severity" "$(field "$kept | .severity")" HIGH
	awk -v t="$(field "$kept | .evidence.trim_bytes")" 'BEGIN { exit !(t < 65536) }' &&
		ok "$1 scattered: trimming does not help" || not_ok "$1 scattered: trimming does not help" "$(field "$kept")"
	say next
	look "$1 threads"
	is "$1 threads: arenas" "$(field "$malloc | .arenas")" 4
	near "$1 threads: free" "$(field "$malloc | .free_bytes")" "$(told free)" 1
	say next
	look "$1 freed"
	near "$1 freed: free" "$(field "$malloc | .free_bytes")" "$(told free)" 1
	is "$1 freed: severity" "$(field "$kept | .severity")" HIGH
	predicted=$(field "$malloc | .trim_bytes")
	say next
	look "$1 trimmed"
	near "$1 trimmed: free" "$(field "$malloc | .free_bytes")" "$(told free)" 1
	near "$1 trimmed: malloc_trim() gave back what was foretold" "$predicted" "$(told gave)" 1
	is "$1 trimmed: nothing is left to trim" "$(field "$malloc | .trim_bytes < 65536")" true
}

for variant in ${CXX_VARIANTS:-c++-O2 c++-O2-static-stripped}; do
	program=$(workload "$variant" malloc_kept)
	case $? in
	0) ;;
	3) skip "$variant" "its compiler is not there"; continue ;;
	*) not_ok "$variant: builds"; continue ;;
	esac
	workload_start "$program"
	say go
	phases "$variant"
	say next
	workload_end
done

# Three threads that free and allocate all the time: whatever a look meets, it comes to an end and to figures
program=$(workload c++-O2 malloc_kept) && workload_start "$program" busy
say go
hear TRUTH && say next && hear TRUTH && say next && hear TRUTH
for round in 1 2 3; do
	memtrace -q -d 0 --format json -o "$report" --pid "$workload_pid"
	near "busy $round: system" "$(field "$malloc | .system_bytes")" "$(told system)" 10
	near "busy $round: free" "$(field "$malloc | .free_bytes")" "$(told free)" 15
done
kill -KILL "$workload_pid"
exec {workload_in}>&- {workload_out}<&-
wait "$workload_pid" 2>/dev/null
workload_pid=

# Another malloc is named, and what is not known of it is said
named() { # NAME WANTED-VERSION-PATTERN
	memtrace -q -d 0 --format json -o "$report" --pid "$workload_pid"
	exits "$1: exit code" 0
	is "$1: is named" "$(field ".targets[0].allocators[] | select(.unknown) | .name")" "$1"
	is "$1: its version" "$(field ".targets[0].allocators[] | select(.unknown) | .version | test(\"$2\")")" true
	is "$1: it is said what is not known" \
		"$(field "[.skipped[] | select(.what | startswith(\"free memory of $1\"))] | length")" 1
}

for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0; do
	name=${library#lib} name=${name%%[._]*}
	[ -e "/usr/lib/x86_64-linux-gnu/$library" ] || { skip "$name" "$library is not there"; continue; }
	workload_start env LD_PRELOAD="$library" "$program"
	named "$name" '^[0-9]+[.][0-9]+'
	workload_end
done

# Linked into the program, with a prefix, and stripped but for what it exports
cat >"$scratch/linked.c" <<'END'
#include <stdio.h>
const char *volatile je_complaint = "<jemalloc>: Error";
const char *volatile je_version = "5.2.1-0-gea6b3e973b477b8061e0076bb257dbd7f3faa756";
int je_mallctl(void) { return 0; }
int main(void) { puts("ready"); fflush(stdout); getchar(); getchar(); }
END
cc -O0 -s -rdynamic -o "$scratch/linked" "$scratch/linked.c"
workload_start "$scratch/linked"
named jemalloc '^5[.]2[.]1$'
is "jemalloc: its prefix" "$(field '.skipped[] | select(.what | startswith("free memory")) | .reason | contains("je_")')" true
workload_end
done_testing
