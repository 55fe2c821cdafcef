# Weir's front door: what can be asked for. How one variant is built is in tools/build.mk, which finds
# every source by its folder, so adding a file never means editing a list. Every target here runs that
# engine as a sub-make, which is why `make clean all` and `make -j2 unit tidy` are both safe.

.DEFAULT_GOAL := all
SHELL := /bin/bash

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 30
SOAK_MINUTES ?= 120
SOAK_BROKERS ?= 1
T ?=
QUICK ?=
RESUME ?=
INTO ?=
UPDATE ?=

export FUZZ_SECONDS T JOBS
export WEIR_ROOT := $(CURDIR)
export WEIR_BIN := $(CURDIR)/build/bin

# Under a job server (make -jN) the sub-make shares it; otherwise it gets its own JOBS jobs.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
# "+" passes the job server on although $(MAKE) is hidden in a variable.
engine = +$(MAKE) --no-print-directory $(parallel) -f tools/build.mk
run_tests = python3 tools/run_tests.py

.PHONY: all release debug programs faults asan tsan demo deps test test-long unit unit-tsan sim cover mutants mutants-keyed \
	fuzz oracle e2e soak outoftree conf man tools-test tidy analyze bench bench-state bench-flink bench-guard install format clean help FORCE

all: release ## build everything, optimised, into build/ and build/bin/

release: ## the same as all
	@$(engine) VARIANT=release all compile_commands.json

debug: ## build without optimisation into build/debug/, with the programs of tests and benchmarks
	@$(engine) VARIANT=debug programs

programs: ## build what the end-to-end tests run, for those that are run by hand
	@$(engine) VARIANT=release programs
	@$(engine) VARIANT=faults programs

faults: ## build optimised, with the fault points of base/fault.h, into build/faults/
	@$(engine) VARIANT=faults programs

asan: ## build with address and undefined-behaviour sanitizers into build/asan/
	@$(engine) VARIANT=asan programs

tsan: ## build with the thread sanitizer into build/tsan/
	@$(engine) VARIANT=tsan programs

demo: ## install what the build needs, build, and run the demonstration
	@tools/deps.sh build
	@$(engine) VARIANT=release all
	@tools/demo.sh

deps: ## install the Debian 12 packages that building and testing need (nothing if present)
	@tools/deps.sh build test

# Each suite is also a target of its own; --keep-going in spirit: a failed suite does not stop the next.
SUITES := tidy tools-test unit unit-tsan sim mutants-keyed oracle fuzz bench-guard outoftree e2e

test: deps ## every test below; the last line is "N passed, N failed, N skipped"
	@$(run_tests) suites $(SUITES)

LONG_SUITES := unit sim e2e

test-long: deps ## what has a longer form, alone: 10,000 seeds, 2,000 kills, ten million records; begins with its plan
	@WEIR_TEST_LONG=1 $(run_tests) suites $(LONG_SUITES)

unit: ## unit tests under ASan and UBSan; T=base/queue runs only the paths that contain it
	@$(engine) VARIANT=asan run-unit

unit-tsan: ## unit tests of what crosses threads, under TSan
	@$(engine) VARIANT=tsan run-unit-tsan

sim: ## the simulated cluster, from seeds
	@$(engine) VARIANT=faults sim-seeds
	@$(engine) VARIANT=asan run-sim

cover: ## branch coverage of the core by unit tests, simulator and the Kafka sink's; T=state lists only what is missing there
	@python3 tools/cover.py reset build/cover/obj
	@$(engine) VARIANT=cover T= run-unit
	@$(engine) VARIANT=cover T= run-sim
	@WEIR_VARIANT=cover $(run_tests) run cover-e2e --timeout 1800 --jobs 1 "python3 test/e2e/test_sink_alone.py"
	@python3 tools/cover.py report build/cover/obj $(T)

mutants: ## planted defects, each of which a test must notice; T=retention runs those that contain it
	@python3 test/mutants/run.py

mutants-keyed: ## the four of keyed state
	@python3 test/mutants/run.py --keyed

fuzz: ## each fuzzer for FUZZ_SECONDS (30: 21 of them, two at a time, are 5 minutes), clang only
	@$(engine) VARIANT=fuzz run-fuzz

oracle: ## tests of the reference model that judges the others
	@$(run_tests) run oracle --timeout 600 --unittest test/oracle

e2e: programs ## real processes, real broker; may take long
	@$(run_tests) run e2e --timeout 1800 --jobs $(if $(WEIR_TEST_LONG),3,1) --kills 200 --unittest test/e2e

soak: ## two hours (SOAK_MINUTES) of faults at a low rate: fails if anything leaks, or a record is lost or doubled; SOAK_BROKERS=3
	@$(engine) VARIANT=release programs
	@python3 test/e2e/soak.py --minutes '$(SOAK_MINUTES)' --brokers '$(SOAK_BROKERS)'

outoftree: ## install into build/stage and build the examples against it
	@$(engine) VARIANT=release all
	@$(run_tests) run outoftree --timeout 600 "bash tools/outoftree.sh"

tools-test: ## tests of the tools and of the documents
	@$(run_tests) run tools-test --timeout 300 \
		$(addprefix --unittest ,$(filter-out test/oracle test/e2e,$(sort $(patsubst %/,%,$(dir $(wildcard test/*/test_*.py))))))

tidy: ## the rules of the house and the format, checked
	@$(run_tests) run tidy --timeout 300 "python3 tools/tidy.py" "bash tools/format.sh --check"

analyze: ## the static analyzer of clang-tidy, slow; T=state looks only at paths that contain it
	@$(engine) VARIANT=release compile_commands.json
	@bash tools/analyze.sh

bench: ## run the benchmarks into bench/RESULTS.tsv and .md, an hour; T=restore runs those whose names contain it
	@$(engine) VARIANT=release programs
	@python3 tools/bench.py $(if $(T),--only '$(T)') $(if $(INTO),--out '$(INTO)')

bench-state: T = state
bench-state: bench ## the benchmarks of keyed state alone, 15 min; takes 12 GB of disk meanwhile

bench-flink: ## Weir beside Apache Flink, 70 min; T=q0,rmw runs cases with that in their names, QUICK=1 small, 15 min
	@$(engine) VARIANT=release programs
	@python3 bench/flink/compare.py $(if $(T),--only '$(T)') $(if $(QUICK),--quick) $(if $(RESUME),--resume) \
		$(if $(INTO),--out '$(INTO)')

bench-guard: ## instructions of the hot paths, within 2 % of those of bench/GUARD.tsv; UPDATE=1 writes them down
	@$(engine) VARIANT=release build/bin/bench_guard
	@$(run_tests) run bench-guard --timeout 300 "python3 tools/guard.py $(if $(UPDATE),--update)"

install: ## headers, libraries, weir.pc, the command with its manual, and licence into DESTDIR and PREFIX (/usr/local)
	@$(engine) VARIANT=release all
	@$(engine) VARIANT=release install PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)'

conf: ## write conf/weir.yaml from the table of options
	@$(engine) VARIANT=release build/e2e/conf_print
	@build/e2e/conf_print > conf/weir.yaml

man: ## write docs/man from the tables of verbs and options
	@$(engine) VARIANT=release build/bin/weir
	@mkdir -p docs/man
	@for page in weir.1 weir-jobmanager.8 weir-taskmanager.8 weir.yaml.5; do \
		build/bin/weir man "$${page%.*}" > "docs/man/$$page" || exit 1; done

format: ## rewrite the sources with clang-format
	@bash tools/format.sh

clean: ## remove what was built
	rm -rf build compile_commands.json

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1	/p' Makefile | expand -t 14

# One product by name: make build/bin/userprofile, make VARIANT=asan build/asan/unit/base/queue_test
build/%: FORCE
	@$(engine) VARIANT=$(or $(VARIANT),release) $@
