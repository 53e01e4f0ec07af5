// SPDX-License-Identifier: BSD-2-Clause

// What is normal: a table that is emptied and refilled, one that was reserved right, tables that are emptied
// and destroyed (on the heap and on the stack) and one that is moved away and then given back.
#include <unordered_map>
#include <utility>
#include <vector>

#include "truth.h"

using Table = std::unordered_map<int, long>;

static const int many = 400000;

__attribute__((noinline)) static void fill(Table &table)
{
	for (int i = 0; i < many; i++)
		table[i] = i;
}

__attribute__((noinline)) static size_t on_the_stack()
{
	Table table;

	fill(table);
	table.clear();
	return table.bucket_count();
}

int main()
{
	Table *reused = new Table, *right = new Table, *gone = new Table;
	unsigned long sum = 0;

	ready();
	right->reserve(many);
	fill(*right);
	for (int i = 0; i < 4; i++) {
		reused->clear();
		fill(*reused);
	}
	fill(*gone);
	gone->clear();
	delete gone;
	sum += on_the_stack();
	{
		Table from, to;

		fill(from);
		to = std::move(from);
		to.clear();
		to.rehash(0);
		sum += to.bucket_count();
	}
	truth({{"sum", sum}, {"slots", right->bucket_count()}});
	obey([&] {
		reused->clear();
		fill(*reused);
	});
	delete reused;
	delete right;
}
