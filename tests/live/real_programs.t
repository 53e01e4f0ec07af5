#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that we did not write, as their users run them: a web server, a database and a file server under
# load, a site that is built, an interpreter without a runtime that we know. What they do stays as it was, the
# budget holds, nothing is lost, stacks have names, and a program that is well gets no finding. What is not
# installed is skipped.
#
#     PROGRAM_SECONDS=30 prove tests/live/real_programs.t      how long each is under load (default 2)
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/live/lib.sh
needs_root
needs_memtrace

port=${PORT:-18480}
seconds=${PROGRAM_SECONDS:-2}
PATH=$PATH:$(tests/go_programs.sh caddy rclone influxd)

has() { command -v "$1" >/dev/null; }

# sound NAME REPORT: what must be true of any report on a program that is well.
sound() {
	renumber < <(python3 - "$1" "$2" <<'END'
import json, sys

name, path = sys.argv[1:]
report = json.load(open(path))
overhead, events = report["overhead"], report["events"]
# What the governor may owe in the first two seconds
allowed = overhead["target_cpu_s"] * overhead["budget_pct"] / 100 + 0.02
frames = [frame for list in ("sites", "allocations") for item in report[list] for frame in item["stack"]]
named = [frame for frame in frames if frame["function"]]
loud = [f"{finding['kind']} {finding['severity']}: {finding['message']}" for finding in report["findings"]
        if finding["severity"] != "INFO"]

def check(what, good, found):
    print(f"{'ok' if good else 'not ok'} - {name}: {what}")
    if not good:
        print(f"# {found}")

check("no finding above INFO", not loud, loud)
check("complete, nothing lost", report["complete"] and events["lost"] == 0, events)
check("within the budget", overhead["probe_cpu_s"] <= allowed, overhead)
check("frames have names", frames and len(named) >= 0.99 * len(frames), f"{len(named)} of {len(frames)}")
END
	)
}

# ---- a web server: it runs, is looked at, and is attached to under load ----

# answers PATH: waits until the server is up.
answers() {
	curl -s --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 20 -o "$scratch/page" "http://127.0.0.1:$port/$1"
}

serve() {
	mkdir "$scratch/www" && seq 800 >"$scratch/www/index.html"
	XDG_CONFIG_HOME=$scratch XDG_DATA_HOME=$scratch caddy file-server --listen "127.0.0.1:$port" \
		--root "$scratch/www" >"$scratch/caddy.out" 2>&1 &
	caddy_pid=$!
	started "$caddy_pid"
	answers index.html && cmp -s "$scratch/page" "$scratch/www/index.html"
}

# under_load NAME PID LOAD...: what must be true of a server that is looked at and, while LOAD runs, attached to.
under_load() {
	local name=$1 pid=$2
	shift 2
	memtrace -q --pid "$pid" -d 0
	exits "$name, read only: exit code" 0
	says "$name, read only: what was looked at" "$scratch/memtrace.out" '^No findings\.  Looked at [0-9,]+ maps'
	memtrace_start -q --pid "$pid" -o "$scratch/$name.json"
	memtrace_attached || { memtrace_wait; not_ok "$name: attaches" "$(tail -n 3 "$scratch/memtrace.err")"; return; }
	"$@" >"$scratch/load" 2>&1
	is "$name: the load of $seconds s ends well" $? 0
	memtrace_stop
	exits "$name: exit code" 0
	sound "$name" "$scratch/$name.json"
}

# Eight clients, and no answer is an error.
requests() {
	wrk -c 8 -t 1 -d "$seconds" "http://127.0.0.1:$port/$1" >"$scratch/wrk" &&
		grep -q ' requests in ' "$scratch/wrk" && ! grep -E 'Socket errors|Non-2xx' "$scratch/wrk"
}

web_server() {
	serve || { not_ok "caddy serves" "$(tail -n 3 "$scratch/caddy.out")"; return; }
	under_load caddy "$caddy_pid" requests index.html
	curl -s -o "$scratch/page" "http://127.0.0.1:$port/index.html"
	is "caddy: serves what it served before" "$(sha256sum <"$scratch/page")" "$(sha256sum <"$scratch/www/index.html")"
	kill "$caddy_pid"
}

# ---- a file server ----

file_server() {
	port=$((port + 1))
	mkdir -p "$scratch/files" && seq 5000 >"$scratch/files/numbers"
	rclone --config /dev/null serve http --addr "127.0.0.1:$port" "$scratch/files" >"$scratch/rclone.out" 2>&1 &
	rclone_pid=$!
	started "$rclone_pid"
	answers numbers || { not_ok "rclone serves" "$(tail -n 3 "$scratch/rclone.out")"; return; }
	under_load rclone "$rclone_pid" requests numbers
	curl -s -o "$scratch/page" "http://127.0.0.1:$port/numbers"
	is "rclone: serves what it served before" "$(sha256sum <"$scratch/page")" "$(sha256sum <"$scratch/files/numbers")"
	kill "$rclone_pid"
}

# ---- a database ----

database_config() {
	cat <<END
reporting-disabled = true
bind-address = "127.0.0.1:$((port + 1))"
[meta]
  dir = "$scratch/influx/meta"
[data]
  dir = "$scratch/influx/data"
  wal-dir = "$scratch/influx/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:$port"
  log-enabled = false
[monitor]
  store-enabled = false
END
}

ask() { curl -s -G "http://127.0.0.1:$port/query" --data-urlencode "db=t" --data-urlencode "q=$1"; }

# Points of a hundred series, a batch at a time, and now and then a question; says how many it wrote.
measure() {
	local end=$((SECONDS + seconds)) batch=0

	while [ "$SECONDS" -lt "$end" ]; do
		batch=$((batch + 1))
		awk -v batch="$batch" 'BEGIN { for (i = 0; i < 5000; i++)
			printf "load,host=h%d value=%d %d\n", i % 100, i, 1600000000 + batch * 5000 + i }' |
			curl -s -f -o "$scratch/written" --data-binary @- "http://127.0.0.1:$port/write?db=t&precision=s" || return 1
		[ $((batch % 5)) != 0 ] || ask 'select mean(value) from load group by host' >"$scratch/asked" || return 1
	done
	echo $((batch * 5000)) >"$scratch/points"
}

database() {
	port=$((port + 1))
	database_config >"$scratch/influx.conf"
	influxd run -config "$scratch/influx.conf" >"$scratch/influx.out" 2>&1 &
	influx_pid=$!
	started "$influx_pid"
	answers ping || { not_ok "influxdb answers" "$(tail -n 3 "$scratch/influx.out")"; return; }
	curl -s -o "$scratch/made" "http://127.0.0.1:$port/query" --data-urlencode 'q=create database t'
	under_load influxdb "$influx_pid" measure
	is "influxdb: has every point that was written" \
		"$(ask 'select count(value) from load' | jq '.results[0].series[0].values[0][1]')" "$(cat "$scratch/points")"
	kill "$influx_pid"
}

# ---- a program with an end: started by memtrace ----

make_site() {
	mkdir -p "$1/content/posts" "$1/layouts/_default"
	printf 'baseURL = "http://localhost/"\ntitle = "t"\n' >"$1/config.toml"
	for kind in single list; do
		echo '<h1>{{.Title}}</h1>{{.Content}}{{range .Pages}}<a href="{{.Permalink}}">{{.Title}}</a>{{end}}' \
			>"$1/layouts/_default/$kind.html"
	done
	for i in $(seq 1000); do
		printf -- '---\ntitle: Post %d\ntags: [t%d]\n---\n' "$i" $((i % 40))
		printf 'Some *text* with [a link](http://localhost/).\n\n%.0s' {1..30}
	done | awk -v dir="$1/content/posts" '/^---$/ && ++marks % 2 { file = dir "/" ++posts ".md" } { print > file }'
}

files_of() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

site_builder() {
	make_site "$scratch/site"
	hugo --quiet -s "$scratch/site" -d "$scratch/alone" >"$scratch/alone.out" 2>&1
	alone=$?
	memtrace -q -o "$scratch/hugo.json" -- hugo --quiet -s "$scratch/site" -d "$scratch/traced"
	is "hugo: exit code" "$status" "$alone"
	is "hugo: says what it says alone" "$(cat "$scratch/memtrace.out" "$scratch/memtrace.err")" "$(cat "$scratch/alone.out")"
	is "hugo: builds the same site" "$(files_of "$scratch/traced")" "$(files_of "$scratch/alone")"
	sound hugo "$scratch/hugo.json"
	memtrace -q -o "$scratch/hugo.json" -- hugo --no-such-option
	hugo --no-such-option >"$scratch/alone.out" 2>&1
	is "hugo: a failure passes through" "$status" $?
}

# ---- little or nothing that we know ----

interpreter() {
	coproc PYTHON { exec python3 -c 'import sys
x = bytearray(b"x" * (64 << 20))
print("ready", flush=True)
sys.stdin.read()'; }
	python_pid=$PYTHON_PID
	started "$python_pid"
	IFS= read -r -t "$PATIENCE" <&"${PYTHON[0]}"
	for duration in 0 1; do
		memtrace -q --pid "$python_pid" -d "$duration"
		exits "python3, -d $duration: exit code" 0
		says "python3, -d $duration: its RSS" "$scratch/memtrace.out" '^RSS [0-9.]+ MiB'
		says "python3, -d $duration: what it is" "$scratch/memtrace.out" '  Python 3\.[0-9.]+, C \(glibc [0-9.]+\)'
		says "python3, -d $duration: nothing is found" "$scratch/memtrace.out" '^No findings\.  Looked at'
	done
}

# Static and stripped, it has not even the names of malloc.
nameless() {
	workload_start "$(workload c-O2-static-stripped give_back)" || { not_ok "a nameless program starts"; return; }
	for duration in 0 1; do
		memtrace -q --pid "$workload_pid" -d "$duration"
		exits "a nameless program, -d $duration: exit code" 0
		says "a nameless program, -d $duration: its RSS" "$scratch/memtrace.out" '^RSS [0-9.]+ (KiB|MiB)'
		says "a nameless program, -d $duration: no known runtime" "$scratch/memtrace.out" '^No findings\.  No known runtime in it'
	done
	workload_end
}

if has caddy && has wrk && has curl; then web_server; else skip "caddy" "needs caddy, wrk and curl"; fi
if has rclone && has wrk && has curl; then file_server; else skip "rclone" "needs rclone, wrk and curl"; fi
if has influxd && has curl && has jq; then database; else skip "influxdb" "needs influxd, curl and jq"; fi
if has hugo && hugo version >"$scratch/version" 2>&1; then site_builder; else skip "hugo" "is not installed"; fi
nameless
if has python3; then interpreter; else skip "python3" "is not installed"; fi
done_testing
