# SPDX-License-Identifier: Apache-2.0
#
# Cairn is built by this one file: GNU make, no recursion.
#
#   make              cairnd, cairn and cairn-stack, optimised
#   make run          install what is needed, build, start the demo appliance
#   make check        install what the tests need, build, run every test
#   make help         all targets
#
# Variables: VERBOSE=1 shows commands; O=folder of the build (default build), V=variant (release, asan,
# tsan, fuzz, cov), CC=gcc|clang, J=tests beside each other.
# Objects of a variant live in $(O)/$(V); every folder of sources becomes one
# archive, so a test links only what it names.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

O ?= build
V ?= release
J ?= $(shell nproc)
CC = gcc
PREFIX ?= /usr/local
DESTDIR ?=
B = $(O)/$(V)

# -- flags -------------------------------------------------------------------
PACKAGES_BLOCKCORE = liburing yaml-0.1 zlib libzstd
PACKAGES_TARGET = libevent libevent_pthreads libcrypto sqlite3 jansson
PACKAGES_API = libevent_openssl libssl zlib
PACKAGES_CLI = jansson libevent libevent_openssl libssl libcrypto
PACKAGES_TESTS = cmocka libiscsi
pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)

WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef \
	-Wvla -Wformat=2 -Wframe-larger-than=16384
WERROR ?= -Werror
CPPFLAGS_ALL = -I. -D_GNU_SOURCE -DCAIRN_VERSION='"$(VERSION)"' $(CPPFLAGS)
VERSION = 0.1.0

CFLAGS_release = -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection -fPIE
LDFLAGS_release = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
CFLAGS_asan = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
LDFLAGS_asan = -fsanitize=address,undefined
CFLAGS_tsan = -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DCAIRN_TSAN
LDFLAGS_tsan = -fsanitize=thread
CFLAGS_fuzz = -O1 -g -fno-omit-frame-pointer \
	-fsanitize=address,undefined,fuzzer-no-link \
	-fno-sanitize-recover=undefined -DCAIRN_FUZZ
LDFLAGS_fuzz = -fsanitize=address,undefined
CFLAGS_cov = -O0 -g --coverage
LDFLAGS_cov = --coverage

CFLAGS_ALL = -std=c11 -pthread $(WARN) $(WERROR) $(CFLAGS_$(V)) $(CFLAGS)
LDFLAGS_ALL = -pthread $(LDFLAGS_$(V)) $(LDFLAGS)
LIBS_BLOCKCORE = $(call pkg,--libs,$(PACKAGES_BLOCKCORE)) -lisal
LIBS_TARGET = $(call pkg,--libs,$(PACKAGES_TARGET))
LIBS_API = $(call pkg,--libs,$(PACKAGES_API))
LIBS_CLI = $(call pkg,--libs,$(PACKAGES_CLI))
LIBS_TESTS = $(call pkg,--libs,$(PACKAGES_TESTS))

# -- what there is -----------------------------------------------------------
find_c = $(sort $(shell find $(1) -name '*.c' 2>/dev/null))
PROGRAM_MAINS = target/cairnd.c blockcore/tool/cairn_stack.c $(wildcard webui/cli/cairn.c) \
	webui/api/tools/yaml_to_json.c
BLOCKCORE_C = $(filter-out $(PROGRAM_MAINS),$(call find_c,blockcore))
TARGET_C = $(filter-out $(PROGRAM_MAINS),$(call find_c,target))
API_C = $(filter-out $(PROGRAM_MAINS),$(call find_c,webui/api))
CLI_C = $(filter-out $(PROGRAM_MAINS),$(call find_c,webui/cli))
TESTLIB_C = $(call find_c,tests/lib)
TEST_MAINS = $(sort $(wildcard $(foreach d,unit stack wire sim,tests/$(d)/test_*.c)))
BENCH_MAINS = $(sort $(wildcard tests/bench/*.c))
FUZZ_MAINS = $(sort $(wildcard tests/fuzz/fuzz_*.c))
HELPER_MAINS = $(sort $(wildcard tests/tools/*.c))
HEADERS = $(sort $(shell find blockcore target webui tests -name '*.h' 2>/dev/null))
ALL_C = $(PROGRAM_MAINS) $(BLOCKCORE_C) $(TARGET_C) $(API_C) $(CLI_C) $(call find_c,tests)

PROGRAMS = $(B)/cairnd $(B)/cairn-stack $(if $(wildcard webui/cli/cairn.c),$(B)/cairn)
TESTS = $(patsubst tests/%.c,$(B)/tests/%,$(TEST_MAINS))
BENCHES = $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_MAINS))
FUZZERS = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_MAINS))
PRELOADS = $(patsubst tests/tools/preload/%.c,$(B)/tools/%.so,$(sort $(wildcard tests/tools/preload/*.c)))
HELPERS = $(patsubst tests/tools/%.c,$(B)/tools/%,$(HELPER_MAINS)) $(PRELOADS)
SCRIPTS = $(sort $(shell find tests/interop tests/stack tests/wire tests/unit \
	tests/sim -name 'test_*.sh' 2>/dev/null))

.PHONY: all
all: $(PROGRAMS)
	@:

.PHONY: help
help:
	@echo 'all           cairnd, cairn, cairn-stack (V=release|asan|tsan|cov)'
	@echo 'run           install needs, build, start the demo in the foreground'
	@echo 'check         install needs, build, run all tests (what CI runs)'
	@echo 'check-asan    the C tests under Address- and UBSanitizer'
	@echo 'check-tsan    the tests of what threads share, under ThreadSanitizer'
	@echo 'check-hosts   a real Linux kernel as iSCSI host, in a virtual machine'
	@echo 'check-fresh   what the README says of a bare Debian 12, on one'
	@echo 'check-long    the long forms, for the published figures'
	@echo 'bench         speed beside the peers'
	@echo 'fuzz          the fuzz targets, FUZZ_RUNS executions each'
	@echo 'coverage      line coverage of the C tests by folder'
	@echo 'lint floors headers format   what keeps the house in order'
	@echo 'man install clean'

# -- rules -------------------------------------------------------------------
# A short line for each command; VERBOSE=1 shows it whole, make -s nothing.
silent = $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(VERBOSE),,@$(if $(silent),,echo "  $(1)  $@";))

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC  )$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# Coroutines return on another stack than they were called on: no shadow stack.
$(B)/obj/blockcore/base/co_context.o: CFLAGS_release += -fcf-protection=branch

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))

define archive
$(B)/$(1): $$(call objects,$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR  )$$(AR) rcsD $$@ $$^
endef
$(eval $(call archive,libblockcore.a,$(BLOCKCORE_C)))
$(eval $(call archive,libtarget.a,$(TARGET_C)))
$(eval $(call archive,libapi.a,$(API_C)))
$(B)/libapi.a: $(B)/obj/webui/api/assets_data.o
$(eval $(call archive,libcli.a,$(CLI_C)))
$(eval $(call archive,libtests.a,$(TESTLIB_C)))

# Files that the daemon carries: in read-only memory, and without asking for an
# executable stack.
$(B)/yaml-to-json: $(B)/obj/webui/api/tools/yaml_to_json.o $(B)/libblockcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_BLOCKCORE)
$(B)/assets/openapi.json: webui/api/openapi.yaml $(B)/yaml-to-json
	@mkdir -p $(@D)
	$(call say,JSON)$(B)/yaml-to-json $< >$@
ASSETS = $(B)/assets/openapi.json webui/api/docs.html
$(B)/assets/assets_data.S: $(ASSETS) Makefile
	@{ echo '.section .rodata'; for file in $(ASSETS); do \
		name=asset_$$(basename $$file | tr -c 'a-z0-9\n' _); \
		echo ".global $$name, $${name}_end"; \
		echo "$$name: .incbin \"$$file\""; \
		echo "$${name}_end: .byte 0"; done; \
		echo '.section .note.GNU-stack,"",@progbits'; } >$@
$(B)/obj/webui/api/assets_data.o: $(B)/assets/assets_data.S
	@mkdir -p $(@D)
	$(call say,AS  )$(CC) -c -o $@ $<

$(B)/cairnd: $(B)/obj/target/cairnd.o $(B)/libapi.a $(B)/libtarget.a \
		$(B)/libblockcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_API) $(LIBS_TARGET) \
		$(LIBS_BLOCKCORE)
$(B)/cairn: $(B)/obj/webui/cli/cairn.o $(B)/libcli.a $(B)/libblockcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_CLI) $(LIBS_BLOCKCORE)
$(B)/cairn-stack: $(B)/obj/blockcore/tool/cairn_stack.o $(B)/libblockcore.a
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_BLOCKCORE)

LINK_ALL = $(B)/libtests.a $(B)/libapi.a $(B)/libcli.a $(B)/libtarget.a $(B)/libblockcore.a
LIBS_ALL = $(LIBS_TESTS) $(LIBS_API) $(LIBS_TARGET) $(LIBS_BLOCKCORE) -lm
$(B)/tests/%: $(B)/obj/tests/%.o $(LINK_ALL)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(LINK_ALL)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)
# They stand before the libraries of a program, and so before a sanitizer's: without one.
$(B)/tools/%.so: tests/tools/preload/%.c Makefile
	@mkdir -p $(@D)
	$(call say,SO  )$(CC) $(CPPFLAGS_ALL) -std=c11 $(WARN) $(WERROR) -O2 -fPIC -shared -o $@ $<
$(B)/tools/%: $(B)/obj/tests/tools/%.o $(LINK_ALL)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(LINK_ALL)
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS_ALL)
.SECONDARY:

# Programs with other sources in them (tests/sim/test_qcow2_mutants.sh): MUTANT is a
# folder that has those; all else is what the build has made, and is not looked at.
ifdef MUTANT
MUTANT_OBJECTS = $(patsubst %.c,%.o,$(call find_c,$(MUTANT)))
$(MUTANT_OBJECTS): %.o: %.c
	$(CC) -I$(MUTANT) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<
$(MUTANT)/tests/%: $(MUTANT_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(B)/obj/tests/$*.o $^ $(LINK_ALL) $(LIBS_ALL)
$(MUTANT)/cairn-stack: $(MUTANT_OBJECTS)
	$(CC) $(LDFLAGS_ALL) -o $@ $(B)/obj/blockcore/tool/cairn_stack.o $^ \
		$(B)/libblockcore.a $(LIBS_BLOCKCORE)
endif

.PHONY: tests benches helpers fuzzers
tests: $(TESTS)
benches: $(BENCHES)
helpers: $(HELPERS)
fuzzers: $(FUZZERS)

# -- run ---------------------------------------------------------------------
CONFIG ?= etc/cairn.yaml
DOCUMENT ?= etc/demo.yaml
.PHONY: run
run:
	@packaging/install-deps build
	@$(MAKE) --no-print-directory -j$(J) all
	@exec $(B)/cairnd --config $(CONFIG) --init $(DOCUMENT)

# -- tests -------------------------------------------------------------------
# Every suite speaks TAP; tests/run adds them up and prints the closing line.
FUZZ_RUNS ?= 1000000
export FUZZ_RUNS
.PHONY: check
check:
	@packaging/install-deps check lint
	@tests/check

.PHONY: check-asan
check-asan:
	@packaging/install-deps check
	@$(MAKE) --no-print-directory -j$(J) V=asan all tests helpers
	@tests/run $(O)/asan -j $(J) $(patsubst tests/%.c,tests/%,$(TEST_MAINS))

.PHONY: check-tsan
check-tsan:
	@packaging/install-deps check
	@$(MAKE) --no-print-directory -j$(J) V=tsan all tests helpers
	@tests/run $(O)/tsan -j $(J) $(shell grep -l 'TSAN: yes' $(TEST_MAINS) | \
		sed 's/\.c$$//')

.PHONY: check-hosts
check-hosts:
	@packaging/install-deps hosts
	@$(MAKE) --no-print-directory -j$(J) all
	@tests/hosts/run $(O)/release

# PARTS=run: without what `make check` needs, which takes a while.
PARTS ?= run check others
.PHONY: check-fresh
check-fresh:
	@packaging/install-deps fresh
	@tests/fresh/run $(O) $(PARTS)

.PHONY: check-long
check-long:
	@packaging/install-deps check
	@tests/check --long

.PHONY: bench
bench:
	@packaging/install-deps bench
	@$(MAKE) --no-print-directory -j$(J) all benches
	@tests/bench/run $(O)/release

.PHONY: fuzz
fuzz:
	@packaging/install-deps check
	@$(MAKE) --no-print-directory -j$(J) V=fuzz CC=clang fuzzers
	@tests/fuzz/run $(O)/fuzz

.PHONY: coverage
coverage:
	@packaging/install-deps check
	@$(MAKE) --no-print-directory -j$(J) V=cov tests helpers all
	@tests/run $(O)/cov -j $(J) $(patsubst tests/%.c,tests/%,$(TEST_MAINS))
	@tests/lint/coverage $(O)/cov

# -- order in the house ------------------------------------------------------
.PHONY: lint floors headers format
lint: floors headers
	@packaging/install-deps lint
	@tests/lint/style $(ALL_C) $(HEADERS)

floors:
	@tests/lint/floors $(ALL_C) $(HEADERS)

headers: $(patsubst %.h,$(B)/headers/%.ok,$(HEADERS))
	@echo "headers: $(words $(HEADERS)) compile alone"
$(B)/headers/%.ok: %.h
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-unused -fsyntax-only -x c $<
	@touch $@

format:
	@clang-format -i $(ALL_C) $(HEADERS)

# -- man pages and completions, from the tables -------------------------------
MAN_PAGES = $(B)/man/cairn.1 $(B)/man/cairnd.8 $(B)/man/cairn.yaml.5
COMPLETIONS = $(B)/completion/bash $(B)/completion/zsh $(B)/completion/fish
.PHONY: man
man: $(MAN_PAGES)
$(B)/man/cairn.1: $(B)/cairn
	@mkdir -p $(@D)
	$(call say,MAN )$(B)/cairn man cairn >$@
$(B)/man/cairnd.8 $(B)/man/cairn.yaml.5: $(B)/cairn $(B)/cairnd
	@mkdir -p $(@D)
	$(call say,MAN )$(B)/cairnd --help | $(B)/cairn man $(basename $(@F)) >$@
$(COMPLETIONS): $(B)/cairn
	@mkdir -p $(@D)
	$(call say,COMP)$(B)/cairn completion $(@F) >$@

.PHONY: install
install: all $(MAN_PAGES) $(COMPLETIONS)
	install -d "$(DESTDIR)$(PREFIX)/sbin" "$(DESTDIR)$(PREFIX)/bin" \
		"$(DESTDIR)$(PREFIX)/share/doc/cairn"
	install -m 755 $(B)/cairnd "$(DESTDIR)$(PREFIX)/sbin/cairnd"
	install -m 755 $(B)/cairn-stack "$(DESTDIR)$(PREFIX)/bin/cairn-stack"
	install -m 755 $(B)/cairn "$(DESTDIR)$(PREFIX)/bin/cairn"
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man1" $(B)/man/cairn.1
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man5" $(B)/man/cairn.yaml.5
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man8" $(B)/man/cairnd.8
	install -D -m 644 $(B)/completion/bash \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/cairn"
	install -D -m 644 $(B)/completion/zsh \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_cairn"
	install -D -m 644 $(B)/completion/fish \
		"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/cairn.fish"
	install -m 644 etc/cairn.yaml etc/demo.yaml README.md \
		"$(DESTDIR)$(PREFIX)/share/doc/cairn/"

.PHONY: clean
clean:
	rm -rf $(O)

ifndef MUTANT
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
endif
