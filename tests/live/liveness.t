#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Alive, dead, unproven: what a census and looks say of 400 maps that come and go while the program
# collects, ROUNDS times, against what the program says. Unproven is allowed, wrong is not.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root

for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	program=$(workload "$version" liveness 2>/dev/null) || { skip "Go $version" "no such toolchain here"; continue; }
	counts=$("$BUILD/test-live/liveness" "$program" "${ROUNDS:-30}" 2>"$scratch/liveness.err")
	is "Go $version: exit code" "$?" 0
	echo "# Go $version: $counts"
	for wrong in missing false_dead false_proven; do
		is "Go $version: $wrong" "$(echo "$counts" | sed -n "s/.* $wrong=\([0-9]*\).*/\1/p")" 0
	done
	for right in proven unproven dead; do
		is "Go $version: some were $right" "$(echo "$counts" | grep -c " $right=[1-9]")" 1
	done
	sed 's/^/# /' "$scratch/liveness.err"
done
done_testing
