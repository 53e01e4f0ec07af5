#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# From a fresh checkout to a tested build: installs what is missing, builds, runs make check (or the
# make targets given). Works as root, or as a user with sudo; the live tests load BPF and need root.
set -eu
cd "$(dirname "$0")/.."

tests/setup.sh build demo test
make -j"$(nproc)" BUILD="${BUILD:-build}" all
[ $# -gt 0 ] || set -- check
if [ "$(id -u)" = 0 ]; then
	exec make BUILD="${BUILD:-build}" "$@"
fi
exec sudo env HOME="$HOME" PATH="$PATH" make BUILD="${BUILD:-build}" "$@"
