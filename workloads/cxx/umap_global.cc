// SPDX-License-Identifier: BSD-2-Clause

// A global set is filled and cleared, and nobody touches it again: a global variable lives as long as the
// program, so it needs no other proof.
#include <string>
#include <unordered_set>

#include "truth.h"

static std::unordered_set<std::string> seen;

__attribute__((noinline)) static void fill(int n)
{
	for (int i = 0; i < n; i++)
		seen.insert(std::to_string(i)); // SITE
}

int main()
{
	ready();
	fill(1000000);
	seen.clear();
	truth({{"slots", seen.bucket_count()}, {"held", held_bytes(seen)}});
	obey([] {});
}
