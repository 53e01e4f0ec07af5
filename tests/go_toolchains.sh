#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Go toolchains for the tests, private and cached: nothing is installed, apt's sources stay as they are.
#
#     go_toolchains.sh VERSION...       fetches what is missing; one line each: "1.N GOROOT" or
#                                       "1.N missing: REASON". Always exits 0.
#     go_toolchains.sh --root VERSION   prints the GOROOT of one that is there, or fails; fetches nothing
#
# The packages come from the Debian suite that carries the version, by the mirror that this machine
# itself uses, signed as ever, and are unpacked below $MEMTRACE_CACHE (~/.cache/memtrace)/go-1.N.
set -eu

cache=${MEMTRACE_CACHE:-${HOME:-/root}/.cache/memtrace}
me=go_toolchains.sh

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

mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's#^URIs:[[:space:]]*\(https\{0,1\}://[^ ]*/debian\)/*[[:space:]]*$#\1#p
			s#^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\(https\{0,1\}://[^ ]*/debian\)/*[[:space:]].*#\2#p' |
		head -n 1
}

# An apt of our own: its sources, lists and cache in a directory of ours. What it says goes to a log.
private_apt() {
	apt-get -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@" >"$state/log" 2>&1
}

# Prints nothing, or the reason why not.
fetch() {
	version=$1
	suite=$(suite_of "$version") || { echo "no Debian suite is known to carry it"; return 0; }
	mirror=$(mirror)
	[ -n "$mirror" ] || { echo "no Debian mirror in this machine's apt sources"; return 0; }
	command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "needs apt-get and dpkg"; return 0; }

	state=$cache/apt/$suite
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/deb"
	echo "deb $mirror $suite main" >"$state/sources.list"
	private_apt update || { echo "cannot read the package list of Debian $suite ($(tail -n 1 "$state/log"))"; return 0; }
	rm -f "$state"/deb/*.deb
	(cd "$state/deb" && private_apt download "golang-$version-go" "golang-$version-src") ||
		{ echo "Debian $suite has no golang-$version-go ($(tail -n 1 "$state/log"))"; return 0; }

	rm -rf "$cache/go-$version.new"
	for deb in "$state"/deb/*.deb; do
		dpkg -x "$deb" "$cache/go-$version.new" || { echo "cannot unpack ${deb##*/}"; return 0; }
	done
	rm -rf "$cache/go-$version" "$state"/deb/*.deb
	mv "$cache/go-$version.new" "$cache/go-$version"
	find_root "$version" >/dev/null || echo "unpacked, but it is not complete"
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
