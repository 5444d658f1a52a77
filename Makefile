# Campaign's commands. `make demo` and `make test` work in a fresh clone with Python >= 3.11, pip and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Why `-m`: the scripts of an environment that was moved still name its old place.
PY := $(BIN)/python

# The first Python that is new enough and can make an environment. PYTHON=/path/to/python overrides it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# A stamp carries the checksum of what was installed and where, so a changed pin or a moved clone, and nothing else,
# installs again.
sum = $(word 1,$(shell { cat $(1) requirements/link.py; pwd; } | cksum))
RUN := $(VENV)/.stamp-run-$(call sum,requirements/run.txt)
DEV := $(VENV)/.stamp-dev-$(call sum,requirements/dev.txt)
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes

# Tests side by side, one row for each processor.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CODE := $(wildcard campaign tests alembic benchmarks requirements/link.py)
UV := build/uv/bin/uv
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make requirements" $(UV) pip compile pyproject.toml --quiet --upgrade --universal \
	--generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links

.PHONY: help setup venv demo test check format bench proof requirements clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 22

venv: $(RUN)
setup: $(DEV) ## Set up .venv with everything that work on Campaign needs

$(PY):
	@test -n "$(PYTHON)" || { echo "Campaign needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) (once; about a minute) ..."
	@"$(PYTHON)" -m venv $(VENV)

$(RUN): | $(PY)
	@$(PY) $(INSTALL) -r requirements/run.txt
	@$(PY) requirements/link.py
	@rm -f $(VENV)/.stamp-run-*
	@touch $@

$(DEV): | $(PY)
	@$(PY) $(INSTALL) -r requirements/dev.txt
	@$(PY) requirements/link.py
	@rm -f $(VENV)/.stamp-dev-*
	@touch $@

demo: $(RUN) ## See a campaign go out to a mail catcher on this machine
	@$(BIN)/campaign demo $(ARGS)

test: $(DEV) ## Run all tests with branch coverage (ARGS="-k word" chooses; no coverage is asked for then)
ifdef ARGS
	@$(PY) -m pytest $(ARGS)
else
	@$(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest -n $(JOBS) --dist worksteal
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report
endif

check: $(DEV) ## Check style, types, floors, sizes and names
	@$(PY) -m ruff format --check $(CODE)
	@$(PY) -m ruff check $(CODE)
	@$(PY) -m mypy
	@$(PY) $(BIN)/lint-imports --no-logo
	@$(PY) -m pytest -q tests/house/test_sizes.py tests/house/test_names.py

format: $(DEV) ## Put the code into the house's format
	@$(PY) -m ruff format $(CODE)
	@$(PY) -m ruff check --fix $(CODE)

bench: $(DEV) ## Measure, in turn with others' programs, and print a table (a quarter of an hour)
	@$(PY) -m benchmarks $(ARGS)

proof: $(DEV) ## Kill the daemon again and again while letters fly, and count (an hour)
	@$(PY) -m benchmarks proof $(ARGS)

requirements: | $(PY) ## Refresh the pins (needs the package index)
	@test -x $(UV) || { "$(PY)" -m venv build/uv && build/uv/bin/python -m pip install --quiet uv; }
	@$(COMPILE) --extra postgres -o requirements/run.txt
	@$(COMPILE) --extra postgres --group dev -o requirements/dev.txt
	@! grep -n '://' requirements/run.txt requirements/dev.txt

clean: ## Remove everything that these commands made, .venv too
	@rm -rf $(VENV) build dist htmlcov .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
	@find $(wildcard campaign tests benchmarks alembic) -name __pycache__ -type d -prune -exec rm -rf {} +
