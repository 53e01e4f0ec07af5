#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Keeps what tests say below $MEMTRACE_TAP, so that the end of make check can be told in a few lines:
#
#     tap.sh run COMMAND [ARG...]     runs a test that prints TAP; also under prove --exec
#     tap.sh criterion PROGRAM...     runs unit tests, all of them even where one fails
#     tap.sh note NAME STATUS         one result of something that prints no TAP
#     tap.sh parts MAKE TARGET...     makes all of them, also where one fails, and sums up: what failed,
#                                     what was skipped and why, how many of each; A+B: both at a time
#     tap.sh sum                      the summary alone; exit code 1 where anything failed, or nothing ran
set -u -o pipefail

# What a test did not live to tell.
check_end() { # FILE NAME STATUS
	local told planned

	told=$(grep -cE '^(not )?ok\b' "$1")
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$1" | head -n 1)
	if [ "${planned:-none}" != "$told" ]; then
		echo "not ok - $2 ended with $3 after $told of ${planned:-unknown} tests" >>"$1"
	elif [ "$3" != 0 ] && ! grep -q '^not ok' "$1"; then
		echo "not ok - $2 ended with $3" >>"$1"
	fi
}

new_file() { # NAME
	mkdir -p "$dir"
	mktemp "$dir/${1##*/}.XXXXXX"
}

run() {
	local file status

	file=$(new_file "$1")
	"$@" | tee "$file"
	status=$?
	check_end "$file" "$1" "$status"
	return "$status"
}

criterion() {
	local file status failed=0

	for program; do
		echo "== $program"
		file=$(new_file "$program")
		"$program" -j "${JOBS:-2}" --quiet --tap="$file"
		status=$?
		check_end "$file" "$program" "$status"
		[ "$status" = 0 ] || failed=1
	done
	return "$failed"
}

note() {
	mkdir -p "$dir"
	[ "$2" = 0 ] && echo "ok - $1" >>"$dir/notes" || echo "not ok - $1 ended with $2" >>"$dir/notes"
}

results() { cat "$dir"/* 2>/dev/null | grep -E '^((not )?ok|1\.\.0 # SKIP)\b'; }
count() { results | grep -cE "$1"; }

# With what each said of itself, as far as a summary can hold it.
failures() {
	cat "$dir"/* 2>/dev/null | awk -v lines=12 '
		/^not ok/ { sub(/^not ok( [0-9]+)?( - )?/, "FAILED   "); print; left = lines; next }
		/^ *#/    { if (left-- > 0) print "         " substr($0, 1, 200); next }
			  { left = 0 }'
}

sum() {
	local failed passed skipped

	skipped=$(count '^(ok\b.*|1\.\.0) # SKIP')
	failed=$(count '^not ok\b')
	passed=$(($(count '^ok\b') - $(count '^ok\b.* # SKIP')))
	echo
	results | grep -E ' # SKIP' | sed -E 's/^(ok( [0-9]+)?( - )?|1\.\.0 )/skipped  /; s/ *# SKIP/:/' | sort | uniq -c |
		sed -E 's/^ *1 //; s/^ *([0-9]+) (.*)/\2 (\1 times)/'
	failures
	[ -z "${times:-}" ] || echo "seconds:$times"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# What several say at a time is told one after the other.
make_part() { # MAKE A+B
	local make=$1 status=0 pids=() outputs output part

	outputs=$(mktemp -d)
	for part in ${2//+/ }; do
		$make "$part" >"$outputs/$part" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
	for output in "$outputs"/*; do cat "$output"; done
	rm -rf "$outputs"
	return "$status"
}

parts() {
	local make=$1 before start status

	rm -rf "$dir"
	for part in "${@:2}"; do
		before=$(count '^not ok') start=$SECONDS
		case $part in
		*+*) make_part "$make" "$part" ;;
		*) $make "$part" ;;
		esac
		status=$?
		# What does not even build fails no test
		[ "$status" = 0 ] || [ "$(count '^not ok')" != "$before" ] || note "make $part" "$status"
		times="${times:-} $part $((SECONDS - start))"
	done
	sum
}

dir=${MEMTRACE_TAP:-${BUILD:-build}/tap}
"$@"
