#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs in C and C++ as the distribution builds them, doing their work: they answer as without memtrace, and
# nothing is found in them that calls for action. What is not installed is skipped by name.
#
#     NATIVE_PROGRAMS="python compiler web_server data_base" NATIVE_SECONDS=10 prove tests/live/native_programs.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

seconds=${NATIVE_SECONDS:-1}
report=$scratch/report.json
field() { jq -r "$1" "$report"; }

# What must hold of every report.
judge() { # NAME
	exits "$1: exit code" 0
	is "$1: findings above INFO" "$(field '[.findings[] | select(.severity != "INFO") | .kind] | join(" ")')" ""
	is "$1: complete, nothing lost" "$(field '"\(.complete) \(.events.lost)"')" "true 0"
}

# trace NAME PID WORK...: attaches, has the work done over and over until the time is over, stops.
trace() {
	local name=$1 pid=$2 end

	shift 2
	memtrace_start -q --follow --format json -o "$report" -d "$PATIENCE" --pid "$pid"
	memtrace_attached && ok "$name: attaches" || not_ok "$name: attaches" "$(cat "$scratch/memtrace.err")"
	end=$((SECONDS + seconds))
	while [ "$SECONDS" -le "$end" ]; do "$@" >"$scratch/traced"; done
	memtrace_stop
	judge "$name"
}

python() {
	command -v python3 >/dev/null || { skip "python3" "it is not installed"; return; }
	cat >"$scratch/work.py" <<-'EOF'
		import sys
		print("ready", flush=True)
		for line in sys.stdin:
		    words, seen = [], {}
		    for i in range(20000):
		        words.append(str(i * 7919 % 10007))
		        seen[words[-1]] = seen.get(words[-1], 0) + 1
		    print(len(words), len(seen), sum(seen.values()), len(set(words)), flush=True)
	EOF
	workload_start python3 "$scratch/work.py" || { not_ok "python3 starts"; return; }
	answer() { say go; hear 20000; echo "$heard"; }
	answer >"$scratch/untraced"
	trace python3 "$workload_pid" answer
	is "python3: answers as before" "$(cat "$scratch/traced")" "$(cat "$scratch/untraced")"
	workload_end
}

compiler() {
	command -v g++ >/dev/null || { skip "g++" "it is not installed"; return; }
	g++ -O1 -std=c++17 -c tests/samples/lines.cc -o "$scratch/untraced.o"
	memtrace -q --follow --format json -o "$report" -- g++ -O1 -std=c++17 -c tests/samples/lines.cc -o "$scratch/traced.o"
	judge "g++"
	cmp "$scratch/untraced.o" "$scratch/traced.o" && ok "g++: the same code" || not_ok "g++: the same code"
}

web_server() {
	command -v nginx >/dev/null || { skip "nginx" "it is not installed"; return; }
	mkdir "$scratch/html"
	seq 1 5000 >"$scratch/html/numbers"
	chmod -R a+rX "$scratch"
	cat >"$scratch/nginx.conf" <<-EOF
		daemon off; pid $scratch/nginx.pid; error_log $scratch/nginx.log; worker_processes 1;
		events {}
		http {
			access_log off; gzip on; gzip_types *; root $scratch/html;
			client_body_temp_path $scratch/body; proxy_temp_path $scratch/proxy;
			fastcgi_temp_path $scratch/fastcgi; uwsgi_temp_path $scratch/uwsgi; scgi_temp_path $scratch/scgi;
			server { listen unix:$scratch/nginx.sock; }
		}
	EOF
	nginx -c "$scratch/nginx.conf" 2>"$scratch/nginx.err" &
	started $!
	server=$!
	get() { python3 -c '
import socket, sys
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(b"GET /numbers HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
    answer = b"".join(iter(lambda: s.recv(65536), b""))
import hashlib
print(hashlib.sha256(answer[answer.index(b"\r\n\r\n"):]).hexdigest())' "$scratch/nginx.sock"; }
	for _ in $(seq 100); do [ -S "$scratch/nginx.sock" ] && get >"$scratch/untraced" 2>/dev/null && break; sleep 0.05; done
	[ -s "$scratch/untraced" ] || { not_ok "nginx starts" "$(cat "$scratch/nginx.err" "$scratch/nginx.log")"; return; }
	trace nginx "$(pgrep -P "$server")" get
	is "nginx: answers as before" "$(cat "$scratch/traced")" "$(cat "$scratch/untraced")"
	kill "$server"
}

data_base() {
	local bin server

	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -x "$bin/postgres" ] && id postgres >/dev/null 2>&1 || { skip "PostgreSQL" "it is not installed"; return; }
	mkdir "$scratch/pg" && chown postgres "$scratch/pg" && chmod a+rx "$scratch"
	as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
	(cd "$scratch/pg" && as "$bin/initdb" -N -A trust -D "$scratch/pg/data" >"$scratch/pg.log" 2>&1)
	(cd "$scratch/pg" && exec setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" -F -k "$scratch/pg" \
		-c listen_addresses= -D "$scratch/pg/data" >>"$scratch/pg.log" 2>&1) &
	server=$!
	started "$server"
	query() { as "$bin/psql" -h "$scratch/pg" -At postgres -c "select count(*), sum(a), count(distinct a % 977)
		from (select generate_series(1, 100000) a) s" -c "select a % 97 b, count(*) from generate_series(1, 100000) a
		group by b order by b limit 3"; }
	for _ in $(seq 200); do query >"$scratch/untraced" 2>/dev/null && break; sleep 0.05; done
	[ -s "$scratch/untraced" ] || { not_ok "PostgreSQL starts" "$(tail -n 5 "$scratch/pg.log")"; return; }
	trace PostgreSQL "$server" query
	is "PostgreSQL: answers as before" "$(cat "$scratch/traced")" "$(cat "$scratch/untraced")"
	kill -INT "$server"
	wait "$server" 2>/dev/null
}

for program in ${NATIVE_PROGRAMS:-python compiler}; do "$program"; done
done_testing
