#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# One Go executable of each version that this machine has, and a stripped and a PIE one, as links in
# $BUILD/go-samples: what the unit tests of the parser read.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
samples=$BUILD/go-samples
export BUILD

rm -rf "$samples"
mkdir -p "$samples"
for version in ${GO_VERSIONS:-1.19 1.23 1.26}; do
	tests/go_toolchains.sh "$version" >/dev/null
	tests/go_toolchains.sh --root "$version" >/dev/null 2>&1 || continue
	for variant in "$version" "$version-stripped" "$version-pie"; do
		tests/build_workloads.sh "$variant" map_grow
		ln "$BUILD/workloads/go-$variant/map_grow" "$samples/map_grow-$variant"
	done
done
