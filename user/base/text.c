/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

const char *text_bytes(char buf[TEXT_NUMBER_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1023.95 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, TEXT_NUMBER_BYTES, unit && value < 999.95 ? "%.1f %s" : "%.0f %s", value,
		units[unit]);
	return buf;
}

const char *text_count(char buf[TEXT_NUMBER_BYTES], uint64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	char *out = buf;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = 0;
	return buf;
}

const char *text_duration(char buf[TEXT_NUMBER_BYTES], uint64_t ns)
{
	double seconds = (double)ns / NSEC_PER_SEC;

	if (ns < NSEC_PER_MSEC)
		snprintf(buf, TEXT_NUMBER_BYTES, "%.0f us", seconds * 1e6);
	else if (ns < NSEC_PER_SEC)
		snprintf(buf, TEXT_NUMBER_BYTES, "%.0f ms", seconds * 1e3);
	else if (seconds < 120)
		snprintf(buf, TEXT_NUMBER_BYTES, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
	else if (seconds < 7200)
		snprintf(buf, TEXT_NUMBER_BYTES, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(buf, TEXT_NUMBER_BYTES, "%.1f h", seconds / 3600);
	else
		snprintf(buf, TEXT_NUMBER_BYTES, "%.1f days", seconds / 86400);
	return buf;
}

int text_parse_bytes(const char *s, uint64_t *ret)
{
	static const char letters[] = "KMGT";
	const char *unit;
	double value;
	char *end;

	if (!(*s >= '0' && *s <= '9') && *s != '.')
		return -EINVAL;
	value = strtod(s, &end);
	if (end == s || !isfinite(value) || value < 0)
		return -EINVAL;
	if (*end && (unit = strchr(letters, *end & ~0x20))) {
		value *= pow(1024, (double)(unit - letters + 1));
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end)
		return -EINVAL;
	if (value >= 18446744073709551616.0)
		return -ERANGE;
	*ret = (uint64_t)value;
	return 0;
}

/* Length of the valid UTF-8 sequence at s, 0 where it is invalid. Rejects overlong and surrogates. */
static int utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf && (s[1] & 0xc0) == 0x80)
		return 2;
	if ((s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
		!(s[0] == 0xe0 && s[1] < 0xa0) && !(s[0] == 0xed && s[1] >= 0xa0))
		return 3;
	if (s[0] >= 0xf0 && s[0] <= 0xf4 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
		(s[3] & 0xc0) == 0x80 && !(s[0] == 0xf0 && s[1] < 0x90) &&
		!(s[0] == 0xf4 && s[1] >= 0x90))
		return 4;
	return 0;
}

static bool is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

const char *text_escape(char *buf, size_t bytes, const char *s)
{
	const unsigned char *in = (const unsigned char *)s;
	size_t used = 0;

	while (*in) {
		int length = utf8_length(in);
		char piece[8];
		int n;

		if (!length) {
			n = snprintf(piece, sizeof(piece), "\xef\xbf\xbd");
			length = 1;
		} else if (is_control(in)) {
			n = snprintf(piece, sizeof(piece), "\\x%02x", in[length - 1]);
		} else {
			n = snprintf(piece, sizeof(piece), "%.*s", length, (const char *)in);
		}
		if (used + (size_t)n + 1 > bytes)
			break;
		memcpy(buf + used, piece, (size_t)n);
		used += (size_t)n;
		in += length;
	}
	if (bytes)
		buf[used] = 0;
	return buf;
}

void text_copy(char *buf, size_t bytes, const char *s)
{
	size_t length = strnlen(s, bytes - 1);

	memcpy(buf, s, length);
	buf[length] = 0;
}
