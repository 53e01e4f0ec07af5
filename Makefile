# memtrace: build, test, measure. Everything is written below build/.
#
#   make            the program: build/memtrace
#   make check      what every change must pass (<= 10 min); make check-all: every Go version, every build mode
#   make vm         BPF tests and workloads on other kernels, in VMs (after tests/setup.sh vm)
#   make bench      what it costs and how long it takes, as a table; make bench-full: 20 pairs of runs
#   make lint       format, layers, warnings, man page; make tidy: clang-tidy
#   make setup      install the packages that building and testing need (Debian, Ubuntu; as root)

CC	?= gcc
CLANG	?= clang
BPFTOOL	?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PREFIX	?= /usr/local
ARCH	:= x86_64
BUILD	?= build
VERSION	:= 0.1.0 ($(shell git rev-parse --short HEAD 2>/dev/null || echo no git))

ifeq ($(V),1)
Q =
msg =
else
Q = @
msg = @printf '  %-8s %s\n' '$(1)' '$(2)';
endif

WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-format-truncation
CPPFLAGS += -Iuser -Ibpf -I$(BUILD)/gen -D_GNU_SOURCE -DMEMTRACE_VERSION='"$(VERSION)"'
CFLAGS	?= -O2 -g
CFLAGS	+= -std=gnu11 $(WARN)
LDLIBS	:= -l:libbpf.a -ldw -lelf -liberty -llzma -lz -lcapstone -ljson-c -lsqlite3 -lprotobuf-c -lpthread -lm
SAN	:= -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

sources := $(filter-out user/cli/main.c,$(wildcard user/*/*.c user/*/*/*.c))
objects := $(sources:%.c=$(BUILD)/%.o) $(BUILD)/gen/profile.pb-c.o
san_objects := $(sources:%.c=$(BUILD)/san/%.o) $(BUILD)/gen/profile.pb-c.o
bpf_objects := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
skeleton := $(BUILD)/gen/memtrace.skel.h
generated := $(skeleton) $(BUILD)/gen/schema.sql.h $(BUILD)/gen/profile.pb-c.h
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*.c))
san_tests := $(patsubst tests/unit/%.c,$(BUILD)/san/unit/%,$(wildcard tests/unit/*.c))
bpf_tests := $(patsubst tests/bpf/%.c,$(BUILD)/test-bpf/%,$(wildcard tests/bpf/*.c))
live_tests := $(patsubst tests/live/%.c,$(BUILD)/test-live/%,$(wildcard tests/live/*.c))
benches := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

.PHONY: FORCE all check check-all bench bench-full lint tidy setup install clean test-programs unit bpf replay live vm
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
export MEMTRACE_TAP := $(BUILD)/tap
.SECONDARY:

all: $(BUILD)/memtrace

$(BUILD)/memtrace: $(BUILD)/user/cli/main.o $(BUILD)/libmemtrace.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(BUILD)/libmemtrace.a: $(objects)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/san/libmemtrace.a: $(san_objects)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c | $(generated)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/san/%.o: %.c | $(generated)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -c $< -o $@

# What prints the version is built again when it changes.
$(BUILD)/gen/version: FORCE
	$(Q)mkdir -p $(@D) && { echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@; }

prints_version := $(shell grep -rl MEMTRACE_VERSION user --include=*.c)
$(prints_version:%.c=$(BUILD)/%.o) $(prints_version:%.c=$(BUILD)/san/%.o): $(BUILD)/gen/version

FORCE:

# ---- BPF: one object a file, linked statically, then a skeleton ----

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Wextra \
		-Wno-missing-field-initializers -Wno-unused-parameter \
		-Wno-gnu-variable-sized-type-not-at-end -Ivmlinux/$(ARCH) -Ibpf -MMD -MP -c $< -o $@

$(skeleton): $(bpf_objects)
	$(call msg,SKEL,$@)
	$(Q)mkdir -p $(@D) && $(BPFTOOL) gen object $(BUILD)/bpf/memtrace.o $^ && \
		$(BPFTOOL) gen skeleton $(BUILD)/bpf/memtrace.o name memtrace_bpf >$@.tmp && mv $@.tmp $@

# A recording's schema, as one C string.
$(BUILD)/gen/schema.sql.h: user/recording/schema.sql
	$(call msg,GEN,$@)
	$(Q)mkdir -p $(@D) && sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $< >$@

$(BUILD)/gen/profile.pb-c.h: user/sink/profile.proto
	$(call msg,GEN,$@)
	$(Q)mkdir -p $(@D) && protoc-c --proto_path=$(<D) --c_out=$(@D) $<

$(BUILD)/gen/profile.pb-c.o: $(BUILD)/gen/profile.pb-c.h
	$(call msg,CC,$@)
	$(Q)$(CC) -O2 -g -I$(BUILD)/gen -c $(@D)/profile.pb-c.c -o $@

# ---- Tests ----

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -Itests $< $(BUILD)/libmemtrace.a $(LDLIBS) -lcriterion -o $@

$(BUILD)/san/unit/%: tests/unit/%.c $(BUILD)/san/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -Itests $< $(BUILD)/san/libmemtrace.a $(LDLIBS) -lcriterion -o $@

unit: $(unit_tests) $(san_tests)
	$(Q)BUILD=$(BUILD) tests/go_samples.sh
	$(Q)BUILD=$(BUILD) tests/native_samples.sh
	$(Q)MEMTRACE_GO_BINARIES=$(BUILD)/go-samples MEMTRACE_NATIVE_BINARIES=$(BUILD)/native-samples \
		tests/tap.sh criterion $^

# The BPF side on the running kernel: root and BTF.
$(BUILD)/test-bpf/%: tests/bpf/%.c $(BUILD)/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -Itests $< $(BUILD)/libmemtrace.a $(LDLIBS) -lcriterion -o $@

bpf: $(bpf_tests)
	$(Q)[ "$$(id -u)" = 0 ] || { echo "bpf: skipped, needs root"; exit 0; }; JOBS=1 tests/tap.sh criterion $^

# Recorded events, the same pipeline, no privileges: once plain, once under ASan and UBSan.
$(BUILD)/replay: tests/replay/replay.c $(BUILD)/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $< $(BUILD)/libmemtrace.a $(LDLIBS) -o $@

$(BUILD)/san/replay: tests/replay/replay.c $(BUILD)/san/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP $< $(BUILD)/san/libmemtrace.a $(LDLIBS) -o $@

replay: $(BUILD)/replay $(BUILD)/san/replay
	$(Q)REPLAY=$(BUILD)/replay prove --exec 'tests/tap.sh run' tests/replay/replay.t
	$(Q)REPLAY=$(BUILD)/san/replay prove --exec 'tests/tap.sh run' tests/replay/replay.t

test-programs: $(unit_tests) $(san_tests) $(bpf_tests) $(live_tests) $(BUILD)/replay $(BUILD)/san/replay

$(BUILD)/test-live/%: tests/live/%.c $(BUILD)/libmemtrace.a
	$(call msg,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $< $(BUILD)/libmemtrace.a $(LDLIBS) -o $@

# Root, BTF and Go toolchains: programs that know the truth. GO_VERSIONS and GO_MODES choose which.
live: all $(live_tests)
	$(Q)BUILD=$(BUILD) prove --timer --exec 'tests/tap.sh run' tests/live/*.t

# On other kernels, emulated where there is no KVM: minutes. VM_KERNELS and VM_ACCEL choose.
vm: all $(bpf_tests)
	$(Q)BUILD=$(BUILD) prove --timer --exec 'tests/tap.sh run' tests/vm/vm.t

# ---- Figures ----

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libmemtrace.a
	$(call msg,BENCH,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $< $(BUILD)/libmemtrace.a $(LDLIBS) -o $@

# As root. PAIRS, BENCH="hit ring fault recording symbols census polling lock go native" and GO_VERSIONS choose.
bench: all $(benches)
	$(Q)BUILD=$(BUILD) tests/bench/bench.sh

bench-full: all $(benches)
	$(Q)BUILD=$(BUILD) PAIRS=20 tests/bench/bench.sh

# ---- Looks ----

lint: $(generated)
	$(Q)BUILD=$(BUILD) sh tests/lint/lint.sh

tidy: $(generated)
	$(Q)BUILD=$(BUILD) LINT=tidy sh tests/lint/lint.sh

# All parts, also where one fails; then what failed, what was skipped, how many of each.
parts := bpf unit+replay+lint live
cxx_variants := c++-O0 c++-O1-partly c++-O2 c++-O2-stripped c++-O2-clang c++-O3-std20-clang c++-O3-std17-static \
	c++-O2-partly-stripped c++-O2-static-stripped c++-O2-libcxx c++-O3-std20-libcxx c++-O2-libcxx-stripped \
	c++-O3-libcxx-static-stripped

c_variants := c-O2 c-O2-stripped c-O2-static c-O0-clang
rust_variants := rust rust-nodebug rust-stripped rust-other rust-other-nodebug rust-other-stripped

check: all
	$(Q)GO_VERSIONS="1.19 1.23 1.26" GO_MODES=plain CYCLES=100 tests/tap.sh parts "$(MAKE)" $(parts)

check-all: all
	$(Q)GO_VERSIONS="1.19 1.21 1.22 1.23 1.24 1.26" GO_MODES="plain stripped pie cgo" CYCLES=1000 ROUNDS=1000 \
		PROGRAM_SECONDS=30 \
		MEMTRACE_LINE_SAMPLES=10000 PYTHON_SYMBOLS=1 \
		ALLOCATORS="libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2.0 static" \
		NATIVE_PROGRAMS="python compiler web_server data_base" NATIVE_SECONDS=5 \
		CXX_VARIANTS="$(cxx_variants)" RUST_VARIANTS="$(rust_variants)" C_VARIANTS="$(c_variants)" \
		tests/tap.sh parts "$(MAKE)" $(parts)

setup:
	$(Q)sh tests/setup.sh build && sh tests/setup.sh test

install: all
	install -D -m 755 $(BUILD)/memtrace $(DESTDIR)$(PREFIX)/bin/memtrace
	install -D -m 644 docs/memtrace.1 $(DESTDIR)$(PREFIX)/share/man/man1/memtrace.1

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
