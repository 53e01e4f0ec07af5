/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replays a written session: events -> model -> rules -> one sink, on standard output. No
 * privileges and no clock: the same file gives the same bytes.
 *
 *	replay [--sink NAME] [--verbose] [--color] [--ascii] [--snapshot] [--width N] [--top N]
 *	       [--record FILE.mtrace] FILE
 *	replay [OPTIONS] FILE.mtrace ...     as one report
 *
 * With --record the session is recorded meanwhile; a FILE that ends in .mtrace is such a recording.
 *
 * A file holds one thing a line: a verb, then key=value pairs separated by blanks; '#' begins a
 * comment. In a value %XX is the byte with that number (%20 a blank, %1b an escape). Numbers may end
 * in ns, us, ms, s, min, h or in K, M, G (powers of 1024); 0x.. is hexadecimal. Times (at=) count
 * from attach.
 *
 *	session  real= end=                          wall clock at attach (seconds), end
 *	set      rule=KIND.FIELD=VALUE               a threshold
 *	host     name= kernel= cpus= mode=
 *	target   pid= comm= exe= build= runtime= version= cgroup= limit= age= start=
 *	site     name= target= family= type= frame=FUNCTION|FILE|LINE[|internal|inlined|in:MODULE] ...
 *	stack    name= target= frame=... as above       a whole stack
 *	census   target= complete= objects= heap= bytes= maps= channels= took= slice=
 *	source   name= hits= produced= delivered= lost=
 *	overhead hits= ns= probe= target= budget= tracer= rss= parser= attach= detach=
 *	skip     what= reason=
 *	incomplete reason=
 *
 * and the events of model/event.h, with its field names shortened:
 *
 *	growth   at= target= family= key= old= type= site= length= capacity= allocated= garbage=
 *	         held= same_size= new=
 *	create   at= target= family= key= type= site= owner= before= capacity= held= accessed=
 *	look     at= target= family= key= live=(dead|allocated|marked|rooted) cycle= length= capacity=
 *	         load_limit= held= need= need_peak= resident= tombstones= old= old_resident= scannable=
 *	         stamp=
 *	faults   at= target= addr= site= faults= bytes= lost= key= mapping= file=
 *	memory   at= target= call=(mmap|munmap|...) addr= site= mapped= unmapped= lost=
 *	resident at= target= rss= file= shared= heap= stack= runtime= anonymous= off_heap=
 *	heap     at= target= gc= running= pause= last_pause= live= goal= allocated= total= in_use=
 *	         free= released= stacks= runtime= scannable= pauses= pause_min= pause_median=
 *	         pause_max= mark= mark_cpu= assist=
 *	usage    at= target= rss= files= peak= cpu=
 *	share    at= target= family= open=
 *	goroutines at= target= running= send= receive= ... (wait_name()) stacks=   a look begins
 *	waiters  at= target= wait= site= count= waited= stacks= messages=
 *	profile  at= target= rate= missing= sampled= paired= at_most=  a reading of the allocation profile begins
 *	arrays   at= target= type= site= bytes= count= resident= pointers=   no count: a reading begins
 *	group    at= target= usage= inactive= limit= high= kills= some= full=   (of its cgroup; us)
 *	allocator at= target= name= version= unknown= estimated= arenas= system= mapped= free= cached=
 *	         pages= elsewhere= retained= retained_pages= trim= lazy=
 *	allocated at= target= stack= in_use= objects= recent= total= error= in_use_error=
 *	exec     at= target=
 *	exit     at= target= status=
 *
 * An event with times=N every=T happens N times; KEY+=V adds V to a number each time. Events are
 * applied in the order of their times, whatever their order in the file.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/model.h"
#include "recording/recorder.h"
#include "recording/replay.h"
#include "rules/rules.h"
#include "sink/sink.h"

#define ATTACH_NS (1000 * NSEC_PER_SEC) /* the monotonic clock at attach */
#define MAX_PAIRS 48
#define MAX_SITES 256 /* and stacks */

struct pair {
	const char *key;
	char *value;
};

struct line {
	const char *path;
	unsigned int number;
	const char *verb;
	struct pair pairs[MAX_PAIRS];
	size_t count;
	uint64_t round; /* of an event that happens several times */
};

struct named_site {
	char *name;
	uint32_t id;
	bool stack; /* a stack, not a site */
};

struct replay {
	struct model *model;
	struct thresholds *thresholds;
	struct recorder *recorder; /* NULL = nothing is recorded */
	struct timed_event {
		struct event event;
		size_t order;
	} * events;
	size_t count, capacity;
	struct named_site sites[MAX_SITES];
	size_t site_count;
	uint64_t real_ns, end_ns;
};

static void __attribute__((noreturn, format(printf, 2, 3)))
die(const struct line *line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%u: ", line->path, line->number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* ---- lines ---- */

static void decode_percent(char *s)
{
	char *out = s;

	for (; *s; s++) {
		char hex[3] = {0};

		if (*s == '%' && s[1] && s[2]) {
			memcpy(hex, s + 1, 2);
			*out++ = (char)strtoul(hex, NULL, 16);
			s += 2;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
}

/* The '=' that ends the key: in "rss+=1M" the key is "rss+". */
static void split_line(struct line *line, char *text)
{
	char *save = NULL, *word;

	line->count = 0;
	line->verb = NULL;
	text[strcspn(text, "#\n")] = 0;
	for (word = strtok_r(text, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		char *equals = strchr(word, '=');

		if (!line->verb) {
			line->verb = word;
			continue;
		}
		if (!equals || line->count == MAX_PAIRS)
			die(line, "'%s' is no KEY=VALUE, or there are too many", word);
		*equals = 0;
		decode_percent(equals + 1);
		line->pairs[line->count++] = (struct pair){word, equals + 1};
	}
}

static const char *find(const struct line *line, const char *key)
{
	for (size_t i = 0; i < line->count; i++)
		if (!strcmp(line->pairs[i].key, key))
			return line->pairs[i].value;
	return NULL;
}

static const char *text(const struct line *line, const char *key)
{
	const char *value = find(line, key);

	return value ? value : "";
}

static bool parse_time(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {
		{"ns", 1},
		{"us", 1e3},
		{"ms", 1e6},
		{"s", 1e9},
		{"min", 60e9},
		{"h", 3600e9},
	};
	char *end;
	double value = strtod(s, &end);

	for (size_t i = 0; end != s && i < ARRAY_SIZE(units); i++) {
		if (!strcmp(end, units[i].unit)) {
			*ret = (uint64_t)(value * units[i].ns + 0.5);
			return true;
		}
	}
	return false;
}

static uint64_t parse_number(const struct line *line, const char *s)
{
	uint64_t value;
	char *end;

	if (strlen(s) > strspn(s, "0123456789") && strncmp(s, "0x", 2)) {
		if (parse_time(s, &value) || !text_parse_bytes(s, &value))
			return value;
		die(line, "'%s' is no number", s);
	}
	value = strtoull(s, &end, 0); /* exact to 64 bits */
	if (*end || !*s)
		die(line, "'%s' is no number", s);
	return value;
}

/* The number in this round: key=A key+=B gives A + round * B. */
static uint64_t number(const struct line *line, const char *key)
{
	const char *value = find(line, key), *step;
	char step_key[32];

	snprintf(step_key, sizeof(step_key), "%s+", key);
	step = find(line, step_key);
	return (value ? parse_number(line, value) : 0) +
	       (step ? line->round * parse_number(line, step) : 0);
}

static enum family family_of(const struct line *line)
{
	const char *name = text(line, "family");

	for (int family = FAMILY_NONE + 1; family < FAMILY_MAX; family++)
		if (!strcmp(name, family_name(family)))
			return family;
	if (name[0])
		die(line, "'%s' is no family", name);
	return FAMILY_NONE;
}

static uint32_t named(
	const struct replay *replay, const struct line *line, const char *key, bool stack)
{
	const char *name = text(line, key);

	for (size_t i = 0; i < replay->site_count; i++)
		if (!strcmp(replay->sites[i].name, name) && replay->sites[i].stack == stack)
			return replay->sites[i].id;
	if (name[0])
		die(line, "no %s '%s' yet", key, name);
	return 0;
}

static uint32_t site_of(const struct replay *replay, const struct line *line)
{
	return named(replay, line, "site", false);
}

static uint32_t string_of(struct replay *replay, const struct line *line, const char *key)
{
	return model_intern(replay->model, text(line, key));
}

/* ---- what is said about the session ---- */

static void read_session(struct replay *replay, const struct line *line)
{
	replay->real_ns = number(line, "real") * NSEC_PER_SEC;
	replay->end_ns = ATTACH_NS + number(line, "end");
}

static void read_set(struct replay *replay, const struct line *line)
{
	char error[160];

	if (thresholds_set(replay->thresholds, text(line, "rule"), error) < 0)
		die(line, "%s", error);
	if (replay->recorder)
		recorder_add_setting(replay->recorder, text(line, "rule"));
}

static void read_host(struct replay *replay, const struct line *line)
{
	struct model_host host = {.cpus = (int)number(line, "cpus")};

	text_copy(host.name, sizeof(host.name), text(line, "name"));
	text_copy(host.kernel, sizeof(host.kernel), text(line, "kernel"));
	text_copy(host.attach_mode, sizeof(host.attach_mode), text(line, "mode"));
	model_set_host(replay->model, &host);
}

static void read_target(struct replay *replay, const struct line *line)
{
	struct model_target_info info = {
		.pid = (int)number(line, "pid"),
		.start_time = number(line, "start"),
		.comm = text(line, "comm"),
		.exe = text(line, "exe"),
		.cgroup = text(line, "cgroup"),
		.build_id = text(line, "build"),
		.runtime = text(line, "runtime"),
		.version = text(line, "version"),
		.limit_bytes = number(line, "limit"),
		.has_limit = find(line, "limit"),
		.age_ns = number(line, "age"),
	};

	model_add_target(replay->model, &info);
}

static void read_frame(const struct line *line, char *value, struct model_frame *ret)
{
	char *save = NULL;
	char *function = strtok_r(value, "|", &save), *file = strtok_r(NULL, "|", &save);
	char *number_text = strtok_r(NULL, "|", &save), *flag;

	if (!function || !file || !number_text)
		die(line, "a frame is FUNCTION|FILE|LINE");
	*ret = (struct model_frame){.function = function,
		.file = file,
		.line = (uint32_t)parse_number(line, number_text)};
	while ((flag = strtok_r(NULL, "|", &save))) {
		ret->internal |= !strcmp(flag, "internal");
		ret->inlined |= !strcmp(flag, "inlined");
		if (!strncmp(flag, "in:", 3))
			ret->module = flag + 3;
	}
}

static struct named_site *read_frames(struct replay *replay, const struct line *line,
	struct model_frame frames[MODEL_MAX_FRAMES], size_t *ret_count)
{
	struct named_site *site = &replay->sites[replay->site_count];
	size_t count = 0;

	if (replay->site_count == MAX_SITES)
		die(line, "too many sites");
	for (size_t i = 0; i < line->count; i++)
		if (!strcmp(line->pairs[i].key, "frame") && count < MODEL_MAX_FRAMES)
			read_frame(line, line->pairs[i].value, &frames[count++]);
	site->name = xstrdup(text(line, "name"));
	replay->site_count++;
	*ret_count = count;
	return site;
}

static void read_site(struct replay *replay, const struct line *line)
{
	struct model_frame frames[MODEL_MAX_FRAMES];
	size_t count;
	struct named_site *site = read_frames(replay, line, frames, &count);

	site->id = model_add_site(replay->model, (uint32_t)number(line, "target"), family_of(line),
		string_of(replay, line, "type"), frames, count);
}

static void read_stack(struct replay *replay, const struct line *line)
{
	struct model_frame frames[MODEL_MAX_FRAMES];
	size_t count;
	struct named_site *stack = read_frames(replay, line, frames, &count);

	stack->stack = true;
	stack->id = model_add_stack(replay->model, (uint32_t)number(line, "target"), frames, count);
}

static void read_census(struct replay *replay, const struct line *line)
{
	struct model_census census = {
		.done = true,
		.complete = number(line, "complete"),
		.objects = number(line, "objects"),
		.heap_objects = number(line, "heap"),
		.bytes = number(line, "bytes"),
		.maps = number(line, "maps"),
		.channels = number(line, "channels"),
		.duration_ns = number(line, "took"),
		.longest_slice_ns = number(line, "slice"),
	};

	model_set_census(replay->model, (uint32_t)number(line, "target"), &census);
}

static void read_source(struct replay *replay, const struct line *line)
{
	model_set_source(replay->model, text(line, "name"), number(line, "hits"),
		number(line, "produced"), number(line, "delivered"), number(line, "lost"));
}

static void read_overhead(struct replay *replay, const struct line *line)
{
	struct model_overhead overhead = {
		.probe_hits = number(line, "hits"),
		.ns_per_hit = strtod(text(line, "ns"), NULL),
		.probe_cpu_ns = number(line, "probe"),
		.target_cpu_ns = number(line, "target"),
		.budget_pct = strtod(text(line, "budget"), NULL),
		.tracer_cpu_ns = number(line, "tracer"),
		.tracer_rss_bytes = number(line, "rss"),
		.parser_rss_bytes = number(line, "parser"),
		.attach_ns = number(line, "attach"),
		.detach_ns = number(line, "detach"),
	};

	model_set_overhead(replay->model, &overhead);
}

static void read_skip(struct replay *replay, const struct line *line)
{
	model_add_skip(replay->model, text(line, "what"), text(line, "reason"));
}

static void read_incomplete(struct replay *replay, const struct line *line)
{
	model_add_incomplete(replay->model, text(line, "reason"));
}

/* ---- events ---- */

static void read_growth(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->growth = (struct event_growth){
		.family = family_of(line),
		.key = number(line, "key"),
		.old_key = find(line, "old") ? number(line, "old") : number(line, "key"),
		.type = string_of(replay, line, "type"),
		.site = site_of(replay, line),
		.same_size = number(line, "same_size"),
		.new_container = number(line, "new"),
		.has_length = find(line, "length"),
		.length = number(line, "length"),
		.capacity = number(line, "capacity"),
		.allocated_bytes = number(line, "allocated"),
		.garbage_bytes = number(line, "garbage"),
		.held_bytes = number(line, "held"),
	};
}

static void read_create(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->create = (struct event_create){
		.family = family_of(line),
		.key = number(line, "key"),
		.type = string_of(replay, line, "type"),
		.site = site_of(replay, line),
		.owner = string_of(replay, line, "owner"),
		.before_attach = number(line, "before"),
		.accessed = number(line, "accessed"),
		.capacity = number(line, "capacity"),
		.held_bytes = number(line, "held"),
	};
}

static enum liveness liveness_of(const struct line *line)
{
	static const char *const names[] = {
		[LIVENESS_DEAD] = "dead",
		[LIVENESS_ALLOCATED] = "allocated",
		[LIVENESS_MARKED] = "marked",
		[LIVENESS_ROOTED] = "rooted",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text(line, "live"), names[i]))
			return i;
	die(line, "live= is dead, allocated, marked or rooted");
}

static void read_look(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->look = (struct event_look){
		.family = family_of(line),
		.key = number(line, "key"),
		.liveness = liveness_of(line),
		.marked_cycle = (uint32_t)number(line, "cycle"),
		.has_length = find(line, "length"),
		.length = number(line, "length"),
		.capacity = number(line, "capacity"),
		.load_limit = number(line, "load_limit"),
		.held_bytes = number(line, "held"),
		.need_bytes = number(line, "need"),
		.need_peak_bytes = number(line, "need_peak"),
		.has_resident = find(line, "resident"),
		.resident_bytes = number(line, "resident"),
		.tombstones = number(line, "tombstones"),
		.old_bytes = number(line, "old"),
		.old_resident_bytes = number(line, "old_resident"),
		.scannable_bytes = number(line, "scannable"),
		.stamp = number(line, "stamp"),
	};
}

static void read_iterators(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->iterators = (struct event_iterators){
		.family = family_of(line),
		.key = number(line, "key"),
		.on_heap = number(line, "heap"),
		.on_stacks = number(line, "stacks"),
		.others = number(line, "others"),
		.stamp = number(line, "stamp"),
		.old_bytes = number(line, "old"),
		.old_resident_bytes = number(line, "old_resident"),
		.site = site_of(replay, line),
	};
}

static enum mapping mapping_of(const struct line *line)
{
	for (enum mapping i = MAPPING_UNKNOWN; i < MAPPING_MAX; i++)
		if (!strcmp(text(line, "mapping"), mapping_name(i)))
			return i;
	die(line, "mapping= is file, shared, heap, stack, runtime or anonymous");
}

static void read_faults(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->faults = (struct event_faults){
		.addr = number(line, "addr"),
		.site = site_of(replay, line),
		.faults = number(line, "faults"),
		.bytes = number(line, "bytes"),
		.lost_bytes = number(line, "lost"),
		.key = number(line, "key"),
		.mapping = mapping_of(line),
		.name = string_of(replay, line, "file"),
	};
}

static void read_memory(struct replay *replay, const struct line *line, struct event *ret)
{
	enum memory_call call = MEMORY_MMAP;

	while (call < MEMORY_CALLS && strcmp(text(line, "call"), memory_call_name(call)))
		call++;
	if (call == MEMORY_CALLS)
		die(line, "call= is mmap, munmap, mremap, brk, mprotect or madvise");
	ret->memory = (struct event_memory){
		.call = call,
		.site = site_of(replay, line),
		.addr = number(line, "addr"),
		.mapped_bytes = number(line, "mapped"),
		.unmapped_bytes = number(line, "unmapped"),
		.lost_bytes = number(line, "lost"),
	};
}

static void read_resident(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->resident = (struct event_resident){
		.off_heap_bytes = number(line, "off_heap"),
		.given_back_bytes = number(line, "given_back"),
		.rss_bytes = number(line, "rss"),
	};
	for (enum mapping i = MAPPING_FILE; i < MAPPING_MAX; i++)
		ret->resident.bytes[i] = number(line, mapping_name(i));
}

static void read_heap(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->heap = (struct event_heap){
		.gc_cycles = (uint32_t)number(line, "gc"),
		.gc_running = number(line, "running"),
		.pause_total_ns = number(line, "pause"),
		.pause_last_ns = number(line, "last_pause"),
		.live_bytes = number(line, "live"),
		.goal_bytes = number(line, "goal"),
		.allocated_bytes = number(line, "allocated"),
		.total_alloc_bytes = number(line, "total"),
		.in_use_bytes = number(line, "in_use"),
		.free_bytes = number(line, "free"),
		.released_bytes = number(line, "released"),
		.stack_bytes = number(line, "stacks"),
		.runtime_bytes = number(line, "runtime"),
		.scannable_bytes = number(line, "scannable"),
		.pause_count = (uint32_t)number(line, "pauses"),
		.pause_min_ns = number(line, "pause_min"),
		.pause_median_ns = number(line, "pause_median"),
		.pause_max_ns = number(line, "pause_max"),
		.mark_ns = number(line, "mark"),
		.mark_cpu_ns = number(line, "mark_cpu"),
		.assist_cpu_ns = number(line, "assist"),
	};
}

static void read_usage(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->usage = (struct event_usage){
		.rss_bytes = number(line, "rss"),
		.file_bytes = number(line, "files"),
		.peak_bytes = number(line, "peak"),
		.cpu_ns = number(line, "cpu"),
	};
}

static void read_share(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->share = (struct event_share){.family = family_of(line), .open = number(line, "open")};
}

static void read_exit(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->exit = (struct event_exit){
		.has_status = find(line, "status"), .status = (int)number(line, "status")};
}

static void read_goroutines(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->goroutines =
		(struct event_goroutines){.stack_bytes = number(line, "stacks"), .complete = true};
	for (int wait = WAIT_NONE; wait < WAIT_MAX; wait++)
		ret->goroutines.counts[wait] = number(line, wait_name(wait));
}

static enum wait wait_of(const struct line *line)
{
	const char *name = text(line, "wait");

	for (int wait = WAIT_NONE; wait < WAIT_MAX; wait++)
		if (!strcmp(name, wait_name(wait)))
			return wait;
	die(line, "nobody waits for '%s'", name);
}

static void read_waiters(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->waiters = (struct event_waiters){
		.wait = wait_of(line),
		.site = site_of(replay, line),
		.count = number(line, "count"),
		.waited_ns = number(line, "waited"),
		.stack_bytes = number(line, "stacks"),
		.stack_resident_bytes = number(line, "stacks"),
		.message_bytes = number(line, "messages"),
		.message_resident_bytes = number(line, "messages"),
	};
}

static void read_profile(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->profile = (struct event_profile){
		.reason = string_of(replay, line, "missing"),
		.rate_bytes = number(line, "rate"),
		.complete = !find(line, "missing") || find(line, "sampled"),
		.sampled = number(line, "sampled"),
		.paired = number(line, "paired"),
		.at_most = number(line, "at_most"),
	};
}

static void read_arrays(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->arrays = (struct event_arrays){
		.type = string_of(replay, line, "type"),
		.site = site_of(replay, line),
		.has_pointers = number(line, "pointers"),
		.array_bytes = number(line, "bytes"),
		.count = number(line, "count"),
		.resident_bytes = number(line, "resident"),
	};
}

static void read_group(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay;
	ret->group = (struct event_group){
		.usage_bytes = number(line, "usage"),
		.inactive_file_bytes = number(line, "inactive"),
		.limit_bytes = number(line, "limit"),
		.high_bytes = number(line, "high"),
		.oom_kills = number(line, "kills"),
		.has_pressure = find(line, "some"),
		.some_us = number(line, "some"),
		.full_us = number(line, "full"),
	};
}

static void read_allocator(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->allocator = (struct event_allocator){
		.name = string_of(replay, line, "name"),
		.version = string_of(replay, line, "version"),
		.reason = string_of(replay, line, "unknown"),
		.estimated = number(line, "estimated"),
		.arenas = number(line, "arenas"),
		.system_bytes = number(line, "system"),
		.mapped_bytes = number(line, "mapped"),
		.free_bytes = number(line, "free"),
		.cached_bytes = number(line, "cached"),
		.page_bytes = number(line, "pages"),
		.resident_bytes = number(line, "elsewhere"),
		.retained_bytes = number(line, "retained"),
		.retained_page_bytes = number(line, "retained_pages"),
		.trim_bytes = number(line, "trim"),
		.lazy_bytes = number(line, "lazy"),
	};
}

static void read_allocated(struct replay *replay, const struct line *line, struct event *ret)
{
	ret->allocated = (struct event_allocated){
		.stack = named(replay, line, "stack", true),
		.in_use_bytes = number(line, "in_use"),
		.in_use_objects = number(line, "objects"),
		.recent_bytes = number(line, "recent"),
		.recent_objects = find(line, "recent") ? 1 : 0,
		.allocated_bytes = number(line, "total"),
		.allocated_objects = number(line, "objects") + 1,
		.allocated_error_bytes = number(line, "error"),
		.in_use_error_bytes = number(line, "in_use_error"),
	};
}

static void read_exec(struct replay *replay, const struct line *line, struct event *ret)
{
	(void)replay, (void)line, (void)ret;
}

static const struct verb {
	const char *name;
	void (*say)(struct replay *replay, const struct line *line);
	void (*event)(struct replay *replay, const struct line *line, struct event *ret);
	enum event_kind kind;
} verbs[] = {
	{"session", read_session, NULL, 0},
	{"set", read_set, NULL, 0},
	{"host", read_host, NULL, 0},
	{"target", read_target, NULL, 0},
	{"site", read_site, NULL, 0},
	{"stack", read_stack, NULL, 0},
	{"census", read_census, NULL, 0},
	{"source", read_source, NULL, 0},
	{"overhead", read_overhead, NULL, 0},
	{"skip", read_skip, NULL, 0},
	{"incomplete", read_incomplete, NULL, 0},
	{"growth", NULL, read_growth, EVENT_GROWTH},
	{"create", NULL, read_create, EVENT_CREATE},
	{"look", NULL, read_look, EVENT_LOOK},
	{"iterators", NULL, read_iterators, EVENT_ITERATORS},
	{"faults", NULL, read_faults, EVENT_FAULTS},
	{"memory", NULL, read_memory, EVENT_MEMORY},
	{"resident", NULL, read_resident, EVENT_RESIDENT},
	{"heap", NULL, read_heap, EVENT_HEAP},
	{"usage", NULL, read_usage, EVENT_USAGE},
	{"share", NULL, read_share, EVENT_SHARE},
	{"goroutines", NULL, read_goroutines, EVENT_GOROUTINES},
	{"waiters", NULL, read_waiters, EVENT_WAITERS},
	{"profile", NULL, read_profile, EVENT_PROFILE},
	{"allocated", NULL, read_allocated, EVENT_ALLOCATED},
	{"arrays", NULL, read_arrays, EVENT_ARRAYS},
	{"group", NULL, read_group, EVENT_GROUP},
	{"allocator", NULL, read_allocator, EVENT_ALLOCATOR},
	{"exec", NULL, read_exec, EVENT_EXEC},
	{"exit", NULL, read_exit, EVENT_EXIT},
};

static void add_events(struct replay *replay, const struct verb *verb, struct line *line)
{
	uint64_t rounds = find(line, "times") ? number(line, "times") : 1;
	uint64_t every = number(line, "every");

	for (line->round = 0; line->round < rounds; line->round++) {
		struct timed_event *timed;

		array_reserve(replay->events, replay->count, replay->capacity);
		timed = &replay->events[replay->count];
		memset(timed, 0, sizeof(*timed));
		timed->order = replay->count++;
		timed->event.kind = verb->kind;
		timed->event.target = (uint32_t)number(line, "target");
		timed->event.time_ns = ATTACH_NS + number(line, "at") + line->round * every;
		verb->event(replay, line, &timed->event);
	}
	line->round = 0;
}

static void take_line(struct replay *replay, struct line *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(line->verb, verbs[i].name))
			continue;
		if (verbs[i].say)
			verbs[i].say(replay, line);
		else
			add_events(replay, &verbs[i], line);
		return;
	}
	die(line, "unknown verb '%s'", line->verb);
}

static int earlier_first(const void *a, const void *b)
{
	const struct timed_event *x = a, *y = b;

	if (x->event.time_ns != y->event.time_ns)
		return x->event.time_ns < y->event.time_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int read_file(struct replay *replay, const char *path)
{
	struct line line = {.path = path};
	FILE *file = fopen(path, "re");
	char *buf = NULL;
	size_t bytes = 0;

	if (!file)
		return -errno;
	while (getline(&buf, &bytes, file) > 0) {
		line.number++;
		split_line(&line, buf);
		if (line.verb)
			take_line(replay, &line);
	}
	free(buf);
	fclose(file);
	return 0;
}

static void apply_events(struct replay *replay)
{
	if (replay->count)
		qsort(replay->events, replay->count, sizeof(*replay->events), earlier_first);
	model_set_clock(replay->model, ATTACH_NS, replay->real_ns, replay->end_ns);
	for (size_t i = 0; i < replay->count; i++) {
		if (model_apply(replay->model, &replay->events[i].event) < 0) {
			fprintf(stderr, "the model refuses an event\n");
			exit(2);
		}
	}
}

/* ---- recordings ---- */

static int record(struct replay *replay, const char *path)
{
	char error[RECORDER_ERROR_BYTES];
	int r = recorder_open(path, &replay->recorder, error);

	if (!r)
		recorder_watch(replay->recorder, replay->model);
	return r;
}

static int end_recording(struct replay *replay)
{
	struct recorder_result result = {0};

	recorder_close(replay->recorder, &result);
	return result.lost ? -ENOBUFS : result.error;
}

static void on_setting(const char *assignment, void *arg)
{
	char error[160];

	thresholds_set(arg, assignment, error);
}

static int read_recordings(struct replay *replay, char **paths)
{
	struct replayer *replayer = replay_new(replay->model, on_setting, replay->thresholds);
	char sentence[REPLAY_ERROR_BYTES];
	uint64_t begin_ns;
	int r = 0;

	for (; *paths && !r; paths++) {
		r = replay_add(replayer, *paths, sentence);
		if (r)
			fprintf(stderr, "%s %s\n", *paths, sentence);
	}
	replay_free(replayer);
	model_clock(replay->model, &begin_ns, &replay->real_ns, &replay->end_ns);
	return r;
}

static int write_report(struct replay *replay, struct report *report, const struct sink *sink)
{
	struct findings findings;
	int r;

	rules_run(replay->model, replay->thresholds, replay->end_ns, &findings);
	report->model = replay->model;
	report->findings = findings.items;
	report->finding_count = findings.count - findings.candidates;
	report->candidate_count = findings.candidates;
	report->saves_rss_bytes = findings.saves_rss_bytes;
	r = sink->write(report, stdout);
	findings_done(&findings);
	return r;
}

static void replay_done(struct replay *replay)
{
	for (size_t i = 0; i < replay->site_count; i++)
		free(replay->sites[i].name);
	free(replay->events);
	thresholds_free(replay->thresholds);
	model_free(replay->model);
}

static const struct option options[] = {
	{"sink", required_argument, NULL, 's'},
	{"verbose", no_argument, NULL, 'v'},
	{"color", no_argument, NULL, 'c'},
	{"ascii", no_argument, NULL, 'a'},
	{"snapshot", no_argument, NULL, 'r'},
	{"record", required_argument, NULL, 'o'},
	{"width", required_argument, NULL, 'w'},
	{"top", required_argument, NULL, 'n'},
	{NULL, 0, NULL, 0},
};

static const char *read_options(
	int argc, char **argv, struct report *report, const char **ret_recording)
{
	const char *sink = "text";
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			sink = optarg;
		else if (option == 'w')
			report->width = atoi(optarg);
		else if (option == 'n')
			report->top = strtoul(optarg, NULL, 10);
		else if (option == 'o')
			*ret_recording = optarg;
		report->verbose |= option == 'v';
		report->color |= option == 'c';
		report->ascii |= option == 'a';
		report->snapshot |= option == 'r';
	}
	return sink;
}

static bool is_recording(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strcmp(dot, ".mtrace");
}

static int fill(struct replay *replay, char **paths, const char *recording)
{
	const char *path = paths[0];
	int r;

	if (is_recording(path))
		return read_recordings(replay, paths);
	r = recording ? record(replay, recording) : 0;
	r = r ? r : read_file(replay, path);
	if (!r)
		apply_events(replay);
	return r ? r : end_recording(replay);
}

int main(int argc, char **argv)
{
	const char *recording = NULL;
	struct report report = {.top = 10, .width = 100};
	const struct sink *sink = sink_find(read_options(argc, argv, &report, &recording));
	struct replay replay = {.model = model_new(), .thresholds = thresholds_new()};
	int r;

	setenv("TZ", "UTC", 1);
	tzset();
	if (!sink || optind == argc || (optind + 1 != argc && !is_recording(argv[optind]))) {
		fprintf(stderr, "usage: replay [OPTIONS] FILE\n");
		return 2;
	}
	r = fill(&replay, &argv[optind], recording);
	r = r ? r : write_report(&replay, &report, sink);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[optind], strerror(-r));
	replay_done(&replay);
	return r < 0;
}
