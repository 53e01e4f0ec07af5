#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# --debuginfod: lines of a stripped program from a server, which is python's, on loopback, with what was stripped
# in its place. Without the option nobody is asked; a server that has nothing, or lies, costs nothing but the lines.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
ldconfig -p | grep -q 'libdebuginfod\.so\.1' || skip_all "libdebuginfod.so.1 is not there"
program=$(workload c++-O2 umap_storm) || skip_all "no g++"
unset DEBUGINFOD_URLS
export DEBUGINFOD_CACHE_PATH=$scratch/cache

objcopy -S "$program" "$scratch/umap_storm"
id=$(readelf -n "$program" | sed -n 's/.*Build ID: //p')
mkdir -p "$scratch/served/buildid/$id"
cat >"$scratch/serve.py" <<'END'
import http.server, os, sys
os.chdir(sys.argv[1])
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
END
exec {from_server}< <(exec python3 "$scratch/serve.py" "$scratch/served" 2>"$scratch/requests")
started $!
read -r port <&"$from_server"

# lines NAME OPTION...: whether its site has a line
play_stripped() {
	rm -rf "$scratch/cache"
	workload_start "$scratch/umap_storm"
	memtrace_start -q --format json -o "$scratch/report.json" -d 600 --max-overhead 100 "$@" --pid "$workload_pid"
	memtrace_attached || { memtrace_wait; workload_end; return; }
	say go && hear TRUTH
	memtrace_stop
	workload_end
}
lines() { jq -c '[.sites[] | select(.family == "map") | .line != null] | [length > 0, any]' "$scratch/report.json"; }

play_stripped
exits "not asked for: exit code" 0
is "not asked for: no lines" "$(lines)" "[true,false]"
is "not asked for: nobody is asked" "$(grep -c GET "$scratch/requests")" 0

play_stripped --debuginfod
exits "no servers: exit code" 3
says "no servers: what to set" "$scratch/memtrace.err" "set DEBUGINFOD_URLS"

export DEBUGINFOD_URLS=http://127.0.0.1:$port
play_stripped --debuginfod
exits "the server has nothing: exit code" 0
is "the server has nothing: no lines" "$(lines)" "[true,false]"
says "the server has nothing: it was asked" "$scratch/requests" "GET /buildid/$id/debuginfo .* 404"

objcopy --only-keep-debug /bin/bash "$scratch/served/buildid/$id/debuginfo"
play_stripped --debuginfod
exits "what it sends is another file's: exit code" 0
is "what it sends is another file's: no lines" "$(lines)" "[true,false]"

objcopy --only-keep-debug "$program" "$scratch/served/buildid/$id/debuginfo"
play_stripped --debuginfod
exits "exit code" 0
is "lines" "$(lines)" "[true,true]"
is "the line" "$(jq -c '[.sites[] | select(.family == "map" and (.file // "" | endswith("umap_storm.cc"))) | .line] | length > 0' "$scratch/report.json")" true

export DEBUGINFOD_URLS=http://127.0.0.1:1
play_stripped --debuginfod
exits "nobody answers: exit code" 0
is "nobody answers: no lines" "$(lines)" "[true,false]"
done_testing
