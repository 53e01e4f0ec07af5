/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How closing is decided: only when the account is overdrawn *and* the open links spend more than
 * half of what comes in. An account that is overdrawn by a link already closed recovers by itself,
 * and closing the innocent would cost more than it saves.
 *
 * How dear the end of a window is: a target that spends the share u of its time in hits does
 * (1 - u) work per u of hits; with the gate shut a hit costs only the share s of that, so of its time
 * s / (1/u - 1 + s) still goes into traps until the link is detached. For a target that does nothing
 * but hit (u = 1) that is everything, however cheap the shut gate.
 */
#include "trace/governor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define SEC ((double)NSEC_PER_SEC)

/* Clocks and prices are not exact: aim below the promise. */
#define SAFETY 0.95

#define START_NS        (2 * NSEC_PER_SEC)
#define START_ALLOWANCE (5 * NSEC_PER_MSEC)
#define LATER_ALLOWANCE (2 * NSEC_PER_MSEC)
#define WINDOW_MIN_NS   (20 * NSEC_PER_MSEC)
#define WINDOW_MAX_NS   (100 * NSEC_PER_MSEC)
#define REOPEN_NS       (2 * NSEC_PER_SEC)
#define RATE_MEMORY_NS  (500 * NSEC_PER_MSEC)
#define CPU_MEMORY_NS   (1 * NSEC_PER_SEC)
#define SAVINGS_NS      (10 * NSEC_PER_SEC) /* income that may be saved up */

/* A link that spends less than its target's income is not to blame for an empty account. */
#define CREDIT_INCOME_NS (500 * NSEC_PER_MSEC)
#define CREDIT_MIN_NS    (100 * NSEC_PER_USEC)

#define CREDIT_UNLIMITED_NS 1e15 /* eleven days of hits */

/* What a guest gets of the income, and what it must have saved before it comes. */
#define GUEST_PART        0.5
#define GUEST_MIN_SAVINGS (3 * NSEC_PER_MSEC)
#define GUEST_WINDOW_NS   (10 * NSEC_PER_MSEC)

/* Of what the end of a guest's window is expected to cost, so much at least. */
#define CLOSING_PART_MIN 0.1

enum link_state {
	LINK_NEW,     /* waits for its first opening */
	LINK_OPENING, /* told to open */
	LINK_OPEN,
	LINK_SHUT,    /* by the kernel; not told to close yet */
	LINK_CLOSING, /* gate shut, traps still there */
	LINK_CLOSED,
	LINK_FAILED,
};

struct link {
	enum link_state state;
	double shut_share;
	uint64_t added_ns, opened_ns, measured_ns;
	uint64_t open_total_ns; /* windows that have ended */
	uint64_t windows;
	uint64_t cost_ns;
	double rate; /* ns of cost a second while open */
	bool cut;
	bool guest;
	double savings; /* of a guest: what it may spend */
	/* Of a guest: what its ends cost of what was expected, and what is known of the last one. */
	double closing_part, closing_expected;
	uint64_t closing_begin_cost_ns;
};

struct governor {
	struct governor_config config;
	uint64_t start_ns;
	double balance;
	double others_spent; /* by those who are no guests, and not set off against income yet */
	uint64_t cpu_ns, cpu_measured_ns;
	double cpu_rate; /* ns of target CPU a second */
	bool has_cpu;
	struct link links[GOVERNOR_MAX_LINKS];
	size_t count;
};

/* A mean of what was seen since began, later one that forgets after memory_ns. */
static void average(double *mean, double value, uint64_t dt, uint64_t elapsed, uint64_t memory_ns)
{
	double weight = (double)dt / (double)MAX(MIN(elapsed, memory_ns), 1u);

	*mean += (value - *mean) * MIN(weight, 1.0);
}

static double income(const struct governor *governor)
{
	return governor->cpu_rate * governor->config.budget_pct / 100 * SAFETY;
}

static double allowance(const struct governor *governor, uint64_t now_ns)
{
	return now_ns - governor->start_ns < START_NS ? (double)governor->config.allowance_ns
						      : (double)LATER_ALLOWANCE;
}

/* What the traps of a link will cost from the moment its gate is shut. */
static double closing_cost(const struct governor *governor, const struct link *link)
{
	double cpu = MAX(governor->cpu_rate, link->rate), share;

	if (link->rate <= 0)
		return 0;
	share = link->shut_share / (cpu / link->rate - 1 + link->shut_share);
	return cpu * share * governor->config.detach_ns / SEC * link->closing_part;
}

/*
 * Traps are gone long before detaching is over, how long differs between kernels. A guest has so many windows, and
 * would have so few more, that it is worth learning. Never too fast, never to nothing.
 */
static void learn_closing(struct link *link)
{
	double spent = (double)(link->cost_ns - link->closing_begin_cost_ns), part;

	if (link->closing_expected <= 0)
		return;
	part = spent / link->closing_expected;
	link->closing_part = MIN(MAX(MAX(part, link->closing_part / 4), CLOSING_PART_MIN), 1.0);
	link->closing_expected = 0;
}

static double window_cost(const struct governor *governor, const struct link *link)
{
	uint64_t window_ns = link->guest ? GUEST_WINDOW_NS : WINDOW_MIN_NS;

	return link->rate * window_ns / SEC + closing_cost(governor, link);
}

static double open_rate(const struct governor *governor)
{
	double rate = 0;

	for (size_t i = 0; i < governor->count; i++)
		if (governor->links[i].state == LINK_OPEN)
			rate += governor->links[i].rate;
	return rate;
}

/* The end of every open window must still be paid for. */
static double reserve(const struct governor *governor)
{
	double cost = 0;

	for (size_t i = 0; i < governor->count; i++)
		if (governor->links[i].state == LINK_OPEN)
			cost += closing_cost(governor, &governor->links[i]);
	return cost;
}

/* The dearest link, of guests where there are any. */
static struct link *dearest(struct governor *governor)
{
	struct link *found = NULL;

	for (size_t i = 0; i < governor->count; i++) {
		struct link *link = &governor->links[i];

		if (link->state != LINK_OPEN || (found && found->guest && !link->guest))
			continue;
		if (!found || link->rate > found->rate || (link->guest && !found->guest))
			found = link;
	}
	return found;
}

/* What guests owe, who came before it was known how dear they are: they stay away until it is paid. */
static double guests_debt(const struct governor *governor)
{
	double debt = 0;

	for (size_t i = 0; i < governor->count; i++)
		debt += MAX(-governor->links[i].savings, 0.0);
	return debt;
}

/* Whoever grants all of the target's CPU time wants everything seen. */
static bool is_unlimited(const struct governor *governor)
{
	return governor->config.budget_pct >= 100;
}

static bool overdrawn(const struct governor *governor, uint64_t now_ns)
{
	double balance = governor->balance + guests_debt(governor);

	return !is_unlimited(governor) &&
	       balance - reserve(governor) < -allowance(governor, now_ns) &&
	       open_rate(governor) > income(governor) / 2;
}

/* Links never cut live on savings as long as there are any; the others have windows. */
static bool window_over(const struct governor *governor, const struct link *link, uint64_t now_ns)
{
	if (is_unlimited(governor))
		return false;
	if (link->guest)
		return link->state == LINK_OPEN && link->rate > GUEST_PART * income(governor) &&
		       (now_ns - link->opened_ns >= WINDOW_MAX_NS ||
			       link->savings < closing_cost(governor, link));
	return link->state == LINK_OPEN && link->cut && now_ns - link->opened_ns >= WINDOW_MAX_NS &&
	       open_rate(governor) > income(governor);
}

static void end_window(struct link *link, enum link_state state, uint64_t end_ns)
{
	link->state = state;
	link->cut = true;
	link->open_total_ns += end_ns - MIN(link->opened_ns, end_ns);
}

static void close_link(struct governor *governor, struct link *link, uint64_t now_ns)
{
	if (link->guest && link->state != LINK_CLOSING) {
		link->closing_expected = closing_cost(governor, link) / link->closing_part;
		link->closing_begin_cost_ns = link->cost_ns;
	}
	if (link->state == LINK_OPEN)
		end_window(link, LINK_CLOSING, now_ns);
	link->state = LINK_CLOSING;
}

static struct governor_action action(
	const struct governor *governor, enum governor_verb verb, const struct link *link)
{
	return (struct governor_action){verb, link - governor->links};
}

static size_t decide_closings(
	struct governor *governor, uint64_t now_ns, struct governor_action *actions)
{
	size_t count = 0;

	while (overdrawn(governor, now_ns)) {
		struct link *link = dearest(governor);

		close_link(governor, link, now_ns);
		actions[count++] = action(governor, GOVERNOR_CLOSE, link);
	}
	for (size_t i = 0; i < governor->count; i++) {
		struct link *link = &governor->links[i];

		if (link->state != LINK_SHUT && !window_over(governor, link, now_ns))
			continue;
		close_link(governor, link, now_ns);
		actions[count++] = action(governor, GOVERNOR_CLOSE, link);
	}
	return count;
}

/* The others must be able to pay for it, too: its account is a part of theirs. */
static bool may_come(const struct governor *governor, const struct link *guest, uint64_t now_ns)
{
	double least = MAX(window_cost(governor, guest), (double)GUEST_MIN_SAVINGS);

	if (is_unlimited(governor) && guest->state == LINK_NEW)
		return true;
	if (guest->state != LINK_NEW &&
		(guest->state != LINK_CLOSED || now_ns - guest->opened_ns < REOPEN_NS))
		return false;
	return guest->savings >= least && governor->balance - reserve(governor) >= least;
}

static size_t invite_guests(
	struct governor *governor, uint64_t now_ns, struct governor_action *actions)
{
	size_t count = 0;

	for (size_t i = 0; i < governor->count; i++) {
		struct link *link = &governor->links[i];

		if (!link->guest || !may_come(governor, link, now_ns))
			continue;
		link->state = LINK_OPENING;
		actions[count++] = action(governor, GOVERNOR_OPEN, link);
	}
	return count;
}

/* The link that has waited longest of those that may be opened again. */
static struct link *next_to_reopen(struct governor *governor, uint64_t now_ns)
{
	struct link *found = NULL;

	for (size_t i = 0; i < governor->count; i++) {
		struct link *link = &governor->links[i];

		if (link->guest || link->state != LINK_CLOSED ||
			now_ns - link->opened_ns < REOPEN_NS)
			continue;
		if (!found || link->opened_ns < found->opened_ns)
			found = link;
	}
	return found;
}

static size_t decide_openings(
	struct governor *governor, uint64_t now_ns, struct governor_action *actions)
{
	double balance = governor->balance - reserve(governor);
	struct link *link;
	size_t count = 0;

	for (size_t i = 0; i < governor->count; i++) {
		if (governor->links[i].state != LINK_NEW || governor->links[i].guest)
			continue;
		governor->links[i].state = LINK_OPENING;
		actions[count++] = action(governor, GOVERNOR_OPEN, &governor->links[i]);
	}
	/* In turn: a dear link waits until the account is full enough, and cheap ones behind it. */
	while ((link = next_to_reopen(governor, now_ns))) {
		balance -= window_cost(governor, link);
		if (balance < 0)
			break;
		link->state = LINK_OPENING;
		actions[count++] = action(governor, GOVERNOR_OPEN, link);
	}
	return count + invite_guests(governor, now_ns, actions + count);
}

struct governor *governor_new(const struct governor_config *config, uint64_t now_ns)
{
	struct governor *governor = xcalloc(1, sizeof(*governor));

	governor->config = *config;
	governor->start_ns = now_ns;
	if (!governor->config.allowance_ns)
		governor->config.allowance_ns = START_ALLOWANCE;
	return governor;
}

void governor_free(struct governor *governor)
{
	free(governor);
}

int governor_add_link(struct governor *governor, double shut_share, uint64_t now_ns)
{
	struct link *link;

	if (governor->count == GOVERNOR_MAX_LINKS)
		return -1;
	link = &governor->links[governor->count];
	*link = (struct link){
		.shut_share = MIN(shut_share, 1.0), .added_ns = now_ns, .closing_part = 1};
	return governor->count++;
}

int governor_add_guest(struct governor *governor, double shut_share, uint64_t now_ns)
{
	int number = governor_add_link(governor, shut_share, now_ns);

	if (number >= 0)
		governor->links[number].guest = true;
	return number;
}

/*
 * What may be saved up: some seconds' income, or a calm hour would pay for a minute at full speed;
 * but never less than the dearest window costs, or it would never come.
 */
static double savings_limit(const struct governor *governor)
{
	double limit =
		MAX(income(governor) * SAVINGS_NS / SEC, (double)governor->config.allowance_ns);

	for (size_t i = 0; i < governor->count; i++)
		limit = MAX(limit, window_cost(governor, &governor->links[i]));
	return limit;
}

/* A part of the income, or what the others have left of it. */
static void pay_guests(struct governor *governor, double paid)
{
	double others = MIN(governor->others_spent, paid);
	double part = MIN(paid * GUEST_PART, paid - others);

	governor->others_spent -= others;
	for (size_t i = 0; i < governor->count; i++) {
		struct link *link = &governor->links[i];

		if (link->guest)
			link->savings = MIN(link->savings + part, savings_limit(governor));
	}
}

void governor_measure_cpu(struct governor *governor, uint64_t now_ns, uint64_t cpu_ns)
{
	uint64_t dt = now_ns - governor->cpu_measured_ns;
	double used;

	if (governor->has_cpu && dt && cpu_ns >= governor->cpu_ns) {
		used = cpu_ns - governor->cpu_ns;
		average(&governor->cpu_rate, used / dt * SEC, dt, now_ns - governor->start_ns,
			CPU_MEMORY_NS);
		governor->balance += used * governor->config.budget_pct / 100 * SAFETY;
		governor->balance = MIN(governor->balance, savings_limit(governor));
		pay_guests(governor, used * governor->config.budget_pct / 100 * SAFETY);
	}
	governor->has_cpu = true;
	governor->cpu_ns = cpu_ns;
	governor->cpu_measured_ns = now_ns;
}

void governor_measure_link(
	struct governor *governor, uint32_t number, uint64_t now_ns, uint64_t cost_ns)
{
	struct link *link = &governor->links[number];
	uint64_t since_ns = MAX(link->measured_ns, link->opened_ns);
	uint64_t dt = now_ns - MIN(since_ns, now_ns);
	double spent = cost_ns - MIN(link->cost_ns, cost_ns);

	governor->balance -= spent;
	if (link->guest)
		link->savings -= spent;
	else
		governor->others_spent += spent;
	link->cost_ns = MAX(cost_ns, link->cost_ns);
	link->measured_ns = now_ns;
	if (link->state == LINK_CLOSED)
		learn_closing(link);
	if (link->state != LINK_OPEN || !dt)
		return;
	average(&link->rate, spent / dt * SEC, dt, now_ns - link->opened_ns, RATE_MEMORY_NS);
	/* A window may have been over before it was noticed that it had begun. */
	if (link->guest)
		link->rate = MIN(link->rate, MAX(governor->cpu_rate, SEC));
}

size_t governor_decide(struct governor *governor, uint64_t now_ns,
	struct governor_action actions[GOVERNOR_MAX_LINKS])
{
	size_t count = decide_closings(governor, now_ns, actions);

	return count + decide_openings(governor, now_ns, actions + count);
}

void governor_opened(struct governor *governor, uint32_t number, uint64_t now_ns)
{
	struct link *link = &governor->links[number];

	link->state = LINK_OPEN;
	link->opened_ns = now_ns;
	link->windows++;
}

void governor_failed(struct governor *governor, uint32_t number)
{
	governor->links[number].state = LINK_FAILED;
}

void governor_closed(struct governor *governor, uint32_t number, uint64_t now_ns)
{
	struct link *link = &governor->links[number];

	close_link(governor, link, now_ns);
	link->state = LINK_CLOSED;
}

void governor_shut(struct governor *governor, uint32_t number, uint64_t shut_ns)
{
	struct link *link = &governor->links[number];

	if (link->state == LINK_OPEN)
		end_window(link, LINK_SHUT, shut_ns);
}

double governor_credit_ns(const struct governor *governor, uint32_t number, uint64_t now_ns)
{
	const struct link *link = &governor->links[number];
	double held = governor->balance - reserve(governor) + allowance(governor, now_ns);
	double least = income(governor) * CREDIT_INCOME_NS / SEC;

	if (is_unlimited(governor))
		return CREDIT_UNLIMITED_NS;
	if (link->guest)
		return MAX(MIN(governor->balance, link->savings) - closing_cost(governor, link),
			(double)CREDIT_MIN_NS);
	return MAX(MAX(held, least), (double)CREDIT_MIN_NS);
}

/* A hot link is seen after a millisecond or two, a lukewarm one has its 100 ms. */
static uint64_t tick_of(const struct link *link, uint64_t now_ns)
{
	uint64_t age = now_ns - link->opened_ns;

	/* A guest comes when there are savings, and those take their time. */
	if (link->state == LINK_NEW && !link->guest)
		return 0;
	if (link->state != LINK_OPEN || age >= WINDOW_MAX_NS)
		return GOVERNOR_CALM_TICK_NS;
	return age < 2 * NSEC_PER_MSEC    ? NSEC_PER_MSEC
	       : age < 10 * NSEC_PER_MSEC ? 2 * NSEC_PER_MSEC
					  : 5 * NSEC_PER_MSEC;
}

uint64_t governor_next_ns(const struct governor *governor, uint64_t now_ns)
{
	uint64_t tick = GOVERNOR_CALM_TICK_NS;

	for (size_t i = 0; i < governor->count; i++)
		tick = MIN(tick, tick_of(&governor->links[i], now_ns));
	return now_ns + tick;
}

struct governor_status governor_read(
	const struct governor *governor, uint32_t number, uint64_t now_ns)
{
	const struct link *link = &governor->links[number];
	struct governor_status status = {
		.open = link->state == LINK_OPEN,
		.cut = link->cut,
		.open_ns = link->open_total_ns,
		.total_ns = now_ns - link->added_ns,
		.windows = link->windows,
		.cost_ns = link->cost_ns,
		.cost_per_s = link->rate,
	};

	if (status.open)
		status.open_ns += now_ns - link->opened_ns;
	status.open_share = status.total_ns ? (double)status.open_ns / status.total_ns : 0;
	/* Open ever since it could be: attaching itself is no gap. */
	if (status.open && !status.cut)
		status.open_share = 1;
	return status;
}

double governor_balance_ns(const struct governor *governor)
{
	return governor->balance;
}

uint64_t governor_cost_ns(const struct governor *governor)
{
	uint64_t cost = 0;

	for (size_t i = 0; i < governor->count; i++)
		cost += governor->links[i].cost_ns;
	return cost;
}

double governor_affordable_hits(double budget_pct, double cpus, uint64_t hit_ns)
{
	return hit_ns ? cpus * SEC * budget_pct / 100 / hit_ns : 0;
}
