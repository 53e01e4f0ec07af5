#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What can be wrong with what memtrace is given: one clear line on stderr, the exit code of the manual,
# nothing lost that was gathered, nothing left in the kernel.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
version=$(any_go) || skip_all "no Go toolchain"
emptied=$(workload "$version" map_emptied) || { echo "Bail out! map_emptied does not build"; exit 1; }
report=$scratch/report.json
chmod 755 "$scratch"
kernel_orphans >"$scratch/before"

# refused NAME CODE PATTERN: the last run ended so, and said so in one line.
refused() {
	if [ "$status" = "$2" ] && [ "$(wc -l <"$scratch/memtrace.err")" = 1 ] && grep -Eqi -- "$3" "$scratch/memtrace.err"; then
		ok "$1"
	else
		not_ok "$1" "exit code $status, wanted $2; stderr, wanted one line like '$3':" "$(head -n 5 "$scratch/memtrace.err")"
	fi
}

# survived NAME CODE...: it ended by itself with one of the codes, and without a crash.
survived() {
	local name=$1 code
	shift
	for code; do
		if [ "$status" = "$code" ]; then ok "$name"; return; fi
	done
	not_ok "$name" "exit code $status, wanted one of: $*" "$(head -n 5 "$scratch/memtrace.err")"
}

# A process in the background, with an input on which nothing ever comes; its pid is in $idle, the
# first line of its output in $named. Once it has said that, it runs what it is meant to run.
mkfifo "$scratch/never"
exec {never}<>"$scratch/never"
background() {
	rm -f "$scratch/named"
	mkfifo "$scratch/named"
	"$@" <&"$never" >"$scratch/named" 2>/dev/null &
	idle=$!
	started "$idle"
	exec {named_fd}<"$scratch/named"
	IFS= read -r -t "$PATIENCE" named <&"$named_fd"
}

usage_errors() {
	while IFS='|' read -r name args; do
		# shellcheck disable=SC2086
		memtrace $args
		exits "usage: $name" 2
	done <<-'END'
		nothing to trace|
		an unknown option|--no-such-option
		a pid that is no number|--pid abc
		a pid of 0|--pid 0
		a negative duration|-d -1 --pid 1
		an unknown format|--format runes --pid 1
		an unknown threshold|--set no-such-rule.seconds=1 --pid 1
		a threshold that is no number|--set retained-buckets.seconds=many --pid 1
		a pid and a command|--pid 1 -- true
	END
}

no_such_pid() {
	(exit 0) &
	gone=$!
	wait "$gone"
	memtrace -d 1 --pid "$gone"
	refused "no such pid" 3 "$gone"
}

exits_while_attaching() {
	for delay in 0 0 0.01 0.02 0.05 0.1 0.2; do
		workload_start "$emptied" || return
		memtrace_start -q --format json -o "$report" -d "$PATIENCE" --pid "$workload_pid"
		# The moment is what varies here; nothing is waited for
		sleep "$delay"
		kill -KILL "$workload_pid"
		wait "$workload_pid" 2>/dev/null
		workload_pid=
		memtrace_wait
		survived "a target that dies $delay s after the start" 0 3 4
	done
	workload_start "$emptied" || return
	memtrace_start -q --format json -o "$report" -d "$PATIENCE" --pid "$workload_pid"
	memtrace_attached
	say go && hear TRUTH
	kill -KILL "$workload_pid"
	wait "$workload_pid" 2>/dev/null
	workload_pid=
	memtrace_wait
	survived "a target that dies while it is traced ends the run" 0 4
	grep -q '"growths"' "$report" && ok "what was gathered is reported" || not_ok "what was gathered is reported"
}

kernel_thread() {
	for stat in /proc/[0-9]*/stat; do
		flags=$(sed 's/.*) //' "$stat" 2>/dev/null | cut -d ' ' -f 7)
		[ $((${flags:-0} & 0x200000)) = 0 ] && continue
		kthread=${stat#/proc/}
		memtrace -d 1 --pid "${kthread%/stat}"
		refused "a kernel thread" 3 "kernel thread"
		return
	done
	skip "a kernel thread" "none can be seen from here"
}

zombie() {
	# Waits for the child's end without reaping it
	background python3 -c 'import os
child = os.fork()
if not child:
    os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
os.read(0, 1)'
	memtrace -d 1 --pid "$named"
	refused "a zombie" 3 "zombie|ended|exited"
}

launcher() {
	# Without "exec 3<&0" a shell gives its background processes /dev/null to read
	background sh -c 'exec 3<&0; "$1" <&3 & wait' sh "$emptied"
	child=$(tr -d ' ' <"/proc/$idle/task/$idle/children")
	started "$child"
	memtrace -d 1 --pid "$idle"
	refused "a launcher: the program below it is named" 3 "$child"
}

commands() {
	memtrace -- /no/such/program
	refused "a command that is not there" 127 "/no/such/program"
	echo "exit 9" >"$scratch/text"
	memtrace -- "$scratch/text"
	refused "a command that may not be executed" 126 "text"
	chmod 755 "$scratch/text"
	memtrace -q -- "$scratch/text"
	exits "a file that is no ELF and names no interpreter goes to the shell, as execvp(3) has it" 9
	head -c 64 "$emptied" >"$scratch/short" && chmod 755 "$scratch/short"
	# What the shell makes of it may be a redirection: where it does no harm
	mkdir "$scratch/elsewhere"
	here=$PWD program=$(realpath -s "$MEMTRACE")
	cd "$scratch/elsewhere" || return
	MEMTRACE=$program memtrace -q -- "$scratch/short"
	cd "$here" || exit
	survived "a command of 64 bytes of ELF, of which the shell makes nothing either" 2 126 127
	memtrace -q -d 60 -- sh -c 'exit 7'
	exits "a command's own exit code passes through" 7
}

# An i386 program of a few bytes: it says its pid by being there, then pauses for ever.
thirty_two_bit() {
	python3 - "$scratch/i386" <<-'END'
		import os, struct, sys
		code = bytes.fromhex("b81d000000cd80ebf7")  # again: mov $29 (pause), %eax; int $0x80; jmp again
		base, start = 0x8048000, 84
		header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
		segment = struct.pack("<IIIIIIII", 1, 0, base, base, start + len(code), start + len(code), 5, 4096)
		with open(sys.argv[1], "wb") as file:
		    file.write(header + segment + code)
		os.chmod(sys.argv[1], 0o755)
	END
	"$scratch/i386" 2>/dev/null &
	i386=$!
	started "$i386"
	until [ "$(readlink "/proc/$i386/exe")" != "$(readlink /proc/$$/exe)" ]; do :; done
	if [ "$(readlink "/proc/$i386/exe")" != "$scratch/i386" ]; then
		skip "a 32-bit program" "this kernel does not run one"
		return
	fi
	memtrace -d 1 --pid "$i386"
	refused "a 32-bit program" 3 "32-bit"
}

# Cut behind the last segment: it runs, but has no section headers and no symbols any more.
truncated() {
	end=$(python3 - "$emptied" <<-'END'
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		offset, = struct.unpack_from("<Q", data, 32)
		size, count = struct.unpack_from("<HH", data, 54)
		segments = [struct.unpack_from("<IIQQQQQQ", data, offset + i * size) for i in range(count)]
		print(max(s[2] + s[5] for s in segments if s[0] == 1))
	END
	)
	head -c "$end" "$emptied" >"$scratch/truncated"
	chmod 755 "$scratch/truncated"
	mkdir "$scratch/empty"
	# What the kernel refuses to start, a shell (and execvp) reads as a script, which may write anywhere
	workload_start python3 -c 'import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])' \
		"$scratch/empty" "$scratch/truncated" || { not_ok "a truncated ELF file runs"; return; }
	memtrace -q -d 0 --format json -o "$report" --pid "$workload_pid"
	survived "a truncated ELF file" 0 3 4
	workload_end
	is "a truncated ELF file is run by nobody but the kernel" "$(ls -A "$scratch/empty")" ""
}

unknown_version() {
	python3 - "$emptied" "$scratch/future" <<-'END'
		import os, re, sys
		data = open(sys.argv[1], "rb").read()
		known = re.search(rb"go1\.\d+\.\d+", data).group(0)
		future = (b"go1.99." + b"1" * len(known))[:len(known)]
		with open(sys.argv[2], "wb") as file:
		    file.write(data.replace(known, future))
		os.chmod(sys.argv[2], 0o755)
	END
	workload_start "$scratch/future" || { not_ok "a program of Go 1.99 runs"; return; }
	memtrace -d 1 --pid "$workload_pid"
	cat "$scratch/memtrace.out" "$scratch/memtrace.err" >"$scratch/both"
	says "an unknown Go version is refused by name" "$scratch/both" 'go1\.99'
	survived "and the run is no crash" 0 3
	future=$workload_pid
	background "$emptied"
	memtrace -q -d 0 --format json -o "$report" --pid "$future,$idle"
	exits "the rest goes on" 0
	says "with the unknown version named in the report" "$report" 'go1\.99'
	says "and the other program looked at" "$report" '"go1\.(19|2[0-9])'
	workload_end
}

hostile_memory() {
	for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
		program=$(workload "$version" hostile) || { skip "hostile memory, Go $version" "no such toolchain here"; continue; }
		workload_start "$program" && say go && hear TRUTH || { not_ok "hostile runs"; continue; }
		truth=$heard
		for seconds in 0 1; do
			memtrace -q -d "$seconds" --format json -o "$report" --pid "$workload_pid"
			survived "hostile memory, Go $version, -d $seconds" 0 4
			renumber < <("$live/check_expect.py" tests/live/hostile.expect workloads/go/hostile.go "$version" "$report" "$truth")
		done
		workload_end
	done
}

missing_privilege() {
	cp "$MEMTRACE" "$scratch/memtrace"
	background "$emptied"
	timeout "$PATIENCE" setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all \
		"$scratch/memtrace" -d 1 --pid "$idle" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err"
	status=$?
	refused "no privileges: what is missing is named" 3 'root|CAP_|sudo'
	timeout "$PATIENCE" setpriv --bounding-set=-bpf,-perfmon,-sys_admin --inh-caps=-all \
		"$scratch/memtrace" -d 1 --pid "$idle" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err"
	status=$?
	refused "no CAP_BPF: it is named" 3 'CAP_BPF|CAP_SYS_ADMIN'
}

no_btf() {
	background "$emptied"
	timeout "$PATIENCE" unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh \
		"$MEMTRACE" -d 1 --pid "$idle" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err"
	status=$?
	refused "a kernel without BTF" 3 BTF
	timeout "$PATIENCE" unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh \
		"$MEMTRACE" -q -d 0 --pid "$idle" >"$scratch/memtrace.out" 2>"$scratch/memtrace.err"
	is "reading needs no BTF" $? 0
}

output() {
	workload_start "$emptied" && say go && hear TRUTH || return
	memtrace -q -d "$PATIENCE" --format json -o "$scratch/none/report.json" --pid "$workload_pid"
	refused "an output file that cannot be made, said before the run" 3 "none/report.json"
	memtrace -q -d 0 --format json -o /dev/full --pid "$workload_pid"
	refused "a full disk" 3 '/dev/full.*no space left'
	timeout "$PATIENCE" "$MEMTRACE" -q -d 0 --pid "$workload_pid" >/dev/full 2>"$scratch/memtrace.err"
	status=$?
	refused "standard output on a full disk" 3 'no space left'
	workload_end
}

# The wall clock says when a session was, and nothing else: what lasts is measured by the other one.
clock_jumps() {
	local real now

	"${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -O1 -Wall -o "$scratch/jumps.so" tests/samples/clock_jumps.c || { not_ok "clock_jumps.c builds"; return; }
	workload_start "$emptied" && say go && hear TRUTH || { not_ok "the program acts"; return; }
	timeout "$PATIENCE" env LD_PRELOAD="$scratch/jumps.so" "$MEMTRACE" -q -d 1 --set retained-buckets.seconds=0.5 \
		--format json -o "$report" --pid "$workload_pid" 2>"$scratch/memtrace.err"
	is "a wall clock that jumps by hours: exit code" $? 0
	workload_end
	real=$(jq '.clock.real_ns / 1e9 | floor' "$report") now=$(date +%s)
	[ $((now - real)) -gt 3000 ] || [ $((real - now)) -gt 3000 ] && ok "it has jumped" || not_ok "it has jumped" "$real, not far from $now"
	is "the session lasted as long as it did" "$(jq ".duration_s >= 1 and .duration_s < $PATIENCE" "$report")" true
	is "and what it saw lasted no longer" "$(jq '[.findings[] | select(.kind == "retained-buckets") | .evidence.since_ns / 1e9] | length == 1 and .[0] <= '"$PATIENCE" "$report")" true
	is "what happened last, and steps, lie in it" "$(jq '(.clock.mono_ns + .duration_s * 1e9) as $over |
		[.targets[].recent[]?.time_ns, .spikes[].end_ns] | all(. >= 0 and . <= $over + 1e9)' "$report")" true
}

usage_errors
clock_jumps
no_such_pid
exits_while_attaching
kernel_thread
zombie
launcher
commands
thirty_two_bit
truncated
unknown_version
hostile_memory
missing_privilege
no_btf
output
if nothing_left "$scratch/before"; then ok "nothing is left in the kernel"; else not_ok "nothing is left in the kernel" "$left"; fi
done_testing
