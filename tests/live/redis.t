#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# redis-server as the distribution builds it, stripped: the dict of its keys is seen growing, and half way
# through a growth when its own clock may not finish it. The truth is what Redis says of its tables.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
command -v redis-server redis-cli >/dev/null || skip_all "redis-server is not installed"

socket=$scratch/redis.sock
report=$scratch/report.json
cli() { redis-cli -s "$socket" "$@"; }

# It says on its standard output that it is up.
redis_start() {
	exec {redis_out}< <(exec redis-server --port 0 --unixsocket "$socket" --save '' --activerehashing no \
		--enable-debug-command local --dir "$scratch" 2>&1)
	redis_pid=$!
	started "$redis_pid"
	while IFS= read -r -t "$PATIENCE" line <&"$redis_out"; do
		case $line in *"eady to accept connections"*) return 0 ;; esac
	done
	return 1
}

fill() { cli eval "for i = $1, $2 do redis.call('set', i, i) end" 0 >/dev/null; }

# The numbers that Redis tells of the tables of database 0: "size used" of each.
tables() { cli debug htstats 0 | tr -d '\r' | sed -n '/Dictionary HT/,/Expires HT/s/^ *\(table size\|number of elements\): //p' | xargs; }

field() { jq -r "$1" "$report"; }

redis_start || { not_ok "redis-server starts"; done_testing; exit; }
memtrace_start -q --max-overhead 100 --set unfinished-growth.seconds=1 --format json -o "$report" -d 600 --pid "$redis_pid"
memtrace_attached && ok "attaches" || not_ok "attaches" "$(cat "$scratch/memtrace.err")"
# One key more than fills 2^19 slots, and so few after it that most are still in the old table
fill 1 525288
read -r old_size old_used new_size new_used <<<"$(tables)"
memtrace_ended 2.5 && not_ok "memtrace goes on"
memtrace_stop
exits "exit code" 0
dict='.containers[] | select(.type == "dict dbDictType")'
is "Redis is half way" "$old_size $new_size" "524288 1048576"
is "known as" "$(field '.targets[0].runtimes[0].name')" redis
is "its malloc" "$(field '[.targets[0].allocators[] | select(.unknown) | .name] | join(" ")')" jemalloc
is "growths" "$(field '.sites[] | select(.type == "dict dbDictType") | .growths')" 18
is "its place is what added the key" "$(field '.sites[] | select(.type == "dict dbDictType" and .growths > 0) | .function')" dbAdd
is "keys" "$(field "$dict | .length")" $((old_used + new_used))
is "slots of the new table" "$(field "$dict | .capacity")" "$new_size"
is "both tables are held" "$(field "$dict | .held_bytes")" $((8 * (old_size + new_size)))
is "the dict is half way through a growth" \
	"$(field '[.findings[], .candidates[]] | map(select(.kind == "unfinished-growth")) | .[0].evidence.old_bytes')" $((8 * old_size))
is "nothing lost" "$(field .events.lost)" 0

# With its clock the server finishes, and that is no finding
cli config set activerehashing yes >/dev/null
memtrace_start -q --format json -o "$report" -d 600 --pid "$redis_pid"
memtrace_attached && ok "attaches again" || not_ok "attaches again" "$(cat "$scratch/memtrace.err")"
fill 525289 1100000
fill 1 1000
read -r size used rest <<<"$(tables)"
memtrace_ended 2 && not_ok "memtrace goes on"
memtrace_stop
is "keys, from the next growth on" "$(field "$dict | .length")" 1100000
is "no finding above INFO" "$(field '[.findings[] | select(.severity != "INFO")] | length')" 0
is "redis answers as before" "$(cli get 1100000)" 1100000
cli shutdown nosave
done_testing
