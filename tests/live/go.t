#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every Go workload with an .expect, on every version of GO_VERSIONS and in every mode of GO_MODES
# (plain, stripped, pie, cgo). A toolchain that is not there is one named skip. Eight play at a time: most of their time they wait.
#
#     GO_VERSIONS="1.23" GO_WORKLOADS="map_grow" prove tests/live/go.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

versions=${GO_VERSIONS:-1.19 1.23 1.26}
modes=${GO_MODES:-plain}
names=${GO_WORKLOADS:-$(ls workloads/go/*.expect | sed 's#.*/##; s/\.expect$//')}
export BUILD MEMTRACE PATIENCE

# One line for each scenario: play, skip (why) or broken (why).
matrix() {
	for version in $versions; do
		tests/go_toolchains.sh "$version" >"$scratch/toolchain"
		reason=$(sed -n 's/.* missing: //p' "$scratch/toolchain")
		[ -z "$reason" ] || { echo "skip Go $version: $reason"; continue; }
		for mode in $modes; do
			variant=$version-$mode
			variant=${variant%-plain}
			tests/build_workloads.sh "$variant" >&2 || { echo "broken Go $variant: workloads do not build"; continue; }
			for name in $names; do
				[ -x "$BUILD/workloads/go-$variant/$name" ] && echo "play $variant $name" ||
					echo "skip $name on Go $variant: this version cannot compile it"
			done
		done
	done
}

matrix >"$scratch/matrix"
play_matrix "$scratch/matrix"
done_testing
