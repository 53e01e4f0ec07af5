/* SPDX-License-Identifier: BSD-2-Clause */
/* Text for people: sizes in human units (MiB = 2^20), grouped numbers, and names that are hostile. */
#ifndef MEMTRACE_BASE_TEXT_H
#define MEMTRACE_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_BYTES 40

/* "812 B", "4.1 KiB", "72.3 MiB", "1.25 GiB"; three or so significant digits. Returns buf. */
const char *text_bytes(char buf[TEXT_NUMBER_BYTES], uint64_t bytes);

/* "10,000". Returns buf. */
const char *text_count(char buf[TEXT_NUMBER_BYTES], uint64_t count);

/* "850 us", "12.5 s", "4 min", "2.1 h". Returns buf. */
const char *text_duration(char buf[TEXT_NUMBER_BYTES], uint64_t ns);

/*
 * Parses "64", "64K", "64KiB", "1.5M", "2G" (powers of 1024). 0, -EINVAL where it is none, -ERANGE
 * where it does not fit.
 */
int text_parse_bytes(const char *s, uint64_t *ret);

/*
 * Copies a name that came from a target so that it is safe to print: control bytes (also C1 and
 * DEL) become \xNN, invalid UTF-8 becomes U+FFFD; cut at bytes - 1 on a character boundary. Returns
 * buf.
 */
const char *text_escape(char *buf, size_t bytes, const char *s);

/* Copies at most bytes - 1 bytes and always terminates. */
void text_copy(char *buf, size_t bytes, const char *s);

#endif
