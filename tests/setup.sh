#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what is missing, from the distribution's own packages; apt's sources are left alone.
#
#     setup.sh [build] [demo] [test] [vm]     default: all but vm, which make vm wants
#
# Debian 12, 13, Ubuntu 24.04; as root, or through sudo. Where nothing is missing apt is not even asked.
set -eu

build="clang llvm make gcc libc6-dev pkgconf git libbpf-dev libelf-dev libdw-dev libiberty-dev liblzma-dev zlib1g-dev libcapstone-dev libjson-c-dev libsqlite3-dev libprotobuf-c-dev protobuf-c-compiler"
demo="golang-go"
# perl has prove; util-linux has setpriv, flock, unshare; python3-jsonschema checks reports against the
# schema; mandoc, shellcheck and clang-format are for make lint, clang-tidy for make tidy; g++, rustc and
# xz make what the tests of symbols read, libdebuginfod1 fetches it; libc++, abseil and Boost have containers;
# redis-server and hugo are targets, wrk and curl are the load of others, tcmalloc another malloc. A|B: one of them, as distributions call it
test="golang-go g++ rustc xz-utils redis-server hugo wrk curl jq libcriterion-dev libc++-dev libc++abi-dev libabsl-dev libboost1.81-dev|libboost1.83-dev perl python3 python3-jsonschema util-linux mandoc shellcheck clang-format clang-tidy libglib2.0-0|libglib2.0-0t64 libdebuginfod1|libdebuginfod1t64 libtcmalloc-minimal4|libtcmalloc-minimal4t64"
vm="qemu-system-x86 kmod xz-utils gzip"

# Of alternatives (A|B) any.
installed() {
	for package in $(echo "$1" | tr '|' ' '); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ] || return 0
	done
	return 1
}

# Debian has a package bpftool. On Ubuntu 24.04 that name is virtual: linux-tools-common has a wrapper
# that looks for the tools of the running kernel, so it wants those too.
bpftool_packages() {
	for tool in "$(command -v bpftool)" /usr/sbin/bpftool; do
		if [ -x "$tool" ] && "$tool" version >/dev/null 2>&1; then return 0; fi
	done
	case $(. /etc/os-release && echo "${ID:-}") in
	ubuntu) echo linux-tools-common linux-tools-generic "linux-tools-$(uname -r)" ;;
	*) echo bpftool ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "setup.sh: needs root to install:$missing" >&2
		exit 3
	fi
}

# Those that apt knows.
known() {
	for package; do
		if apt-cache show "$package" 2>/dev/null | grep -q .; then echo "$package"; fi
	done
}

# Of alternatives (A|B) the first that apt knows; where it knows none, the first, so that apt says so.
chosen() {
	for choice; do
		first=${choice%%|*}
		# shellcheck disable=SC2046
		[ "$first" = "$choice" ] || first=$(known $(echo "$choice" | tr '|' ' ') "$first" | head -n 1)
		echo "${first:-${choice%%|*}}"
	done
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	{ echo "setup.sh: not a Debian or Ubuntu; needed are: $build $test" >&2; exit 3; }

[ $# -gt 0 ] || set -- build demo test
missing= bpftool=
for what; do
	case $what in
	build) packages=$build bpftool=$(bpftool_packages) ;;
	demo) packages=$demo ;;
	test) packages=$test ;;
	vm) packages=$vm ;;
	*) echo "usage: setup.sh [build] [demo] [test] [vm]" >&2; exit 2 ;;
	esac
	for package in $packages; do
		case "$missing " in *" $package "*) continue ;; esac
		installed "$package" || missing="$missing $package"
	done
done
[ -n "$missing$bpftool" ] || exit 0

echo "setup.sh: installing$missing${bpftool:+ $bpftool}" >&2
as_root apt-get -q update
# shellcheck disable=SC2046,SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
	$(chosen $missing) $(known $bpftool)
