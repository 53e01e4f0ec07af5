# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What the live tests share (bash; they run under prove from the top of the tree): TAP, one workload
# on two pipes, one memtrace with its ready descriptor. Nothing here sleeps: it waits for a line, for
# a byte, for the end of a process (nothing_left alone has to look again). Whatever was started is ended by its pid when the test ends.

BUILD=${BUILD:-build}
MEMTRACE=${MEMTRACE:-$BUILD/memtrace}
PATIENCE=${PATIENCE:-60}	# seconds until a silent partner counts as a failure
live=tests/live
scratch=$(mktemp -d "${TMPDIR:-/tmp}/memtrace-live.XXXXXX")
tests_run=0
workload_pid= memtrace_pid= started_pids=

# ---- TAP ----

ok() { tests_run=$((tests_run + 1)); echo "ok $tests_run - $1"; }
not_ok() {
	tests_run=$((tests_run + 1))
	echo "not ok $tests_run - $1"
	shift
	for note; do printf '%s\n' "$note" | sed 's/^/# /'; done
}
skip() { tests_run=$((tests_run + 1)); echo "ok $tests_run - $1 # SKIP $2"; }
skip_all() { echo "1..0 # SKIP $1"; exit 0; }
done_testing() { echo "1..$tests_run"; }

# is NAME ACTUAL WANTED; says NAME FILE PATTERN
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "is:     $2" "wanted: $3"; fi
}
says() {
	if grep -Eq -- "$3" "$2"; then ok "$1"; else not_ok "$1" "wanted: $3" "is:" "$(head -c 2000 "$2")"; fi
}

# exits NAME WANTED: the exit code of the last memtrace; where it is another one, what it said of itself.
exits() {
	[ "$status" = "$2" ] && ok "$1" && return
	not_ok "$1" "is:     $status" "wanted: $2" "$(tail -n 5 "$scratch/memtrace.err" 2>/dev/null)" \
		"$(grep -E -A 2 'Incomplete|were lost|"incomplete"|"lost": *[1-9]' "$scratch/memtrace.out" 2>/dev/null | cut -c 1-300)"
}

# Lines "ok - ..." and "not ok - ..." of others, numbered.
renumber() {
	while IFS= read -r line; do
		case $line in
		'ok - '*) tests_run=$((tests_run + 1)); echo "ok $tests_run${line#ok}" ;;
		'not ok - '*) tests_run=$((tests_run + 1)); echo "not ok $tests_run${line#not ok}" ;;
		*) echo "$line" ;;
		esac
	done
}

needs_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }
needs_memtrace() { [ -x "$MEMTRACE" ] || { echo "Bail out! $MEMTRACE is not there: run make"; exit 1; }; }

# ---- workloads ----

# What a variant is written in: 1.23-stripped is Go, c++-O2 is C++, c-O2 is C.
language() {
	case $1 in
	c++*) echo cxx ;;
	c | c-*) echo c ;;
	rust*) echo rust ;;
	*) echo go ;;
	esac
}

# Where the sources of a variant's workload NAME are, without suffix.
source_of() { echo "workloads/$(language "$1")/$2"; }

# workload VARIANT NAME: its path, built where necessary. Fails where that compiler is not there.
workload() {
	if [ "$(language "$1")" != go ]; then
		tests/build_native.sh "$1" "$2" && echo "$BUILD/workloads/$1/$2"
		return
	fi
	tests/build_workloads.sh "$1" "$2" && [ -x "$BUILD/workloads/go-$1/$2" ] && echo "$BUILD/workloads/go-$1/$2"
}

# The Go version for tests that need just one: the first of GO_VERSIONS that is there.
any_go() {
	for version in ${GO_VERSIONS:-1.19 1.23 1.26 1.24}; do
		tests/go_toolchains.sh --root "$version" >/dev/null 2>&1 && echo "$version" && return 0
	done
	return 1
}

# Starts a program that speaks the protocol and waits for its "ready"; its facts are in $facts after.
workload_start() {
	coproc WORKLOAD { exec "$@" 2>"$scratch/workload.err"; }
	workload_pid=$WORKLOAD_PID
	exec {workload_in}>&"${WORKLOAD[1]}"- {workload_out}<&"${WORKLOAD[0]}"-
	hear ready || return 1
	facts=${heard#ready}
	facts=${facts# }
}

say() { echo "$1" >&"$workload_in"; }

# Reads lines until one that begins with one of the words; it is in $heard. Fails at the end of the output.
hear() {
	while IFS= read -r -t "$PATIENCE" heard <&"$workload_out"; do
		for word; do case $heard in "$word"*) return 0 ;; esac; done
	done
	return 1
}

# check EXPECT NAME VERSION [REPORT]: the report of workload NAME against $truth, numbered.
check() {
	renumber < <("$live/check_expect.py" "$1" "workloads/go/$2.go" "$3" "${4:-$scratch/report.json}" "${truth:-TRUTH}")
}

play() {
	tests/live/scenario.sh "$1" "$2" >"$scratch/$1.$2" 2>&1
	flock "$scratch/lock" sed "s/^\(not \)\{0,1\}ok - /&$1 $2: /" "$scratch/$1.$2"
}
export -f play

# play_matrix FILE: lines "play VARIANT NAME" (eight play at a time: most of their time they wait), "skip WHAT: WHY" and "broken WHAT: WHY".
play_matrix() {
	export scratch
	while IFS= read -r line; do skip "${line%%:*}" "${line#*: }"; done < <(sed -n 's/^skip //p' "$1")
	while IFS= read -r line; do not_ok "$line"; done < <(sed -n 's/^broken //p' "$1")
	renumber < <(sed -n 's/^play //p' "$1" | xargs -r -P "${JOBS:-8}" -L 1 bash -c 'play "$0" "$1"')
}

# Ends it the polite way and waits until it is gone.
workload_end() {
	[ -n "$workload_pid" ] || return 0
	# Twice: it may still wait for its start
	{ say end; say end; } 2>/dev/null
	exec {workload_in}>&- {workload_out}<&-
	wait "$workload_pid" 2>/dev/null
	workload_pid=
}

# ---- memtrace ----

# memtrace_start ARG...: in the background; stdout, stderr in $scratch/memtrace.{out,err}. It holds the
# pipe's end twice: as its ready descriptor, and unknown to it, so that the pipe ends when it does.
# A shell without job control starts what is in the background with SIGINT ignored, and whoever finds it
# ignored leaves it so: memtrace_stop needs the default.
memtrace_start() {
	exec {ready_fd}< <(exec {fd}>&1 {alive}>&1 >"$scratch/memtrace.out" 2>"$scratch/memtrace.err" </dev/null
		exec env --default-signal=INT "$MEMTRACE" --ready-fd "$fd" "$@")
	memtrace_pid=$!
}

# Waits for the byte that says that everything is attached; fails if memtrace ends before.
memtrace_attached() { IFS= read -r -n 1 -t "$PATIENCE" <&"$ready_fd"; }

# memtrace_ended SECONDS: whether it ends within so long.
memtrace_ended() {
	IFS= read -r -n 1 -t "$1" <&"$ready_fd"
	[ $? = 1 ]
}

# memtrace_wait [SECONDS]: waits for its end; the exit code is in $status, "hangs" where it does not end.
memtrace_wait() {
	local ended=0

	while [ "$ended" = 0 ]; do
		IFS= read -r -n 1 -t "$((PATIENCE + ${1:-0}))" <&"$ready_fd"
		ended=$?
	done
	# Above 128 read ran out of time, else it saw the end
	[ "$ended" -le 128 ] || kill -KILL "$memtrace_pid"
	wait "$memtrace_pid" 2>/dev/null
	status=$?
	[ "$ended" -le 128 ] || status="hangs"
	exec {ready_fd}<&-
	memtrace_pid=
}

# One Ctrl-C: it stops and reports.
memtrace_stop() {
	kill -INT "$memtrace_pid" 2>/dev/null
	memtrace_wait
}

# memtrace ARG...: in the foreground, for runs that end by themselves.
memtrace() {
	timeout "$PATIENCE" "$MEMTRACE" "$@" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err" </dev/null
	status=$?
}

# ---- what is left in the kernel ----

bpftool_bin() { command -v bpftool || command -v /usr/sbin/bpftool; }

# Programs and links that no process owns: what a tracer left behind. Others' are there before and after.
kernel_orphans() {
	for kind in prog link; do
		"$(bpftool_bin)" -j "$kind" show 2>/dev/null |
			python3 -c 'import json, sys
for thing in json.load(sys.stdin):
    if not thing.get("pids"):
        print(sys.argv[1], thing["id"], thing.get("name", thing.get("type")))' "$kind"
	done | sort
}

# The kernel frees links a grace period after their last owner closed them and tells nobody when, so
# this looks again until then.
nothing_left() {
	for _ in $(seq 100); do
		left=$(kernel_orphans | comm -13 "$1" -)
		[ -n "$left" ] || return 0
		sleep 0.05
	done
	return 1
}

# ---- the end ----

# started PID...: to be ended with the test.
started() { started_pids="$started_pids $*"; }

cleanup() {
	for pid in $memtrace_pid $workload_pid $started_pids; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# A partner that has gone already is seen by what comes back, not by a signal
trap : PIPE
