#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns what runs of memtrace said about themselves into rows of make bench's table.

    rows.py pairs NAME PAIRS REPORT      PAIRS: a line "BARE TRACED" of CPU time for each pair of runs
    rows.py beside NAME PAIRS            the same of another tool: no budget
    rows.py latency BARE TRACED          what the load generator printed, run after run
    rows.py census WHAT REPORT...        the best of them counts
    rows.py polling FOLDER               with reports polling.SECONDS.RUN and empty.SECONDS.RUN
    rows.py lock BARE READ TRACED        what workloads/c/sparse_40g printed, run after run
    rows.py first MILLISECONDS MEGABYTES
    rows.py rss REPORT...                the largest counts

Exits 1 where a budget was missed.
"""
import glob
import json
import math
import re
import statistics
import sys

# Student's t, two-sided 95 %, by degrees of freedom from 1 on
T = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09,
     2.09, 2.08]
MIB = 1 << 20


def row(what, budget, good, figure):
    """good: None where there is no budget. Returns whether the budget was missed."""
    verdict = {None: "-", True: "ok", False: "MISSED"}[good]
    print(f"{what:<46} {budget:<22} {verdict:<7} {figure}", flush=True)
    return good is False


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def interval(pairs):
    """The paired ratio with its 95 % interval, on logarithms: a ratio and its inverse weigh the same."""
    logs = [math.log(traced / bare) for bare, traced in pairs]
    mean, half = statistics.fmean(logs), math.inf
    if len(logs) > 1:
        half = T[min(len(logs) - 2, len(T) - 1)] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean - half), math.exp(mean), math.exp(mean + half)


def pairs(name, path, report):
    with open(path, encoding="utf-8") as file:
        figures = [tuple(int(word) for word in line.split()) for line in file]
    low, middle, high = interval(figures)
    data = load(report)
    cost, events = data["overhead"], data["events"]
    shares = sorted({site["open_share"] for site in data["sites"] if site.get("open_share") is not None})
    share = "never hit" if not shares else "open all the time" if shares[0] == 1 else f"open {shares[0]:.1%} to {shares[-1]:.1%} of the time"
    pct = cost["target_pct"]
    hits = f"{pct if pct is None else round(pct, 3)} %: {cost['probe_hits']:,} hits x {round(cost['ns_per_hit'] or 0)} ns"
    missed = row(f"{name}: hits x cost", "<= 1 % of its CPU", pct is not None and pct <= 1,
                 f"{hits} of {cost['target_cpu_s']:.1f} s; {share}; lost {events['lost']}")
    bare = statistics.fmean(bare for bare, _ in figures) / 1e6
    return row(f"{name}: CPU, traced : bare", "lower end <= 1.01", low <= 1.01,
               f"{middle:.3f} [{low:.3f}, {high:.3f}], {len(figures)} pairs of {bare:.1f} s") or missed


def beside(name, path):
    with open(path, encoding="utf-8") as file:
        figures = [tuple(int(word) for word in line.split()) for line in file]
    low, middle, high = interval(figures)
    return row(name, "none", None, f"CPU, watched : bare {middle:.2f} [{low:.2f}, {high:.2f}], {len(figures)} pairs")


def latency(*paths):
    figures = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        figures.append([statistics.median(int(value) for value in re.findall(rf"{key}=(\d+)", text))
                        for key in ("per_second", "p50_us", "p99_us")])
    bare, traced = figures
    return row("  its requests, bare -> traced, medians", "none", None,
               f"p99 {bare[2]:,.0f} -> {traced[2]:,.0f} us, p50 {bare[1]:,.0f} -> {traced[1]:,.0f} us, "
               f"{bare[0]:,.0f} -> {traced[0]:,.0f} requests/s")


def census(what, *reports):
    """The objects of a heap are all of it: what is ruled out with its span, unread, is done with, too."""
    counts = [load(report)["targets"][0]["census"] for report in reports]
    best = min(counts, key=lambda count: count["duration_ns"])
    rate = best["heap_objects"] / best["duration_ns"] * 1e3
    missed = row(f"census, {what}", ">= 20 M objects/s", rate >= 20 and best["complete"],
                 f"{rate:.1f} M/s: {best['heap_objects']:,} objects, {best['maps']:,} maps in {best['duration_ns'] / 1e6:.1f} ms, "
                 f"best of {len(counts)}")
    row("  of them looked at", "none", None, f"{best['objects'] / best['duration_ns'] * 1e3:.1f} M/s: {best['objects']:,} objects")
    # Who else wants the CPU lengthens a slice: the best run has the fewest of those
    slices = sorted(count["longest_slice_ns"] / 1e6 for count in counts)
    return row("  its longest slice", "<= 2 ms", slices[0] <= 2,
               f"{slices[0]:.2f} ms, median of {len(slices)} runs {slices[len(slices) // 2]:.2f} ms") or missed


def polling(folder):
    """CPU time of runs of different length, the best of each: start and end cost the same in all."""
    def cost(kind, short, long):
        best = [min(load(path)["overhead"]["tracer_cpu_s"] for path in glob.glob(f"{folder}/{kind}.{seconds}.*"))
                for seconds in (short, long)]
        return 100 * (best[1] - best[0]) / (long - short)

    whole, empty, walking = cost("polling", 2, 9), cost("empty", 2, 9), cost("polling", 2, 21)
    watched = len(load(f"{folder}/polling.2.1")["containers"])
    missed = row(f"polling {watched:,} containers at 10 Hz", "<= 0.5 % of a core", whole - empty <= 0.5 and watched >= 1000,
                 f"{whole - empty:.2f} %")
    row("  all of memtrace, nothing to poll", "none", None, f"{empty:.2f} %")
    row("  all of memtrace, and walks every 10 s", "none", None, f"{walking:.2f} %")
    return missed


def lock(bare, *watched):
    """Whoever else wants the CPU makes the longest wait longer, a reader that holds the lock does so in every run."""
    def waits(path):
        with open(path, encoding="utf-8") as file:
            return sorted(int(value) / 1e3 for value in re.findall(r"longest_us=(\d+)", file.read()))

    alone, missed = waits(bare), False
    for what, path in zip(("read once (-d 0)", "traced for 1 s"), watched):
        longest = waits(path)
        missed |= row(f"40 GiB, {what}: longest mmap", "<= 10 ms", len(longest) >= 3 and longest[0] <= 10,
                      f"{longest[0]:.2f} ms, highest {longest[-1]:.1f} of {len(longest)} runs; not watched {alone[0]:.2f}, "
                      f"highest {alone[-1]:.1f}")
    return missed


def first(milliseconds, megabytes):
    return row(f"first answer (-d 0), {megabytes} MB binary", "<= 2 s", int(milliseconds) <= 2000,
               f"{int(milliseconds) / 1e3:.2f} s")


def rss(*reports):
    costs = [load(report)["overhead"] for report in reports]
    own = max(cost["tracer_rss_bytes"] for cost in costs) / MIB
    child = max(cost.get("parser_rss_bytes") or 0 for cost in costs) / MIB
    attach = max(cost["attach_ns"] for cost in costs) / 1e6
    row("a link of a traced program: attach", "none", None, f"highest {attach:.0f} ms of {len(costs)} programs")
    detach = sorted(cost["detach_ns"] / 1e6 for cost in costs)
    missed = row("all links of a traced program: detach", "<= 100 ms", statistics.median(detach) <= 100,
                 f"median {statistics.median(detach):.0f} ms, highest {detach[-1]:.0f} ms of {len(costs)} programs")
    return row("memtrace's own RSS, one program", "<= 32 MiB", own <= 32,
               f"highest {own:.1f} MiB; parser child {child:.1f} MiB") or missed


if __name__ == "__main__":
    rows = {function.__name__: function for function in (pairs, beside, latency, census, polling, lock, first, rss)}
    sys.exit(1 if rows[sys.argv[1]](*sys.argv[2:]) else 0)
