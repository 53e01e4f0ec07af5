/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of C++ containers as people write them. */
#ifndef MEMTRACE_RUNTIME_CXX_NAME_H
#define MEMTRACE_RUNTIME_CXX_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The class of a member function by its readable name: "std::vector<int, std::allocator<int> >::push_back"
 * gives "std::vector<int>". What libraries add by default (allocators, hashes, comparisons) is left out.
 */
void cxx_name_class(const char *function, char *buf, size_t bytes);

/*
 * The container that such a class stands for, by the readable name of a member function: std::__1::__hash_table is
 * std::unordered_map or std::unordered_set, absl's raw_hash_set is flat_hash_map, and so on; any other class is
 * itself.
 */
void cxx_name_type(const char *function, char *buf, size_t bytes);

/*
 * The container that a member function of libstdc++ or libc++ belongs to: a vector, string or deque, or the unordered one
 * for which a std::_Hashtable stands. False where it is of none.
 */
bool cxx_name_container(const char *function, char *buf, size_t bytes);

/*
 * Bytes of an element of that class: its first template argument, where that is a type known here; else 0.
 * libcxx: the library's own types are those of libc++.
 */
uint32_t cxx_name_element_bytes(const char *class_name, bool libcxx);

/*
 * Bytes of a slot of such a table of slots: of its key, or of a pair of both, where their types are known here;
 * else 0.
 */
uint32_t cxx_name_slot_bytes(const char *class_name, bool libcxx);

#endif
