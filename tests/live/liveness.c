/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is what a census and a look say of being alive ever wrong? The program of workloads/go/liveness.go says
 * round by round which maps it has and which it has dropped, while it collects all the time.
 *
 *	usage: liveness PROGRAM ROUNDS
 *
 * Wrong is: a map that it has is missing from a census, or is called dead; one that it has dropped is
 * called proven by a cycle that began after that. When N cycles had been completed at the drop, cycle
 * N + 1 may have been under way: so N + 2 is the first that began later. Prints the counts; exits 1 where
 * one was wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/list.h"
#include "runtime/parser.h"
#include "target/mem.h"
#include "target/process.h"

#define MAX_MAPS 65536
/* A map dropped so many rounds ago is no longer looked at. */
#define REMEMBERED 8

struct known {
	uint64_t key;
	bool dropped, found;
	bool fresh; /* no census has been taken since it was made: another one may be remembered there */
	uint32_t cycles; /* completed when it was dropped */
	uint32_t round;  /* when it was dropped */
};

struct counts {
	uint64_t proven, unproven, dead; /* what was said, all of it right: */
	uint64_t missing, false_dead, false_proven;
};

struct run {
	int pid;
	FILE *to, *from;
	struct parser *parser;
	struct target_mem *mem;
	struct runtime_file file;
	struct runtime_process *process;
	struct table index; /* key -> into maps */
	struct known maps[MAX_MAPS];
	size_t count;
	uint32_t round;
	struct counts counts;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "liveness: %s: %s\n", what, strerror(err < 0 ? -err : errno));
	exit(2);
}

/* ---- the program ---- */

static void start(struct run *run, char *program)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out))
		die("pipe", 0);
	run->pid = fork();
	if (run->pid < 0)
		die("fork", 0);
	if (!run->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		close(out[0]);
		execl(program, program, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	run->to = fdopen(in[1], "w");
	run->from = fdopen(out[0], "r");
}

static void say(struct run *run, const char *word)
{
	fprintf(run->to, "%s\n", word);
	fflush(run->to);
}

static struct known *find(struct run *run, uint64_t key)
{
	uint64_t i;

	return table_get(&run->index, key, &i) ? &run->maps[i] : NULL;
}

static void add(struct run *run, uint64_t key)
{
	struct known *known = find(run, key);

	if (!known) {
		if (run->count == MAX_MAPS)
			die("too many maps", -E2BIG);
		table_set(&run->index, key, run->count);
		known = &run->maps[run->count++];
	}
	*known = (struct known){.key = key, .fresh = true};
}

static void drop(struct run *run, uint64_t key, uint32_t cycles)
{
	struct known *known = find(run, key);

	if (!known || known->dropped)
		die("the program dropped what it did not have", -EPROTO);
	known->dropped = true;
	known->cycles = cycles;
	known->round = run->round;
}

/* "round CYCLES dropped ADDR.. made ADDR..": first what is gone, for an address may be used again. */
static void take_round(struct run *run)
{
	char *line = NULL, *word, *rest;
	size_t bytes = 0;
	uint32_t cycles;
	bool made = false;

	do
		if (getline(&line, &bytes, run->from) < 0)
			die("the program has ended", -EPIPE);
	while (strncmp(line, "round ", 6));
	strtok_r(line, " \n", &rest);
	cycles = (uint32_t)strtoul(strtok_r(NULL, " \n", &rest), NULL, 10);
	while ((word = strtok_r(NULL, " \n", &rest))) {
		if (!strcmp(word, "made"))
			made = true;
		else if (made)
			add(run, strtoull(word, NULL, 16));
		else if (strcmp(word, "dropped"))
			drop(run, strtoull(word, NULL, 16), cycles);
	}
	free(line);
}

/* ---- what is said of it ---- */

static bool proves_too_much(const struct known *known, const struct event_look *look)
{
	return look->liveness == LIVENESS_ROOTED ||
	       (look->liveness == LIVENESS_MARKED && look->marked_cycle >= known->cycles + 2);
}

static void tell(const struct run *run, const struct known *known, const struct event_look *look,
	const char *what)
{
	fprintf(stderr,
		"round %u: %s: map %llx, dropped in round %u (cycle %u), is said to be %s (cycle "
		"%u), "
		"length %llu\n",
		run->round, what, (unsigned long long)known->key, known->round, known->cycles,
		look->liveness == LIVENESS_ROOTED   ? "rooted"
		: look->liveness == LIVENESS_MARKED ? "marked"
						    : "dead",
		look->marked_cycle, (unsigned long long)look->length);
}

static void judge(struct run *run, const struct known *known, const struct event_look *look)
{
	struct counts *counts = &run->counts;

	if (known->dropped && proves_too_much(known, look)) {
		tell(run, known, look, "false_proven");
		counts->false_proven++;
	} else if (!known->dropped && look->liveness == LIVENESS_DEAD) {
		tell(run, known, look, "false_dead");
		counts->false_dead++;
	} else if (look->liveness == LIVENESS_DEAD)
		counts->dead++;
	else if (look->liveness == LIVENESS_ALLOCATED)
		counts->unproven++;
	else
		counts->proven++;
}

static void found(const struct runtime_container *container, void *arg)
{
	struct run *run = arg;
	struct known *known = find(run, container->key);

	if (!known || container->family != FAMILY_MAP)
		return;
	known->found = true;
	known->fresh = false;
	judge(run, known, &container->look);
}

static void take_census(struct run *run)
{
	struct runtime_census_options options = {.find_owners = true, .found_arg = run};
	struct runtime_census_stats stats;
	int r;

	for (size_t i = 0; i < run->count; i++)
		run->maps[i].found = false;
	r = runtime_go.census(run->process, &options, found, &stats);
	if (r < 0)
		die("census", r);
	for (size_t i = 0; i < run->count; i++)
		run->counts.missing += !run->maps[i].dropped && !run->maps[i].found;
}

static void look_at_all(struct run *run, bool deep)
{
	uint64_t *keys = xcalloc(run->count, sizeof(*keys));
	struct event_look *looks = xcalloc(run->count, sizeof(*looks));
	size_t count = 0;
	int r;

	for (size_t i = 0; i < run->count; i++)
		if (!run->maps[i].fresh &&
			(!run->maps[i].dropped || run->round - run->maps[i].round < REMEMBERED))
			keys[count++] = run->maps[i].key;
	r = runtime_go.look(run->process, FAMILY_MAP, keys, NULL, NULL, count, deep, looks);
	if (r < 0)
		die("look", r);
	for (size_t i = 0; i < count; i++)
		judge(run, find(run, keys[i]), &looks[i]);
	free(looks);
	free(keys);
}

static void attach(struct run *run, const char *program)
{
	uint32_t file;
	char reason[160] = "";
	int fd = process_open_exe(run->pid), r;

	if (fd < 0)
		die(program, fd);
	r = parser_identify(run->parser, fd, &file, &run->file);
	if (r < 0)
		die("identify", r);
	r = target_mem_open(run->pid, &run->mem);
	if (r < 0)
		die("memory", r);
	r = runtime_go.process_open(
		&run->file, run->mem, run->parser, file, 0, &run->process, reason);
	if (r < 0)
		die(reason, r);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct run run;
	struct counts *counts = &run.counts;
	uint32_t rounds;

	if (argc != 3) {
		fprintf(stderr, "usage: liveness PROGRAM ROUNDS\n");
		return 2;
	}
	rounds = (uint32_t)strtoul(argv[2], NULL, 10);
	if (parser_open(&run.parser) < 0)
		die("parser", 0);
	start(&run, argv[1]);
	say(&run, "go");
	take_round(&run);
	attach(&run, argv[1]);
	for (run.round = 1; run.round <= rounds; run.round++) {
		take_census(&run);
		look_at_all(&run, run.round % 4 == 0);
		say(&run, "round");
		take_round(&run);
		look_at_all(&run, false);
	}
	say(&run, "end");
	waitpid(run.pid, NULL, 0);
	printf("rounds=%u proven=%llu unproven=%llu dead=%llu missing=%llu false_dead=%llu "
	       "false_proven=%llu\n",
		rounds, (unsigned long long)counts->proven, (unsigned long long)counts->unproven,
		(unsigned long long)counts->dead, (unsigned long long)counts->missing,
		(unsigned long long)counts->false_dead, (unsigned long long)counts->false_proven);
	runtime_go.process_close(run.process);
	target_mem_close(run.mem);
	parser_close(run.parser);
	table_done(&run.index);
	return counts->missing || counts->false_dead || counts->false_proven;
}
