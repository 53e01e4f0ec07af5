#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that we did not write, as their users run them: a web server under load, a site that is built,
# an interpreter without a runtime that we know. What they do stays as it was, the budget holds, nothing is
# lost, stacks have names, and a program that is well gets no finding. What is not installed is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/live/lib.sh
needs_root
needs_memtrace
port=${PORT:-18480}

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
frames = [frame for site in report["sites"] for frame in site["stack"]]
named = [frame for frame in frames if frame["function"]]
loud = [finding["kind"] for finding in report["findings"] if finding["severity"] != "INFO"]

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

serve() {
	mkdir "$scratch/www" && seq 800 >"$scratch/www/index.html"
	XDG_CONFIG_HOME=$scratch XDG_DATA_HOME=$scratch caddy file-server --listen "127.0.0.1:$port" \
		--root "$scratch/www" >"$scratch/caddy.out" 2>&1 &
	caddy_pid=$!
	started "$caddy_pid"
	curl -s --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 20 -o "$scratch/page" \
		"http://127.0.0.1:$port/index.html"
	cmp -s "$scratch/page" "$scratch/www/index.html"
}

web_server() {
	serve || { not_ok "caddy serves" "$(tail -n 3 "$scratch/caddy.out")"; return; }
	memtrace -q --pid "$caddy_pid" -d 0
	is "caddy, read only: exit code" "$status" 0
	says "caddy, read only: what was looked at" "$scratch/memtrace.out" '^No findings\.  Looked at [0-9,]+ maps'
	memtrace_start -q --pid "$caddy_pid" -o "$scratch/caddy.json"
	memtrace_attached || { memtrace_wait; not_ok "caddy: attaches" "$(tail -n 3 "$scratch/memtrace.err")"; return; }
	wrk -c 8 -t 1 -d 6 "http://127.0.0.1:$port/index.html" >"$scratch/wrk"
	is "caddy: the load ends well ($(grep -o '[0-9]* requests in' "$scratch/wrk") 6 s)" $? 0
	is "caddy: requests that failed" "$(grep -cE 'Socket errors|Non-2xx' "$scratch/wrk")" 0
	memtrace_stop
	is "caddy: exit code" "$status" 0
	sound caddy "$scratch/caddy.json"
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

# ---- no runtime that we know ----

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
		is "python3, -d $duration: exit code" "$status" 0
		says "python3, -d $duration: its RSS" "$scratch/memtrace.out" '^RSS [0-9.]+ MiB'
		says "python3, -d $duration: no known runtime" "$scratch/memtrace.out" '^No findings\.  No known runtime in it'
	done
}

if has caddy && has wrk && has curl; then web_server; else skip "caddy" "needs caddy, wrk and curl"; fi
if has hugo; then site_builder; else skip "hugo" "is not installed"; fi
if has python3; then interpreter; else skip "python3" "is not installed"; fi
done_testing
