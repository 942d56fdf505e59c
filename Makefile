# Everything that is done with this project. `make` alone lists it. Each target makes or renews .venv where needed.
# PYTHON=python3.12 chooses the Python of a new .venv; ARGS='...' is passed on to what runs.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test slow chaos check format wheel screenshots bench clean

BIN := .venv/bin
READY := .venv/up-to-date
PYTEST := $(BIN)/python -m pytest
# Tests wait more than they compute, so one more than there are cores.
JOBS := 3

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## a broker, two workers, sample tasks and the console; without a terminal a report of it all
	@$(BIN)/tq demo $(ARGS)

test: $(READY) ## every test that is not slow, on each Redis that is here; JOBS=0 for one process
	@$(PYTEST) -n $(JOBS) -m 'not slow and not chaos' $(ARGS)

slow: $(READY) ## the slow tests; says what was skipped and why
	@$(PYTEST) -m 'slow and not chaos' -rs --hypothesis-profile=explore $(ARGS); status=$$?; \
	if [ $$status -eq 5 ]; then echo "make slow: no test is marked slow"; exit 0; fi; exit $$status

# What `make chaos` tries: random faults, long random histories, every row of the fault table, and random bytes.
CHAOS_TESTS := tests/daemon/test_chaos.py tests/daemon/test_faults.py tests/daemon/test_crashes.py \
	tests/daemon/test_broker_outage.py tests/daemon/test_lost_answers.py tests/contract/test_durability.py \
	tests/contract/test_malformed_keys.py tests/contract/test_duplicates.py tests/model tests/unit/test_fuzz.py \
	tests/cli/test_fuzz.py
CHAOS_MINUTES := 8
SEED = $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

chaos: $(READY) ## faults at random around real nodes, for about half an hour; SEED=... repeats a run, CHAOS_MINUTES=...
	@seed=$(SEED); echo "make chaos SEED=$$seed"; \
	CHAOS_SEED=$$seed CHAOS_MINUTES=$(CHAOS_MINUTES) $(PYTEST) -m 'not slow or slow or chaos' -rs --hypothesis-profile=chaos \
		--hypothesis-seed=$$seed -k 'not long_history' $(CHAOS_TESTS) $(ARGS); status=$$?; \
	if [ $$status -ne 0 ]; then echo "make chaos: failed; the same again: make chaos SEED=$$seed CHAOS_MINUTES=$(CHAOS_MINUTES)" >&2; fi; \
	exit $$status

check: $(READY) ## format, lint, types, import contracts and the Lua scripts; under a minute
	@failed=; \
	try() { echo "-- $$*"; "$$@" || failed="$$failed $$(basename "$$1")"; }; \
	try $(BIN)/ruff format --check .; \
	try $(BIN)/ruff check .; \
	try $(BIN)/mypy; \
	try $(BIN)/lint-imports; \
	try $(BIN)/python -m tests.checks.lua_lint; \
	if [ -n "$$failed" ]; then echo "make check: failed:$$failed" >&2; exit 1; fi

format: $(READY) ## format all, and mend what the linter can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheel: $(READY) ## build dist/ and try the wheel in a clean environment, away from the sources
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation
	@.ci/try-wheel dist/*.whl

screenshots: $(READY) ## take the pictures in screenshots/ anew, the same on every machine
	@$(BIN)/python -m tests.tui.pictures screenshots $(ARGS)

bench: $(READY) ## how to measure tq beside its peers
	@if [ -f benchmarks/README.md ]; then cat benchmarks/README.md; else echo "make bench: there are no benchmarks yet"; fi

clean: ## remove what builds, checks and tests leave; .venv stays
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis snapshot_report.html
	@find tq_core tq_worker tq_console tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt .ci/environment
	@PYTHON='$(PYTHON)' .ci/environment
