#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Go versions that no table knows: the same programs, with a version of equal length written into the
# file. With DWARF they are read as before; without, reading is refused by name and the rest goes on.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

# unknown PROGRAM MINOR: a copy that says it was built by go1.MINOR; its path.
unknown() {
	python3 - "$1" "$scratch/go1.$2" "$2" <<'END'
import re, sys

source, copy, minor = sys.argv[1:]
data = open(source, "rb").read()
version = re.search(rb"\xff Go buildinf:.{19}(go1\.\d\d[.0-9]*)", data, re.S).group(1)
with open(copy, "wb") as out:
    out.write(data.replace(version, b"go1." + minor.encode() + version[6:]))
END
	chmod +x "$scratch/go1.$2"
	echo "$scratch/go1.$2"
}

# look NAME PROGRAM [OPTION...]: it acts, then it is read; the report is in $scratch/report.json.
look() {
	workload_start "$2" && say go && hear TRUTH || { not_ok "$1: the program acts"; return 1; }
	truth=$heard
	memtrace -q -d 0 "${@:3}" --format json -o "$scratch/report.json" --pid "$workload_pid"
	exits "$1: exit code" 0
	workload_end
}

# only_allocations MINOR: of a version behind those that were checked, nothing else is probed.
only_allocations() {
	"$MEMTRACE" probes "$scratch/go1.$1" >"$scratch/probes"
	says "go1.$1: what is not probed" "$scratch/probes" 'skipped: probes of growth: go1.*calling convention not checked'
	is "go1.$1: probes" "$(grep -oE '^  [a-z]+ +[^+ ]+' "$scratch/probes" | grep -v skipped | tr -s ' ' | tr '\n' ';')" \
		" allocation runtime.(*mcache).allocLarge; allocation runtime.(*mcache).refill;"
}

# known_by_dwarf VERSION MINOR: a build of VERSION that says MINOR.
known_by_dwarf() {
	program=$(workload "$1" map_emptied) || { not_ok "Go $1: map_emptied builds"; return; }
	look "go1.$2" "$(unknown "$program" "$2")" || return
	says "go1.$2: its version is the unknown one" "$scratch/report.json" "\"version\":\"go1.$2\."
	check tests/live/read_only.expect map_emptied "$1"
	[ "$2" -le 26 ] || only_allocations "$2"
	program=$(workload "$1" heap_profile) || { not_ok "Go $1: heap_profile builds"; return; }
	look "go1.$2" "$(unknown "$program" "$2")" || return
	check tests/live/layouts.expect heap_profile "$1"
	program=$(workload "$1" chan_blocked_messages) || { not_ok "Go $1: chan_blocked_messages builds"; return; }
	look "go1.$2" "$(unknown "$program" "$2")" --set blocked-goroutines.seconds=0 || return
	check tests/live/layouts_goroutines.expect chan_blocked_messages "$1"
}

refused() {
	program=$(workload "$1-stripped" map_emptied) || { not_ok "Go $1: map_emptied builds"; return; }
	look "stripped go1.$2" "$(unknown "$program" "$2")" || return
	says "stripped go1.$2: refused by name" "$scratch/report.json" \
		"reading containers.*Go 1.$2 is not a known layout, and the binary has no DWARF"
	says "stripped go1.$2: RSS is known" "$scratch/report.json" '"rss_bytes":[1-9]'
	says "stripped go1.$2: no finding" "$scratch/report.json" '"findings": \[\]'
}

# VERSION:MINOR, a classic one and a Swiss one by default
for pair in ${LAYOUT_PAIRS:-1.23:20 1.26:29}; do
	version=${pair%:*} minor=${pair#*:}
	if tests/go_toolchains.sh --root "$version" >/dev/null 2>&1; then
		known_by_dwarf "$version" "$minor"
		refused "$version" "$minor"
	else
		skip "Go $version" "no such toolchain here"
	fi
done
done_testing
