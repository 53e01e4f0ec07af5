/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser child learns about C++ containers in an executable or in libstdc++ itself. */
#ifndef MEMTRACE_RUNTIME_CXX_FACTS_H
#define MEMTRACE_RUNTIME_CXX_FACTS_H

#include <stdint.h>

#define CXX_MAX_PRIMES 320 /* libstdc++ 12 has 304 */

enum cxx_probe {
	CXX_PROBE_NEXT_BUCKETS, /* std::__detail::_Prime_rehash_policy::_M_next_bkt */
	CXX_PROBE_VECTOR_TWICE, /* a vector's growth by one: its array is replaced by one of twice the size */
	CXX_PROBE_VECTOR_NEW, /* call of operator new where any growth of a vector has the new array made */
	CXX_PROBE_INLINED_NEW, /* the same in the user's code, where the header is not known; twice the size */
	CXX_PROBE_STRING, /* std::string::_M_mutate */
	CXX_PROBE_STRING_RESERVE,
	CXX_PROBE_DEQUE, /* std::deque::_M_reallocate_map */
	CXX_PROBE_DEQUE_NEW, /* call of operator new where a deque's array of blocks is replaced, inlined */
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
