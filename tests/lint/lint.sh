#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Everything that can be said about the tree without running it: one line a problem, exit 1 where
# there is any. A tool that is not installed is a problem too, with its package.
#
#   lint.sh [BUILD]              BUILD (default: $BUILD, else build) holds the generated skeleton
#   LINT="layers format" lint.sh runs only these

cd "$(dirname "$0")/../.." || exit 2
BUILD=${1:-${BUILD:-build}}
CC=${CC:-gcc}
CLANG=${CLANG:-clang}
WARN="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-format-truncation"
WARN="$WARN -Wno-unknown-warning-option" # clang does not know all of gcc's
FLAGS="-std=gnu11 -Iuser -Ibpf -I$BUILD/gen -Itests -D_GNU_SOURCE"
LINT=${LINT:-layers fields schema format warnings shell python man} # and tidy, which takes its time
export BUILD
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0

c_files() {
	find user tests -name '*.c' | sort
}

# Scripts whose first line asks for this shell.
shell_files() { # sh | bash
	find tests .ci docs deploy -type f 2>/dev/null | sort | while read -r file; do
		head -c 80 "$file" | LC_ALL=C grep -aqE "^#!.*[/ ]$1( |$)" && echo "$file"
	done
}

need() { # TOOL: its package has the same name
	command -v "$1" >/dev/null || echo "$1 is not installed: apt-get install $1"
}

layers() {
	python3 tests/lint/layers.py --self-test
	python3 tests/lint/layers.py .
}

fields() {
	python3 tests/lint/fields.py --self-test
	python3 tests/lint/fields.py .
}

schema() {
	python3 tests/lint/validate_json.py --self-test tests/schema.json
}

# Each version of clang-format has its own opinion: .clang-format is written for 14.
format() {
	for formatter in clang-format-14 clang-format; do
		"$formatter" --version 2>/dev/null | grep -q 'version 14\.' && break
		formatter=
	done
	[ -n "$formatter" ] || { echo "format: not checked, clang-format 14 is not installed" >&3; return; }
	find user bpf tests -name '*.[ch]' | sort | xargs "$formatter" --dry-run -Werror 2>&1 |
		grep 'error:' | cut -d: -f1 | uniq -c | sed -E 's/ *([0-9]+) (.*)/\2: \1 places to format/'
}

# -S instead of -fsyntax-only: some warnings of gcc need its optimiser to look at the code.
warnings() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	c_files | CC=$CC CLANG=$CLANG FLAGS="$FLAGS $WARN" xargs -P 2 -I FILE sh -c '
		for compiler in "$CC -O2 -S -o /dev/null" "$CLANG -fsyntax-only"; do
			$compiler $FLAGS -DMEMTRACE_VERSION=\"lint\" "$1" 2>&1 |
				grep -E "(warning|error): " | sed "s/^/${compiler%% *}: /"
		done' sh FILE
}

tidy() {
	need clang-tidy
	# shellcheck disable=SC2016 # expanded by the inner shell
	find user -name '*.c' | sort | xargs -P 2 -n 6 sh -c 'clang-tidy --quiet "$@" -- \
		-std=gnu11 -Iuser -Ibpf -I"$BUILD/gen" -D_GNU_SOURCE -DMEMTRACE_VERSION=\"lint\"' sh \
		2>/dev/null | grep -E '(warning|error): ' | grep -v "^[^:]*$BUILD/gen/" | sort -u
}

# Left out: CDPATH= and test -nt, which every shell here knows, and variables that pass between a
# test and the library that it sources.
shell() {
	need shellcheck
	for kind in sh bash; do
		shell_files $kind | while read -r file; do
			$kind -n "$file"
			shellcheck -f gcc -S warning -e SC1007,SC2034,SC2154,SC3013 "$file"
		done
	done
	find tests -name '*.t' ! -perm -u+x | sed 's/$/: cannot be run: chmod +x/'
}

python() {
	find tests docs deploy -name '*.py' 2>/dev/null | sort | while read -r file; do
		python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' \
			"$file" 2>&1 | tail -n 1
	done
}

man() {
	need mandoc
	find docs -name '*.[1-8]' | sort | while read -r file; do
		mandoc -T lint -W warning "$file"
	done
}

# A check passes where it says nothing.
for check in $LINT; do
	case $check in
	layers) layers ;;
	fields) fields ;;
	schema) schema ;;
	format) format ;;
	warnings) warnings ;;
	tidy) tidy ;;
	shell) shell ;;
	python) python ;;
	man) man ;;
	*) echo "no such check" ;;
	esac 3>&1 >"$work/out" 2>&1
	status=0
	if [ -s "$work/out" ]; then
		sed "s/^/$check: /" "$work/out"
		status=1 failed=1
	fi
	[ -z "$MEMTRACE_TAP" ] || tests/tap.sh note "lint: $check" $status
done
exit $failed
