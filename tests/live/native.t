#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every C++ workload with an .expect in every variant of CXX_VARIANTS (words of tests/build_native.sh), two
# at a time.
#
#     CXX_VARIANTS="c++-O2" CXX_WORKLOADS="umap_emptied" prove tests/live/native.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

variants=${CXX_VARIANTS:-c++-O2 c++-O2-static-stripped}
names=${CXX_WORKLOADS:-$(ls workloads/cxx/*.expect | sed 's#.*/##; s/\.expect$//')}
export BUILD MEMTRACE PATIENCE

# One line for each scenario: play, skip (why) or broken (why).
matrix() {
	for variant in $variants; do
		# shellcheck disable=SC2086
		tests/build_native.sh "$variant" $names >&2
		case $? in
		0) for name in $names; do echo "play $variant $name"; done ;;
		3) echo "skip $variant: its compiler is not there" ;;
		*) echo "broken $variant: workloads do not build" ;;
		esac
	done
}

play() {
	tests/live/scenario.sh "$1" "$2" >"$scratch/$1.$2" 2>&1
	flock "$scratch/lock" sed "s/^\(not \)\{0,1\}ok - /&$1 $2: /" "$scratch/$1.$2"
}
export -f play
export scratch

matrix >"$scratch/matrix"
while IFS= read -r line; do skip "${line%%:*}" "${line#*: }"; done < <(sed -n 's/^skip //p' "$scratch/matrix")
while IFS= read -r line; do not_ok "$line"; done < <(sed -n 's/^broken //p' "$scratch/matrix")
renumber < <(sed -n 's/^play //p' "$scratch/matrix" | xargs -r -P "${JOBS:-2}" -L 1 bash -c 'play "$0" "$1"')
done_testing
