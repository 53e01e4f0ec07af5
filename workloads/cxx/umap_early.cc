// SPDX-License-Identifier: BSD-2-Clause

// Fills a table at once, waiting for nobody: memtrace has started it, and must have its probes in the
// C++ library before the first entry.
#include <unordered_map>

#include "truth.h"

int main()
{
	std::unordered_map<unsigned long, unsigned long> table;
	unsigned long growths = 0, buckets = table.bucket_count();

	for (unsigned long i = 0; i < 300000; i++) {
		table[i] = i; // SITE
		if (table.bucket_count() != buckets && buckets > 1)
			growths++;
		buckets = table.bucket_count();
	}
	truth({{"growths", growths}, {"buckets", buckets}, {"held", held_bytes(table)}});
}
