# Two commands: `make test` and `make conform`. Each sets up what it needs, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help setup test quick lint format conform clean

help:
	@echo 'make conform   boot real Xen builds under QEMU and judge them by the specification'
	@echo 'make test      everything a change must pass: style, types, layers, tests'
	@echo 'make quick     the same without the slow tests and the real hypervisors'
	@echo 'make format    lay out Python and specification sources'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'pvhspec needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'Python cannot make a virtual environment here: apt install python3-venv' >&2; exit 3; }

# `make conform` needs the command and what makes programs; `make test` needs the tools as well.
$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[testing]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/pytest

quick: lint
	$(BIN)/pytest -m 'not slow and not real'

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conform: $(VENV)/.run
	$(BIN)/pvhspec conform

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
