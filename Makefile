# Two commands: `make conform` and `make test`. Each sets up what it needs, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help setup test quick lint format conform mutants clean

help:
	@echo 'make conform   boot real Xen builds under QEMU and judge them by the specification'
	@echo 'make test      everything a change must pass: style, types, layers, tests'
	@echo 'make quick     the same without the slow tests and the real hypervisors'
	@echo 'make mutants   single mistakes put into the specification: which would nobody notice?'
	@echo 'make format    lay out Python and specification sources'
	@echo 'make docs      build the documentation into build/site'

# Programs pvhspec runs, and the Debian packages they come in. Root gets them installed, anybody
# else is told how; without them the tests that boot a hypervisor are skipped.
PROGRAMS := python3=python3 qemu-system-x86_64=qemu-system-x86 gcc=gcc ld=binutils dpkg-deb=dpkg xz=xz-utils
define install-missing
missing=; for need in $(PROGRAMS); do \
  command -v $${need%%=*} >/dev/null || missing="$$missing $${need#*=}"; done; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "installing$$missing"; \
  apt-get update -q >/dev/null && \
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing >/dev/null && \
  missing=; fi; \
if [ -n "$$missing" ]; then echo "not installed:$$missing (sudo apt install$$missing)" >&2; false; fi
endef

$(BIN)/python:
	@$(install-missing) || true
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'pvhspec needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'no virtual environment can be made here: sudo apt install python3-venv' >&2; exit 3; }

# `make conform` needs the command and what makes programs; `make test` needs the tools as well.
$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[testing]'
	@touch $@

# Xen's public headers are no program: tests compare the specification with them.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@if [ ! -e /usr/include/xen/xen.h ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get install -q -y --no-install-recommends libxen-dev >/dev/null || true; fi
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/pytest -n auto --dist loadfile

quick: lint
	$(BIN)/pytest -n auto --dist loadfile -m 'not slow and not real'

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Where a program is missing and cannot be installed here, its command is named, and pvhspec judges
# the captures that came with it instead.
conform: $(VENV)/.run
	@$(install-missing) || true
	@$(BIN)/pvhspec conform

# Some 9,000 mutants: most take a tenth of a second, one that nobody notices several. What is found is
# kept at once: broken off, it goes on where it was, and only what a change touches is asked again.
mutants: $(VENV)/.dev
	$(BIN)/pvhspec mutants

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet
	@echo build/site/index.html

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
