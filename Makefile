# vektonn: build with PGXS, install, and the entry points of every test.
#
#   make                 build vektonn.so, its companion modules and the install script
#                        (WITHOUT_KAFKA=1, WITHOUT_BLAS=1, WITHOUT_YAML=1: without that module)
#   make install         into the PostgreSQL of $(PG_CONFIG); make uninstall takes it out again
#   make demo            everything on the screen, in a private cluster
#   make test            every test, in private clusters; ends with 'N passed, N failed'
#   make test-pg PG=17   the same on PostgreSQL 17 or 18 (15: on a bare Debian 12), in a Debian tree; as root
#
# For developers (docs/development.md):
#   make installcheck    the regression tests in a private dev cluster (REGRESS="a b" for some)
#   make check-one T=x   one test by name: regress, isolation (iso_x), TAP (NNN_x) or unit
#   make bench           speed against whatever of pgvector, hnswlib and Faiss is there; bench/README.md
#   make bench-streams   throughput and latency of streams, with a real broker; bench/README.md
#   make bench-kernels   speed of the distance kernels beside memory bandwidth
#   make fuzz          the fuzz targets of test/fuzz, FUZZ_SECONDS=15 each
#   make soak          streams through 50 kills of worker, server and broker, with a real broker
#   make asan            with address and undefined-behaviour sanitizers
#   make test-assert     on a PostgreSQL with assertions, built from source once
#   make valgrind        under valgrind, on the same PostgreSQL
#   make format          C files in PostgreSQL's layout (pgindent's tool and options)
#   make dist            vektonn-VERSION.tar.gz of what is committed
#
# Nothing here writes to a PostgreSQL that is already there, except 'make install'.

EXTENSION   = vektonn
MODULE_big  = vektonn

include kafka_bgworker/sources.mk

# Every C file below src is part of vektonn.so, except modules with an own Makefile.
SRC_DIRS    = src src/* src/*/*
MODULE_DIRS = $(patsubst %/Makefile,%,$(wildcard $(if $(WITHOUT_KAFKA),,kafka_bgworker/Makefile) \
              $(if $(WITHOUT_BLAS),,src/blas/Makefile) $(if $(WITHOUT_YAML),,src/yaml/Makefile)))
SRCS       := $(filter-out src/blas/% src/yaml/%,$(wildcard $(addsuffix /*.c,$(SRC_DIRS)))) \
              $(wildcard $(addprefix kafka_bgworker/,$(KAFKA_PRELOAD_SRCS)))
OBJS       := $(sort $(SRCS:.c=.o))

SQL_PIECES := $(sort $(wildcard sql/install/*.sql))
SQL_SCRIPT  = sql/vektonn--$(EXTVERSION).sql
DATA_built  = $(SQL_SCRIPT)
DATA       := $(wildcard sql/upgrade/vektonn--*--*.sql)
EXTRA_CLEAN = sql/vektonn--*.sql build

# The entry points below must run where PostgreSQL is not installed yet.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
ENTRY_POINTS  := test test-pg test-assert asan valgrind installcheck check-one gates fuzz soak bench-streams \
                 format dist demo demo-psql demo-stop
ifneq ($(filter-out $(ENTRY_POINTS),$(or $(MAKECMDGOALS),all)),)

include vektonn.mk

# Functions of a module that is not built are there all the same, and say so when called.
not_built = -e "s/'[$$]libdir\/vektonn_$(1)', '[a-z_0-9]*'/'MODULE_PATHNAME', 'vk_not_built'/"
WITHOUT   = $(if $(WITHOUT_BLAS),$(call not_built,blas)) $(if $(WITHOUT_YAML),$(call not_built,yaml)) \
	$(if $(WITHOUT_KAFKA),$(call not_built,kafka) -e '/^CREATE FOREIGN DATA WRAPPER/s/ VALIDATOR .*/;/')
$(SQL_SCRIPT): $(SQL_PIECES) sql/expand.awk vektonn.control .vk_list
	for piece in $(SQL_PIECES); do awk -f sql/expand.awk $$piece || exit 1; done $(if $(strip $(WITHOUT)),| sed $(WITHOUT)) > $@

# Kernels are compiled once per instruction set and chosen at run time; nothing
# else is, so that the binary runs on every CPU of its architecture.  All of
# them must round alike: no fused multiply-add, no reordering.
src/distance/%.o src/am/graph/graph_%.o: override CFLAGS += -O3 -ffp-contract=off -fno-fast-math -fno-math-errno
# The flat store's loops only steer its work, they need not round alike.
src/am/flat/flat_kernel_%.o: override CFLAGS += -O3 -fno-math-errno -fno-trapping-math
# The loops over products.
src/batch/batch_filter.o: override CFLAGS += -O3 -fno-math-errno -fno-trapping-math
ifeq ($(host_cpu),x86_64)
src/distance/kernel_avx2.o: override CFLAGS += -mavx2 -mf16c
src/distance/kernel_avx512vnni.o: override CFLAGS += -mavx512vnni
src/distance/kernel_avx512.o src/distance/kernel_avx512vnni.o: override CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mf16c
src/am/flat/flat_kernel_avx2.o: override CFLAGS += -mavx2 -mfma
src/am/flat/flat_kernel_avx512.o: override CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
src/am/graph/graph_kernel_avx2.o: override CFLAGS += -mavx2
src/am/graph/graph_kernel_avx512.o: override CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq
endif

# The companion modules, each with an own Makefile.
all install uninstall clean: %: %-modules
.PHONY: all-modules install-modules uninstall-modules clean-modules
all-modules install-modules uninstall-modules:
	@set -e; for dir in $(MODULE_DIRS); do $(MAKE) -C $$dir $(@:-modules=); done
clean-modules:
	@set -e; for dir in $(patsubst %/Makefile,%,$(wildcard kafka_bgworker/Makefile src/blas/Makefile src/yaml/Makefile)); do \
		$(MAKE) -C $$dir clean; done

# Unit tests: plain C programs without a server.  A line 'LINKS: a.o b.o' in the
# comment that opens test/unit/X_test.c names the objects it is linked with.
UNIT_TESTS := $(patsubst test/unit/%.c,build/unit/%,$(wildcard test/unit/*_test.c))
unit_links  = $(shell sed -n 's/.*LINKS: *//p' $(1))
define unit_rule
$(1): $(patsubst build/unit/%,test/unit/%.c,$(1)) $(call unit_links,$(patsubst build/unit/%,test/unit/%.c,$(1))) \
		test/unit/stubs.c .vk_flags
	@mkdir -p build/unit
	$$(CC) $$(CFLAGS) $$(CPPFLAGS) -MF $$@.d -MT $$@ -o $$@ $$(filter %.c %.o,$$^) $$(LDFLAGS) \
		-L$$(shell $$(PG_CONFIG) --pkglibdir) -L$$(shell $$(PG_CONFIG) --libdir) -lpgcommon -lpgport -lm -lpthread
endef
$(foreach test,$(UNIT_TESTS),$(eval $(call unit_rule,$(test))))
-include $(addsuffix .d,$(UNIT_TESTS))

# Fuzz targets: see test/fuzz/README.md.  They are compiled with the sources they name,
# because everything must have the sanitizers' instrumentation.
FUZZ_CC    ?= $(CLANG)
fuzz_files  = test/fuzz/$(1).c $(shell sed -n 's/.*SOURCES: *//p' test/fuzz/$(1).c)
define fuzz_rule
build/fuzz/$(1): $(call fuzz_files,$(1)) $(wildcard src/types/*.h src/types/*.def)
	@mkdir -p build/fuzz
	$$(FUZZ_CC) -std=gnu11 -g -O1 -Wall -Wextra $$(COPT) -Isrc -I. \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $$@ $$(filter %.c,$$^) -lm
endef
$(foreach target,$(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/*.c)),$(eval $(call fuzz_rule,$(target))))

# A mock Kafka broker and produce/consume tool for the tests.
build/mock_kafka: test/mock/mock_kafka.c
	@mkdir -p build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter $(COPT) -o $@ $< -lrdkafka

# How fast the distance kernels read memory.
KERNEL_OBJS := $(filter-out %/kernel_setting.o,$(patsubst %.c,%.o,$(wildcard src/distance/kernel_*.c)))
build/bench/kernels: bench/kernels.c $(KERNEL_OBJS) .vk_flags
	@mkdir -p build/bench
	$(CC) $(CFLAGS) $(CPPFLAGS) -Wno-psabi -MF $@.d -MT $@ -o $@ $(filter %.c %.o,$^) $(LDFLAGS) \
		-L$(shell $(PG_CONFIG) --pkglibdir) -L$(shell $(PG_CONFIG) --libdir) -lpgcommon -lpgport -lm
-include build/bench/kernels.d

# What the benchmarks send queries with.
build/bench/client: bench/client.c
	@mkdir -p build/bench
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra $(COPT) -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq

# What the benchmark of streams fills topics with.
build/bench/stream_client: bench/stream_client.c
	@mkdir -p build/bench
	$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wno-unused-parameter $(COPT) -I$(shell $(PG_CONFIG) --includedir) -o $@ $< \
		-L$(shell $(PG_CONFIG) --libdir) -lpq -lrdkafka -lpthread

# The library hnswlib, measured beside the server; it gets all this CPU has.
build/bench/peer_hnswlib: bench/peer_hnswlib.cpp
	@mkdir -p build/bench
	$(CXX) -std=c++17 -O3 -march=native -o $@ $<

.PHONY: bench-kernels
bench-kernels: build/bench/kernels
	build/bench/kernels $(BENCH_KERNELS_ARGS)

# The value of a variable, for scripts.
print-%:
	@echo '$($*)'

endif

.PHONY: $(ENTRY_POINTS)
demo:
	@demo/demo.sh
demo-psql:
	@demo/demo.sh psql
demo-stop:
	@demo/demo.sh stop
test:
	test/run.sh all
test-pg:
	test/chroot.sh $(or $(PG),17)
asan:
	test/variant.sh asan
test-assert:
	test/variant.sh assert
valgrind:
	test/variant.sh valgrind
installcheck:
	test/run.sh dev-regress $(REGRESS)
check-one:
	test/run.sh one $(T)
gates:
	test/run.sh gates
bench:
	bench/run.py --out bench/results/latest $(BENCH_ARGS)
	bench/report.py bench/results/latest.json --docs bench/results
bench-streams:
	bench/streams $(BENCH_ARGS)
fuzz:
	test/run.sh fuzz
# Exactly once, at length: a million messages through a real broker, 50 kills (VK_MESSAGES, VK_KILLS).
soak:
	VK_SOAK=1 VK_SUITE_TIMEOUT=7200 test/run.sh one 063_stream_crash
format:
	test/ci/format.sh
dist:
	version=$$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" vektonn.control) && \
	git archive --format=tar.gz --prefix=vektonn-$$version/ -o vektonn-$$version.tar.gz HEAD
