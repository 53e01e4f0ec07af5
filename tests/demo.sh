#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Shows memtrace at work: installs what building needs, builds, starts a small shop (a Go service with
# two memory problems) and customers for it, attaches, prints the report, stops what it started.
#
#     tests/demo.sh [SECONDS]      default 20
#
# Works as root, or as a user with sudo.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-20}
build=${BUILD:-build}
memtrace=$build/memtrace
shop= customers= work=

tests/setup.sh build demo
make -j"$(nproc)" BUILD="${BUILD:-build}" all

# The newest Go that memtrace knows and this machine has installed.
go_version() {
	for version in 1.26 1.24 1.23 1.22 1.21 1.19; do
		tests/go_toolchains.sh --root "$version" >/dev/null 2>&1 && echo "$version" && return 0
	done
	echo "demo.sh: no Go that memtrace knows (1.19, 1.21-1.24, 1.26) is installed" >&2
	return 1
}

clean_up() {
	for pid in $customers $shop; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || :
	done
	rm -rf "$work"
}

version=$(go_version)
programs=$build/workloads/go-$version
tests/build_workloads.sh "$version" shop apiload

work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM
mkfifo "$work/in" "$work/out"
# Both ends open, so that neither side waits for the other or sees an end
exec 3<>"$work/in"
"$programs/shop" <"$work/in" >"$work/out" 3>&- &
shop=$!
exec 4<"$work/out"
# Its first line, "ready ADDRESS", comes when it is open for business
read -r _ address <&4 || { echo "demo.sh: the shop does not open" >&2; exit 1; }
"$programs/apiload" "$address" /order 1000000000 4 >/dev/null 3>&- 4<&- &
customers=$!

echo "demo.sh: shop (Go $version) is pid $shop, on $address, with customers; watching it for $seconds s" >&2
set -- "$memtrace" -d "$seconds" --pid "$shop"
[ "$(id -u)" = 0 ] || set -- sudo "$@"
"$@" 3>&- 4<&-
