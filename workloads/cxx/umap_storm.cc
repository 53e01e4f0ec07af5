// SPDX-License-Identifier: BSD-2-Clause

// The same table is made anew, and grown through all its sizes, a hundred times: reserve() would save that.
#include <unordered_map>

#include "truth.h"

static unsigned long growths, garbage, allocated;

static void count(const std::unordered_map<int, int> &table, size_t &before, unsigned long &held)
{
	if (table.bucket_count() == before)
		return;
	growths += before > 1;
	garbage += held;
	before = table.bucket_count();
	held = held_bytes(table);
	allocated += held;
}

__attribute__((noinline)) static size_t serve(int n)
{
	std::unordered_map<int, int> table;
	size_t before = table.bucket_count();
	unsigned long held = 0;

	for (int i = 0; i < n; i++) {
		table[i] = i; // SITE
		count(table, before, held);
	}
	return table.size();
}

int main()
{
	unsigned long sum = 0;

	ready();
	for (int i = 0; i < 100; i++)
		sum += serve(20000);
	truth({{"sum", sum}, {"growths", growths}, {"garbage", garbage}, {"allocated", allocated}});
	obey([] {});
}
