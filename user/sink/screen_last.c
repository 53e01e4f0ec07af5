/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Post-mortem: what a process that was killed, or failed, was doing in its last seconds. Its memory is gone;
 * what it held is what the last look found, at most a tenth of a second before.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/screen.h"

#define LAST_NS   (10 * NSEC_PER_SEC)
#define MAX_HELD  3
#define MAX_LAST  4
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

static uint64_t retained_bytes(const struct container *container)
{
	const struct event_look *look = &container->look;

	if (!container->looked || !look->has_length || look->need_bytes >= container->held_bytes)
		return 0;
	return container->held_bytes - look->need_bytes;
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
		if (retained_bytes(container) >= MIN_BYTES)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
				" (%s of it not needed)",
				text_bytes(number, retained_bytes(container)));
	}
	snprintf(text + used, sizeof(text) - used, ".");
	page_wrap(page, STYLE_PLAIN, 0, text);
}

static size_t say_recent(
	const struct model *model, const struct recent *recent, char *buf, size_t bytes)
{
	char size[TEXT_NUMBER_BYTES], count[TEXT_NUMBER_BYTES], place[200];
	const struct site *site = model_site(model, recent->site);
	size_t used;

	screen_place(site, place, sizeof(place));
	text_bytes(size, recent->bytes);
	text_count(count, recent->count);
	if (recent->kind == RECENT_GC)
		return (size_t)snprintf(buf, bytes, "the collector left %s alive", size);
	if (recent->kind == RECENT_RETURNED)
		return (size_t)snprintf(buf, bytes, "%s went back to the kernel%s%.80s", size,
			place[0] ? " at " : "", place);
	used = (size_t)snprintf(buf, bytes, "%s %.60s%s%.80s grew to %s",
		family_name(recent->family), model_string(model, recent->type),
		place[0] ? " at " : "", place, size);
	if (recent->count > 1)
		used += (size_t)snprintf(buf + used, bytes - used, " in %s steps", count);
	return used;
}

/* What happened last, the newest first. */
static void put_recent(struct page *page, const struct model *model, const struct target *target)
{
	char text[PAGE_TEXT_BYTES], number[TEXT_NUMBER_BYTES];
	const struct recent *recent;
	size_t used = 0;

	for (size_t i = 0; i < MAX_LAST && (recent = model_recent(target, i)); i++) {
		uint64_t before_ns = target->exit_ns - MIN(recent->time_ns, target->exit_ns);

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %s before%s ",
			i ? ";" : "Last,", text_duration(number, before_ns), i ? "," : " its end:");
		used += say_recent(model, recent, text + used, sizeof(text) - used);
	}
	if (!used)
		return;
	snprintf(text + used, sizeof(text) - used, ".");
	page_wrap(page, STYLE_PLAIN, 0, text);
}

/* It was killed or has failed; -v tells it of every end. */
static bool wants_post_mortem(const struct report *report, const struct target *target)
{
	int status = target->exit.status;

	if (!target->exited)
		return false;
	return report->verbose ||
	       (target->exit.has_status &&
		       (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status))));
}

void screen_last(struct page *page, const struct report *report, const struct target *target)
{
	if (!wants_post_mortem(report, target))
		return;
	put_gained(page, report->model, target);
	put_held(page, report->model, target);
	put_recent(page, report->model, target);
}
