/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of watched containers: who gets on it, who makes room, who is walked. */
#include <criterion/criterion.h>

#include "base/mem.h"
#include "trace/watch.h"

#define SECOND 1000000000ull

static struct watch_list *list;

static void setup(void)
{
	list = xcalloc(1, sizeof(*list));
}

static void teardown(void)
{
	watch_list_done(list);
	free(list);
}

TestSuite(watch, .init = setup, .fini = teardown);

static void fill(uint64_t held_bytes)
{
	for (uint64_t i = 1; i <= WATCH_MAX_CONTAINERS; i++)
		watch_add(list, 0, FAMILY_MAP, i * 8, 0, held_bytes + i);
}

static size_t chosen(uint64_t now_ns, bool all)
{
	size_t count = 0;

	watch_choose_deep(list, now_ns, all);
	for (size_t i = 0; i < list->end; i++)
		if (list->watches[i].used && list->watches[i].deep) {
			watch_walked(&list->watches[i], now_ns, WATCH_DEEP_NS);
			count++;
		}
	return count;
}

Test(watch, small_ones_are_left_out_until_they_have_grown)
{
	watch_add(list, 3, FAMILY_MAP, 8, 77, WATCH_FLOOR_BYTES - 1);
	cr_assert_null(watch_find(list, FAMILY_MAP, 8));
	watch_add(list, 3, FAMILY_MAP, 8, 77, WATCH_FLOOR_BYTES);
	cr_assert_not_null(watch_find(list, FAMILY_MAP, 8));
	cr_assert_eq(watch_find(list, FAMILY_MAP, 8)->part, 3);
	cr_assert_eq(watch_find(list, FAMILY_MAP, 8)->type, 77);
	cr_assert_null(watch_find(list, FAMILY_SLICE, 8));
}

Test(watch, a_growth_keeps_the_type_that_it_does_not_tell)
{
	watch_add(list, 0, FAMILY_MAP, 8, 77, 1 << 20);
	watch_add(list, 0, FAMILY_MAP, 8, 0, 2 << 20);
	cr_assert_eq(list->count, 1);
	cr_assert_eq(watch_find(list, FAMILY_MAP, 8)->type, 77);
	cr_assert_eq(watch_find(list, FAMILY_MAP, 8)->held_bytes, 2 << 20);
}

Test(watch, the_smallest_makes_room_for_a_larger_one_only)
{
	fill(1 << 20);
	watch_add(list, 0, FAMILY_SLICE, 8, 0, 1 << 20);
	cr_assert_null(watch_find(list, FAMILY_SLICE, 8));
	watch_add(list, 0, FAMILY_SLICE, 8, 0, 2 << 20);
	cr_assert_not_null(watch_find(list, FAMILY_SLICE, 8));
	cr_assert_null(watch_find(list, FAMILY_MAP, 8), "the smallest should have gone");
	cr_assert_not_null(watch_find(list, FAMILY_MAP, 16));
	cr_assert_eq(list->count, WATCH_MAX_CONTAINERS);
}

Test(watch, removed_ones_give_their_place_back)
{
	watch_add(list, 0, FAMILY_MAP, 8, 0, 1 << 20);
	watch_add(list, 0, FAMILY_MAP, 16, 0, 1 << 20);
	watch_remove(list, watch_find(list, FAMILY_MAP, 16));
	cr_assert_eq(list->end, 1);
	watch_remove(list, watch_find(list, FAMILY_MAP, 8));
	cr_assert_eq(list->end, 0);
	cr_assert_eq(list->count, 0);
	watch_remove(list, NULL);
}

Test(watch, a_poll_walks_so_many_and_the_rest_at_the_next_ones)
{
	size_t walked = 0;

	fill(1 << 20);
	for (int poll = 0; poll < WATCH_MAX_CONTAINERS / WATCH_DEEP_AT_ONCE; poll++) {
		cr_assert_eq(chosen(SECOND, false), WATCH_DEEP_AT_ONCE);
		walked += WATCH_DEEP_AT_ONCE;
	}
	cr_assert_eq(walked, WATCH_MAX_CONTAINERS);
	cr_assert_eq(chosen(SECOND, false), 0, "all of them were walked once");
	cr_assert_eq(chosen(SECOND, true), WATCH_MAX_CONTAINERS, "the last poll takes all");
}

Test(watch, what_was_not_written_to_rests_longer)
{
	struct watch *watch;

	watch_add(list, 0, FAMILY_MAP, 8, 0, 1 << 20);
	watch = watch_find(list, FAMILY_MAP, 8);
	watch->stamp = 5;
	cr_assert_eq(chosen(SECOND, false), 1);
	cr_assert_eq(chosen(SECOND + WATCH_DEEP_NS, false), 0, "nobody wrote to it");
	cr_assert_eq(chosen(SECOND + WATCH_DEEP_REST_NS, false), 1);
	watch->stamp = 6;
	cr_assert_eq(chosen(SECOND + WATCH_DEEP_REST_NS + WATCH_DEEP_NS, false), 1);
}

Test(watch, quiet_after_looks_that_see_nothing_new)
{
	struct watch *watch;

	watch_add(list, 0, FAMILY_MAP, 8, 0, 1 << 20);
	watch = watch_find(list, FAMILY_MAP, 8);
	cr_expect_not(watch_looked(watch, 5));
	cr_expect_not(watch_looked(watch, 5));
	cr_expect(watch_looked(watch, 5));
	watch->was_quiet = true;
	watch_end_quiet(watch); /* it had something to say: the next look may have been the last */
	cr_expect_not(watch_looked(watch, 6));
	for (int i = 1; i < WATCH_QUIET_LOOKS; i++)
		cr_expect_not(watch_looked(watch, 6));
	cr_expect(watch_looked(watch, 6));
	watch_end_quiet(watch); /* not once has its runtime called it so */
	for (int i = 1; i < WATCH_LOUD_LOOKS + WATCH_QUIET_LOOKS; i++)
		cr_expect_not(watch_looked(watch, 6));
	cr_expect(watch_looked(watch, 6));
	watch->quiet = true;
	watch_add(list, 0, FAMILY_MAP, 8, 0, 1 << 20);
	cr_expect_not(watch->quiet);
	cr_expect_not(watch_looked(watch, 6));
}
