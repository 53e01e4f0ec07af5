/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The governor against a simulated target: threads that are always busy, whose work makes hits, and
 * which are slowed by them, as a real program is. Closing a link takes time, as in the kernel. No
 * clock but the simulation's.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/governor.h"

#define STEP_NS   (100 * NSEC_PER_USEC)
#define ATTACH_NS (8 * NSEC_PER_MSEC)
#define DETACH_NS (50 * NSEC_PER_MSEC)
#define OPEN_NS   2300.0
#define SHUT_NS   600.0
#define JIFFY_NS  (10 * NSEC_PER_MSEC)

enum trap {
	TRAP_NONE,
	TRAP_SHUT,
	TRAP_OPEN,
};

struct sim_link {
	double hits_per_s; /* of undisturbed work */
	enum trap trap;
	uint64_t opens_at, detached_at;
	double cost, hits;
	double credit; /* ns; the kernel shuts the gate where it has run out */
	uint64_t shut_at;
	uint64_t opened_at, windows;
	uint64_t shortest_window, longest_window, shortest_gap;
};

struct sim {
	struct governor *governor;
	uint64_t now, next, late; /* late: every decision comes so much later than asked for */
	bool quick;               /* traps are gone as soon as their link is told to close */
	double cpus, cpu_ns;
	struct sim_link links[4];
	size_t count;
};

static double price(enum trap trap)
{
	return trap == TRAP_OPEN ? OPEN_NS : trap == TRAP_SHUT ? SHUT_NS : 0;
}

static void run_target(struct sim *sim)
{
	double slow = 1, work;

	for (size_t i = 0; i < sim->count; i++)
		slow += sim->links[i].hits_per_s * price(sim->links[i].trap) / NSEC_PER_SEC;
	work = STEP_NS * sim->cpus / slow;
	for (size_t i = 0; i < sim->count; i++) {
		double hits = sim->links[i].hits_per_s * work / NSEC_PER_SEC;

		sim->links[i].hits += hits;
		sim->links[i].cost += hits * price(sim->links[i].trap);
		if (sim->links[i].trap != TRAP_OPEN)
			continue;
		sim->links[i].credit -= hits * OPEN_NS;
		if (sim->links[i].credit > 0)
			continue;
		sim->links[i].trap = TRAP_SHUT;
		sim->links[i].shut_at = sim->now + STEP_NS;
	}
	sim->cpu_ns += STEP_NS * sim->cpus;
}

static void finish_syscalls(struct sim *sim)
{
	for (size_t i = 0; i < sim->count; i++) {
		struct sim_link *link = &sim->links[i];

		if (link->opens_at && sim->now >= link->opens_at) {
			link->opens_at = 0;
			link->trap = TRAP_OPEN;
			if (link->windows++)
				link->shortest_gap =
					MIN(link->shortest_gap, sim->now - link->opened_at);
			link->opened_at = sim->now;
			governor_opened(sim->governor, i, sim->now);
		}
		if (link->detached_at && sim->now >= link->detached_at) {
			link->detached_at = 0;
			link->trap = TRAP_NONE;
			governor_closed(sim->governor, i, sim->now);
		}
	}
}

static void carry_out(struct sim *sim, struct governor_action action)
{
	struct sim_link *link = &sim->links[action.link];
	uint64_t window = sim->now - link->opened_at;

	if (action.verb == GOVERNOR_OPEN) {
		cr_assert(eq(int, link->trap, TRAP_NONE));
		link->opens_at = sim->now + ATTACH_NS;
		return;
	}
	cr_assert(eq(int, link->trap, link->shut_at ? TRAP_SHUT : TRAP_OPEN));
	link->trap = sim->quick ? TRAP_NONE : TRAP_SHUT;
	link->shut_at = 0;
	link->detached_at = sim->now + DETACH_NS;
	if (link->windows > 1) {
		link->shortest_window = MIN(link->shortest_window, window);
		link->longest_window = MAX(link->longest_window, window);
	}
}

static void govern(struct sim *sim)
{
	struct governor_action actions[GOVERNOR_MAX_LINKS];
	size_t count;

	if (sim->now < sim->next)
		return;
	/* /proc/PID/stat counts in jiffies. */
	governor_measure_cpu(sim->governor, sim->now, (uint64_t)sim->cpu_ns / JIFFY_NS * JIFFY_NS);
	for (size_t i = 0; i < sim->count; i++) {
		uint64_t shut_at = sim->links[i].shut_at;

		governor_measure_link(
			sim->governor, i, shut_at ? shut_at : sim->now, sim->links[i].cost);
		if (shut_at)
			governor_shut(sim->governor, i, shut_at);
	}
	count = governor_decide(sim->governor, sim->now, actions);
	for (size_t i = 0; i < sim->count; i++)
		sim->links[i].credit = governor_credit_ns(sim->governor, i, sim->now);
	for (size_t i = 0; i < count; i++)
		carry_out(sim, actions[i]);
	sim->next = governor_next_ns(sim->governor, sim->now) + sim->late;
}

static void run(struct sim *sim, double seconds)
{
	uint64_t end = sim->now + seconds * NSEC_PER_SEC;

	while (sim->now < end) {
		finish_syscalls(sim);
		govern(sim);
		run_target(sim);
		sim->now += STEP_NS;
	}
}

static void setup(struct sim *sim, double budget_pct, double cpus)
{
	struct governor_config config = {.budget_pct = budget_pct, .detach_ns = DETACH_NS};

	*sim = (struct sim){.now = NSEC_PER_SEC, .cpus = cpus};
	sim->governor = governor_new(&config, sim->now);
}

static void add(struct sim *sim, double hits_per_s)
{
	sim->links[sim->count] = (struct sim_link){
		.hits_per_s = hits_per_s,
		.shortest_window = UINT64_MAX,
		.shortest_gap = UINT64_MAX,
	};
	cr_assert(eq(int, governor_add_link(sim->governor, SHUT_NS / OPEN_NS, sim->now),
		(int)sim->count));
	sim->count++;
}

static void add_guest(struct sim *sim, double hits_per_s)
{
	sim->links[sim->count] = (struct sim_link){
		.hits_per_s = hits_per_s,
		.shortest_window = UINT64_MAX,
		.shortest_gap = UINT64_MAX,
	};
	cr_assert(eq(int, governor_add_guest(sim->governor, SHUT_NS / OPEN_NS, sim->now),
		(int)sim->count));
	sim->count++;
}

static double cost_pct(const struct sim *sim)
{
	double cost = 0;

	for (size_t i = 0; i < sim->count; i++)
		cost += sim->links[i].cost;
	return cost / sim->cpu_ns * 100;
}

Test(governor, cold_link_is_never_cut)
{
	struct governor_status status;
	struct sim sim;

	setup(&sim, 1, 1);
	add(&sim, 3000);
	run(&sim, 30);
	status = governor_read(sim.governor, 0, sim.now);
	cr_assert(not(status.cut));
	cr_assert(eq(dbl, status.open_share, 1));
	cr_assert(eq(u64, status.windows, 1));
	governor_free(sim.governor);
}

Test(governor, hot_link_stays_within_one_percent_of_ten_seconds)
{
	static const double rates[] = {10e3, 30e3, 100e3, 300e3, 1e6, 3e6};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		for (double cpus = 1; cpus <= 4; cpus *= 2) {
			struct sim sim;

			setup(&sim, 1, cpus);
			add(&sim, rates[i]);
			run(&sim, 10);
			cr_expect(le(dbl, cost_pct(&sim), 1.0), "%g hits/s on %g cpus: %.3f %%",
				rates[i], cpus, cost_pct(&sim));
			cr_expect(governor_read(sim.governor, 0, sim.now).cut);
			cr_expect(gt(dbl, sim.links[0].cost, 0));
			governor_free(sim.governor);
		}
}

Test(governor, hot_link_gets_windows_of_the_promised_length)
{
	struct governor_status status;
	struct sim sim;

	setup(&sim, 1, 1);
	add(&sim, 50e3);
	run(&sim, 120);
	status = governor_read(sim.governor, 0, sim.now);
	cr_assert(ge(u64, status.windows, 10));
	cr_assert(ge(u64, sim.links[0].shortest_window, 18 * NSEC_PER_MSEC));
	cr_assert(le(u64, sim.links[0].longest_window, 106 * NSEC_PER_MSEC));
	cr_assert(ge(u64, sim.links[0].shortest_gap, 2 * NSEC_PER_SEC));
	cr_assert(le(dbl, cost_pct(&sim), 1.0));
	cr_assert(gt(dbl, status.open_share, 0.005));
	cr_assert(lt(dbl, status.open_share, 0.1));
	governor_free(sim.governor);
}

Test(governor, hot_link_does_not_take_a_cold_one_with_it)
{
	struct sim sim;

	setup(&sim, 1, 2);
	add(&sim, 500);
	add(&sim, 1e6);
	run(&sim, 20);
	cr_assert(not(governor_read(sim.governor, 0, sim.now).cut));
	cr_assert(governor_read(sim.governor, 1, sim.now).cut);
	cr_assert(le(dbl, cost_pct(&sim), 1.0));
	governor_free(sim.governor);
}

Test(governor, two_hot_links_take_turns)
{
	struct sim sim;

	setup(&sim, 1, 2);
	add(&sim, 200e3);
	add(&sim, 1e6);
	run(&sim, 120);
	cr_assert(ge(u64, sim.links[0].windows, 3));
	cr_assert(ge(u64, sim.links[1].windows, 3));
	cr_assert(le(dbl, cost_pct(&sim), 1.0));
	governor_free(sim.governor);
}

Test(governor, tiny_budget_still_lets_windows_through)
{
	struct sim sim;

	setup(&sim, 0.1, 1);
	add(&sim, 1e6);
	run(&sim, 300);
	cr_assert(ge(u64, sim.links[0].windows, 2));
	cr_assert(le(dbl, cost_pct(&sim), 0.1 + 0.03));
	governor_free(sim.governor);
}

Test(governor, storm_after_calm_is_cut_soon)
{
	struct sim sim;
	double before;

	setup(&sim, 1, 1);
	add(&sim, 100);
	run(&sim, 600);
	cr_assert(not(governor_read(sim.governor, 0, sim.now).cut));
	before = sim.links[0].cost;
	sim.links[0].hits_per_s = 1e6;
	run(&sim, 10);
	cr_assert(governor_read(sim.governor, 0, sim.now).cut);
	/* Ten minutes of savings must not be burnt at once: at most ten seconds' worth, and income. */
	cr_assert(le(dbl, sim.links[0].cost - before, 0.01 * 20 * NSEC_PER_SEC));
	governor_free(sim.governor);
}

Test(governor, cut_link_opens_for_good_when_the_storm_is_over)
{
	struct sim sim;

	setup(&sim, 1, 1);
	add(&sim, 1e6);
	run(&sim, 5);
	cr_assert(governor_read(sim.governor, 0, sim.now).cut);
	sim.links[0].hits_per_s = 100;
	run(&sim, 40);
	cr_assert(governor_read(sim.governor, 0, sim.now).open);
	cr_assert(gt(dbl, governor_read(sim.governor, 0, sim.now).open_share, 0.5));
	governor_free(sim.governor);
}

/* A program that has waited, and whose CPU time of now is not told yet, makes a storm of hits. */
Test(governor, a_budget_of_all_is_no_limit)
{
	struct governor_config config = {.budget_pct = 100, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];
	uint64_t now = NSEC_PER_SEC;

	governor_add_link(governor, 0.6, 0);
	governor_decide(governor, 0, actions);
	governor_opened(governor, 0, 0);
	governor_measure_cpu(governor, 0, 0);
	governor_measure_link(governor, 0, now, 0);
	governor_measure_cpu(governor, now, 0);
	governor_measure_link(governor, 0, now + NSEC_PER_MSEC, 800 * NSEC_PER_USEC);
	cr_assert(gt(
		dbl, governor_credit_ns(governor, 0, now + NSEC_PER_MSEC), 100.0 * NSEC_PER_SEC));
	cr_assert(eq(sz, governor_decide(governor, now + NSEC_PER_MSEC, actions), 0));
	governor_free(governor);
}

Test(governor, start_up_growths_fit_the_allowance)
{
	struct sim sim;

	/* 1,500 growths in 50 ms, more than 1 % of the CPU used so far; then silence. */
	setup(&sim, 1, 1);
	add(&sim, 30e3);
	run(&sim, 0.058);
	sim.links[0].hits_per_s = 10;
	run(&sim, 10);
	cr_assert(not(governor_read(sim.governor, 0, sim.now).cut));
	governor_free(sim.governor);
}

Test(governor, idle_target_is_left_alone)
{
	struct sim sim;

	setup(&sim, 1, 0.001);
	add(&sim, 1000);
	run(&sim, 60);
	cr_assert(not(governor_read(sim.governor, 0, sim.now).cut));
	governor_free(sim.governor);
}

/* A machine so busy that every decision comes late: what it costs is bounded by what was granted. */
Test(governor, late_decisions_cost_no_more_than_their_credit)
{
	static const uint64_t late_ms[] = {20, 100, 300};

	for (size_t i = 0; i < ARRAY_SIZE(late_ms); i++) {
		struct governor_status status;
		struct sim sim;

		setup(&sim, 1, 1);
		sim.late = late_ms[i] * NSEC_PER_MSEC;
		add(&sim, 100e3);
		run(&sim, 0.001);
		cr_assert(le(dbl, sim.links[0].credit, 5.0 * NSEC_PER_MSEC));
		run(&sim, 60);
		status = governor_read(sim.governor, 0, sim.now);
		cr_expect(le(dbl, cost_pct(&sim), 1.2), "%lu ms late: %.3f %%", late_ms[i],
			cost_pct(&sim));
		cr_expect(status.cut);
		cr_expect(gt(dbl, status.open_share, 0));
		governor_free(sim.governor);
	}
}

Test(governor, a_link_that_the_kernel_has_shut_is_closed_as_of_then)
{
	struct governor_config config = {.budget_pct = 1, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];

	governor_add_link(governor, 0.3, 0);
	governor_decide(governor, 0, actions);
	governor_opened(governor, 0, 0);
	governor_measure_cpu(governor, 0, 0);
	governor_measure_link(governor, 0, 30 * NSEC_PER_MSEC, 1000);
	governor_shut(governor, 0, 30 * NSEC_PER_MSEC);
	/* The account is far from empty: the ring had no room. */
	cr_assert(eq(sz, governor_decide(governor, 200 * NSEC_PER_MSEC, actions), 1));
	cr_assert(eq(int, actions[0].verb, GOVERNOR_CLOSE));
	cr_assert(eq(sz, governor_decide(governor, 220 * NSEC_PER_MSEC, actions), 0));
	governor_closed(governor, 0, 250 * NSEC_PER_MSEC);
	cr_assert(eq(
		u64, governor_read(governor, 0, 300 * NSEC_PER_MSEC).open_ns, 30 * NSEC_PER_MSEC));
	cr_assert(governor_read(governor, 0, 300 * NSEC_PER_MSEC).cut);
	governor_free(governor);
}

/* Whatever it would cost: the others stay open, and together they keep the budget. */
Test(governor, guest_leaves_the_others_what_they_need)
{
	static const double rates[] = {1e3, 10e3, 100e3, 300e3};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct governor_status guest;
		struct sim sim;

		setup(&sim, 1, 1);
		add(&sim, 3000);
		add_guest(&sim, rates[i]);
		run(&sim, 30);
		guest = governor_read(sim.governor, 1, sim.now);
		cr_expect(not(governor_read(sim.governor, 0, sim.now).cut), "%g", rates[i]);
		cr_expect(le(dbl, cost_pct(&sim), 1.0), "%g: %.3f %%", rates[i], cost_pct(&sim));
		cr_expect(gt(u64, guest.open_ns, 0), "%g", rates[i]);
		cr_expect(ge(u64, sim.links[1].shortest_gap, 2 * NSEC_PER_SEC), "%g", rates[i]);
		governor_free(sim.governor);
	}
}

/* It takes no more than its part, also where nobody else wants any. */
Test(governor, guest_lives_on_half)
{
	struct sim sim;

	setup(&sim, 1, 1);
	add_guest(&sim, 50e3);
	run(&sim, 60);
	cr_assert(le(dbl, cost_pct(&sim), 0.5));
	cr_assert(ge(dbl, cost_pct(&sim), 0.2));
	governor_free(sim.governor);
}

/* Where the end of a window costs next to nothing, a guest in a busy target comes more often. */
Test(governor, guest_learns_what_its_end_costs)
{
	uint64_t windows[2];

	for (int quick = 0; quick < 2; quick++) {
		struct sim sim;

		setup(&sim, 1, 1);
		sim.quick = quick;
		add_guest(&sim, 10e6);
		run(&sim, 120);
		windows[quick] = sim.links[0].windows;
		cr_assert(le(dbl, cost_pct(&sim), 0.5));
		governor_free(sim.governor);
	}
	cr_assert(gt(u64, windows[0], 2));
	cr_assert(ge(u64, windows[1], 2 * windows[0]));
}

/* Who grants everything wants it seen from the first moment on, and to the end. */
Test(governor, guest_without_a_limit_is_never_cut)
{
	struct governor_status guest;
	struct sim sim;

	setup(&sim, 100, 1);
	add_guest(&sim, 10e6);
	run(&sim, 10);
	guest = governor_read(sim.governor, 0, sim.now);
	cr_assert(eq(u64, guest.windows, 1));
	cr_assert(not(guest.cut));
	cr_assert(le(u64, sim.links[0].opened_at, NSEC_PER_SEC + 2 * ATTACH_NS));
	governor_free(sim.governor);
}

/* In a target that does nothing a guest never has what it takes to come: nobody is to ask all the time. */
Test(governor, guest_is_waited_for_calmly)
{
	struct governor_config config = {.budget_pct = 1, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];

	governor_add_guest(governor, 0.3, 0);
	cr_assert(eq(sz, governor_decide(governor, 0, actions), 0));
	cr_assert(eq(u64, governor_next_ns(governor, 0), GOVERNOR_CALM_TICK_NS));
	governor_add_link(governor, 0.3, 0);
	cr_assert(eq(u64, governor_next_ns(governor, 0), 0));
	governor_free(governor);
}

/* A cheap link may go on while another one has emptied the account. */
Test(governor, an_empty_account_leaves_the_innocent_some_credit)
{
	struct governor_config config = {.budget_pct = 1, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];

	governor_add_link(governor, 0.3, 0);
	governor_decide(governor, 0, actions);
	governor_opened(governor, 0, 0);
	governor_measure_cpu(governor, 0, 0);
	governor_measure_link(governor, 0, NSEC_PER_SEC, NSEC_PER_SEC);
	governor_measure_cpu(governor, NSEC_PER_SEC, NSEC_PER_SEC);
	cr_assert(lt(dbl, governor_balance_ns(governor), -900.0 * NSEC_PER_MSEC));
	/* Half a second's income at 95 % of 1 %. */
	cr_assert(ieee_ulp_eq(dbl, governor_credit_ns(governor, 0, NSEC_PER_SEC),
		0.0095 * 0.5 * NSEC_PER_SEC, 4));
	governor_free(governor);
}

Test(governor, failed_link_is_not_tried_again)
{
	struct governor_config config = {.budget_pct = 1, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];

	cr_assert(eq(int, governor_add_link(governor, 0.3, 0), 0));
	cr_assert(eq(sz, governor_decide(governor, 0, actions), 1));
	cr_assert(eq(int, actions[0].verb, GOVERNOR_OPEN));
	governor_failed(governor, 0);
	for (uint64_t now = 0; now < 10 * NSEC_PER_SEC; now += NSEC_PER_SEC)
		cr_assert(eq(sz, governor_decide(governor, now, actions), 0));
	cr_assert(eq(dbl, governor_read(governor, 0, NSEC_PER_SEC).open_share, 0));
	governor_free(governor);
}

Test(governor, cost_while_closing_is_paid_from_the_account)
{
	struct governor_config config = {.budget_pct = 1, .detach_ns = DETACH_NS};
	struct governor *governor = governor_new(&config, 0);
	struct governor_action actions[GOVERNOR_MAX_LINKS];
	double before;

	governor_add_link(governor, 0.3, 0);
	governor_decide(governor, 0, actions);
	governor_opened(governor, 0, 0);
	governor_measure_cpu(governor, 0, 0);
	governor_measure_link(governor, 0, 10 * NSEC_PER_MSEC, 30 * NSEC_PER_MSEC);
	cr_assert(eq(sz, governor_decide(governor, 10 * NSEC_PER_MSEC, actions), 1));
	cr_assert(eq(int, actions[0].verb, GOVERNOR_CLOSE));
	before = governor_balance_ns(governor);
	governor_measure_link(governor, 0, 60 * NSEC_PER_MSEC, 40 * NSEC_PER_MSEC);
	cr_assert(ieee_ulp_eq(dbl, governor_balance_ns(governor), before - 10 * NSEC_PER_MSEC, 4));
	cr_assert(eq(u64, governor_cost_ns(governor), 40 * NSEC_PER_MSEC));
	governor_free(governor);
}

Test(governor, affordable_hits)
{
	cr_assert(ieee_ulp_eq(dbl, governor_affordable_hits(1, 2, 2000), 10000, 4));
	cr_assert(eq(dbl, governor_affordable_hits(1, 2, 0), 0));
}
