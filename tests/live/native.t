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

matrix >"$scratch/matrix"
play_matrix "$scratch/matrix"
done_testing
