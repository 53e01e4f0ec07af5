#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the Go workloads, out of tree and only what is out of date:
#
#     build_workloads.sh VERSION[-MODE] [NAME...]
#
# VERSION is 1.N; MODE is stripped, pie or cgo. Without names: all that this version can compile. The
# programs come to $BUILD/workloads/go-VERSION[-MODE]/NAME; a name that needs a newer Go is left out.
# Exit code 3: no toolchain of that version, reason on stderr.
set -eu
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { echo "usage: build_workloads.sh VERSION[-MODE] [NAME...]" >&2; exit 2; }
variant=$1
shift
version=${variant%%-*}
mode=${variant#"$version"}
build=${BUILD:-build}
out=$build/workloads/go-$variant
src=workloads/go

GOROOT=$(tests/go_toolchains.sh --root "$version") || exit 3
export GOROOT GOTOOLCHAIN=local GO111MODULE=off GOFLAGS= CGO_ENABLED=0
mkdir -p "$out"
[ -n "${HOME:-}" ] || [ -n "${GOCACHE:-}" ] || { GOCACHE=$(cd "$build" && pwd)/workloads/.cache; export GOCACHE; }

minor=${version#1.}
header=$src/truth_classic.go
[ "$minor" -lt 24 ] || header=$src/truth_swiss.go

flag=-v=false extra=
case $mode in
'') ;;
-stripped) flag=-ldflags='-s -w' ;;
-pie) flag=-buildmode=pie ;;
-cgo) CGO_ENABLED=1 extra=$src/with_cgo.go ;;
*) echo "build_workloads.sh: unknown mode '$mode'" >&2; exit 2 ;;
esac

# The lowest minor version that compiles a workload: its first comment says "Needs go1.N".
needs() {
	sed -n 's/^\/\/.*Needs go1\.\([0-9]*\)\..*/\1/p' "$src/$1.go" | head -n 1
}

# What is compiled together with a workload. The article's program stands alone.
beside() {
	case $1 in
	map_article | apiload) ;;
	*) echo "$src/truth.go" "$header" $extra ;;
	esac
}

out_of_date() {
	program=$1
	shift
	[ -e "$program" ] || return 0
	for file; do [ ! "$file" -nt "$program" ] || return 0; done
	return 1
}

compile() {
	name=$1
	shift
	"$GOROOT/bin/go" build "$flag" -o "$out/$name.$$" "$@"
	mv "$out/$name.$$" "$out/$name"
}

# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(ls "$src" | sed -n '/^truth\|^with_/d; s/\.go$//p')
for name; do
	min=$(needs "$name")
	[ -z "$min" ] || [ "$minor" -ge "$min" ] || continue
	# shellcheck disable=SC2046
	set -- $(echo "$src/$name.go" $(beside "$name"))
	! out_of_date "$out/$name" "$@" || compile "$name" "$@"
done
