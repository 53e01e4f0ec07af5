#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Python 3.11 as Debian 12 builds it, stripped, and beside it the names that python3-dbg has for it: private,
# below ~/.cache/memtrace (60 MB to fetch once).
#
#     python_symbols.sh            fetches it; prints nothing, or the reason why not
#     python_symbols.sh --root     prints where it is; exit code 1 where it is not
set -eu
# shellcheck source=tests/debian_suite.sh
. "$(dirname "$0")/debian_suite.sh"

root=$cache/python-3.11
python=$root/usr/bin/python3.11

there() { [ -x "$python" ] && [ -d "$root/usr/bin/.debug" ]; }

if [ "${1:-}" = --root ]; then
	there && echo "$root"
	exit
fi
! there || exit 0

# The package list of the suite, whatever version this machine has.
version() { suite_apt apt-cache madison "$1" 2>/dev/null | cut -d '|' -f 2 | tr -d ' ' | head -n 1; }

build_id() { readelf -n "$1" | sed -n 's/.*Build ID: //p'; }

suite_use bookworm
why=$(suite_read)
[ -z "$why" ] || { echo "$why"; exit 0; }
set --
for package in python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3.11-dbg; do
	set -- "$@" "$package=$(version "$package")"
done
why=$(suite_unpack "$root" "$@")
[ -z "$why" ] || { echo "$why"; exit 0; }
# Where a debugger looks for what a debug link names; the rest of the debug package is not needed.
id=$(build_id "$python")
debug=$root/usr/lib/debug/.build-id/$(echo "$id" | cut -c 1-2)/$(echo "$id" | cut -c 3-).debug
[ -f "$debug" ] || { echo "python3.11-dbg has no names for python3.11"; exit 0; }
mkdir "$root/usr/bin/.debug"
mv "$debug" "$root/usr/bin/.debug/$(basename "$debug")"
rm -rf "$root/usr/lib/debug" "$root"/usr/bin/python3.11d* "$root"/usr/bin/*-dbg*
