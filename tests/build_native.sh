#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the workloads in C++, C and Rust, out of tree and only what is out of date:
#
#     build_native.sh VARIANT [NAME...]
#
# VARIANT is c++ or c, then words with "-" between: O0 O1 O2 O3, std17 std20, clang (else g++, gcc), stripped,
# static, partly (only libstdc++ is static), libcxx (libc++ in its place, by clang); or rust, then words: stripped,
# nodebug (names without lines, as cargo makes a release), other (the rustc of PATH, not the system's).
# What a workload needs besides is said in its second line: "// needs:", then boost or modules of pkg-config.
# c++-O2-clang-stripped comes to $BUILD/workloads/c++-O2-clang-stripped/. Without names: all. Exit code 3: no such
# compiler, reason on stderr.
set -eu
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { echo "usage: build_native.sh VARIANT [NAME...]" >&2; exit 2; }
variant=$1
shift
out=${BUILD:-build}/workloads/$variant
libraries=
language=cxx suffix=cc shared=truth.h compiler=g++ clang=clang++ flags="-g -Wall -Wextra" strip=-s
case $variant in
c++*) ;;
c*) language=c suffix=c compiler=gcc clang=clang ;;
rust*) language=rust suffix=rs shared=truth.rs compiler=/usr/bin/rustc flags="-O -g" strip="-C strip=symbols" ;;
esac
for word in $(echo "$variant" | tr - ' ' | cut -d ' ' -s -f 2-); do
	case $word in
	O?) flags="$flags -$word" ;;
	std*) flags="$flags -std=c++${word#std}" ;;
	clang) compiler=$clang ;;
	stripped) flags="$flags $strip" ;;
	nodebug) flags="-O" ;;
	other) compiler=$(command -v rustc || echo rustc) ;;
	static) flags="$flags -static" ;;
	libcxx) compiler=$clang flags="$flags -stdlib=libc++" libraries="-lc++abi -lpthread" ;;
	partly) flags="$flags -static-libstdc++" ;;
	*) echo "build_native.sh: unknown word '$word' in $variant" >&2; exit 2 ;;
	esac
done
command -v "$compiler" >/dev/null || { echo "no $compiler" >&2; exit 3; }
case $variant-$compiler in
rust-other*-/usr/bin/rustc) echo "no rustc but the system's" >&2; exit 3 ;;
esac
mkdir -p "$out"

# GLib without its headers: the workloads declare what they use.
needs() {
	needed=$(sed -n '2s#^// needs: ##p' "$1")
	case $1-$needed in
	*/glib_*) echo "-l:libglib-2.0.so.0" ;;
	*- | *-boost) ;;
	*) pkg-config --libs "$needed" ;;
	esac
}

# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(ls workloads/$language | sed -n "s/\.$suffix\$//p" | grep -v '^truth$')
for name; do
	source=workloads/$language/$name.$suffix
	[ ! -e "$out/$name" ] || [ "$source" -nt "$out/$name" ] || [ workloads/$language/$shared -nt "$out/$name" ] || continue
	# shellcheck disable=SC2046,SC2086
	"$compiler" $flags -o "$out/$name.$$" "$source" $(needs "$source") $libraries
	mv "$out/$name.$$" "$out/$name"
done
