/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time lines of a target: RSS, heap, open probes, and when start-up was over. The series are bounded:
 * when one is full, every two neighbours become one, so that old times get coarse and new ones stay fine.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

#define START_UP_NS     (60 * NSEC_PER_SEC)
#define START_UP_WINDOW (10 * NSEC_PER_SEC)
#define PEAK_BYTES      (1ull << 20) /* a peak is higher by so much than what was seen beside it */

/* Of two neighbours the higher one stays: a peak must not be forgotten. */
static void thin_usage(struct target *target)
{
	for (size_t i = 0; i < target->usage_count / 2; i++) {
		struct usage_sample a = target->usage[2 * i], b = target->usage[2 * i + 1];

		target->usage[i] = a.rss_bytes > b.rss_bytes ? a : b;
	}
	target->usage_count /= 2;
}

static void thin_heap(struct target *target)
{
	for (size_t i = 0; i < target->heap_count / 2; i++)
		target->heap_samples[i] = target->heap_samples[2 * i + 1];
	target->heap_count /= 2;
}

/* The newest sample that is at least window_ns older than now and of this epoch, or NULL. */
static const struct usage_sample *sample_before(
	const struct target *target, uint64_t now_ns, uint64_t window_ns)
{
	for (size_t i = target->usage_count; i-- > 0;) {
		const struct usage_sample *sample = &target->usage[i];

		if (sample->time_ns < target->epoch_ns)
			break;
		if (now_ns >= window_ns && sample->time_ns <= now_ns - window_ns)
			return sample;
	}
	return NULL;
}

void timeline_settle(struct target *target, uint64_t now_ns)
{
	if (!target->steady_ns && now_ns >= target->epoch_ns &&
		target->age_ns + (now_ns - target->epoch_ns) >= START_UP_NS)
		target->steady_ns = MAX(now_ns, (uint64_t)1);
}

static void settle_by_slope(struct target *target, uint64_t now_ns)
{
	const struct usage_sample *before =
		target->steady_ns ? NULL : sample_before(target, now_ns, START_UP_WINDOW);

	if (before && target->rss_bytes < before->rss_bytes + before->rss_bytes / 100)
		target->steady_ns = now_ns;
}

static void add_usage(struct target_state *target, uint64_t rss_bytes, uint64_t time_ns)
{
	struct target *pub = &target->pub;

	if (pub->usage_count && rss_bytes > pub->rss_bytes)
		pub->risen_bytes += rss_bytes - pub->rss_bytes;
	pub->rss_bytes = rss_bytes;
	if (pub->usage_count == MODEL_USAGE_SAMPLES)
		thin_usage(pub);
	array_reserve(pub->usage, pub->usage_count, target->usage_cap);
	pub->usage[pub->usage_count++] = (struct usage_sample){time_ns, rss_bytes};
}

/* A peak that was over before anybody looked is a sample, too: half way between two looks. */
static void add_peak(struct model *model, struct target_state *target, const struct event *event)
{
	uint64_t before = target->peak_read_bytes, peak = event->usage.peak_bytes;
	struct target *pub = &target->pub;
	uint64_t last_ns = pub->usage_count ? pub->usage[pub->usage_count - 1].time_ns : 0;

	if (!peak)
		return;
	target->peak_read_bytes = peak;
	if (!before || !last_ns || peak <= before ||
		peak <= MAX(pub->rss_bytes, event->usage.rss_bytes) + PEAK_BYTES)
		return;
	last_ns += (event->time_ns - last_ns) / 2;
	add_usage(target, peak, last_ns);
	spike_apply_usage(model, target, last_ns);
}

void timeline_apply_usage(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_usage *usage = &event->usage;
	struct target *pub = &target->pub;

	if (pub->usage_count && event->time_ns < pub->usage[pub->usage_count - 1].time_ns)
		return;
	add_peak(model, target, event);
	if (!pub->usage_count)
		pub->first_cpu_ns = usage->cpu_ns;
	pub->file_bytes = usage->file_bytes;
	pub->cpu_ns = usage->cpu_ns;
	pub->peak_bytes = MAX(pub->peak_bytes, MAX(usage->peak_bytes, usage->rss_bytes));
	add_usage(target, usage->rss_bytes, event->time_ns);
	settle_by_slope(pub, event->time_ns);
	spike_apply_usage(model, target, event->time_ns);
}

static void add_floor(struct gc_view *gc, uint64_t bytes, uint64_t time_ns)
{
	double seconds;

	if (!gc->cycles) {
		gc->floor_first_bytes = gc->floor_min_bytes = bytes;
		gc->floor_first_ns = time_ns;
	}
	gc->floor_last_bytes = bytes;
	gc->floor_min_bytes = MIN(gc->floor_min_bytes, bytes);
	gc->floor_max_bytes = MAX(gc->floor_max_bytes, bytes);
	seconds = (double)(time_ns - gc->floor_first_ns) / NSEC_PER_SEC;
	gc->time_sum += seconds;
	gc->time_squares += seconds * seconds;
	gc->floor_sum += (double)bytes;
	gc->products += seconds * (double)bytes;
}

/* The first reading counts too: it shows the last cycle before attach. */
static void add_cycle(struct target *target, const struct event_heap *heap, uint64_t time_ns)
{
	struct gc_view *gc = &target->gc;

	if (heap->gc_running || !heap->gc_cycles || heap->gc_cycles == gc->newest)
		return;
	gc->newest = heap->gc_cycles;
	add_floor(gc, heap->live_bytes, time_ns);
	gc->cycles++;
	gc->mark_max_ns = MAX(gc->mark_max_ns, heap->mark_ns);
	gc->mark_total_ns += heap->mark_ns;
	gc->mark_cpu_ns += heap->mark_cpu_ns;
	gc->assist_cpu_ns += heap->assist_cpu_ns;
}

double model_floor_slope(const struct target *target)
{
	const struct gc_view *gc = &target->gc;
	double count = (double)gc->cycles;
	double spread = count * gc->time_squares - gc->time_sum * gc->time_sum;

	if (gc->cycles < 3 || spread <= 0)
		return 0;
	return (count * gc->products - gc->time_sum * gc->floor_sum) / spread;
}

void timeline_apply_heap(struct target_state *target, const struct event *event)
{
	const struct event_heap *heap = &event->heap;
	struct target *pub = &target->pub;

	if (pub->has_heap && event->time_ns < pub->heap_ns)
		return;
	if (!pub->has_heap)
		pub->heap_first = *heap;
	add_cycle(pub, heap, event->time_ns);
	pub->has_heap = true;
	pub->heap = *heap;
	pub->heap_ns = event->time_ns;
	if (pub->heap_count == MODEL_HEAP_SAMPLES)
		thin_heap(pub);
	array_reserve(pub->heap_samples, pub->heap_count, target->heap_cap);
	pub->heap_samples[pub->heap_count++] = (struct heap_sample){event->time_ns,
		heap->total_alloc_bytes, heap->live_bytes, heap->gc_cycles, heap->gc_running};
}

/* The probes were open in [from_ns, to_ns); what the ring has moved past is left out. */
static void count_open(struct family_share *share, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t last = to_ns / NSEC_PER_SEC;

	if (last >= MODEL_RATE_SLOTS)
		from_ns = MAX(from_ns, (last - MODEL_RATE_SLOTS + 1) * NSEC_PER_SEC);
	for (uint64_t at = from_ns, next; at < to_ns; at = next) {
		uint32_t second = (uint32_t)(at / NSEC_PER_SEC);
		size_t i = second % MODEL_RATE_SLOTS;

		next = MIN((second + 1) * NSEC_PER_SEC, to_ns);
		if (share->open_slots[i].second != second) {
			share->open_slots[i].second = second;
			share->open_slots[i].open_us = 0;
		}
		share->open_slots[i].open_us += (uint32_t)((next - at) / NSEC_PER_USEC);
	}
}

void timeline_apply_share(struct target_state *target, const struct event *event)
{
	struct family_share *share = &target->pub.shares[event->share.family];

	if (event->share.open == share->open)
		return;
	if (event->share.open) {
		share->opened_ns = event->time_ns;
		share->first_ns = share->ever ? share->first_ns : event->time_ns;
		share->ever = true;
	} else if (event->time_ns > share->opened_ns) {
		share->open_total_ns += event->time_ns - share->opened_ns;
		count_open(share, share->opened_ns, event->time_ns);
	}
	share->open = event->share.open;
}

const struct family_share *model_family_share(const struct target *target, enum family family)
{
	const struct family_share *own = &target->shares[family];

	return own->ever ? own : &target->shares[family_probed_as(family)];
}

/* Measured from the first time open to the end of the session: attaching takes time, too. */
double model_open_share(const struct model *model, uint32_t target, enum family family)
{
	const struct target *t = model_target(model, target);
	const struct family_share *share =
		t && family < FAMILY_MAX ? model_family_share(t, family) : NULL;
	uint64_t end, open;

	if (!share || !share->ever)
		return 0;
	end = model->end_mono_ns ? MIN(model->end_mono_ns, t->last_ns) : t->last_ns;
	open = share->open_total_ns;
	if (share->open && end > share->opened_ns)
		open += end - share->opened_ns;
	if (end <= share->first_ns || open >= end - share->first_ns)
		return 1;
	return (double)open / (double)(end - share->first_ns);
}

double model_open_share_between(const struct model *model, uint32_t target, enum family family,
	uint64_t from_ns, uint64_t to_ns)
{
	const struct target *t = model_target(model, target);
	uint64_t from = from_ns / NSEC_PER_SEC, to = to_ns / NSEC_PER_SEC, end, open_us = 0;
	struct family_share share;

	if (!t || family >= FAMILY_MAX || !model_family_share(t, family)->ever)
		return 0;
	share = *model_family_share(t, family);
	end = model->end_mono_ns ? MIN(model->end_mono_ns, t->last_ns) : t->last_ns;
	if (share.open && end > share.opened_ns)
		count_open(&share, share.opened_ns, end);
	/* What was before is forgotten, not closed. */
	from = MAX(from, end / NSEC_PER_SEC - MIN(end / NSEC_PER_SEC, MODEL_RATE_SLOTS - 1));
	for (size_t i = 0; i < MODEL_RATE_SLOTS; i++)
		if (share.open_slots[i].second >= from && share.open_slots[i].second <= to)
			open_us += share.open_slots[i].open_us;
	from_ns = MAX(from * NSEC_PER_SEC, share.first_ns);
	end = MIN((to + 1) * NSEC_PER_SEC, end);
	if (end <= from_ns || open_us >= (end - from_ns) / NSEC_PER_USEC)
		return open_us ? 1 : 0;
	return (double)open_us / ((double)(end - from_ns) / NSEC_PER_USEC);
}

static uint64_t scale(uint64_t counted, double factor)
{
	double scaled = (double)counted * factor;

	if (factor <= 1)
		return counted;
	return scaled < 18446744073709549568.0 ? (uint64_t)(scaled + 0.5) : UINT64_MAX;
}

uint64_t model_scale(
	const struct model *model, uint32_t target, enum family family, uint64_t counted)
{
	double share = model_open_share(model, target, family);

	return scale(counted, share > 0 && share < 1 ? 1 / share : 1);
}

uint64_t model_scale_faults(const struct model *model, uint32_t target, uint64_t sampled)
{
	const struct target *t = model_target(model, target);
	double share = model_open_share(model, target, FAMILY_NONE);
	double risen = t && t->fault_bytes ? (double)t->risen_bytes / (double)t->fault_bytes : 1;

	return scale(sampled, share > 0 && share < 1 ? MAX(1 / share, risen) : 1);
}

double model_rss_slope(const struct target *target, uint64_t window_ns)
{
	double n = 0, sum_t = 0, sum_y = 0, sum_tt = 0, sum_ty = 0, spread;
	uint64_t end = target->usage_count ? target->usage[target->usage_count - 1].time_ns : 0;

	for (size_t i = target->usage_count; i-- > 0;) {
		const struct usage_sample *sample = &target->usage[i];
		double t = -(double)(end - sample->time_ns) / NSEC_PER_SEC;
		double y = (double)sample->rss_bytes;

		if (end - sample->time_ns > window_ns || sample->time_ns < target->epoch_ns)
			break;
		n++;
		sum_t += t;
		sum_y += y;
		sum_tt += t * t;
		sum_ty += t * y;
	}
	spread = n * sum_tt - sum_t * sum_t;
	return n >= 3 && spread > 0 ? (n * sum_ty - sum_t * sum_y) / spread : 0;
}

uint64_t model_rss_max(const struct target *target, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t max = 0;

	for (size_t i = target->usage_count; i-- > 0 && target->usage[i].time_ns >= from_ns;)
		if (target->usage[i].time_ns <= to_ns)
			max = MAX(max, target->usage[i].rss_bytes);
	return max;
}

uint32_t model_gc_cycles_since(const struct target *target, uint64_t t_ns)
{
	for (size_t i = 0; i < target->heap_count; i++)
		if (target->heap_samples[i].time_ns >= t_ns)
			return target->heap.gc_cycles - target->heap_samples[i].gc_cycles;
	return 0;
}
