#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every C++, Rust and C workload about containers in every variant of CXX_VARIANTS, RUST_VARIANTS and C_VARIANTS
# (words of tests/build_native.sh). What in C is about page faults is played by faults.t. After a variant and a colon
# come the workloads that it is played with; else all.
#
#     CXX_VARIANTS="c++-O2" RUST_VARIANTS= C_VARIANTS= NATIVE_WORKLOADS="umap_emptied" prove tests/live/native.t
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace

variants="${CXX_VARIANTS-c++-O2 c++-O2-libcxx:umap_emptied,vector_grow,vector_more c++-O2-static-stripped} ${RUST_VARIANTS-rust} ${C_VARIANTS-c-O2}"
export BUILD MEMTRACE PATIENCE

# Other libraries than the language's own: once by each compiler is enough.
names_of() { # VARIANT [NAME,NAME...]
	for expect in workloads/"$(language "$1")"/*.expect; do
		name=$(basename "$expect" .expect)
		case $expect in
		workloads/c/glib_*)
			case $1 in *static*) continue ;; esac
			ldconfig -p | grep -q 'libglib-2\.0\.so\.0' || continue
			;;
		workloads/c/array_* | workloads/c[!/]* | workloads/rust/*) ;;
		*) continue ;;
		esac
		case $1-$name in *static*_tables | *libcxx*_tables | *partly*_tables) continue ;; esac
		case ,${2:-$name}, in *,$name,*) ;; *) continue ;; esac
		case " ${NATIVE_WORKLOADS:-$name} " in *" $name "*) echo "$name" ;; esac
	done
}

# One line for each scenario: play, skip (why) or broken (why).
matrix() {
	for entry in $variants; do
		variant=${entry%%:*} only=${entry#"$variant"}
		names=$(names_of "$variant" "${only#:}")
		[ -n "$names" ] || continue
		# shellcheck disable=SC2086
		tests/build_native.sh "$variant" $names >&2
		case $? in
		0) for name in $names; do echo "play $variant $name"; done ;;
		3) echo "skip $variant: its compiler is not there" ;;
		*) echo "broken $variant: workloads do not build" ;;
		esac
	done
}

matrix >"$scratch/matrix"
play_matrix "$scratch/matrix"
done_testing
