#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Python 3.11 as Debian builds it. With the names of python3-dbg (make check-all fetches them) each dict and set is
# seen growing, and one that was nearly emptied is found; without them it is said what is not seen.
#
#     PYTHONS="python3 /opt/python3.13/bin/python3" prove tests/live/python.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

report=$scratch/report.json
field() { jq -r "$1" "$report"; }
value() { echo "$truth" | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# run PYTHON: the report is of its playing the workload
run() {
	workload_start "$@" workloads/python/containers.py || { not_ok "$1 starts" "$(cat "$scratch/workload.err")"; return 1; }
	memtrace_start -q --max-overhead 100 --set retained-buckets.seconds=1 --format json -o "$report" -d 600 --pid "$workload_pid"
	memtrace_attached || { not_ok "attaches" "$(cat "$scratch/memtrace.err")"; return 1; }
	say go
	hear TRUTH || { not_ok "$1 plays" "$(cat "$scratch/workload.err")"; return 1; }
	truth=$heard
	for _ in 1 2 3 4 5 6; do
		say gc
		hear ok
		! memtrace_ended 0.4 || not_ok "memtrace goes on"
	done
	memtrace_stop
	workload_end
	exits "exit code" 0
	is "nothing lost" "$(field .events.lost)" 0
	is "known as" "$(field '[.targets[0].runtimes[].name] | join(" ")')" "python c"
}

# near NAME ACTUAL WANTED: within 1 %
near() { is "$1" "$(echo "$2 $3" | awk '{ d = $1 - $2; print ((d < 0 ? -d : d) * 100 <= $2 ? $2 : $1) }')" "$3"; }

with_names() {
	# shellcheck disable=SC2086
	run env PYTHONHOME="$root/usr" "$root/usr/bin/python3.11" || return
	dict='.containers[] | select(.type == "dict")'
	is "growths of both dicts" "$(field '[.sites[] | select(.type == "dict") | .growths] | add')" \
		$(($(value emptied) + $(value full)))
	is "growths of the set" "$(field '[.sites[] | select(.type == "set") | .growths] | add')" "$(value set)"
	is "growths of the list" "$(field '[.sites[] | select(.type == "list") | .growths] | add')" "$(value list)"
	is "two dicts" "$(field "[$dict | .length] | sort | join(\" \")")" "$(value length) $(value entries)"
	is "one set" "$(field '.containers[] | select(.type == "set") | .length')" "$(value members)"
	near "held by the set" "$(field '.containers[] | select(.type == "set") | .held_bytes')" "$(value set_held)"
	finding='.findings[] | select(.kind == "retained-buckets")'
	is "one of them is nearly empty" "$(field "[$finding | .evidence.length] | join(\" \")")" "$(value length)"
	near "held by it" "$(field "$finding | .bytes")" "$(value held)"
	near "what a copy would need" "$(field "$finding | .evidence.need_bytes")" "$(value need)"
	is "severity" "$(field "$finding | .severity")" HIGH
	is "and nothing else" "$(field '[.findings[] | select(.severity != "INFO")] | length')" 1
}

# Whichever Python this machine has: it may have its names, and it may be of another version.
any_python() {
	run "$1" || return
	# Before 3.11 its files do not say
	is "of which version" "$(field '.targets[0].runtimes[0].version')" "$("$1" -c 'import platform, sys
print("Python", platform.python_version()) if sys.version_info >= (3, 11) else print("Python")')"
	if [ "$(field '[.sites[] | select(.type == "dict")] | length')" != 0 ]; then
		is "growths of both dicts" "$(field '[.sites[] | select(.type == "dict") | .growths] | add')" \
			$(($(value emptied) + $(value full)))
		is "growths of the set" "$(field '[.sites[] | select(.type == "set") | .growths] | add')" "$(value set)"
		is "one that is nearly empty" "$(field '[.findings[] | select(.kind == "retained-buckets") | .evidence.length] | join(" ")')" "$(value length)"
		return
	fi
	is "no finding above INFO" "$(field '[.findings[] | select(.severity != "INFO")] | length')" 0
	is "says what is not seen" "$(field '[.skipped[] | select(.what == "dict and set of Python")] | length')" 1
}

[ -z "${PYTHON_SYMBOLS:-}" ] || tests/python_symbols.sh
root=$(tests/python_symbols.sh --root) && with_names || skip "Python with names" "make check-all fetches them"
for python in ${PYTHONS:-python3}; do
	if command -v "$python" >/dev/null; then any_python "$python"; else skip "$python" "it is not installed"; fi
done
done_testing
