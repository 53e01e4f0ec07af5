# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# Packages of any Debian suite, private and cached (sourced): nothing is installed, apt's sources stay as
# they are. They come by the mirror that this machine itself uses, signed as ever.
#
#     suite_use SUITE              the others mean this one from now on
#     suite_read                   reads its package list; prints nothing, or the reason why not
#     suite_packages REGEX         names of its packages that match, oldest version first
#     suite_unpack DIR PACKAGE...  downloads and unpacks them there; prints nothing, or the reason why not

cache=${MEMTRACE_CACHE:-${HOME:-/root}/.cache/memtrace}

suite_mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's#^URIs:[[:space:]]*\(https\{0,1\}://[^ ]*/debian\)/*[[:space:]]*$#\1#p
			s#^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\(https\{0,1\}://[^ ]*/debian\)/*[[:space:]].*#\2#p' |
		head -n 1
}

# An apt of our own: its sources, lists and cache in a directory of ours.
suite_apt() {
	tool=$1
	shift
	"$tool" -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

suite_use() { suite=$1 state=$cache/apt/$1; }

suite_read() {
	mirror=$(suite_mirror)
	[ -n "$mirror" ] || { echo "no Debian mirror in this machine's apt sources"; return 0; }
	command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "needs apt-get and dpkg"; return 0; }
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/deb"
	echo "deb $mirror $suite main" >"$state/sources.list"
	suite_apt apt-get -q update >"$state/log" 2>&1 ||
		echo "cannot read the package list of Debian $suite ($(tail -n 1 "$state/log"))"
}

suite_packages() {
	suite_apt apt-cache pkgnames 2>/dev/null | grep -E "^($1)\$" | sort -V
}

suite_unpack() {
	into=$1
	shift
	rm -f "$state"/deb/*.deb
	(cd "$state/deb" && suite_apt apt-get -q download "$@" >"$state/log" 2>&1) ||
		{ echo "Debian $suite has no $* ($(tail -n 1 "$state/log"))"; return 0; }
	rm -rf "$into.new"
	for deb in "$state"/deb/*.deb; do
		dpkg -x "$deb" "$into.new" || { echo "cannot unpack ${deb##*/}"; return 0; }
	done
	rm -rf "$into" "$state"/deb/*.deb
	mv "$into.new" "$into"
}
