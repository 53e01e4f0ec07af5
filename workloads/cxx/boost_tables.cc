// SPDX-License-Identifier: BSD-2-Clause
// needs: boost

// Two caches, one of slots and one of nodes, lose 99 % of their entries and stay in use: erase gives back no slots
// and no buckets. Beside them what is normal: tables that were reserved right, and one that is made anew a hundred
// times.
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <boost/unordered_map.hpp>
#include <boost/unordered_set.hpp>
#include <utility>

#include "truth.h"

template <typename K, typename V, int Number>
using FlatMap = boost::unordered_flat_map<K, V, boost::hash<K>, std::equal_to<K>,
	Counted<std::pair<const K, V>, Number>>;
template <typename K, typename V, int Number>
using NodeMap = boost::unordered_map<K, V, boost::hash<K>, std::equal_to<K>,
	Counted<std::pair<const K, V>, Number>>;

enum { FLAT, FLAT_FRESH, NODES, NODES_FRESH, SERVED };

struct Session {
	long stamps[5];
};

struct Cache {
	FlatMap<int, Session, FLAT> sessions;
	NodeMap<int, long, NODES> names;

	__attribute__((noinline)) void put(int key)
	{
		sessions[key].stamps[0] = key; // FLAT
	}

	__attribute__((noinline)) void name(int key)
	{
		names[key] = key; // NODES
	}
};

__attribute__((noinline)) static unsigned long serve(int n, Growths<SERVED> &growths)
{
	FlatMap<int, int, SERVED> table;

	growths.begin_anew();
	for (int i = 0; i < n; i++) {
		table[i] = i; // STORM
		growths.look(table);
	}
	return table.size();
}

template <typename T> static void keep(T &table, int keys)
{
	for (auto it = table.begin(); it != table.end();)
		if (it->first >= keys)
			table.erase(it++);
		else
			++it;
}

int main()
{
	Cache *cache = new Cache;
	auto *flat = new boost::unordered_flat_set<int>;
	auto *nodes = new boost::unordered_set<int>;
	FlatMap<int, Session, FLAT_FRESH> fresh;
	NodeMap<int, long, NODES_FRESH> fresh_names;
	Growths<FLAT> sessions = {};
	Growths<NODES> names = {};
	Growths<SERVED> served = {};
	unsigned long sum = 0;
	int next = 0;

	ready();
	for (int i = 0; i < 1000000; i++) {
		if (i < 300000)
			cache->put(i);
		sessions.look(cache->sessions);
		cache->name(i);
		names.look(cache->names);
	}
	keep(cache->sessions, 3000);
	keep(cache->names, 10000);
	flat->reserve(100000);
	nodes->reserve(100000);
	for (int i = 0; i < 100000; i++) {
		flat->insert(i);
		nodes->insert(i);
	}
	for (int i = 0; i < 100; i++)
		sum += serve(20000, served);
	fresh.reserve(cache->sessions.size());
	fresh_names.reserve(cache->names.size());
	const Arrays &held = Counted<int, FLAT>::arrays(), &named = Counted<int, NODES>::arrays();
	const Arrays &all = Counted<int, SERVED>::arrays();
	truth({{"growths", sessions.count}, {"length", cache->sessions.size()},
		{"slots", cache->sessions.bucket_count()}, {"held", held.held},
		{"allocated", held.allocated}, {"garbage", held.garbage},
		{"retained", held.held - Counted<int, FLAT_FRESH>::arrays().held},
		{"node_growths", names.count}, {"names", cache->names.size()},
		{"buckets", cache->names.bucket_count()}, {"node_held", named.held},
		{"node_allocated", named.allocated}, {"node_garbage", named.garbage},
		{"node_retained", named.held - Counted<int, NODES_FRESH>::arrays().held},
		{"flat", flat->bucket_count()}, {"nodes", nodes->bucket_count()},
		{"storm", served.count}, {"made", all.allocated}, {"replaced", all.garbage},
		{"sum", sum}});
	obey([&] {
		cache->sessions.erase(next);
		cache->names.erase(next++);
	});
	delete nodes;
	delete flat;
	delete cache;
}
