/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blocked-goroutines: goroutines that wait at one place and will not come back. Many senders that wait on
 * and on are such, for nobody keeps senders waiting on purpose. Who waits to receive, in a select
 * or for a lock may be a pool, and idle: only a number that rises look after look is told. Who waits for
 * the network or for time to pass goes by somebody else's clock and is never accused.
 *
 * Evidence: count, count_first, goroutines, sending, waited_ns, since_ns, stack_bytes, message_bytes,
 * resident_bytes.
 */
#include "base/mem.h"
#include "rules/support.h"

struct blocked {
	const struct target *target;
	const struct waiters *waiters;
	const struct site *site;
	uint64_t first_count, since_ns; /* of the first look without a break of enough of them */
	uint64_t resident_bytes;
};

static const char *const doing[WAIT_MAX] = {
	[WAIT_SEND] = "wait for a receiver of what they send",
	[WAIT_RECEIVE] = "wait to receive from a channel",
	[WAIT_SELECT] = "wait in a select",
	[WAIT_LOCK] = "wait for a lock",
};

/* The first of the newest looks that all saw at least count of them. */
static uint32_t first_slot(const struct waiters *waiters, double count)
{
	uint32_t first = waiters->slot_count;

	while (first && (double)waiters->slots[first - 1].count >= count)
		first--;
	return first;
}

/* Never fewer than before since the first slot, and more at each of the newest looks. */
static bool is_rising(const struct waiters *waiters, uint32_t first, double looks)
{
	for (uint32_t i = first + 1; i < waiters->slot_count; i++) {
		uint64_t before = waiters->slots[i - 1].count, count = waiters->slots[i].count;
		bool is_newest = (double)(waiters->slot_count - i) < looks;

		if (count < before || (is_newest && count == before))
			return false;
	}
	return (double)(waiters->slot_count - first) >= looks;
}

/*
 * Senders that are served one after the other, if slowly: the collector notes how long each has been
 * waiting, it has been there twice meanwhile, and knows none that waits that long.
 */
static bool is_moving(const struct rule_context *context, const struct blocked *blocked)
{
	const struct waiters *waiters = blocked->waiters;
	uint64_t from_ns = minus(waiters->last_ns, blocked->since_ns);

	return model_gc_cycles_since(blocked->target, from_ns) >= 2 &&
	       waiters->now.waited_ns < threshold_ns(context, "seconds");
}

static bool is_blocked(const struct rule_context *context, struct blocked *blocked)
{
	const struct waiters *waiters = blocked->waiters;
	uint32_t first = first_slot(waiters, threshold_get(context, "count"));

	if (!doing[waiters->now.wait] || waiters->last_ns != blocked->target->goroutines_ns ||
		first == waiters->slot_count)
		return false;
	blocked->first_count = waiters->slots[first].count;
	blocked->since_ns = minus(waiters->last_ns, waiters->slots[first].time_ns);
	if (blocked->since_ns < threshold_ns(context, "seconds"))
		return false;
	if (waiters->now.wait == WAIT_SEND)
		return !is_moving(context, blocked);
	return is_rising(waiters, first, threshold_get(context, "looks"));
}

static void write_evidence(const struct blocked *blocked, struct finding *finding)
{
	const struct event_waiters *now = &blocked->waiters->now;

	evidence_add(finding, "count", (double)now->count);
	evidence_add(finding, "count_first", (double)blocked->first_count);
	evidence_add(finding, "goroutines", (double)model_goroutine_count(blocked->target));
	evidence_add(finding, "sending", now->wait == WAIT_SEND);
	evidence_add_known(finding, "waited_ns", now->waited_ns != 0, (double)now->waited_ns);
	evidence_add(finding, "since_ns", (double)blocked->since_ns);
	evidence_add(finding, "stack_bytes", (double)now->stack_bytes);
	evidence_add(finding, "message_bytes", (double)now->message_bytes);
	evidence_add(finding, "resident_bytes", (double)blocked->resident_bytes);
}

static void write_text(const struct blocked *blocked, struct finding *finding)
{
	const struct event_waiters *now = &blocked->waiters->now;
	uint64_t waited_ns = MAX(now->waited_ns, blocked->since_ns);
	struct numbers n = {0};

	say(finding->message, "%s goroutines %s; their stacks hold %s%s%s.",
		number_count(&n, now->count), doing[now->wait], number_bytes(&n, now->stack_bytes),
		now->message_bytes ? ", their messages " : "",
		now->message_bytes ? number_bytes(&n, now->message_bytes) : "");
	if (blocked->first_count == now->count)
		say(finding->since, "As many for %s; the first waits for at least %s.",
			number_duration(&n, blocked->since_ns), number_duration(&n, waited_ns));
	else
		say(finding->since, "%s of them %s before; the first waits for at least %s.",
			number_count(&n, blocked->first_count),
			number_duration(&n, blocked->since_ns), number_duration(&n, waited_ns));
	if (now->wait == WAIT_SEND)
		say(finding->in_code,
			"a select with ctx.Done() beside the send, or a receiver that "
			"outlives the senders.");
	else if (now->wait == WAIT_LOCK)
		say(finding->in_code,
			"find who holds the lock or never calls Done(); bound how many "
			"goroutines are started for it.");
	else
		say(finding->in_code,
			"a select with ctx.Done() beside the channel, so that they end with what "
			"they were started for.");
	say(finding->right_now,
		now->wait == WAIT_SEND ? "nothing but a restart: who waits is never collected, and "
					 "closing the channel makes senders panic."
				       : "nothing but a restart: who waits is never collected.");
}

static void evaluate_waiters(const struct rule_context *context, struct blocked *blocked)
{
	const struct event_waiters *now = &blocked->waiters->now;
	struct finding finding;

	blocked->site = model_site(context->model, now->site);
	if (!blocked->site || !is_blocked(context, blocked))
		return;
	blocked->resident_bytes = now->stack_resident_bytes + now->message_resident_bytes;
	finding =
		finding_of_site(blocked->site, now->wait == WAIT_SEND ? CLASS_HELD : CLASS_GROWING);
	finding.counts_growths = false;
	finding.bytes = now->stack_bytes + now->message_bytes;
	finding.saves_bytes = finding.bytes;
	finding.saves_rss_bytes = MIN(blocked->resident_bytes, blocked->target->rss_bytes);
	finding.saves_stack_bytes = MIN(now->stack_resident_bytes, finding.saves_rss_bytes);
	write_evidence(blocked, &finding);
	write_text(blocked, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_target_count(context->model); i++) {
		struct blocked blocked = {.target = model_target(context->model, i)};

		for (size_t j = 0; j < blocked.target->waiters_count; j++) {
			blocked.waiters = &blocked.target->waiters[j];
			evaluate_waiters(context, &blocked);
		}
	}
}

const struct rule rule_blocked_goroutines = {
	.kind = "blocked-goroutines",
	.help = "senders that nobody receives from, or ever more goroutines waiting at one place",
	.thresholds =
		{
			{"count", UNIT_NONE, 100, "so many at one place at least"},
			{"seconds", UNIT_SECONDS, 10, "for so long"},
			{"looks", UNIT_NONE, 3, "not senders: more at each of so many looks"},
		},
	.exclusive = EXCLUSIVE_NOTHING,
	.evaluate = evaluate,
};
