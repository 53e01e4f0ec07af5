/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The governor: keeps what probes cost one target within a share of its CPU time. Pure: it is told
 * times, CPU time and costs, and answers with what to open and to close. One for each target.
 *
 * The budget is an account. CPU time of the target pays in, hits are paid from it, and it may be
 * overdrawn a little in the beginning, because a program that starts grows containers before it has
 * used any CPU. A link stays open, and its counts exact, as long as the account holds. When it does
 * not, the dearest link is closed, and from then on gets windows of 20-100 ms, at most every 2 s,
 * whenever the account can pay for one including its end: closing takes ~50 ms, and the traps cost
 * until it is over.
 *
 * A guest is a link whose figures are estimates anyhow. It lives on half of the income, or what is left of it, is the first to
 * go where the account is overdrawn, and has windows only; so whatever it costs, the others have most of
 * the budget, and all that may be owed.
 *
 * Nobody can promise when the next decision comes: on a busy machine it may be late. So each decision
 * ends with what the links may spend until then (governor_credit_ns()), and the kernel shuts the gate of
 * one that has spent it.
 *
 *	each time governor_next_ns() has come:
 *		governor_measure_cpu(), governor_measure_link() for each link, governor_shut() for those
 *		that the kernel has shut, governor_decide(), hand out governor_credit_ns(),
 *		carry out, tell governor_opened() / _failed();
 *	when the closer reports: governor_closed().
 */
#ifndef MEMTRACE_TRACE_GOVERNOR_H
#define MEMTRACE_TRACE_GOVERNOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GOVERNOR_MAX_LINKS    16
#define GOVERNOR_CALM_TICK_NS (20ull * 1000000)

struct governor;

struct governor_config {
	double budget_pct;     /* of the target's CPU time */
	uint64_t allowance_ns; /* may be owed in the first 2 s; 0 = 5 ms */
	uint64_t detach_ns;    /* closing a link takes this long (calibrate_prices.grace_ns) */
};

enum governor_verb {
	GOVERNOR_OPEN,
	GOVERNOR_CLOSE,
};

struct governor_action {
	enum governor_verb verb;
	uint32_t link; /* as governor_add_link() numbered it */
};

struct governor_status {
	bool open;
	bool cut;          /* has ever been closed for the budget: its counts are no longer exact */
	uint64_t open_ns;  /* time it delivered */
	uint64_t total_ns; /* time since it was added */
	double open_share; /* open_ns / total_ns; 1 where it was never cut and not refused */
	uint64_t windows;  /* times opened */
	uint64_t cost_ns;  /* CPU its hits have cost */
	double cost_per_s; /* ns of CPU a second while open, lately */
};

struct governor *governor_new(const struct governor_config *config, uint64_t now_ns);
void governor_free(struct governor *governor);

/*
 * Adds a link, to be opened at the next decision. shut_share = price of a hit while the gate is
 * shut / while it is open; 0 where closing takes effect at once (page faults). Returns its number;
 * at most GOVERNOR_MAX_LINKS (-1).
 */
int governor_add_link(struct governor *governor, double shut_share, uint64_t now_ns);

/* The same for a guest: opened when it has saved enough for a window. */
int governor_add_guest(struct governor *governor, double shut_share, uint64_t now_ns);

/* The target's CPU time, cumulative. Only differences count. */
void governor_measure_cpu(struct governor *governor, uint64_t now_ns, uint64_t cpu_ns);

/* What a link's hits have cost, cumulative (calibrate_cost_ns() summed over its probes). */
void governor_measure_link(
	struct governor *governor, uint32_t link, uint64_t now_ns, uint64_t cost_ns);

/*
 * Decides by the latest measurements. Fills actions (never two for one link) and returns how many.
 * A link told to close counts as closed from now_ns, as closing until governor_closed(); a link told
 * to open is open from governor_opened() on.
 */
size_t governor_decide(struct governor *governor, uint64_t now_ns,
	struct governor_action actions[GOVERNOR_MAX_LINKS]);

void governor_opened(struct governor *governor, uint32_t link, uint64_t now_ns);
void governor_failed(struct governor *governor, uint32_t link); /* cannot be opened: never again */
void governor_closed(struct governor *governor, uint32_t link, uint64_t now_ns);

/* The kernel has shut a link's gate, at shut_ns: it delivers no more; the next decision closes it. */
void governor_shut(struct governor *governor, uint32_t link, uint64_t shut_ns);

/* CPU that the hits of an open link may cost until the next decision. Never quite nothing. */
double governor_credit_ns(const struct governor *governor, uint32_t link, uint64_t now_ns);

/* When to measure and decide next: 1 ms after an opening, 20 ms in calm. */
uint64_t governor_next_ns(const struct governor *governor, uint64_t now_ns);

struct governor_status governor_read(
	const struct governor *governor, uint32_t link, uint64_t now_ns);

/* Balance of the account: ns of CPU that may be spent, negative = overdrawn. */
double governor_balance_ns(const struct governor *governor);

/* CPU that all links' hits have cost. */
uint64_t governor_cost_ns(const struct governor *governor);

/* For --dry-run: hits a second that keep within the budget of a target that uses cpus CPUs. */
double governor_affordable_hits(double budget_pct, double cpus, uint64_t hit_ns);

#endif
