/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Post-mortem: what a process that was killed was doing in its last seconds. Its memory is gone; what it
 * held is what the last look found, at most a tenth of a second before.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/screen.h"

#define LAST_NS   (10 * NSEC_PER_SEC)
#define MAX_HELD  3
#define MIN_BYTES (64 << 10)

struct held {
	const struct container *list[MAX_HELD]; /* largest first */
	size_t count;
};

static void take_held(struct held *held, const struct container *container)
{
	size_t at = held->count;

	while (at && held->list[at - 1]->held_bytes < container->held_bytes)
		at--;
	if (at == MAX_HELD)
		return;
	held->count = MIN(held->count + 1, (size_t)MAX_HELD);
	memmove(&held->list[at + 1], &held->list[at],
		(held->count - at - 1) * sizeof(held->list[0]));
	held->list[at] = container;
}

static struct held find_held(const struct model *model, uint32_t target)
{
	struct held held = {.count = 0};

	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);

		if (container->target == target && !container->dead &&
			container->held_bytes >= MIN_BYTES)
			take_held(&held, container);
	}
	return held;
}

static void put_gained(struct page *page, const struct model *model, const struct target *target)
{
	struct cause causes[MAX_HELD + 1];
	uint64_t from_ns = target->exit_ns - MIN(target->exit_ns, LAST_NS), lost;
	size_t count = model_causes(
		model, target->id, from_ns, target->exit_ns, causes, ARRAY_SIZE(causes), &lost);
	char text[PAGE_TEXT_BYTES], number[TEXT_NUMBER_BYTES], words[200];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "In its last 10 s RSS gained");
	for (size_t i = 0; i < count; i++) {
		model_describe_cause(model, &causes[i], words, sizeof(words));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s %.100s",
			i ? "," : "", text_bytes(number, causes[i].bytes), words);
	}
	if (lost)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "; %s went back",
			text_bytes(number, lost));
	snprintf(text + used, sizeof(text) - used, count ? "." : " nothing that was sampled.");
	page_wrap(page, STYLE_PLAIN, 0, text);
}

static void put_held(struct page *page, const struct model *model, const struct target *target)
{
	struct held held = find_held(model, target->id);
	char text[PAGE_TEXT_BYTES], number[TEXT_NUMBER_BYTES], place[200];
	size_t used;

	if (!held.count)
		return;
	used = (size_t)snprintf(text, sizeof(text), "It held");
	for (size_t i = 0; i < held.count; i++) {
		const struct container *container = held.list[i];
		const struct site *site = model_site(model, container->sites[0].site);

		screen_place(site, place, sizeof(place));
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"%s %s in %s %.60s%s%.60s%s%.80s", i ? "," : "",
			text_bytes(number, container->held_bytes), family_name(container->family),
			model_string(model, container->owner), container->owner ? " " : "",
			model_string(model, container->type), place[0] ? " at " : "", place);
	}
	snprintf(text + used, sizeof(text) - used, ".");
	page_wrap(page, STYLE_PLAIN, 0, text);
}

void screen_last(struct page *page, const struct report *report, const struct target *target)
{
	if (!target->exited || !target->exit.has_status || !WIFSIGNALED(target->exit.status))
		return;
	put_gained(page, report->model, target);
	put_held(page, report->model, target);
}
