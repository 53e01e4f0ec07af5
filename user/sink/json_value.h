/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON values as tests/schema.json wants them: integers exact to 64 bits, unknown is null, names made
 * valid and harmless first (json-c passes invalid UTF-8 through as it is).
 */
#ifndef MEMTRACE_SINK_JSON_VALUE_H
#define MEMTRACE_SINK_JSON_VALUE_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

void json_add(struct json_object *object, const char *key, struct json_object *value);
void json_add_null(struct json_object *object, const char *key);
void json_add_bool(struct json_object *object, const char *key, bool value);
void json_add_int(struct json_object *object, const char *key, int64_t value);
void json_add_uint(struct json_object *object, const char *key, uint64_t value);

/* A number or null. */
void json_add_known(struct json_object *object, const char *key, bool known, uint64_t value);

/* Whole numbers below 2^53 without a fraction; null where it is not finite. */
void json_add_double(struct json_object *object, const char *key, double value);
struct json_object *json_double(double value);

/* A name, escaped; null where it is NULL or empty (a name that is not known). */
void json_add_name(struct json_object *object, const char *key, const char *name);

/* Text of our own that may quote names: escaped, "" stays "". */
void json_add_text(struct json_object *object, const char *key, const char *text);
struct json_object *json_text(const char *text);

/* 64-bit hashes and addresses are strings: readers that know doubles only would round them. */
void json_add_hash(struct json_object *object, const char *key, uint64_t value);
void json_add_address(struct json_object *object, const char *key, uint64_t value);

#endif
