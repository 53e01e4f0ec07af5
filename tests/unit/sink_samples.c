/* SPDX-License-Identifier: BSD-2-Clause */
/* folded and pprof: every byte at its stack, once; names that would break a format do not. */
#include "model_events.h"

#include <stdlib.h>
#include <zlib.h>

#include "profile.pb-c.h"
#include "sink/samples.h"
#include "sink/sink.h"

#define GROWTH 2 /* sample_type_get() */

static struct report report_of(const struct world *w)
{
	return (struct report){.model = w->model, .top = 10, .width = 100};
}

static char *write_report(const struct report *report, const char *format, size_t *ret_bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_bytes);

	cr_assert_eq(sink_find(format)->write(report, out), 0);
	fclose(out);
	return text;
}

/* Two maps of one site, one that nobody saw being made, and a dead one. */
static struct world some_maps(void)
{
	struct world w = world_new();
	uint32_t other;

	open_all(&w);
	fill_map(&w, w.site, 0x1000, 1024);
	fill_map(&w, w.site, 0x2000, 1024);
	look(&w, 0x1000, 10, 1024);
	apply(&w, (struct event){.kind = EVENT_CREATE,
			  .create = {.family = FAMILY_MAP,
				  .key = 0x3000,
				  .type = w.type,
				  .owner = model_intern(w.model, "main.cache"),
				  .before_attach = true,
				  .held_bytes = 5000}});
	other = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 43);
	grow_map(&w, other, 0x4000, 1024);
	apply(&w,
		(struct event){.kind = EVENT_LOOK, .look = {.family = FAMILY_MAP, .key = 0x4000}});
	return w;
}

Test(sink_samples, types_have_names_of_their_own)
{
	for (size_t i = 0; i < sample_type_count(); i++) {
		const struct sample_type *type = sample_type_get(i);

		cr_expect(type->of_site || type->of_container || type->of_allocated);
		for (size_t j = 0; j < i; j++)
			cr_expect_str_neq(type->name, sample_type_get(j)->name);
	}
	cr_expect_str_eq(sample_type_get(0)->name, "held_bytes");
	cr_expect_str_eq(sample_type_get(GROWTH)->name, "growth_bytes");
	cr_expect_null(sample_type_get(sample_type_count()));
	cr_expect_leq(sample_type_count(), (size_t)SAMPLE_MAX_TYPES);
}

Test(sink_samples, folded_has_a_line_a_stack)
{
	struct world w = some_maps();
	struct report report = report_of(&w);
	uint64_t two = map_bytes(1024) + map_bytes(1024) + map_bytes(512), grown = 0;
	char wanted[512], *text;
	size_t bytes;

	snprintf(wanted, sizeof(wanted),
		"api;main.main;main.(*Cache).Put;map[int]main.session %lu\n"
		"api;[place unknown];main.cache;map[int]main.session 5000\n",
		two);
	text = write_report(&report, "folded", &bytes);
	cr_expect_str_eq(text, wanted);
	free(text);

	for (uint64_t slots = 16; slots <= 1024; slots *= 2)
		grown += 2 * map_bytes(slots);
	report.sample_type = GROWTH;
	snprintf(wanted, sizeof(wanted),
		"api;main.main;main.(*Cache).Put;map[int]main.session %lu\n"
		"api;main.main;main.(*Cache).Put;map[int]main.session %lu\n",
		grown, map_bytes(1024));
	text = write_report(&report, "folded", &bytes);
	cr_expect_str_eq(text, wanted);
	free(text);
	world_done(&w);
}

Test(sink_samples, folded_keeps_a_name_in_its_frame)
{
	struct world w = world_new();
	struct report report = report_of(&w);
	char *text;
	size_t bytes;

	w.site = world_site(&w, FAMILY_MAP, "a\nb", "x;y 7\033", 1);
	report.sample_type = GROWTH;
	grow_map(&w, w.site, 0x1000, 16);
	text = write_report(&report, "folded", &bytes);
	cr_expect_str_eq(text, "api;main.main;x,y 7\\x1b;a\\x0ab 288\n");
	free(text);
	world_done(&w);
}

static Pprof__Profile *read_profile(const char *bytes, size_t count)
{
	static unsigned char plain[1 << 20];
	z_stream stream = {.next_in = (void *)bytes,
		.avail_in = (unsigned int)count,
		.next_out = plain,
		.avail_out = sizeof(plain)};
	Pprof__Profile *profile;

	cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
	cr_assert_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
	profile = pprof__profile__unpack(NULL, stream.total_out, plain);
	inflateEnd(&stream);
	cr_assert(profile);
	return profile;
}

static const char *string(const Pprof__Profile *profile, int64_t i)
{
	cr_assert(i >= 0 && (size_t)i < profile->n_string_table);
	return profile->string_table[i];
}

/* What pprof itself checks before it shows anything. */
static void check_profile(const Pprof__Profile *profile)
{
	cr_expect_str_empty(profile->string_table[0]);
	for (size_t i = 0; i < profile->n_sample; i++) {
		const Pprof__Sample *sample = profile->sample[i];

		cr_expect_eq(sample->n_value, profile->n_sample_type);
		cr_expect_gt(sample->n_location_id, 0);
		for (size_t j = 0; j < sample->n_location_id; j++)
			cr_assert(sample->location_id[j] &&
				  sample->location_id[j] <= profile->n_location);
	}
	for (size_t i = 0; i < profile->n_location; i++) {
		const Pprof__Location *location = profile->location[i];

		cr_expect_eq(location->id, i + 1);
		cr_assert(location->mapping_id && location->mapping_id <= profile->n_mapping);
		cr_expect_gt(location->n_line, 0);
		for (size_t j = 0; j < location->n_line; j++)
			cr_assert(location->line[j]->function_id &&
				  location->line[j]->function_id <= profile->n_function);
	}
	for (size_t i = 0; i < profile->n_function; i++) {
		cr_expect_eq(profile->function[i]->id, i + 1);
		string(profile, profile->function[i]->name);
		string(profile, profile->function[i]->filename);
	}
}

Test(sink_samples, pprof_holds_every_kind)
{
	struct world w = some_maps();
	struct report report = report_of(&w);
	Pprof__Profile *profile;
	int64_t sums[SAMPLE_MAX_TYPES] = {0};
	size_t bytes;
	char *text = write_report(&report, "pprof", &bytes);

	profile = read_profile(text, bytes);
	check_profile(profile);
	cr_assert_eq(profile->n_sample_type, sample_type_count());
	for (size_t i = 0; i < sample_type_count(); i++)
		cr_expect_str_eq(
			string(profile, profile->sample_type[i]->type), sample_type_get(i)->name);
	cr_expect_str_eq(string(profile, profile->default_sample_type), "held_bytes");
	cr_assert_eq(profile->n_mapping, 1);
	cr_assert_eq(profile->n_sample, 3);
	for (size_t i = 0; i < profile->n_sample; i++)
		for (size_t j = 0; j < profile->sample[i]->n_value; j++)
			sums[j] += profile->sample[i]->value[j];
	cr_expect_eq(sums[0], (int64_t)(2 * map_bytes(1024) + map_bytes(512)) + 5000);
	cr_expect_eq(sums[1], (int64_t)(map_bytes(1024) - map_bytes(map_slots(10))));
	pprof__profile__free_unpacked(profile, NULL);
	free(text);
	world_done(&w);
}

Test(sink_samples, pprof_says_what_was_inlined)
{
	struct world w = world_new();
	struct report report = report_of(&w);
	struct model_frame frames[] = {{"slices.Grow", "slices.go", 5, true, true, NULL, NULL},
		{"main.add", "main.go", 20, false, true, NULL, NULL},
		{"main.fill", "main.go", 30, false, false, NULL, NULL},
		{"main.main", "main.go", 40, false, false, NULL, NULL}};
	Pprof__Profile *profile;
	size_t bytes;
	char *text;

	w.site = model_add_site(w.model, w.target, FAMILY_MAP, w.type, frames, 4);
	grow_map(&w, w.site, 0x1000, 16);
	text = write_report(&report, "pprof", &bytes);
	profile = read_profile(text, bytes);
	check_profile(profile);
	cr_assert_eq(profile->n_sample, 1);
	cr_assert_eq(profile->n_location, 2);
	cr_assert_eq(profile->location[0]->n_line, 2);
	cr_expect_eq(profile->location[0]->line[0]->line, 20);
	cr_expect_eq(profile->location[0]->line[1]->line, 30);
	cr_expect_eq(profile->location[1]->line[0]->line, 40);
	pprof__profile__free_unpacked(profile, NULL);
	free(text);
	world_done(&w);
}

/* A function of a library is in another file than the program's, of another build. */
Test(sink_samples, pprof_has_a_mapping_for_each_file)
{
	struct world w = world_new();
	struct report report = report_of(&w);
	struct model_frame frames[] = {
		{"g_realloc", "gmem.c", 5, false, false, "/lib/libglib.so", "abc"},
		{"add", "main.c", 20, false, false, "", ""},
		{"main", "main.c", 30, false, false, NULL, NULL}};
	Pprof__Profile *profile;
	size_t bytes;
	char *text;

	w.site = model_add_site(w.model, w.target, FAMILY_MAP, w.type, frames, 3);
	grow_map(&w, w.site, 0x1000, 16);
	text = write_report(&report, "pprof", &bytes);
	profile = read_profile(text, bytes);
	check_profile(profile);
	cr_assert_eq(profile->n_location, 3);
	cr_assert_eq(profile->n_mapping, 2);
	cr_expect_str_eq(string(profile, profile->mapping[1]->filename), "/lib/libglib.so");
	cr_expect_str_eq(string(profile, profile->mapping[1]->build_id), "abc");
	cr_expect_eq(profile->location[0]->mapping_id, 2);
	cr_expect_eq(profile->location[1]->mapping_id, 1);
	cr_expect_eq(profile->location[2]->mapping_id, 1);
	pprof__profile__free_unpacked(profile, NULL);
	free(text);
	world_done(&w);
}

Test(sink_samples, the_runtimes_own_profile_is_apart)
{
	struct world w = world_new();
	struct report report = report_of(&w);
	char *text;
	size_t bytes;

	while (strcmp(sample_type_get(report.sample_type)->name, "inuse_space") != 0)
		report.sample_type++;
	apply(&w, (struct event){.kind = EVENT_PROFILE, .profile = {.rate_bytes = 524288}});
	apply(&w, (struct event){.kind = EVENT_ALLOCATED,
			  .allocated = {.stack = model_add_stack(w.model, w.target,
						model_site(w.model, w.site)->frames, 3),
				  .in_use_bytes = 700,
				  .allocated_bytes = 900}});
	text = write_report(&report, "folded", &bytes);
	cr_expect_str_eq(text, "api;main.main;main.(*Cache).Put 700\n");
	free(text);
	report.sample_type = 0;
	text = write_report(&report, "folded", &bytes);
	cr_expect_str_empty(text);
	free(text);
	world_done(&w);
}

Test(sink_samples, an_empty_session_is_a_valid_profile)
{
	struct report report = {.model = model_new()};
	Pprof__Profile *profile;
	size_t bytes;
	char *text = write_report(&report, "pprof", &bytes);

	profile = read_profile(text, bytes);
	check_profile(profile);
	cr_expect_eq(profile->n_sample, 0);
	pprof__profile__free_unpacked(profile, NULL);
	free(text);
	text = write_report(&report, "folded", &bytes);
	cr_expect_eq(bytes, 0);
	free(text);
	model_free((struct model *)report.model);
}

Test(sink_samples, a_full_disk_is_an_error)
{
	struct world w = some_maps();
	struct report report = report_of(&w);

	for (size_t i = 0; i < 2; i++) {
		FILE *out = fopen("/dev/full", "w");

		cr_expect_lt(sink_find(i ? "pprof" : "folded")->write(&report, out), 0);
		fclose(out);
	}
	world_done(&w);
}
