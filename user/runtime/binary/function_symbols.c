/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sorted table of functions. Of several symbols at one address the longest covers most; a symbol
 * inside another one (a second entry in assembly) wins from its address on.
 */
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/binary/function_symbols.h"

#define MAX_SYMBOLS (4u << 20) /* of one file */
#define LOOK_BACK   16         /* symbols before the nearest that may still reach over it */

static bool is_function(const GElf_Sym *symbol)
{
	int type = GELF_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_value;
}

static void add_table(struct function_symbols *symbols, Elf *elf, Elf_Scn *section, size_t names)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data ? MIN(data->d_size / sizeof(Elf64_Sym), (size_t)MAX_SYMBOLS) : 0;

	for (size_t i = 0; i < count; i++) {
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getsym(data, (int)i, &symbol) || !is_function(&symbol))
			continue;
		name = elf_strptr(elf, names, symbol.st_name);
		if (!name || !name[0])
			continue;
		array_reserve(symbols->list, symbols->count, symbols->capacity);
		symbols->list[symbols->count++] =
			(struct function_symbol){symbol.st_value, symbol.st_size, name};
	}
}

void function_symbols_add(struct function_symbols *symbols, Elf *elf)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) &&
			(header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
			add_table(symbols, elf, section, header.sh_link);
	}
	symbols->sorted = false;
}

void function_symbols_done(struct function_symbols *symbols)
{
	free(symbols->list);
	*symbols = (struct function_symbols){0};
}

static int compare(const void *a, const void *b)
{
	const struct function_symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(y->name, x->name);
}

static bool holds(const struct function_symbols *symbols, size_t i, uint64_t addr)
{
	const struct function_symbol *symbol = &symbols->list[i];

	if (symbol->bytes)
		return addr - symbol->addr < symbol->bytes;
	return i + 1 == symbols->count || addr < symbols->list[i + 1].addr ||
	       symbols->list[i + 1].addr == symbol->addr;
}

const struct function_symbol *function_symbols_find(struct function_symbols *symbols, uint64_t addr)
{
	size_t low = 0, high = symbols->count;

	if (!symbols->sorted && symbols->count)
		qsort(symbols->list, symbols->count, sizeof(*symbols->list), compare);
	symbols->sorted = true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (symbols->list[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t i = low; i && low - i < LOOK_BACK; i--)
		if (holds(symbols, i - 1, addr))
			return &symbols->list[i - 1];
	return NULL;
}
