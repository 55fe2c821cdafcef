# The engine: builds one VARIANT (release, debug, faults, asan, tsan, cover, fuzz). Called by the Makefile, never by hand.
#
# Objects live in build/<variant>/obj/, mirrored after the source tree. Products of release go to build/,
# those of the others to build/<variant>/:
#   bin/         jobs/<name>/*.c -> <name>, examples/<x>.c -> <x>, bench/<x>.c -> bench_<x>, cli/*.c -> weir
#   libweir.a    every .c of LIB_DIRS (and their direct sub-folders); libweir.so, weir.pc: release only
#   libtest.a    helpers shared by tests: test/support/*.c and what is no program in test/sim, sim_kafka*.c and
#                sim_store.c apart
#   unit/        test/unit/**/<x>_test.c, one cmocka program each
#   sim/         test/sim/<x>_test.c                       e2e/  test/e2e/tools/<x>.c
#   fuzz/        test/fuzz/<x>_fuzz.c (variant fuzz only)
#
# No LTO: it would make libweir.a a compiler-specific file that clang users cannot link against gcc's.

.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash

VARIANT ?= release
comma := ,
VERSION := 0.1.0
SONAME := libweir.so.0
PREFIX ?= /usr/local

V := build/$(VARIANT)
OUT := $(if $(filter release,$(VARIANT)),build,$(V))
OBJ := $(V)/obj
BIN := $(OUT)/bin

# ---- compiler and flags ----------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(VARIANT),fuzz)
override CC := clang-14
endif

WARN := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla \
	-Wundef -Wformat=2 -Wswitch-enum -Wconversion -Wwrite-strings -Wpointer-arith
SAN := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -DWEIR_DEBUG -DWEIR_FAULT_POINTS

OPT_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
OPT_debug := -O0 -g3 -DWEIR_DEBUG -DWEIR_FAULT_POINTS
OPT_faults := $(OPT_release) -DWEIR_FAULT_POINTS
OPT_asan := $(SAN) -fsanitize=address,undefined
OPT_tsan := $(SAN) -fsanitize=thread
# Counts lines and branches as they are written: -O0, and atomically, because threads run at once.
OPT_cover := -O0 -g --coverage -fprofile-update=atomic -DWEIR_DEBUG -DWEIR_FAULT_POINTS
OPT_fuzz := $(SAN) -fsanitize=address,undefined,fuzzer-no-link
ifndef OPT_$(VARIANT)
$(error there is no variant '$(VARIANT)': release, debug, faults, asan, tsan, cover, fuzz)
endif

# One set of objects serves libweir.a, libweir.so and position-independent programs.
CFLAGS_ALL := -std=gnu17 $(OPT_$(VARIANT)) $(WARN) -fno-common -fvisibility=hidden -fPIC \
	-fno-semantic-interposition -fstack-protector-strong -D_GNU_SOURCE -I. -Iinclude $(CFLAGS)
LDFLAGS_ALL := $(filter --coverage -fsanitize=address% -fsanitize=thread,$(subst $(comma)fuzzer-no-link,,$(OPT_$(VARIANT)))) \
	-Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)
# cmocka hands every test a state pointer that most ignore, and compares through wide integers.
CFLAGS_TEST := -Wno-unused-parameter -Wno-conversion -Wno-missing-prototypes

PACKAGES := rdkafka rocksdb libxxhash msgpack zlib liblz4 libevent libevent_openssl openssl libcurl
LIBS := -Wl,--as-needed $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread -lm
CFLAGS_ALL += $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
# Of programs of a cluster only: no job needs them, so they are not in libweir.so, and the linker leaves them away.
LIBS_SERVER := -lyaml -lzookeeper_mt -ljansson
LIBS_TEST := -lcmocka

# ---- sources, by folder ----------------------------------------------------------------------------------

LIB_DIRS := base net types runtime operators state checkpoint connectors formats web
objs = $(patsubst %.c,$(OBJ)/%.o,$1)
find = $(sort $(shell find $1 -name '$2' 2>/dev/null))

LIB_SRC := $(sort $(foreach d,$(LIB_DIRS),$(wildcard $d/*.c $d/*/*.c)))
SERVER_SRC := $(addprefix runtime/cluster/,conf.c conf_yaml.c election_zookeeper.c) $(wildcard web/*.c)
SHARED_SRC := $(filter-out $(SERVER_SRC),$(LIB_SRC))
JOBS_NAMES := $(sort $(patsubst jobs/%/,%,$(dir $(wildcard jobs/*/*.c))))
EXAMPLE_SRC := $(wildcard examples/*.c)
BENCH_SRC := $(wildcard bench/*.c)
CLI_SRC := $(wildcard cli/*.c)
DAEMON_SRC := $(wildcard daemon/*.c)
UNIT_SRC := $(call find,test/unit,*_test.c)
FUZZ_SRC := $(wildcard test/fuzz/*_fuzz.c)
E2E_SRC := $(wildcard test/e2e/tools/*.c)
SIM_SRC := $(wildcard test/sim/*_test.c)
# They define functions of librdkafka, so they are in the programs that want that, and in no archive. The client alone
# is for the tests of a connector, which have no engine.
SIM_KAFKA_SRC := $(filter-out $(SIM_SRC),$(wildcard test/sim/sim_kafka*.c))
SIM_KAFKA_CLIENT_SRC := $(filter-out %/sim_kafka.c %/sim_kafka_input.c,$(SIM_KAFKA_SRC))
# It takes the place of state/rocksdb*.c in the programs of the simulator, and nowhere else.
SIM_STORE_SRC := test/sim/sim_store.c
SUPPORT_SRC := $(wildcard test/support/*.c) \
	$(filter-out $(SIM_SRC) $(SIM_KAFKA_SRC) $(SIM_STORE_SRC),$(wildcard test/sim/*.c))
ALL_SRC := $(LIB_SRC) $(wildcard jobs/*/*.c) $(EXAMPLE_SRC) $(BENCH_SRC) $(CLI_SRC) $(DAEMON_SRC) $(UNIT_SRC) $(FUZZ_SRC) \
	$(E2E_SRC) $(SIM_SRC) $(SIM_KAFKA_SRC) $(SIM_STORE_SRC) $(SUPPORT_SRC)

LIBWEIR := $(OUT)/libweir.a
LIBTEST := $(OUT)/libtest.a
JOB_BIN := $(addprefix $(BIN)/,$(JOBS_NAMES))
EXAMPLE_BIN := $(patsubst examples/%.c,$(BIN)/%,$(EXAMPLE_SRC))
BENCH_BIN := $(patsubst bench/%.c,$(BIN)/bench_%,$(BENCH_SRC))
CLI_BIN := $(if $(CLI_SRC),$(BIN)/weir)
DAEMON_BIN := $(BIN)/weir-jobmanager $(BIN)/weir-taskmanager
UNIT_BIN := $(patsubst test/%.c,$(OUT)/%,$(UNIT_SRC))
SIM_BIN := $(patsubst test/%.c,$(OUT)/%,$(SIM_SRC))
E2E_BIN := $(patsubst test/e2e/tools/%.c,$(OUT)/e2e/%,$(E2E_SRC))
FUZZ_BIN := $(patsubst test/%.c,$(OUT)/%,$(FUZZ_SRC))
SHARED := $(if $(filter release,$(VARIANT)),$(if $(LIB_SRC),$(OUT)/$(SONAME) $(OUT)/libweir.so) $(OUT)/weir.pc)

.PHONY: all programs install run-unit run-unit-tsan run-sim sim-seeds run-fuzz FORCE
# What users need, with the packages that they need; the rest needs those of the tests, too.
all: $(LIBWEIR) $(SHARED) $(JOB_BIN) $(EXAMPLE_BIN) $(CLI_BIN) $(DAEMON_BIN)

programs: all $(BENCH_BIN) $(E2E_BIN)

# ---- compile and link ------------------------------------------------------------------------------------

# A file that changes only when its text does: what depends on it is rebuilt when flags or lists change.
define remember
	@mkdir -p $(@D)
	@printf '%s\n' '$1' | cmp -s - $@ || printf '%s\n' '$1' > $@
endef

$(V)/flags: FORCE
	$(call remember,$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS) $(LIBS_SERVER) $(LIBS_TEST))
$(V)/libweir.list: FORCE
	$(call remember,$(LIB_SRC))
$(V)/libtest.list: FORCE
	$(call remember,$(SUPPORT_SRC))

$(OBJ)/test/%.o: test/%.c $(V)/flags
	@mkdir -p $(@D)
	@echo "  cc    $(VARIANT) $<"
	@$(CC) $(CFLAGS_ALL) $(CFLAGS_TEST) -MMD -MP -c -o $@ $<

$(OBJ)/%.o: %.c $(V)/flags
	@mkdir -p $(@D)
	@echo "  cc    $(VARIANT) $<"
	@$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The page is taken in by the assembler, of which -MMD knows nothing.
$(OBJ)/web/rest_ui.o: web/ui/index.html

$(LIBWEIR): $(call objs,$(LIB_SRC)) $(V)/libweir.list
$(LIBTEST): $(call objs,$(SUPPORT_SRC)) $(V)/libtest.list
$(LIBWEIR) $(LIBTEST):
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

$(OUT)/$(SONAME): $(call objs,$(SHARED_SRC)) $(V)/libweir.list
	@echo "  link  $@"
	@$(CC) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBS)
$(OUT)/libweir.so: $(OUT)/$(SONAME)
	@ln -sf $(SONAME) $@

# program: $1 output, $2 objects, $3 archives before libweir.a, $4 more libraries
define program
$1: $2 $3 $(LIBWEIR)
	@mkdir -p $$(@D)
	@echo "  link  $1"
	@$(CC) -pie $(LDFLAGS_ALL) -o $1 $2 $3 $(LIBWEIR) $(LIBS) $(LIBS_SERVER) $4
endef
one = $(call objs,$1)
# What a job's or the command's own unit test may link: all its objects but the one with main(). A benchmark or
# fuzzer of a job, or of the command, is one that includes something of it.
jobs_in = $(foreach j,$(JOBS_NAMES),$(if $(shell grep -l '"\(test/unit/\)\?jobs/$j/' $1),$(wildcard jobs/$j/*.c)))
under_test = $(call objs,$(filter-out %/main.c,$(if $(filter test/unit/jobs/%,$1),\
	$(wildcard jobs/$(word 4,$(subst /, ,$1))/*.c),$(if $(filter test/unit/cli/%,$1),$(CLI_SRC),\
	$(if $(filter bench/% test/fuzz/%,$1),$(call jobs_in,$1) $(if $(shell grep -l '"cli/' $1),$(CLI_SRC)),\
	$(if $(filter test/sim/%,$1),$(SIM_STORE_SRC) $(if $(filter test/sim/sim_kafka%,$1),$(SIM_KAFKA_SRC)),\
	$(if $(filter test/unit/connectors/%,$1),\
	$(if $(shell grep -l '"test/unit/connectors/kafka_sink_kit.h"' $1),$(SIM_KAFKA_CLIENT_SRC)))))))))

$(foreach j,$(JOBS_NAMES),$(eval $(call program,$(BIN)/$j,$(call objs,$(wildcard jobs/$j/*.c)))))
$(foreach s,$(EXAMPLE_SRC),$(eval $(call program,$(s:examples/%.c=$(BIN)/%),$(call one,$s))))
$(foreach s,$(BENCH_SRC),$(eval $(call program,$(s:bench/%.c=$(BIN)/bench_%),\
	$(call one,$s) $(call under_test,$s),$(LIBTEST))))
$(if $(CLI_SRC),$(eval $(call program,$(BIN)/weir,$(call objs,$(CLI_SRC)))))
$(foreach d,jobmanager taskmanager,$(eval $(call program,$(BIN)/weir-$d,$(call objs,daemon/daemon.c daemon/$d.c))))
$(foreach s,$(UNIT_SRC) $(SIM_SRC),$(eval $(call program,$(s:test/%.c=$(OUT)/%),\
	$(call one,$s) $(call under_test,$s),$(LIBTEST),$(LIBS_TEST))))
$(foreach s,$(E2E_SRC),$(eval $(call program,$(s:test/e2e/tools/%.c=$(OUT)/e2e/%),$(call one,$s),$(LIBTEST))))
$(foreach s,$(FUZZ_SRC),$(eval $(call program,$(s:test/%.c=$(OUT)/%),\
	$(call one,$s) $(call under_test,$s),$(LIBTEST),-fsanitize=fuzzer)))

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# ---- packaging -------------------------------------------------------------------------------------------

# Libraries are named, not required by package: pkg-config --static would otherwise also ask for what those
# packages need when they are linked statically themselves, which a user who has their .so lacks.
# pc: $1 prefix, $2 include directory, $3 library directory
define pc
prefix=$1
includedir=$2
libdir=$3

Name: weir
Description: Stateful stream processing in C
Version: $(VERSION)
Libs: -L$${libdir} -lweir
Libs.private: $(filter-out -Wl%,$(LIBS))
Cflags: -I$${includedir}
endef
export PC_TREE := $(call pc,$${pcfiledir}/..,$${prefix}/include,$${prefix}/build)
export PC_INSTALLED := $(call pc,$(PREFIX),$${prefix}/include,$${prefix}/lib)

$(OUT)/weir.pc: tools/build.mk
	@mkdir -p $(@D)
	@printenv PC_TREE > $@

DEST := $(DESTDIR)$(PREFIX)
install: $(LIBWEIR) $(SHARED) $(CLI_BIN) $(DAEMON_BIN)
	@install -d $(DEST)/include/weir $(DEST)/lib/pkgconfig $(DEST)/share/doc/weir
	@$(if $(wildcard include/weir/*.h),install -m 644 include/weir/*.h $(DEST)/include/weir/)
	@install -m 644 $(LIBWEIR) $(DEST)/lib/
	@$(if $(LIB_SRC),install -m 755 $(OUT)/$(SONAME) $(DEST)/lib/ && ln -sf $(SONAME) $(DEST)/lib/libweir.so)
	@$(if $(CLI_BIN),install -d $(DEST)/bin && install -m 755 $(CLI_BIN) $(DAEMON_BIN) $(DEST)/bin/)
	@$(if $(CLI_BIN),install -d $(addprefix $(DEST)/share/man/man,1 5 8) $(DEST)/share/bash-completion/completions && \
		$(foreach section,1 5 8,install -m 644 docs/man/*.$(section) $(DEST)/share/man/man$(section)/ &&) \
		$(CLI_BIN) completion bash > $(DEST)/share/bash-completion/completions/weir)
	@install -m 644 LICENSE $(DEST)/share/doc/weir/
	@install -d $(DEST)/etc/weir $(DEST)/lib/systemd/system
	@test -e $(DEST)/etc/weir/weir.yaml || install -m 644 conf/weir.yaml $(DEST)/etc/weir/
	@for unit in conf/*.service; do \
		sed 's|@PREFIX@|$(PREFIX)|g' "$$unit" > $(DEST)/lib/systemd/system/$$(basename "$$unit"); done
	@printenv PC_INSTALLED > $(DEST)/lib/pkgconfig/weir.pc
	@echo "installed into $(DEST)"

compile_commands.json: $(V)/flags $(V)/sources.list tools/compile_commands.py
	@python3 tools/compile_commands.py $@ "$(CC)" "$(CFLAGS_ALL)" $(ALL_SRC)
$(V)/sources.list: FORCE
	$(call remember,$(ALL_SRC))

# ---- test runs -------------------------------------------------------------------------------------------

run = python3 tools/run_tests.py run
T ?=
chosen = $(if $(T),$(foreach p,$1,$(if $(findstring $(T),$p),$p)),$1)
# Under TSan: what is named after threads, and everything of the folders whose work crosses them.
THREADED := $(filter %_threads_test,$(UNIT_BIN)) $(foreach d,exchange task manager cluster program,\
	$(filter $(OUT)/unit/runtime/$d/%,$(UNIT_BIN)))
FUZZ_SECONDS ?= 30
fuzz_names := $(patsubst $(OUT)/fuzz/%_fuzz,%,$(call chosen,$(FUZZ_BIN)))
# What the code itself prints is not kept: an artifact that is given to its fuzzer alone says it again.
fuzz_command = $(OUT)/fuzz/$1_fuzz -max_total_time=$(FUZZ_SECONDS) -timeout=25 -rss_limit_mb=2048 -close_fd_mask=3 \
	-verbosity=1 -print_final_stats=1 -artifact_prefix=$(V)/artifacts/$1- $(V)/corpus/$1

# The long run takes those that have a longer form: they, or the model that they run, ask for it.
LONG_UNIT = $(shell grep -lE 'WEIR_TEST_LONG|support/model\.h' -r test/unit --include=*_test.c)
UNIT_RUN := $(if $(WEIR_TEST_LONG),$(LONG_UNIT:test/%.c=$(OUT)/%),$(UNIT_BIN))
# Not optimised, and counted, a test takes several times as long.
run-unit: $(call chosen,$(UNIT_RUN))
	@$(run) unit --timeout $(if $(filter cover,$(VARIANT)),1200,240) $^
run-unit-tsan: $(sort $(call chosen,$(THREADED)))
	@$(run) unit-tsan --timeout 300 $^
# A seed without sanitizers costs a tenth of one with them: most run there, in the variant with fault points.
SEEDS_BIN := $(filter %/sim_test %/sim_cluster_test %/sim_kafka_test %mutant_test,$(SIM_BIN))
SIM_RUN := $(if $(filter asan,$(VARIANT)),\
	$(filter-out %mutant_test,$(SIM_BIN)) $(SEEDS_BIN:$(OUT)/%=build/faults/%),$(SIM_BIN))
sim-seeds: $(call chosen,$(SEEDS_BIN))
run-sim: $(call chosen,$(filter $(OUT)/%,$(SIM_RUN)))
	@$(run) sim --timeout 1200 $(call chosen,$(SIM_RUN))
# 0 would be for ever.
run-fuzz: $(call chosen,$(FUZZ_BIN))
	@[[ '$(FUZZ_SECONDS)' =~ ^[1-9][0-9]*$$ ]] || \
		{ echo "FUZZ_SECONDS is '$(FUZZ_SECONDS)'; give whole seconds from 1" >&2; exit 2; }
	@mkdir -p $(V)/artifacts $(addprefix $(V)/corpus/,$(fuzz_names))
	@$(foreach n,$(fuzz_names),$(if $(wildcard test/fuzz/corpus/$n),cp -rT test/fuzz/corpus/$n $(V)/corpus/$n;)) true
	@$(run) fuzz --timeout $$(($(FUZZ_SECONDS) + 120)) $(foreach n,$(fuzz_names),"$(strip $(call fuzz_command,$n))")
