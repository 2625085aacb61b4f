# hnsw: PGXS build of the extension. The server-free half (unit tests, benches, fuzzers) is built
# by CMakeLists.txt; `make check-unit` drives it.
#
#   make [PG_CONFIG=…] [COPT=…] [PROFILE=…] [CFLAGS=…] [CXXFLAGS=…] [CXX=clang++]
#   make install && make installcheck

MODULE_big = hnsw
EXTENSION = hnsw
DATA = $(sort $(wildcard sql/hnsw--*.sql))
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard src/*/*.cpp)))

# One name per line, so that two branches adding a test do not collide.
REGRESS = \
	extension \
	type_vector \
	type_casts \
	type_aggregates \
	type_copy \
	type_btree_hash \
	type_matrix \
	type_toast \
	type_errors \
	hnsw_build \
	hnsw_insert \
	hnsw_scan \
	attribute_types \
	attribute_use \
	hnsw_options \
	hnsw_errors \
	hnsw_null_zero \
	hnsw_vacuum \
	hnsw_planner \
	hnsw_partition \
	hnsw_temp_unlogged \
	hnsw_cursor_prepared \
	hnsw_lateral \
	filter_scan \
	filter_bitmap \
	filter_choice \
	filter_known \
	filter_patterns \
	filter_rls \
	hnsw_check

ISOLATION = \
	unique_vector \
	hnsw_insert_scan \
	hnsw_known_rows \
	hnsw_attributes \
	hnsw_vacuum_cursor \
	hnsw_same_value \
	hnsw_create_concurrently \
	hnsw_rollback \
	hnsw_filter_epq

TAP_TESTS = 1
PROVE_FLAGS += -I test/perl
PROVE_TESTS ?= $(sort $(wildcard test/t/*.pl))
ifeq ($(strip $(PROVE_TESTS)),)
override undefine TAP_TESTS
endif

REGRESS_OPTS = --load-extension=hnsw
ISOLATION_OPTS = --load-extension=hnsw --inputdir=test/isolation --outputdir=test/isolation

EXTRA_CLEAN = $(OBJS:.o=.d) build-headers results regression.diffs regression.out \
	test/isolation/results test/isolation/output_iso

PG_CONFIG ?= pg_config

PG_MAJOR := $(shell $(PG_CONFIG) --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9][0-9]*\).*/\1/p')
ifeq ($(PG_MAJOR),)
$(error "$(PG_CONFIG)" did not run: install the PostgreSQL server headers or set PG_CONFIG)
endif
ifeq ($(shell test $(PG_MAJOR) -ge 15 || echo old),old)
$(error hnsw needs PostgreSQL 15 or newer, "$(PG_CONFIG)" belongs to $(PG_MAJOR))
endif

HNSW_WARNINGS = -Wall -Wextra -Wno-register -Wno-deprecated-volatile
HNSW_LANGUAGE = -std=c++20 -fno-strict-aliasing -fwrapv \
	-fvisibility=hidden -fvisibility-inlines-hidden

# Asking the compiler is cheaper than keeping a table of who knows which flag.
has_flag = $(shell $(CXX) -Werror $(1) -fsyntax-only -x c++ /dev/null >/dev/null 2>&1 && echo $(1))

PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -Isrc
PG_CXXFLAGS = $(HNSW_LANGUAGE) -O2 $(HNSW_WARNINGS) $(call has_flag,-fno-gnu-unique) \
	$(call has_flag,-Wshadow=compatible-local) \
	$(if $(call has_flag,-Wunknown-warning-option),-Wno-unknown-warning-option) \
	$(COPT) $(PROFILE) $(SANITIZE_FLAGS)
SHLIB_LINK += -lstdc++ -lm -Wl,--version-script=src/hnsw.map $(SANITIZE_FLAGS)

ifdef SANITIZE
SANITIZE_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -g
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)
# PGXS compiles bitcode without PG_CXXFLAGS, and an access method gains nothing from it.
override with_llvm := no
include $(PGXS)

# Recorded by some servers for their own compiler and C only; others refuse them. CFLAGS links.
FOREIGN_FLAGS = -fexcess-precision=standard -Wmissing-variable-declarations
override CFLAGS := $(filter-out $(FOREIGN_FLAGS),$(CFLAGS))
override CXXFLAGS := $(filter-out $(FOREIGN_FLAGS),$(CXXFLAGS))

# PGXS has no header dependencies on Debian and names them by basename elsewhere.
%.o: %.cpp
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -MF $*.d -c -o $@ $<

$(shlib): src/hnsw.map

-include $(OBJS:.o=.d)

# An object without its list of headers, of a build that was cut short, is made anew.
UNTRACED := $(foreach object,$(OBJS),$(if $(wildcard $(object:.o=.d)),,$(wildcard $(object))))
ifneq ($(UNTRACED),)
.PHONY: untraced
$(UNTRACED): untraced
endif

# ---- checks that need no server ------------------------------------------------------------

.PHONY: check-unit lint format headerscheck asan tidy

BUILD_DIR ?= build

check-unit:
	cmake -S . -B $(BUILD_DIR) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD_DIR) --parallel 2
	ctest --test-dir $(BUILD_DIR) --output-on-failure --no-tests=error

CXX_FILES = $(sort $(wildcard src/*/*.cpp src/*/*.h src/*/*.inc test/unit/*.cpp test/unit/*.h \
	test/fuzz/*.cpp bench/*.cpp bench/*.h))

format:
	clang-format -i $(CXX_FILES)

lint: headerscheck
	@set -e; for s in test/lint/*.sh; do echo "$$s"; sh "$$s"; done
	clang-format --dry-run -Werror $(CXX_FILES)

# Every header compiles on its own.
headerscheck:
	@set -e; for h in $(sort $(wildcard src/*/*.h)); do \
		echo "#include \"$${h#src/}\"" | \
		$(CXX) $(CXXFLAGS) $(CPPFLAGS) -Werror -fsyntax-only -x c++ - || \
		{ echo "$$h does not compile on its own"; exit 1; }; done

tidy:
	cmake -S . -B $(BUILD_DIR) -DCMAKE_BUILD_TYPE=Release
	clang-tidy -p $(BUILD_DIR) --quiet $(sort $(wildcard src/simd/*.cpp src/vec/*.cpp src/core/*.cpp))

# The extension under AddressSanitizer and UBSan: start the server with
# LD_PRELOAD=$(g++ -print-file-name=libasan.so) and ASAN_OPTIONS=detect_leaks=0. Debian's own server
# hangs at its start under it; test/run has one that does not.
asan:
	$(MAKE) clean
	$(MAKE) all SANITIZE=1
