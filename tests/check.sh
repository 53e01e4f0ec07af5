#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# From a fresh checkout to a tested build: installs what is missing, builds, runs make check (or the
# make targets given). Works as root, or as a user with sudo; the live tests load BPF and need root.
set -eu
cd "$(dirname "$0")/.."

tests/setup.sh build demo test
[ $# -gt 0 ] || set -- check
rm -rf "${BUILD:-build}/tap"
make -j"$(nproc)" BUILD="${BUILD:-build}" all test-programs
[ "$(id -u)" = 0 ] || as_root="sudo env HOME=$HOME PATH=$PATH"
code=0
${as_root:-} make BUILD="${BUILD:-build}" "$@" || code=$?
# Where make has had the last word: the figures once more
[ "$code" = 0 ] || tests/tap.sh sum | tail -n 1
exit "$code"
