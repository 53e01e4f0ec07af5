/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one table of what counts as library. A namespace is reserved to the library by the language's
 * standard or by the library's own rules; a folder is where compilers' and distributions' headers
 * and sources lie; a file name is that of the library as it is loaded.
 */
#include <string.h>

#include "base/mem.h"
#include "runtime/library_code.h"

static const char *const namespaces[] = {
	/* C++: the library, its ABI, its detail namespaces, and what hashes for it */
	"std::", "__gnu_cxx::", "__cxxabiv1::", "operator new", "operator delete",
	"__gnu_debug::", "boost::unordered", "boost::container::", "absl::", "tcmalloc::",
	/* Rust: the library and its hash table; a path in <> is a trait's method of it */
	"core::", "alloc::", "hashbrown::", "<std::", "<core::", "<alloc::", "<hashbrown::", "<&",
	"__rust_", "__rdl_", "__rg_", "_$LT$",
	/* CPython without lines: what of the same it exports */
	"PyDict_", "_PyDict_", "PySet_", "_PySet_", "PyList_", "_PyList_", "PyMem_", "_PyMem_",
	"PyObject_Realloc", "_PyObject_Realloc",
	/* C: what its library keeps to itself */
	"__libc_", "_IO_", "_dl_", "__GI_"};

/* The whole name: also functions that programs bring with them (static builds, preloaded). */
static const char *const functions[] = {"malloc", "calloc", "realloc", "reallocarray", "free",
	"memalign", "aligned_alloc", "posix_memalign", "valloc", "pvalloc", "strdup", "strndup",
	"memcpy", "memmove", "memset", "strcpy", "strcat", "mmap", "mmap64", "munmap", "mremap",
	"brk", "sbrk", "clone", "clone3", "__clone", "__clone3", "start_thread", "_start",
	/* Redis: its hash table (src/dict.c) */
	"_dictExpand", "dictExpand", "dictTryExpand", "dictResize", "dictAdd", "dictAddRaw",
	"dictAddOrFind", "dictReplace", "_int_malloc", "_int_realloc", "_int_free", "sysmalloc",
	"rust_begin_unwind", "rust_panic",
	/* C: what programs call realloc by, to end where it fails */
	"Perl_safesysrealloc", "xrealloc", "xreallocarray", "xnrealloc", "x2realloc", "x2nrealloc"};

static const char *const folders[] = {"/usr/include/", "/usr/lib/gcc/", "/usr/lib/llvm-",
	"/usr/local/include/c++/", "/rustc/", "/usr/src/rustc-", "./malloc/", "./nptl/", "./csu/",
	"./stdlib/", "./string/", "./elf/", "./libio/", "../sysdeps/", "../csu/"};

/* Anywhere in the path: a tool chain may be installed in any place. */
static const char *const parts[] = {"/lib/rustlib/src/rust/library/", "/include/c++/",
	"/hashbrown-", "/libstdc++-v3/", "/glibc-2",
	/* CPython: its containers and its allocator */
	"/Objects/dictobject.c", "/Objects/setobject.c", "/Objects/listobject.c",
	"/Objects/obmalloc.c"};

static const char *const dsos[] = {"libc.so.", "libc-2.", "ld-linux-", "ld-2.", "libstdc++.so.",
	"libc++.so.", "libc++abi.so.", "libgcc_s.so.", "libpthread", "libm.so.", "librt",
	"libdl.so.", "libjemalloc.so", "libtcmalloc", "libmimalloc", "libglib-2.0.so.", "libstd-",
	"libabsl_", "ld-musl-", "libc.musl-", "[vdso]"};

static bool starts_with_any(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strncmp(text, list[i], strlen(list[i])))
			return true;
	return false;
}

static bool is_any(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(text, list[i]))
			return true;
	return false;
}

static bool contains_any(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(text, list[i]))
			return true;
	return false;
}

bool library_code_function(const char *function, const char *file)
{
	return starts_with_any(function, namespaces, ARRAY_SIZE(namespaces)) ||
	       is_any(function, functions, ARRAY_SIZE(functions)) ||
	       starts_with_any(file, folders, ARRAY_SIZE(folders)) ||
	       contains_any(file, parts, ARRAY_SIZE(parts));
}

bool library_code_dso(const char *name)
{
	return starts_with_any(name, dsos, ARRAY_SIZE(dsos));
}
