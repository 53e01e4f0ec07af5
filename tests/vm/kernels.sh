#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Kernels for the VM tests, private and cached:
#
#     kernels.sh VERSION...      fetches what is missing; one line each: "6.1 DIR" or "6.1 missing: REASON".
#                                Always exits 0.
#
# DIR holds the unpacked packages of the newest Debian kernel of that version; DIR/vmlinuz and DIR/modules
# (its module directory) lead into them. A static busybox to boot with comes to $MEMTRACE_CACHE/busybox.
set -eu

# shellcheck source=tests/debian_suite.sh
. "$(dirname "$0")/../debian_suite.sh"

# Backports keep many versions, each for a while; 6.1 is bookworm's own.
suite_of() {
	case $1 in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	*) echo trixie-backports ;;
	esac
}

escape() { echo "$1" | sed 's/[.+]/\\&/g'; }

newest() {
	suite_packages "linux-(image|binary)-$(escape "$1")(\.[0-9]+)*[+~a-z0-9.-]*-amd64" |
		grep -v -E 'cloud|rt-|dbg|unsigned' | sort -t- -k3 -V | tail -n 1 | sed 's/^linux-[a-z]*-//'
}

# Boots with a busybox of its own, from the suite that the first of them came from.
fetch_busybox() {
	[ ! -x "$cache/busybox/bin/busybox" ] && [ ! -x "$cache/busybox/usr/bin/busybox" ] || return 0
	suite_use bookworm
	reason=$(suite_read)
	[ -n "$reason" ] || reason=$(suite_unpack "$cache/busybox" busybox-static)
	echo "$reason"
}

# From 6.19 on the image lies in linux-binary-*, the modules in linux-modules-*.
fetch() {
	dir=$cache/kernel-$1
	reason=$(fetch_busybox)
	[ -z "$reason" ] || { echo "$reason"; return 0; }
	suite_use "$(suite_of "$1")"
	reason=$(suite_read)
	[ -z "$reason" ] || { echo "$reason"; return 0; }
	release=$(newest "$1")
	[ -n "$release" ] || { echo "Debian $suite has no kernel $1"; return 0; }
	# shellcheck disable=SC2046
	reason=$(suite_unpack "$dir" $(suite_packages "linux-(image|binary|modules)-$(escape "$release")"))
	[ -z "$reason" ] || { echo "$reason"; return 0; }
	image=$(find "$dir" -name 'vmlinuz*' | head -n 1)
	modules=$(find "$dir" -type d -path "*/modules/*" -name "$release" | head -n 1)
	[ -n "$image" ] && [ -n "$modules" ] || { echo "linux-image-$release has no image or no modules"; return 0; }
	ln -sf "${image#"$dir"/}" "$dir/vmlinuz"
	ln -sfn "${modules#"$dir"/}" "$dir/modules"
}

for version; do
	dir=$cache/kernel-$version
	reason=
	[ -e "$dir/modules" ] || reason=$(fetch "$version")
	if [ -e "$dir/modules" ]; then echo "$version $dir"; else echo "$version missing: ${reason:-unknown}"; fi
done
