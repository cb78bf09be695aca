# Every target makes the environment it needs. `make demo` and `make test` are the two to know.
PYTHON ?= python3
VENV := .venv
OFFICIAL := .venv-official
BIN := $(VENV)/bin
MINUTES ?= 30
# Many tests wait for a socket, a server or a terminal: twice as many as a small machine has cores.
JOBS ?= 4
# The two environments are made side by side, and the types are looked at while the tests run.
MAKEFLAGS += --jobs=2
# Compiled code is kept: the tests start Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

# Whoever wants more than a demo gets the tools at once: one installation takes less than two.
EXTRAS := $(if $(filter-out help demo,$(MAKECMDGOALS)),[dev])

.DEFAULT_GOAL := help
.PHONY: help demo test pytest lint style types bench snapshots pictures soak format

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("limegrove needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo 'making the environment $(VENV), which takes a minute' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.$(EXTRAS)' >&2
	@touch $@
	@$(if $(EXTRAS),touch $(VENV)/.made-dev)

$(VENV)/.made-dev: pyproject.toml $(VENV)/.made
	@test $@ -nt $(VENV)/.made || $(BIN)/python -m pip install --quiet --editable '.[dev]' >&2
	@touch $@

$(OFFICIAL)/.made: Makefile
	test -x $(OFFICIAL)/bin/python || $(PYTHON) -m venv $(OFFICIAL)
	$(OFFICIAL)/bin/python -m pip install --quiet limacharlie==5.10.1
	touch $@

demo: $(VENV)/.made  ## the console on a realistic provider in the sandbox; no account needed
	@$(BIN)/limegrove demo

test: pytest types  ## everything that can be tested here

# All are collected once before: otherwise every worker would compile every test for itself.
pytest: $(VENV)/.made-dev $(OFFICIAL)/.made style
	@$(BIN)/python -m pytest --collect-only -qqq > $(VENV)/collected || { cat $(VENV)/collected; exit 1; }
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: style types  ## style, types, import contracts, and no text that is not made safe
	$(BIN)/python -m tests.lint.sinks

style: $(VENV)/.made-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.made-dev
	$(BIN)/mypy

format: $(VENV)/.made-dev  ## let ruff put it right
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.made-dev $(OFFICIAL)/.made  ## figures, each a ratio against something run beside it
	$(BIN)/python -m benchmarks start --output json
	$(BIN)/python -m benchmarks help --output json
	$(BIN)/python -m benchmarks keys --output json
	$(BIN)/python -m benchmarks agreement --output json
	$(BIN)/python -m benchmarks queue --output json
	$(BIN)/python -m benchmarks overview --output json
	$(BIN)/python -m benchmarks pivot --output json
	$(BIN)/python -m benchmarks matrix --output json
	$(BIN)/python -m benchmarks plan --output json
	$(BIN)/python -m benchmarks drift --output json
	$(BIN)/python -m benchmarks rollout --output json
	$(BIN)/python -m benchmarks reports --output json
	$(BIN)/python -m benchmarks triage --output json
	$(BIN)/python -m benchmarks ingest --output json
	$(BIN)/python -m benchmarks storage --output json
	$(BIN)/python -m benchmarks fp-preview --output json
	$(BIN)/python -m benchmarks sync --output json
	$(BIN)/python -m benchmarks sync-scale --output json

snapshots: $(VENV)/.made-dev  ## accept what the screens look like now
	$(BIN)/python -m pytest -n $(JOBS) tests/screens tests/console --snapshot-update

pictures: $(VENV)/.made-dev  ## the README's pictures, by the console itself
	$(BIN)/python docs/pictures.py

soak: $(VENV)/.made-dev  ## the long tests, a seeded sample that fits MINUTES
	LIMEGROVE_SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -m soak -n $(JOBS) --dist worksteal
