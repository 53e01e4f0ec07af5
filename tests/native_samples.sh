#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs with debug information of every compiler that this machine has, and stripped forms of one of
# them, in $BUILD/native-samples: what the unit tests of symbols and unwinding read.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
out=$BUILD/native-samples
mkdir -p "$out"

newer() { # SAMPLE SOURCE: is the sample there and younger?
	[ -e "$1" ] && [ -z "$(find "$2" tests/native_samples.sh -newer "$1")" ]
}

cc() { # COMPILER NAME FLAG...
	compiler=$1 name=$2
	shift 2
	command -v "$compiler" >/dev/null || return 0
	newer "$out/$name" tests/samples/lines.cc ||
		"$compiler" -std=c++17 "$@" tests/samples/lines.cc -o "$out/$name"
}

rust() { # COMPILER: one sample a version
	[ -x "$1" ] || return 0
	name=lines-rust-$("$1" --version | cut -d' ' -f2)
	newer "$out/$name" tests/samples/lines.rs || "$1" -O -g tests/samples/lines.rs -o "$out/$name"
}

cc g++ lines-gcc -O2 -g
cc clang++ lines-clang -O2 -g
cc g++ forms-dwarf64 -O2 -g -gdwarf64
cc g++ forms-dwarf3 -O2 -gdwarf-3 -gstrict-dwarf
cc clang++ forms-dwarf4 -O2 -gdwarf-4
if [ -e "$out/lines-gcc" ] && ! newer "$out/forms-zlib" "$out/lines-gcc"; then
	objcopy --compress-debug-sections=zlib "$out/lines-gcc" "$out/forms-zlib"
	objcopy --compress-debug-sections=zlib-gnu "$out/lines-gcc" "$out/forms-zlib-gnu"
fi
rust /usr/bin/rustc
rust "$(command -v rustc || echo none)"

go=$(ls -d "$BUILD"/go-samples/map_grow-1.26 2>/dev/null || true)
[ -z "$go" ] || ln -f "$go" "$out/lines-go"

# What distributions make of a program: its debug information in a file of its own, found by build-id or
# by debug link, or only its names, compressed.
if [ -e "$out/lines-gcc" ] && ! newer "$out/split" "$out/lines-gcc"; then
	objcopy --only-keep-debug "$out/lines-gcc" "$out/gcc.debug"
	objcopy -S "$out/lines-gcc" "$out/stripped"
	objcopy -S -R .note.gnu.build-id --add-gnu-debuglink="$out/gcc.debug" \
		"$out/lines-gcc" "$out/linked"
	objcopy -g "$out/lines-gcc" "$out/names"
	xz -f "$out/names"
	objcopy -S --add-section .gnu_debugdata="$out/names.xz" "$out/lines-gcc" "$out/mini"
	g++ -std=c++17 -O2 -g -gsplit-dwarf tests/samples/lines.cc -o "$out/split"
fi
