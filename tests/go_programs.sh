#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs written in Go that the tests run under load, private and cached: nothing is installed, so none of
# their services is started, and apt's sources stay as they are.
#
#     go_programs.sh NAME...    fetches those that are neither installed nor cached; prints the directory to
#                               look for them in besides PATH, and on stderr what could not be had. Exits 0.
#
# The packages come from Debian 12 and are unpacked below $MEMTRACE_CACHE (~/.cache/memtrace)/programs.
set -eu

# shellcheck source=tests/debian_suite.sh
. "$(dirname "$0")/debian_suite.sh"

fetch() {
	suite_use bookworm
	reason=$(suite_read)
	[ -z "$reason" ] && reason=$(suite_unpack "$cache/programs/$1" "$1")
	[ -z "$reason" ] || echo "go_programs.sh: $1: $reason" >&2
}

mkdir -p "$cache/programs/bin"
for name; do
	if command -v "$name" >/dev/null; then continue; fi
	case $name in
	influxd) package=influxdb ;;
	*) package=$name ;;
	esac
	[ -x "$cache/programs/$package/usr/bin/$name" ] || fetch "$package"
	[ ! -x "$cache/programs/$package/usr/bin/$name" ] ||
		ln -sf "../$package/usr/bin/$name" "$cache/programs/bin/$name"
done
echo "$cache/programs/bin"
