#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that keep no frame pointers (they run for three seconds: memtrace lets those go that are over in
# one): the stacks of their page faults are copied and unwound. Of a
# compiler, an interpreter and a server nearly all must be whole, and the places are named.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
needs_root
needs_memtrace
command -v g++ >/dev/null || skip_all "g++ is not installed"

# report CODE: runs it with the report in hand.
report() {
	python3 -c "import json, sys
report = json.load(open(sys.argv[1]))
$1" "$scratch/report.json"
}

# whole NAME PERCENT: of the stacks in the report at least so many of 100 reached their outermost frame.
whole() {
	read -r complete cut < <(report "
counts = [target['unwound'] for target in report['targets'] if 'unwound' in target]
print(sum(c['complete'] for c in counts), sum(c['truncated'] + c['lost'] for c in counts))")
	note="$complete whole, $cut cut short"
	if [ "$complete" -ge 20 ] && [ $((complete * 100)) -ge $(((complete + cut) * $2)) ]; then
		ok "$1: stacks are whole ($note)"
	else
		not_ok "$1: stacks are whole" "$note"
	fi
}

traced() { # NAME COMMAND...
	name=$1
	shift
	timeout "$PATIENCE" "$MEMTRACE" -q --format json -o "$scratch/report.json" -- "$@" \
		>"$scratch/out" 2>"$scratch/err"
	is "$name: its own exit code" $? 0
}

cat >"$scratch/unit.cc" <<'CC'
#include <functional>
#include <iostream>
#include <map>
#include <regex>
int main()
{
	std::map<int, std::function<void()>> steps;
	std::cout << steps.size() << std::regex_match("ab", std::regex("a(b)*"))
		  << std::regex_match(L"ab", std::wregex(L"a(b)*"));
}
CC
traced "g++ -O2" "$(g++ -print-prog-name=cc1plus)" -quiet -O2 -std=c++17 -D_GNU_SOURCE \
	-imultiarch "$(g++ -print-multiarch)" "$scratch/unit.cc" -o "$scratch/unit.s"
whole "g++ -O2" 95

# Nine calls deep in an interpreter that calls itself for each.
cat >"$scratch/deep.py" <<'PY'
import time
def deep(n, kept):
    if n:
        return deep(n - 1, kept)
    kept.extend(bytearray(4096) for _ in range(8000))
while time.process_time() < 3:
    deep(8, [])
PY
traced python3 python3 "$scratch/deep.py"
whole python3 95

# The program's own function is the place, not memset() and not malloc().
cat >"$scratch/grow.cc" <<'CC'
#include <cstring>
#include <ctime>
#include <vector>
struct pool {
	std::vector<std::vector<char>> blocks;
	__attribute__((noinline)) void fill(size_t count)
	{
		while (count--) {
			blocks.emplace_back(1 << 20);
			memset(blocks.back().data(), 1, 1 << 20);
		}
	}
};
int main()
{
	while (clock() < 3 * CLOCKS_PER_SEC) {
		pool pool;
		pool.fill(100);
	}
}
CC
for mode in "-O2 -g" "-O2 -s"; do
	# shellcheck disable=SC2086 # two flags
	g++ $mode "$scratch/grow.cc" -o "$scratch/grow" || { not_ok "grow.cc compiles"; continue; }
	traced "g++ $mode" "$scratch/grow"
	whole "g++ $mode" 95
	report "
places = [site for site in report['sites'] if site['function']]
print(places[0]['function'], places[0]['file'].split('/')[-1]) if places else print('none')" >"$scratch/place"
	case $mode in
	*-g) wanted='pool::fill grow.cc' ;;
	*) wanted='grow\+0x[0-9a-f]+ build-id [0-9a-f]+' ;;
	esac
	says "g++ $mode: the place of its faults" "$scratch/place" "^$wanted\$"
done
done_testing
