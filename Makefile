# Verbs only; each is a thin call. `make run` and `make test` install what they need (tools/setup.sh).
PORT ?= 8000
MODEL ?= models/phone-demo
PRESET ?= release
BUILD = build/$(PRESET)
# The compiler takes about 1 GB a job.
JOBS ?= $(shell nproc)

.PHONY: setup build run test bench fmt lint fuzz clean

setup:
	@tools/setup.sh test

build:
	@tools/setup.sh build
	@cmake --preset $(PRESET) > /dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target sluice

run: build
	@$(BUILD)/sluice serve $(MODEL) --port $(PORT)

test: setup
	@tools/run_tests.sh

bench: build
	@$(BUILD)/sluice bench $(MODEL)

fmt:
	@git ls-files 'src/*.h' 'src/*.cc' 'tests/*.cc' 'bench/*.cc' | xargs clang-format-19 -i

lint: setup
	@tools/lint.sh

fuzz: setup
	@tools/fuzz.sh

clean:
	@rm -rf build
