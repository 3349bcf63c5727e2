# Shared by the Makefiles of the loadable modules: PGXS with our warnings,
# header dependencies, and rebuilding when compiler, flags or PostgreSQL change.
#
# A module's Makefile sets MODULE_big, OBJS and what else PGXS knows, then
# includes this file.  More flags for one object:
#   src/x/y.o: override CFLAGS += ...

VK_TOP     := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(VK_TOP)/vektonn.control)

# Nothing gains from inlining our code into JIT code, and bitcode needs clang.
override with_llvm := no

# installcheck of PGXS writes into a running server of the user's; ours does not.
NO_INSTALLCHECK = 1

PG_CONFIG  ?= pg_config
PGXS       := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no server headers: install postgresql-server-dev-15, or set PG_CONFIG)
endif

# PostgreSQL's headers as system headers: warnings are about our code alone.
# Callbacks have the signature they have, so unused parameters are no news; the
# server's structs grow at their end, so a field left out of an initializer is none.
PG_CPPFLAGS += -I$(VK_TOP)/src -I$(VK_TOP) -isystem $(shell $(PG_CONFIG) --includedir-server) -MMD -MP
PG_CFLAGS   += -std=gnu11 -Wall -Wextra -Wno-unused-parameter \
               -Wno-missing-field-initializers -DVK_VERSION='"$(EXTVERSION)"'
SHLIB_LINK  += -lm

include $(PGXS)

# PostgreSQL was built by gcc; clang warns about some of the flags it chose.
ifneq ($(findstring clang,$(shell $(CC) --version)),)
override CFLAGS := $(filter-out -fexcess-precision=standard -Wimplicit-fallthrough=3 \
	-Wno-format-truncation -Wno-stringop-truncation -Wcast-function-type \
	-Wmissing-variable-declarations -Wshadow=compatible-local,$(CFLAGS)) -Wimplicit-fallthrough -Wno-ignored-attributes -Wno-psabi
endif

# Objects depend on the flags they were built with, libraries and scripts on the list of
# their parts.  -Werror changes no object, so builds with and without share them.
.vk_flags: VK_STAMP := $(filter-out -Werror,$(subst ',,$(CC) $(CFLAGS) $(CPPFLAGS) $(VERSION)))
.vk_list:  VK_STAMP := $(OBJS) $(SHLIB_LINK) $(SQL_PIECES) $(MODULE_DIRS)
.vk_flags .vk_list: FORCE
	@echo '$(VK_STAMP)' | cmp -s - $@ || echo '$(VK_STAMP)' >$@
$(OBJS): .vk_flags
$(MODULE_big)$(DLSUFFIX): .vk_list
clean: clean-stamps
clean-stamps:
	rm -f .vk_flags .vk_list $(OBJS:.o=.d)
-include $(OBJS:.o=.d)

.PHONY: FORCE clean-stamps
FORCE:
