/* SPDX-License-Identifier: BSD-2-Clause */
#include "rules/advice.h"

#include <criterion/criterion.h>
#include <string.h>

static struct model *model;
static uint32_t target;

static void start(void)
{
	const struct model_target_info info = {.comm = "a", .runtime = "go", .version = "go1.23"};

	model = model_new();
	target = model_add_target(model, &info);
}

static void end(void)
{
	model_free(model);
}

TestSuite(advice, .init = start, .fini = end);

static const struct advice *find(const char *runtime, enum family family)
{
	return advice_for(model, target, model_intern(model, runtime), family);
}

Test(advice, by_runtime_and_family)
{
	cr_expect_str_eq(find("", FAMILY_MAP)->runtime, "go", "the target's first");
	cr_expect_str_eq(find("go", FAMILY_SLICE)->runtime, "go");
	cr_expect_str_eq(find("c++", FAMILY_MAP)->runtime, "c++");
	cr_expect(!find("c++", FAMILY_MAP)->collected);
	cr_expect_str_eq(find("c", FAMILY_ARRAY)->runtime, "c");
	cr_expect_str_eq(find("something", FAMILY_MAP)->runtime, "");
}

Test(advice, puts_type_and_number_in)
{
	char text[FINDING_TEXT_BYTES];

	advice_say(text, "make($T, $N), $", "map[int]int", FAMILY_MAP, 12);
	cr_expect_str_eq(text, "make(map[int]int, 12), $");
	advice_say(text, "$T.reserve($N)", "", FAMILY_MAP, 0);
	cr_expect_str_eq(text, "map.reserve(n)");
}

Test(advice, stays_within_its_room)
{
	char text[FINDING_TEXT_BYTES], sentence[4 * FINDING_TEXT_BYTES], type[4096];

	memset(type, 't', sizeof(type) - 1);
	type[sizeof(type) - 1] = 0;
	for (size_t i = 0; i + 2 < sizeof(sentence); i += 2)
		memcpy(sentence + i, "$T", 3);
	advice_say(text, sentence, type, FAMILY_MAP, 1);
	cr_expect_eq(strlen(text), FINDING_TEXT_BYTES - 1);
}
