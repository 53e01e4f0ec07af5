#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Go toolchains for the tests, private and cached: nothing is installed, apt's sources stay as they are.
#
#     go_toolchains.sh VERSION...       fetches what is missing; one line each: "1.N GOROOT" or
#                                       "1.N missing: REASON". Always exits 0.
#     go_toolchains.sh --root VERSION   prints the GOROOT of one that is there, or fails; fetches nothing
#
# The packages come from the Debian suite that carries the version and are unpacked below
# $MEMTRACE_CACHE (~/.cache/memtrace)/go-1.N.
set -eu

me=go_toolchains.sh
# shellcheck source=tests/debian_suite.sh
. "$(dirname "$0")/debian_suite.sh"

suite_of() {
	case $1 in
	1.19) echo bookworm ;;
	1.21 | 1.22 | 1.23) echo bookworm-backports ;;
	1.24) echo trixie ;;
	1.26) echo sid ;;
	*) return 1 ;;
	esac
}

# The package golang-1.N-go of the system itself, or our own unpacked one.
find_root() {
	for root in "/usr/lib/go-$1" "$cache/go-$1/usr/lib/go-$1"; do
		# A broken unpacking would otherwise pass for a toolchain
		if [ -x "$root/bin/go" ] && [ -d "$root/src/runtime/" ] && [ -x "$root/pkg/tool/linux_amd64/compile" ]; then
			echo "$root"
			return 0
		fi
	done
	return 1
}

# Prints nothing, or the reason why not.
fetch() {
	suite_of "$1" >/dev/null || { echo "no Debian suite is known to carry it"; return 0; }
	suite_use "$(suite_of "$1")"
	reason=$(suite_read)
	[ -n "$reason" ] || reason=$(suite_unpack "$cache/go-$1" "golang-$1-go" "golang-$1-src")
	[ -z "$reason" ] || { echo "$reason"; return 0; }
	find_root "$1" >/dev/null || echo "unpacked, but it is not complete"
}

if [ "${1:-}" = --root ]; then
	find_root "$2" || { echo "$me: no Go $2 here; fetch it with: tests/go_toolchains.sh $2" >&2; exit 1; }
	exit 0
fi

for version; do
	reason=
	find_root "$version" >/dev/null || reason=$(fetch "$version")
	if root=$(find_root "$version"); then
		echo "$version $root"
	else
		echo "$version missing: ${reason:-unknown}"
	fi
done
