/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * held-snapshot: memory that only an iterator keeps. Either a whole map that nothing else is known to lead
 * to (a reflect.MapIter that was kept, a coroutine of iter.Pull2 that was never stopped), or the array that a
 * map had when a range over it began, and has left by growing.
 *
 * Of an iterator on a stack it cannot be known from outside whether its loop is still in use: a map that one
 * of those keeps is asked about, no more (INFO). An array that the map has left is another matter: it has
 * outlived a collection, so something leads to it, and the iterator is what does. What was read only once, or
 * for too short before the session ended, may be a loop that goes on, and is asked about as well.
 *
 * Evidence: length, held_bytes, old_bytes, old_resident_bytes, on_heap, on_stacks, others, since_ns,
 * seen_once (1 also where the time was too short).
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "rules/support.h"

struct held {
	uint64_t bytes, resident_bytes;
	uint64_t since_ns;
	bool map;  /* the whole of it, not an array that it has left */
	bool sure; /* that the iterator is in use */
	bool once;
};

static bool is_iterated(const struct container *container)
{
	return container->iterators.on_heap || container->iterators.on_stacks;
}

/* Does iter.Pull wait here? Its loop is nobody's but the iterator's. */
static bool is_pull(const struct site *site)
{
	for (uint32_t i = 0; site && i < site->frame_count; i++)
		if (!strncmp(site->frames[i].function, "iter.Pull", strlen("iter.Pull")))
			return true;
	return false;
}

/* No variable or field is known that leads to it. */
static bool is_alone(const struct model *model, const struct container *container)
{
	const struct event_iterators *iterators = &container->iterators;

	if (iterators->on_heap)
		return !iterators->others;
	return is_pull(model_site(model, iterators->site)) && !container->owner;
}

static bool lasts(const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);
	uint64_t since_ns = container->iterators_since_ns;

	return minus(container->iterators_seen_ns, since_ns) >= threshold_ns(context, "seconds") ||
	       (container->iterators_seen_ns > since_ns &&
		       model_gc_cycles_since(target, since_ns) >= threshold_get(context, "gcs"));
}

/*
 * A session that ends before the window is over says what it saw: else 5 s would show less than no time at all
 * (-d 0). One that moved is in use.
 */
static bool fills_session(const struct rule_context *context, const struct container *container)
{
	uint64_t start_ns, real_ns, end_ns;

	model_clock(context->model, &start_ns, &real_ns, &end_ns);
	return end_ns > start_ns && !container->iterators_moved;
}

static struct held find_held(const struct rule_context *context, const struct container *container)
{
	const struct event_iterators *iterators = &container->iterators;
	const struct event_look *look = &container->look;
	struct held held = {.since_ns = container->iterators_since_ns};

	held.map = is_alone(context->model, container);
	held.sure = !held.map || iterators->on_heap;
	held.bytes = held.map ? look->held_bytes : iterators->old_bytes;
	held.resident_bytes = !held.map            ? iterators->old_resident_bytes
			      : look->has_resident ? look->resident_bytes
						   : 0;
	return held;
}

static void write_text(const struct model *model, const struct container *container,
	const struct held *held, struct finding *finding)
{
	const struct event_iterators *iterators = &container->iterators;
	const struct site *site = model_site(model, iterators->site);
	const char *owner = model_string(model, container->owner);
	char where[160] = "a reflect.MapIter";
	struct numbers n = {0};

	if (!iterators->on_heap)
		snprintf(where, sizeof(where), "%s in %.100s",
			is_pull(site) ? "iter.Pull" : "a range",
			site && *site->function ? site->function : "a goroutine that waits");
	else if (*owner)
		snprintf(where, sizeof(where), "a reflect.MapIter, %.100s", owner);
	if (held->map)
		say(finding->message,
			"%s entries, %s, are kept by an iterator (%s): nothing else is known to "
			"lead to them.",
			number_count(&n, container->look.length), number_bytes(&n, held->bytes),
			where);
	else
		say(finding->message,
			"An iterator (%s) keeps the array of %s that the map had when it began; "
			"the map itself holds %s by now.",
			where, number_bytes(&n, held->bytes),
			number_bytes(&n, container->look.held_bytes));
	if (held->once && container->iterators_seen_ns == held->since_ns)
		say(finding->since, "Seen once, by reading: whether it moves is not known.");
	else if (held->once)
		say(finding->since, "It has not moved for %s, too short to tell whether it will.",
			number_duration(&n, minus(container->iterators_seen_ns, held->since_ns)));
	else
		say(finding->since, "It has not moved for %s%s.",
			number_duration(&n, minus(container->iterators_seen_ns, held->since_ns)),
			held->sure ? ""
				   : "; whether its loop is still in use cannot be seen from "
				     "outside");
	say(finding->in_code, "%s",
		!held->map ? "end the loop before the map grows, or range over a copy of its keys."
		: iterators->on_heap ? "drop the iterator when the loop over it has ended."
				     : "call stop() of iter.Pull, also where the loop ends early "
				       "(defer stop()).");
	say(finding->right_now, "nothing but the end of the iterator frees it.");
}

static void write_evidence(
	const struct container *container, const struct held *held, struct finding *finding)
{
	const struct event_iterators *iterators = &container->iterators;

	evidence_add(finding, "length", (double)container->look.length);
	evidence_add(finding, "held_bytes", (double)container->look.held_bytes);
	evidence_add(finding, "old_bytes", (double)iterators->old_bytes);
	evidence_add(finding, "old_resident_bytes", (double)iterators->old_resident_bytes);
	evidence_add(finding, "on_heap", (double)iterators->on_heap);
	evidence_add(finding, "on_stacks", (double)iterators->on_stacks);
	evidence_add(finding, "others", iterators->others);
	evidence_add(
		finding, "since_ns", (double)minus(container->iterators_seen_ns, held->since_ns));
	evidence_add(finding, "seen_once", held->once);
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);
	struct finding finding = finding_of_container(container, CLASS_HELD);
	struct held held = find_held(context, container);

	if (held.bytes < threshold_bytes(context, "min_bytes"))
		return;
	held.once = !lasts(context, container);
	if (held.once && !is_read_only(context->model, target) &&
		!fills_session(context, container))
		return;
	finding.normal = !held.sure || held.once;
	finding.candidate = !model_container_alive_since(context->model, container, held.since_ns);
	finding.bytes = held.bytes;
	finding.saves_bytes = held.bytes;
	finding.saves_rss_bytes = held.resident_bytes;
	write_evidence(container, &held, &finding);
	write_text(context->model, container, &held, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (!container->dead && container->looked && is_iterated(container))
			evaluate_container(context, container);
	}
}

const struct rule rule_held_snapshot = {
	.kind = "held-snapshot",
	.help = "a map, or the array that it has left, that only an iterator keeps",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 60, "the iterator does not move for so long, or"},
			{"gcs", UNIT_NONE, 2, "... for so many GC cycles"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "held at least"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
