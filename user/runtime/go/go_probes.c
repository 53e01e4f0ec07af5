/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where to probe. Never at a function's entry: there the instruction is single-stepped (20 times
 * the cost), the kernel's stack walk loses the caller, and the function is entered again after each
 * stack growth. Instead, with arguments still in their registers (Go's internal ABI, 1.17+: RAX,
 * RBX, RCX, RDI, RSI):
 *
 *   lea -N(%rsp), %r12		larger frames only
 *   cmp 0x10(%r14), %rsp	or 0x18: functions of the system stack
 *   jbe morestack		1.19: probed here; hits with CF or ZF set will be back
 *   push %rbp			1.21+: probed here
 *
 * Inside growslice, what grows buffers, makechan and the allocator the place and the registers are derived from the code and checked;
 * a function that does not look as expected gets no probe.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_code.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_probes.h"
#include "runtime/runtime.h"

/* The register ABI and the signatures below are those of all Go versions in this range. */
#define FIRST_MINOR 19
#define LAST_MINOR  26

/* hchan (runtime/chan.go) */
#define HCHAN_DATAQSIZ 8
#define HCHAN_ELEMSIZE 24

#define MAX_CHANNEL_INSNS 24 /* from the store of elemsize to that of dataqsiz */

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

struct place {
	const cs_insn *insn;
	struct mt_attachment attachment;
};

struct row {
	enum go_probe probe;
	const char *symbol;
	const char *what;  /* in a skip */
	const char *needs; /* applies only where this function exists; NULL = always */
	enum family family;
	struct mt_attachment attachment;
	/* Chooses the instruction and may change the attachment; NULL = not found. */
	const char *(*place)(struct go_file *file, const struct code *code, struct place *ret);
};

/* ---- entry ---- */

/* Stack check: cmp of %rsp or %r12 with stackguard0 or stackguard1 of g (%r14). */
static bool is_stack_check(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *left = &x86->operands[0], *right = &x86->operands[1];

	return insn->id == X86_INS_CMP && x86->op_count == 2 && left->type == X86_OP_REG &&
	       (left->reg == X86_REG_RSP || left->reg == X86_REG_R12) &&
	       right->type == X86_OP_MEM && right->mem.base == X86_REG_R14 &&
	       right->mem.index == X86_REG_INVALID &&
	       (right->mem.disp == 0x10 || right->mem.disp == 0x18);
}

static bool is_push_rbp(const cs_insn *insn)
{
	return insn->id == X86_INS_PUSH && insn->detail->x86.operands[0].type == X86_OP_REG &&
	       insn->detail->x86.operands[0].reg == X86_REG_RBP;
}

static const char *place_entry(struct go_file *file, const struct code *code, struct place *ret)
{
	const cs_insn *insn = code->insns;

	(void)file;
	if (code->count < 4)
		return "the function is too short";
	if (is_push_rbp(insn)) {
		ret->insn = insn;
		return NULL;
	}
	if (insn->id == X86_INS_LEA && insn->detail->x86.operands[0].reg == X86_REG_R12)
		insn++;
	if (!is_stack_check(insn) || insn[1].id != X86_INS_JBE) {
		ret->insn = code->insns;
		return NULL;
	}
	ret->insn = &insn[2];
	if (is_push_rbp(&insn[2]))
		return NULL;
	ret->insn = &insn[1];
	ret->attachment.flags |= MT_ATTACH_STACK_CHECK;
	return NULL;
}

/* Called all the time: nothing but a cheap probe will do. */
static const char *place_access(struct go_file *file, const struct code *code, struct place *ret)
{
	const char *reason = place_entry(file, code, ret);

	return !reason && !code_is_emulated(ret->insn)
		       ? "its entry has no instruction that the kernel emulates"
		       : reason;
}

/* ---- growslice ---- */

static bool is_stack_load(const cs_insn *insn, x86_reg reg, int16_t *ret_offset)
{
	struct code_memory load;

	if (!code_is_load(insn, &load) || load.reg != reg || load.base != X86_REG_RSP ||
		load.disp < 0 || load.disp > INT16_MAX)
		return false;
	*ret_offset = (int16_t)load.disp;
	return true;
}

static const cs_insn *find_only_call(const struct code *code, uint64_t target, size_t *ret_index)
{
	const cs_insn *found = NULL;
	uint64_t called;
	size_t i;

	for (i = 0; i < code->count; i++) {
		if (!code_is_call(&code->insns[i], &called) || called != target)
			continue;
		if (found)
			return NULL;
		found = &code->insns[i];
		*ret_index = i;
	}
	return found;
}

/* memmove(to RAX, from RBX, bytes RCX): the new array, the old one, what is kept of it. */
static const char *place_copy(struct go_file *file, const struct code *code, struct place *ret)
{
	struct go_func memmove_func;
	size_t at;

	if (!go_pclntab_find_name(&file->table, "runtime.memmove", &memmove_func))
		return "runtime.memmove is not in this binary";
	ret->insn = find_only_call(code, memmove_func.entry, &at);
	if (!ret->insn)
		return "not exactly one call of memmove";
	return at + 4 < code->count ? NULL : "the code after memmove is not as known";
}

/*
 * growslice ends with memmove(to RAX, from RBX, bytes RCX) and then loads what it returns from its
 * frame: array to RAX, length to RBX, capacity to RCX.
 */
static const char *place_growslice(struct go_file *file, const struct code *code, struct place *ret)
{
	int16_t array, length, capacity;
	const char *reason = place_copy(file, code, ret);

	if (reason)
		return reason;
	if (!is_stack_load(&ret->insn[1], X86_REG_RAX, &array) ||
		!is_stack_load(&ret->insn[2], X86_REG_RBX, &length) ||
		!is_stack_load(&ret->insn[3], X86_REG_RCX, &capacity))
		return "the code after memmove is not as known";
	ret->attachment.val[2] = MEM(SP, length);
	ret->attachment.val[3] = MEM(SP, capacity);
	return NULL;
}

/* strings.(*Builder).grow then loads the new slice's array to RAX and its capacity to RCX. */
static const char *place_builder_grow(
	struct go_file *file, const struct code *code, struct place *ret)
{
	const char *reason = place_copy(file, code, ret);
	int16_t array, capacity;

	if (reason)
		return reason;
	if (!is_stack_load(&ret->insn[1], X86_REG_RAX, &array) ||
		!is_stack_load(&ret->insn[2], X86_REG_RCX, &capacity))
		return "the code after memmove is not as known";
	ret->attachment.val[3] = MEM(SP, capacity);
	return NULL;
}

/* ---- makechan ---- */

struct channel_code {
	size_t at;                /* the store of hchan.elemsize */
	x86_reg chan, type, size; /* registers then */
};

/* mov (type), size; mov size16, 0x18(chan): hchan.elemsize = elem.Size_ */
static bool find_elemsize_store(const struct code *code, struct channel_code *ret)
{
	struct code_memory store, load;
	size_t i, found = 0;

	for (i = 1; i < code->count; i++) {
		if (!code_is_store(&code->insns[i], &store) || store.disp != HCHAN_ELEMSIZE ||
			code->insns[i].detail->x86.operands[1].size != 2)
			continue;
		if (!code_is_load(&code->insns[i - 1], &load) || load.disp ||
			load.reg != code_full_register(store.reg) || load.reg == load.base)
			continue;
		*ret = (struct channel_code){i, store.base, load.base, load.reg};
		found++;
	}
	return found == 1;
}

static const cs_insn *next_conditional_jump(
	const struct code *code, const struct channel_code *channel)
{
	size_t i;

	for (i = channel->at + 1; i < code->count && i < channel->at + 6; i++) {
		const cs_insn *insn = &code->insns[i];

		if (code_is_conditional_jump(insn))
			return insn;
		if (code_writes(code, insn, channel->chan) ||
			code_writes(code, insn, channel->type) ||
			code_writes(code, insn, channel->size))
			return NULL;
	}
	return NULL;
}

/* mov S(%rsp), reg; mov reg, 8(chan): hchan.dataqsiz = size */
static bool find_dataqsiz(const struct code *code, const struct channel_code *channel, int16_t *ret)
{
	struct code_memory store, load;
	size_t i;

	for (i = channel->at + 1; i < code->count && i < channel->at + MAX_CHANNEL_INSNS; i++)
		if (code_is_store(&code->insns[i], &store) && store.base == channel->chan &&
			store.disp == HCHAN_DATAQSIZ && code_is_load(&code->insns[i - 1], &load) &&
			load.reg == store.reg)
			return is_stack_load(&code->insns[i - 1], load.reg, ret);
	return false;
}

static bool set_register(struct mt_source *source, x86_reg reg)
{
	int wire = code_wire_register(reg);

	*source = (struct mt_source){MT_FROM_REG, wire < 0 ? 0 : wire, 0};
	return wire >= 0;
}

/*
 * Every channel passes the store of elemsize once, after its allocation; the jump is the write
 * barrier's.
 */
static const char *place_makechan(struct go_file *file, const struct code *code, struct place *ret)
{
	struct channel_code channel = {0};
	int16_t size;

	(void)file;
	if (!find_elemsize_store(code, &channel))
		return "the store of hchan.elemsize is not as known";
	ret->insn = next_conditional_jump(code, &channel);
	if (!ret->insn || !find_dataqsiz(code, &channel, &size))
		return "the code after the store of hchan.elemsize is not as known";
	ret->attachment.val[1] = MEM(SP, size);
	if (!set_register(&ret->attachment.addr, channel.chan) ||
		!set_register(&ret->attachment.val[0], channel.type) ||
		!set_register(&ret->attachment.val[2], channel.size))
		return "the registers of hchan are not as known";
	return NULL;
}

/* ---- allocations ---- */

/*
 * No argument counts here: what the callee has returned is tested as a pointer, and where the fields of a
 * span are the layout says. So this holds for versions whose conventions nobody has checked, too.
 *
 * call callee; test %rax, %rax; je: it was given a span, or there is no memory left.
 */
static const char *place_span(
	struct go_file *file, const struct code *code, const char *callee, struct place *ret)
{
	struct go_func func;
	size_t at;

	if (!file->has_layout)
		return "where a span says what it has room for is not known";
	if (!go_pclntab_find_name(&file->table, callee, &func) ||
		!find_only_call(code, func.entry, &at))
		return "it does not get its span as known";
	do
		at++;
	while (at < code->count && code->insns[at].id == X86_INS_NOP);
	if (at + 1 >= code->count || code->insns[at].id != X86_INS_TEST ||
		code->insns[at].detail->x86.operands[0].reg != X86_REG_RAX ||
		code->insns[at].detail->x86.operands[1].reg != X86_REG_RAX ||
		code->insns[at + 1].id != X86_INS_JE)
		return "the code after it has got its span is not as known";
	ret->insn = &code->insns[at + 1];
	ret->attachment.addr = MEM(AX, (int16_t)file->facts.layout.span_start);
	return NULL;
}

static const char *place_alloc_large(
	struct go_file *file, const struct code *code, struct place *ret)
{
	ret->attachment.val[0] = MEM(AX, (int16_t)file->facts.layout.span_npages);
	ret->attachment.val[1] = MEM(AX, (int16_t)file->facts.layout.span_sweepgen);
	return place_span(file, code, "runtime.(*mheap).alloc", ret);
}

static const char *place_refill(struct go_file *file, const struct code *code, struct place *ret)
{
	const struct go_layout *layout = &file->facts.layout;

	ret->attachment.val[0] = MEM(AX, (int16_t)layout->span_nelems);
	ret->attachment.val[1] = MEM(AX, (int16_t)layout->span_alloc_count);
	ret->attachment.val[2] = MEM(AX, (int16_t)layout->span_class);
	ret->attachment.val[3] = MEM(AX, (int16_t)layout->span_elemsize);
	ret->attachment.val[4] = MEM(AX, (int16_t)layout->span_sweepgen);
	return place_span(file, code, "runtime.(*mcentral).cacheSpan", ret);
}

/* ---- rows ---- */

#define FLAGS (MT_ATTACH_STACK | MT_ATTACH_GO)

/* runtime/map*.go: type, map, key or iterator */
#define ACCESS(record_kind, symbol)                                                                \
	{                                                                                          \
		GO_PROBE_MAP_ACCESS, symbol, "use of maps", NULL, FAMILY_ACCESS,                   \
			{.kind = record_kind, .flags = FLAGS, .addr = REG(BX)}, place_access       \
	}

/* runtime/map.go: hmap, maptype; internal/runtime/maps: Map, table */
static const struct row rows[] = {
	{GO_PROBE_HASH_GROW, "runtime.hashGrow", "growth of maps", "runtime.hashGrow", FAMILY_MAP,
		{.kind = MT_GROW,
			.flags = FLAGS,
			.addr = REG(BX),
			.val = {REG(AX), MEM(BX, 0), MEM(BX, 8), MEM(BX, 16)}},
		place_entry},
	{GO_PROBE_GROW_TO_TABLE, "internal/runtime/maps.(*Map).growToTable",
		"growth of maps past 8 entries", "internal/runtime/maps.(*Map).growToTable",
		FAMILY_MAP,
		{.kind = MT_GROW, .flags = FLAGS, .addr = REG(AX), .val = {REG(BX), MEM(AX, 0)}},
		place_entry},
	{GO_PROBE_REHASH, "internal/runtime/maps.(*table).rehash", "growth of maps",
		"internal/runtime/maps.(*table).rehash", FAMILY_MAP,
		{.kind = MT_GROW,
			.flags = FLAGS,
			.addr = REG(CX),
			.val = {REG(BX), MEM(AX, 0), MEM(CX, 0), MEM(CX, 32)}},
		place_entry},
	{GO_PROBE_GROWSLICE, "runtime.growslice", "growth of slices", NULL, FAMILY_SLICE,
		{.kind = MT_GROW, .flags = FLAGS, .addr = REG(AX), .val = {REG(BX), REG(CX)}},
		place_growslice},
	{GO_PROBE_BUFFER_GROW, "bytes.growSlice", "growth of bytes.Buffer", NULL, FAMILY_SLICE,
		{.kind = MT_GROW, .flags = FLAGS, .addr = REG(AX), .val = {REG(BX), REG(CX)}},
		place_copy},
	{GO_PROBE_BUILDER_GROW, "strings.(*Builder).grow", "growth of strings.Builder by Grow",
		NULL, FAMILY_SLICE,
		{.kind = MT_GROW, .flags = FLAGS, .addr = REG(AX), .val = {REG(BX), REG(CX)}},
		place_builder_grow},
	{GO_PROBE_MAKECHAN, "runtime.makechan", "creation of channels", NULL, FAMILY_CHANNEL,
		{.kind = MT_CREATE, .flags = FLAGS}, place_makechan},
	{GO_PROBE_MAP_CLEAR, "runtime.mapclear", "clearing of maps", "runtime.hashGrow", FAMILY_MAP,
		{.kind = MT_CLEAR, .flags = FLAGS, .addr = REG(BX), .val = {REG(AX), MEM(BX, 0)}},
		place_entry},
	{GO_PROBE_MAP_CLEAR, "internal/runtime/maps.(*Map).Clear", "clearing of maps",
		"internal/runtime/maps.(*Map).growToTable", FAMILY_MAP,
		{.kind = MT_CLEAR, .flags = FLAGS, .addr = REG(AX), .val = {REG(BX), MEM(AX, 0)}},
		place_entry},
	{GO_PROBE_ALLOC_LARGE, "runtime.(*mcache).allocLarge", "sampling of large allocations",
		NULL, FAMILY_ALLOCATION, {.kind = MT_ALLOC, .flags = FLAGS}, place_alloc_large},
	{GO_PROBE_REFILL, "runtime.(*mcache).refill", "sampling of small allocations", NULL,
		FAMILY_ALLOCATION, {.kind = MT_ALLOC, .flags = FLAGS}, place_refill},
	ACCESS(MT_WRITE, "runtime.mapassign"),
	ACCESS(MT_WRITE, "runtime.mapassign_fast32"),
	ACCESS(MT_WRITE, "runtime.mapassign_fast32ptr"),
	ACCESS(MT_WRITE, "runtime.mapassign_fast64"),
	ACCESS(MT_WRITE, "runtime.mapassign_fast64ptr"),
	ACCESS(MT_WRITE, "runtime.mapassign_faststr"),
	ACCESS(MT_ACCESS, "runtime.mapaccess1"),
	ACCESS(MT_ACCESS, "runtime.mapaccess1_fast32"),
	ACCESS(MT_ACCESS, "runtime.mapaccess1_fast64"),
	ACCESS(MT_ACCESS, "runtime.mapaccess1_faststr"),
	ACCESS(MT_ACCESS, "runtime.mapaccess2"),
	ACCESS(MT_ACCESS, "runtime.mapaccess2_fast32"),
	ACCESS(MT_ACCESS, "runtime.mapaccess2_fast64"),
	ACCESS(MT_ACCESS, "runtime.mapaccess2_faststr"),
	ACCESS(MT_ACCESS, "runtime.mapdelete"),
	ACCESS(MT_ACCESS, "runtime.mapdelete_fast32"),
	ACCESS(MT_ACCESS, "runtime.mapdelete_fast64"),
	ACCESS(MT_ACCESS, "runtime.mapdelete_faststr"),
	ACCESS(MT_ACCESS, "runtime.mapiterinit"),
	ACCESS(MT_ACCESS, "runtime.mapIterStart"),
};

/* What a program counts itself is not sampled. */
static bool is_wanted(struct go_file *file, const struct row *row)
{
	struct go_func func;

	if (row->family == FAMILY_ALLOCATION && file->facts.profile_linked)
		return false;
	return !row->needs || go_pclntab_find_name(&file->table, row->needs, &func);
}

void go_probes_add_skip(struct runtime_file *file, const char *what, const char *format, ...)
{
	struct runtime_skip *skip;
	va_list args;

	if (file->skip_count == RUNTIME_MAX_SKIPS)
		return;
	skip = &file->skips[file->skip_count++];
	text_copy(skip->what, sizeof(skip->what), what);
	va_start(args, format);
	vsnprintf(skip->reason, sizeof(skip->reason), format, args);
	va_end(args);
}

static int add_probe(struct go_file *file, const struct row *row, const struct code *code,
	const struct place *place, struct runtime_file *ret)
{
	const cs_insn *insn = place->insn;
	struct runtime_probe probe = {
		.probe = row->probe,
		.family = row->family,
		.emulated = code_is_emulated(insn),
		.vaddr = insn->address,
		.delta = (int32_t)(insn->address - code->insns[0].address),
		.attachment = place->attachment,
	};

	if (ret->probe_count == RUNTIME_MAX_PROBES ||
		elf_file_offset(file->elf, probe.vaddr, &probe.file_offset))
		return -ENOENT;
	probe.code_bytes = MIN(sizeof(probe.code), code_end(code) - probe.vaddr);
	memcpy(probe.code, code->bytes + probe.delta, probe.code_bytes);
	text_copy(probe.symbol, sizeof(probe.symbol), row->symbol);
	ret->probes[ret->probe_count++] = probe;
	return 0;
}

static void place_row(struct go_file *file, const struct row *row, struct runtime_file *ret)
{
	struct place place = {.attachment = row->attachment};
	struct code code;
	const char *reason;
	int err;

	err = go_code_open(file, row->symbol, &code);
	/* The linker drops what the program never calls: then there is nothing to see */
	if (err == -ENOENT)
		return;
	if (err) {
		go_probes_add_skip(ret, row->what, "%s cannot be decoded", row->symbol);
		return;
	}
	reason = row->place(file, &code, &place);
	if (reason)
		go_probes_add_skip(ret, row->what, "%s: %s", row->symbol, reason);
	else if (add_probe(file, row, &code, &place, ret))
		go_probes_add_skip(ret, row->what, "%s is not in the file", row->symbol);
	code_close(&code);
}

void go_probes_place(struct go_file *file, struct runtime_file *ret)
{
	bool known = file->facts.minor >= FIRST_MINOR && file->facts.minor <= LAST_MINOR;
	size_t i;

	if (!known)
		go_probes_add_skip(ret, "probes of growth",
			"%s: calling convention not checked for this version",
			file->build.version[0] ? file->build.version : "unknown Go version");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if ((known || rows[i].family == FAMILY_ALLOCATION) && is_wanted(file, &rows[i]))
			place_row(file, &rows[i], ret);
}
