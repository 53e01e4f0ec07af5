/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser child learns about C++ containers in an executable or in the library itself. */
#ifndef MEMTRACE_RUNTIME_CXX_FACTS_H
#define MEMTRACE_RUNTIME_CXX_FACTS_H

#include <stdint.h>

#define CXX_MAX_PRIMES 320 /* libstdc++ 12 has 304 */

enum cxx_probe {
	CXX_PROBE_NEXT_BUCKETS, /* std::__detail::_Prime_rehash_policy::_M_next_bkt */
	CXX_PROBE_VECTOR_TWICE, /* a vector's growth by one: its array is replaced by one of twice the size */
	CXX_PROBE_VECTOR_NEW, /* call of operator new where any growth of a vector has the new array made */
	CXX_PROBE_INLINED_NEW, /* the same in the user's code, by one: the header may not be known */
	CXX_PROBE_STRING,      /* std::string::_M_mutate */
	CXX_PROBE_STRING_RESERVE,
	CXX_PROBE_DEQUE,         /* std::deque::_M_reallocate_map */
	CXX_PROBE_LIBCXX_STRING, /* std::__1::string::__grow_by, __grow_by_and_replace */
	CXX_PROBE_LIBCXX_STRING_RESERVE,
	CXX_PROBE_LIBCXX_STRING_NEW, /* call of operator new where another function has them in it */
	CXX_PROBE_DEQUE_NEW, /* call of operator new where a deque's array of blocks is replaced, inlined */
	CXX_PROBE_LIBCXX_TABLE,    /* std::__1::__hash_table::__rehash, __do_rehash */
	CXX_PROBE_LIBCXX_PRIME,    /* call of std::__1::__next_prime, for __hash_table::rehash */
	CXX_PROBE_BOOST_TABLE,     /* boost::unordered::detail::table::rehash_impl */
	CXX_PROBE_ABSL_TABLE,      /* absl raw_hash_set::resize */
	CXX_PROBE_ABSL_COMMON,     /* the same since 2024: raw_hash_set::resize_impl */
	CXX_PROBE_BOOST_FLAT,      /* boost::unordered::detail::foa::table::unchecked_rehash */
	CXX_PROBE_BOOST_FLAT_CORE, /* since 1.82: table_core::unchecked_rehash */
	CXX_PROBES,
};

struct cxx_facts {
	/* Bucket counts that std::unordered_* may have, ascending (src/shared/hashtable-aux.cc) */
	uint32_t prime_count;
	uint64_t primes[CXX_MAX_PRIMES];
	/* _M_need_rehash, as linked: it stands between the user's code and _M_next_bkt; 0 = unknown */
	uint64_t need_rehash, need_rehash_end;
};

#endif
