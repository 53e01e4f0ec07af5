/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON values over json-c. Out of memory ends the program, as everywhere (base/mem.h). */
#include "sink/json_value.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define EXACT_DOUBLE 9007199254740992.0 /* 2^53: whole numbers below it have one double each */

void json_add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add_ex(
		object, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
}

void json_add_null(struct json_object *object, const char *key)
{
	json_add(object, key, NULL);
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_add(object, key, json_object_new_boolean(value));
}

void json_add_int(struct json_object *object, const char *key, int64_t value)
{
	json_add(object, key, json_object_new_int64(value));
}

void json_add_uint(struct json_object *object, const char *key, uint64_t value)
{
	json_add(object, key, json_object_new_uint64(value));
}

void json_add_known(struct json_object *object, const char *key, bool known, uint64_t value)
{
	json_add(object, key, known ? json_object_new_uint64(value) : NULL);
}

struct json_object *json_double(double value)
{
	char digits[40];

	if (!isfinite(value))
		return NULL;
	if (value == trunc(value) && fabs(value) < EXACT_DOUBLE)
		return json_object_new_int64((int64_t)value);
	snprintf(digits, sizeof(digits), "%.9g", value);
	return json_object_new_double_s(value, digits);
}

void json_add_double(struct json_object *object, const char *key, double value)
{
	json_add(object, key, json_double(value));
}

/* A byte becomes four at most: \xNN. */
struct json_object *json_text(const char *text)
{
	size_t bytes = strlen(text) * 4 + 1;
	char *safe = xcalloc(bytes, 1);
	struct json_object *string;

	string = json_object_new_string(text_escape(safe, bytes, text));
	free(safe);
	return string;
}

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	json_add(object, key, json_text(text));
}

void json_add_name(struct json_object *object, const char *key, const char *name)
{
	json_add(object, key, name && name[0] ? json_text(name) : NULL);
}

void json_add_hash(struct json_object *object, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%016" PRIx64, value);
	json_add(object, key, json_object_new_string(digits));
}

void json_add_address(struct json_object *object, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "0x%" PRIx64, value);
	json_add(object, key, json_object_new_string(digits));
}
