#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A tracer that gets no CPU while the program storms: it is stopped, the hardest form of a busy machine. The
# kernel shuts the gates when the credit is spent: nothing is lost, the counts say that they are estimated,
# and what is delivered is no more than the account held.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
program=$(workload "$version" bench) || { echo "Bail out! bench does not build"; exit 1; }

# field EXPRESSION: of the report, as JSON
field() { python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(json.dumps(eval(sys.argv[2])))' "$scratch/report.json" "$1"; }

workload_start "$program" small 1 || { not_ok "the program runs"; done_testing; exit; }
memtrace_start -q --format json -o "$scratch/report.json" -d "$PATIENCE" --pid "$workload_pid"
memtrace_attached || not_ok "memtrace attaches" "$(cat "$scratch/memtrace.err")"
kill -STOP "$memtrace_pid"
say go
hear TRUTH && ok "the program runs to its end" || not_ok "the program runs to its end" "$(cat "$scratch/workload.err")"
kill -CONT "$memtrace_pid"
memtrace_stop
exits "memtrace ends well" 0
hits=$(field 'r["events"]["by_source"]["map"]["hits"]') delivered=$(field 'r["events"]["by_source"]["map"]["delivered"]')
is "nothing is lost" "$(field 'r["events"]["lost"]')" 0
is "the run is complete" "$(field 'r["complete"]')" true
# 20,000 maps of 200 grow four or five times each
if [ "$hits" -ge 60000 ]; then ok "the probes were hit all the time"; else not_ok "the probes were hit all the time" "$hits hits"; fi
# 5 ms may be owed in the beginning, and a record with a stack takes 0.7 us or more
if [ "$delivered" -gt 0 ] && [ "$delivered" -le 8000 ]; then ok "the credit bounds the records"; else not_ok "the credit bounds the records" "$delivered of $hits"; fi
is "its growths are estimated" "$(field 'max(s["open_share"] for s in r["sites"] if s["family"] == "map") < 1')" true
workload_end
done_testing
