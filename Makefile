# vektonn: build with PGXS, install, and the entry points of every test.
#
#   make                 build vektonn.so, vektonn_kafka.so and the install script
#   make install         into the PostgreSQL of $(PG_CONFIG)
#   make demo            everything on the screen, in a private cluster
#   make test            every test, in private clusters; ends with 'N passed, N failed'
#   make installcheck    the regression tests in a private dev cluster (REGRESS="a b" for some)
#   make check-one T=x   one test by name: regress, isolation (iso_x), TAP (NNN_x) or unit
#
# Nothing here writes to a PostgreSQL that is already there, except 'make install'.

EXTENSION   = vektonn
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" vektonn.control)
MODULE_big  = vektonn

SRC_DIRS    = src src/* src/*/*
OBJS       := $(sort $(patsubst %.c,%.o,$(wildcard $(addsuffix /*.c,$(SRC_DIRS)))))
VK_HEADERS := $(wildcard $(addsuffix /*.h,$(SRC_DIRS)) $(addsuffix /*.def,$(SRC_DIRS)))

SQL_PIECES := $(sort $(wildcard sql/install/*.sql))
SQL_SCRIPT  = sql/vektonn--$(EXTVERSION).sql
DATA_built  = $(SQL_SCRIPT)
DATA       := $(wildcard sql/upgrade/vektonn--*--*.sql)

# Index scans gain nothing from inlining into JIT code, and bitcode needs clang.
override with_llvm := no

# Our own installcheck below replaces the PGXS one.
NO_INSTALLCHECK = 1

PG_CFLAGS   = -std=gnu11 -Wextra -Wno-unused-parameter -Wno-sign-compare \
              -Wno-missing-field-initializers -Wno-cast-function-type \
              -DVK_VERSION='"$(EXTVERSION)"'
PG_CPPFLAGS = -I$(CURDIR)/src
SHLIB_LINK  = -lm

PG_CONFIG  ?= pg_config
PGXS       := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(SQL_SCRIPT): $(SQL_PIECES) vektonn.control
	cat $(SQL_PIECES) > $@

$(OBJS): $(VK_HEADERS)

# Kernels are compiled once per instruction set and chosen at run time; nothing
# else is, so that the binary runs on every CPU of its architecture.
src/distance/kernel_avx2.o: CFLAGS += -mavx2 -mfma -mf16c
src/distance/kernel_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c

# A mock Kafka broker and produce/consume tool for the tests.
build/mock_kafka: test/mock/mock_kafka.c
	@mkdir -p build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter $(COPT) -o $@ $< -lrdkafka

.PHONY: test test-run installcheck check-one setup private dev-start dev-stop
test:
	test/run.sh all
installcheck:
	test/run.sh dev-regress $(REGRESS)
check-one:
	test/run.sh one $(T)
